/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where packets are sent on, in words: "out PORT", "member NAME" or "service
 * NAME".  Members come and go: the number behind a name is looked up again now
 * and then (nf.h).
 *
 * Threads: any.
 */
#ifndef TARGET_H
#define TARGET_H

#include "rtnet/netvm-abi.h"
#include "words.h"

struct target {
    enum netvm_action action;       /* NETVM_OUT, NETVM_TO_MEMBER,
                                     * NETVM_TO_SERVICE; NETVM_NEXT: the next
                                     * hop if the packet has a chain, else the
                                     * switch; NETVM_SWITCH */
    char name[NETVM_NAME_BYTES];    /* of the member or service */
    int number;                     /* of it, or of the port; negative: nobody
                                     * has that name now */
};

/* The place that @kind ("out", "member", "service") and @name say; false: none,
 * with a text in @error. */
bool target_parse(const char *kind, const char *name, struct target *to,
                  char error[WORDS_ERROR_BYTES]);

#endif
