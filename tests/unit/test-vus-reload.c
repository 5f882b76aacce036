/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A configuration that is read again: what differs takes effect, the rest is
 * not touched, and what is wrong changes nothing.
 *
 * Threads: this is the control thread; workers are the switch's.
 */
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "config-file.h"
#include "config-reload.h"
#include "switch-bed.h"

#define FILE_NAME "vus.conf"
#define CONTROL "/run/c.sock"
#define ROUNDS 150

/* Of a port that has one: made by main(). */
static char *socket_path, *other_path;

typedef struct Bed {
    Switch *sw;
    const char *text;               /* what the file says */
    char *read;                     /* name of what was read last */
} Bed;

/* -- The bed --------------------------------------------------------------- */

static DaemonConfig *read_text(void *opaque, const char *file, GError **error)
{
    g_autoptr(DaemonConfig) c = daemon_config_new();
    Bed *bed = opaque;

    g_free(bed->read);
    bed->read = g_strdup(file);
    if (!config_file_parse(c, file, bed->text, strlen(bed->text), error) ||
        !daemon_config_check(c, error)) {
        return NULL;
    }
    if (!c->control) {
        c->control = g_strdup(CONTROL);
    }
    return g_steal_pointer(&c);
}

static GPtrArray *reload(Bed *bed, const char *text, GError **error)
{
    ConfigReload r = {
        .read = read_text, .opaque = bed, .sw = bed->sw, .control = CONTROL,
        .file = FILE_NAME,
    };

    bed->text = text;
    return config_reload(&r, NULL, error);
}

/* "port a added;port b changed:vlan,mac;", "!" in front of what failed. */
static char *reload_text(Bed *bed, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) changes = reload(bed, text, &error);
    GString *all = g_string_new(NULL);

    g_assert_no_error(error);
    for (unsigned i = 0; i < changes->len; i++) {
        const ConfigChange *c = g_ptr_array_index(changes, i);

        g_string_append_printf(all, "%s%s %s %s%s%s;", c->error ? "!" : "",
                               c->what, c->name, c->change,
                               c->keys ? ":" : "", c->keys ? c->keys : "");
    }
    return g_string_free(all, false);
}

static void expect(Bed *bed, const char *text, const char *expected)
{
    g_autofree char *changes = reload_text(bed, text);

    g_assert_cmpstr(changes, ==, expected);
}

static Bed bed_new(const char *text)
{
    Bed bed = { .sw = bed_switch_new(1) };

    g_free(reload_text(&bed, text));
    return bed;
}

static void bed_end(Bed *bed)
{
    switch_free(bed->sw);
    g_free(bed->read);
}

/* Of the switch, as a file. */
static char *running(const Bed *bed)
{
    g_autoptr(DaemonConfig) c = config_of_switch(bed->sw);

    return config_file_text(c);
}

/* It is refused, and nothing has changed. */
static void expect_refused(Bed *bed, const char *text, const char *part)
{
    g_autofree char *before = running(bed), *after = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_null(reload(bed, text, &error));
    if (!strstr(error->message, part)) {
        g_error("'%s' lacks '%s'", error->message, part);
    }
    after = running(bed);
    g_assert_cmpstr(before, ==, after);
}

static uint64_t serial(const Bed *bed, const char *port)
{
    return port_serial(switch_find_port(bed->sw, port));
}

/* -- What differs ---------------------------------------------------------- */

#define A "[port a]\ntype=dummy\n"
#define B "[port b]\ntype=dummy\n"
#define C "[port c]\ntype=dummy\n"

/* What is the same lives on, with all that it has learned. */
static void test_same(void)
{
    static const char text[] = "[tenant t]\ntx-limit-bps=5M\n" A "vlan=5\n" B
                               "tenant=t\n[fdb]\n52:54:00:00:00:01/5=a\n";
    Bed bed = bed_new(text);
    uint64_t a = serial(&bed, "a"), b = serial(&bed, "b");
    uint8_t frame[BED_FRAME_BYTES];

    bed_make_frame(frame, 9, 1, -1);
    bed_send(bed.sw, "a", frame, sizeof(frame));
    expect(&bed, text, "");
    g_assert_cmpstr(bed.read, ==, FILE_NAME);
    g_assert_cmpuint(serial(&bed, "a"), ==, a);
    g_assert_cmpuint(serial(&bed, "b"), ==, b);
    g_assert_cmpuint(switch_fdb_flush(bed.sw, NULL), ==, 1);
    bed_end(&bed);
}

