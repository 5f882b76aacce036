/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options that make no sense end QEMU before a guest starts, with a message
 * that says what is wrong and what to do; at run time they are refused.
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include <sys/un.h>
#include "qobject/qdict.h"
#include "rtnet-libqos.h"

#define NETDEVS "-netdev hubport,id=n0,hubid=0 -netdev hubport,id=n1,hubid=1 "
#define SCHEDULER "-object edf-scheduler,id=s0,rate-bps=10000000," \
                  "host-jitter-us=0 "
#define PORT "-object edf-port,id=p0,netdev=n0,scheduler=s0"
#define RTVNIC "-device rtvnic,id=r0,netdev=n0"

typedef struct OptionCase {
    const char *name;
    const char *options;
    const char *wrong;          /* what stderr says is wrong, */
    const char *remedy;         /* and what to do */
} OptionCase;

static const OptionCase option_cases[] = {
    /* edf-scheduler */
    { "rate-zero", "-object edf-scheduler,id=s0,rate-bps=0",
      "rate-bps must be 1 to", "leave it out to send at once" },
    { "rate-too-high", "-object edf-scheduler,id=s0,rate-bps=10000000000001",
      "rate-bps must be 1 to 10000000000000", "leave it out" },
    { "policy-unknown", "-object edf-scheduler,id=s0,policy=wfq",
      "policy", "wfq" },
    { "queue-pkts-zero", "-object edf-scheduler,id=s0,queue-pkts=0",
      "queue-pkts", "at least 1" },
    { "queue-bytes-zero", "-object edf-scheduler,id=s0,queue-bytes=0",
      "queue-bytes", "at least 1" },

    /* edf-port */
    { "port-incomplete", SCHEDULER "-object edf-port,id=p0,scheduler=s0",
      "netdev", NULL },
    { "port-netdev-unknown", NETDEVS SCHEDULER
      "-object edf-port,id=p0,netdev=nx,scheduler=s0",
      "netdev 'nx' not found", "-netdev ...,id=nx" },
    { "port-scheduler-unknown", NETDEVS
      "-object edf-port,id=p0,netdev=n0,scheduler=sx",
      "scheduler 'sx' not found", "-object edf-scheduler,id=sx" },
    { "port-scheduler-no-scheduler", NETDEVS "-object iothread,id=i0 "
      "-object edf-port,id=p0,netdev=n0,scheduler=i0",
      "'i0' is no edf-scheduler", "-object edf-scheduler" },
    { "port-named-as-netdev", NETDEVS SCHEDULER
      "-object edf-port,id=n1,netdev=n0,scheduler=s0",
      "'n1' is a netdev already", "another id" },
    { "port-on-port", NETDEVS SCHEDULER PORT
      " -object edf-port,id=p1,netdev=p0,scheduler=s0",
      "'p0' is a port itself", "netdev behind it" },
    { "two-ports", NETDEVS SCHEDULER PORT
      " -object edf-port,id=p1,netdev=n0,scheduler=s0",
      "'n0' is already used", "netdev of its own" },
    { "port-deadline-zero", NETDEVS SCHEDULER PORT ",deadline-us=0",
      "deadline-us must be 1 to 4294967", "leave it out for best effort" },
    { "port-period-alone", NETDEVS SCHEDULER PORT ",period-us=1000",
      "period-us", "give deadline-us" },
    { "port-period-zero", NETDEVS SCHEDULER PORT ",deadline-us=1,period-us=0",
      "period-us must be at least 1", "leave it out" },
    { "port-link-mtu-low", NETDEVS SCHEDULER PORT ",link-mtu=575",
      "link-mtu must be 576 to 65535", "MTU of the narrowest link" },
    { "port-link-mtu-high", NETDEVS SCHEDULER PORT ",link-mtu=65536",
      "link-mtu must be 576 to 65535", "MTU of the narrowest link" },
    { "port-queue-reset", NETDEVS SCHEDULER PORT
      " -device virtio-net-pci,netdev=p0",
      "resets single queues", "add queue_reset=off" },
    { "port-queue-reset-on", NETDEVS SCHEDULER PORT
      " -device virtio-net-pci,netdev=p0,queue_reset=on",
      "resets single queues", "add queue_reset=off" },
    { "port-queue-reset-alias", NETDEVS SCHEDULER PORT
      " -device virtio-net,netdev=p0",
      "resets single queues", "add queue_reset=off" },

    /* rtvnic */
    { "no-netdev", "-device rtvnic", "rtvnic needs a netdev", "netdev=ID" },
    { "netdev-unknown", "-device rtvnic,netdev=nx", "nx", NULL },
    { "scheduler-unknown", NETDEVS RTVNIC ",scheduler=sx",
      "scheduler 'sx' not found", "-object edf-scheduler,id=sx" },
    { "netdev-of-port", NETDEVS SCHEDULER PORT " " RTVNIC,
      "n0", NULL },
    { "rtvnic-on-port", NETDEVS SCHEDULER PORT
      " -device rtvnic,id=r0,netdev=p0",
      "'p0' is a port itself", "netdev behind it" },
    { "deadline-zero", NETDEVS RTVNIC ",deadline-us=0",
      "deadline-us must be 1 to 4294967", "leave it out for best effort" },
    { "deadline-too-long", NETDEVS RTVNIC ",deadline-us=4294968",
      "deadline-us must be 1 to 4294967", "leave it out for best effort" },
    { "dscp-64", NETDEVS RTVNIC ",dscp=64",
      "dscp must be 0 to 63", "-1 to keep the guest's" },
    { "dscp-minus-2", NETDEVS RTVNIC ",dscp=-2",
      "dscp must be 0 to 63", "-1 to keep the guest's" },
    { "pcp-8", NETDEVS RTVNIC ",pcp=8",
      "pcp must be 0 to 7", "-1 to keep the guest's" },
    { "late-unknown", NETDEVS RTVNIC ",late=never", "late", "never" },
    { "late-drop-alone", NETDEVS RTVNIC ",late=drop",
      "late=drop", "needs a deadline-us" },
    { "control-without-vhost", NETDEVS "-chardev null,id=ctl " RTVNIC
      ",control=ctl,port=p", "are for a netdev of type vhost-user",
      "leave them out" },
    { "port-without-vhost", NETDEVS RTVNIC ",port=p",
      "are for a netdev of type vhost-user", "leave them out" },
    { "host-mtu", NETDEVS RTVNIC ",host_mtu=1469",
      "host_mtu=1469", "use host_mtu=1468 or less" },
    { "host-mtu-small-link", NETDEVS RTVNIC ",link-mtu=1000,host_mtu=1468",
      "host_mtu=1468", "use host_mtu=968 or less" },
    { "link-mtu-low", NETDEVS RTVNIC ",link-mtu=575",
      "link-mtu must be 576 to 65535", "MTU of the narrowest link" },
    { "period-without-deadline", NETDEVS SCHEDULER RTVNIC
      ",scheduler=s0,period-us=1000", "period-us", "give deadline-us" },
    { "period-without-scheduler", NETDEVS RTVNIC
      ",deadline-us=1000,period-us=1000",
      "without scheduler", "add scheduler=ID" },
    { "period-without-rate", NETDEVS "-object edf-scheduler,id=s0 " RTVNIC
      ",scheduler=s0,deadline-us=1000,period-us=1000",
      "without rate-bps", "give its edf-scheduler the rate" },
    { "max-frame-without-period", NETDEVS SCHEDULER RTVNIC
      ",scheduler=s0,deadline-us=1000,max-frame-bytes=100",
      "max-frame-bytes", "give period-us" },
    { "max-frame-too-long", NETDEVS SCHEDULER RTVNIC
      ",scheduler=s0,deadline-us=5000,period-us=5000,max-frame-bytes=1487",
      "max-frame-bytes must be 14 to 1486", "link-mtu=1500" },

    /*
     * Admission: a frame of 1482 bytes takes 1230.4 us; where there are other
     * ports, one of theirs of 1236.8 us may be in the way.
     */
    { "refused-load", NETDEVS SCHEDULER RTVNIC
      ",scheduler=s0,deadline-us=5000,period-us=1000,max-frame-bytes=1482",
      "123.04 % of 10000000 bit/s, 28.04 % too much", "Raise deadline-us" },
    { "refused-deadline", NETDEVS SCHEDULER RTVNIC
      ",scheduler=s0,deadline-us=1000,period-us=5000,max-frame-bytes=1482",
      "1231 us of sending fall into the first 1000 us, 231 us too much",
      "Raise deadline-us" },
    { "refused-second", NETDEVS SCHEDULER RTVNIC
      ",scheduler=s0,deadline-us=2000,period-us=9000,max-frame-bytes=1482 "
      "-device rtvnic,id=r1,netdev=n1"
      ",scheduler=s0,deadline-us=2000,period-us=9000,max-frame-bytes=1482",
      "3698 us of sending fall into the first 2000 us, 1698 us too much",
      "Raise deadline-us" },
    { "refused-lower-band", NETDEVS SCHEDULER RTVNIC
      ",scheduler=s0,deadline-us=2000,period-us=9000,max-frame-bytes=1482 "
      "-device rtvnic,id=r1,netdev=n1,scheduler=s0",
      "edf-scheduler 's0' cannot admit 'r1'", "link-mtu of the others" },
};

