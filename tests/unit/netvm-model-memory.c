/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netvm-model-impl.h"

/* Places of a word are counted in 8 bits. */
#define PLACES_MAX 250

/* -- Words ----------------------------------------------------------------- */

/* Where its number is, or would be. */
static uint8_t *word_slot(const void *at)
{
    unsigned slot = (uintptr_t)at / 8;

    for (;; slot++) {
        uint8_t *found = &model.word_at[slot % G_N_ELEMENTS(model.word_at)];

        if (*found == 0 || model.word[*found - 1] == at) {
            return found;
        }
    }
}

static void share(const void *at, bool is_data, const char *format,
                  va_list args)
{
    unsigned word = model.words++;

    g_assert_cmpuint(word, <, MODEL_WORDS);
    g_assert_true((uintptr_t)at % 8 == 0);
    model.word[word] = at;
    model.word_name[word] = g_strdup_vprintf(format, args);
    model.word_is_data[word] = is_data;
    *word_slot(at) = word + 1;
}

void model_share(const void *at, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    share(at, false, format, args);
    va_end(args);
}

void model_share_data(const void *at, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    share(at, true, format, args);
    va_end(args);
}

unsigned memory_word(const void *at)
{
    uint8_t found = *word_slot(at);

    if (found == 0) {
        g_error("a party uses memory that is not shared: share it");
    }
    return found - 1;
}

void memory_begin(void)
{
    model.now.messages_n = model.words;
    for (unsigned i = 0; i < model.words; i++) {
        model.message[i] = (Message) {
            .value = *(const uint64_t *)model.word[i],
        };
        model.now.newest[i] = i;
    }
}

uint64_t model_now(const void *at)
{
    return memory_newest(memory_word(at))->value;
}

/* -- Views ----------------------------------------------------------------- */

static void view_join(View *view, const View *other)
{
    for (unsigned i = 0; i < MODEL_WORDS; i++) {
        view->from[i] = MAX(view->from[i], other->from[i]);
    }
}

void memory_see_all(PartyState *p)
{
    for (unsigned i = 0; i < model.words; i++) {
        p->view.from[i] = memory_newest(i)->place;
    }
}

void memory_see(PartyState *p, const PartyState *other)
{
    view_join(&p->view, &other->view);
}

/* -- Access ---------------------------------------------------------------- */

unsigned memory_ways_to_read(const PartyState *p)
{
    unsigned word = p->next.what[0];

    return 1 + memory_newest(word)->place - p->view.from[word];
}

uint64_t memory_read(PartyState *p, unsigned way)
{
    unsigned word = p->next.what[0];
    const Message *from = memory_newest(word);

    while (way-- > 0) {
        from = &model.message[from->before];
    }
    p->view.from[word] = from->place;
    if (p->next.ordered) {
        view_join(&p->view, &from->view);
    }
    return from->value;
}

static uint64_t write_value(PartyState *p, uint64_t value)
{
    unsigned word = p->next.what[0], number = model.now.messages_n++;
    Message *to = &model.message[number];

    g_assert_cmpuint(number, <, MESSAGES_MAX);
    *to = (Message) {
        .value = value,
        .has_view = p->next.ordered,
        .place = memory_newest(word)->place + 1,
        .before = model.now.newest[word],
    };
    g_assert_cmpuint(to->place, <, PLACES_MAX);
    model.now.newest[word] = number;
    p->view.from[word] = to->place;
    if (to->has_view) {
        to->view = p->view;
    }
    return value;
}

uint64_t memory_write(PartyState *p)
{
    return write_value(p, p->next.value[0]);
}

/* What is read has a new place, too: who uses it next has to have seen that it
 * was. */
uint64_t memory_data(PartyState *p)
{
    return write_value(p, p->next.kind == ACCESS_WRITE ? p->next.value[0]
                          : memory_newest(p->next.what[0])->value);
}

bool memory_is_ordered(const PartyState *p, unsigned word)
{
    return p->view.from[word] == memory_newest(word)->place;
}

