/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a text is JSON that can be parsed without harm.
 *
 * json-glib recurses as deep as the text does, makes invalid UTF-8 of half a
 * surrogate pair, cuts strings at \u0000 and numbers at 64 bits, and takes more
 * than JSON for JSON.  What passes here has none of that.
 *
 * Threads: any.
 */
#ifndef VUS_JSON_GUARD_H
#define VUS_JSON_GUARD_H

#include <glib.h>
#include <stdbool.h>

#define JSON_GUARD_MAX_DEPTH 32
#define JSON_GUARD_MAX_DIGITS 18    /* in a row: more would not fit int64_t */

#define JSON_GUARD_ERROR json_guard_error_quark()
GQuark json_guard_error_quark(void);

/* One value, blanks around it (RFC 8259); an error says at which byte. */
bool json_guard_check(const char *text, size_t bytes, GError **error);

#endif
