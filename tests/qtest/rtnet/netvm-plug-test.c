/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netvm-shm's options, plugging and unplugging, and migration, which there is
 * none of.
 */
#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "netvm-bed.h"

#define CYCLES (g_test_slow() ? 1000 : 100)

/* -- Options --------------------------------------------------------------- */

#define UNIX_SOCKET "-chardev socket,id=c0,path=none,server=on,wait=off "
#define DEVICE "-device netvm-shm,id=nv0,chardev=c0"

typedef struct OptionCase {
    const char *name;
    const char *options;
    const char *wrong;          /* what stderr says is wrong, */
    const char *remedy;         /* and what to do */
} OptionCase;

static const OptionCase refused[] = {
    { "no-chardev", "-device netvm-shm,size=1G",
      "netvm-shm needs a chardev", "-chardev socket,id=c0,path=" },
    { "chardev-unknown", "-device netvm-shm,chardev=cx,size=1G", "cx", "" },
    { "chardev-null", "-chardev null,id=c0 " DEVICE ",size=1G",
      "chardev 'c0' cannot pass files", "-chardev socket,id=c0,path=" },
    { "chardev-tcp", "-chardev socket,id=c0,host=127.0.0.1,port=0,server=on,"
      "wait=off " DEVICE ",size=1G",
      "chardev 'c0' cannot pass files", "-chardev socket,id=c0,path=" },
    { "no-size", UNIX_SOCKET DEVICE, "netvm-shm needs a size", "add size=1G" },
    { "size-0", UNIX_SOCKET DEVICE ",size=0",
      "netvm-shm needs a size", "add size=1G" },
    { "size-odd", UNIX_SOCKET DEVICE ",size=3M",
      "size=3145728 is no power of two", "use 2M, 4M" },
    { "size-small", UNIX_SOCKET DEVICE ",size=1M",
      "no power of two of at least 2M", "use 2M, 4M" },
    { "size-word", UNIX_SOCKET DEVICE ",size=huge", "size", "" },
    { "state", UNIX_SOCKET DEVICE ",size=2M,state=ready", "state", "" },
    { "used-twice", UNIX_SOCKET DEVICE ",size=2M "
      "-device netvm-shm,chardev=c0,size=2M", "c0", "" },

    /* TCG has 40 bits; -m 128. */
    { "size-40-bits", UNIX_SOCKET DEVICE ",size=1T",
      "its 40 physical address bits have room for size=512G",
      "-cpu ...,phys-bits=N" },
    { "size-36-bits", "-cpu qemu64,phys-bits=36 " UNIX_SOCKET DEVICE
      ",size=64G", "its 36 physical address bits have room for size=32G",
      "host-phys-bits=on" },
    { "size-beside-memory", "-cpu qemu64,phys-bits=36 -m 1G,slots=1,maxmem=40G "
      UNIX_SOCKET DEVICE ",size=32G",
      "its 36 physical address bits have room for size=16G",
      "-cpu ...,phys-bits=N" },
    { "size-32-bits", "-cpu 486 " UNIX_SOCKET DEVICE ",size=512M",
      "its 32 physical address bits have room for size=256M",
      "-cpu ...,phys-bits=N" },
    { "size-64-bits", UNIX_SOCKET DEVICE ",size=8E", "does not fit the guest",
      "-cpu ...,phys-bits=N" },

    { "only-migratable", "-only-migratable " UNIX_SOCKET DEVICE ",size=2M",
      "memory shared with other guests cannot migrate",
      "unplug device 'nv0' first" },
};

static const char *const accepted[] = {
    UNIX_SOCKET DEVICE ",size=2M",
    UNIX_SOCKET DEVICE ",size=512G",
    "-cpu qemu64,phys-bits=36 " UNIX_SOCKET DEVICE ",size=32G",
    "-cpu qemu64,phys-bits=52 " UNIX_SOCKET DEVICE ",size=1T",
    "-machine q35 " UNIX_SOCKET "-device pcie-root-port,id=rp "
    DEVICE ",size=1G,bus=rp",
};

