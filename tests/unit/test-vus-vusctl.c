/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vusctl as its users meet it.
 *
 * Threads: single; the daemon is another process.
 */
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon-bed.h"
#include "rtnet/netvm-wire.h"

/* -- vusctl ---------------------------------------------------------------- */

#define FRAME "ffffffffffff5254000000010800"

static void test_commands(void)
{
    Bed *bed = bed_new();

    start(bed, WORDS("--idle-us=0", "--port", "a type=dummy", "--port",
                     "b type=dummy vlan=5"));
    VUSCTL(bed, 0, "a      0  dummy  ready  all              0/1\n"
           "b      1  dummy  ready  5                0/1\n", "", "list");
    VUSCTL(bed, 0, "settings        type=dummy\n                vlan=5\n",
           "", "show", "b");
    VUSCTL(bed, 0, "port            b", "", "show");
    VUSCTL(bed, 0, "", "", "set", "b", "vlan=", "trunk=all");
    VUSCTL(bed, 0, "", "", "inject", "a", FRAME);
    VUSCTL(bed, 0, "000000000000000000000100 " FRAME "\n", "", "read", "b");
    VUSCTL(bed, 0, "", "", "inject", "a", "ffffffffffffffffffffffff0800");
    VUSCTL(bed, 0, "PORT  INGRESS PKTS  INGRESS BYTES  EGRESS PKTS  "
           "EGRESS BYTES  DROPPED PKTS\n"
           "a                2             28            0             0  "
           "           1\n"
           "b                0              0            1            14  "
           "           0\n"
           "sum              2             28            1            14  "
           "           1\n\n"
           "PORT  DROPPED     PKTS\n"
           "a     bad-source     1\n", "", "stats");
    VUSCTL(bed, 0, "b     storm           0\n", "", "stats", "--all");
    VUSCTL(bed, 0, "\"drops\":{\"bad-source\":1}", "", "stats", "a",
           "--json");
    VUSCTL(bed, 0, "", "", "stats", "--reset");
    VUSCTL(bed, 0, "sum              0 ", "", "stats");
    VUSCTL(bed, 0, "52:54:00:00:00:01  none  a", "", "fdb");
    VUSCTL(bed, 0, "52:54:00:00:00:01  none  a", "", "fdb", "list", "a");
    VUSCTL(bed, 0, "0 forgotten", "", "fdb", "flush", "b");
    VUSCTL(bed, 0, "1 forgotten", "", "fdb", "flush");
    VUSCTL(bed, 0, "", "", "fdb", "set", "52:54:00:00:00:02/7", "b");
    VUSCTL(bed, 0, "52:54:00:00:00:02     7  b     fixed", "", "fdb");
    VUSCTL(bed, 0, "[{\"mac\":\"52:54:00:00:00:02\",\"vlan\":7,", "", "fdb",
           "--json");
    VUSCTL(bed, 0, "", "", "fdb", "unset", "52:54:00:00:00:02/7");
    VUSCTL(bed, 0, "[]", "", "fdb", "--json");
    VUSCTL(bed, 0, "     0  any       0 ", "", "workers");
    VUSCTL(bed, 0, "rx-full      the receiver has made", "", "drops");
    VUSCTL(bed, 0, "{\"name\":\"vhost-user-shmem\"", "", "call", "version");
    VUSCTL(bed, 0, "\"name\":\"a\"", "", "call", "port.show",
           "{\"name\":\"a\"}");
    VUSCTL(bed, 0, "", "", "remove", "b");
    VUSCTL(bed, 0, "Commands:", "", "--help");
    bed_free(bed);
}

/* Lines of what it prints, none of which is too long for a terminal. */
static char **lines_of(const Bed *bed, const char *const *word)
{
    g_autofree char *out = output_of(bed, bed->vusctl, word);
    char **line = g_strsplit(out, "\n", -1);

    for (unsigned i = 0; line[i]; i++) {
        if (g_utf8_strlen(line[i], -1) > 80) {
            g_error("%s: '%s' has more than 80 columns", *word, line[i]);
        }
    }
    return line;
}

