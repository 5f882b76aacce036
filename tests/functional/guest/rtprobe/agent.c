/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * "agent": PID 1 of a test guest.  Runs shell commands that come over a serial
 * line and sends back what they print, any number of them at a time.
 *
 * The line is eight-bit clean.  Both directions carry a header line and, where
 * it ends in a length, as many bytes:
 *
 *   host:   run ID BYTES      a command for /bin/sh -c
 *           stdin ID BYTES    input for it, what a pipe holds (64 KiB) at a
 *                             time; 0 bytes close its stdin
 *           kill ID SIGNAL    to the command's process group
 *   guest:  ready             at start: the guest has booted, or rebooted
 *           out ID BYTES      from the command's stdout
 *           err ID BYTES      from its stderr
 *           exit ID STATUS    as $? in a shell: 128 + signal if killed
 *
 * IDs are the host's choice, from 0 to MAX_COMMANDS - 1, free again after exit.
 * The host must keep reading; the agent waits for it.
 *
 * Threads: none; one poll() loop.
 */
#define _GNU_SOURCE
#include "rtprobe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define MAX_COMMANDS 32
#define MAX_REQUEST_BYTES (1u << 20)
#define HEADER_BYTES 64

typedef struct Command {
    pid_t pid;                  /* 0: this ID is free */
    int in_fd;                  /* -1: closed */
    int out_fds[2];             /* stdout, stderr; -1: closed */
} Command;

static Command commands[MAX_COMMANDS];
static const char *const out_names[2] = { "out", "err" };
static int line_fd;

/* -- The line -------------------------------------------------------------- */

static void write_all(int fd, const void *data, size_t bytes)
{
    const uint8_t *p = data;

    while (bytes) {
        ssize_t n = write(fd, p, bytes);

        if (n < 0 && errno != EINTR) {
            return;             /* a command that closed its stdin */
        }
        p += n > 0 ? n : 0;
        bytes -= n > 0 ? n : 0;
    }
}

static void tell(const char *what, unsigned id, unsigned number,
                 const void *data, size_t bytes)
{
    char header[HEADER_BYTES];

    write_all(line_fd, header, snprintf(header, sizeof(header), "%s %u %u\n",
                                        what, id, number));
    write_all(line_fd, data, bytes);
}

static int open_line(const char *path)
{
    struct termios tio;
    int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (fd < 0 || tcgetattr(fd, &tio)) {
        die(true, "cannot use serial line %s", path);
    }
    cfmakeraw(&tio);
    cfsetspeed(&tio, B115200);
    tio.c_cflag |= CLOCAL | CREAD;
    tio.c_cc[VMIN] = 1;
    tio.c_cc[VTIME] = 0;
    tcsetattr(fd, TCSANOW, &tio);
    tcflush(fd, TCIFLUSH);
    return fd;
}

/* -- Commands -------------------------------------------------------------- */

static void start(unsigned id, const char *text)
{
    Command *c = &commands[id];
    int in[2], out[2], err[2];
    sigset_t none;

    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) ||
        pipe2(err, O_CLOEXEC)) {
        die(true, "cannot make pipes");
    }
    c->pid = fork();
    if (c->pid < 0) {
        die(true, "cannot fork");
    }
    /* Both sides, so that neither a kill nor the command comes too early. */
    setpgid(c->pid, c->pid);
    if (c->pid == 0) {
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        signal(SIGPIPE, SIG_DFL);
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        dup2(err[1], STDERR_FILENO);
        execl("/bin/sh", "sh", "-c", text, NULL);
        die(true, "cannot run /bin/sh");
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    c->in_fd = in[1];
    c->out_fds[0] = out[0];
    c->out_fds[1] = err[0];
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    fcntl(err[0], F_SETFL, O_NONBLOCK);
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

/* Pass on what the command has printed so far. */
static void forward(unsigned id, unsigned stream)
{
    static uint8_t data[4096];
    int *fd = &commands[id].out_fds[stream];
    ssize_t n = -1;

    while (*fd >= 0 && (n = read(*fd, data, sizeof(data))) > 0) {
        tell(out_names[stream], id, n, data, n);
    }
    if (n == 0) {
        close_fd(fd);
    }
}

/* PID 1 also inherits orphans: they are reaped, and nobody asks for them. */
static void reap(void)
{
    pid_t pid;
    int status;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (unsigned id = 0; id < MAX_COMMANDS; id++) {
            Command *c = &commands[id];

            if (c->pid != pid) {
                continue;
            }
            forward(id, 0);
            forward(id, 1);
            close_fd(&c->in_fd);
            close_fd(&c->out_fds[0]);
            close_fd(&c->out_fds[1]);
            c->pid = 0;
            tell("exit", id, WIFSIGNALED(status) ? 128 + WTERMSIG(status)
                                                 : WEXITSTATUS(status),
                 NULL, 0);
        }
    }
}

