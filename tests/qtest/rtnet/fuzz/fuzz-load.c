/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtnet-load: a hostile migration stream, loaded into an rtvnic.
 *
 * The input is what follows the header of the section "<PCI path>/rtvnic-port".
 * It is loaded as QEMU loads it, while the VM is stopped; then the VM runs and
 * the scheduler sends what was taken.  A stream that is refused must leave a
 * NIC that still works.
 *
 * Threads: main loop, under the BQL.
 */
#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "hw/qdev-core.h"
#include "io/channel-buffer.h"
#include "migration/qemu-file.h"
#include "migration/vmstate.h"
#include "system/runstate.h"
#include "tests/qtest/fuzz/fuzz.h"

/* How the clock goes on after each load: enough for what most inputs hold. */
#define STEPS 16
#define STEP_NS (1 * SCALE_MS)

#define SECTION_VERSION 1

static GString *load_cmdline(FuzzTarget *t)
{
    /* Nobody listens on the discard port: whatever is sent is gone. */
    return g_string_new(TARGET_NAME
        " -machine pc,accel=qtest -m 64M -nodefaults -display none"
        " -object edf-scheduler,id=up0,rate-bps=100000000,host-jitter-us=50"
        " -netdev dgram,id=n0,local.type=inet,local.host=127.0.0.1,"
        "local.port=0,remote.type=inet,remote.host=127.0.0.1,remote.port=9"
        " -device rtvnic,id=rt0,netdev=n0,scheduler=up0,deadline-us=2000,"
        "period-us=1000,max-frame-bytes=1400,dscp=46");
}

static DeviceState *rt_child(void)
{
    Object *obj = object_resolve_path("/machine/peripheral/rt0/rt", NULL);

    g_assert(obj);
    return DEVICE(obj);
}

static void load_fuzz(QTestState *s, const unsigned char *data, size_t size)
{
    DeviceState *dev = rt_child();
    QIOChannelBuffer *channel = qio_channel_buffer_new(size);
    QEMUFile *file;

    memcpy(channel->data, data, size);
    channel->usage = size;
    file = qemu_file_new_input(QIO_CHANNEL(channel));
    object_unref(OBJECT(channel));

    vm_stop(RUN_STATE_RESTORE_VM);
    vmstate_load_state(file, DEVICE_GET_CLASS(dev)->vmsd, dev,
                       SECTION_VERSION);
    qemu_fclose(file);
    vm_start();

    for (int i = 0; i < STEPS; i++) {
        qtest_clock_step(s, STEP_NS);
        flush_events(s);
    }
}

static void register_load_target(void)
{
    fuzz_add_target(&(FuzzTarget) {
        .name = "rtnet-load",
        .description = "Load a migration stream into an rtvnic",
        .get_init_cmdline = load_cmdline,
        .fuzz = load_fuzz,
    });
}

fuzz_target_init(register_load_target);
