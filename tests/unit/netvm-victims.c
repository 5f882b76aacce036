/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "netvm-victims.h"

#define UNDER_WAY 16
#define PACKET_BYTES(n) (BED_FRAME_BYTES + (n) % 900)

struct Victims {
    Switch *sw;
    char *socket[2];
    struct netvm *nv[2];
    GThread *thread;
    bool stop;                  /* atomic */
    uint64_t came;              /* atomic */
    uint64_t seen;
};

/* -- Their traffic --------------------------------------------------------- */

static void make_packet(uint8_t *to, uint32_t n)
{
    bed_make_frame(to, VICTIMS_STATION + 1, VICTIMS_STATION, -1);
    for (unsigned i = 16; i < PACKET_BYTES(n); i++) {
        to[i] = i + n * 7;
    }
    memcpy(to + 16, &n, sizeof(n));
}

static void check_packet(struct netvm *nv, const struct netvm_desc *pkt,
                         uint32_t next[2])
{
    const uint8_t *data = netvm_data(nv, pkt);
    uint8_t expected[2048];
    uint32_t n;

    g_assert_cmpuint(pkt->length, >=, BED_FRAME_BYTES);
    memcpy(&n, data + 16, sizeof(n));
    /* Of those that are switched, and of the others: in order, each once. */
    g_assert_cmpuint(n, ==, next[n % 2]);
    next[n % 2] += 2;
    make_packet(expected, n);
    g_assert_cmpmem(data, pkt->length, expected, PACKET_BYTES(n));
}

/* From the one to the other, switched and by name in turn. */
static void *traffic(void *opaque)
{
    Victims *v = opaque;
    uint32_t sent = 0, came = 0, next[2] = { 0, 1 };

    while (!__atomic_load_n(&v->stop, __ATOMIC_RELAXED)) {
        struct netvm_desc pkt[8];
        int n = sent - came < UNDER_WAY ? netvm_alloc(v->nv[0], pkt, 8) : 0;

        g_assert_cmpint(n, >=, 0);
        for (int i = 0; i < n; i++) {
            pkt[i].length = PACKET_BYTES(sent);
            make_packet(netvm_data(v->nv[0], &pkt[i]), sent);
            if (sent++ % 2) {
                pkt[i].action = NETVM_TO_MEMBER;
                pkt[i].port = netvm_self(v->nv[1]);
            }
        }
        g_assert_cmpint(netvm_tx_burst(v->nv[0], pkt, n), ==, n);
        n = netvm_rx_burst(v->nv[1], pkt, 8);
        g_assert_cmpint(n, >=, 0);
        for (int i = 0; i < n; i++) {
            check_packet(v->nv[1], &pkt[i], next);
        }
        netvm_free(v->nv[1], pkt, n);
        came += n;
        __atomic_store_n(&v->came, came, __ATOMIC_RELAXED);
        if (n == 0) {
            g_thread_yield();
        }
    }
    return NULL;
}

typedef struct Attaching {
    char *where;
    struct netvm *nv;
    char error[NETVM_ERROR_BYTES];
    bool done;                  /* atomic */
} Attaching;

static void *attach(void *opaque)
{
    Attaching *a = opaque;

    a->nv = netvm_attach(a->where, BED_WAIT_S * 1000, a->error);
    __atomic_store_n(&a->done, true, __ATOMIC_RELEASE);
    return NULL;
}

static bool is_done(void *opaque)
{
    return __atomic_load_n(&((Attaching *)opaque)->done, __ATOMIC_ACQUIRE);
}

typedef struct Named {
    Victims *v;
    const char *port;
} Named;

static PortStatus status_of(const Victims *v, const char *name)
{
    PortStatus status;

    switch_port_status(v->sw, switch_find_port(v->sw, name), &status);
    return status;
}

static bool is_attached(void *opaque)
{
    const Named *n = opaque;

    return status_of(n->v, n->port).ready;
}

