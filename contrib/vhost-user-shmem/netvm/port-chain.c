/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The port through which a chain of services is entered and left: frames that
 * are switched to it (or all of another port, by that one's peer=) go to the
 * first hop; what the last hop sends on comes out of it, as if a guest behind
 * it had sent it.
 *
 * Threads: control, but for the last section.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../kick.h"
#include "../switch-impl.h"
#include "domain-chain.h"
#include "netvm-frames.h"

typedef struct ChainPort {
    Domain *domain;
    DomainChain chain;              /* under the domain's lock */
    NetvmFrames frames;             /* of the worker that serves it */
    int wake_fd;
} ChainPort;

/* -- A port's life --------------------------------------------------------- */

static void show_link(Port *p)
{
    p->ingress_queues = p->egress_queues = p->settings.link_up;
}

static void chain_close(Port *p)
{
    ChainPort *v = p->impl;

    domain_remove_chain(v->domain, &v->chain);
    v->domain->ports--;
    if (v->wake_fd >= 0) {
        close(v->wake_fd);
    }
    g_free(v);
    p->impl = NULL;
}

static bool chain_open(Port *p, GError **error)
{
    Domain *domain = domain_of_port(p, error);
    ChainPort *v;

    if (!domain || !kick_prepare(error)) {
        return false;
    }
    v = g_new0(ChainPort, 1);
    v->domain = v->frames.domain = domain;
    v->chain.number = p->id + 1;
    v->chain.wake_fd = -1;
    v->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    p->impl = v;
    domain->ports++;
    if (v->wake_fd < 0) {
        SET_ERROR(error, "cannot make an eventfd: %s", g_strerror(errno));
        chain_close(p);
        return false;
    }
    if (!domain_set_chain(domain, &v->chain, p->settings.services, error)) {
        chain_close(p);
        return false;
    }
    show_link(p);
    return true;
}

static void chain_link(Port *p)
{
    show_link(p);
}

static void chain_changed(Port *p)
{
    ChainPort *v = p->impl;
    g_autoptr(GError) error = NULL;

    if (!domain_set_chain(v->domain, &v->chain, p->settings.services,
                          &error)) {
        port_log(p, G_LOG_LEVEL_WARNING, "its chain stays as it was: %s",
                 error->message);
    }
}

static void chain_broken(Port *p)
{
}

static void chain_status(Port *p, PortStatus *status)
{
    status->memory_bytes = ((ChainPort *)p->impl)->domain->region->bytes;
}

static int chain_wake_fd(Port *p, unsigned queue)
{
    return ((ChainPort *)p->impl)->wake_fd;
}

/* -- Workers --------------------------------------------------------------- */

/* What has come to the end of the chain. */
static unsigned take(ChainPort *v, unsigned most)
{
    DomainChain *c = &v->chain;
    unsigned n = 0;

    pthread_mutex_lock(&v->domain->lock);
    while (n < most && c->done_head != c->done_tail) {
        v->frames.desc[n] = c->done[c->done_head++ % CHAIN_DONE];
        v->frames.desc[n++].action = NETVM_SWITCH;
    }
    pthread_mutex_unlock(&v->domain->lock);
    return n;
}

static unsigned chain_ingress(Port *p, unsigned queue, IngressBurst *b,
                              PortCounters *counters)
{
    ChainPort *v = p->impl;

    v->frames.n = take(v, MIN(b->max, DOMAIN_BURST));
    return v->frames.n ? netvm_frames_read(&v->frames, p, b, counters) : 0;
}

static void chain_ingress_done(Port *p, unsigned queue, IngressBurst *b)
{
    netvm_frames_done(&((ChainPort *)p->impl)->frames);
}

static bool chain_ask_wake(Port *p, unsigned queue, bool ask)
{
    ChainPort *v = p->impl;
    bool more;

    pthread_mutex_lock(&v->domain->lock);
    more = v->chain.done_head != v->chain.done_tail;
    v->chain.wake_fd = ask && !more ? v->wake_fd : -1;
    pthread_mutex_unlock(&v->domain->lock);
    return ask && more;
}

/* Into its first hop. */
static DomainGive give(void *opaque, DomainGiven *given,
                       struct netvm_desc *desc, bool copied)
{
    ChainPort *v = opaque;

    desc->action = NETVM_NEXT;
    return domain_give_hop(v->domain, given, v->chain.number, 0, desc);
}

static void chain_egress(Port *p, unsigned queue, const Frame *const *frames,
                         unsigned n, VringBurst *scratch,
                         PortCounters *counters)
{
    ChainPort *v = p->impl;

    netvm_frames_give(v->domain, frames, n, counters, give, v);
}

const PortOps port_chain_ops = {
    .type = "chain",
    .open = chain_open,
    .close = chain_close,
    .link = chain_link,
    .changed = chain_changed,
    .broken = chain_broken,
    .status = chain_status,
    .wake_fd = chain_wake_fd,
    .ingress = chain_ingress,
    .ingress_done = chain_ingress_done,
    .ask_wake = chain_ask_wake,
    .egress = chain_egress,
};
