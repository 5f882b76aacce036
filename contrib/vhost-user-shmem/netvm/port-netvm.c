/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A port with a member of a domain behind it: who attaches gets the domain's
 * memory and becomes a member; what members send each other is moved, what goes
 * to other ports or comes from them is copied.
 *
 * One attachment at a time.  It is a member from its HELLO on; its library says
 * in the region when it polls, which a worker notices.
 *
 * Threads: control, but for the last section.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <glib-unix.h>

#include "../file-closer.h"
#include "../kick.h"
#include "../port.h"
#include "../switch-impl.h"
#include "../vhost-socket.h"
#include "domain-chain.h"
#include "netvm-conn.h"
#include "netvm-frames.h"

typedef struct NetvmPort {
    /* Read by workers, written while the port is still. */
    Domain *domain;
    DomainMember *member;           /* NULL: nobody is there */
    unsigned service;               /* of which it is an instance; 0: none */

    /* Of the worker that serves it. */
    DomainTaken taken;
    NetvmFrames frames;
    bool told_attached;

    Port *p;
    VhostSocket *socket;
    NetvmConn *conn;                /* NULL: nobody is connected */
    guint conn_in, conn_out;        /* sources; 0: none */
    bool welcome;                   /* it has been told of the region */
    unsigned segments_told;
    uint64_t doorbells_told;        /* bit per member */
    int config_fd;                  /* rung when the region has changed */
    uint32_t resets;
    uint64_t connects;
} NetvmPort;

/* Messages that are read before another one is turned away. */
#define HEAR_MAX 64

static void lose(NetvmPort *v, GLogLevelFlags level, const char *why);

/* -- What it is told ------------------------------------------------------- */

static gboolean on_writable(gint fd, GIOCondition condition, gpointer opaque)
{
    NetvmPort *v = opaque;

    if (!netvm_conn_flush(v->conn)) {
        v->conn_out = 0;
        lose(v, G_LOG_LEVEL_MESSAGE, "the attachment has gone");
        return G_SOURCE_REMOVE;
    }
    if (netvm_conn_wants_to_write(v->conn)) {
        return G_SOURCE_CONTINUE;
    }
    v->conn_out = 0;
    return G_SOURCE_REMOVE;
}

/* Once it fails the connection has ended, which on_readable() will see. */
static void say(NetvmPort *v, uint32_t type, const void *body, uint32_t bytes,
                int fd)
{
    netvm_conn_send(v->conn, type, body, bytes, fd);
    if (netvm_conn_wants_to_write(v->conn) && v->conn_out == 0) {
        v->conn_out = g_unix_fd_add(netvm_conn_fd(v->conn), G_IO_OUT,
                                    on_writable, v);
    }
}

static void say_number(NetvmPort *v, uint32_t type, uint32_t number, int fd)
{
    struct netvm_number body = { .number = number };

    say(v, type, &body, sizeof(body), fd);
}

static void refuse(NetvmPort *v, const char *why)
{
    struct netvm_text body = { 0 };

    g_strlcpy(body.text, why, sizeof(body.text));
    say(v, NETVM_MSG_REFUSED, &body, sizeof(body), -1);
    lose(v, G_LOG_LEVEL_WARNING, why);
}

static void tell_segments(NetvmPort *v)
{
    const DomainRegion *r = v->domain->region;

    for (; v->segments_told < r->segments; v->segments_told++) {
        const DomainSegment *s = &r->segment[v->segments_told];
        struct netvm_segment_place body = {
            .segment = v->segments_told,
            .offset = s->offset,
            .bytes = s->bytes,
        };

        say(v, NETVM_MSG_SEGMENT, &body, sizeof(body), s->fd);
    }
}

/* The doorbells of others, as they are now. */
static void tell_doorbells(NetvmPort *v)
{
    uint64_t there = v->domain->region->layout.direct ? v->domain->attached : 0;
    uint64_t self = UINT64_C(1) << v->member->number;

    for (unsigned i = 1; i <= NETVM_MEMBERS_MAX; i++) {
        uint64_t bit = UINT64_C(1) << i;

        if (bit == self || !((there ^ v->doorbells_told) & bit)) {
            continue;
        }
        if (there & bit) {
            say_number(v, NETVM_MSG_DOORBELL, i,
                       v->domain->member[i].call_fd);
        } else {
            say_number(v, NETVM_MSG_NO_DOORBELL, i, -1);
        }
        v->doorbells_told ^= bit;
    }
}