/* Runs QEMU until it fails or, having started, obeys "quit". */
static int run_qemu(const char *options, char **out, char **err)
{
    const char *binary = g_getenv("QTEST_QEMU_BINARY");
    g_autofree char *command = NULL;
    g_autoptr(GError) error = NULL;
    char *argv[] = { (char *)"/bin/sh", (char *)"-c", NULL, NULL };
    int status;

    g_assert_nonnull(binary);
    command = g_strdup_printf("echo quit | %s -machine pc -nodefaults -S "
                              "-display none -monitor stdio -accel tcg "
                              "-global pci-device.romfile= %s",
                              binary, options);
    argv[2] = command;
    g_test_message("%s", command);
    g_spawn_sync(NULL, argv, NULL, 0, NULL, NULL, out, err, &status, &error);
    g_assert_no_error(error);
    g_assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void expect_message(const char *text, const char *part)
{
    if (part && !strstr(text, part)) {
        g_test_message("expected '%s' in: %s", part, text);
        g_test_fail();
    }
}

static void expect_refused(const char *options, const char *wrong,
                           const char *remedy)
{
    g_autofree char *err = NULL, *out = NULL;

    g_assert_cmpint(run_qemu(options, &out, &err), ==, 1);
    expect_message(err, wrong);
    expect_message(err, remedy);
}

static void test_option(const void *opaque)
{
    const OptionCase *c = opaque;

    expect_refused(c->options, c->wrong, c->remedy);
}

/* At the edges of what is allowed. */
static void test_accepted(void)
{
    static const char *const options[] = {
        NETDEVS RTVNIC,
        NETDEVS RTVNIC ",dscp=63,pcp=7,deadline-us=4294967,link-mtu=65535",
        NETDEVS RTVNIC ",dscp=-1,pcp=-1,deadline-us=1,late=drop,link-mtu=576",
        NETDEVS RTVNIC ",host_mtu=1468",
        NETDEVS RTVNIC ",trailer=off,host_mtu=1500",
        NETDEVS SCHEDULER RTVNIC ",scheduler=s0,deadline-us=1231,"
                                 "period-us=2000,max-frame-bytes=1482",
        NETDEVS SCHEDULER PORT " -device virtio-net-pci,netdev=p0,"
                               "queue_reset=off",
    };

    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        g_autofree char *err = NULL, *out = NULL;
        int status = run_qemu(options[i], &out, &err);

        if (status) {
            g_test_message("%s: %s", options[i], err);
        }
        g_assert_cmpint(status, ==, 0);
    }
}

