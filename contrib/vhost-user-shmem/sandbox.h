/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which system calls the daemon's threads may make (seccomp): whoever has taken
 * one over finds no more of the kernel than that thread uses.
 *
 * There are two lists, with a reason for each group of calls: sandbox-calls.c.
 * A call that is not on its thread's list fails with ENOSYS, and the kernel
 * logs it: so it is with a kernel that is older than a library, and libraries
 * know how to go on.  Another one could end the network of all guests because
 * of a harmless call that a new libc makes.  Calls that no library makes on its
 * own, and that run programs or reach into other processes or the kernel, end
 * the process.
 *
 * Nothing can be taken back.
 *
 * Threads: sandbox_confine_process() by the control thread, before there is a
 * worker; sandbox_confine_worker() by each worker.
 */
#ifndef VUS_SANDBOX_H
#define VUS_SANDBOX_H

#include <glib.h>
#include <stdbool.h>

typedef enum SandboxMode {
    SANDBOX_OFF,
    SANDBOX_AUTO,               /* on if that can be; else there is a warning */
    SANDBOX_ON,                 /* or there is an error */
    SANDBOX_LOG,                /* nothing fails; the kernel logs what would */
    SANDBOX_MODES,
} SandboxMode;

const char *sandbox_mode_name(SandboxMode mode);
bool sandbox_mode_parse(const char *text, SandboxMode *mode);

/* All threads that there are, and those that they start.  False with @error
 * set: it cannot be. */
bool sandbox_confine_process(SandboxMode mode, GError **error);

/* The thread that calls it, as a worker, if the process is confined.  False with
 * @error set: it cannot be, and has to; if it need not, there is a warning. */
bool sandbox_confine_worker(GError **error);

#endif