static void test_ports(void)
{
    Bed bed = bed_new(A "vlan=5\n" B C);
    uint64_t b = serial(&bed, "b"), c = serial(&bed, "c");

    /* One by hand, which the file does not know. */
    bed_add(bed.sw, "x", "");
    expect(&bed, B "vlan=7\nstorm-pps=9\n" C "[port d]\ntype=dummy\n",
           "port a removed;port x removed;port b changed:vlan,storm-pps;"
           "port d added;");
    g_assert_cmpuint(serial(&bed, "b"), ==, b);
    g_assert_cmpuint(serial(&bed, "c"), ==, c);
    g_assert_cmpint(port_settings(switch_find_port(bed.sw, "b"))->vlan, ==, 7);
    g_assert_null(switch_find_port(bed.sw, "a"));
    /* What is no longer said is the default again. */
    expect(&bed, B C, "port d removed;port b changed:vlan,storm-pps;");
    expect(&bed, "", "port b removed;port c removed;");
    bed_end(&bed);
}

/* A word that is fixed makes another port of it, and of no other. */
static void test_fixed(void)
{
    Bed bed = bed_new(A B "[fdb]\n52:54:00:00:00:01=a\n");
    uint64_t a = serial(&bed, "a"), b = serial(&bed, "b");

    expect(&bed, A "rtvnic=on\ndscp=46\n" B "[fdb]\n52:54:00:00:00:01=a\n",
           "port a replaced:rtvnic,dscp;");
    g_assert_cmpuint(serial(&bed, "a"), !=, a);
    g_assert_cmpuint(serial(&bed, "b"), ==, b);
    /* It has its fixed address again. */
    expect(&bed, A "rtvnic=on\ndscp=46\n" B "[fdb]\n52:54:00:00:00:01=a\n",
           "");
    bed_end(&bed);
}

static void test_tenants(void)
{
    Bed bed = bed_new("[tenant old]\n[tenant kept]\ntx-limit-bps=1M\n" A
                      "tenant=old\n" B "tenant=kept\n");

    /* In a file ports may come before their tenants. */
    expect(&bed, A "tenant=new\n" B "tenant=kept\n[tenant kept]\n"
           "tx-limit-bps=2M\nguarantee-pps=5\n[tenant new]\n",
           "tenant kept changed:tx-limit-bps,guarantee-pps;tenant new added;"
           "port a changed:tenant;tenant old removed;");
    expect(&bed, A B, "port a changed:tenant;port b changed:tenant;"
           "tenant kept removed;tenant new removed;");
    bed_end(&bed);
}

/* -- Domains --------------------------------------------------------------- */

/* A port of type=netvm, and a domain that needs few pages; to be freed. */
static char *netvm(const char *port, const char *path, const char *domain)
{
    return g_strdup_printf("[port %s]\ntype=netvm\ndomain=%s\nsocket=%s\n",
                           port, domain, path);
}

#define SMALL "pages=ordinary\nmembers=2\nring=64\n"
#define RED "[domain red]\n" SMALL
#define BLUE "[domain blue]\n" SMALL

/* What grows lives on; what is fixed, or fewer, takes its ports with it, and no
 * others. */
