/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox-bed.h"

void confine(SandboxMode mode, bool as_worker)
{
    struct rlimit no_core = { 0, 0 };
    g_autoptr(GError) error = NULL;

    setrlimit(RLIMIT_CORE, &no_core);
    if (!sandbox_confine_process(mode, &error) ||
        (as_worker && !sandbox_confine_worker(&error))) {
        g_error("%s", error->message);
    }
}

Outcome outcome_of(pid_t child)
{
    int status;

    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    if (WIFSIGNALED(status)) {
        g_assert_cmpint(WTERMSIG(status), ==, SIGSYS);
        return KILLS;
    }
    return WEXITSTATUS(status);
}

void in_child(void (*test)(void))
{
    pid_t child = fork();

    if (child == 0) {
        test();
        syscall(SYS_exit_group, PASSES);
    }
    g_assert_cmpint(outcome_of(child), ==, PASSES);
}
