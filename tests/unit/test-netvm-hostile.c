/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A member that writes anything anywhere in its domain's memory, while another
 * domain and other ports have traffic on the same worker: the daemon lives, the
 * others get their packets, each once and whole, and no buffer is twice in the
 * domain's pool afterwards.  If the member left owner words alone, all buffers
 * are there.
 *
 * Threads: this is the control thread and the attacker; what it flips while it
 * is read and the victims' traffic have threads of their own.
 */
#include <string.h>

#include "netvm-evil.h"
#include "netvm-victims.h"

#define ROUNDS 40
#define SLOW_ROUNDS 4000
/* Descriptors of a round. */
#define DESCS 48
#define FLIPS 200

typedef struct Attack {
    const char *name;
    void (*attack)(Evil *e);
    bool words_alone;           /* it writes no owner word that is not its */
} Attack;

/* -- Descriptors ----------------------------------------------------------- */

/* What of it is nowhere, and has no owner word. */
static void put_without_word(NetvmRaw *r, const struct netvm_desc *desc)
{
    struct netvm_desc *to = &r->tx.ring->desc[r->tx.tail & (r->tx.descs - 1)];

    netvm_raw_wait_taken(r);
    netvm_write(&to->word[0], desc->word[0]);
    netvm_write(&to->word[1], desc->word[1]);
    r->tx.tail++;
    netvm_sender_publish(&r->tx, 1);
    netvm_raw_kick(r);
}

/* Sent as it should be, and so with an owner word; what it says may be
 * wrong. */
static void send_all(Evil *e, bool forge, struct netvm_desc (*make)(Evil *e))
{
    NetvmRaw *r = e->raw;

    for (unsigned i = 0; i < DESCS; i++) {
        struct netvm_desc desc = make(e);
        uint64_t word;

        if (!netvm_map_has(&r->map, desc.buffer)) {
            put_without_word(r, &desc);
            continue;
        }
        word = netvm_read(netvm_map_owner(&r->map, desc.buffer));
        netvm_raw_send(r, &desc);
        if (forge && evil_any(e, 2)) {
            netvm_write(netvm_map_owner(&r->map, desc.buffer), word);
        }
    }
    netvm_raw_wait_taken(r);
}

/* What it was given, as an honest one would. */
static void give_back(NetvmRaw *r)
{
    struct netvm_desc desc;

    while (netvm_receive(&r->rx, &desc, 1) == 1) {
        desc.action = NETVM_DROP;
        netvm_raw_send(r, &desc);
    }
}

static struct netvm_desc wrong_fields(Evil *e)
{
    uint32_t buffer = netvm_raw_alloc(e->raw);
    struct netvm_desc desc = evil_any_desc(e, buffer);

    evil_make_frame(e, netvm_map_buffer(&e->raw->map, buffer) +
                       MIN(desc.offset, e->header.buffer_bytes -
                                        BED_FRAME_BYTES));
    return desc;
}

static void attack_fields(Evil *e)
{
    const struct netvm_stats *stats =
        e->d->domain->member[e->raw->ready.member].stats;
    uint64_t before = netvm_read(&stats->bad_descs);

    send_all(e, false, wrong_fields);
    g_assert_cmpuint(netvm_read(&stats->bad_descs), >, before);
    give_back(e->raw);
    give_back(e->mate);
}

static struct netvm_desc anything(Evil *e)
{
    return evil_any_desc(e, evil_any_buffer(e));
}

static void attack_descs(Evil *e)
{
    send_all(e, true, anything);
}

/* The same one again and again, at once and later, freed and sent. */
static void attack_double_free(Evil *e)
{
    NetvmRaw *r = e->raw;
    const struct netvm_stats *stats =
        e->d->domain->member[r->ready.member].stats;
    uint64_t before = netvm_read(&stats->bad_descs);
    struct netvm_desc desc = {
        .buffer = netvm_raw_alloc(r), .length = BED_FRAME_BYTES,
        .port = e->mate->ready.member,
    };

    evil_make_frame(e, netvm_map_buffer(&r->map, desc.buffer));
    for (unsigned i = 0; i < DESCS; i++) {
        desc.action = evil_any(e, NETVM_NEXT);
        netvm_raw_send(r, &desc);
        if (evil_any(e, 4) == 0) {
            netvm_raw_wait_taken(r);
        }
    }
    desc.action = NETVM_DROP;
    netvm_raw_send(r, &desc);
    netvm_raw_wait_taken(r);
    netvm_raw_send(r, &desc);
    netvm_raw_wait_taken(r);
    g_assert_cmpuint(netvm_read(&stats->bad_descs), >, before);
}

