/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "netvm-evil.h"
#include "netvm-victims.h"

/* Not the victims'. */
#define VLAN 10

/* -- Where it is ----------------------------------------------------------- */

/* Both have the same memory. */
uint8_t *evil_at(const Evil *e, uint64_t offset)
{
    return e->mate->window + offset;
}

struct netvm_ring *evil_ring(const Evil *e, unsigned number)
{
    const DomainRegion *r = e->d->domain->region;

    return (struct netvm_ring *)evil_at(e, r->rings_offset +
                                        (uint64_t)number * r->ring_bytes);
}

struct netvm_member *evil_member(const Evil *e, unsigned member)
{
    return (struct netvm_member *)evil_at(e, e->header.members_offset) + member;
}

uint64_t *evil_owners(const Evil *e)
{
    return (uint64_t *)evil_at(e, e->header.segment[0].owners_offset);
}

unsigned evil_rings(const Evil *e)
{
    return NETVM_RINGS(e->header.members);
}

/* -- Life ------------------------------------------------------------------ */

PortStatus evil_status(const Evil *e, const char *port)
{
    PortStatus status;

    switch_port_status(e->d->sw, switch_find_port(e->d->sw, port), &status);
    return status;
}

typedef struct Joining {
    Evil *e;
    NetvmRaw *r;
    const char *port;
} Joining;

static bool is_attached_or_gone(void *opaque)
{
    const Joining *j = opaque;

    return evil_status(j->e, j->port).ready || !netvm_raw_hear(j->r);
}

static bool try_to_join(Joining *j, unsigned i)
{
    j->r = netvm_raw_new(j->e->d->socket[i]);
    netvm_raw_hello(j->r);
    if (netvm_raw_try_ready(j->r, 0)) {
        netvm_raw_attach(j->r);
        bed_wait(is_attached_or_gone, j, j->port);
    }
    if (!j->r->gone) {
        return true;
    }
    netvm_raw_free(j->r);
    return false;
}

/* It sleeps, so that nobody who leaves waits for it. */
static void fall_asleep(NetvmRaw *r)
{
    netvm_write_release(&netvm_raw_member(r, r->ready.member)->epoch_seen,
                        NETVM_EPOCH_IDLE);
}

/* Who was cut off comes back, and finds its way by tables as they were.  Rings
 * that nobody had when they were written to break once. */
static NetvmRaw *join(Evil *e, unsigned i, const char *port)
{
    Joining j = { .e = e, .port = port };
    unsigned tries = 0;

    if (e->mate) {
        memcpy(evil_at(e, 0), &e->header, sizeof(e->header));
    }
    while (!try_to_join(&j, i)) {
        g_assert_cmpuint(++tries, <=, 2 * NETVM_BED_MEMBERS);
    }
    fall_asleep(j.r);
    return j.r;
}

void evil_attach(Evil *e)
{
    Joining j = { .e = e, .r = e->raw, .port = "m0" };

    netvm_raw_attach(e->raw);
    bed_wait(is_attached_or_gone, &j, "m0");
    g_assert_false(e->raw->gone);
    fall_asleep(e->raw);
}

void evil_reset(Evil *e)
{
    netvm_raw_say(e->raw, NETVM_MSG_RESET, NULL, 0);
    netvm_raw_wait_ready(e->raw, e->raw->ready.resets + 1);
}

void evil_come_back(Evil *e)
{
    if (!netvm_raw_hear(e->raw)) {
        netvm_raw_free(e->raw);
        e->raw = join(e, 0, "m0");
    }
    if (!netvm_raw_hear(e->mate)) {
        NetvmRaw *old = e->mate;

        e->mate = join(e, 1, "m1");
        netvm_raw_free(old);
    }
}

static uint16_t port_id(Switch *sw, const char *name)
{
    for (unsigned id = 0; id < SWITCH_MAX_PORTS; id++) {
        Port *p = switch_port_by_id(sw, id);

        if (p && strcmp(port_name(p), name) == 0) {
            return id;
        }
    }
    g_assert_not_reached();
}

static void set_station(Switch *sw, const char *port, unsigned station)
{
    g_autoptr(GError) error = NULL;
    uint8_t mac[6];

    bed_make_mac(mac, station);
    switch_fdb_set(sw, switch_find_port(sw, port), mac, VLAN, &error);
    g_assert_no_error(error);
}

Evil *evil_new(void)
{
    static const char *const service[] = { "fw", "l3" };
    Evil *e = g_new0(Evil, 1);
    Switch *sw;

    e->d = netvm_bed_new("");
    e->rand = g_rand_new_with_seed(7);
    sw = e->d->sw;
    for (unsigned i = 0; i < 2; i++) {
        g_autofree char *name = g_strdup_printf("m%u", i);
        g_autofree char *words = g_strdup_printf(
            "type=netvm domain=d vlan=%u outs=near service=%s socket=%s", VLAN,
            service[i], e->d->socket[i]);

        bed_remove(sw, name);
        bed_add(sw, name, words);
    }
    bed_add(sw, "near", "vlan=10");
    bed_add(sw, "chain", "type=chain domain=d vlan=10 services=fw,l3+fw");
    e->near_port = port_id(sw, "near");
    e->chain_port = port_id(sw, "chain");
    e->mate = join(e, 1, "m1");
    memcpy(&e->header, e->mate->window, sizeof(e->header));
    e->buffers = e->header.segment[0].buffers;
    e->raw = join(e, 0, "m0");
    set_station(sw, "m1", EVIL_MATE);
    set_station(sw, "near", EVIL_NEAR);
    set_station(sw, "chain", EVIL_CHAIN);
    return e;
}

