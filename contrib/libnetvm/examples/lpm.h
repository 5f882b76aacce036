/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Longest prefix match: for each length that is used, longest first, a hash
 * table of the prefixes of that length.  An address costs one look for each
 * length in use, which are few, and memory is as much as there are prefixes.
 *
 * Threads: any that find; one at a time, and no others, that adds.
 */
#ifndef LPM_H
#define LPM_H

#include "words.h"

#define LPM_NONE UINT32_MAX

struct lpm;

/* NULL: out of memory. */
struct lpm *lpm_new(void);
void lpm_free(struct lpm *l);

/* What is found for @prefix: @value, not LPM_NONE.  0; -EEXIST: it has one
 * already; -ENOMEM. */
int lpm_add(struct lpm *l, const struct prefix *prefix, uint32_t value);

/* The value of the longest prefix of @address, IPv4 (4) or IPv6 (6), or
 * LPM_NONE. */
uint32_t lpm_find(const struct lpm *l, unsigned family, const uint8_t *address);

#endif