static void test_domains(void)
{
    g_autofree char *a = netvm("a", socket_path, "red");
    g_autofree char *b = netvm("b", other_path, "blue");
    g_autofree char *first = g_strconcat(a, b, RED BLUE "buffers=64\n", NULL);
    g_autofree char *more = g_strconcat(a, b, RED BLUE "buffers=9999\n", NULL);
    g_autofree char *other = g_strconcat(a, b, RED "buffer-bytes=4096\n"
                                         "direct=off\n" BLUE "buffers=64\n",
                                         NULL);
    Bed bed = bed_new(first);
    uint64_t serial_a = serial(&bed, "a"), serial_b = serial(&bed, "b");

    expect(&bed, first, "");
    expect(&bed, more, "domain blue changed:buffers;");
    g_assert_cmpuint(serial(&bed, "b"), ==, serial_b);
    expect(&bed, first, "domain blue replaced:buffers;port b replaced;");
    g_assert_cmpuint(serial(&bed, "b"), !=, serial_b);
    g_assert_cmpuint(serial(&bed, "a"), ==, serial_a);
    expect(&bed, other, "domain red replaced:buffer-bytes,direct;"
           "port a replaced;");
    expect(&bed, other, "");
    bed_end(&bed);
}

/* Ports go before their domain and come after it; a port goes from one to the
 * other as another one. */
static void test_ports_of_domains(void)
{
    g_autofree char *in_red = netvm("a", socket_path, "red");
    g_autofree char *in_blue = netvm("a", socket_path, "blue");
    g_autofree char *with_red = g_strconcat(in_red, RED, NULL);
    g_autofree char *with_blue = g_strconcat(in_blue, BLUE, NULL);
    Bed bed = bed_new("");

    expect(&bed, with_red, "domain red added;port a added;");
    expect(&bed, with_blue, "domain red removed;domain blue added;"
           "port a replaced:domain;");
    expect_refused(&bed, in_blue, "port a: there is no domain 'blue': add "
                   "[domain blue]");
    expect(&bed, BLUE, "port a removed;");
    expect(&bed, "", "domain blue removed;");
    bed_end(&bed);
}

/* The most that a file may have, or all again; memory is files here. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit;

    signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &limit), ==, 0);
    limit.rlim_cur = MIN(bytes, limit.rlim_max);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
}

/* What the host has no memory for is said, and can be tried again. */
static void test_no_memory(void)
{
    g_autofree char *a = netvm("a", socket_path, "red");
    g_autofree char *fits = g_strconcat(a, RED, NULL);
    g_autofree char *grown = g_strconcat(a, RED "buffers=65536\n", NULL);
    g_autofree char *anew = g_strconcat(a, RED "buffers=65536\ndirect=off\n",
                                        NULL);
    Bed bed = bed_new(fits);

    limit_files(64 << 20);
    expect(&bed, grown, "!domain red changed:buffers;");
    expect(&bed, anew, "!domain red replaced:buffers,direct;"
           "!port a replaced;");
    expect(&bed, fits, "domain red added;port a added;");
    limit_files(RLIM_INFINITY);
    expect(&bed, grown, "domain red changed:buffers;");
    bed_end(&bed);
}

/* -- Addresses ------------------------------------------------------------- */

static void test_addresses(void)
{
    Bed bed = bed_new(A B "[fdb]\n52:54:00:00:00:01=a\n"
                      "52:54:00:00:00:02/5=a\n52:54:00:00:00:03=b\n");

    expect(&bed, A B "[fdb]\n52:54:00:00:00:01=b\n52:54:00:00:00:03=b\n"
           "52:54:00:00:00:04=a\n", "address 52:54:00:00:00:02/5 removed;"
           "address 52:54:00:00:00:01 changed;"
           "address 52:54:00:00:00:04 added;");
    /* With its port it goes anyway. */
    expect(&bed, B, "port a removed;address 52:54:00:00:00:01 removed;"
           "address 52:54:00:00:00:03 removed;"
           "address 52:54:00:00:00:04 removed;");
    expect(&bed, B, "");
    bed_end(&bed);
}

/* -- What is wrong --------------------------------------------------------- */

