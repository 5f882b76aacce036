/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames that wait for a port with a rate: a bounded pool of copies, in the
 * order of a shaper.
 *
 * A frame is copied out of its sender's buffers when it comes and into the
 * receiver's when the link is free, so that nobody's buffer is held for
 * somebody else.  The pool is shared like this:
 *
 *   - a source may hold as much as is still free, so many that flood get equal
 *     parts and never all (Choudhury, Hahne: Dynamic Queue Length Thresholds,
 *     1998);
 *   - an eighth of the pool is for frames with a deadline only.
 *
 * In the pool a frame lies in one piece with room behind it, so that a trailer
 * can be appended.
 *
 * Threads: any, where it says so; under a lock of its own, once per burst.
 */
#ifndef VUS_EGRESS_QUEUE_H
#define VUS_EGRESS_QUEUE_H

#include <pthread.h>

#include "drops.h"
#include "frame.h"
#include "rt-beside.h"
#include "shaper.h"

#define EGRESS_QUEUE_MAX_PKTS 65536
#define EGRESS_QUEUE_RESERVE(pkts) ((pkts) / 8)

typedef struct EgressQueue EgressQueue;

typedef struct EgressQueueConfig {
    ShaperConfig link;
    unsigned queue_pkts;            /* that may wait */
    uint32_t link_mtu;              /* L3 bytes; longer frames are dropped */
    bool promises;                  /* what is admitted is admitted here */
    bool trailers;                  /* frames get theirs when they leave */
} EgressQueueConfig;

/* A frame that waits, or is about to leave. */
typedef struct QueuedFrame {
    ShaperItem item;
    uint64_t arrival_ns;
    EgressQueue *queue;             /* whose pool it is in */
    uint16_t origin;                /* port that it came from */
    VringSegment all;               /* the frame, in one piece: at f.head */
    Frame f;                        /* goes on behind its end */
} QueuedFrame;

/* -- Life: while no other thread uses it ----------------------------------- */

EgressQueue *egress_queue_new(const EgressQueueConfig *cfg);
void egress_queue_free(EgressQueue *q);
const EgressQueueConfig *egress_queue_config(const EgressQueue *q);

/* Forget all that waits; returns how many. */
unsigned egress_queue_flush(EgressQueue *q);

/* -- At any time, by any thread -------------------------------------------- */

/* See shaper.h. */
void egress_queue_set_rate(EgressQueue *q, const ShaperConfig *link,
                           uint64_t now_ns);
void egress_queue_set_source(EgressQueue *q, unsigned source, int group,
                             ShaperGuarantee guarantee);
void egress_queue_set_group(EgressQueue *q, unsigned group,
                            ShaperGuarantee guarantee);

/*
 * Copies of @n frames that came from port @source; what finds no room is
 * counted in @drops, as is what is too long.  Returns true if nothing waited
 * before: whoever takes may be asleep.
 *
 * @pass: for the thread that serves it; else NULL.  The first *@pass frames do
 * not wait: the caller delivers them as they are, at once.
 */
bool egress_queue_put(EgressQueue *q, unsigned source,
                      const Frame *const *frames, unsigned n,
                      uint64_t now_ns, unsigned *pass,
                      uint64_t drops[DROP_REASONS]);

/* When the next one may leave; UINT64_MAX: none waits. */
uint64_t egress_queue_next_ns(const EgressQueue *q);

/* That wait, for a tenant's link too. */
unsigned egress_queue_len_pkts(const EgressQueue *q);

/* -- By the thread that serves it ------------------------------------------ */

/*
 * Up to @max frames that leave at @now_ns, to be given back by
 * egress_queue_done().  Each may be changed, up to RT_TRAILER_BYTES longer.
 */
unsigned egress_queue_take(EgressQueue *q, uint64_t now_ns,
                           QueuedFrame **frames, unsigned max);
void egress_queue_done(EgressQueue *q, QueuedFrame *const *frames, unsigned n);

/* All of its bytes, one behind the other. */
static inline uint8_t *queued_frame_data(const QueuedFrame *qf)
{
    return qf->all.data;
}

/* It has @bytes now. */
static inline void queued_frame_set_bytes(QueuedFrame *qf, uint32_t bytes)
{
    qf->all.bytes = qf->f.bytes = bytes;
    qf->f.head_bytes = qf->f.rest_offset = MIN(bytes, FRAME_HEAD_BYTES);
}

#endif