/* Every option of ours says in ",help" what it is for. */
static void test_help(const void *opaque)
{
    static const char *const rtvnic[] = {
        "scheduler", "deadline-us", "period-us", "max-frame-bytes", "late",
        "dscp", "pcp", "trailer", "link-mtu", "source-id", "max-skew-us", NULL
    };
    static const char *const port[] = {
        "netdev", "scheduler", "deadline-us", "period-us", "max-frame-bytes",
        "link-mtu", NULL
    };
    static const char *const scheduler[] = {
        "rate-bps", "policy", "queue-pkts", "queue-bytes", "host-jitter-us",
        NULL
    };
    const char *type = opaque;
    bool device = g_str_equal(type, "rtvnic");
    const char *const *names = device ? rtvnic :
        g_str_equal(type, "edf-port") ? port : scheduler;
    g_autofree char *options =
        g_strdup_printf("-%s %s,help", device ? "device" : "object", type);
    g_autofree char *err = NULL, *out = NULL;

    g_assert_cmpint(run_qemu(options, &out, &err), ==, 0);
    for (; *names; names++) {
        g_autofree char *line =
            g_strdup_printf("(?m)^ *%s=<[^>]*> +- [A-Z0-9]", *names);

        if (!g_regex_match_simple(line, out, 0, 0)) {
            g_test_message("%s has no description in: %s", *names, out);
            g_test_fail();
        }
    }
}

