/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a user can say of a domain.  Words as those of ports (port-settings.h).
 *
 * Threads: the control thread.
 */
#ifndef VUS_DOMAIN_SETTINGS_H
#define VUS_DOMAIN_SETTINGS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum DomainPages {
    DOMAIN_PAGES_AUTO,              /* huge, else ordinary ones */
    DOMAIN_PAGES_HUGE,
    DOMAIN_PAGES_ORDINARY,
} DomainPages;

#define DOMAIN_NODES 1024           /* as many as Linux can have */
#define DOMAIN_NODE_ANY UINT32_MAX

typedef struct DomainSettings {
    unsigned buffers;               /* at least; may grow while it lives */
    unsigned buffer_bytes;          /* a power of two */
    unsigned ring_descs;            /* a power of two */
    unsigned members;               /* at most */
    bool direct;                    /* members may send to each other */
    unsigned balance;               /* enum netvm_balance */
    unsigned pages;                 /* DomainPages */
    unsigned node;                  /* NUMA, of segments that are made;
                                     * DOMAIN_NODE_ANY */
} DomainSettings;

void domain_settings_init(DomainSettings *s);       /* defaults */

/* One word; "" is its default.  False with @error set: @s is as it was. */
bool domain_settings_set(DomainSettings *s, const char *key,
                         const char *value, GError **error);

/* As it would be set, or NULL if it is the default; the caller frees it. */
char *domain_settings_get(const DomainSettings *s, const char *key);

/* May @to follow on @from while the domain lives?  Names what may not. */
bool domain_settings_may_follow(const DomainSettings *from,
                                const DomainSettings *to, GError **error);

/* All keys, in the order in which they are shown; ends with NULL. */
const char *const *domain_settings_keys(void);

/* One line of help for @key. */
const char *domain_settings_help(const char *key);

#endif
