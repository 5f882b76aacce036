/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The words of a port's settings: one table has each word's name, reader,
 * writer and help.  Whoever uses settings needs port-settings.h only.
 *
 * Threads: constant.
 */
#ifndef VUS_PORT_WORDS_H
#define VUS_PORT_WORDS_H

#include "port-settings.h"

typedef struct PortWord PortWord;

struct PortWord {
    const char *key;
    const char *type;               /* of ports that have it, with commas;
                                     * NULL: all */
    const char *needs;              /* makes no sense without this one */
    bool fixed;                     /* when the port is made */
    /* May leave @s half changed when it fails: it is a copy.  "" comes only
     * if the default is none, and stands for it. */
    bool (*set)(const PortWord *word, PortSettings *s, const char *value,
                GError **error);
    char *(*get)(const PortWord *word, const PortSettings *s); /* NULL: none */
    size_t at;                      /* in PortSettings */
    uint64_t min, max;              /* numbers */
    const char *const *values;      /* one of these; bool: the one for false
                                     * comes first */
    bool (*check)(const char *value, GError **error);       /* texts */
    const char *help;
};

#define PORT_WORDS_MAX 64

extern const PortWord port_words[];
extern const unsigned port_words_n;     /* up to PORT_WORDS_MAX */

#endif
