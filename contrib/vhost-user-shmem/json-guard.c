/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "json-guard.h"

G_DEFINE_QUARK(vus-json-guard-error-quark, json_guard_error)

typedef struct Reader {
    const char *begin, *at, *end;
    const char *expected;       /* at @at, when it fails */
    unsigned depth;
    bool is_object[JSON_GUARD_MAX_DEPTH];
} Reader;

static bool fail(Reader *r, const char *expected)
{
    r->expected = expected;
    return false;
}

static bool next_is(const Reader *r, char c)
{
    return r->at < r->end && *r->at == c;
}

static bool take(Reader *r, char c)
{
    if (next_is(r, c)) {
        r->at++;
        return true;
    }
    return false;
}

static void skip_blanks(Reader *r)
{
    while (r->at < r->end && strchr(" \t\r\n", *r->at) && *r->at) {
        r->at++;
    }
}

/* -- Strings --------------------------------------------------------------- */

static bool read_hex(Reader *r, unsigned *code)
{
    *code = 0;
    for (unsigned i = 0; i < 4; i++, r->at++) {
        if (r->at == r->end || !g_ascii_isxdigit(*r->at)) {
            return fail(r, "four hexadecimal digits");
        }
        *code = *code << 4 | g_ascii_xdigit_value(*r->at);
    }
    return true;
}

/* Behind "\u". */
static bool read_code(Reader *r)
{
    const char *at = r->at;
    unsigned code, low;

    if (!read_hex(r, &code)) {
        return false;
    }
    if (code == 0) {
        r->at = at;
        return fail(r, "another character than 0, which nothing here can "
                    "have,");
    }
    if (code < 0xd800 || code > 0xdfff) {
        return true;
    }
    if (code > 0xdbff || !take(r, '\\') || !take(r, 'u') ||
        !read_hex(r, &low) || low < 0xdc00 || low > 0xdfff) {
        r->at = at;
        return fail(r, "a whole pair of surrogates");
    }
    return true;
}

static bool read_string(Reader *r)
{
    if (!take(r, '"')) {
        return fail(r, "a string");
    }
    while (!take(r, '"')) {
        if (r->at == r->end) {
            return fail(r, "the string's closing '\"'");
        }
        if ((unsigned char)*r->at < 0x20) {
            return fail(r, "a control character written as \\u00XX");
        }
        if (!take(r, '\\')) {
            r->at++;
        } else if (take(r, 'u')) {
            if (!read_code(r)) {
                return false;
            }
        } else if (r->at == r->end || !*r->at ||
                   !strchr("\"\\/bfnrt", *r->at)) {
            return fail(r, "one of \" \\ / b f n r t u behind the '\\'");
        } else {
            r->at++;
        }
    }
    return true;
}

/* -- Numbers and words ----------------------------------------------------- */

static bool read_digits(Reader *r)
{
    const char *begin = r->at;

    while (r->at < r->end && g_ascii_isdigit(*r->at)) {
        r->at++;
    }
    if (r->at - begin > JSON_GUARD_MAX_DIGITS) {
        r->at = begin;
        return fail(r, "a number of at most "
                    G_STRINGIFY(JSON_GUARD_MAX_DIGITS) " digits");
    }
    return r->at > begin || fail(r, "a digit");
}

static bool read_number(Reader *r)
{
    take(r, '-');
    if (!take(r, '0') && !read_digits(r)) {
        return false;
    }
    if (take(r, '.') && !read_digits(r)) {
        return false;
    }
    if (take(r, 'e') || take(r, 'E')) {
        if (!take(r, '+')) {
            take(r, '-');
        }
        return read_digits(r);
    }
    return true;
}

static bool read_word(Reader *r)
{
    static const char *const word[] = { "true", "false", "null" };

    for (unsigned i = 0; i < G_N_ELEMENTS(word); i++) {
        size_t bytes = strlen(word[i]);

        if ((size_t)(r->end - r->at) >= bytes &&
            !memcmp(r->at, word[i], bytes)) {
            r->at += bytes;
            return true;
        }
    }
    return fail(r, "a value");
}

/* -- Values ---------------------------------------------------------------- */

/* "KEY":, up to the value. */
static bool read_key(Reader *r)
{
    skip_blanks(r);
    if (!read_string(r)) {
        return false;
    }
    skip_blanks(r);
    if (!take(r, ':')) {
        return fail(r, "':'");
    }
    return true;
}

/* A value without parts, or the beginning of one that has some; *@open: it is
 * not at its end. */
static bool read_value(Reader *r, bool *open)
{
    *open = false;
    skip_blanks(r);
    if (next_is(r, '"')) {
        return read_string(r);
    }
    if (next_is(r, '-') || (r->at < r->end && g_ascii_isdigit(*r->at))) {
        return read_number(r);
    }
    if (!next_is(r, '{') && !next_is(r, '[')) {
        return read_word(r);
    }
    if (r->depth == JSON_GUARD_MAX_DEPTH) {
        return fail(r, "nothing nested deeper than "
                    G_STRINGIFY(JSON_GUARD_MAX_DEPTH) " levels");
    }
    r->is_object[r->depth] = *r->at++ == '{';
    skip_blanks(r);
    if (take(r, r->is_object[r->depth] ? '}' : ']')) {
        return true;
    }
    *open = true;
    return !r->is_object[r->depth++] || read_key(r);
}

/* Behind a value: what is closed there, and up to the next value, if any. */
static bool read_between(Reader *r)
{
    while (r->depth > 0) {
        bool is_object = r->is_object[r->depth - 1];

        skip_blanks(r);
        if (take(r, ',')) {
            return !is_object || read_key(r);
        }
        if (!take(r, is_object ? '}' : ']')) {
            return fail(r, is_object ? "',' or '}'" : "',' or ']'");
        }
        r->depth--;
    }
    return true;
}

static bool read_text(Reader *r)
{
    bool open;

    do {
        if (!read_value(r, &open) || (!open && !read_between(r))) {
            return false;
        }
    } while (open || r->depth > 0);
    skip_blanks(r);
    return r->at == r->end || fail(r, "nothing behind the value");
}

bool json_guard_check(const char *text, size_t bytes, GError **error)
{
    Reader r = { .begin = text, .at = text, .end = text + bytes };
    const char *valid;

    if (!g_utf8_validate(text, bytes, &valid)) {
        g_set_error(error, JSON_GUARD_ERROR, 0,
                    "byte %zu: not valid UTF-8", (size_t)(valid - text) + 1);
        return false;
    }
    if (!read_text(&r)) {
        g_set_error(error, JSON_GUARD_ERROR, 0, "byte %zu: %s is expected",
                    (size_t)(r.at - r.begin) + 1, r.expected);
        return false;
    }
    return true;
}
