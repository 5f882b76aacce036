/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhost-user-shmem as its users meet it, from start to end.
 *
 * Threads: single; the daemon is another process.
 */
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control.h"
#include "daemon-bed.h"

/* -- From start to end ----------------------------------------------------- */

static void test_signals(void)
{
    static const int ends[] = { SIGTERM, SIGINT };
    Bed *bed = bed_new();
    g_autofree char *port = g_build_filename(bed->dir, "a.sock", NULL);

    for (unsigned i = 0; i < G_N_ELEMENTS(ends); i++) {
        struct stat st;

        start(bed, WORDS("--idle-us=0", "--port", "a socket=a.sock"));
        g_assert_cmpint(stat(bed->control, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, 0600);
        g_assert_cmpint(g_access(port, F_OK), ==, 0);
        /* A terminal that goes away does not end it: there is no file. */
        g_assert_cmpint(kill(bed->daemon, SIGHUP), ==, 0);
        VUSCTL(bed, 0, "vhost-user-shmem ", "", "version");
        g_assert_cmpint(end(bed, ends[i]), ==, 0);
        g_assert_cmpint(g_access(bed->control, F_OK), <, 0);
        g_assert_cmpint(g_access(port, F_OK), <, 0);
    }
    bed_free(bed);
}

/* The second daemon leaves the first one's sockets alone; that of a dead one is
 * taken over. */
static void test_second_daemon(void)
{
    Bed *bed = bed_new();
    int status;

    start(bed, WORDS("--idle-us=0", "--port", "a socket=a.sock"));
    SHMEM(bed, 1, "", "a daemon answers at", "--port", "a socket=a.sock");
    VUSCTL(bed, 0, "a      0  vhost-user  waiting", "", "list");
    status = end(bed, SIGKILL);
    g_assert_true(WIFSIGNALED(status));
    g_assert_cmpint(g_access(bed->control, F_OK), ==, 0);
    start(bed, WORDS("--idle-us=0", "--port", "a socket=a.sock"));
    VUSCTL(bed, 0, "a      0  vhost-user  waiting", "", "list");
    bed_free(bed);
}

/* -- The command line ------------------------------------------------------ */

static void test_wrong_words(void)
{
    Bed *bed = bed_new();

    SHMEM(bed, 2, "", "Unknown option --colour; --help lists", "--colour");
    SHMEM(bed, 2, "", "--workers=0: '0' is not a number", "--workers=0");
    SHMEM(bed, 2, "", "what is 'type=dummy'?", "--port", "a", "type=dummy");
    SHMEM(bed, 2, "", "--port a: a port of type=vhost-user needs",
          "--port", "a");
    SHMEM(bed, 2, "", "--port a is there twice", "--port", "a type=dummy",
          "--port", "a type=dummy");
    SHMEM(bed, 2, "", "have the same socket=", "--port", "a socket=s",
          "--port", "b socket=s");
    SHMEM(bed, 2, "", "nowhere.conf", "--config", "nowhere.conf");
    SHMEM(bed, 1, "", "/nowhere/at/all", "--port",
          "a socket=/nowhere/at/all");
    bed_free(bed);
}

/* Nothing is opened; a port that is missing is no error. */
static void test_check(void)
{
    Bed *bed = bed_new();

    SHMEM(bed, 0, "valid: 2 ports, 0 fixed addresses",
          "port b: peer=c does not exist yet", "--check", "--port",
          "a 'socket=/nowhere/at all'", "--port", "b type=dummy peer=c");
    g_assert_cmpint(g_access(bed->control, F_OK), <, 0);
    SHMEM(bed, 0, "vhost-user-shmem 1", "", "--version");
    SHMEM(bed, 0, "--rt-priority=N", "", "--help");
    bed_free(bed);
}

/* The command line wins: words one by one, ports as a whole. */
static void test_config_and_words(void)
{
    Bed *bed = bed_new();
    g_autofree char *path = g_build_filename(bed->dir, "vus.conf", NULL);

    g_assert_true(g_file_set_contents(
        path, "[daemon]\nidle-us=0\nfdb-max=5\nfdb-age-s=7\n"
        "[port a]\ntype=dummy\nvlan=5\n[port b]\ntype=dummy\nvlan=6\n"
        "[fdb]\n52:54:00:00:00:01/5=a\n", -1, NULL));
    start(bed, WORDS("--config", "vus.conf", "--fdb-max", "50", "--port",
                     "a type=dummy link=down"));
    VUSCTL(bed, 0, "idle-us=0\nfdb-age-s=7\nfdb-max=50\n\n[port b]\n"
           "type=dummy\nvlan=6\n\n[port a]\ntype=dummy\nlink=down\n\n[fdb]\n"
           "52:54:00:00:00:01/5=a\n", "", "save", "-");
    g_unlink(path);
    bed_free(bed);
}

/* What is saved is what a new daemon begins with. */
static void test_save(void)
{
    Bed *bed = bed_new();
    g_autofree char *one = g_build_filename(bed->dir, "one.conf", NULL);
    g_autofree char *two = g_build_filename(bed->dir, "two.conf", NULL);
    g_autofree char *first = NULL, *second = NULL;
    struct stat st;

    start(bed, WORDS("--idle-us=0"));
    VUSCTL(bed, 0, "", "", "tenant", "set", "red", "guarantee-bps=1M");
    VUSCTL(bed, 0, "", "", "add", "a", "type=dummy", "trunk=5-7,9",
           "native=7", "tenant=red", "rate-bps=1G", "uplink=on");
    VUSCTL(bed, 0, "port b waits for ports that do not exist yet: c", "",
           "add", "b", "socket=b.sock", "peer=c", "queues=4");
    VUSCTL(bed, 0, "", "", "set", "a", "native=", "mac=52:54:00:00:00:01");
    VUSCTL(bed, 0, "", "", "fdb", "set", "52:54:00:00:00:01/9", "a");
    VUSCTL(bed, 0, "", "", "save", "one.conf");
    g_assert_cmpint(stat(one, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0600);
    g_assert_cmpint(end(bed, SIGTERM), ==, 0);
    start(bed, WORDS("--config", "one.conf"));
    VUSCTL(bed, 0, "", "", "save", "two.conf");
    g_assert_true(g_file_get_contents(one, &first, NULL, NULL));
    g_assert_true(g_file_get_contents(two, &second, NULL, NULL));
    g_assert_cmpstr(first, ==, second);
    g_assert_nonnull(strstr(first, "[tenant red]\nguarantee-bps=1M\n"));
    g_assert_nonnull(strstr(first, "trunk=5-7,9\n"));
    g_assert_nonnull(strstr(first, "52:54:00:00:00:01/9=a\n"));
    g_unlink(one);
    g_unlink(two);
    bed_free(bed);
}

/* -- Tenants --------------------------------------------------------------- */

/* The command line wins, and ports may be named before what they need. */
static void test_tenants(void)
{
    Bed *bed = bed_new();

    bed_write(bed, "vus.conf",
              "[port voice]\ntype=dummy\nrtvnic=on\ndeadline-us=2000\n"
              "period-us=5000\ntenant=red\n"
              "[port up]\ntype=dummy\nrate-bps=100M\n"
              "[tenant red]\nguarantee-bps=1M\n"
              "[tenant blue]\nguarantee-bps=3M\n");
    start(bed, WORDS("--config", "vus.conf", "--idle-us=0", "--tenant",
                     "red tx-limit-bps=2.5M tx-limit-pps=0", "--tenant",
                     "green", "--port", "a type=dummy tenant=green"));
    VUSCTL(bed, 0, "[tenant red]\nguarantee-bps=0\ntx-limit-bps=2500k\n\n"
           "[tenant blue]\nguarantee-bps=3M\n\n[tenant green]\n"
           "guarantee-bps=0\n\n[port voice]\n", "", "save", "-");
    VUSCTL(bed, 0, "green   settings\n        ports     a\n", "", "tenant");
    bed_unlink(bed, "vus.conf");
    bed_free(bed);
}

static void test_wrong_tenants(void)
{
    Bed *bed = bed_new();

    SHMEM(bed, 2, "", "--tenant red is there twice", "--tenant", "red",
          "--tenant", "red guarantee-bps=5");
    SHMEM(bed, 2, "", "--tenant red: a tenant has no setting 'vlan'",
          "--tenant", "red vlan=5");
    SHMEM(bed, 2, "", "--tenant red: 'fast' is no setting: write KEY=VALUE",
          "--tenant", "red fast");
    SHMEM(bed, 2, "", "--tenant -: '-' cannot be the name", "--tenant", "-");
    SHMEM(bed, 2, "", "--tenant '\"red': ", "--tenant", "\"red");
    SHMEM(bed, 2, "", "port a: there is no tenant 'red'", "--port",
          "a type=dummy tenant=red");
    SHMEM(bed, 0, "valid: 1 ports", "", "--check", "--port",
          "a type=dummy tenant=red", "--tenant", "red");
    /* Where it is wrong: in the file, or not. */
    bed_write(bed, "vus.conf", "\n[port a]\ntype=dummy\ntenant=blue\n");
    SHMEM(bed, 2, "", "vhost-user-shmem: vus.conf:2: port a: there is no "
          "tenant 'blue'", "--config", "vus.conf");
    SHMEM(bed, 2, "", "vhost-user-shmem: port a: there is no tenant 'red'",
          "--config", "vus.conf", "--port", "a type=dummy tenant=red");
    bed_unlink(bed, "vus.conf");
    bed_free(bed);
}

/* -- Domains --------------------------------------------------------------- */

/* As tenants; and ports find them. */
static void test_domains(void)
{
    Bed *bed = bed_new();

    bed_write(bed, "vus.conf",
              "[port a]\ntype=netvm\ndomain=red\nsocket=a.sock\n"
              "[domain red]\nbuffers=5000\n");
    start(bed, WORDS("--config", "vus.conf", "--idle-us=0", "--domain",
                     "red pages=ordinary members=2 buffers=64", "--domain",
                     "blue pages=ordinary members=1 buffers=64"));
    VUSCTL(bed, 0, "[domain red]\ndirect=on\nbuffers=64\nmembers=2\n"
           "pages=ordinary\n\n[domain blue]\n", "", "save", "-");
    VUSCTL(bed, 0, "a      0  netvm  waiting", "", "list");
    SHMEM(bed, 2, "", "--domain red is there twice", "--domain", "red",
          "--domain", "red ring=64");
    SHMEM(bed, 2, "", "--domain red: a domain has no setting 'vlan'",
          "--domain", "red vlan=5");
    SHMEM(bed, 2, "", "--domain red: 'fast' is no setting: write KEY=VALUE",
          "--domain", "red fast");
    SHMEM(bed, 2, "", "port a: there is no domain 'red': add [domain red]",
          "--port", "a type=netvm domain=red socket=a.sock");
    g_assert_cmpint(end(bed, SIGTERM), ==, 0);
    bed_unlink(bed, "vus.conf");
    bed_free(bed);
}

/* -- Reload ---------------------------------------------------------------- */

#define BEGINNING "[daemon]\nidle-us=0\n[tenant t]\n" \
    "[port a]\ntype=dummy\ntenant=t\n"

/* Where something is wrong, also between lines that are right by themselves;
 * nothing has changed then. */
static void test_wrong_reload(void)
{
    Bed *bed = bed_new();
    g_autofree char *before = NULL, *after = NULL;

    bed_write(bed, "vus.conf", BEGINNING);
    start(bed, WORDS("--config", "vus.conf", "--port", "p type=dummy"));
    before = output_of(bed, bed->vusctl, WORDS("save", "-"));
    bed_write(bed, "vus.conf", BEGINNING "vlan=0\n[port b]\ntype=dummy\n");
    VUSCTL(bed, 1, "", "vus.conf:7: vlan=0: '0' is not", "reload");
    bed_write(bed, "vus.conf", BEGINNING "\n\n [port b]\ntype=dummy\n"
              "tenant=u\n");
    VUSCTL(bed, 1, "", "vus.conf:9: port b: there is no tenant 'u'", "reload");
    bed_write(bed, "vus.conf", BEGINNING "[port p]\ntype=dummy\n"
              "guarantee-bps=5M\n[tenant v]\nguarantee-pps=3\n"
              "[port q]\ntype=dummy\ntenant=v\nguarantee-pps=4\n");
    VUSCTL(bed, 1, "", "vus.conf:10: tenant v: the guarantee-pps= of its "
           "ports are 4", "reload");
    bed_write(bed, "vus.conf", BEGINNING "[fdb]\n52:54:00:00:00:01=b\n");
    VUSCTL(bed, 1, "", "vus.conf: the fixed address 52:54:00:00:00:01 is at "
           "port 'b'", "reload");
    bed_write(bed, "vus.conf", "[daemon]\nidle-us=5\n");
    VUSCTL(bed, 1, "", "vus.conf: idle-us=5 cannot change while the daemon "
           "runs, it is '0': restart it", "reload");
    bed_unlink(bed, "vus.conf");
    VUSCTL(bed, 1, "", "vus.conf", "reload");
    VUSCTL(bed, 1, "", "nowhere.conf", "reload", "nowhere.conf");
    after = output_of(bed, bed->vusctl, WORDS("save", "-"));
    g_assert_cmpstr(before, ==, after);
    bed_free(bed);
}

static void test_reload(void)
{
    Bed *bed = bed_new();

    bed_write(bed, "vus.conf", BEGINNING);
    start(bed, WORDS("--config", "vus.conf", "--port", "p type=dummy",
                     "--fdb-max=50"));
    VUSCTL(bed, 0, "nothing has changed\n", "", "reload");
    VUSCTL(bed, 0, "", "", "add", "hand", "type=dummy");
    /* The command line is as it was, and still wins. */
    bed_write(bed, "vus.conf", "[daemon]\nidle-us=0\nfdb-max=7\n"
              "[tenant t]\ntx-limit-bps=1M\n[port a]\ntype=dummy\nvlan=5\n"
              "[port p]\ntype=dummy\nvlan=6\n[port new]\ntype=dummy\n");
    VUSCTL(bed, 0, "tenant t changed: tx-limit-bps\nport hand removed\n"
           "port a changed: vlan,tenant\nport new added\n", "", "reload");
    bed_write(bed, "other.conf", "[daemon]\nidle-us=0\n[port s]\n"
              "socket=/nowhere/at/all\n[port new]\ntype=dummy\n");
    VUSCTL(bed, 1, "port a removed\ntenant t removed\n", "vusctl: port s "
           "could not be added: port s: ", "reload", "other.conf");
    VUSCTL(bed, 1, "\"failed\":[{\"what\":\"port\",\"name\":\"s\","
           "\"change\":\"added\",\"error\":\"port s: ", "", "--json",
           "reload", "other.conf");
    bed_unlink(bed, "vus.conf");
    bed_unlink(bed, "other.conf");
    bed_free(bed);
}

static bool has_port(const Bed *bed, const char *line)
{
    g_autofree char *out = output_of(bed, bed->vusctl, WORDS("save", "-"));

    return strstr(out, line);
}

static void test_reload_by_signal(void)
{
    Bed *bed = bed_new();

    bed_write(bed, "vus.conf", BEGINNING);
    start(bed, WORDS("--config", "vus.conf"));
    bed_write(bed, "vus.conf", BEGINNING "[port b]\ntype=dumy\n");
    g_assert_cmpint(kill(bed->daemon, SIGHUP), ==, 0);
    g_usleep(G_USEC_PER_SEC / 10);
    g_assert_false(has_port(bed, "[port b]"));
    bed_write(bed, "vus.conf", BEGINNING "[port b]\ntype=dummy\n");
    g_assert_cmpint(kill(bed->daemon, SIGHUP), ==, 0);
    while (!has_port(bed, "[port b]\ntype=dummy\n")) {
        g_usleep(G_USEC_PER_SEC / 100);
    }
    g_assert_true(has_port(bed, "[port a]\n"));
    bed_unlink(bed, "vus.conf");
    bed_free(bed);
}

static void test_reload_without_file(void)
{
    Bed *bed = bed_new();

    start(bed, WORDS("--idle-us=0", "--port", "a type=dummy"));
    VUSCTL(bed, 1, "", "the daemon was started without --config", "reload");
    g_assert_cmpint(kill(bed->daemon, SIGHUP), ==, 0);
    g_assert_true(has_port(bed, "[port a]\n"));
    bed_write(bed, "late.conf", "[daemon]\nidle-us=0\n[port b]\n"
              "type=dummy\n");
    VUSCTL(bed, 0, "port b added\n", "", "reload", "late.conf");
    g_assert_true(has_port(bed, "[port a]\n"));
    bed_unlink(bed, "late.conf");
    bed_free(bed);
}

/* -- Crowds ---------------------------------------------------------------- */

/* Who comes when there is no room is told so. */
static void test_crowded(void)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    Bed *bed = bed_new();
    int fd[CONTROL_MAX_CLIENTS];

    start(bed, WORDS("--idle-us=0"));
    g_strlcpy(addr.sun_path, bed->control, sizeof(addr.sun_path));
    for (unsigned i = 0; i < G_N_ELEMENTS(fd); i++) {
        fd[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        g_assert_cmpint(connect(fd[i], (struct sockaddr *)&addr,
                                sizeof(addr)), ==, 0);
    }
    VUSCTL(bed, 1, "", G_STRINGIFY(CONTROL_MAX_CLIENTS) " clients are "
           "connected already", "version");
    for (unsigned i = 0; i < G_N_ELEMENTS(fd); i++) {
        close(fd[i]);
    }
    bed_free(bed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_setenv("LC_ALL", "C.UTF-8", true);
    g_test_add_func("/vus-daemon/signals", test_signals);
    g_test_add_func("/vus-daemon/second-daemon", test_second_daemon);
    g_test_add_func("/vus-daemon/wrong-words", test_wrong_words);
    g_test_add_func("/vus-daemon/check", test_check);
    g_test_add_func("/vus-daemon/config-and-words", test_config_and_words);
    g_test_add_func("/vus-daemon/save", test_save);
    g_test_add_func("/vus-daemon/tenants", test_tenants);
    g_test_add_func("/vus-daemon/wrong-tenants", test_wrong_tenants);
    g_test_add_func("/vus-daemon/domains", test_domains);
    g_test_add_func("/vus-daemon/wrong-reload", test_wrong_reload);
    g_test_add_func("/vus-daemon/reload", test_reload);
    g_test_add_func("/vus-daemon/reload-by-signal", test_reload_by_signal);
    g_test_add_func("/vus-daemon/reload-without-file",
                    test_reload_without_file);
    g_test_add_func("/vus-daemon/crowded", test_crowded);
    return g_test_run();
}
