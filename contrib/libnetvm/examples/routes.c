/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "routes.h"

#define SAY(error, ...) snprintf(error, WORDS_ERROR_BYTES, __VA_ARGS__)

/* What follows the MAC: words in pairs. */
static bool read_pair(struct route *r, const char *key, const char *value,
                      char error[WORDS_ERROR_BYTES])
{
    if (!value) {
        SAY(error, "\"%.60s\" is the last word: something has to follow", key);
        return false;
    }
    if (strcmp(key, "src") == 0) {
        if (r->has_source || !words_mac(value, r->source)) {
            SAY(error, "src %.60s: say one MAC address, like "
                "02:00:00:00:00:01", value);
            return false;
        }
        r->has_source = true;
        return true;
    }
    if (strcmp(key, "member") != 0 && strcmp(key, "out") != 0 &&
        strcmp(key, "service") != 0) {
        SAY(error, "\"%.60s\": say member, out, service or src", key);
        return false;
    }
    if (r->has_target) {
        SAY(error, "%.60s %.60s: a route leads to one place only", key, value);
        return false;
    }
    r->has_target = true;
    return target_parse(key, value, &r->target, error);
}

static bool grow(struct routes *rs)
{
    uint32_t max = rs->max ? rs->max * 2 : 16;
    struct route *route;

    if (rs->n < rs->max) {
        return true;
    }
    route = realloc(rs->route, max * sizeof(*route));
    if (!route) {
        return false;
    }
    rs->route = route;
    rs->max = max;
    return true;
}

static bool read_line(void *opaque, char **word, unsigned words,
                      char error[WORDS_ERROR_BYTES])
{
    struct routes *rs = opaque;
    struct route r = { 0 };
    struct prefix prefix;
    int status;

    if (!words_prefix(word[0], &prefix)) {
        SAY(error, "\"%.60s\": say a prefix like 192.0.2.0/24 or 2001:db8::/32,"
            " with no bits behind its length", word[0]);
        return false;
    }
    if (words < 3 || strcmp(word[1], "via") != 0 ||
        !words_mac(word[2], r.mac)) {
        SAY(error, "\"via\" and a MAC address, like 02:00:00:00:00:01, have to "
            "follow the prefix");
        return false;
    }
    for (unsigned i = 3; i < words; i += 2) {
        if (!read_pair(&r, word[i], word[i + 1], error)) {
            return false;
        }
    }
    status = grow(rs) ? lpm_add(rs->lpm, &prefix, rs->n) : -ENOMEM;
    if (status < 0) {
        SAY(error, "%.60s: %s", word[0],
            status == -EEXIST ? "there is a route for this prefix already: "
                                "remove one" : "out of memory");
        return false;
    }
    rs->route[rs->n++] = r;
    return true;
}

struct routes *routes_read(const char *path, char error[WORDS_ERROR_BYTES])
{
    struct routes *rs = calloc(1, sizeof(*rs));

    if (rs) {
        rs->lpm = lpm_new();
    }
    if (!rs || !rs->lpm) {
        SAY(error, "out of memory");
        routes_free(rs);
        return NULL;
    }
    if (!words_file(path, read_line, rs, error)) {
        routes_free(rs);
        return NULL;
    }
    return rs;
}

void routes_free(struct routes *rs)
{
    if (rs) {
        lpm_free(rs->lpm);
        free(rs->route);
        free(rs);
    }
}
