/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames that the control thread sends: announcements of guests that have
 * moved, and what is put into dummy ports.
 *
 * Threads: the control thread, which forwards as a worker would while it is
 * inside RCU.
 */
#include <string.h>

#include "clock.h"
#include "port-dummy.h"
#include "switch-impl.h"

/* -- Frames of our own ----------------------------------------------------- */

/* As if it had come in at @p. */
static void send_own(Port *p, const uint8_t *frame, size_t bytes,
                     const uint8_t *vnet)
{
    Forwarder *fw = p->sw->own;
    Frame *f = &fw->burst.frame[0];
    VringSegment all = { (uint8_t *)frame, bytes };

    *f = (Frame) {
        .bytes = bytes, .head_bytes = MIN(bytes, FRAME_HEAD_BYTES),
        .rest = &all,
    };
    f->rest_offset = f->head_bytes;
    memcpy(f->head, frame, f->head_bytes);
    if (vnet) {
        memcpy(&f->vnet, vnet, FRAME_VNET_OLD_BYTES);
    }
    fw->burst.n = 1;
    if (port_is_limited(p) && clock_now_ns() < port_next_ns(p)) {
        counter_add(&fw->counters[p->id].drops[DROP_TX_LIMIT], 1);
        return;
    }
    rcu_thread_online();
    forward_burst(fw, p);
    rcu_thread_offline();
}

/* RFC 903: a reverse ARP request; nobody answers, and bridges learn from it. */
void port_announce(Port *p, const uint8_t mac[6])
{
    static const uint8_t rarp[] = { 0x80, 0x35, 0, 1, 0x08, 0, 6, 4, 0, 3 };
    uint8_t frame[60] = { 0 };

    memset(frame, 0xff, 6);
    memcpy(frame + 6, mac, 6);
    memcpy(frame + 12, rarp, sizeof(rarp));
    memcpy(frame + 22, mac, 6);
    memcpy(frame + 32, mac, 6);
    send_own(p, frame, sizeof(frame), NULL);
}

static bool need_dummy(const Port *p, GError **error)
{
    if (p->ops != &port_dummy_ops) {
        SET_ERROR(error, "port %s is of type %s; only a dummy port takes and "
                  "gives frames here", p->name, p->ops->type);
        return false;
    }
    return true;
}

bool switch_dummy_inject(Switch *sw, Port *p, const uint8_t *frame,
                         size_t bytes, const uint8_t *vnet, GError **error)
{
    if (!need_dummy(p, error)) {
        return false;
    }
    if (bytes < FRAME_MIN_BYTES || bytes > FRAME_MAX_BYTES) {
        SET_ERROR(error, "a frame of %zu bytes cannot be: %d to %d", bytes,
                  FRAME_MIN_BYTES, FRAME_MAX_BYTES);
        return false;
    }
    if (!p->settings.link_up) {
        SET_ERROR(error, "the link of port %s is down", p->name);
        return false;
    }
    send_own(p, frame, bytes, vnet);
    return true;
}

GBytes *switch_dummy_read(Switch *sw, Port *p, GError **error)
{
    return need_dummy(p, error) ? port_dummy_read(p) : NULL;
}