static void expect_line(char **line, const char *expected)
{
    if (!g_strv_contains((const char *const *)line, expected)) {
        g_autofree char *all = g_strjoinv("\n", line);

        g_error("'%s' lacks the line '%s'", all, expected);
    }
}

/* Columns are as wide as what is in them, now or later. */
static void expect_row(char **line, const char *first, const char *second,
                       const char *rest)
{
    for (; *line; line++) {
        size_t bytes = strcspn(*line, " ");

        if (bytes == strlen(first) && g_str_has_prefix(*line, first)) {
            const char *behind = *line + bytes;

            behind += strspn(behind, " ");
            if (g_str_has_prefix(behind, second) && strstr(behind, rest)) {
                return;
            }
        }
    }
    g_error("there is no row '%s %s ... %s'", first, second, rest);
}

static void test_settings(void)
{
    Bed *bed = bed_new();
    g_auto(GStrv) line = NULL;

    start(bed, WORDS("--idle-us=0"));
    line = lines_of(bed, WORDS("settings"));
    expect_row(line, "PORT", "DEFAULT ", "  WHAT IT IS");
    expect_row(line, "type*", "vhost-user  ", "what the port is attached to");
    expect_row(line, "socket*", "vhost-user,netvm: path of the socket", "");
    expect_row(line, "max-frame-bytes", "0  ", "longest frame that it sends");
    expect_row(line, "", "any", "");
    expect_row(line, "guarantee-pps", "the same in frames per second", "");
    expect_row(line, "buffer-bytes", "of one, 128 in front", "");
    expect_row(line, "workers", "threads that forward, 1 to 16", "");
    bed_free(bed);
}

/* A table of rates: within 80 columns. */
static void test_top(void)
{
    Bed *bed = bed_new();
    g_auto(GStrv) line = NULL;

    start(bed, WORDS("--idle-us=0", "--port",
                     "a-name-that-is-long type=dummy"));
    line = lines_of(bed, WORDS("top", "--once", "--interval=0.1"));
    g_assert_cmpuint(g_strv_length(line), ==, 4);
    g_assert_true(g_str_has_prefix(line[0], "PORT "));
    g_assert_true(g_str_has_prefix(line[1], "a-name-that-is- ready "));
    g_assert_true(g_str_has_prefix(line[2], "sum "));
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpuint(strlen(line[i]), ==, 80);
    }
    bed_free(bed);
}

/* And of what waits, where something can. */
static void test_top_of_links(void)
{
    Bed *bed = bed_new();
    g_auto(GStrv) line = NULL;

    start(bed, WORDS("--idle-us=0", "--port", "a type=dummy", "--port",
                     "up type=dummy rate-bps=1", "--port",
                     "from-outside-it-is-long type=dummy trust=rtvnic"));
    for (unsigned i = 0; i < 3; i++) {
        VUSCTL(bed, 0, "", "", "inject", "a", FRAME);
    }
    line = lines_of(bed, WORDS("top", "--once", "--interval=0.1"));
    expect_line(line, "PORT               WAITING     LATE/s   MISSED/s");
    expect_line(line, "up                       2        0.0        0.0");
    expect_line(line, "from-outside-it          0        0.0        0.0");
    for (unsigned i = 0; line[i]; i++) {
        g_assert_false(g_str_has_prefix(line[i], "a       2"));
    }
    bed_free(bed);
}

/* -- Tenants --------------------------------------------------------------- */

