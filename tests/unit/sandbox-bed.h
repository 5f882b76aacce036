/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processes that are confined, for a test each.
 *
 * Threads: single, but for those that a test starts.
 */
#ifndef SANDBOX_BED_H
#define SANDBOX_BED_H

#include <sys/types.h>

#include "sandbox.h"

#ifndef __has_feature
#define __has_feature(name) 0
#endif

/* A sanitizer has to have its own calls: sandbox=auto is off then. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#else
#define IS_SANITIZED 0
#endif

/* What comes of a system call. */
typedef enum Outcome { PASSES, REFUSED, KILLS } Outcome;

/* This process, and its thread as a worker. */
void confine(SandboxMode mode, bool as_worker);

/* Of a child that ends: its exit status, or KILLS for SIGSYS. */
Outcome outcome_of(pid_t child);

/* Run @test in a process of its own, which has to come to its end. */
void in_child(void (*test)(void));

#endif
