/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Filters are made of the lists before anybody is confined, so that a worker
 * has nothing to do but give its own to the kernel.
 *
 * The kernel keeps a table of calls that a filter always allows, and does not
 * run it for those: what workers do all the time is among them.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox-impl.h"

#ifndef __has_feature
#define __has_feature(name) 0
#endif

#define FAILED(error, ...) \
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, __VA_ARGS__)

/* The kernel logs what is refused, and lets the CPU speculate as before: older
 * ones (until 5.15) would make a confined thread's memory slower. */
#define LOAD_FLAGS (SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW)

/* Written once, before there is a worker; empty: nobody is confined. */
static struct sock_fprog worker_filter;
static bool worker_must;                /* sandbox=on */

/* -- Modes ----------------------------------------------------------------- */

static const char *const mode_name[SANDBOX_MODES] = {
    [SANDBOX_OFF] = "off",
    [SANDBOX_AUTO] = "auto",
    [SANDBOX_ON] = "on",
    [SANDBOX_LOG] = "log",
};

const char *sandbox_mode_name(SandboxMode mode)
{
    return mode_name[mode];
}

bool sandbox_mode_parse(const char *text, SandboxMode *mode)
{
    for (unsigned i = 0; i < SANDBOX_MODES; i++) {
        if (!strcmp(text, mode_name[i])) {
            *mode = i;
            return true;
        }
    }
    return false;
}

/* -- Making a filter ------------------------------------------------------- */

/* 0 or a negative error, as libseccomp has them. */
static int add_names(scmp_filter_ctx filter, const char *const *names,
                     uint32_t action)
{
    int failed = 0;

    for (; *names && !failed; names++) {
        g_auto(GStrv) name = g_strsplit(*names, " ", -1);

        for (unsigned i = 0; name[i] && !failed; i++) {
            int call = seccomp_syscall_resolve_name(name[i]);

            failed = call < 0 ? 0 : seccomp_rule_add(filter, action, call, 0);
        }
    }
    return failed;
}

static int add_checks(scmp_filter_ctx filter, const SandboxCheck *check)
{
    const struct scmp_arg_cmp own = { 0, SCMP_CMP_EQ, getpid(), 0 };
    int failed = 0;

    for (; check->call && !failed; check++) {
        int call = seccomp_syscall_resolve_name(check->call);

        if (call >= 0) {
            failed = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call,
                                            check->own ? 1 : check->args,
                                            check->own ? &own : check->arg);
        }
    }
    return failed;
}

/* What the kernel takes; 0 or a negative error. */
static int translate(scmp_filter_ctx filter, struct sock_fprog *to)
{
    int fd = memfd_create("filter", MFD_CLOEXEC), failed;
    struct stat st;

    if (fd < 0) {
        return -errno;
    }
    failed = seccomp_export_bpf(filter, fd);
    if (!failed && fstat(fd, &st) < 0) {
        failed = -errno;
    }
    if (!failed) {
        to->filter = g_malloc(st.st_size);
        to->len = st.st_size / sizeof(to->filter[0]);
        failed = pread(fd, to->filter, st.st_size, 0) == st.st_size ? 0 : -EIO;
    }
    close(fd);
    return failed;
}

static bool make_filter(const SandboxList *list, SandboxMode mode,
                        struct sock_fprog *to, GError **error)
{
    bool log = mode == SANDBOX_LOG;
    scmp_filter_ctx filter = seccomp_init(log ? SCMP_ACT_LOG :
                                                SCMP_ACT_ERRNO(ENOSYS));
    int failed = filter ? 0 : -EINVAL;

    /* Numbers of another architecture could mean anything. */
    if (!failed) {
        failed = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH,
                                  log ? SCMP_ACT_LOG : SCMP_ACT_KILL_PROCESS);
    }
    /* A tree, not a list: calls whose arguments are looked at are AF_XDP's. */
    if (!failed) {
        failed = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    }
    if (!failed && !log) {
        failed = add_names(filter, sandbox_hostile, SCMP_ACT_KILL_PROCESS);
    }
    if (!failed) {
        failed = add_names(filter, list->calls, SCMP_ACT_ALLOW);
    }
    if (!failed) {
        failed = add_checks(filter, list->checks);
    }
    if (!failed) {
        failed = translate(filter, to);
    }
    seccomp_release(filter);
    if (failed) {
        FAILED(error, "libseccomp cannot make a filter: %s",
               g_strerror(-failed));
    }
    return !failed;
}

