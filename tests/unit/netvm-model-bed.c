/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include "netvm-model-bed.h"

Bed bed;

/* -- Before a run ---------------------------------------------------------- */

static void point_map(struct netvm_map *m, uint64_t *owner)
{
    m->buffer_bytes = sizeof(bed.content[0]);
    m->buffer_shift = 3;
    m->segment[0].buffers = (uint8_t *)bed.content;
    m->segment[0].owners = owner;
    m->segment[0].n = BUFFERS;
}

void bed_begin(void)
{
    memset(&bed, 0, sizeof(bed));
    point_map(&bed.map, bed.owner);
    point_map(&bed.blind, bed.blind_owner);
}

void bed_blind(void)
{
    for (unsigned b = 0; b < BUFFERS; b++) {
        model_share(&bed.blind_owner[b], "other word of buffer %u", b);
    }
}

void bed_ring(unsigned number, unsigned from, unsigned to)
{
    struct netvm_ring *r = g_malloc0(sizeof(*r) +
                                     DESCS * sizeof(r->desc[0]));

    r->tail = r->head = START;
    r->wake_at = START - 1;
    r->state = NETVM_RING_OPEN;
    model_share(&r->tail, "tail of ring %u to %u", from, to);
    model_share(&r->head, "head of ring %u to %u", from, to);
    model_share(&r->wake_at, "wake_at of ring %u to %u", from, to);
    model_share(&r->state, "state of ring %u to %u", from, to);
    for (unsigned i = 0; i < DESCS; i++) {
        model_share_data(&r->desc[i].word[0], "desc %u of ring %u to %u", i,
                         from, to);
        model_share_data(&r->desc[i].word[1], "desc %u' of ring %u to %u", i,
                         from, to);
    }
    bed.ring[number] = r;
    bed.from[number] = from;
    bed.to[number] = to;
}

void bed_give_all(unsigned ring)
{
    for (unsigned b = 0; b < BUFFERS; b++) {
        bed.owner[b] = netvm_owner_word(ring, START - BUFFERS + b);
        model_share(&bed.owner[b], "word of buffer %u", b);
        model_share_data(&bed.content[b], "buffer %u", b);
    }
}

void bed_run(const ModelScenario *scenario, bool right)
{
    ModelResult result;

    model_run(scenario, &result);
    if (right) {
        g_test_message("%" G_GUINT64_FORMAT " states, %.3g interleavings, %"
                       G_GUINT64_FORMAT " ends", result.states,
                       result.interleavings, result.ends);
        if (result.wrong) {
            g_test_message("%s", result.wrong);
        }
        g_assert_null(result.wrong);
    } else {
        g_assert_nonnull(result.wrong);
        *strchrnul(result.wrong, '\n') = '\0';
        g_test_message("found, as it has to be: %s", result.wrong);
    }
    model_result_clear(&result);
    for (unsigned i = 0; i < G_N_ELEMENTS(bed.ring); i++) {
        g_free(bed.ring[i]);
    }
}

/* -- By a party ------------------------------------------------------------ */

void bed_nothing(void)
{
}

unsigned bed_ring_between(unsigned from, unsigned to)
{
    return NETVM_RING_DIRECT(MEMBERS, from, to);
}

void bed_sender(struct netvm_sender *s, unsigned ring)
{
    s->ring = bed.ring[ring];
    s->tail = START;
    s->head_seen = START;
    s->descs = DESCS;
    s->number = ring;
}

void bed_receiver(struct netvm_receiver *r, unsigned ring)
{
    r->ring = bed.ring[ring];
    r->head = START;
    r->tail_seen = START;
    r->descs = DESCS;
}

void bed_put(struct netvm_sender *s, const struct netvm_map *m,
             unsigned buffer, uint64_t content)
{
    const struct netvm_desc d = {
        .buffer = buffer,
        .length = sizeof(content),
        .hash = content,
        .action = NETVM_SWITCH,
    };

    netvm_write((uint64_t *)netvm_map_buffer(m, buffer), content);
    model_let_go(buffer);
    netvm_sender_put(s, m, &d);
}

uint64_t bed_take(const struct netvm_desc *d)
{
    uint64_t content;

    model_check(netvm_map_holds(&bed.map, d), "a descriptor makes no sense");
    model_hold(d->buffer);
    content = netvm_read((uint64_t *)netvm_map_buffer(&bed.map, d->buffer));
    model_check(content == d->hash, "buffer %u is not as it was sent",
                d->buffer);
    return content;
}

/* -- By a scenario's functions --------------------------------------------- */

unsigned bed_owner(unsigned buffer)
{
    uint64_t word = model_now(&bed.owner[buffer]);
    uint32_t ring = netvm_owner_ring(word);

    if (ring == 0) {
        return DAEMON;
    }
    return netvm_owner_received(word, model_now(&bed.ring[ring]->tail))
           ? bed.to[ring] : bed.from[ring];
}

bool bed_is_in_ring(unsigned buffer)
{
    uint64_t word = model_now(&bed.owner[buffer]);
    const struct netvm_ring *r = bed.ring[netvm_owner_ring(word)];
    uint64_t head = model_now(&r->head), tail = model_now(&r->tail);

    return netvm_owner_received(word, tail) &&
           !netvm_owner_received(word, head);
}

void bed_check_owners(void)
{
    for (unsigned b = 0; b < BUFFERS; b++) {
        int holder = model_holder(b);
        unsigned owner = bed_owner(b);

        if (holder == X_AGAIN) {
            holder = X;
        }
        model_check(holder == MODEL_NOBODY || holder == (int)owner,
                    "member %d has buffer %u, whose word names %u", holder, b,
                    owner);
    }
}
