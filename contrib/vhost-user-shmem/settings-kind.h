/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ports, tenants and domains are all told with words: what reads, writes or
 * shows words of any of them is here given those of one kind.
 *
 * Threads: the control thread.
 */
#ifndef VUS_SETTINGS_KIND_H
#define VUS_SETTINGS_KIND_H

#include <glib.h>
#include <stdbool.h>

typedef struct SettingsKind {
    const char *what;           /* has them, as a group of the file says it */
    const char *const *(*keys)(void);
    const char *(*help)(const char *key);
    /* @settings are those of its kind, like PortSettings. */
    bool (*set)(void *settings, const char *key, const char *value,
                GError **error);
    char *(*get)(const void *settings, const char *key);
} SettingsKind;

extern const SettingsKind settings_of_port, settings_of_tenant,
                          settings_of_domain;

#endif