static void test_wrong(void)
{
    Bed bed = bed_new(A "vlan=5\n[tenant t]\n");

    expect_refused(&bed, B "vlan=x\n", FILE_NAME ":3: vlan=x");
    expect_refused(&bed, B "[tenant u]\n[port c]\ntype=dummy\ntenant=v\n",
                   "port c: there is no tenant 'v'");
    expect_refused(&bed, B "[fdb]\n52:54:00:00:00:01=a\n", "at port 'a'");
    expect_refused(&bed, "[daemon]\nworkers=2\n" B, FILE_NAME ": workers=2 "
                   "cannot change while the daemon runs, it is '1': restart");
    expect_refused(&bed, "[daemon]\ncpus=0\n" B, FILE_NAME ": cpus=0 cannot "
                   "change while the daemon runs, it is not set: restart");
    expect_refused(&bed, "[daemon]\ncontrol=/x\n" B, "control=/x cannot");
    expect_refused(&bed, B "rate-bps=1M\nguarantee-bps=5M\n[port c]\n"
                   "type=dummy\nguarantee-bps=2M\n", "port b cannot give");
    bed_end(&bed);
}

static void test_no_file(void)
{
    Bed bed = bed_new(A);
    ConfigReload r = {
        .read = read_text, .opaque = &bed, .sw = bed.sw, .control = CONTROL,
    };
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) changes = NULL;

    g_assert_null(config_reload(&r, NULL, &error));
    g_assert_nonnull(strstr(error->message, "without --config"));
    bed.text = B;
    changes = config_reload(&r, "other.conf", NULL);
    g_assert_cmpuint(changes->len, ==, 2);
    g_assert_cmpstr(bed.read, ==, "other.conf");
    bed_end(&bed);
}

/* What the host refuses is said; the rest is done, and it can be tried
 * again. */
static void test_host_refuses(void)
{
    Bed bed = bed_new(A);

    expect(&bed, "[port s]\nsocket=/nowhere/at/all.sock\n" A "vlan=5\n" B
           "[fdb]\n52:54:00:00:00:01=s\n52:54:00:00:00:02=b\n",
           "port a changed:vlan;!port s added;port b added;"
           "!address 52:54:00:00:00:01 added;"
           "address 52:54:00:00:00:02 added;");
    g_assert_null(switch_find_port(bed.sw, "s"));
    expect(&bed, "[port s]\ntype=dummy\n" A "vlan=5\n" B
           "[fdb]\n52:54:00:00:00:01=s\n52:54:00:00:00:02=b\n",
           "port s added;address 52:54:00:00:00:01 added;");
    bed_end(&bed);
}

/* -- What stands in each other's way --------------------------------------- */

#define SHOW(port, shown) "[port " port "]\ntype=dummy\nmirror=" shown "\n"

/* As many show x and y as can; then some change places. */
static void test_mirrors(void)
{
    Bed bed = bed_new(SHOW("a", "y") SHOW("b", "x") SHOW("c", "x")
                      SHOW("d", "x") SHOW("e", "x"));
    uint64_t a = serial(&bed, "a");

    /* a needs what e gives up, and comes before it. */
    expect(&bed, SHOW("a", "x") SHOW("b", "x") SHOW("c", "x") SHOW("d", "x")
           SHOW("e", "y"), "port e changed:mirror;port a changed:mirror;");
    g_assert_cmpuint(serial(&bed, "a"), ==, a);
    bed_end(&bed);
}

static void test_mirrors_in_a_circle(void)
{
    Bed bed = bed_new(SHOW("a", "x") SHOW("b", "x") SHOW("c", "x")
                      SHOW("d", "x") SHOW("e", "y") SHOW("f", "y")
                      SHOW("g", "y") SHOW("h", "y"));

    expect(&bed, SHOW("a", "y") SHOW("b", "x") SHOW("c", "x") SHOW("d", "x")
           SHOW("e", "x") SHOW("f", "y") SHOW("g", "y") SHOW("h", "y"),
           "port a replaced:mirror;port e replaced:mirror;");
    bed_end(&bed);
}

static char *many_tenants(const char *format, unsigned n)
{
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < n; i++) {
        g_string_append_printf(text, "[tenant %s%u]\n", format, i);
    }
    return g_string_free(text, false);
}