static void test_record(void)
{
    g_autofree char *path = NULL, *options = NULL;
    int fd = g_file_open_tmp("rtnet-XXXXXX", &path, NULL);

    close(fd);
    options = g_strdup_printf(NETDEVS "-icount shift=5,rr=record,rrfile=%s "
                              RTVNIC, path);
    expect_refused(options, "cannot be recorded or replayed",
                   "remove rr= from -icount");
    g_unlink(path);
}

/* -- Backends that send past QEMU, or from several queues ------------------ */

static void expect_tap_refused(const char *tap_options, const char *wrong,
                               const char *remedy)
{
    g_autofree char *options = g_strdup_printf(
        "-netdev tap,id=n0,ifname=rtnet%d,script=no,downscript=no,%s %s",
        getpid() % 100000, tap_options, RTVNIC);

    expect_refused(options, wrong, remedy);
}

static void test_tap_queues(void)
{
    if (access("/dev/net/tun", R_OK | W_OK) || geteuid()) {
        g_test_skip("needs root and /dev/net/tun");
        return;
    }
    expect_tap_refused("queues=2", "netdev 'n0' has several queues",
                       "use queues=1");
}

static void test_tap_vhost(void)
{
    if (access("/dev/net/tun", R_OK | W_OK) || geteuid() ||
        access("/dev/vhost-net", R_OK | W_OK)) {
        g_test_skip("needs root, /dev/net/tun and /dev/vhost-net");
        return;
    }
    expect_tap_refused("vhost=on", "uses vhost", "use vhost=off");
}

/*
 * A vhost-user back end without features: QEMU asks for them before it has a
 * netdev that can be refused.
 */
static gpointer answer_vhost_user(gpointer listener)
{
    struct {
        uint32_t request, flags, bytes;
    } header;
    uint8_t payload[256];
    int fd = accept(GPOINTER_TO_INT(listener), NULL, NULL);

    while (recv(fd, &header, sizeof(header), MSG_WAITALL) == sizeof(header)) {
        const uint32_t get_features = 1, version_1_reply = 5;
        uint64_t none = 0;

        /* Even to receive nothing would wait for something. */
        if (header.bytes > sizeof(payload) ||
            (header.bytes &&
             recv(fd, payload, header.bytes, MSG_WAITALL) != header.bytes)) {
            break;
        }
        if (header.request == get_features) {
            header.flags = version_1_reply;
            header.bytes = sizeof(none);
            if (send(fd, &header, sizeof(header), 0) < 0 ||
                send(fd, &none, sizeof(none), 0) < 0) {
                break;
            }
        }
    }
    close(fd);
    return NULL;
}