/* Others have come or gone, or the region has grown: all of the domain are
 * told, before it is so. */
static void tell_all(Domain *d)
{
    for (unsigned i = 1; i <= d->region->layout.members; i++) {
        NetvmPort *v = d->member[i].opaque;

        if (v) {
            tell_segments(v);
            tell_doorbells(v);
            kick(v->config_fd);
        }
    }
}

static void tell_ready(NetvmPort *v)
{
    struct netvm_ready body = {
        .member = v->member->number,
        .serial = v->member->serial,
        .resets = v->resets,
    };

    say_number(v, NETVM_MSG_DOORBELL, NETVM_DAEMON, v->member->kick_fd);
    say_number(v, NETVM_MSG_INTERRUPT, NETVM_VECTOR_RINGS,
               v->member->call_fd);
    say_number(v, NETVM_MSG_INTERRUPT, NETVM_VECTOR_CONFIG, v->config_fd);
    tell_doorbells(v);
    say(v, NETVM_MSG_READY, &body, sizeof(body), -1);
}

/* -- Membership ------------------------------------------------------------ */

/* The port is still. */
static void show_queues(NetvmPort *v)
{
    v->p->ingress_queues = v->p->egress_queues = v->member != NULL;
}

static bool join(NetvmPort *v, GError **error)
{
    DomainMember *m = domain_join(v->domain, v->p->id, v->p->name, error);

    if (!m) {
        return false;
    }
    port_quiesce(v->p);
    v->member = m;
    v->told_attached = false;
    m->opaque = v;
    m->shown->service = v->service;
    show_queues(v);
    port_resume(v->p);
    return true;
}

static void leave(NetvmPort *v)
{
    DomainMember *m = v->member;

    if (!m) {
        return;
    }
    port_quiesce(v->p);
    v->member = NULL;
    show_queues(v);
    port_resume(v->p);
    m->opaque = NULL;
    if (v->service) {
        domain_remove_instance(v->domain, v->service, m);
    }
    domain_leave(v->domain, m);
    tell_all(v->domain);
}

/* Its library polls; a worker has seen it. */
static void netvm_called(Port *p)
{
    NetvmPort *v = p->impl;

    /* What was told of the one before is not meant. */
    if (v->member && v->member->state == MEMBER_JOINED &&
        __atomic_load_n(&v->told_attached, __ATOMIC_RELAXED)) {
        domain_attach(v->domain, v->member);
        if (v->service) {
            domain_add_instance(v->domain, v->service, v->member);
        }
        /* Who may be sent to has a doorbell before. */
        tell_all(v->domain);
        domain_connect(v->domain, v->member);
        switch_show_macs(p->sw);
    }
}

/* -- What it says ---------------------------------------------------------- */

static bool on_hello(NetvmPort *v, const struct netvm_hello *hello)
{
    const DomainRegion *r = v->domain->region;
    struct netvm_welcome body = {
        .region_id = r->id,
        .region_bytes = r->bytes,
    };
    g_autofree char *why = NULL;
    g_autoptr(GError) error = NULL;

    if (hello->version != NETVM_WIRE_VERSION) {
        why = g_strdup_printf("the attachment speaks version %u, the daemon "
                              "%u: install them from one release",
                              hello->version, NETVM_WIRE_VERSION);
    } else if (hello->window_bytes < r->bytes) {
        why = g_strdup_printf("domain %s has %" PRIu64 " MiB, more than the "
                              "%" PRIu64 " MiB that the device can show: give "
                              "it a larger size=, or the domain fewer "
                              "buffers=", v->domain->name, r->bytes >> 20,
                              hello->window_bytes >> 20);
    } else if (!join(v, &error)) {
        why = g_strdup(error->message);
    }
    if (why) {
        refuse(v, why);
        return false;
    }
    v->welcome = true;
    say(v, NETVM_MSG_WELCOME, &body, sizeof(body), -1);
    tell_segments(v);
    tell_ready(v);
    return true;
}

static bool on_reset(NetvmPort *v)
{
    g_autoptr(GError) error = NULL;

    leave(v);
    v->resets++;
    v->doorbells_told &= v->domain->attached;
    if (!join(v, &error)) {
        refuse(v, error->message);
        return false;
    }
    tell_ready(v);
    return true;
}