/* -- Positions ------------------------------------------------------------- */

static bool is_cut_off(void *opaque)
{
    return !netvm_raw_hear(((Evil *)opaque)->raw);
}

static void attack_tail(Evil *e)
{
    const unsigned descs = e->header.ring_descs;
    struct netvm_ring *tx = e->raw->tx.ring;
    uint64_t tail = e->raw->tx.tail, before = evil_status(e, "m0").breaks;
    const uint64_t jumps[] = {
        tail + descs + 1, tail - 1, tail - descs, ~UINT64_C(0) - tail % 3,
        tail + (UINT64_C(1) << 32), tail ^ UINT64_C(1) << 63, 0 - descs - tail,
        evil_noise(e),
    };
    uint64_t to;

    /* As many as can be, which were never written: bad ones. */
    if (evil_any(e, 4) == 0) {
        netvm_write_release(&tx->tail, tail + descs);
        e->raw->tx.tail += descs;
        netvm_raw_kick(e->raw);
        netvm_raw_wait_taken(e->raw);
        g_assert_true(netvm_raw_hear(e->raw));
        return;
    }
    do {
        to = jumps[evil_any(e, G_N_ELEMENTS(jumps))];
    } while (to - tail <= descs);
    netvm_write_release(&tx->tail, to);
    netvm_raw_kick(e->raw);
    bed_wait(is_cut_off, e, "the member to be cut off");
    g_assert_cmpuint(evil_status(e, "m0").breaks, ==, before + 1);
    g_assert_nonnull(strstr(evil_status(e, "m0").broken, "positions"));
}

/* Frames come in meanwhile, and buffers are wanted. */
static void attack_heads(Evil *e)
{
    NetvmRaw *r = e->raw;
    const unsigned descs = e->header.ring_descs;

    for (unsigned i = 0; i < DESCS; i++) {
        struct netvm_ring *ring = evil_any(e, 2) ? r->rx.ring : r->fill.ring;
        uint64_t tail = netvm_read(&ring->tail);
        const uint64_t heads[] = {
            tail, tail + 1, tail + descs, tail - descs, tail - descs - 1,
            tail + evil_any(e, 64), tail - evil_any(e, 64), 0, ~UINT64_C(0),
            evil_noise(e),
        };

        netvm_write_release(&ring->head,
                            heads[evil_any(e, G_N_ELEMENTS(heads))]);
        netvm_raw_kick(r);
        evil_send_near(e, evil_any(e, 2) ? EVIL_CHAIN : BED_GROUP);
        bed_turn();
    }
}

static void attack_wake(Evil *e)
{
    for (unsigned i = 0; i < DESCS; i++) {
        unsigned ring = 1 + evil_any(e, evil_rings(e) - 1);
        uint64_t tail = netvm_read(&evil_ring(e, ring)->tail);

        netvm_write(&evil_ring(e, ring)->wake_at,
                    evil_any(e, 2) ? tail + evil_any(e, 3) - 1 : evil_noise(e));
        evil_send_near(e, BED_GROUP);
    }
}

/* -- Words and tables ------------------------------------------------------ */

static void fill_with_noise(Evil *e, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i += sizeof(uint64_t)) {
        netvm_write((uint64_t *)evil_at(e, i), evil_noise(e));
    }
}

static void attack_words(Evil *e)
{
    uint64_t from = e->header.segment[0].owners_offset;

    fill_with_noise(e, from, from + e->buffers * sizeof(uint64_t));
}

