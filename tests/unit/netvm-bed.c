/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "netvm-bed.h"

NetvmBed *netvm_bed_new(const char *settings)
{
    g_auto(GStrv) words = g_strsplit(settings, " ", -1);
    g_autoptr(GError) error = NULL;
    NetvmBed *b = g_new0(NetvmBed, 1);
    DomainSettings s;

    b->sw = bed_switch_new(1);
    domain_settings_init(&s);
    s.buffers = 512;
    s.ring_descs = 64;
    s.members = NETVM_BED_MEMBERS;
    s.pages = DOMAIN_PAGES_ORDINARY;
    for (char **word = words; *word && **word; word++) {
        g_auto(GStrv) part = g_strsplit(*word, "=", 2);

        domain_settings_set(&s, part[0], part[1], &error);
        g_assert_no_error(error);
    }
    b->domain = switch_set_domain(b->sw, "d", &s, &error);
    g_assert_no_error(error);
    for (unsigned i = 0; i < NETVM_BED_MEMBERS; i++) {
        g_autofree char *name = g_strdup_printf("m%u", i);
        g_autofree char *port = NULL;

        b->socket[i] = bed_socket_path();
        port = g_strdup_printf("type=netvm domain=d socket=%s", b->socket[i]);
        bed_add(b->sw, name, port);
    }
    return b;
}

void netvm_bed_free(NetvmBed *b)
{
    for (unsigned i = 0; i < NETVM_BED_MEMBERS; i++) {
        netvm_detach(b->nv[i]);
    }
    switch_free(b->sw);
    for (unsigned i = 0; i < NETVM_BED_MEMBERS; i++) {
        bed_socket_free(b->socket[i]);
    }
    g_free(b);
}

/* -- Members --------------------------------------------------------------- */

typedef struct Attaching {
    char *where;
    struct netvm *nv;
    char error[NETVM_ERROR_BYTES];
    bool done;
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

typedef struct Seen {
    NetvmBed *bed;
    uint64_t before;
} Seen;

static bool is_seen(void *opaque)
{
    const Seen *s = opaque;

    return s->bed->domain->attached != s->before;
}

static Attaching try_attach(NetvmBed *b, unsigned i)
{
    Attaching a = { .where = g_strconcat("unix:", b->socket[i], NULL) };
    GThread *thread = g_thread_new("attach", attach, &a);

    bed_wait(is_done, &a, "the library is attached, or not");
    g_thread_join(thread);
    g_free(a.where);
    return a;
}

void netvm_bed_attach_fails(NetvmBed *b, unsigned i, const char *error)
{
    Attaching a = try_attach(b, i);

    g_assert_null(a.nv);
    g_assert_nonnull(strstr(a.error, error));
}

struct netvm *netvm_bed_attach(NetvmBed *b, unsigned i)
{
    Seen seen = { b, b->domain->attached };
    Attaching a = try_attach(b, i);

    g_assert_cmpstr(a.error, ==, "");
    g_assert_nonnull(a.nv);
    b->nv[i] = a.nv;
    bed_wait(is_seen, &seen, "the daemon has seen that");
    bed_turn();
    return a.nv;
}

static bool nobody_leaves(void *opaque)
{
    NetvmBed *b = opaque;

    for (unsigned i = 0; i < NETVM_BED_MEMBERS; i++) {
        /* Who is attached sees it when it looks. */
        if (b->nv[i]) {
            netvm_rx_burst(b->nv[i], NULL, 0);
        }
    }
    for (unsigned i = 1; i <= NETVM_BED_MEMBERS; i++) {
        if (b->domain->member[i].state == MEMBER_LEAVING ||
            b->domain->member[i].state == MEMBER_QUARANTINE) {
            return false;
        }
    }
    return true;
}

void netvm_bed_wait_gone(NetvmBed *b)
{
    bed_wait(nobody_leaves, b, "who left is gone");
}

typedef struct Leaving {
    NetvmBed *bed;
    const char *port;
} Leaving;

static bool is_away(void *opaque)
{
    const Leaving *l = opaque;
    PortStatus status;

    switch_port_status(l->bed->sw, switch_find_port(l->bed->sw, l->port),
                       &status);
    return !status.connected;
}

void netvm_bed_detach(NetvmBed *b, unsigned i)
{
    g_autofree char *name = g_strdup_printf("m%u", i);

    netvm_detach(b->nv[i]);
    b->nv[i] = NULL;
    bed_wait(is_away, &(Leaving) { b, name }, "the daemon has seen that");
}

/* -- Packets --------------------------------------------------------------- */

struct netvm_desc netvm_bed_packet(struct netvm *nv, unsigned to,
                                   unsigned from)
{
    struct netvm_desc pkt;
    gint64 end_us = g_get_monotonic_time() + BED_WAIT_S * G_USEC_PER_SEC;

    while (netvm_alloc(nv, &pkt, 1) != 1) {
        g_assert_cmpint(g_get_monotonic_time(), <, end_us);
        bed_turn();
    }
    pkt.length = BED_FRAME_BYTES;
    bed_make_frame(netvm_data(nv, &pkt), to, from, -1);
    return pkt;
}

void netvm_bed_send_all(struct netvm *nv, const struct netvm_desc *pkt,
                        unsigned n)
{
    gint64 end_us = g_get_monotonic_time() + BED_WAIT_S * G_USEC_PER_SEC;
    unsigned sent = 0;

    while (sent < n) {
        int more = netvm_tx_burst(nv, pkt + sent, n - sent);

        g_assert_cmpint(more, >=, 0);
        g_assert_cmpint(g_get_monotonic_time(), <, end_us);
        sent += more;
    }
}

void netvm_bed_send(struct netvm *nv, struct netvm_desc pkt)
{
    netvm_bed_send_all(nv, &pkt, 1);
}

struct netvm_desc netvm_bed_receive(struct netvm *nv)
{
    struct netvm_desc pkt;
    gint64 end_us = g_get_monotonic_time() + BED_WAIT_S * G_USEC_PER_SEC;
    int n;

    while ((n = netvm_rx_burst(nv, &pkt, 1)) == 0) {
        g_assert_cmpint(g_get_monotonic_time(), <, end_us);
        bed_turn();
    }
    g_assert_cmpint(n, ==, 1);
    return pkt;
}

void netvm_bed_expect_none(struct netvm *nv)
{
    struct netvm_desc pkt;

    for (unsigned i = 0; i < 20; i++) {
        bed_turn();
        g_usleep(1000);
        g_assert_cmpint(netvm_rx_burst(nv, &pkt, 1), ==, 0);
    }
}

uint32_t netvm_bed_owned(NetvmBed *b, unsigned member)
{
    uint32_t owned[NETVM_MEMBERS_MAX + 1];

    domain_count_owned(b->domain, owned);
    return owned[member];
}