/* Runs QEMU until it fails or, having started, obeys "quit". */
static int run_qemu(const char *options, char **out)
{
    const char *binary = g_getenv("QTEST_QEMU_BINARY");
    g_autofree char *dir = g_dir_make_tmp("netvm-XXXXXX", NULL);
    g_autofree char *command = NULL, *socket = NULL;
    g_autoptr(GError) error = NULL;
    char *argv[] = { (char *)"/bin/sh", (char *)"-c", NULL, NULL };
    int status;

    g_assert_nonnull(binary);
    if (!g_path_is_absolute(binary)) {
        g_autofree char *here = g_get_current_dir();

        binary = g_intern_string(g_strdup_printf("%s/%s", here, binary));
    }
    command = g_strdup_printf("echo quit | %s -machine pc -nodefaults -S "
                              "-display none -monitor stdio -accel tcg "
                              "-global pci-device.romfile= %s 2>&1",
                              binary, options);
    argv[2] = command;
    g_test_message("%s", command);
    g_spawn_sync(dir, argv, NULL, 0, NULL, NULL, out, NULL, &status, &error);
    g_assert_no_error(error);
    g_assert_true(WIFEXITED(status));
    socket = g_build_filename(dir, "none", NULL);
    unlink(socket);
    g_assert_cmpint(rmdir(dir), ==, 0);
    return WEXITSTATUS(status);
}

static void expect_message(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        g_test_message("expected '%s' in: %s", part, text);
        g_test_fail();
    }
}

static void test_refused(const void *opaque)
{
    const OptionCase *c = opaque;
    g_autofree char *out = NULL;

    g_assert_cmpint(run_qemu(c->options, &out), ==, 1);
    expect_message(out, c->wrong);
    expect_message(out, c->remedy);
}

static void test_accepted(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(accepted); i++) {
        g_autofree char *out = NULL;

        g_assert_cmpint(run_qemu(accepted[i], &out), ==, 0);
    }
}

static void test_help(void)
{
    g_autofree char *out = NULL;

    g_assert_cmpint(run_qemu("-device netvm-shm,help", &out), ==, 0);
    expect_message(out, "Unix socket of the daemon's netvm port");
    expect_message(out, "a power of two, and no less than the domain's region");
}

/* -- State, as people see it ----------------------------------------------- */

static void expect_state(NetvmBed *bed, const char *expected)
{
    for (int i = 0; ; i++) {
        g_autoptr(QDict) answer = qtest_qmp(bed->qts,
            "{ 'execute': 'qom-get', 'arguments': {"
            "  'path': '/machine/peripheral/nv0', 'property': 'state' } }");
        const char *state = qdict_get_str(answer, "return");

        if (!strcmp(state, expected)) {
            return;
        }
        if (i == 10000) {
            g_error("state is '%s', not '%s'", state, expected);
        }
        g_usleep(1000);
    }
}

static void test_state(void)
{
    NetvmBed *bed = bed_start("");

    nd_accept(bed);
    expect_state(bed, "the daemon is not ready");
    nd_hand_out(bed);
    nd_ready(bed, NB_MEMBER, NB_SERIAL, 0);
    expect_state(bed, "ready: member 3, serial 7, 1 segments");
    nd_send(bed, 99, NULL, 0, -1);
    nd_expect_end(bed);
    expect_state(bed, "unknown message 99: is that the socket of a netvm "
                 "port, and the daemon of this version?");
    nd_serve(bed);
    close(bed->listener);
    unlink(bed->path);
    nd_close(bed);
    expect_state(bed, "no daemon is connected");
    bed_stop(bed);
}

/* -- Migration ------------------------------------------------------------- */

static void test_migration(void)
{
    const char *reason = "netvm-shm: memory shared with other guests cannot "
                         "migrate; unplug device 'nv0' first";
    NetvmBed *bed = bed_start("");
    QDict *answer;
    char *text;

    answer = qtest_qmp(bed->qts, "{ 'execute': 'migrate',"
                       " 'arguments': { 'uri': 'exec:cat >/dev/null' } }");
    expect_message(qdict_get_str(qdict_get_qdict(answer, "error"), "desc"),
                   reason);
    qobject_unref(answer);
    text = qtest_hmp(bed->qts, "savevm s0");
    expect_message(text, reason);
    g_free(text);

    /* As it says. */
    qpci_unplug_acpi_device_test(bed->qts, "nv0", NB_SLOT);
    qtest_qmp_assert_success(bed->qts, "{ 'execute': 'migrate',"
                             " 'arguments': { 'uri': 'exec:cat >/dev/null' }"
                             "}");
    bed_stop(bed);
}

/* -- Plugging -------------------------------------------------------------- */