/* Those of rings that live, close to where they are. */
static void attack_likely_words(Evil *e)
{
    for (uint32_t i = 0; i < e->buffers; i++) {
        unsigned ring = evil_any(e, evil_rings(e));
        uint64_t tail = netvm_read(&evil_ring(e, ring)->tail);

        netvm_write(&evil_owners(e)[i],
                    netvm_owner_word(ring, tail + evil_any(e, 8) - 4));
    }
    /* Who leaves now is said to own what others have. */
    evil_reset(e);
    evil_attach(e);
    send_all(e, true, anything);
}

static void attack_tables(Evil *e)
{
    fill_with_noise(e, 0, e->d->domain->region->rings_offset);
    evil_send_near(e, BED_GROUP);
    netvm_raw_kick(e->raw);
}

static void attack_rings(Evil *e)
{
    uint64_t from = e->d->domain->region->rings_offset;

    fill_with_noise(e, from, from + (uint64_t)evil_rings(e) *
                             e->d->domain->region->ring_bytes);
    netvm_raw_kick(e->raw);
    bed_wait(is_cut_off, e, "the member to be cut off");
}

/* That it polls, that it does not, that others do; what it has seen. */
static void attack_members(Evil *e)
{
    evil_reset(e);
    for (unsigned i = 0; i < DESCS; i++) {
        struct netvm_member *m = evil_member(e, evil_any(e, 5));
        uint32_t serial = e->raw->ready.serial;
        uint64_t epoch = e->d->domain->region->epoch;
        const uint32_t serials[] = { 0, serial, serial + 1, serial - 1,
                                     UINT32_MAX, evil_noise(e) };
        const uint64_t epochs[] = { 0, epoch, epoch + 1, epoch - 1,
                                    NETVM_EPOCH_IDLE, evil_noise(e) };

        netvm_write32(&m->serial_attached,
                      serials[evil_any(e, G_N_ELEMENTS(serials))]);
        netvm_write_release(&m->epoch_seen,
                            epochs[evil_any(e, G_N_ELEMENTS(epochs))]);
        bed_turn();
        netvm_raw_kick(e->raw);
    }
    for (unsigned i = 0; i <= e->header.members; i++) {
        netvm_write_release(&evil_member(e, i)->epoch_seen, NETVM_EPOCH_IDLE);
    }
    evil_attach(e);
}

/* Again and again, with packets under way, and some that are never sent. */
static void attack_resets(Evil *e)
{
    for (unsigned i = 0; i < 8; i++) {
        for (unsigned k = 0; k < 8; k++) {
            struct netvm_desc desc = wrong_fields(e);

            if (k % 4) {
                netvm_raw_send(e->raw, &desc);
            }
        }
        evil_reset(e);
        evil_attach(e);
    }
    give_back(e->mate);
}

/* -- While it is read ------------------------------------------------------ */

typedef struct Flip {
    bool stop;                  /* atomic */
    uint64_t *place;
    uint64_t places;
} Flip;

static void *flip(void *opaque)
{
    Flip *f = opaque;
    uint64_t random = 88172645463325252;

    while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
        for (uint64_t i = 0; i < f->places; i++) {
            uint64_t value = netvm_read(&f->place[i]);

            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            netvm_write(&f->place[i], random);
            netvm_write(&f->place[i], value);
        }
    }
    return NULL;
}

static void flip_while(Evil *e, uint64_t *place, uint64_t places)
{
    Flip f = { .place = place, .places = places };
    GThread *thread = g_thread_new("flip", flip, &f);

    for (unsigned i = 0; i < FLIPS; i++) {
        struct netvm_desc desc = evil_any_desc(e, evil_any(e, e->buffers));

        if (!netvm_raw_hear(e->raw)) {
            break;
        }
        if (netvm_sender_room(&e->raw->tx, 1)) {
            netvm_sender_put(&e->raw->tx, &e->raw->map, &desc);
            netvm_sender_publish(&e->raw->tx, 1);
        }
        netvm_raw_kick(e->raw);
        bed_turn();
        bed_drain(e->d->sw, "near");
    }
    __atomic_store_n(&f.stop, true, __ATOMIC_RELAXED);
    g_thread_join(thread);
}

static void attack_flip_descs(Evil *e)
{
    flip_while(e, (uint64_t *)e->raw->tx.ring->desc,
               2 * e->header.ring_descs);
}