/* Those that go and those that come are there at the same time. */
static void test_many_tenants(void)
{
    g_autofree char *old = many_tenants("old", SWITCH_MAX_TENANTS);
    g_autofree char *half = many_tenants("old", SWITCH_MAX_TENANTS / 2);
    g_autofree char *new = many_tenants("new", SWITCH_MAX_TENANTS / 2);
    g_autofree char *one = many_tenants("new", 1);
    Bed bed = bed_new(old);

    expect_refused(&bed, one, "are 65 together");
    g_free(reload_text(&bed, half));
    g_free(reload_text(&bed, new));
    expect(&bed, new, "");
    bed_end(&bed);
}

/* -- Contracts of NICs ----------------------------------------------------- */

static void set_contract(Bed *bed, const char *port, unsigned deadline_us)
{
    Port *p = switch_find_port(bed->sw, port);
    g_autoptr(GError) error = NULL;
    PortSettings contract;

    port_settings_copy(&contract, port_settings(p));
    contract.deadline_us = deadline_us;
    contract.period_us = deadline_us;
    switch_set_contract(bed->sw, p, &contract, &error);
    g_assert_no_error(error);
    port_settings_clear(&contract);
}

/* They are no settings, and what has to go together has to go together with
 * them. */
static void test_contracts(void)
{
    static const char up[] = "[port up]\ntype=dummy\nrate-bps=100M\n";
    g_autofree char *both = g_strconcat(up, A "rtvnic=on\n", NULL);
    g_autofree char *changed = g_strconcat(up, A "rtvnic=on\nvlan=5\n", NULL);
    Bed bed = bed_new(both);

    set_contract(&bed, "a", 2000);
    expect(&bed, both, "");
    expect(&bed, changed, "port a changed:vlan;");
    g_assert_true(port_has_contract(switch_find_port(bed.sw, "a")));
    expect_refused(&bed, "[port up]\ntype=dummy\nrate-bps=1M\n" A
                   "rtvnic=on\n", "with the contracts that NICs have "
                   "registered: port up cannot promise all contracts");
    /* Without the port there is no contract either. */
    expect(&bed, "[port up]\ntype=dummy\nrate-bps=1M\n",
           "port a removed;port up changed:rate-bps;");
    bed_end(&bed);
}

/* -- Any to any ------------------------------------------------------------ */

#define PICK(...) \
    (((const char *const []) { __VA_ARGS__ })[g_test_rand_int_range( \
        0, G_N_ELEMENTS(((const char *const []) { __VA_ARGS__ })))])

static void add_any(GString *text, const char *line)
{
    if (g_test_rand_bit()) {
        g_string_append(text, line);
    }
}

static void add_any_port(GString *text, char name)
{
    g_string_append_printf(text, "[port %c]\ntype=dummy\n", name);
    add_any(text, PICK("vlan=5\n", "trunk=5,6\n"));
    add_any(text, PICK("peer=z\n", "mirror=a\n", "mirror=b\n"));
    add_any(text, PICK("rate-bps=1G\n", "rate-pps=5\n", "uplink=on\n"));
    add_any(text, PICK("rtvnic=on\n", "rtvnic=on\ndeadline-us=500\n"));
    add_any(text, PICK("tenant=t\n", "tenant=u\n"));
    add_any(text, "link=down\n");
}

/* Up to nine ports, two tenants and two domains; NULL: they do not go
 * together. */
