/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The model checker from within.
 *
 *   netvm-model.c          parties, steps, all that can follow
 *   netvm-model-memory.c   what is written, and who may read what of it
 *
 * Threads: single.
 */
#ifndef NETVM_MODEL_IMPL_H
#define NETVM_MODEL_IMPL_H

#include <setjmp.h>
#include <string.h>

#include "netvm-model.h"

#define RESULTS_MAX 48          /* of a party since its loop began */
#define LOCALS_MAX_BYTES 128
#define MESSAGES_MAX 4000
#define STEPS_MAX 4000
#define DEPTH_MAX 900
#define STATES_MAX (UINT64_C(1) << 25)

typedef enum AccessKind {
    ACCESS_NONE,                /* it has returned, or died */
    ACCESS_READ,
    ACCESS_WRITE,
    ACCESS_FENCE,
    ACCESS_UNTIL,
    ACCESS_RING,
    ACCESS_SLEEP,
    ACCESS_UNTIL_DEAD,
    ACCESS_START,
    ACCESS_UNTIL_STARTED,
    ACCESS_DEATH,               /* only in a trace */
} AccessKind;

typedef struct Access {
    AccessKind kind;
    bool ordered;               /* acquire, or release */
    uint8_t what[2];            /* words; or [0] a party */
    uint64_t value[2];          /* written; or not this */
} Access;

/* The oldest value of each word that may be read, by its place. */
typedef struct View {
    uint8_t from[MODEL_WORDS];
} View;

/* A value that was written. */
typedef struct Message {
    uint64_t value;
    View view;                  /* written along; if not, all zero */
    bool has_view;
    uint8_t place;              /* 0 is the first of the word */
    uint16_t before;            /* the one before */
} Message;

typedef struct PartyState {
    Access next;
    View view;
    uint64_t hash;              /* of locals and results */
    uint64_t results[RESULTS_MAX];
    uint8_t locals[LOCALS_MAX_BYTES];
    uint8_t results_n;
    uint8_t before_loop_n;      /* results from before its loop */
    bool in_loop;
    bool dead, started, bell;
    bool may_die_now;
} PartyState;

typedef struct State {
    PartyState party[MODEL_PARTIES];
    View fences;
    uint16_t newest[MODEL_WORDS];
    uint16_t messages_n;
    int8_t holder[MODEL_THINGS];
} State;

typedef struct Step {
    uint8_t party;
    Access access;
    uint64_t result;
    bool is_newest;
} Step;

typedef struct Seen {
    uint64_t key;               /* 0: none */
    double interleavings;       /* from there to an end */
} Seen;

typedef struct Model {
    const ModelScenario *scenario;
    unsigned parties, words;
    const void *word[MODEL_WORDS];
    char *word_name[MODEL_WORDS];
    bool word_is_data[MODEL_WORDS];
    uint8_t word_at[4 * MODEL_WORDS];       /* by address: its number + 1 */

    State now;
    /* What is in use of these grows and shrinks with the way to this state. */
    Message message[MESSAGES_MAX];
    Step step[STEPS_MAX];
    unsigned steps;

    /* The party that runs. */
    int running;                /* or MODEL_NOBODY */
    unsigned results_used;
    bool loop_begun;
    jmp_buf stop;

    Seen *seen;
    uint64_t seen_size;         /* a power of two */
    ModelResult *result;
} Model;

extern Model model;

static inline uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9ddfea08eb382d69);
    return hash ^ hash >> 29 ^ hash >> 47;
}

static inline uint64_t mix_bytes(uint64_t hash, const void *at, size_t n)
{
    const uint8_t *from = at;

    for (; n >= sizeof(uint64_t); n -= sizeof(uint64_t)) {
        uint64_t part;

        memcpy(&part, from, sizeof(part));
        hash = mix(hash, part);
        from += sizeof(part);
    }
    for (; n > 0; n--) {
        hash = mix(hash, *from++);
    }
    return hash;
}

/* -- netvm-model-memory.c -------------------------------------------------- */

void memory_begin(void);
unsigned memory_word(const void *at);

static inline const Message *memory_newest(unsigned word)
{
    return &model.message[model.now.newest[word]];
}

/* Of p->next, which is such a one: in how many ways can it be made? */
unsigned memory_ways_to_read(const PartyState *p);
unsigned memory_ways_until(const PartyState *p);

/* One of these, from 0; the first reads what is newest. */
uint64_t memory_read(PartyState *p, unsigned way);
void memory_until(PartyState *p, unsigned way);

uint64_t memory_write(PartyState *p);
void memory_fence(PartyState *p);

/* Of a word of data: read or written. */
uint64_t memory_data(PartyState *p);
bool memory_is_ordered(const PartyState *p, unsigned word);

/* The party sees all that is there. */
void memory_see_all(PartyState *p);
/* Or what the other one sees. */
void memory_see(PartyState *p, const PartyState *other);

/* What can be read by whom, as a hash. */
uint64_t memory_key(void);

#endif
