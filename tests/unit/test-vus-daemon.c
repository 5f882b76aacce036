/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The programs as their users meet them: vhost-user-shmem from start to end,
 * and vusctl beside it.
 *
 * Threads: single; the daemon is another process.
 */
#include <glib/gstdio.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct Bed {
    char *dir;                  /* the daemon's working directory */
    char *control, *shmem, *vusctl;
    GPid daemon;                /* 0: none runs */
    int said;                   /* its stdout */
} Bed;

static char *program(const char *name)
{
    g_autofree char *path = g_test_build_filename(
        G_TEST_BUILT, "..", "..", "contrib", "vhost-user-shmem", name, NULL);

    g_assert_true(g_file_test(path, G_FILE_TEST_IS_EXECUTABLE));
    /* Programs start in another directory. */
    return g_canonicalize_filename(path, NULL);
}

static Bed *bed_new(void)
{
    Bed *bed = g_new0(Bed, 1);

    bed->dir = g_dir_make_tmp("vus-daemon-XXXXXX", NULL);
    bed->control = g_build_filename(bed->dir, "c.sock", NULL);
    bed->shmem = program("vhost-user-shmem");
    bed->vusctl = program("vusctl");
    return bed;
}

/* -- The daemon ------------------------------------------------------------ */

/* A daemon does not outlive a test that fails. */
static void die_with_parent(void *opaque)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* Words up to NULL behind --control PATH. */
static char **words_of(const char *program_path, const Bed *bed,
                       const char *const *word)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();

    g_ptr_array_add(all, g_strdup(program_path));
    g_ptr_array_add(all, g_strdup("--control"));
    g_ptr_array_add(all, g_strdup(bed->control));
    for (; *word; word++) {
        g_ptr_array_add(all, g_strdup(*word));
    }
    g_ptr_array_add(all, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&all), false);
}

/* Until it has said "ready". */
static void start(Bed *bed, const char *const *word)
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

static int end(Bed *bed, int signal)
{
    int status;

    g_assert_cmpint(kill(bed->daemon, signal), ==, 0);
    g_assert_cmpint(waitpid(bed->daemon, &status, 0), ==, bed->daemon);
    close(bed->said);
    bed->daemon = 0;
    return status;
}

static void bed_free(Bed *bed)
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

static void run(const Bed *bed, const char *path, const char *const *word,
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

#define WORDS(...) ((const char *const []) { __VA_ARGS__, NULL })

#define VUSCTL(bed, status, out, err, ...) \
    run(bed, (bed)->vusctl, WORDS(__VA_ARGS__), status, out, err)
#define SHMEM(bed, status, out, err, ...) \
    run(bed, (bed)->shmem, WORDS(__VA_ARGS__), status, out, err)

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
        /* A terminal that goes away does not end it. */
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
    VUSCTL(bed, 0, "a     vhost-user  waiting", "", "list");
    status = end(bed, SIGKILL);
    g_assert_true(WIFSIGNALED(status));
    g_assert_cmpint(g_access(bed->control, F_OK), ==, 0);
    start(bed, WORDS("--idle-us=0", "--port", "a socket=a.sock"));
    VUSCTL(bed, 0, "a     vhost-user  waiting", "", "list");
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
    VUSCTL(bed, 0, "", "", "add", "a", "type=dummy", "trunk=5-7,9",
           "native=7");
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
    g_assert_nonnull(strstr(first, "trunk=5-7,9\n"));
    g_assert_nonnull(strstr(first, "52:54:00:00:00:01/9=a\n"));
    g_unlink(one);
    g_unlink(two);
    bed_free(bed);
}

/* -- vusctl ---------------------------------------------------------------- */

#define FRAME "ffffffffffff5254000000010800"

static void test_commands(void)
{
    Bed *bed = bed_new();

    start(bed, WORDS("--idle-us=0", "--port", "a type=dummy", "--port",
                     "b type=dummy vlan=5"));
    VUSCTL(bed, 0, "a     dummy  ready  all              0/1\n"
           "b     dummy  ready  5                0/1\n", "", "list");
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
    VUSCTL(bed, 0, "storm-pps  all         0           any time", "",
           "settings");
    VUSCTL(bed, 0, "rx-full      the receiver has made", "", "drops");
    VUSCTL(bed, 0, "{\"name\":\"vhost-user-shmem\"", "", "call", "version");
    VUSCTL(bed, 0, "\"name\":\"a\"", "", "call", "port.show",
           "{\"name\":\"a\"}");
    VUSCTL(bed, 0, "", "", "remove", "b");
    VUSCTL(bed, 0, "Commands:", "", "--help");
    bed_free(bed);
}

/* A table of rates: within 80 columns. */
static void test_top(void)
{
    Bed *bed = bed_new();
    g_autofree char *out = NULL;
    g_auto(GStrv) argv = words_of(bed->vusctl, bed,
                                  WORDS("top", "--once", "--interval=0.1"));
    g_auto(GStrv) line = NULL;
    int status;

    start(bed, WORDS("--idle-us=0", "--port",
                     "a-name-that-is-long type=dummy"));
    g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL,
                               &out, NULL, &status, NULL));
    g_assert_cmpint(status, ==, 0);
    line = g_strsplit(out, "\n", -1);
    g_assert_cmpuint(g_strv_length(line), ==, 4);
    g_assert_true(g_str_has_prefix(line[0], "PORT "));
    g_assert_true(g_str_has_prefix(line[1], "a-name-that-is- ready "));
    g_assert_true(g_str_has_prefix(line[2], "sum "));
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpuint(strlen(line[i]), ==, 80);
    }
    bed_free(bed);
}

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

/* Who comes when there is no room is told so. */
static void test_crowded(void)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    Bed *bed = bed_new();
    int fd[64];

    start(bed, WORDS("--idle-us=0"));
    g_strlcpy(addr.sun_path, bed->control, sizeof(addr.sun_path));
    for (unsigned i = 0; i < G_N_ELEMENTS(fd); i++) {
        fd[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        g_assert_cmpint(connect(fd[i], (struct sockaddr *)&addr,
                                sizeof(addr)), ==, 0);
    }
    VUSCTL(bed, 1, "", "64 clients are connected already", "version");
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
    g_test_add_func("/vus-daemon/commands", test_commands);
    g_test_add_func("/vus-daemon/top", test_top);
    g_test_add_func("/vus-daemon/wrong-commands", test_wrong_commands);
    g_test_add_func("/vus-daemon/crowded", test_crowded);
    return g_test_run();
}
