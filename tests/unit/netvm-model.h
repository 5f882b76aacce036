/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A model checker for programs whose parties share memory by netvm-atomic.h:
 * it runs them in all interleavings, and with all that a processor may do to
 * the order of their reads and writes.
 *
 * Theory of operation.  A party is a function of what it has read.  So nobody
 * needs a stack of its own: to find a party's next access its function is run
 * from its beginning, gets what it has read until then once more, and is left
 * (longjmp) at the first access that is new.  At the head of a loop it says in
 * which variables all is that it goes on with (model_loop()); what it read
 * before is forgotten then.  A state is what the parties have in these
 * variables, what they have read since, and what they may yet read.  Ways that
 * lead to the same state go on as one; how many there are is counted.
 *
 * Memory is that of C11.  Each word has a list of the values written to it.  A
 * party may read any of them that is not older than the oldest it may still
 * see: that is its view, one place for each word.  What it reads or writes
 * itself, it has seen.  A release writes the view along, an acquire that reads
 * such a value takes the view over, and fences have one view that each of them
 * takes over and adds to.  All that the store buffers of x86 can do is among
 * this, and all reordering of reads, and of writes, that weaker machines do.
 *
 * Words of data (model_share_data()) are those that only one party uses at a
 * time.  Each use of them has to see the one before, read or write: else there
 * is a race, which is wrong.  As nobody can tell when they are used, no time is
 * lost on that.
 *
 * A party that may die does so after any of its writes; what it has written
 * stays.  That it has read more before it died makes no difference to others.
 *
 * A party whose writes come at once, together with what is before them, makes
 * less to look through: others may still read what was before.  But
 * at_each_step() does not see others move on between two such writes.
 *
 * What is not found: whatever needs more packets or parties than a scenario
 * has; words, other than data, that are read after writes that follow the read
 * (which x86 never does); tearing.  What is written last is the newest for all:
 * right for words that have one writer at a time.  Keys of states are 64 bits
 * of a hash: two that are the same by chance, in one of a hundred thousand runs
 * or less, would hide what follows the second.
 *
 * Functions of parties keep nothing in static memory, and need no freeing.
 *
 * Threads: single.  Static memory: one run at a time.
 */
#ifndef NETVM_MODEL_H
#define NETVM_MODEL_H

#include <glib.h>

#include "model-include/netvm-atomic.h"

#define MODEL_PARTIES 5
#define MODEL_WORDS 48
#define MODEL_THINGS 8
#define MODEL_NOBODY (-1)

/* What a party's accesses are made to leave out. */
enum {
    MODEL_NO_FENCE = 1,
    MODEL_NO_ACQUIRE = 2,
    MODEL_NO_RELEASE = 4,
};

typedef struct ModelParty {
    const char *name;
    void (*run)(void);
    bool may_die;
    bool writes_at_once;
    unsigned without;                       /* MODEL_NO_... */
} ModelParty;

typedef struct ModelScenario {
    ModelParty party[MODEL_PARTIES];        /* as many as have a name */
    void (*at_each_step)(void);             /* NULL: nothing */
    void (*at_end)(void);                   /* nobody can go on */
} ModelScenario;

typedef struct ModelResult {
    char *wrong;                /* NULL: nothing; else what, and how it came */
    uint64_t states;
    uint64_t ends;              /* states in which nobody can go on */
    double interleavings;
} ModelResult;

/* -- Before a run ---------------------------------------------------------- */

/* Parties share this word, with the value that it has now.  It is aligned to 8
 * bytes, and one of 32 bits is alone in them. */
void model_share(const void *at, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* And each use of it has to be ordered after what others did with it. */
void model_share_data(const void *at, const char *format, ...)
    G_GNUC_PRINTF(2, 3);

/* Words are forgotten.  Free @result with model_result_clear(). */
void model_run(const ModelScenario *scenario, ModelResult *result);
void model_result_clear(ModelResult *result);

/* -- By a party ------------------------------------------------------------ */

unsigned model_self(void);

/* Once in each round of its loop: what it goes on with is in @locals, and where
 * they come from does not matter any more.  Gaps in it are zero. */
void model_loop(void *locals, size_t bytes);

/* Instead of reading again and again: until the word is not, or one of the two
 * is not, what it was seen to be.  What comes next reads it. */
void model_until(const void *at, uint64_t not_this);
void model_until_either(const void *at, uint64_t not_this,
                        const void *at_2, uint64_t not_this_2);

/* A doorbell may ring while nobody sleeps; the next sleep is short then.  It
 * brings no order to memory. */
void model_ring(unsigned party);
void model_sleep(void);

/* What was there when it died is there to be seen. */
void model_until_dead(unsigned party);

/* A party that begins with model_until_started() sees what the one saw that
 * started it. */
void model_start(unsigned party);
void model_until_started(void);

/* Not accesses: they come at once with what is before them. */

/* Something that nobody else may have.  A party that dies has nothing. */
void model_hold(unsigned thing);
void model_let_go(unsigned thing);

/* -- By a party, and by a scenario's functions ----------------------------- */

void model_check(bool right, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* -- By a scenario's functions --------------------------------------------- */

/* The newest value. */
uint64_t model_now(const void *at);
int model_holder(unsigned thing);
bool model_is_asleep(unsigned party);
bool model_is_done(unsigned party);

#endif