static void test_vhost_user(void)
{
    g_autofree char *dir = g_dir_make_tmp("rtnet-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "vhost-user", NULL);
    g_autofree char *options = g_strdup_printf(
        "-chardev socket,id=c0,path=%s -netdev vhost-user,id=n0,chardev=c0 "
        RTVNIC, path);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    GThread *back_end;

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    g_assert_cmpint(bind(listener, (struct sockaddr *)&address,
                         sizeof(address)), ==, 0);
    g_assert_cmpint(listen(listener, 1), ==, 0);
    back_end = g_thread_new("vhost-user", answer_vhost_user,
                            GINT_TO_POINTER(listener));
    expect_refused(options, "netdev 'n0' is a vhost-user back end",
                   "add control=CHARDEV");
    shutdown(listener, SHUT_RDWR);
    g_thread_join(back_end);
    close(listener);
    g_unlink(path);
    g_rmdir(dir);
}

/* -- At run time ----------------------------------------------------------- */

static void expect_error(QDict *answer, const char *part)
{
    g_assert_true(qdict_haskey(answer, "error"));
    expect_message(qdict_get_str(qdict_get_qdict(answer, "error"), "desc"),
                   part);
    qobject_unref(answer);
}

static QDict *object_del(RtVm *vm, const char *id)
{
    return qtest_qmp(vm->qts, "{ 'execute': 'object-del',"
                     " 'arguments': { 'id': %s } }", id);
}

/* What is in use cannot be deleted or changed; it can once it is not. */
static void test_in_use(void)
{
    RtVm *vm = rt_vm_start(1, SCHEDULER PORT " -device virtio-net-pci,id=v0,"
                           "netdev=p0,queue_reset=off,addr=4");

    expect_error(object_del(vm, "s0"), "s0");
    expect_error(object_del(vm, "p0"), "p0");
    expect_error(qtest_qmp(vm->qts, "{ 'execute': 'qom-set', 'arguments':"
                           " { 'path': '/objects/s0', 'property': 'queue-pkts',"
                           "   'value': 1000 } }"),
                 "queue-pkts cannot be changed");
    expect_error(qtest_qmp(vm->qts, "{ 'execute': 'qom-set', 'arguments':"
                           " { 'path': '/objects/p0', 'property': 'netdev',"
                           "   'value': 'n1' } }"),
                 "netdev cannot be changed");
    g_assert_cmpuint(rt_sched_get(vm, "s0", "rate-bps"), ==, 10000000);

    qpci_unplug_acpi_device_test(vm->qts, "v0", 4);
    expect_error(object_del(vm, "s0"), "s0");
    qtest_qmp_assert_success(vm->qts, "{ 'execute': 'object-del',"
                             " 'arguments': { 'id': 'p0' } }");
    qtest_qmp_assert_success(vm->qts, "{ 'execute': 'object-del',"
                             " 'arguments': { 'id': 's0' } }");
    qtest_qmp_assert_success(vm->qts, "{ 'execute': 'netdev_del',"
                             " 'arguments': { 'id': 'n0' } }");
    rt_vm_stop(vm);
}

/* What is refused at run time leaves everything as it was. */
static void test_refused_hotplug(void)
{
    RtVm *vm = rt_vm_start(2, SCHEDULER PORT);

    expect_error(qtest_qmp(vm->qts, "{ 'execute': 'device_add', 'arguments':"
                           " { 'driver': 'virtio-net-pci', 'netdev': 'p0',"
                           "   'queue_reset': true } }"), "queue_reset=off");
    expect_error(qtest_qmp(vm->qts, "{ 'execute': 'device_add', 'arguments':"
                           " { 'driver': 'virtio-net-pci', 'netdev': 'p0' } }"),
                 "queue_reset=off");
    qtest_qmp_device_add(vm->qts, "virtio-net-pci", "v0",
                         "{ 'netdev': 'p0', 'queue_reset': false }");

    for (int i = 0; i < 3; i++) {
        expect_error(qtest_qmp(vm->qts, "{ 'execute': 'device_add',"
                               " 'arguments': { 'driver': 'rtvnic',"
                               "  'netdev': 'n1', 'scheduler': 's0',"
                               "  'deadline-us': 1000, 'period-us': 4000 } }"),
                     "cannot admit");
        g_assert_cmpuint(rt_sched_get(vm, "s0", "promised-ppm"), ==, 0);
    }
    qtest_qmp_device_add(vm->qts, "rtvnic", "r0",
                         "{ 'netdev': 'n1', 'scheduler': 's0',"
                         "  'deadline-us': 3000, 'period-us': 4000,"
                         "  'max-frame-bytes': 1444 }");
    /* 1500 bytes on the link every 4 ms. */
    g_assert_cmpuint(rt_sched_get(vm, "s0", "promised-ppm"), ==, 300000);
    rt_vm_stop(vm);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(option_cases); i++) {
        g_autofree char *path =
            g_strdup_printf("rtnet/options/bad/%s", option_cases[i].name);

        qtest_add_data_func(path, &option_cases[i], test_option);
    }
    qtest_add_func("rtnet/options/bad/record", test_record);
    qtest_add_func("rtnet/options/bad/tap-queues", test_tap_queues);
    qtest_add_func("rtnet/options/bad/tap-vhost", test_tap_vhost);
    qtest_add_func("rtnet/options/bad/vhost-user", test_vhost_user);
    qtest_add_func("rtnet/options/accepted", test_accepted);
    qtest_add_data_func("rtnet/options/help/rtvnic", "rtvnic", test_help);
    qtest_add_data_func("rtnet/options/help/edf-port", "edf-port", test_help);
    qtest_add_data_func("rtnet/options/help/edf-scheduler", "edf-scheduler",
                        test_help);
    qtest_add_func("rtnet/options/runtime/in-use", test_in_use);
    qtest_add_func("rtnet/options/runtime/hotplug", test_refused_hotplug);
    return g_test_run();
}
