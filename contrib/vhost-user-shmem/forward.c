/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way of a burst: what is each frame's flow, where does it go, deliver.
 *
 * Theory of operation.  A frame is looked at in its copied head only.  Frames
 * for one port are gathered in its outbox, so that a port is entered once per
 * burst, and then written straight from the sender's buffers; an outbox never
 * outlives the burst.  Nearly all frames of a burst are of one flow: the slot
 * of the one before is compared first.
 *
 * Threads: a Forwarder belongs to one thread.
 */
#include "clock.h"
#include "decide.h"
#include "deliver.h"
#include "flood.h"
#include "rt-port.h"
#include "schedule.h"
#include "spoof.h"
#include "vlan.h"

Forwarder *forwarder_new(Datapath *dp)
{
    Forwarder *fw = g_new0(Forwarder, 1);

    fw->dp = dp;
    fw->flows = flow_cache_new();
    fw->offload = offload_new();
    return fw;
}

void forwarder_free(Forwarder *fw)
{
    offload_free(fw->offload);
    free(fw->flows);
    g_free(fw);
}

/* -- Out ------------------------------------------------------------------- */

static void hand_over(Forwarder *fw, const Port *in, Port *out,
                      const Frame *const *frames, unsigned n)
{
    if (G_UNLIKELY(out->queue)) {
        schedule_put(fw, in, out, frames, n);
        return;
    }
    if (G_UNLIKELY(in->rt)) {
        rt_passed(in, frames, n, clock_now_ns());
    }
    deliver(fw, out, frames, n);
}

/* Some may be more than the receiver can take: those go one by one. */
static void hand_over_converted(Forwarder *fw, const Port *in, Port *out,
                                const Outbox *box)
{
    /* A long one would hold up all that wait for a link. */
    uint8_t accepted = out->offloads_accepted &
                       (out->queue ? OFFLOAD_CSUM : UINT8_MAX);
    unsigned done = 0;

    for (unsigned i = 0; i < box->n; i++) {
        const Frame *const *parts;
        unsigned n;

        if (!(offload_needs(box->frame[i]) & ~accepted)) {
            continue;
        }
        if (i > done) {
            hand_over(fw, in, out, box->frame + done, i - done);
        }
        done = i + 1;
        n = offload_convert(fw->offload, box->frame[i], accepted, &parts);
        if (n == 0) {
            counter_add(&fw->counters[out->id].drops[DROP_SEGMENT], 1);
        }
        for (unsigned at = 0; at < n; at += EGRESS_BURST) {
            hand_over(fw, in, out, parts + at, MIN(n - at, EGRESS_BURST));
        }
    }
    if (box->n > done) {
        hand_over(fw, in, out, box->frame + done, box->n - done);
    }
}

static void empty_outbox(Forwarder *fw, const Port *in, unsigned id)
{
    Port *out = datapath_port(fw->dp, id);
    Outbox *box = &fw->outbox[id];

    if (G_UNLIKELY(!out || out->egress_queues == 0)) {
        counter_add(&fw->counters[id].drops[DROP_DOWN], box->n);
    } else if (G_UNLIKELY(box->offloads)) {
        hand_over_converted(fw, in, out, box);
    } else {
        hand_over(fw, in, out, box->frame, box->n);
    }
    box->n = 0;
    box->offloads = false;
}

static inline void put(Forwarder *fw, unsigned id, const Frame *f)
{
    Outbox *box = &fw->outbox[id];

    if (box->n == 0) {
        fw->touched[fw->touched_n++] = id;
    }
    box->frame[box->n++] = f;
    box->offloads |= !offload_is_plain(f);
}

/* -- Tags ------------------------------------------------------------------ */

/* Frame @i of the burst with its tag changed; made once for all ports. */
static const Frame *retag(Forwarder *fw, unsigned i, TagChange change,
                          unsigned vlan)
{
    const Frame *f = &fw->burst.frame[i];
    unsigned which = change != TAG_POP;
    Frame *to = &fw->retagged[which][i];

    if (change == TAG_KEEP) {
        return f;
    }
    if (!fw->has_retagged[which][i]) {
        uint16_t tci = vlan;

        fw->has_retagged[which][i] = true;
        if (change == TAG_POP) {
            vlan_pop(to, f);
        } else if (change == TAG_PUSH) {
            vlan_push(to, f, tci);
        } else {
            *to = *f;
            to->buffer = NULL;
            to->head[14] = (f->head[14] & 0xf0) | tci >> 8;
            to->head[15] = tci;
        }
    }
    return to;
}

/* -- A frame that is not simply sent on ------------------------------------ */

typedef struct Flooded {
    Forwarder *fw;
    unsigned i;
    unsigned vlan;
    unsigned ports;
} Flooded;

static void put_flooded(void *opaque, unsigned port, TagChange tag)
{
    Flooded *fl = opaque;

    put(fl->fw, port, retag(fl->fw, fl->i, tag, fl->vlan));
    fl->ports++;
}

static void flood(Forwarder *fw, const Port *in, unsigned i, unsigned vlan)
{
    const Frame *f = &fw->burst.frame[i];
    uint64_t *drops = fw->counters[in->id].drops;
    Flooded fl = { .fw = fw, .i = i, .vlan = vlan };
    uint16_t tci = 0;
    bool tagged = vlan_tag(f, &tci);

    /* Only its bucket changes, which has a lock. */
    if (!flood_allowed((Port *)in)) {
        counter_add(&drops[DROP_STORM], 1);
        return;
    }
    flood_each(fw->dp, in, vlan, tagged, tci & 0xfff, put_flooded, &fl);
    if (fl.ports == 0) {
        counter_add(&drops[DROP_NOWHERE], 1);
    }
}

