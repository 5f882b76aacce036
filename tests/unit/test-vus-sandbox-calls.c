/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a thread that somebody has taken over can still ask of the kernel, tried
 * out; and that it still gets what it is there for.
 *
 * Threads: single; each call is tried by a process of its own.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "sandbox-bed.h"
#include "sandbox-impl.h"

/* -- Cases ----------------------------------------------------------------- */

/* Stands for the process that tries it, or the one that waits for it. */
#define ME LONG_MIN
#define PARENT (LONG_MIN + 1)

typedef struct Case {
    const char *what;
    long call;
    long arg[6];
    Outcome control, worker;
} Case;

static long argument(long arg)
{
    return arg == ME ? getpid() : arg == PARENT ? getppid() : arg;
}

/* PASSES may be an error, but ENOSYS. */
static void try_call(const Case *c)
{
    long done = syscall(c->call, argument(c->arg[0]), argument(c->arg[1]),
                        argument(c->arg[2]), argument(c->arg[3]),
                        argument(c->arg[4]), argument(c->arg[5]));

    syscall(SYS_exit_group, done == -1 && errno == ENOSYS ? REFUSED : PASSES);
}

static void expect(const Case *c, bool as_worker)
{
    static const char *const name[] = { "passes", "is refused", "kills" };
    Outcome wanted = as_worker ? c->worker : c->control, got;
    pid_t child = fork();

    if (child == 0) {
        confine(SANDBOX_ON, as_worker);
        try_call(c);
    }
    got = outcome_of(child);
    if (got != wanted) {
        g_error("%s in %s: %s, but it %s", c->what,
                as_worker ? "a worker" : "the control thread",
                got < G_N_ELEMENTS(name) ? name[got] : "the child failed",
                name[wanted]);
    }
}

static void expect_all(const Case *c, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        expect(&c[i], false);
        expect(&c[i], true);
    }
}

#define EXPECT_ALL(cases) expect_all(cases, G_N_ELEMENTS(cases))

/* -- What somebody would try ----------------------------------------------- */

static void test_programs(void)
{
    const long empty = (long)"";
    const Case cases[] = {
        { "execve", SYS_execve, { (long)"/bin/sh" }, KILLS, KILLS },
        { "execveat", SYS_execveat, { AT_FDCWD, (long)"/bin/sh" }, KILLS,
          KILLS },
        { "fork", SYS_clone, { SIGCHLD }, REFUSED, REFUSED },
        { "vfork", SYS_clone, { CLONE_VM | CLONE_VFORK | SIGCHLD }, REFUSED,
          REFUSED },
        { "a thread in another namespace", SYS_clone,
          { CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_NEWNET }, REFUSED,
          REFUSED },
        { "clone3", SYS_clone3, { 0 }, REFUSED, REFUSED },
        { "code", SYS_mmap,
          { 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
            MAP_PRIVATE | MAP_ANONYMOUS, -1 }, REFUSED, REFUSED },
        { "code from a file", SYS_mmap,
          { 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, 0 }, REFUSED,
          REFUSED },
        { "data as code", SYS_mprotect, { 0, 4096, PROT_READ | PROT_EXEC },
          REFUSED, REFUSED },
        { "data as code, with a key", SYS_pkey_mprotect,
          { 0, 4096, PROT_READ | PROT_EXEC, -1 }, REFUSED, REFUSED },
        { "a module", SYS_init_module, { empty, 0, empty }, KILLS, KILLS },
        { "a kernel", SYS_kexec_load, { 0 }, KILLS, KILLS },
    };

    EXPECT_ALL(cases);
}

static void test_processes(void)
{
    const Case cases[] = {
        { "ptrace", SYS_ptrace, { PTRACE_ATTACH, PARENT }, KILLS, KILLS },
        { "others' memory", SYS_process_vm_writev, { PARENT }, KILLS, KILLS },
        { "reading others' memory", SYS_process_vm_readv, { PARENT }, KILLS,
          KILLS },
        { "others' files", SYS_pidfd_getfd, { -1 }, KILLS, KILLS },
        { "kill another", SYS_kill, { PARENT, 0 }, REFUSED, REFUSED },
        { "kill all", SYS_kill, { -1, 0 }, REFUSED, REFUSED },
        { "kill itself", SYS_kill, { ME, 0 }, PASSES, REFUSED },
        { "kill another's thread", SYS_tgkill, { PARENT, PARENT, 0 }, REFUSED,
          REFUSED },
        { "kill its own thread", SYS_tgkill, { ME, ME, 0 }, PASSES, PASSES },
        { "others' limits", SYS_prlimit64, { PARENT, RLIMIT_NOFILE }, REFUSED,
          REFUSED },
        { "its own limits", SYS_prlimit64, { 0, RLIMIT_NOFILE }, PASSES,
          REFUSED },
        { "a priority", SYS_sched_setscheduler, { 0, SCHED_OTHER }, PASSES,
          REFUSED },
    };

    EXPECT_ALL(cases);
}

