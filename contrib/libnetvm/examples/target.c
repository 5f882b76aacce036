/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "target.h"

bool target_parse(const char *kind, const char *name, struct target *to,
                  char error[WORDS_ERROR_BYTES])
{
    struct target read = { .action = NETVM_OUT };
    uint64_t number;

    if (strcmp(kind, "out") == 0) {
        if (!words_number(name, NETVM_NO_PORT - 1, &number)) {
            snprintf(error, WORDS_ERROR_BYTES, "out %.100s: say the number of "
                     "one of the daemon's ports", name);
            return false;
        }
        read.number = number;
        *to = read;
        return true;
    }
    read.action = strcmp(kind, "member") == 0 ? NETVM_TO_MEMBER
                                              : NETVM_TO_SERVICE;
    if (strlen(name) >= NETVM_NAME_BYTES || !*name) {
        snprintf(error, WORDS_ERROR_BYTES, "%.20s %.100s: a name has 1 to %d "
                 "characters", kind, name, NETVM_NAME_BYTES - 1);
        return false;
    }
    strcpy(read.name, name);
    read.number = -ENOENT;
    *to = read;
    return true;
}
