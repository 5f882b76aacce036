/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide.h"
#include "flood.h"
#include "vlan.h"

static bool is_group(const uint8_t *mac)
{
    return mac[0] & 1;
}

/* 01-80-C2-00-00-00 to -0F. */
static bool is_link_local(const uint8_t *mac)
{
    static const uint8_t prefix[5] = { 0x01, 0x80, 0xc2, 0x00, 0x00 };

    return memcmp(mac, prefix, sizeof(prefix)) == 0 && mac[5] < 0x10;
}

static bool is_allowed_mac(const PortSettings *s, const uint8_t *mac)
{
    for (unsigned i = 0; i < s->macs; i++) {
        if (memcmp(s->mac[i], mac, 6) == 0) {
            return true;
        }
    }
    return s->macs == 0;
}

/* It counts at the port that it came from. */
static void drop(FlowAction *action, const Port *in, Drop reason)
{
    action->kind = FLOW_DROP;
    action->drop = reason;
    action->out[0] = in->id;
}

/* It counts there.  Not sent on in the hope that the port is ready a moment
 * later: its VLANs and who shows it may be others then. */
static void drop_down(FlowAction *action, unsigned port)
{
    action->kind = FLOW_DROP;
    action->drop = DROP_DOWN;
    action->out[0] = port;
    action->once = true;
}

/* Once for each port, whoever asks. */
static void add_out(FlowAction *action, unsigned port, TagChange tag)
{
    for (unsigned i = 0; i < action->outs; i++) {
        if (action->out[i] == port) {
            return;
        }
    }
    if (action->outs < FLOW_MAX_OUTS) {
        action->out[action->outs] = port;
        action->tag[action->outs++] = tag;
    }
}

static void add_mirrors(FlowAction *action, const Port *of, TagChange tag)
{
    for (unsigned i = 0; i < of->shown_by_n; i++) {
        add_out(action, of->shown_by[i], tag);
    }
}

/* The VLAN that a frame of @in belongs to, or -1. */
static int classify(const Port *in, bool tagged, unsigned vid)
{
    const PortSettings *s = &in->settings;

    if (!tagged || vid == 0) {
        return s->vlan >= 0 ? s->vlan
               : s->native > 0 ? s->native
               : port_in_vlan(in, 0) ? 0 : -1;
    }
    return s->vlan < 0 && port_in_vlan(in, vid) ? (int)vid : -1;
}

static void decide_peer(Datapath *dp, const Port *in, FlowAction *action)
{
    const Port *out;

    if (in->peer < 0) {
        drop(action, in, DROP_DOWN);
        return;
    }
    out = datapath_port(dp, in->peer);
    add_out(action, in->peer, TAG_KEEP);
    add_mirrors(action, in, TAG_KEEP);
    if (out) {
        add_mirrors(action, out, TAG_KEEP);
    } else {
        /* Until it is known who shows it. */
        action->once = true;
    }
}

void decide(Datapath *dp, const Port *in, const Frame *f, FlowAction *action)
{
    const uint8_t *to = f->head, *from = f->head + 6;
    uint16_t tci = 0;
    bool tagged = vlan_tag(f, &tci);
    unsigned vid = tci & 0xfff;
    const Port *out;
    int vlan, port;

    *action = (FlowAction) { .kind = FLOW_OUT };
    if (in->mirrors) {
        drop(action, in, DROP_MIRROR);
        return;
    }
    if (is_group(from) && in->peer == -1) {
        drop(action, in, DROP_SOURCE);
        return;
    }
    if (!is_allowed_mac(&in->settings, from)) {
        drop(action, in, DROP_SPOOF_MAC);
        return;
    }
    if (in->peer != -1) {
        decide_peer(dp, in, action);
        return;
    }
    vlan = classify(in, tagged, vid);
    if (vlan < 0) {
        drop(action, in, DROP_VLAN);
        return;
    }
    action->vlan = vlan;
    if (fdb_learn(dp->fdb, from, vlan, in->id,
                  __atomic_load_n(&dp->now_s, __ATOMIC_RELAXED),
                  in->settings.max_macs) == FDB_MOVED) {
        datapath_new_generation(dp);
    }
    if (is_link_local(to)) {
        drop(action, in, DROP_LINK_LOCAL);
        return;
    }
    if (is_group(to)) {
        action->kind = FLOW_FLOOD;
        return;
    }
    port = fdb_find(dp->fdb, to, vlan);
    if (port < 0) {
        /* Until it answers, which would not void the flow. */
        action->kind = FLOW_FLOOD;
        action->once = true;
        return;
    }
    out = datapath_port(dp, port);
    if (port == in->id) {
        drop(action, in, DROP_NOWHERE);
    } else if (!out) {
        drop_down(action, port);
    } else {
        TagChange tag = flood_tag_change(out, vlan, tagged, vid);

        add_out(action, port, tag);
        add_mirrors(action, in, TAG_KEEP);
        add_mirrors(action, out, tag);
    }
}
