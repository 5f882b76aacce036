/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Words of a command line or of a file's line: numbers, MAC addresses,
 * prefixes.
 *
 * Threads: any.
 */
#ifndef WORDS_H
#define WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORDS_MAX 24                /* of a line */
#define WORDS_ERROR_BYTES 320

/* An IPv4 or IPv6 prefix; the address has no bits beyond it. */
struct prefix {
    uint8_t family;                 /* 4 or 6 */
    uint8_t bits;                   /* up to 32 or 128 */
    uint8_t address[16];            /* the first 4 of them for IPv4 */
};

/* False: @text is something else.  No blanks, no signs, at most @most. */
bool words_number(const char *text, uint64_t most, uint64_t *number);
bool words_mac(const char *text, uint8_t mac[6]);
/* ADDRESS or ADDRESS/BITS. */
bool words_prefix(const char *text, struct prefix *prefix);

/* Does @address, of that family, begin with the prefix? */
bool prefix_has(const struct prefix *prefix, const uint8_t *address);

/*
 * Hands the words of each line that has some to @line, with NULL behind the
 * last; "#" begins a comment.  It says false, with a text in @error, if it does
 * not take them.  Returns false then, or if the file cannot be read, with file
 * and line in @error.
 */
typedef bool (*words_line)(void *opaque, char **word, unsigned words,
                           char error[WORDS_ERROR_BYTES]);

bool words_file(const char *path, words_line line, void *opaque,
                char error[WORDS_ERROR_BYTES]);

#endif