static void act(Forwarder *fw, const Port *in, unsigned i,
                const FlowAction *action)
{
    FrameBuffer *buffer = fw->burst.frame[i].buffer;

    fw->has_retagged[0][i] = fw->has_retagged[1][i] = false;
    if (G_UNLIKELY(buffer)) {
        buffer->shared = action->kind == FLOW_FLOOD || action->outs > 1;
    }
    switch (action->kind) {
    case FLOW_OUT:
        for (unsigned k = 0; k < action->outs; k++) {
            put(fw, action->out[k],
                retag(fw, i, action->tag[k], action->vlan));
        }
        break;
    case FLOW_FLOOD:
        flood(fw, in, i, action->vlan);
        break;
    case FLOW_DROP:
        counter_add(&fw->counters[action->out[0]].drops[action->drop], 1);
        break;
    }
}

/* -- In -------------------------------------------------------------------- */

/* What is asked of every frame; counts those that fail. */
static inline bool admit(Forwarder *fw, const Port *in, Frame *f)
{
    uint64_t *drops = fw->counters[in->id].drops;

    if (G_UNLIKELY(!offload_is_plain(f)) &&
        !offload_check(f, in->offloads_allowed)) {
        counter_add(&drops[DROP_OFFLOAD], 1);
        return false;
    }
    if (G_UNLIKELY(in->settings.ips > 0) &&
        !spoof_ip_ok(f, in->settings.ip, in->settings.ips)) {
        counter_add(&drops[DROP_SPOOF_IP], 1);
        return false;
    }
    return true;
}

static void forward_to_peer(Forwarder *fw, const Port *in)
{
    IngressBurst *b = &fw->burst;

    for (unsigned i = 0; i < b->n; i++) {
        if (admit(fw, in, &b->frame[i])) {
            put(fw, in->peer, &b->frame[i]);
        }
    }
}

static G_GNUC_NO_INLINE const FlowSlot *
miss(Forwarder *fw, const Port *in, unsigned i, FlowSlot *slot, FlowKey key,
     uint32_t generation)
{
    FlowAction action;

    counter_add(&fw->flow_misses, 1);
    decide(fw->dp, in, &fw->burst.frame[i], &action);
    if (action.once) {
        act(fw, in, i, &action);
        return NULL;
    }
    slot->key = key;
    slot->port = in->id;
    slot->generation = generation;
    slot->action = action;
    return slot;
}

static void forward_switched(Forwarder *fw, const Port *in)
{
    IngressBurst *b = &fw->burst;
    /* Before the ports and addresses that are looked up; pairs with the
     * release of datapath_new_generation(). */
    uint32_t generation = __atomic_load_n(&fw->dp->generation,
                                          __ATOMIC_ACQUIRE);
    const FlowSlot *slot = NULL;

    for (unsigned i = 0; i < b->n; i++) {
        Frame *f = &b->frame[i];
        FlowKey key = flow_key(f);

        if (!admit(fw, in, f)) {
            continue;
        }
        if (G_UNLIKELY(b->directed >> i & 1)) {
            put(fw, b->out[i], f);
            continue;
        }
        if (!slot || !flow_slot_is(slot, key, in->id, generation)) {
            FlowSlot *found = flow_slot(fw->flows, key, in->id);

            slot = found;
            if (G_UNLIKELY(!flow_slot_is(found, key, in->id, generation))) {
                slot = miss(fw, in, i, found, key, generation);
                if (!slot) {
                    continue;
                }
            }
        }
        if (G_LIKELY(slot->action.kind == FLOW_OUT && slot->action.outs == 1 &&
                     slot->action.tag[0] == TAG_KEEP)) {
            put(fw, slot->action.out[0], f);
        } else {
            act(fw, in, i, &slot->action);
        }
    }
}

/* What is to be cut into many counts as what it will be. */
static void charge_limits(Forwarder *fw, Port *in)
{
    uint64_t bytes = 0;
    unsigned pkts = 0;

    for (unsigned i = 0; i < fw->burst.n; i++) {
        const Frame *f = &fw->burst.frame[i];
        unsigned headers = GUINT16_FROM_LE(f->vnet.hdr_len);
        unsigned size = GUINT16_FROM_LE(f->vnet.gso_size), cuts = 0;

        if (f->vnet.gso_type != VIRTIO_NET_HDR_GSO_NONE && size > 0 &&
            headers < f->bytes) {
            cuts = (f->bytes - headers - 1) / size;
        }
        pkts += 1 + cuts;
        bytes += f->bytes + (uint64_t)cuts * headers;
    }
    port_charge(in, bytes, pkts, clock_now_ns());
}

void forward_burst(Forwarder *fw, Port *in)
{
    PortCounters *counters = &fw->counters[in->id];
    uint64_t bytes = 0;

    for (unsigned i = 0; i < fw->burst.n; i++) {
        bytes += fw->burst.frame[i].bytes;
    }
    counter_add(&counters->ingress_pkts, fw->burst.n);
    counter_add(&counters->ingress_bytes, bytes);
    if (G_UNLIKELY(port_is_limited(in))) {
        charge_limits(fw, in);
    }
    if (G_UNLIKELY(in->rt)) {
        rt_accept(fw, in);
    }
    if (in->only_peer && !fw->burst.directed) {
        forward_to_peer(fw, in);
    } else {
        forward_switched(fw, in);
    }
    for (unsigned i = 0; i < fw->touched_n; i++) {
        empty_outbox(fw, in, fw->touched[i]);
    }
    fw->touched_n = 0;
}
