/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lists of system calls, for what makes filters of them and for tests.
 *
 * Threads: constants only.
 */
#ifndef VUS_SANDBOX_IMPL_H
#define VUS_SANDBOX_IMPL_H

#include <seccomp.h>

#include "sandbox.h"

#define SANDBOX_MAX_ARGS 2

/* A call that is allowed only with such arguments; if it is there several
 * times, each of them is enough. */
typedef struct SandboxCheck {
    const char *call;
    bool own;                   /* the first argument is this process's id */
    unsigned args;
    struct scmp_arg_cmp arg[SANDBOX_MAX_ARGS];
} SandboxCheck;

/* Names that this architecture or libseccomp does not know stand for nothing:
 * nobody can call them. */
typedef struct SandboxList {
    const char *const *calls;   /* names with blanks between; ends with NULL */
    const SandboxCheck *checks; /* ends with a NULL call */
} SandboxList;

extern const SandboxList sandbox_control;       /* and what it starts */
extern const SandboxList sandbox_worker;
extern const char *const sandbox_hostile[];     /* as calls above */

#endif
