/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon-bed.h"

char *bed_program(const char *name)
{
    g_autofree char *path = g_test_build_filename(
        G_TEST_BUILT, "..", "..", "contrib", "vhost-user-shmem", name, NULL);

    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    /* Programs start in another directory. */
    return g_canonicalize_filename(path, NULL);
}

Bed *bed_new(void)
{
    Bed *bed = g_new0(Bed, 1);

    bed->dir = g_dir_make_tmp("vus-daemon-XXXXXX", NULL);
    bed->control = g_build_filename(bed->dir, "c.sock", NULL);
    bed->shmem = bed_program("vhost-user-shmem");
    bed->vusctl = bed_program("vusctl");
    return bed;
}

/* -- The daemon ------------------------------------------------------------ */

/* A daemon does not outlive a test that fails. */
static void die_with_parent(void *opaque)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

char **words_of(const char *program, const Bed *bed, const char *const *word)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();

    g_ptr_array_add(all, g_strdup(program));
    g_ptr_array_add(all, g_strdup("--control"));
    g_ptr_array_add(all, g_strdup(bed->control));
    for (; *word; word++) {
        g_ptr_array_add(all, g_strdup(*word));
    }
    g_ptr_array_add(all, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&all), false);
}

void start(Bed *bed, const char *const *word)
{
    g_auto(GStrv) argv = words_of(bed->shmem, bed, word);
    g_autoptr(GError) error = NULL;
    char said[6];
    size_t done = 0;

    g_spawn_async_with_pipes(bed->dir, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD,
                             die_with_parent, NULL, &bed->daemon, NULL,
                             &bed->said, NULL, &error);
    g_assert_no_error(error);
    while (done < sizeof(said)) {
        ssize_t got = read(bed->said, said + done, sizeof(said) - done);

        g_assert_cmpint(got, >, 0);
        done += got;
    }
    g_assert_cmpmem(said, sizeof(said), "ready\n", 6);
}

int end(Bed *bed, int signal)
{
    int status;

    g_assert_cmpint(kill(bed->daemon, signal), ==, 0);
    g_assert_cmpint(waitpid(bed->daemon, &status, 0), ==, bed->daemon);
    close(bed->said);
    bed->daemon = 0;
    return status;
}

void bed_free(Bed *bed)
{
    if (bed->daemon) {
        g_assert_cmpint(end(bed, SIGTERM), ==, 0);
    }
    g_assert_cmpint(g_access(bed->control, F_OK), <, 0);
    g_assert_cmpint(g_rmdir(bed->dir), ==, 0);
    g_free(bed->dir);
    g_free(bed->control);
    g_free(bed->shmem);
    g_free(bed->vusctl);
    g_free(bed);
}

/* -- Programs that end ----------------------------------------------------- */

void run(const Bed *bed, const char *path, const char *const *word,
         int status, const char *out, const char *err)
{
    g_auto(GStrv) argv = words_of(path, bed, word);
    g_autofree char *got_out = NULL, *got_err = NULL;
    g_autoptr(GError) error = NULL;
    int got;

    g_spawn_sync(bed->dir, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &got_out,
                 &got_err, &got, &error);
    g_assert_no_error(error);
    if (!WIFEXITED(got) || WEXITSTATUS(got) != status ||
        !strstr(got_out, out) || !strstr(got_err, err)) {
        g_autofree char *line = g_strjoinv(" ", argv);

        g_error("%s: status %d '%s' '%s', not %d '%s' '%s'", line, got,
                got_out, got_err, status, out, err);
    }
}

char *output_of(const Bed *bed, const char *path, const char *const *word)
{
    g_auto(GStrv) argv = words_of(path, bed, word);
    g_autoptr(GError) error = NULL;
    char *out = NULL;
    int status;

    g_spawn_sync(bed->dir, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out,
                 NULL, &status, &error);
    g_assert_no_error(error);
    g_assert_cmpint(status, ==, 0);
    return out;
}

/* -- Files ----------------------------------------------------------------- */

void bed_write(const Bed *bed, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(bed->dir, name, NULL);
    g_autoptr(GError) error = NULL;

    g_file_set_contents(path, text, -1, &error);
    g_assert_no_error(error);
}

void bed_unlink(const Bed *bed, const char *name)
{
    g_autofree char *path = g_build_filename(bed->dir, name, NULL);

    g_assert_cmpint(g_unlink(path), ==, 0);
}
