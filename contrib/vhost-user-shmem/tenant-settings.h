/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a user can say of a tenant: the bandwidth that its ports share.  Words
 * as those of ports (port-settings.h), all of them rates.
 *
 * Threads: the control thread.
 */
#ifndef VUS_TENANT_SETTINGS_H
#define VUS_TENANT_SETTINGS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* 0: no limit, or no guarantee. */
typedef struct TenantSettings {
    uint64_t tx_limit_bps, tx_limit_pps;
    uint64_t guarantee_bps, guarantee_pps;
    uint64_t rx_limit_bps, rx_limit_pps;
} TenantSettings;

/* One word; "" is 0.  False with @error set: @s is as it was. */
bool tenant_settings_set(TenantSettings *s, const char *key,
                         const char *value, GError **error);

/* As it would be set, or NULL if it is 0; the caller frees it. */
char *tenant_settings_get(const TenantSettings *s, const char *key);

/* All keys, in the order in which they are shown; ends with NULL. */
const char *const *tenant_settings_keys(void);

/* One line of help for @key. */
const char *tenant_settings_help(const char *key);

#endif
