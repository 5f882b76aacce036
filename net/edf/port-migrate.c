/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A port's frames, moved to another QEMU or into a snapshot.
 *
 * When the VM has stopped, every frame that was taken from the guest's ring is
 * here or has left: what waited for room has been flushed into the port, and
 * the netdev has given back what it had not sent.  So no descriptor of the
 * guest's is in flight on either side.
 *
 * What is left of a deadline is that of the moment when the VM stopped.
 *
 * Saving changes nothing: if the migration fails, the source goes on.
 *
 * The section holds all records, then all bytes.  Both numbers are checked
 * before memory is taken, each record before a frame is made of it.
 *
 * Threads: main loop, under the BQL.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/units.h"
#include "migration/vmstate.h"
#include "net/edf/clock.h"
#include "net/edf/port-impl.h"

/* The scheduler's limits do not hold while the VM is stopped; these do. */
#define SAVED_MAX_PKTS 65536
#define SAVED_MAX_BYTES (128 * MiB)

void edf_port_migrate_cleanup(EdfPort *port)
{
    g_free(port->saved.frames);
    g_free(port->saved.bytes);
    port->saved = (EdfPortSaved) { 0 };
}

static int port_pre_save(void *opaque)
{
    EdfPort *port = opaque;
    EdfPortSaved *saved = &port->saved;
    uint64_t now_ns = port->sp.sched->stopped_ns ?: rtnet_clock_ns();
    uint64_t sum_bytes = 0;
    uint32_t done_bytes = 0;
    RtSavedTx *record;
    EdfItem *item;

    edf_port_migrate_cleanup(port);
    saved->sequence = port->sp.ep.sequence;
    saved->next_release_in_ns = rt_policer_save(&port->sp.ep, now_ns);
    for (item = port->sp.src.head; item; item = item->next) {
        saved->n_frames++;
        sum_bytes += container_of(item, EdfFrame, item)->tx.frame_bytes;
    }
    if (saved->n_frames > SAVED_MAX_PKTS || sum_bytes > SAVED_MAX_BYTES) {
        error_report("%s: %d frames wait, which is more than can be saved; "
                     "let the VM run until they have left", port->id,
                     saved->n_frames);
        edf_port_migrate_cleanup(port);
        return -E2BIG;
    }

    saved->n_bytes = sum_bytes;
    record = saved->frames = g_new(RtSavedTx, saved->n_frames);
    saved->bytes = g_malloc(saved->n_bytes);
    for (item = port->sp.src.head; item; item = item->next) {
        EdfFrame *frame = container_of(item, EdfFrame, item);

        rt_tx_save(record++, &frame->tx, now_ns);
        memcpy(saved->bytes + done_bytes, frame->data, frame->tx.frame_bytes);
        done_bytes += frame->tx.frame_bytes;
    }
    return 0;
}

static int port_post_save(void *opaque)
{
    edf_port_migrate_cleanup(opaque);
    return 0;
}

static int port_pre_load(void *opaque)
{
    edf_port_migrate_cleanup(opaque);
    return 0;
}

/* The frame of @record, whose bytes begin at @bytes; NULL if it is wrong. */
static EdfFrame *load_frame(EdfPort *port, const RtSavedTx *record,
                            const uint8_t *bytes, uint64_t now_ns)
{
    EdfFrame *frame;
    const char *wrong;
    RtTx tx;

    wrong = rt_tx_load(&tx, record, bytes, &port->sp.ep, now_ns);
    if (wrong) {
        error_report("%s: a saved frame of %u bytes does not fit: %s; start "
                     "this QEMU with the options of the one that saved",
                     port->id, record->frame_bytes, wrong);
        return NULL;
    }
    frame = g_malloc(sizeof(*frame) + tx.frame_bytes + RT_TX_TAILROOM_BYTES);
    frame->tx = tx;
    memcpy(frame->data, bytes, tx.frame_bytes);
    return frame;
}