static DaemonConfig *any_config(char **text)
{
    g_autoptr(DaemonConfig) c = daemon_config_new();
    GString *all = g_string_new(NULL);
    GString *fdb = g_string_new("[fdb]\n");

    add_any(all, PICK("[tenant t]\n", "[tenant t]\ntx-limit-bps=1M\n"));
    add_any(all, PICK("[tenant u]\n", "[tenant u]\ntx-limit-pps=1\n"));
    add_any(all, PICK(RED, RED "buffers=64\n", RED "direct=off\n"));
    add_any(all, PICK(BLUE, BLUE "buffer-bytes=4096\n"));
    if (g_test_rand_bit()) {
        g_autofree char *port = netvm("n", socket_path, PICK("red", "blue"));

        g_string_append(all, port);
        add_any(all, PICK("outs=a\n", "outs=b,c\nvlan=7\n"));
    }
    for (char name = 'a'; name <= 'h'; name++) {
        if (g_test_rand_bit()) {
            add_any_port(all, name);
            if (g_test_rand_bit()) {
                g_string_append_printf(fdb, "52:54:00:00:00:0%c=%c\n",
                                       *PICK("1", "2", "3", "4"), name);
            }
        }
    }
    g_string_append(all, fdb->str);
    g_string_free(fdb, true);
    *text = g_string_free(all, false);
    return config_file_parse(c, "any", *text, strlen(*text), NULL) &&
           daemon_config_check(c, NULL) ? g_steal_pointer(&c) : NULL;
}

static int compare_ports(const void *one, const void *other)
{
    return strcmp((*(const ConfigPort *const *)one)->name,
                  (*(const ConfigPort *const *)other)->name);
}

static int compare_tenants(const void *one, const void *other)
{
    return strcmp((*(const ConfigTenant *const *)one)->name,
                  (*(const ConfigTenant *const *)other)->name);
}

static int compare_domains(const void *one, const void *other)
{
    return strcmp((*(const ConfigDomain *const *)one)->name,
                  (*(const ConfigDomain *const *)other)->name);
}

static int compare_addresses(const void *one, const void *other)
{
    return memcmp((*(const ConfigAddress *const *)one)->mac,
                  (*(const ConfigAddress *const *)other)->mac, 6);
}

/* The order in which things were added does not matter. */
static char *sorted_text(DaemonConfig *c)
{
    g_ptr_array_sort(c->ports, compare_ports);
    g_ptr_array_sort(c->tenants, compare_tenants);
    g_ptr_array_sort(c->domains, compare_domains);
    g_ptr_array_sort(c->addresses, compare_addresses);
    return config_file_text(c);
}

/* From any configuration to any other one. */
static void test_any(void)
{
    Bed bed = bed_new("");
    unsigned done = 0;

    while (done < ROUNDS) {
        g_autofree char *text = NULL, *expected = NULL, *got = NULL;
        g_autofree char *changes = NULL;
        g_autoptr(DaemonConfig) to = any_config(&text);
        g_autoptr(DaemonConfig) now = NULL;

        if (!to) {
            continue;
        }
        done++;
        changes = reload_text(&bed, text);
        g_assert_null(strchr(changes, '!'));
        now = config_of_switch(bed.sw);
        expected = sorted_text(to);
        got = sorted_text(now);
        g_assert_cmpstr(got, ==, expected);
        expect(&bed, text, "");
    }
    bed_end(&bed);
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    bed_expect_warnings();
    socket_path = bed_socket_path();
    other_path = bed_socket_path();
    g_test_add_func("/vus-reload/same", test_same);
    g_test_add_func("/vus-reload/ports", test_ports);
    g_test_add_func("/vus-reload/fixed", test_fixed);
    g_test_add_func("/vus-reload/tenants", test_tenants);
    g_test_add_func("/vus-reload/domains", test_domains);
    g_test_add_func("/vus-reload/ports-of-domains", test_ports_of_domains);
    g_test_add_func("/vus-reload/no-memory", test_no_memory);
    g_test_add_func("/vus-reload/addresses", test_addresses);
    g_test_add_func("/vus-reload/wrong", test_wrong);
    g_test_add_func("/vus-reload/no-file", test_no_file);
    g_test_add_func("/vus-reload/host-refuses", test_host_refuses);
    g_test_add_func("/vus-reload/mirrors", test_mirrors);
    g_test_add_func("/vus-reload/mirrors-in-a-circle",
                    test_mirrors_in_a_circle);
    g_test_add_func("/vus-reload/many-tenants", test_many_tenants);
    g_test_add_func("/vus-reload/contracts", test_contracts);
    g_test_add_func("/vus-reload/any", test_any);
    status = g_test_run();
    bed_socket_free(socket_path);
    bed_socket_free(other_path);
    return status;
}
