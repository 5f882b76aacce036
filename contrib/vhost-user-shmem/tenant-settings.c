/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "parse.h"
#include "port-settings.h"
#include "rtnet/edf-admission.h"
#include "tenant-settings.h"

typedef struct Word {
    const char *key;
    size_t at;                      /* in TenantSettings */
    uint64_t max;
    const char *help;
} Word;

static const Word words[] = {
    { "tx-limit-bps", offsetof(TenantSettings, tx_limit_bps),
      EDF_RATE_MAX_BPS,
      "most that is taken from all its ports together; 0: no limit" },
    { "tx-limit-pps", offsetof(TenantSettings, tx_limit_pps), RATE_MAX_PPS,
      "most frames per second that are taken; 0: no limit" },
    { "guarantee-bps", offsetof(TenantSettings, guarantee_bps),
      EDF_RATE_MAX_BPS,
      "what they may send by each link with a rate, whoever floods" },
    { "guarantee-pps", offsetof(TenantSettings, guarantee_pps), RATE_MAX_PPS,
      "the same in frames per second" },
    { "rx-limit-bps", offsetof(TenantSettings, rx_limit_bps),
      EDF_RATE_MAX_BPS,
      "most that is sent to all its ports together; 0: no limit" },
    { "rx-limit-pps", offsetof(TenantSettings, rx_limit_pps), RATE_MAX_PPS,
      "most frames per second that are sent to them; 0: no limit" },
};

static const Word *find_word(const char *key)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        if (!strcmp(key, words[i].key)) {
            return &words[i];
        }
    }
    return NULL;
}

const char *const *tenant_settings_keys(void)
{
    static const char *keys[G_N_ELEMENTS(words) + 1];

    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        keys[i] = words[i].key;
    }
    return keys;
}

const char *tenant_settings_help(const char *key)
{
    const Word *word = find_word(key);

    return word ? word->help : NULL;
}

bool tenant_settings_set(TenantSettings *s, const char *key,
                         const char *value, GError **error)
{
    const Word *word = find_word(key);
    uint64_t rate = 0;

    if (!word) {
        g_autofree char *all = g_strjoinv(", ",
                                          (char **)tenant_settings_keys());

        g_set_error(error, PORT_SETTINGS_ERROR, 0,
                    "a tenant has no setting '%s'; it has %s", key, all);
        return false;
    }
    if (*value && !parse_rate(value, word->max, &rate, error)) {
        g_prefix_error(error, "%s=%s: ", key, value);
        return false;
    }
    *(uint64_t *)((char *)s + word->at) = rate;
    return true;
}

char *tenant_settings_get(const TenantSettings *s, const char *key)
{
    const Word *word = find_word(key);
    uint64_t rate = word ? *(const uint64_t *)((const char *)s + word->at) : 0;

    return rate > 0 ? format_rate(rate) : NULL;
}