/* -- Giving it to the kernel ----------------------------------------------- */

static bool load(const struct sock_fprog *filter, unsigned flags,
                 GError **error)
{
    long failed = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, filter);

    if (failed > 0) {
        FAILED(error, "thread %ld has filters of its own", failed);
    } else if (failed < 0) {
        FAILED(error, "the kernel takes no filter: %s", g_strerror(errno));
    }
    return failed == 0;
}

/*
 * A filter of its own, without the flag to log: for who runs this nothing is
 * wrong when a thread starts.
 */
static bool hide_clone3(GError **error)
{
#ifdef SYS_clone3
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog filter = { G_N_ELEMENTS(code), code };

    return load(&filter, SECCOMP_FILTER_FLAG_SPEC_ALLOW |
                SECCOMP_FILTER_FLAG_TSYNC, error);
#else
    return true;
#endif
}

/*
 * Messages in another character set than UTF-8 need a converter, which is
 * loaded like a program when it is used first: now, for good.  (GLib does not
 * outlive a g_strerror() without.)
 */
static void load_converter(void)
{
    const char *charset;

    if (!g_get_charset(&charset)) {
        g_iconv_open("UTF-8", charset);
    }
}

/* -- Can it be? ------------------------------------------------------------ */

/* Where the lists are known to be enough, and arguments where they look. */
static bool is_known_machine(void)
{
#if defined(__x86_64__) && !defined(__ILP32__)
    return true;
#elif defined(__aarch64__) && !defined(__ILP32__)
    return true;
#else
    return false;
#endif
}

/* A sanitizer makes calls of its own, ptrace among them. */
static bool is_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return true;
#else
    return false;
#endif
}

static bool confine(SandboxMode mode, GError **error)
{
    struct sock_fprog control = { 0 }, worker = { 0 };
    uint32_t action = SECCOMP_RET_KILL_PROCESS;
    bool done;

    if (!is_known_machine()) {
        FAILED(error, "there are no lists of system calls for this "
               "architecture");
        return false;
    }
    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0) {
        FAILED(error, "seccomp() fails: %s; the kernel has to be built with "
               "CONFIG_SECCOMP_FILTER, and a container or service manager to "
               "let us call it (systemd: SystemCallFilter=seccomp)",
               g_strerror(errno));
        return false;
    }
    /* Without it only root may have filters. */
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    load_converter();
    done = make_filter(&sandbox_control, mode, &control, error) &&
           make_filter(&sandbox_worker, mode, &worker, error) &&
           hide_clone3(error) &&
           load(&control, LOAD_FLAGS | SECCOMP_FILTER_FLAG_TSYNC, error);
    g_free(control.filter);
    if (done) {
        worker_filter = worker;
        worker_must = mode == SANDBOX_ON;
    } else {
        g_free(worker.filter);
    }
    return done;
}

/* -- Confining ------------------------------------------------------------- */

bool sandbox_confine_process(SandboxMode mode, GError **error)
{
    g_autoptr(GError) reason = NULL;

    if (mode == SANDBOX_OFF || (mode == SANDBOX_AUTO && is_sanitized())) {
        return true;
    }
    if (confine(mode, &reason)) {
        if (mode == SANDBOX_LOG) {
            g_warning("sandbox=log: no system call is refused");
        }
        return true;
    }
    if (mode == SANDBOX_AUTO) {
        g_warning("there is no sandbox: %s. With sandbox=off that is no "
                  "warning, with sandbox=on an error", reason->message);
        return true;
    }
    FAILED(error, "sandbox=%s cannot be: %s. Leave it out to do without",
           mode_name[mode], reason->message);
    return false;
}

bool sandbox_confine_worker(GError **error)
{
    g_autoptr(GError) reason = NULL;

    if (worker_filter.len == 0 ||
        load(&worker_filter, LOAD_FLAGS, &reason)) {
        return true;
    }
    if (worker_must) {
        FAILED(error, "sandbox=on cannot be: %s. Leave it out to do without",
               reason->message);
        return false;
    }
    g_warning("a worker has no sandbox of its own: %s", reason->message);
    return true;
}
