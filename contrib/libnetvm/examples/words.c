/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "words.h"

bool words_number(const char *text, uint64_t most, uint64_t *number)
{
    uint64_t n = 0;

    if (!*text) {
        return false;
    }
    for (; *text; text++) {
        unsigned digit = (unsigned char)*text - '0';

        if (digit > 9 || n > (UINT64_MAX - digit) / 10) {
            return false;
        }
        n = n * 10 + digit;
    }
    *number = n;
    return n <= most;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool words_mac(const char *text, uint8_t mac[6])
{
    uint8_t read[6];

    for (unsigned i = 0; i < 6; i++, text += 3) {
        int high = hex_digit(text[0]);
        int low = high < 0 ? -1 : hex_digit(text[1]);

        if (low < 0 || text[2] != (i < 5 ? ':' : '\0')) {
            return false;
        }
        read[i] = high << 4 | low;
    }
    memcpy(mac, read, 6);
    return true;
}

/* Are all bits behind the first @bits zero? */
static bool is_clean(const uint8_t *address, unsigned bits, unsigned bytes)
{
    for (unsigned i = bits; i < bytes * 8; i++) {
        if (address[i / 8] >> (7 - i % 8) & 1) {
            return false;
        }
    }
    return true;
}

bool words_prefix(const char *text, struct prefix *prefix)
{
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchrnul(text, '/');
    size_t length = slash - text;
    uint64_t bits;
    unsigned bytes;

    if (length >= sizeof(address)) {
        return false;
    }
    memcpy(address, text, length);
    address[length] = '\0';
    *prefix = (struct prefix) { 0 };
    if (inet_pton(AF_INET, address, prefix->address) == 1) {
        prefix->family = 4;
        bytes = 4;
    } else if (inet_pton(AF_INET6, address, prefix->address) == 1) {
        prefix->family = 6;
        bytes = 16;
    } else {
        return false;
    }
    bits = bytes * 8;
    if (*slash && !words_number(slash + 1, bytes * 8, &bits)) {
        return false;
    }
    prefix->bits = bits;
    return is_clean(prefix->address, bits, bytes);
}

bool prefix_has(const struct prefix *prefix, const uint8_t *address)
{
    unsigned bytes = prefix->bits / 8, rest = prefix->bits % 8;

    return memcmp(prefix->address, address, bytes) == 0 &&
           (rest == 0 ||
            (prefix->address[bytes] ^ address[bytes]) >> (8 - rest) == 0);
}

/* -- Files ----------------------------------------------------------------- */

static bool take_line(char *text, words_line line, void *opaque,
                      char error[WORDS_ERROR_BYTES])
{
    char *word[WORDS_MAX + 1], *rest;
    unsigned words = 0;

    text[strcspn(text, "#\n")] = '\0';
    for (char *w = strtok_r(text, " \t\r", &rest); w;
         w = strtok_r(NULL, " \t\r", &rest)) {
        if (words == WORDS_MAX) {
            snprintf(error, WORDS_ERROR_BYTES, "more than %d words in a line",
                     WORDS_MAX);
            return false;
        }
        word[words++] = w;
    }
    word[words] = NULL;
    return words == 0 || line(opaque, word, words, error);
}

bool words_file(const char *path, words_line line, void *opaque,
                char error[WORDS_ERROR_BYTES])
{
    FILE *file = fopen(path, "re");
    char *text = NULL, why[WORDS_ERROR_BYTES];
    size_t text_bytes = 0;
    unsigned number = 0;
    bool good = true;

    if (!file) {
        snprintf(error, WORDS_ERROR_BYTES, "%s: %s", path, strerror(errno));
        return false;
    }
    while (good && getline(&text, &text_bytes, file) >= 0) {
        number++;
        good = take_line(text, line, opaque, why);
    }
    if (!good) {
        snprintf(error, WORDS_ERROR_BYTES, "%.100s:%u: %.200s", path, number,
                 why);
    } else if (ferror(file)) {
        snprintf(error, WORDS_ERROR_BYTES, "%s: %s", path, strerror(errno));
        good = false;
    }
    free(text);
    fclose(file);
    return good;
}