/* -- Requests -------------------------------------------------------------- */

static void handle(const char *verb, unsigned id, unsigned number,
                   const char *data)
{
    Command *c = &commands[id];

    if (!strcmp(verb, "run") && !c->pid) {
        start(id, data);
    } else if (!strcmp(verb, "stdin") && c->pid && c->in_fd >= 0) {
        if (number) {
            write_all(c->in_fd, data, number);
        } else {
            close_fd(&c->in_fd);
        }
    } else if (!strcmp(verb, "kill") && c->pid) {
        kill(-c->pid, number);
    }
}

/*
 * Take whole requests out of @buffer (@used bytes, with room for a NUL);
 * returns how many bytes are left, moved to its start.
 */
static size_t handle_requests(char *buffer, size_t used)
{
    char *end;

    while ((end = memchr(buffer, '\n', used))) {
        size_t header_bytes = end + 1 - buffer, data_bytes = 0;
        unsigned id, number;
        char verb[8], saved;

        *end = '\0';
        if (sscanf(buffer, "%7s %u %u", verb, &id, &number) != 3 ||
            id >= MAX_COMMANDS) {
            die(false, "the host sent '%.40s', which is no request", buffer);
        }
        if (strcmp(verb, "kill")) {
            data_bytes = number;
        }
        if (header_bytes + data_bytes > MAX_REQUEST_BYTES) {
            die(false, "the host's request is longer than %u bytes",
                MAX_REQUEST_BYTES);
        }
        if (used < header_bytes + data_bytes) {
            *end = '\n';
            break;
        }
        saved = end[1 + data_bytes];
        end[1 + data_bytes] = '\0';
        handle(verb, id, number, end + 1);
        end[1 + data_bytes] = saved;
        used -= header_bytes + data_bytes;
        memmove(buffer, end + 1 + data_bytes, used);
    }
    return used;
}

int mode_agent(int argc, char **argv)
{
    Option o[] = { { "line", NULL, "serial device" } };
    static char buffer[MAX_REQUEST_BYTES + 1];
    struct pollfd pfds[2 + 2 * MAX_COMMANDS];
    size_t used = 0;
    sigset_t child;
    int child_fd;

    parse_options(argc, argv, o, 1);
    line_fd = open_line(o[0].value);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    child_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    write_all(line_fd, "ready\n", 6);

    for (;;) {
        struct signalfd_siginfo info;
        nfds_t n = 2;

        pfds[0] = (struct pollfd) { .fd = line_fd, .events = POLLIN };
        pfds[1] = (struct pollfd) { .fd = child_fd, .events = POLLIN };
        for (unsigned i = 0; i < 2 * MAX_COMMANDS; i++, n++) {
            Command *c = &commands[i / 2];

            pfds[n] = (struct pollfd) {
                .fd = c->pid ? c->out_fds[i % 2] : -1,
                .events = POLLIN,
            };
        }
        if (poll(pfds, n, -1) < 0) {
            continue;
        }
        for (unsigned i = 0; i < 2 * MAX_COMMANDS; i++) {
            if (pfds[2 + i].revents) {
                forward(i / 2, i % 2);
            }
        }
        if (pfds[1].revents) {
            while (read(child_fd, &info, sizeof(info)) > 0) {
            }
            reap();
        }
        if (pfds[0].revents) {
            ssize_t got = read(line_fd, buffer + used,
                               MAX_REQUEST_BYTES - used);

            if (got > 0) {
                used = handle_requests(buffer, used + got);
            }
        }
    }
}