static void test_kernel(void)
{
    const Case cases[] = {
        { "unshare", SYS_unshare, { CLONE_NEWUSER }, KILLS, KILLS },
        { "setns", SYS_setns, { -1 }, KILLS, KILLS },
        { "mount", SYS_mount, { 0 }, KILLS, KILLS },
        { "chroot", SYS_chroot, { (long)"/" }, KILLS, KILLS },
        { "a file by its handle", SYS_open_by_handle_at, { -1 }, KILLS,
          KILLS },
        { "keys", SYS_keyctl, { KEYCTL_GET_KEYRING_ID }, KILLS, KILLS },
        { "userfaultfd", SYS_userfaultfd, { 0 }, KILLS, KILLS },
        { "perf", SYS_perf_event_open, { 0 }, KILLS, KILLS },
        { "io_uring", SYS_io_uring_setup, { 1 }, REFUSED, REFUSED },
        { "another user", SYS_setuid, { 0 }, REFUSED, REFUSED },
        { "capabilities", SYS_capset, { 0 }, PASSES, REFUSED },
        { "a core that others can read", SYS_prctl, { PR_SET_DUMPABLE, 1 },
          REFUSED, REFUSED },
        { "a thread's name", SYS_prctl, { PR_SET_NAME, (long)"x" }, PASSES,
          REFUSED },
        { "somebody else's map", SYS_bpf, { BPF_MAP_GET_FD_BY_ID }, REFUSED,
          REFUSED },
        { "a BPF program", SYS_bpf, { BPF_PROG_LOAD }, PASSES, REFUSED },
        { "a filter", SYS_seccomp, { SECCOMP_SET_MODE_FILTER }, PASSES,
          REFUSED },
        { "a filter that asks us", SYS_seccomp,
          { SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER },
          REFUSED, REFUSED },
#ifdef __x86_64__
        { "a number of another ABI", 0x40000000 | SYS_getpid, { 0 }, KILLS,
          KILLS },
#endif
    };

    EXPECT_ALL(cases);
}

static void test_files(void)
{
    const Case cases[] = {
        { "open", SYS_openat, { AT_FDCWD, (long)"/", O_RDONLY }, PASSES,
          REFUSED },
        { "close", SYS_close, { -1 }, PASSES, REFUSED },
        { "dup3", SYS_dup3, { 0, 100 }, PASSES, REFUSED },
        { "unlink", SYS_unlinkat, { AT_FDCWD, (long)"" }, PASSES, REFUSED },
        { "getdents", SYS_getdents64, { -1 }, PASSES, REFUSED },
        { "fcntl", SYS_fcntl, { 0, F_GETFL }, PASSES, REFUSED },
        { "a file's memory", SYS_mmap,
          { 0, 4096, PROT_READ, MAP_PRIVATE, -1 }, PASSES, REFUSED },
        { "what a terminal is told", SYS_ioctl, { 0, TIOCSTI, (long)"x" },
          REFUSED, REFUSED },
        { "a tap", SYS_ioctl, { -1, TUNSETIFF }, PASSES, REFUSED },
    };

    EXPECT_ALL(cases);
}

