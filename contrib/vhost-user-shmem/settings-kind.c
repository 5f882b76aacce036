/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netvm/domain-settings.h"
#include "port-settings.h"
#include "settings-kind.h"
#include "tenant-settings.h"

/* KIND has KIND_settings_set() and its like. */
#define SETTINGS_OF(kind) \
    static bool set_of_##kind(void *settings, const char *key, \
                              const char *value, GError **error) \
    { \
        return kind##_settings_set(settings, key, value, error); \
    } \
    static char *get_of_##kind(const void *settings, const char *key) \
    { \
        return kind##_settings_get(settings, key); \
    } \
    const SettingsKind settings_of_##kind = { \
        #kind, kind##_settings_keys, kind##_settings_help, set_of_##kind, \
        get_of_##kind, \
    };

SETTINGS_OF(port)
SETTINGS_OF(tenant)
SETTINGS_OF(domain)