static void test_tenants(void)
{
    Bed *bed = bed_new();

    start(bed, WORDS("--idle-us=0"));
    VUSCTL(bed, 0, "", "", "tenant", "set", "red", "tx-limit-bps=50M",
           "guarantee-bps=20M");
    VUSCTL(bed, 0, "", "", "tenant", "set", "red", "tx-limit-bps=");
    VUSCTL(bed, 0, "", "", "add", "a", "type=dummy", "tenant=red");
    VUSCTL(bed, 0, "", "", "add", "b", "type=dummy", "tenant=red");
    VUSCTL(bed, 0, "", "", "tenant", "set", "red", "tx-limit-pps=5k");
    VUSCTL(bed, 0, "TENANT\n"
           "red     settings  tx-limit-pps=5k guarantee-bps=20M\n"
           "        ports     a b\n", "", "tenant");
    VUSCTL(bed, 0, "[{\"name\":\"red\",\"settings\":{\"tx-limit-pps\":"
           "\"5k\",\"guarantee-bps\":\"20M\"},", "", "tenant", "list",
           "--json");
    VUSCTL(bed, 1, "", "port a is tenant red's", "tenant", "remove", "red");
    VUSCTL(bed, 1, "", "there is no tenant 'blue'", "tenant", "remove",
           "blue");
    VUSCTL(bed, 2, "", "'fast' is no setting: write KEY=VALUE", "tenant",
           "set", "red", "fast");
    VUSCTL(bed, 2, "", "write: vusctl tenant [list], tenant set", "tenant",
           "add", "blue");
    VUSCTL(bed, 2, "", "write: vusctl tenant [list], tenant set", "tenant",
           "set");
    VUSCTL(bed, 0, "", "", "remove", "a");
    VUSCTL(bed, 0, "", "", "remove", "b");
    VUSCTL(bed, 0, "", "", "tenant", "remove", "red");
    VUSCTL(bed, 0, "[]\n", "", "tenant", "--json");
    bed_free(bed);
}

/* -- Domains --------------------------------------------------------------- */

/* A process that attaches, and says no more; the caller closes it. */
static int attach_to(const Bed *bed, const char *name)
{
    const struct {
        struct netvm_header header;
        struct netvm_hello body;
    } hello = {
        { NETVM_MSG_HELLO, sizeof(hello.body) },
        { .version = NETVM_WIRE_VERSION, .window_bytes = 1 << 30 },
    };
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", bed->dir,
               name);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address,
                            sizeof(address)), ==, 0);
    g_assert_cmpint(send(fd, &hello, sizeof(hello), 0), ==, sizeof(hello));
    return fd;
}

/* It has some buffers, or none yet. */
static bool shows_member(char **line)
{
    for (; line && *line; line++) {
        if (g_str_has_prefix(*line, "     1  vm1   joined  ")) {
            return true;
        }
    }
    return false;
}

static void test_domains(void)
{
    Bed *bed = bed_new();
    g_auto(GStrv) line = NULL;
    int fd;

    start(bed, WORDS("--idle-us=0"));
    VUSCTL(bed, 0, "", "", "domain", "set", "red", "pages=ordinary",
           "members=3", "buffers=64");
    VUSCTL(bed, 0, "DOMAIN  MEMBERS  BUFFERS  FREE  MIB  PAGES     RECLAIMED\n"
           "red         0/3 ", "", "domain");
    VUSCTL(bed, 0, "2  ordinary          0\n", "", "domain", "list");
    VUSCTL(bed, 0, "[{\"name\":\"red\",", "", "domain", "--json");
    VUSCTL(bed, 0, "", "", "add", "vm1", "type=netvm", "domain=red",
           "socket=vm1.sock");
    VUSCTL(bed, 0, "vm1    0  netvm  waiting  all              0/0  vm1.sock  "
           "domain=red\n", "", "list");
    fd = attach_to(bed, "vm1.sock");
    while (!shows_member(line)) {
        g_clear_pointer(&line, g_strfreev);
        line = lines_of(bed, WORDS("domain", "show", "red"));
    }
    expect_line(line, "domain             red");
    expect_line(line, "settings           buffers=64 members=3 "
                "pages=ordinary");
    expect_line(line, "ports              vm1");
    expect_line(line, "MEMBER  PORT  STATE   OWNS  COUNTED");
    VUSCTL(bed, 0, "\"daemon-buffers\":", "", "domain", "show", "--json");
    close(fd);
    VUSCTL(bed, 1, "", "domain red has ports", "domain", "remove",
           "red");
    VUSCTL(bed, 1, "", "there is no domain 'blue'", "domain", "show", "blue");
    VUSCTL(bed, 1, "", "direct= is fixed", "domain", "set", "red",
           "direct=off");
    VUSCTL(bed, 2, "", "write: vusctl domain [list], domain show [NAME], "
           "domain set NAME KEY=VALUE..., or domain remove NAME", "domain",
           "add", "blue");
    VUSCTL(bed, 0, "", "", "remove", "vm1");
    VUSCTL(bed, 0, "", "", "domain", "remove", "red");
    VUSCTL(bed, 0, "[]\n", "", "domain", "--json");
    bed_free(bed);
}

