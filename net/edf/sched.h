/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Transmit scheduler of one uplink: takes frames from its ports and releases
 * them in the order of its policy at the rate of the link.
 *
 * A frame's way:  edf_sched_enqueue() -> queue -> timer -> the port's
 * release().  Enqueue never releases: releasing may let a guest's NIC send
 * again, which comes back here as another enqueue.
 *
 * While the VM does not run nothing is released, and ports accept without
 * limit, so that a guest's ring holds no frame in flight when it is saved.
 *
 * Threads: main loop, under the BQL.
 */
#ifndef NET_EDF_SCHED_H
#define NET_EDF_SCHED_H

#include "qemu/queue.h"
#include "qemu/timer.h"
#include "qapi/qapi-types-rtnet.h"
#include "system/runstate.h"
#include "rtnet/edf-admission.h"
#include "rtnet/edf-pacer.h"
#include "rtnet/edf-queue.h"
#include "rtnet/rt-endpoint.h"
#include "rtnet/rt-hist.h"

#define EDF_SCHED_QUEUE_PKTS_DEFAULT 100
#define EDF_SCHED_QUEUE_BYTES_DEFAULT MiB

/* A frame that waits.  Freed with g_free(). */
typedef struct EdfFrame {
    EdfItem item;
    RtTx tx;
    bool paced;                 /* its time on the link is already charged */
    bool departed;              /* a backend may have sent part of it: it stays
                                 * as it is, and is not dropped any more */
    uint8_t data[];             /* with RT_TX_TAILROOM_BYTES behind the frame */
} EdfFrame;

/* Free a chain of them, linked by item.next; NULL is allowed. */
void edf_frames_free(EdfItem *item);

typedef struct EdfSched EdfSched;
typedef struct EdfSchedPort EdfSchedPort;

/* The scheduler's part of a port. */
struct EdfSchedPort {
    const char *id;             /* for messages; the port's owner keeps it */
    RtEndpoint ep;

    EdfSched *sched;            /* NULL: not attached */
    EdfSource src;
    uint64_t queued_bytes;

    /*
     * @frame may leave now.  The port owns it from here on; returns false if it
     * took no time on the link (it was dropped).
     */
    bool (*release)(EdfSchedPort *port, EdfFrame *frame, uint64_t now_ns);

    QLIST_ENTRY(EdfSchedPort) next;
};

typedef struct EdfSchedConfig {
    uint64_t rate_bps;          /* 0: not paced */
    EdfPolicy policy;
    uint32_t queue_pkts;        /* per port */
    uint64_t queue_bytes;       /* per port */
    uint64_t jitter_ns;         /* what admission adds for late wake-ups */
} EdfSchedConfig;

struct EdfSched {
    char *id;                   /* NULL: private to one port */
    EdfSchedConfig cfg;
    QLIST_HEAD(, EdfSchedPort) ports;

    EdfQueue queue;
    EdfPacer pacer;
    QEMUTimer *timer;
    uint64_t wake_ns;           /* when the timer is due; 0: not armed */
    bool releasing;
    uint64_t stopped_ns;        /* the VM has been stopped since; 0: it runs */

    uint64_t sent_pkts;
    uint64_t sent_wire_bytes;
    RtHist wake_late;

    VMChangeStateEntry *vm_change;
    QLIST_ENTRY(EdfSched) next;
};

/* -- Life ------------------------------------------------------------------ */

/* @id: copied; NULL for a scheduler private to one port. */
EdfSched *edf_sched_new(const char *id, const EdfSchedConfig *cfg);

/* No port may be attached.  NULL is allowed. */
void edf_sched_free(EdfSched *s);

/*
 * Attach @port, whose id, ep and release are set; @sched is set here.  Fails
 * if admitted deadlines could no longer be kept; the message names the excess.
 */
bool edf_sched_attach(EdfSched *s, EdfSchedPort *port, Error **errp);

/* Frees the frames that still wait. */
void edf_sched_detach(EdfSchedPort *port);

/* -- Changes while it runs -------------------------------------------------- */

/* Both fail, and change nothing, if admitted deadlines could not be kept. */
bool edf_sched_set_rate(EdfSched *s, uint64_t rate_bps, Error **errp);
bool edf_sched_set_deadline(EdfSchedPort *port, uint64_t deadline_ns,
                            Error **errp);

/* Zeroes counters and histogram. */
void edf_sched_reset_stats(EdfSched *s);

/* -- The packet's way ------------------------------------------------------ */

/* May another frame wait? */
bool edf_sched_has_room(const EdfSchedPort *port);

/* Queue @frame, whose tx is filled; takes ownership. */
void edf_sched_enqueue(EdfSchedPort *port, EdfFrame *frame);

/* The backend is full: skip the port until edf_sched_resume(). */
void edf_sched_suspend(EdfSchedPort *port);
void edf_sched_resume(EdfSchedPort *port);

/* Free all frames of @port that wait. */
void edf_sched_purge(EdfSchedPort *port);

/* @frame came back: first of its port again; takes ownership. */
void edf_sched_requeue(EdfSchedPort *port, EdfFrame *frame);

/* -- What it knows --------------------------------------------------------- */

/* Share of the link that admitted ports declared, in millionths. */
uint32_t edf_sched_promised_ppm(EdfSched *s);

/* Longest queueing delay promised to @port, which must be admitted. */
uint64_t edf_sched_promised_delay_ns(const EdfSchedPort *port);

/* All schedulers that have an id. */
typedef QLIST_HEAD(EdfSchedList, EdfSched) EdfSchedList;
extern EdfSchedList edf_scheds;

#endif