static void plug(NetvmBed *bed)
{
    qtest_qmp_device_add(bed->qts, "netvm-shm", "nv0",
                         "{ 'chardev': 'c0', 'size': %d, 'addr': '4' }",
                         NB_SIZE_BYTES);
    bed_find(bed);
}

static unsigned count_files(NetvmBed *bed)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/fd",
                                            qtest_pid(bed->qts));
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    unsigned count = 0;

    while (g_dir_read_name(dir)) {
        count++;
    }
    return count;
}

static unsigned count_segments(NetvmBed *bed)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/maps",
                                            qtest_pid(bed->qts));
    g_autofree char *maps = NULL;
    unsigned count = 0;

    g_assert_true(g_file_get_contents(path, &maps, NULL, NULL));
    for (const char *at = maps; (at = strstr(at, "memfd:netvm-test")); at++) {
        count++;
    }
    return count;
}

/* Segments are unmapped when all vCPUs have seen that they are gone. */
static void wait_for_segments(NetvmBed *bed, unsigned expected)
{
    for (int i = 0; i < 10000 && count_segments(bed) != expected; i++) {
        g_usleep(1000);
    }
    g_assert_cmpuint(count_segments(bed), ==, expected);
}

/* Connections that nobody took, of a device that is gone.  QEMU comes again. */
static void clear_backlog(NetvmBed *bed)
{
    int flags = fcntl(bed->listener, F_GETFL);
    int conn;

    fcntl(bed->listener, F_SETFL, flags | O_NONBLOCK);
    while ((conn = accept(bed->listener, NULL, NULL)) >= 0) {
        close(conn);
    }
    fcntl(bed->listener, F_SETFL, flags);
}

/* A daemon that serves, a guest that uses it, and each end in its turn. */
static void one_cycle(NetvmBed *bed, int cycle, bool with_daemon)
{
    clear_backlog(bed);
    plug(bed);
    if (with_daemon) {
        nd_serve(bed);
        bed_poke(bed, 0, cycle);
        g_assert_cmphex(*(uint64_t *)bed->map, ==, cycle);
        wait_for_segments(bed, 1);
    }
    if (with_daemon && cycle % 2) {
        nd_close(bed);
    }
    qpci_unplug_acpi_device_test(bed->qts, "nv0", NB_SLOT);
    if (bed->conn >= 0) {
        nd_expect_end(bed);             /* which is how the daemon knows */
    }
}

static void test_cycles(const void *opaque)
{
    bool with_daemon = opaque;
    NetvmBed *bed = bed_start_bare("");
    unsigned files = 0;

    for (int cycle = 0; cycle < CYCLES; cycle++) {
        one_cycle(bed, cycle, with_daemon);
        /* The first ones fill what QEMU keeps. */
        if (cycle == 2) {
            wait_for_segments(bed, 0);
            files = count_files(bed);
        }
    }
    wait_for_segments(bed, 0);
    g_assert_cmpuint(count_files(bed), <=, files + 1);  /* a connection */
    clear_backlog(bed);
    bed_stop(bed);
}

/* PCI refuses the device after its own realize succeeded. */
static void test_add_fails_late(void)
{
    NetvmBed *bed = bed_start_bare("");

    for (int i = 0; i < 3; i++) {
        QDict *answer = qtest_qmp(bed->qts, "{ 'execute': 'device_add',"
            " 'arguments': { 'driver': 'netvm-shm', 'id': 'nv0', 'addr': '4',"
            "  'chardev': 'c0', 'size': %d, 'romfile': 'no-such-rom' } }",
            NB_SIZE_BYTES);

        g_assert_true(qdict_haskey(answer, "error"));
        qobject_unref(answer);
    }
    plug(bed);
    clear_backlog(bed);
    bed_stop(bed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(refused); i++) {
        g_autofree char *path = g_strdup_printf("netvm/plug/refused/%s",
                                                refused[i].name);

        qtest_add_data_func(path, &refused[i], test_refused);
    }
    qtest_add_func("netvm/plug/accepted", test_accepted);
    qtest_add_func("netvm/plug/help", test_help);
    qtest_add_func("netvm/plug/state", test_state);
    qtest_add_func("netvm/plug/migration", test_migration);
    qtest_add_data_func("netvm/plug/cycles/alone", NULL, test_cycles);
    qtest_add_data_func("netvm/plug/cycles/with-daemon", "daemon",
                        test_cycles);
    qtest_add_func("netvm/plug/add-fails-late", test_add_fails_late);
    return g_test_run();
}