/* -- Links, deadlines ------------------------------------------------------ */

static void test_links(void)
{
    Bed *bed = bed_new();
    g_auto(GStrv) line = NULL, of_port = NULL;

    start(bed, WORDS("--idle-us=0", "--port", "an-uplink-100 type=dummy "
                     "rate-bps=100M uplink=on rate-pps=12345678", "--tenant",
                     "red tx-limit-bps=5M guarantee-bps=20M", "--port",
                     "voice-of-vm1 type=dummy rtvnic=on deadline-us=2000 "
                     "period-us=5000 max-frame-bytes=300 tx-limit-pps=7"));
    line = lines_of(bed, WORDS("links"));
    expect_line(line, "LINK           BIT/S  FRAMES/S  POLICY  WAITING    OF  "
                "PROMISED  GUARANTEED");
    expect_line(line, "an-uplink-100   100M  12345678  edf           0  1024  "
                "  0.57 %         20M");
    expect_line(line, "voice-of-vm1  an-uplink-100         2000       5000    "
                "         228.7");
    expect_line(line, "tenant    red              5M         -  sends");
    expect_line(line, "port      voice-of-vm1      -         7  sends");
    g_clear_pointer(&line, g_strfreev);
    line = lines_of(bed, WORDS("deadlines"));
    expect_line(line, "PORT          BAND      DEADLINE US  SENT  LATE  "
                "RECEIVED  MISSED");
    expect_line(line, "voice-of-vm1  admitted         2000     0     0        "
                " 0       0");
    of_port = lines_of(bed, WORDS("deadlines", "voice-of-vm1"));
    expect_line(of_port, "It has a contract: a frame every 5000 us waits 229 "
                "us at most.");
    expect_line(of_port, "late                 0  left after their deadline");
    expect_line(of_port, "late                0  deadline passed and "
                "late=drop");
    VUSCTL(bed, 0, "Deadlines are nothing to this port", "", "deadlines",
           "an-uplink-100");
    VUSCTL(bed, 0, "{\"links\":[{\"name\":\"an-uplink-100\",", "", "links",
           "--json");
    VUSCTL(bed, 0, "\"promised-delay-us\":229,", "", "deadlines", "--json");
    VUSCTL(bed, 1, "", "there is no port 'x'", "deadlines", "x");
    bed_free(bed);
}

/* -- Watch ----------------------------------------------------------------- */

static void die_with_parent(void *opaque)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* Its standard output. */
static int start_watching(const Bed *bed, const char *const *word, GPid *pid)
{
    g_auto(GStrv) argv = words_of(bed->vusctl, bed, word);
    g_autoptr(GError) error = NULL;
    int out;

    g_spawn_async_with_pipes(bed->dir, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD,
                             die_with_parent, NULL, pid, NULL, &out, NULL,
                             &error);
    g_assert_no_error(error);
    return out;
}

static char *read_line(int fd)
{
    GString *line = g_string_new(NULL);
    char c;

    while (read(fd, &c, 1) == 1 && c != '\n') {
        g_string_append_c(line, c);
    }
    return g_string_free(line, false);
}

/* Behind the time, which takes 13 columns. */
static void expect_event(int fd, const char *expected)
{
    g_autofree char *line = read_line(fd);

    g_assert_cmpuint(strlen(line), >, 13);
    g_assert_cmpint(line[2], ==, ':');
    g_assert_cmpint(line[8], ==, '.');
    g_assert_cmpstr(line + 13, ==, expected);
}

/* It has begun when a line comes. */
static void wait_for_watcher(const Bed *bed, int fd, unsigned i)
{
    g_autofree char *name = g_strdup_printf("begin%u", i);

    while (true) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        VUSCTL(bed, 0, "", "", "tenant", "set", name);
        VUSCTL(bed, 0, "", "", "tenant", "remove", name);
        if (poll(&p, 1, 0) == 1) {
            break;
        }
    }
    for (;;) {
        g_autofree char *line = read_line(fd);
        struct pollfd p = { .fd = fd, .events = POLLIN };

        if (strstr(line, "removed") && poll(&p, 1, 300) == 0) {
            break;
        }
    }
}

