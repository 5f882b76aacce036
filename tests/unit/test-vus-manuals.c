/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The manual pages name everything that can be said, and nothing else.
 *
 * Threads: single; programs are other processes.
 */
#include <string.h>

#include "daemon-bed.h"
#include "daemon-config.h"

typedef struct Page {
    char *path, *text;
} Page;

static Page page_of(const char *name)
{
    Page page = { bed_program(name), NULL };
    g_autoptr(GError) error = NULL;

    g_file_get_contents(page.path, &page.text, NULL, &error);
    g_assert_no_error(error);
    return page;
}

static void page_clear(Page *page)
{
    g_free(page->path);
    g_free(page->text);
}

/* Lines of @text from @heading to the next of its kind; the caller frees it. */
static char *part_of(const char *text, const char *heading, const char *next)
{
    const char *begin = strstr(text, heading), *end;

    if (!begin) {
        g_error("there is no '%s'", heading);
    }
    begin += strlen(heading);
    end = strstr(begin, next);
    return end ? g_strndup(begin, end - begin) : g_strdup(begin);
}

static unsigned count_items(const char *part)
{
    unsigned n = 0;

    for (const char *at = part; (at = strstr(at, "\n.It ")); at++) {
        n++;
    }
    return n;
}

/* What begins @item (".It Cm mtu") and ends there, or goes on with a blank. */
static void expect_item(const char *part, const char *item)
{
    g_autofree char *alone = g_strdup_printf("\n%s\n", item);
    g_autofree char *more = g_strdup_printf("\n%s ", item);

    if (!strstr(part, alone) && !strstr(part, more)) {
        g_error("the manual page lacks '%s'", item);
    }
}

static void expect_option(const char *part, const char *name)
{
    g_auto(GStrv) piece = g_strsplit(name, "-", -1);
    g_autofree char *escaped = g_strjoinv("\\-", piece);
    g_autofree char *item = g_strconcat(".It Fl \\-", escaped, NULL);

    expect_item(part, item);
}

static void expect_keys(const Page *page, const char *heading,
                        const char *const *key)
{
    g_autofree char *part = part_of(page->text, heading, "\n.Sh ");
    unsigned n = 0;

    for (; key[n]; n++) {
        g_autofree char *item = g_strconcat(".It Cm ", key[n], NULL);

        expect_item(part, item);
    }
    g_assert_cmpuint(count_items(part), ==, n);
}

/* All options that --help shows. */
static void expect_options(const Page *page, const char *program)
{
    Bed *bed = bed_new();
    g_autofree char *help = output_of(bed, program, WORDS("--help"));
    g_autofree char *shown = part_of(help, "\nApplication Options:", "\n\n");
    g_autofree char *part = part_of(page->text, "\n.Sh OPTIONS\n", "\n.Sh ");
    g_autoptr(GRegex) option = g_regex_new("\n  --([a-z-]+)", 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    unsigned n = 0;

    for (g_regex_match(option, shown, 0, &match);
         g_match_info_matches(match); g_match_info_next(match, NULL)) {
        g_autofree char *name = g_match_info_fetch(match, 1);

        expect_option(part, name);
        n++;
    }
    g_assert_cmpuint(n, >, 0);
    /* And --help. */
    expect_item(part, ".It Fl h , Fl \\-help");
    g_assert_cmpuint(count_items(part), ==, n + 1);
    bed_free(bed);
}

/* -- Pages ----------------------------------------------------------------- */

static void test_shmem(void)
{
    g_autofree char *program = bed_program("vhost-user-shmem");
    Page page = page_of("vhost-user-shmem.8");
    g_autofree char *options = part_of(page.text, "\n.Sh OPTIONS\n",
                                       "\n.Sh ");

    expect_options(&page, program);
    for (const DaemonWord *w = daemon_config_words(); w->key; w++) {
        expect_option(options, w->key);
    }
    expect_keys(&page, "\n.Sh SETTINGS OF A PORT\n", port_settings_keys());
    expect_keys(&page, "\n.Sh SETTINGS OF A TENANT\n",
                tenant_settings_keys());
    expect_keys(&page, "\n.Sh SETTINGS OF A DOMAIN\n",
                domain_settings_keys());
    page_clear(&page);
}

static void test_vusctl(void)
{
    g_autofree char *program = bed_program("vusctl");
    Page page = page_of("vusctl.1");
    g_autofree char *part = part_of(page.text, "\n.Sh COMMANDS\n", "\n.Sh ");
    Bed *bed = bed_new();
    g_autofree char *help = output_of(bed, program, WORDS("--help"));
    g_autofree char *commands = part_of(help, "\nCommands:", "\n\n");
    /* Its name is small letters; then there are words or the explanation. */
    g_autoptr(GRegex) command = g_regex_new(
        "\n  ([a-z]+( (set|unset|remove))?)(?= )", 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    unsigned n = 0;

    for (g_regex_match(command, commands, 0, &match);
         g_match_info_matches(match); g_match_info_next(match, NULL)) {
        g_autofree char *name = g_match_info_fetch(match, 1);
        g_autofree char *item = g_strconcat(".It Cm ", name, NULL);

        expect_item(part, item);
        n++;
    }
    g_assert_cmpuint(n, >, 20);
    g_assert_cmpuint(count_items(part), ==, n);
    expect_options(&page, program);
    page_clear(&page);
    bed_free(bed);
}

/* -- Format ---------------------------------------------------------------- */

static void expect_clean(const char *name)
{
    Page page = page_of(name);
    char *argv[] = { "groff", "-mdoc", "-Tascii", "-ww", "-z", page.path,
                     NULL };
    g_autofree char *err = NULL;
    g_autoptr(GError) error = NULL;
    int status;

    g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, &err,
                 &status, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(err, ==, "");
    g_assert_cmpint(status, ==, 0);
    page_clear(&page);
}

static void test_format(void)
{
    g_autofree char *groff = g_find_program_in_path("groff");

    if (!groff) {
        g_test_skip("needs groff");
        return;
    }
    expect_clean("vhost-user-shmem.8");
    expect_clean("vusctl.1");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_setenv("LC_ALL", "C.UTF-8", true);
    g_test_add_func("/vus-manuals/vhost-user-shmem", test_shmem);
    g_test_add_func("/vus-manuals/vusctl", test_vusctl);
    g_test_add_func("/vus-manuals/format", test_format);
    return g_test_run();
}
