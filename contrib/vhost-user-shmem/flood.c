/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "flood.h"

/* A bucket holds what comes in a tenth of a second, and one frame at least. */
#define BUCKET_S 0.1

bool flood_allowed(Port *p)
{
    StormLimit *s = &p->storm;
    double rate = p->settings.storm_pps;
    int64_t now_us;
    bool allowed;

    if (rate == 0) {
        return true;
    }
    pthread_mutex_lock(&s->lock);
    now_us = g_get_monotonic_time();
    s->tokens += (now_us - s->last_us) * 1e-6 * rate;
    s->tokens = MIN(s->tokens, MAX(1, rate * BUCKET_S));
    s->last_us = now_us;
    allowed = s->tokens >= 1;
    s->tokens -= allowed;
    pthread_mutex_unlock(&s->lock);
    return allowed;
}

bool port_in_vlan(const Port *p, unsigned vlan)
{
    const PortSettings *s = &p->settings;

    if (s->vlan >= 0) {
        return vlan == (unsigned)s->vlan;
    }
    if (vlan == 0) {
        return s->native == 0 && port_settings_in_trunk(s, 0);
    }
    return vlan == (unsigned)s->native || port_settings_in_trunk(s, vlan);
}

bool port_tags(const Port *p, unsigned vlan)
{
    return p->settings.vlan < 0 && vlan != 0 &&
           vlan != (unsigned)p->settings.native;
}

TagChange flood_tag_change(const Port *out, unsigned vlan, bool tagged,
                           unsigned vid)
{
    if (!port_tags(out, vlan)) {
        /* A tag without a VLAN is the sender's own, if nobody made one. */
        return tagged && (vid != 0 || vlan != 0) ? TAG_POP : TAG_KEEP;
    }
    return !tagged ? TAG_PUSH : vid == vlan ? TAG_KEEP : TAG_SET;
}

typedef struct Seen {
    uint64_t bit[SWITCH_MAX_PORTS / 64];
} Seen;

/* Was it not there yet? */
static bool see(Seen *seen, unsigned port)
{
    uint64_t bit = UINT64_C(1) << port % 64;
    bool new = !(seen->bit[port / 64] & bit);

    seen->bit[port / 64] |= bit;
    return new;
}

void flood_each(Datapath *dp, const Port *in, unsigned vlan, bool tagged,
                unsigned vid,
                void (*each)(void *opaque, unsigned port, TagChange tag),
                void *opaque)
{
    unsigned end = __atomic_load_n(&dp->ports_end, __ATOMIC_RELAXED);
    Seen seen = { { 0 } };

    for (unsigned i = 0; i < in->shown_by_n; i++) {
        if (see(&seen, in->shown_by[i])) {
            each(opaque, in->shown_by[i], TAG_KEEP);
        }
    }
    see(&seen, in->id);
    for (unsigned id = 0; id < end; id++) {
        const Port *out = datapath_port(dp, id);
        TagChange tag;

        if (!out || out->mirrors || out->peer != -1 || id == in->id ||
            out->egress_queues == 0 || !port_in_vlan(out, vlan)) {
            continue;
        }
        tag = flood_tag_change(out, vlan, tagged, vid);
        each(opaque, id, tag);
        for (unsigned i = 0; i < out->shown_by_n; i++) {
            if (see(&seen, out->shown_by[i])) {
                each(opaque, out->shown_by[i], tag);
            }
        }
    }
}
