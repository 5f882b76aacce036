/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <cap-ng.h>
#include <errno.h>
#include <sys/prctl.h>

#include "privileges.h"

/* tap: NET_ADMIN.  af-xdp: NET_ADMIN, NET_RAW and BPF; IPC_LOCK, if it may lock
 * too little memory otherwise. */
static const unsigned for_port[] = {
    CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF, CAP_IPC_LOCK,
};

/* Kept if it is there: a bit for each capability. */
static uint64_t choose(bool for_ports, bool real_time)
{
    uint64_t keep = 0;

    for (unsigned i = 0; for_ports && i < G_N_ELEMENTS(for_port); i++) {
        if (capng_have_capability(CAPNG_PERMITTED, for_port[i])) {
            keep |= UINT64_C(1) << for_port[i];
        }
    }
    if (real_time && capng_have_capability(CAPNG_PERMITTED, CAP_SYS_NICE)) {
        keep |= UINT64_C(1) << CAP_SYS_NICE;
    }
    return keep;
}

bool privileges_shed(bool for_ports, bool real_time, GError **error)
{
    /* Nobody else can change what may be gained: it does not matter there. */
    capng_select_t what = CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT;
    uint64_t keep;
    int failed;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
                    "privileges cannot be given up: %s", g_strerror(errno));
        return false;
    }
    if (capng_get_caps_process() < 0) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "privileges "
                    "cannot be given up: they cannot be read; is /proc "
                    "mounted?");
        return false;
    }
    if (capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP)) {
        what |= CAPNG_SELECT_BOUNDS;
    }
    keep = choose(for_ports, real_time);
    capng_clear(what);
    for (unsigned i = 0; i <= (unsigned)CAP_LAST_CAP; i++) {
        if (keep >> i & 1) {
            capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED |
                         CAPNG_BOUNDING_SET, i);
        }
    }
    failed = capng_apply(what);
    if (failed) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_PERM,
                    "privileges cannot be given up: libcap-ng says %d; start "
                    "the daemon as an ordinary user", failed);
    }
    return !failed;
}