static void test_watch(void)
{
    Bed *bed = bed_new();
    GPid pid;
    int fd, status;

    start(bed, WORDS("--idle-us=0"));
    fd = start_watching(bed, WORDS("watch"), &pid);
    wait_for_watcher(bed, fd, 0);
    VUSCTL(bed, 0, "", "", "add", "a", "type=dummy");
    expect_event(fd, "port a was added: type=dummy, ready");
    VUSCTL(bed, 0, "", "", "set", "a", "link=down");
    expect_event(fd, "port a is link-down, was ready");
    VUSCTL(bed, 0, "", "", "tenant", "set", "red", "tx-limit-bps=1M");
    expect_event(fd, "tenant red was added");
    VUSCTL(bed, 0, "", "", "tenant", "set", "red", "tx-limit-bps=");
    expect_event(fd, "tenant red was changed");
    VUSCTL(bed, 0, "", "", "tenant", "remove", "red");
    expect_event(fd, "tenant red was removed");
    VUSCTL(bed, 0, "", "", "remove", "a");
    expect_event(fd, "port a was removed");
    kill(pid, SIGINT);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFSIGNALED(status));
    close(fd);
    /* The daemon ends before. */
    fd = start_watching(bed, WORDS("watch", "--json"), &pid);
    wait_for_watcher(bed, fd, 1);
    VUSCTL(bed, 0, "", "", "add", "a", "type=dummy");
    {
        g_autofree char *line = read_line(fd);

        g_assert_true(g_str_has_prefix(line, "{\"event\":\"port-added\","));
        g_assert_nonnull(strstr(line, "\"port\":\"a\",\"type\":\"dummy\","
                                "\"state\":\"ready\"}"));
    }
    g_assert_cmpint(end(bed, SIGTERM), ==, 0);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(WEXITSTATUS(status), ==, 1);
    close(fd);
    bed_free(bed);
}

/* -- Completion ------------------------------------------------------------ */