static void test_sockets(void)
{
    const Case cases[] = {
        { "a local socket", SYS_socket, { AF_UNIX, SOCK_STREAM }, PASSES,
          REFUSED },
        { "TCP", SYS_socket, { AF_INET, SOCK_STREAM }, REFUSED, REFUSED },
        { "TCP by IPv6", SYS_socket, { AF_INET6, SOCK_STREAM }, REFUSED,
          REFUSED },
        { "netlink", SYS_socket, { AF_NETLINK, SOCK_RAW }, REFUSED, REFUSED },
        { "vsock", SYS_socket, { AF_VSOCK, SOCK_STREAM }, REFUSED, REFUSED },
        { "the kernel's ciphers", SYS_socket, { AF_ALG, SOCK_SEQPACKET },
          REFUSED, REFUSED },
        { "packets", SYS_socket, { AF_PACKET, SOCK_RAW, 0 }, PASSES,
          REFUSED },
        { "all packets", SYS_socket, { AF_PACKET, SOCK_RAW, 0x300 }, REFUSED,
          REFUSED },
        { "AF_XDP", SYS_socket, { AF_XDP, SOCK_RAW }, PASSES, REFUSED },
        { "connect", SYS_connect, { -1 }, PASSES, REFUSED },
        { "bind", SYS_bind, { -1 }, PASSES, REFUSED },
        { "accept", SYS_accept4, { -1 }, PASSES, REFUSED },
        { "setsockopt", SYS_setsockopt, { -1 }, PASSES, REFUSED },
        { "files of others", SYS_recvmsg, { -1 }, PASSES, REFUSED },
        { "files to others", SYS_sendmsg, { -1 }, PASSES, REFUSED },
        { "send", SYS_sendto, { -1, (long)"x", 1 }, PASSES, REFUSED },
        { "send elsewhere", SYS_sendto, { -1, 0, 0, 0, (long)"x", 1 }, PASSES,
          REFUSED },
        { "receive", SYS_recvfrom, { -1, (long)"x", 1 }, PASSES, REFUSED },
    };

    EXPECT_ALL(cases);
}

/* -- What a worker needs --------------------------------------------------- */

static void test_needed(void)
{
    const long at_once[2] = { 0 };
#define NEEDED(what, call, ...) { what, call, { __VA_ARGS__ }, PASSES, PASSES }
    const Case cases[] = {
        NEEDED("memory", SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1),
        NEEDED("mprotect", SYS_mprotect, 0, 0, PROT_READ | PROT_WRITE),
        NEEDED("brk", SYS_brk, 0),
        NEEDED("munmap", SYS_munmap, 0, 0),
        NEEDED("mremap", SYS_mremap, 0, 0),
        NEEDED("madvise", SYS_madvise, 0, 0, MADV_DONTNEED),
        NEEDED("a lock", SYS_futex, 0),
        NEEDED("random numbers", SYS_getrandom, 0, 0, 0),
        NEEDED("a kick", SYS_io_submit, 0, 0, 0),
        NEEDED("kicks that were seen", SYS_io_getevents, 0),
        NEEDED("sleep", SYS_epoll_pwait2, -1),
        NEEDED("poll", SYS_ppoll, 0, 0, (long)at_once),
        NEEDED("read", SYS_read, -1),
        NEEDED("write", SYS_write, -1),
        NEEDED("writev", SYS_writev, -1),
        NEEDED("ask AF_XDP to send", SYS_sendto,
               -1, 0, 0, MSG_DONTWAIT),
        NEEDED("ask AF_XDP to receive", SYS_recvfrom,
               -1, 0, 0, MSG_DONTWAIT),
        NEEDED("the clock", SYS_clock_gettime, CLOCK_TAI, (long)at_once),
        NEEDED("is it right", SYS_clock_adjtime, CLOCK_REALTIME),
        NEEDED("a handler of signals", SYS_rt_sigaction, SIGBUS, 0, 0, 8),
        NEEDED("a mask of signals", SYS_rt_sigprocmask, 0, 0, 0, 8),
    };
#undef NEEDED

    EXPECT_ALL(cases);
}

/* -- Lists ----------------------------------------------------------------- */

static void expect_known(const char *name)
{
    if (seccomp_syscall_resolve_name(name) == __NR_SCMP_ERROR) {
        g_error("there is no system call '%s'", name);
    }
}

static void expect_all_known(const char *const *names)
{
    for (; *names; names++) {
        g_auto(GStrv) name = g_strsplit(*names, " ", -1);

        for (unsigned i = 0; name[i]; i++) {
            expect_known(name[i]);
        }
    }
}

static void test_names(void)
{
    const SandboxList *const list[] = { &sandbox_control, &sandbox_worker };

    for (unsigned i = 0; i < G_N_ELEMENTS(list); i++) {
        expect_all_known(list[i]->calls);
        for (const SandboxCheck *c = list[i]->checks; c->call; c++) {
            expect_known(c->call);
        }
    }
    expect_all_known(sandbox_hostile);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vus-sandbox-calls/names", test_names);
    g_test_add_func("/vus-sandbox-calls/programs", test_programs);
    g_test_add_func("/vus-sandbox-calls/processes", test_processes);
    g_test_add_func("/vus-sandbox-calls/kernel", test_kernel);
    g_test_add_func("/vus-sandbox-calls/files", test_files);
    g_test_add_func("/vus-sandbox-calls/sockets", test_sockets);
    g_test_add_func("/vus-sandbox-calls/needed", test_needed);
    return g_test_run();
}