static void attack_flip_words(Evil *e)
{
    flip_while(e, evil_owners(e), e->buffers);
}

static void attack_flip_rings(Evil *e)
{
    flip_while(e, (uint64_t *)evil_ring(e, 0),
               (uint64_t)evil_rings(e) * e->d->domain->region->ring_bytes / 8);
}

/* -- Segments that are not used yet ---------------------------------------- */

/* They come when all have seen them; one holds that up, and knows them. */
static void attack_growing(Evil *e)
{
    Domain *d = e->d->domain;
    DomainSettings s = *domain_settings(d);
    g_autoptr(GError) error = NULL;
    NetvmRaw *r = e->raw;
    unsigned before = r->segments;

    if (before == 4) {
        return;
    }
    netvm_write_release(&evil_member(e, r->ready.member)->epoch_seen, 1);
    s.buffers = domain_buffers(d) + 64;
    g_assert_true(switch_set_domain(e->d->sw, "d", &s, &error));
    g_assert_no_error(error);
    g_assert_true(netvm_raw_hear(r));
    g_assert_cmpuint(r->segments, ==, before + 1);
    for (unsigned i = 0; i < DESCS; i++) {
        const struct netvm_segment *new = &netvm_raw_region(r)->segment[before];
        uint64_t *word = (uint64_t *)(r->window + new->owners_offset) + i;
        struct netvm_desc desc = {
            .buffer = before << NETVM_SEGMENT_SHIFT | i,
            .length = BED_FRAME_BYTES, .port = e->mate->ready.member,
            .action = i % NETVM_ACTIONS,
        };

        netvm_write(word, netvm_owner_word(r->tx.number, r->tx.tail));
        put_without_word(r, &desc);
        netvm_raw_wait_taken(r);
        /* To be taken back when it leaves. */
        netvm_write(word, netvm_owner_word(r->tx.number, r->tx.tail + 1));
    }
    g_assert_cmpuint(d->segments_used, ==, before);
    evil_check_pool(d);
    evil_reset(e);
    for (unsigned i = 0; d->segments_used == before; i++) {
        g_assert_cmpuint(i, <, BED_WAIT_S * 1000);
        bed_turn();
        g_usleep(1000);
    }
    evil_check_pool(d);
    memcpy(&e->header, r->window, sizeof(e->header));
    g_assert_true(netvm_raw_hear(e->mate));
    evil_attach(e);
}

/* -------------------------------------------------------------------------- */

static const Attack attacks[] = {
    { "fields", attack_fields, true },
    { "descs", attack_descs, false },
    { "double-free", attack_double_free, false },
    { "tail", attack_tail, true },
    { "heads", attack_heads, true },
    { "wake", attack_wake, true },
    { "words", attack_words, false },
    { "likely-words", attack_likely_words, false },
    { "tables", attack_tables, true },
    { "rings", attack_rings, false },
    { "members", attack_members, true },
    { "resets", attack_resets, true },
    { "flip-descs", attack_flip_descs, false },
    { "flip-words", attack_flip_words, false },
    { "flip-rings", attack_flip_rings, false },
    { "growing", attack_growing, false },
};

static void test_attack(const void *opaque)
{
    const Attack *a = opaque;
    unsigned rounds = g_test_slow() ? SLOW_ROUNDS : ROUNDS;
    Evil *e = evil_new();
    Victims *v = victims_new(e->d);

    for (unsigned round = 0; round < rounds; round++) {
        a->attack(e);
        evil_send_near(e, round % 2 ? BED_GROUP : EVIL_STATION);
        victims_check(v);
        bed_drain(e->d->sw, "near");
        evil_come_back(e);
    }
    evil_leave(e, a->words_alone);
    victims_check(v);
    victims_free(v);
    evil_free(e);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    bed_expect_warnings();
    for (unsigned i = 0; i < G_N_ELEMENTS(attacks); i++) {
        g_autofree char *path = g_strconcat("/netvm/hostile/", attacks[i].name,
                                            NULL);

        g_test_add_data_func(path, &attacks[i], test_attack);
    }
    return g_test_run();
}
