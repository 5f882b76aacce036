/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtnet-options: hostile option strings of our objects and devices.
 *
 * The first byte says which option the rest is the value of.  It is parsed with
 * the functions that the command line and the monitor use, the thing is made,
 * changed while it runs, and deleted.  Whatever the string says: an error, or a
 * thing that works, and nothing is left over.
 *
 * A string that names another type is passed over: what that does is not ours.
 *
 * Threads: main loop, under the BQL.
 */
#include "qemu/osdep.h"
#include "qemu/option.h"
#include "qemu/config-file.h"
#include "qemu/rcu.h"
#include "qapi/error.h"
#include "qapi/opts-visitor.h"
#include "qapi/qapi-types-qom.h"
#include "qapi/qapi-visit-qom.h"
#include "monitor/qdev.h"
#include "hw/qdev-core.h"
#include "qom/object_interfaces.h"
#include "tests/qtest/fuzz/fuzz.h"

#define MAX_STRING_BYTES 1024

/* A netdev and a scheduler to name, and neighbours of what is made. */
static GString *options_cmdline(FuzzTarget *t)
{
    /* PCI hotplug works below i440fx's root bus. */
    return g_string_new(TARGET_NAME
        " -machine pc,accel=qtest -m 64M -nodefaults -display none"
        " -object edf-scheduler,id=up0,rate-bps=10000000,host-jitter-us=50"
        " -netdev hubport,id=n0,hubid=0 -netdev hubport,id=n1,hubid=0"
        " -device rtvnic,id=rt1,netdev=n1,scheduler=up0,deadline-us=20000,"
        "period-us=10000,max-frame-bytes=200");
}

/* As object_option_parse() in system/vl.c has it. */
static ObjectOptions *parse_opts(const char *string, Error **errp)
{
    QemuOpts *opts = qemu_opts_parse(qemu_find_opts("object"), string, true,
                                     errp);
    ObjectOptions *options = NULL;
    Visitor *v;

    if (opts) {
        v = opts_visitor_new(opts);
        visit_type_ObjectOptions(v, NULL, &options, errp);
        visit_free(v);
        qemu_opts_del(opts);
    }
    return options;
}

static void change(const char *path, const char *name)
{
    static const char *const values[] = { "0", "1", "63", "5000",
                                          "4294967295", "10000000000000" };
    Object *obj = object_resolve_path(path, NULL);

    g_assert(obj);
    for (int i = 0; i < ARRAY_SIZE(values); i++) {
        object_property_parse(obj, name, values[i], NULL);
    }
}

static void try_object(const char *string, bool as_command_line)
{
    g_autoptr(ObjectOptions) options = NULL;
    g_autofree char *path = NULL;
    Error *err = NULL;

    options = as_command_line ? parse_opts(string, &err)
                              : user_creatable_parse_str(string, &err);
    g_assert(!options || !err);
    if (options && (options->qom_type == OBJECT_TYPE_EDF_SCHEDULER ||
                    options->qom_type == OBJECT_TYPE_EDF_PORT)) {
        user_creatable_add_qapi(options, &err);
        if (!err) {
            path = g_strdup_printf("/objects/%s", options->id);
            change(path, options->qom_type == OBJECT_TYPE_EDF_SCHEDULER ?
                         "rate-bps" : "deadline-us");
            user_creatable_del(options->id, &error_abort);
        }
    }
    error_free(err);
}

static void try_device(const char *string, const char *type)
{
    Error *err = NULL;
    QemuOpts *opts = qemu_opts_parse(qemu_find_opts("device"), string, true,
                                     &err);
    g_autofree char *path = NULL;
    DeviceState *dev = NULL;

    if (opts && !g_strcmp0(qemu_opt_get(opts, "driver"), type)) {
        dev = qdev_device_add(opts, &err);
        g_assert(!dev || !err);
    }
    if (dev) {
        path = object_get_canonical_path(OBJECT(dev));
        change(path, "deadline-us");
        change(path, "dscp");
        /* What a guest's consent to device_del leads to. */
        object_unparent(OBJECT(dev));
        object_unref(OBJECT(dev));
    } else {
        qemu_opts_del(opts);
    }
    drain_call_rcu();
    error_free(err);
}

static void options_fuzz(QTestState *s, const unsigned char *data, size_t size)
{
    static const struct {
        const char *type;
        bool device;
        bool as_command_line;
    } kinds[] = {
        { "edf-scheduler", false, false },
        { "edf-scheduler", false, true },
        { "edf-port", false, false },
        { "edf-port", false, true },
        { "rtvnic", true },
        { "rtvnic-ne2k", true },
    };
    g_autofree char *string = NULL;
    int kind;

    if (!size || size > MAX_STRING_BYTES) {
        return;
    }
    kind = data[0] % ARRAY_SIZE(kinds);
    string = g_strdup_printf("%s,%.*s", kinds[kind].type, (int)size - 1,
                             data + 1);
    if (kinds[kind].device) {
        try_device(string, kinds[kind].type);
    } else {
        try_object(string, kinds[kind].as_command_line);
    }
    flush_events(s);
}

static void register_options_target(void)
{
    fuzz_add_target(&(FuzzTarget) {
        .name = "rtnet-options",
        .description = "Options of edf-scheduler, edf-port, rtvnic",
        .get_init_cmdline = options_cmdline,
        .fuzz = options_fuzz,
    });
}

fuzz_target_init(register_options_target);
