/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The system calls of the daemon's threads.
 *
 * A list has what strace has shown, and what the same library function calls
 * with another libc, kernel or clock; sandbox=log finds what is missing.  What
 * is in memory cannot be checked, only numbers.
 *
 * What runs before the process is confined is not here: reading locales and the
 * configuration, and making the sockets of metrics=.
 *
 * Threads: constants only.
 */
#include <asm/termbits.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "sandbox-impl.h"

/* Newer than some headers. */
#define BPF_PROG_BIND_MAP_COMMAND 35
#define BPF_TOKEN_CREATE_COMMAND 36
#define PR_SET_VMA_OPTION 0x53564d41

/* -- Arguments ------------------------------------------------------------- */

/* The kernel looks at the lower half of an int only. */
#define IS(index, value) \
    { index, SCMP_CMP_MASKED_EQ, UINT32_MAX, (uint32_t)(value) }
#define NONE_OF(index, bits) { index, SCMP_CMP_MASKED_EQ, bits, 0 }
#define ALL_OF(index, bits) { index, SCMP_CMP_MASKED_EQ, bits, bits }
#define IS_NULL(index) { index, SCMP_CMP_EQ, 0, 0 }

#define ONLY(name, ...) { .call = name, .args = 1, .arg = { __VA_ARGS__ } }
#define BOTH(name, ...) { .call = name, .args = 2, .arg = { __VA_ARGS__ } }
#define OWN(name) { .call = name, .own = true }

/* A thread of this process: in all namespaces that the others are in. */
#define THREAD_FLAGS (CLONE_VM | CLONE_SIGHAND | CLONE_THREAD)
#define OTHER_FLAGS \
    (CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
     CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP | CLONE_PTRACE)

/* -- The control thread, GLib's threads, the one that closes files --------- */

static const char *const control_calls[] = {
    /* Memory: malloc, stacks of threads; regions of guests that go; domains on
     * a NUMA node. */
    "brk madvise mremap munmap mbind",

    /* Threads: locks, their start and end; workers are pinned and get their
     * priority; GLib's pool copies that of who asks.  clone3 keeps its flags
     * where no filter can look: another filter says that there is none, and
     * libc calls clone instead. */
    "futex sched_yield membarrier set_robust_list get_robust_list rseq",
    "set_tid_address gettid getpid exit clone3",
    "sched_getaffinity sched_setaffinity sched_getattr sched_setattr",
    "sched_getparam sched_setparam sched_getscheduler sched_setscheduler",
    "sched_get_priority_max sched_get_priority_min getcpu",

    /* Signals: GLib takes SIGTERM, SIGINT and SIGHUP, guest-mem.c SIGBUS. */
    "rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall",
    "exit_group",

    /* Clocks, where the vDSO cannot read them; is it synchronised?  (Without
     * CAP_SYS_TIME it cannot be set.) */
    "clock_gettime clock_getres clock_nanosleep gettimeofday nanosleep time",
    "adjtimex clock_adjtime",

    /* The main loop and workers' queues: what they wait for, and what wakes
     * them. */
    "poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait",
    "epoll_pwait epoll_pwait2 eventfd2 pipe2",

    /* Kicks (kick.c). */
    "io_setup io_submit io_getevents io_destroy",

    /* Files: the configuration when it is read again, --state-dir, sockets'
     * places, /dev/net/tun, libxdp's program, names of threads, and who the
     * other end of a socket is (/proc). */
    "openat close read readv pread64 write writev pwrite64 lseek",
    "access faccessat faccessat2 stat lstat fstat newfstatat statx",
    "statfs fstatfs readlink readlinkat getcwd getdents64",
    "mkdir mkdirat unlink unlinkat rename renameat renameat2",
    "chmod fchmod fchmodat umask ftruncate fallocate flock",
    "fcntl dup dup2 dup3 memfd_create",

    /* Sockets: ports', the control socket's, metrics'; systemd's and the
     * journal's. */
    "accept accept4 bind connect listen shutdown getsockname getpeername",
    "getsockopt setsockopt recvfrom recvmsg sendto sendmsg",

    /* Who we are, and what of that is given up: also by workers, before they
     * have their own filter. */
    "getuid geteuid getgid getegid getppid capget capset uname sysinfo",
    "getrandom",
    NULL,
};