/* -- Life ------------------------------------------------------------------ */

static void add_victim(Victims *v, unsigned i, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *words = NULL;
    Attaching a = { 0 };
    GThread *thread;
    uint8_t mac[6];

    v->socket[i] = bed_socket_path();
    words = g_strdup_printf("type=netvm domain=victims vlan=30 socket=%s",
                            v->socket[i]);
    bed_add(v->sw, name, words);
    bed_make_mac(mac, VICTIMS_STATION + i);
    switch_fdb_set(v->sw, switch_find_port(v->sw, name), mac, 30, &error);
    g_assert_no_error(error);
    a.where = g_strconcat("unix:", v->socket[i], NULL);
    thread = g_thread_new("attach", attach, &a);
    bed_wait(is_done, &a, "a victim to be attached");
    g_thread_join(thread);
    g_assert_cmpstr(a.error, ==, "");
    v->nv[i] = a.nv;
    g_free(a.where);
    bed_wait(is_attached, &(Named) { v, name }, name);
}

Victims *victims_new(NetvmBed *b)
{
    Victims *v = g_new0(Victims, 1);
    g_autoptr(GError) error = NULL;
    DomainSettings s = *domain_settings(b->domain);

    v->sw = b->sw;
    s.buffers = 512;
    s.buffer_bytes = 2048;
    s.direct = false;
    g_assert_nonnull(switch_set_domain(v->sw, "victims", &s, &error));
    add_victim(v, 0, "v0");
    add_victim(v, 1, "v1");
    bed_add(v->sw, "x0", "vlan=20");
    bed_add(v->sw, "x1", "vlan=20");
    v->thread = g_thread_new("victims", traffic, v);
    return v;
}

void victims_free(Victims *v)
{
    __atomic_store_n(&v->stop, true, __ATOMIC_RELAXED);
    g_thread_join(v->thread);
    g_assert_cmpuint(status_of(v, "v0").breaks, ==, 0);
    g_assert_cmpuint(status_of(v, "v1").breaks, ==, 0);
    for (unsigned i = 0; i < 2; i++) {
        const struct netvm_stats *stats = netvm_stats(v->nv[i],
                                                      netvm_self(v->nv[i]));

        g_assert_cmpuint(stats->bad_descs, ==, 0);
        g_assert_cmpuint(stats->dropped_pkts, ==, 0);
        g_assert_cmpuint(stats->rx_bad, ==, 0);
        netvm_detach(v->nv[i]);
    }
    bed_remove(v->sw, "v0");
    bed_remove(v->sw, "v1");
    bed_socket_free(v->socket[0]);
    bed_socket_free(v->socket[1]);
    bed_remove(v->sw, "x0");
    bed_remove(v->sw, "x1");
    g_free(v);
}

/* -- What has come --------------------------------------------------------- */

uint64_t victims_came(const Victims *v)
{
    return __atomic_load_n(&v->came, __ATOMIC_RELAXED);
}

static bool have_more(void *opaque)
{
    const Victims *v = opaque;

    return victims_came(v) >= v->seen + UNDER_WAY;
}

void victims_check(Victims *v)
{
    uint8_t frame[BED_FRAME_BYTES];
    gint64 end_us = g_get_monotonic_time() + BED_WAIT_S * G_USEC_PER_SEC;
    GBytes *got;

    v->seen = victims_came(v);
    bed_make_frame(frame, BED_GROUP, 9, -1);
    frame[60] = v->seen;
    bed_send(v->sw, "x0", frame, sizeof(frame));
    while (!(got = bed_read(v->sw, "x1"))) {
        g_assert_cmpint(g_get_monotonic_time(), <, end_us);
        bed_turn();
        g_usleep(100);
    }
    g_assert_cmpmem(g_bytes_get_data(got, NULL), g_bytes_get_size(got), frame,
                    sizeof(frame));
    g_bytes_unref(got);
    bed_wait(have_more, v, "the victims' packets");
}
