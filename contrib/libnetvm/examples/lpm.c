/* SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lpm.h"

#define LENGTHS 129                 /* 0 to 128 bits */
#define SLOTS_LEAST 8               /* a power of two */

/* An address, its first bit the highest one. */
struct key {
    uint64_t high, low;
};

struct slot {
    struct key key;
    uint32_t value;                 /* LPM_NONE: free */
};

/* The prefixes of one length: open addressing, at most half full. */
struct level {
    unsigned bits;
    uint32_t slots, used;           /* slots: a power of two */
    struct slot *slot;
};

struct family {
    unsigned levels;
    struct level level[LENGTHS];    /* longest first */
};

struct lpm {
    struct family ipv4, ipv6;
};

static uint64_t read64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    return __builtin_bswap64(value);
}

static struct key key_of(unsigned family, const uint8_t *address)
{
    uint32_t ipv4;

    if (family == 4) {
        memcpy(&ipv4, address, sizeof(ipv4));
        return (struct key) { .high = (uint64_t)ntohl(ipv4) << 32 };
    }
    return (struct key) { read64(address), read64(address + 8) };
}

/* The first @bits of @n, which has 64. */
static uint64_t first_bits(uint64_t n, unsigned bits)
{
    return bits == 0 ? 0 : n & UINT64_MAX << (64 - bits);
}

static struct key cut(struct key k, unsigned bits)
{
    return bits <= 64
           ? (struct key) { first_bits(k.high, bits), 0 }
           : (struct key) { k.high, first_bits(k.low, bits - 64) };
}

static uint32_t hash(struct key k)
{
    uint64_t h = (k.high ^ k.low * UINT64_C(0xbf58476d1ce4e5b9)) *
                 UINT64_C(0x9e3779b97f4a7c15);

    return h >> 32 ^ h >> 52;
}

/* Where it is, or where it would be. */
static struct slot *find(const struct level *l, struct key k)
{
    uint32_t at = hash(k);

    for (;; at++) {
        struct slot *s = &l->slot[at & (l->slots - 1)];

        if (s->value == LPM_NONE ||
            (s->key.high == k.high && s->key.low == k.low)) {
            return s;
        }
    }
}

static bool resize(struct level *l, uint32_t slots)
{
    struct level bigger = { .bits = l->bits, .slots = slots, .used = l->used };

    bigger.slot = malloc(slots * sizeof(*bigger.slot));
    if (!bigger.slot) {
        return false;
    }
    for (uint32_t i = 0; i < slots; i++) {
        bigger.slot[i].value = LPM_NONE;
    }
    for (uint32_t i = 0; i < l->slots; i++) {
        if (l->slot[i].value != LPM_NONE) {
            *find(&bigger, l->slot[i].key) = l->slot[i];
        }
    }
    free(l->slot);
    *l = bigger;
    return true;
}

/* The level of that length, made if there is none. */
static struct level *level_of(struct family *f, unsigned bits)
{
    unsigned i = 0;
    struct level made = { .bits = bits };

    while (i < f->levels && f->level[i].bits > bits) {
        i++;
    }
    if (i < f->levels && f->level[i].bits == bits) {
        return &f->level[i];
    }
    if (!resize(&made, SLOTS_LEAST)) {
        return NULL;
    }
    memmove(&f->level[i + 1], &f->level[i],
            (f->levels - i) * sizeof(f->level[0]));
    f->levels++;
    f->level[i] = made;
    return &f->level[i];
}

struct lpm *lpm_new(void)
{
    return calloc(1, sizeof(struct lpm));
}

static void free_family(struct family *f)
{
    for (unsigned i = 0; i < f->levels; i++) {
        free(f->level[i].slot);
    }
}

void lpm_free(struct lpm *l)
{
    if (l) {
        free_family(&l->ipv4);
        free_family(&l->ipv6);
        free(l);
    }
}

int lpm_add(struct lpm *l, const struct prefix *prefix, uint32_t value)
{
    struct level *to = level_of(prefix->family == 4 ? &l->ipv4 : &l->ipv6,
                                prefix->bits);
    struct key k = cut(key_of(prefix->family, prefix->address), prefix->bits);
    struct slot *s;

    if (!to || ((to->used + 1) * 2 > to->slots && !resize(to, to->slots * 2))) {
        return -ENOMEM;
    }
    s = find(to, k);
    if (s->value != LPM_NONE) {
        return -EEXIST;
    }
    *s = (struct slot) { .key = k, .value = value };
    to->used++;
    return 0;
}

uint32_t lpm_find(const struct lpm *l, unsigned family, const uint8_t *address)
{
    const struct family *f = family == 4 ? &l->ipv4 : &l->ipv6;
    struct key k = key_of(family, address);

    for (unsigned i = 0; i < f->levels; i++) {
        const struct slot *s = find(&f->level[i], cut(k, f->level[i].bits));

        if (s->value != LPM_NONE) {
            return s->value;
        }
    }
    return LPM_NONE;
}