static const SandboxCheck control_checks[] = {
    /* Nothing that was data, or is in a file, becomes code. */
    ONLY("mmap", NONE_OF(2, PROT_EXEC)),
    ONLY("mprotect", NONE_OF(2, PROT_EXEC)),

    /* Threads, but no processes. */
    { .call = "clone", .args = 1, .arg = {
        { 0, SCMP_CMP_MASKED_EQ, THREAD_FLAGS | OTHER_FLAGS, THREAD_FLAGS },
    } },

    /* abort(). */
    OWN("kill"),
    OWN("tgkill"),

    /* Local sockets; AF_XDP, and what makes its interface promiscuous, which
     * receives nothing.  Not INET: metrics= has its sockets already. */
    ONLY("socket", IS(0, AF_UNIX)),
    ONLY("socket", IS(0, AF_XDP)),
    BOTH("socket", IS(0, AF_PACKET), IS(2, 0)),

    /* Interfaces: what they are (af-xdp), and taking one (tap); is standard
     * output a terminal? */
    ONLY("ioctl", IS(1, SIOCGIFINDEX)),
    ONLY("ioctl", IS(1, SIOCGIFMTU)),
    ONLY("ioctl", IS(1, SIOCETHTOOL)),
    ONLY("ioctl", IS(1, TUNSETIFF)),
    ONLY("ioctl", IS(1, TUNSETVNETHDRSZ)),
    ONLY("ioctl", IS(1, TUNSETVNETLE)),
    ONLY("ioctl", IS(1, TUNSETOFFLOAD)),
    ONLY("ioctl", IS(1, TCGETS)),
    ONLY("ioctl", IS(1, TCGETS2)),

    /* The XDP program and its map, and libbpf's look at what the kernel can;
     * none of anybody else. */
    ONLY("bpf", IS(0, BPF_MAP_CREATE)),
    ONLY("bpf", IS(0, BPF_MAP_UPDATE_ELEM)),
    ONLY("bpf", IS(0, BPF_PROG_LOAD)),
    ONLY("bpf", IS(0, BPF_BTF_LOAD)),
    ONLY("bpf", IS(0, BPF_OBJ_GET_INFO_BY_FD)),
    ONLY("bpf", IS(0, BPF_LINK_CREATE)),
    ONLY("bpf", IS(0, BPF_PROG_BIND_MAP_COMMAND)),
    ONLY("bpf", IS(0, BPF_TOKEN_CREATE_COMMAND)),

    /* Limits of this process: libbpf raises that of locked memory. */
    ONLY("prlimit64", IS(0, 0)),

    /* Names of threads and of memory; what libcap-ng gives up. */
    ONLY("prctl", IS(0, PR_SET_NAME)),
    ONLY("prctl", IS(0, PR_SET_VMA_OPTION)),
    ONLY("prctl", IS(0, PR_SET_NO_NEW_PRIVS)),
    ONLY("prctl", IS(0, PR_GET_NO_NEW_PRIVS)),
    ONLY("prctl", IS(0, PR_GET_SECUREBITS)),
    ONLY("prctl", IS(0, PR_CAPBSET_READ)),
    ONLY("prctl", IS(0, PR_CAPBSET_DROP)),
    ONLY("prctl", IS(0, PR_CAP_AMBIENT)),

    /* Workers' own filter. */
    BOTH("seccomp", IS(0, SECCOMP_SET_MODE_FILTER),
         NONE_OF(1, SECCOMP_FILTER_FLAG_NEW_LISTENER)),
    { 0 },
};

const SandboxList sandbox_control = { control_calls, control_checks };

/* -- Workers --------------------------------------------------------------- */

/*
 * A worker opens nothing and closes nothing: the control thread gives it what
 * it needs, and takes it away.
 */
static const char *const worker_calls[] = {
    /* malloc. */
    "brk madvise mremap munmap sched_getaffinity getrandom",

    /* Locks (pthread, liburcu), and their end. */
    "futex sched_yield membarrier set_robust_list rseq getcpu",
    "gettid getpid exit",

    /* SIGBUS, when a guest's memory has gone; abort(). */
    "rt_sigaction rt_sigprocmask rt_sigreturn restart_syscall exit_group",

    /* Clocks, as above. */
    "clock_gettime clock_getres clock_nanosleep gettimeofday nanosleep time",
    "adjtimex clock_adjtime",

    /* Sleeping. */
    "epoll_wait epoll_pwait epoll_pwait2 poll ppoll",

    /* Kicks. */
    "io_submit io_getevents",

    /* Frames of tap ports; waking another worker or the control thread; what
     * there is to be said before abort(). */
    "read write writev",
    NULL,
};

static const SandboxCheck worker_checks[] = {
    /* malloc, and zero pages for a guest's memory that has gone. */
    BOTH("mmap", NONE_OF(2, PROT_EXEC), ALL_OF(3, MAP_ANONYMOUS)),
    ONLY("mprotect", NONE_OF(2, PROT_EXEC)),

    OWN("tgkill"),

    /* AF_XDP: the kernel is to look at its rings; nothing is sent from
     * elsewhere, nor to another address. */
    BOTH("sendto", IS_NULL(1), IS_NULL(4)),
    BOTH("recvfrom", IS_NULL(1), IS_NULL(4)),
    { 0 },
};

const SandboxList sandbox_worker = { worker_calls, worker_checks };

/* -- What ends the process ------------------------------------------------- */

const char *const sandbox_hostile[] = {
    /* Another program in our place. */
    "execve execveat",

    /* Other processes: their memory and files. */
    "ptrace process_vm_readv process_vm_writev pidfd_getfd kcmp",

    /* The kernel itself. */
    "init_module finit_module delete_module kexec_load kexec_file_load",
    "iopl ioperm modify_ldt reboot swapon swapoff",

    /* Other namespaces and file systems. */
    "unshare setns mount umount2 pivot_root chroot move_mount open_tree",
    "fsopen fsconfig fsmount fspick open_by_handle_at",

    /* What attacks on the kernel begin with. */
    "userfaultfd add_key request_key keyctl perf_event_open",
    NULL,
};
