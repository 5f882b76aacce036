/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Texts that people write, and the values they stand for.
 *
 * A text is taken as a whole or not at all: nothing follows a number, and
 * blanks are no part of it.  An error says what was expected.
 *
 * Threads: any.
 */
#ifndef VUS_PARSE_H
#define VUS_PARSE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define PARSE_ERROR parse_error_quark()
GQuark parse_error_quark(void);

#define VLAN_LAST 4094              /* 4095 is reserved */
#define MAC_TEXT_BYTES sizeof("00:00:00:00:00:00")

/* -- Numbers and words ----------------------------------------------------- */

/* Decimal. */
bool parse_number(const char *text, unsigned min, unsigned max, unsigned *to,
                  GError **error);

/* "2500000", "2500k" or "2.5M"; k, M, G and T are powers of 1000.  Up to @max,
 * and a whole number. */
bool parse_rate(const char *text, uint64_t max, uint64_t *to, GError **error);

/* The shortest text for it; the caller frees it. */
char *format_rate(uint64_t rate);

/* One of @words, which ends with NULL: its index. */
bool parse_word(const char *text, const char *const *words, unsigned *to,
                GError **error);

/*
 * "10,20-29": each number once, in the order given, as unsigned; NULL with
 * @error set.
 */
GArray *parse_ranges(const char *text, unsigned min, unsigned max,
                     GError **error);

/* The same the other way round; the caller frees it. */
char *format_ranges(const unsigned *numbers, unsigned n);

/* -- Addresses ------------------------------------------------------------- */

/* "52:54:00:12:34:56", of one interface: neither a group nor zero. */
bool parse_mac(const char *text, uint8_t mac[6], GError **error);
void format_mac(const uint8_t mac[6], char to[MAC_TEXT_BYTES]);

/* "52:54:00:12:34:56" or "52:54:00:12:34:56/10": an address of a VLAN, or of
 * none (0). */
bool parse_mac_vlan(const char *text, uint8_t mac[6], uint16_t *vlan,
                    GError **error);
char *format_mac_vlan(const uint8_t mac[6], uint16_t vlan);

/* -- Bytes ----------------------------------------------------------------- */

/* "c0ffee"; NULL with @error set. */
GBytes *parse_hex(const char *text, GError **error);
char *format_hex(const uint8_t *data, size_t bytes);

#endif