/* It says itself why it ends: one line of the log, whatever it sends. */
static void lose_for(NetvmPort *v, const struct netvm_text *text)
{
    g_autofree char *why = g_strndup(text->text, sizeof(text->text));
    g_autofree char *line = g_utf8_make_valid(why, -1);

    for (char *c = line; *c; c++) {
        *c = g_ascii_iscntrl(*c) ? ' ' : *c;
    }
    lose(v, G_LOG_LEVEL_WARNING, line);
}

/* False: there is no connection any more. */
static bool obey(NetvmPort *v, NetvmIncoming *in)
{
    switch (in->header.type) {
    case NETVM_MSG_HELLO:
        if (v->welcome) {
            lose(v, G_LOG_LEVEL_WARNING, "the attachment says HELLO twice");
            return false;
        }
        return on_hello(v, &in->hello);
    case NETVM_MSG_RESET:
        if (!v->welcome) {
            lose(v, G_LOG_LEVEL_WARNING, "the attachment did not say HELLO");
            return false;
        }
        return on_reset(v);
    default:
        lose_for(v, &in->text);
        return false;
    }
}

/* A message, if one is there.  False: there is none, or no connection. */
static bool hear(NetvmPort *v)
{
    NetvmIncoming in;
    g_autoptr(GError) error = NULL;

    switch (netvm_conn_receive(v->conn, &in, &error)) {
    case NETVM_RECEIVED:
        return obey(v, &in);
    case NETVM_RECEIVED_PART:
        return false;
    case NETVM_CLOSED:
        lose(v, G_LOG_LEVEL_MESSAGE, "the attachment has gone");
        return false;
    case NETVM_BROKEN:
        lose(v, G_LOG_LEVEL_WARNING, error->message);
        return false;
    }
    return false;
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer opaque)
{
    NetvmPort *v = opaque;

    hear(v);
    return v->conn ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

/* -- The connection -------------------------------------------------------- */

static void disconnect(NetvmPort *v)
{
    g_clear_handle_id(&v->conn_in, g_source_remove);
    g_clear_handle_id(&v->conn_out, g_source_remove);
    netvm_conn_free(v->conn);
    v->conn = NULL;
    v->welcome = false;
    v->segments_told = 0;
    v->doorbells_told = 0;
    v->resets = 0;
    leave(v);
}

static void lose(NetvmPort *v, GLogLevelFlags level, const char *why)
{
    port_log_often(v->p, level, "%s", why);
    disconnect(v);
    vhost_socket_lost(v->socket);
}

static void on_attachment(void *opaque, int fd)
{
    NetvmPort *v = opaque;

    /* The end of the one before may be waiting to be read. */
    for (unsigned i = 0; i < HEAR_MAX && v->conn && hear(v); i++) {
    }
    if (v->conn) {
        port_log_often(v->p, G_LOG_LEVEL_WARNING, "a second attachment was "
                       "turned away: one is connected");
        file_close_later(fd);
        return;
    }
    v->connects++;
    v->conn = netvm_conn_new(fd);
    v->conn_in = g_unix_fd_add(fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable,
                               v);
}

/* -- A port's life --------------------------------------------------------- */

static void netvm_close(Port *p)
{
    NetvmPort *v = p->impl;

    vhost_socket_free(v->socket);
    disconnect(v);
    if (v->config_fd >= 0) {
        close(v->config_fd);
    }
    v->domain->ports--;
    if (v->service) {
        domain_unname_port_service(v->domain, v->service);
    }
    g_free(v);
    p->impl = NULL;
}

static bool netvm_open(Port *p, GError **error)
{
    Domain *domain = domain_of_port(p, error);
    NetvmPort *v;

    if (!domain || !kick_prepare(error)) {
        return false;
    }
    v = g_new0(NetvmPort, 1);
    p->impl = v;
    v->p = p;
    v->domain = v->frames.domain = domain;
    v->socket = vhost_socket_new(p, on_attachment, v);
    v->config_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    domain->ports++;
    domain->tell = tell_all;
    if (p->settings.service) {
        v->service = domain_name_port_service(domain, p->settings.service,
                                              error);
        if (v->service == 0) {
            netvm_close(p);
            return false;
        }
    }
    if (p->settings.link_up && !vhost_socket_open(v->socket, error)) {
        netvm_close(p);
        return false;
    }
    return true;
}

static void netvm_link(Port *p)
{
    NetvmPort *v = p->impl;
    g_autoptr(GError) error = NULL;

    if (!p->settings.link_up) {
        vhost_socket_close(v->socket);
        disconnect(v);
    } else if (!vhost_socket_open(v->socket, &error)) {
        port_log(p, G_LOG_LEVEL_WARNING, "%s", error->message);
    }
}

static void netvm_broken(Port *p)
{
    lose(p->impl, G_LOG_LEVEL_WARNING, p->last_broken);
}

static void netvm_status(Port *p, PortStatus *status)
{
    const NetvmPort *v = p->impl;

    status->connected = v->conn;
    status->connects = v->connects;
    status->memory_bytes = v->member ? v->domain->region->bytes : 0;
    status->ready = v->member && v->member->state == MEMBER_ATTACHED;
}

static int netvm_wake_fd(Port *p, unsigned queue)
{
    return ((NetvmPort *)p->impl)->member->kick_fd;
}

/* -- Workers --------------------------------------------------------------- */

/* Its library has said that it polls. */
static void look_for_library(Port *p, NetvmPort *v)
{
    if (G_UNLIKELY(!v->told_attached) &&
        netvm_read32(&v->member->shown->serial_attached) ==
        v->member->serial) {
        __atomic_store_n(&v->told_attached, true, __ATOMIC_RELAXED);
        port_call(p);
    }
}

/* What was moved within the domain. */
static void count_moved(Port *p, const DomainTaken *t, uint64_t out_bytes,
                        const Domain *d, PortCounters *counters)
{
    counter_add(&counters->ingress_pkts, t->n - t->out_n);
    counter_add(&counters->ingress_bytes, t->bytes - out_bytes);
    counter_add(&counters->drops[DROP_RX_FULL], t->no_room);
    counter_add(&counters->drops[DROP_DOWN], t->not_there);
    for (uint64_t left = t->given.members; left; left &= left - 1) {
        unsigned i = __builtin_ctzll(left);
        PortCounters *to = port_counters_of(counters, p, d->member[i].port);

        counter_add(&to->egress_pkts, t->given.n[i]);
        counter_add(&to->egress_bytes, t->given.bytes[i]);
    }
}

static void netvm_ingress_done(Port *p, unsigned queue, IngressBurst *b)
{
    netvm_frames_done(&((NetvmPort *)p->impl)->frames);
}

static unsigned netvm_ingress(Port *p, unsigned queue, IngressBurst *b,
                              PortCounters *counters)
{
    NetvmPort *v = p->impl;
    DomainTaken *t = &v->taken;
    NetvmFrames *fs = &v->frames;
    uint64_t out_bytes = 0;
    unsigned n;

    look_for_library(p, v);
    if (!domain_take(v->domain, v->member, b->max, t, fs->desc)) {
        port_break(p, "it shows positions in its ring that cannot be");
        return 0;
    }
    if (t->n == 0) {
        return 0;
    }
    fs->n = t->out_n;
    for (unsigned i = 0; i < fs->n; i++) {
        out_bytes += fs->desc[i].length;
    }
    count_moved(p, t, out_bytes, v->domain, counters);
    b->handled = t->n - fs->n;
    if (fs->n == 0) {
        return 0;
    }
    n = netvm_frames_read(fs, p, b, counters);
    if (n == 0) {
        netvm_frames_done(fs);
    }
    return n;
}

static bool netvm_ask_wake(Port *p, unsigned queue, bool ask)
{
    NetvmPort *v = p->impl;

    if (!ask) {
        netvm_receiver_stay_awake(&v->member->tx);
        return false;
    }
    return !netvm_receiver_may_sleep(&v->member->tx);
}

static DomainGive give(void *opaque, DomainGiven *given,
                       struct netvm_desc *desc, bool copied)
{
    NetvmPort *v = opaque;
    DomainGive result = domain_give(v->domain, given, v->member->number, desc);

    if (copied && result == DOMAIN_GIVEN) {
        domain_count(&v->member->stats->given_copied_pkts, 1);
    }
    return result;
}

static void netvm_egress(Port *p, unsigned queue, const Frame *const *frames,
                         unsigned n, VringBurst *scratch,
                         PortCounters *counters)
{
    NetvmPort *v = p->impl;

    netvm_frames_give(v->domain, frames, n, counters, give, v);
}

const PortOps port_netvm_ops = {
    .type = "netvm",
    .open = netvm_open,
    .close = netvm_close,
    .link = netvm_link,
    .broken = netvm_broken,
    .called = netvm_called,
    .status = netvm_status,
    .wake_fd = netvm_wake_fd,
    .ingress = netvm_ingress,
    .ingress_done = netvm_ingress_done,
    .ask_wake = netvm_ask_wake,
    .egress = netvm_egress,
};
