/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu/osdep.h"
#include <sys/timex.h>
#include "qapi/error.h"
#include "system/qtest.h"
#include "system/replay.h"
#include "net/edf/clock.h"

QEMUClockType rtnet_clock_type(void)
{
    return qtest_enabled() ? QEMU_CLOCK_VIRTUAL : QEMU_CLOCK_REALTIME;
}

uint64_t rtnet_clock_ns(void)
{
    return qemu_clock_get_ns(rtnet_clock_type());
}

uint64_t rtnet_clock_tai_ns(void)
{
    struct timespec ts;

    if (qtest_enabled()) {
        return rtnet_clock_ns();
    }
    clock_gettime(CLOCK_TAI, &ts);
    return ts.tv_sec * NANOSECONDS_PER_SECOND + ts.tv_nsec;
}

bool rtnet_clock_tai_synchronised(void)
{
    static uint64_t asked_ns;
    static bool synchronised;
    uint64_t now_ns = rtnet_clock_ns();

    if (!asked_ns || now_ns - asked_ns >= NANOSECONDS_PER_SECOND) {
        struct timex tx = { .modes = 0 };
        int state = adjtimex(&tx);

        synchronised = state >= 0 && state != TIME_ERROR &&
                       !(tx.status & STA_UNSYNC) && tx.tai != 0;
        asked_ns = now_ns ?: 1;
    }
    return synchronised;
}

bool rtnet_clock_usable(Error **errp)
{
    if (replay_mode != REPLAY_MODE_NONE) {
        error_setg(errp, "real-time networking runs on the host's clock and "
                   "cannot be recorded or replayed; remove rr= from -icount, "
                   "or edf-scheduler, edf-port and rtvnic");
        return false;
    }
    return true;
}

uint64_t rtnet_clock_measure_jitter_ns(void)
{
    const struct timespec nap = { .tv_nsec = 200 * SCALE_US };
    uint64_t worst_ns = 0;

    if (qtest_enabled()) {
        return 0;
    }
    for (int i = 0; i < 20; i++) {
        uint64_t before_ns = rtnet_clock_ns();
        uint64_t took_ns;

        nanosleep(&nap, NULL);
        took_ns = rtnet_clock_ns() - before_ns;
        if (took_ns > nap.tv_nsec) {
            worst_ns = MAX(worst_ns, took_ns - nap.tv_nsec);
        }
    }
    return worst_ns;
}