void memory_fence(PartyState *p)
{
    view_join(&p->view, &model.now.fences);
    model.now.fences = p->view;
}

/* The oldest value that a party may read and that is another one; NULL: it may
 * read none. */
static const Message *oldest_other(const PartyState *p, unsigned i)
{
    unsigned word = p->next.what[i], from = p->view.from[word];
    const Message *at = memory_newest(word), *found = NULL;

    for (;; at = &model.message[at->before]) {
        found = at->value != p->next.value[i] ? at : found;
        if (at->place == from) {
            return found;
        }
    }
}

unsigned memory_ways_until(const PartyState *p)
{
    return (oldest_other(p, 0) != NULL) +
           (p->next.what[1] != p->next.what[0] && oldest_other(p, 1) != NULL);
}

/* It may read what it has seen to change, or what is newer; the other word may
 * still be as it was. */
void memory_until(PartyState *p, unsigned way)
{
    unsigned i = way > 0 || !oldest_other(p, 0);

    p->view.from[p->next.what[i]] = oldest_other(p, i)->place;
}

/* -- Keys ------------------------------------------------------------------ */

/* What a party may see once it goes on; false: that is not known yet, or it
 * will not. */
static bool view_of(const PartyState *p, View *view)
{
    const PartyState *other;

    *view = p->view;
    switch (p->next.kind) {
    case ACCESS_NONE:
        return false;
    case ACCESS_UNTIL_STARTED:
        return p->started;
    case ACCESS_UNTIL_DEAD:
        other = &model.now.party[p->next.what[0]];
        view_join(view, &other->view);
        return other->dead;
    default:
        return true;
    }
}

/* Below what nobody reads any more. */
static View oldest_view(void)
{
    View oldest, view;

    memset(&oldest, UINT8_MAX, sizeof(oldest));
    for (unsigned i = 0; i < model.parties; i++) {
        if (view_of(&model.now.party[i], &view)) {
            for (unsigned k = 0; k < MODEL_WORDS; k++) {
                oldest.from[k] = MIN(oldest.from[k], view.from[k]);
            }
        }
    }
    return oldest;
}

typedef struct Bounds {
    View oldest;                /* that anybody may read */
    View newest;
    View most;                  /* that can differ between the two */
} Bounds;

/* Counted back from the newest, for what comes later does not depend on how
 * much has been written before.  Of data it only matters whether it was
 * seen. */
static uint64_t mix_view(uint64_t hash, const View *view, const Bounds *b)
{
    View back;

    for (unsigned i = 0; i < MODEL_WORDS; i++) {
        uint8_t from = MAX(view->from[i], b->oldest.from[i]);
        uint8_t age = b->newest.from[i] - MIN(from, b->newest.from[i]);

        back.from[i] = MIN(age, b->most.from[i]);
    }
    return mix_bytes(hash, &back, sizeof(back));
}

static uint64_t mix_word(uint64_t hash, unsigned word, const Bounds *b)
{
    const Message *at = memory_newest(word);

    for (;; at = &model.message[at->before]) {
        hash = mix(hash, at->value);
        if (at->has_view) {
            hash = mix_view(hash, &at->view, b);
        }
        if (model.word_is_data[word] || at->place <= b->oldest.from[word]) {
            return mix(hash, word);
        }
    }
}

uint64_t memory_key(void)
{
    Bounds b = { .oldest = oldest_view() };
    uint64_t key = 1;
    View view;

    for (unsigned i = 0; i < model.words; i++) {
        b.newest.from[i] = memory_newest(i)->place;
        b.most.from[i] = model.word_is_data[i] ? 1 : UINT8_MAX;
    }
    for (unsigned i = 0; i < model.words; i++) {
        key = mix_word(key, i, &b);
    }
    for (unsigned i = 0; i < model.parties; i++) {
        if (view_of(&model.now.party[i], &view)) {
            key = mix_view(key, &view, &b);
        }
    }
    return mix_view(key, &model.now.fences, &b);
}