/* All of what was saved, as a chain; false if any of it is wrong. */
static bool load_frames(EdfPort *port, EdfItem **chain)
{
    const EdfPortSaved *saved = &port->saved;
    uint64_t now_ns = rtnet_clock_ns();
    uint32_t done_bytes = 0;
    EdfItem **tail = chain;

    *chain = NULL;
    for (int i = 0; i < saved->n_frames; i++) {
        const RtSavedTx *record = &saved->frames[i];
        EdfFrame *frame;

        if (record->frame_bytes > saved->n_bytes - done_bytes) {
            error_report("%s: saved frames are longer than what was saved",
                         port->id);
            return false;
        }
        frame = load_frame(port, record, saved->bytes + done_bytes, now_ns);
        if (!frame) {
            return false;
        }
        done_bytes += record->frame_bytes;
        frame->item.next = NULL;
        *tail = &frame->item;
        tail = &frame->item.next;
    }
    if (done_bytes != saved->n_bytes) {
        error_report("%s: %u saved bytes belong to no frame", port->id,
                     saved->n_bytes - done_bytes);
        return false;
    }
    return true;
}

/* What waits here belongs to a past that a snapshot has replaced. */
static int port_post_load(void *opaque, int version_id)
{
    EdfPort *port = opaque;
    EdfItem *chain, *next;
    bool valid = load_frames(port, &chain);

    if (valid) {
        edf_sched_purge(&port->sp);
        port->sp.ep.sequence = port->saved.sequence;
        rt_policer_load(&port->sp.ep, port->saved.next_release_in_ns,
                        rtnet_clock_ns());
        for (; chain; chain = next) {
            next = chain->next;
            edf_sched_enqueue(&port->sp, container_of(chain, EdfFrame, item));
        }
    }
    edf_frames_free(chain);
    edf_port_migrate_cleanup(port);
    return valid ? 0 : -EINVAL;
}

static bool frames_within_limit(void *opaque, int version_id)
{
    int32_t n = ((EdfPort *)opaque)->saved.n_frames;

    return n >= 0 && n <= SAVED_MAX_PKTS;
}

static bool bytes_within_limit(void *opaque, int version_id)
{
    return ((EdfPort *)opaque)->saved.n_bytes <= SAVED_MAX_BYTES;
}

static const VMStateDescription vmstate_saved_frame = {
    .name = "edf-port/frame",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(frame_bytes, RtSavedTx),
        VMSTATE_UINT64(waited_ns, RtSavedTx),
        VMSTATE_INT64(due_in_ns, RtSavedTx),
        VMSTATE_INT64(order_in_ns, RtSavedTx),
        VMSTATE_INT64(eligible_in_ns, RtSavedTx),
        VMSTATE_BOOL(has_trailer, RtSavedTx),
        VMSTATE_UINT64(trailer.sent_tai_ns, RtSavedTx),
        VMSTATE_UINT32(trailer.deadline_ns, RtSavedTx),
        VMSTATE_UINT32(trailer.sequence, RtSavedTx),
        VMSTATE_UINT32(trailer.source_id, RtSavedTx),
        VMSTATE_UINT16(trailer.padding_bytes, RtSavedTx),
        VMSTATE_UINT8(trailer.flags, RtSavedTx),
        VMSTATE_UINT8(trailer.guest_dscp, RtSavedTx),
        VMSTATE_END_OF_LIST()
    },
};

const VMStateDescription vmstate_edf_port = {
    .name = "edf-port",
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save = port_pre_save,
    .post_save = port_post_save,
    .pre_load = port_pre_load,
    .post_load = port_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(saved.sequence, EdfPort),
        VMSTATE_UINT64(saved.next_release_in_ns, EdfPort),
        VMSTATE_INT32(saved.n_frames, EdfPort),
        VMSTATE_UINT32(saved.n_bytes, EdfPort),
        VMSTATE_VALIDATE("number of frames within limit", frames_within_limit),
        VMSTATE_VALIDATE("bytes of frames within limit", bytes_within_limit),
        VMSTATE_STRUCT_VARRAY_ALLOC(saved.frames, EdfPort, saved.n_frames, 1,
                                    vmstate_saved_frame, RtSavedTx),
        VMSTATE_VBUFFER_ALLOC_UINT32(saved.bytes, EdfPort, 0, NULL,
                                     saved.n_bytes),
        VMSTATE_END_OF_LIST()
    },
};