/* What bash proposes behind "vusctl @line", with blanks between. */
static void expect_proposals(const Bed *bed, const char *line,
                             const char *expected)
{
    g_autofree char *functions = bed_program("vusctl.bash");
    g_autofree char *script = g_strdup_printf(
        "source '%s'\n"
        "COMP_WORDS=('%s' --control '%s' %s)\n"
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
        "_vusctl\n"
        "echo \"${COMPREPLY[*]}\"\n", functions, bed->vusctl, bed->control,
        line);
    const char *argv[] = { "bash", "-c", script, NULL };
    g_autofree char *out = NULL, *err = NULL, *whole = NULL;
    g_autoptr(GError) error = NULL;
    int status;

    g_spawn_sync(bed->dir, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL,
                 NULL, &out, &err, &status, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(err, ==, "");
    whole = g_strconcat(expected, "\n", NULL);
    if (strcmp(out, whole)) {
        g_error("vusctl %s: '%s', not '%s'", line, out, expected);
    }
}

static void test_completion(void)
{
    g_autofree char *bash = g_find_program_in_path("bash");
    Bed *bed = bed_new();

    if (!bash) {
        g_test_skip("there is no bash");
        bed_free(bed);
        return;
    }
    /* Without a daemon there are commands, and no complaint. */
    expect_proposals(bed, "dea", "deadlines");
    expect_proposals(bed, "show ''", "");
    start(bed, WORDS("--idle-us=0", "--tenant", "red", "--tenant", "blue",
                     "--port", "vm1 type=dummy", "--port", "vm2 type=dummy",
                     "--port", "up type=dummy"));
    expect_proposals(bed, "se", "set settings");
    expect_proposals(bed, "show ''", "vm1 vm2 up");
    expect_proposals(bed, "set vm", "vm1 vm2");
    expect_proposals(bed, "set vm1 tx-l", "tx-limit-bps= tx-limit-pps=");
    expect_proposals(bed, "set vm1 type=dummy que", "queues= queue-pkts=");
    expect_proposals(bed, "set vm1 tenant = b", "blue");
    expect_proposals(bed, "set vm1 peer = ''", "vm1 vm2 up");
    expect_proposals(bed, "add ''", "");
    expect_proposals(bed, "add vm3 ifn", "ifname=");
    expect_proposals(bed, "tenant ''", "list set remove");
    expect_proposals(bed, "tenant remove ''", "red blue");
    expect_proposals(bed, "tenant set red gua",
                     "guarantee-bps= guarantee-pps=");
    VUSCTL(bed, 0, "", "", "domain", "set", "chain", "pages=ordinary",
           "buffers=64", "members=1");
    expect_proposals(bed, "domain ''", "list show set remove");
    expect_proposals(bed, "domain show ''", "chain");
    expect_proposals(bed, "domain set chain buf", "buffers= buffer-bytes=");
    expect_proposals(bed, "set vm1 domain = ''", "chain");
    expect_proposals(bed, "set vm1 outs = u", "up");
    expect_proposals(bed, "fdb flush u", "up");
    expect_proposals(bed, "fdb set 52:54:00:00:00:01 u", "up");
    expect_proposals(bed, "deadlines vm2", "vm2");
    expect_proposals(bed, "call qos", "qos.links qos.deadlines");
    expect_proposals(bed, "--interval = 5 to", "top");
    expect_proposals(bed, "list --j", "--json");
    bed_free(bed);
}

/* -- What is wrong --------------------------------------------------------- */

static void test_wrong_commands(void)
{
    Bed *bed = bed_new();

    VUSCTL(bed, 1, "", "no daemon answers at", "list");
    start(bed, WORDS("--idle-us=0", "--port", "a type=dummy"));
    VUSCTL(bed, 2, "", "there is no command 'lst'", "lst");
    VUSCTL(bed, 2, "", "write: vusctl remove NAME", "remove");
    VUSCTL(bed, 2, "", "write: vusctl list\n", "list", "a");
    VUSCTL(bed, 2, "", "'vlan' is no setting: write KEY=VALUE", "set", "a",
           "vlan");
    VUSCTL(bed, 2, "", "vlan= is there twice", "set", "a", "vlan=5",
           "vlan=6");
    VUSCTL(bed, 2, "", "list has no option --all", "list", "--all");
    VUSCTL(bed, 2, "", "top has no option --json", "top", "--json");
    VUSCTL(bed, 2, "", "--interval is a number", "top", "--interval=-1");
    VUSCTL(bed, 2, "", "write: vusctl fdb", "fdb", "sort");
    VUSCTL(bed, 2, "", "'x' is not an address", "fdb", "set", "x", "a");
    VUSCTL(bed, 2, "", "is no JSON: byte 2", "call", "stats", "{");
    VUSCTL(bed, 2, "", "Unknown option --colour; --help", "--colour");
    VUSCTL(bed, 1, "", "vlan=0: '0' is not", "set", "a", "vlan=0");
    VUSCTL(bed, 1, "", "there is no port 'b'", "remove", "b");
    VUSCTL(bed, 1, "", "there is no method 'nothing'", "call", "nothing");
    VUSCTL(bed, 1, "", "/nowhere", "save", "/nowhere/at/all.conf");
    bed_free(bed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_setenv("LC_ALL", "C.UTF-8", true);
    g_test_add_func("/vus-vusctl/commands", test_commands);
    g_test_add_func("/vus-vusctl/settings", test_settings);
    g_test_add_func("/vus-vusctl/top", test_top);
    g_test_add_func("/vus-vusctl/top-of-links", test_top_of_links);
    g_test_add_func("/vus-vusctl/tenants", test_tenants);
    g_test_add_func("/vus-vusctl/domains", test_domains);
    g_test_add_func("/vus-vusctl/links", test_links);
    g_test_add_func("/vus-vusctl/watch", test_watch);
    g_test_add_func("/vus-vusctl/completion", test_completion);
    g_test_add_func("/vus-vusctl/wrong-commands", test_wrong_commands);
    return g_test_run();
}