void evil_free(Evil *e)
{
    netvm_bed_free(e->d);
    g_rand_free(e->rand);
    g_free(e);
}

void evil_check_pool(Domain *d)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    uint64_t bits = 0;

    pthread_mutex_lock(&d->lock);
    g_assert_cmpuint(d->pool_n, <=, d->buffers);
    for (uint32_t i = 0; i < d->pool_n; i++) {
        uint32_t buffer = d->pool[i], n = buffer & NETVM_INDEX_MASK;
        unsigned segment = buffer >> NETVM_SEGMENT_SHIFT;

        g_assert_cmpuint(segment, <, d->segments_used);
        g_assert_cmpuint(n, <, d->region->map.segment[segment].n);
        g_assert_true(d->in_pool[segment][n / 64] >> n % 64 & 1);
        g_assert_true(g_hash_table_add(seen, GUINT_TO_POINTER(buffer + 1)));
    }
    for (unsigned s = 0; s < d->segments_used; s++) {
        for (uint32_t i = 0; i < (d->region->map.segment[s].n + 63) / 64; i++) {
            bits += __builtin_popcountll(d->in_pool[s][i]);
        }
    }
    g_assert_cmpuint(bits, ==, d->pool_n);
    pthread_mutex_unlock(&d->lock);
}

static bool both_are_gone(void *opaque)
{
    const Evil *e = opaque;

    return !evil_status(e, "m0").connected && !evil_status(e, "m1").connected;
}

void evil_leave(Evil *e, bool all_back)
{
    Domain *d = e->d->domain;

    netvm_raw_free(e->raw);
    netvm_raw_free(e->mate);
    bed_wait(both_are_gone, e, "the end of both");
    netvm_bed_wait_gone(e->d);
    g_assert_cmpuint(d->members, ==, 0);
    /* What is in it is the domain's, too. */
    bed_remove(e->d->sw, "chain");
    evil_check_pool(d);
    g_test_message("%u of %u buffers are back", d->pool_n, d->buffers);
    if (all_back) {
        g_assert_cmpuint(d->pool_n, ==, d->buffers);
        g_assert_cmpuint(netvm_bed_owned(e->d, NETVM_DAEMON), ==,
                         d->buffers);
    }
}

/* -- Nonsense -------------------------------------------------------------- */

uint64_t evil_noise(Evil *e)
{
    return (uint64_t)g_rand_int(e->rand) << 32 | g_rand_int(e->rand);
}

unsigned evil_any(Evil *e, unsigned n)
{
    return g_rand_int_range(e->rand, 0, n);
}

static uint16_t edge(Evil *e)
{
    static const uint16_t edges[] = {
        0, 1, 13, 14, 60, 64, 127, 128, 1024, 1920, 1921, 2047, 2048, 2049,
        0x7fff, 0xfffe, 0xffff,
    };

    return evil_any(e, 4) ? edges[evil_any(e, G_N_ELEMENTS(edges))]
                          : evil_noise(e);
}

static uint16_t any_port(Evil *e)
{
    const uint16_t ports[] = {
        0, 1, 2, 3, 4, 5, 62, 63, 64, 65, 255, 256, 257, 0x7fff, 0xffff,
        e->raw->ready.member, e->mate->ready.member, e->near_port,
        e->chain_port, evil_noise(e),
    };

    return ports[evil_any(e, G_N_ELEMENTS(ports))];
}

uint32_t evil_any_buffer(Evil *e)
{
    switch (evil_any(e, 8)) {
    case 0:
        return evil_noise(e);
    case 1:
        return e->buffers + evil_any(e, 2);
    case 2:
        return (1 + evil_any(e, 63)) << NETVM_SEGMENT_SHIFT | evil_any(e, 4);
    default:
        return evil_any(e, e->buffers);      /* whoever's it is */
    }
}

struct netvm_desc evil_any_desc(Evil *e, uint32_t buffer)
{
    return (struct netvm_desc) {
        .buffer = buffer,
        .offset = edge(e),
        .length = edge(e),
        .port = any_port(e),
        .hash = evil_noise(e),
        /* Chains have the numbers of their ports, and 1 more. */
        .chain = evil_any(e, 2) ? e->chain_port + 1 : edge(e),
        .hop = evil_any(e, 4) ? evil_any(e, 3) : edge(e),
        .action = evil_any(e, 8) ? evil_any(e, NETVM_ACTIONS + 1)
                                 : evil_noise(e),
    };
}

void evil_make_frame(Evil *e, uint8_t *to)
{
    static const unsigned stations[] = {
        EVIL_MATE, EVIL_STATION, EVIL_NEAR, EVIL_CHAIN, BED_GROUP,
        VICTIMS_STATION,
    };

    bed_make_frame(to, stations[evil_any(e, G_N_ELEMENTS(stations))],
                   EVIL_STATION, -1);
}

void evil_send_near(Evil *e, unsigned to)
{
    uint8_t frame[BED_FRAME_BYTES];

    bed_make_frame(frame, to, EVIL_NEAR, -1);
    bed_send(e->d->sw, "near", frame, sizeof(frame));
}
