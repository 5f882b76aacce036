/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads: see edf-flows.h. */
#include <stdlib.h>
#include <string.h>

#include "edf-flows.h"
#include "rtnet/edf-admission.h"
#include "rtnet/rt-trailer.h"

#define DRAINED_NS UINT64_C(20000000)   /* nothing has moved for so long */
#define PING_NS UINT64_C(1000000000)
#define LONGEST_US 10000000

G_STATIC_ASSERT(EDF_MAX_FRAME_BYTES <= FRONT_MAX_FRAME_BYTES);

#define SET_ERROR(error, ...) \
    g_set_error(error, FRONT_ERROR, 0, __VA_ARGS__)

/* -- Life ------------------------------------------------------------------ */

EdfFlows *edf_flows_new(void)
{
    EdfFlows *l = g_new0(EdfFlows, 1);

    edf_rounds_init(&l->rounds);
    return l;
}

void edf_flows_free(EdfFlows *l)
{
    for (unsigned i = 0; i < l->flows; i++) {
        front_free(l->flow[i]->front);
        edf_record_clear(&l->flow[i]->record);
        g_free(l->flow[i]);
    }
    if (l->sink) {
        front_free(l->sink);
    }
    edf_rounds_clear(&l->rounds);
    g_free(l);
}

/* None is sent as it connects, which a front end does: all buffers count as
 * having come back. */
static void hold_back(FrontRing *tx)
{
    tx->at.split.avail->idx = 0;
    tx->next = -tx->size;
}

bool edf_flows_set_sink(EdfFlows *l, const char *socket, GError **error)
{
    FrontConfig cfg = {
        .socket = g_intern_string(socket), .ring = FLOWS_SINK_RING,
    };

    l->sink = front_new(&cfg, error);
    if (l->sink) {
        hold_back(&l->sink->tx);
    }
    return l->sink != NULL;
}

/* Every slot of its ring holds a frame of its own for good. */
static void fill_ring(EdfFlow *f)
{
    for (uint32_t slot = 0; slot < FLOWS_RING; slot++) {
        edf_frame_write(front_frame(&f->front->tx, slot), &f->template);
        front_set_frame_bytes(f->front, slot, f->template.bytes);
    }
    hold_back(&f->front->tx);
}

static bool read_number(const char *text, const char *what, guint64 least,
                        guint64 most, guint64 *number, GError **error)
{
    bool done = g_ascii_string_to_unsigned(text, 10, least, most, number,
                                           error);

    if (!done) {
        g_prefix_error(error, "%s: ", what);
    }
    return done;
}

/* @word: of the option; the first three are name, socket and length. */
static EdfFlow *add_flow(EdfFlows *l, char *const *word, uint64_t deadline_ns,
                         GError **error)
{
    FrontConfig cfg = {
        .socket = g_intern_string(word[1]), .ring = FLOWS_RING,
    };
    guint64 bytes;
    EdfFlow *f;

    if (l->flows == EDF_SOURCES) {
        SET_ERROR(error, "there can be %d sources", EDF_SOURCES);
        return NULL;
    }
    if (!read_number(word[2], "length", EDF_MIN_FRAME_BYTES,
                     EDF_MAX_FRAME_BYTES, &bytes, error)) {
        return NULL;
    }
    f = g_new0(EdfFlow, 1);
    f->number = l->flows;
    edf_template_init(&f->template, f->number, bytes);
    edf_record_init(&f->record, g_intern_string(word[0]), bytes, deadline_ns);
    f->front = front_new(&cfg, error);
    if (!f->front) {
        edf_record_clear(&f->record);
        g_free(f);
        return NULL;
    }
    fill_ring(f);
    l->template[l->flows] = &f->template;
    l->flow[l->flows++] = f;
    return f;
}

/* As many words as @n, or NULL. */
static char **split(const char *text, unsigned n, const char *form,
                    GError **error)
{
    char **word = g_strsplit(text, " ", -1);

    if (g_strv_length(word) != n) {
        SET_ERROR(error, "'%s' is not '%s'", text, form);
        g_clear_pointer(&word, g_strfreev);
    }
    return word;
}

bool edf_flows_add_rt(EdfFlows *l, const char *text, bool trailed,
                      GError **error)
{
    g_auto(GStrv) word = split(text, 6, "NAME SOCKET BYTES PERIOD_US BURST "
                               "DEADLINE_US", error);
    guint64 period_us, burst, deadline_us;
    EdfFlow *f;

    if (!word ||
        !read_number(word[3], "period", 1, LONGEST_US, &period_us, error) ||
        !read_number(word[4], "burst", 1, FRONT_BURST, &burst, error) ||
        !read_number(word[5], "deadline", 1, LONGEST_US, &deadline_us,
                     error)) {
        return false;
    }
    f = add_flow(l, word, deadline_us * 1000, error);
    if (!f) {
        return false;
    }
    f->period_ns = period_us * 1000;
    f->burst = burst;
    f->template.trailed = trailed;
    return true;
}

static uint32_t wire_bytes(const EdfFlow *f)
{
    return f->template.bytes + EDF_LINK_OVERHEAD_BYTES;
}

bool edf_flows_add_bulk(EdfFlows *l, const char *text, GError **error)
{
    g_auto(GStrv) word = split(text, 4, "NAME SOCKET BYTES BPS", error);
    guint64 bps;
    EdfFlow *f;

    if (!word || !read_number(word[3], "rate", 0, EDF_RATE_MAX_BPS, &bps,
                              error)) {
        return false;
    }
    f = add_flow(l, word, 0, error);
    if (!f) {
        return false;
    }
    edf_pacer_init(&f->pacer, bps, 2 * FLOWS_BULK_BURST * wire_bytes(f));
    return true;
}

bool edf_flows_connect(EdfFlows *l, unsigned timeout_s, GError **error)
{
    if (!l->sink || l->flows == 0) {
        SET_ERROR(error, "a sink and a source at least are needed");
        return false;
    }
    if (!front_connect(l->sink, timeout_s, error)) {
        return false;
    }
    for (unsigned i = 0; i < l->flows; i++) {
        if (!front_connect(l->flow[i]->front, timeout_s, error)) {
            return false;
        }
    }
    return true;
}

/* -- A round --------------------------------------------------------------- */

static void see(EdfFlows *l, const uint8_t *frame, uint32_t bytes)
{
    EdfRecord *r;
    EdfStamp stamp;

    if (!edf_frame_check(frame, bytes, l->template, l->flows, &stamp)) {
        l->wrong = true;
        return;
    }
    r = &l->flow[stamp.source]->record;
    l->wrong |= !edf_record_come(r, stamp.sequence, stamp.sent_ns,
                                 l->rounds.now_ns,
                                 edf_rounds_measured(&l->rounds,
                                                     stamp.sent_ns));
    r->received_pkts += l->counting;
    r->received_bytes += l->counting ? bytes : 0;
}

static unsigned receive(EdfFlows *l)
{
    FrontRing *rx = &l->sink->rx;
    unsigned n = front_ready(rx);

    for (unsigned i = 0; i < n; i++) {
        uint32_t bytes = front_rx_bytes(rx, i);

        see(l, front_frame(rx, front_slot(rx, rx->next + i)), bytes);
    }
    if (n > 0) {
        front_offer(rx, n);
        l->received_pkts += n;
    }
    l->rounds.behind &= n == FRONT_BURST;
    return n;
}

/* Into the ring, without a word to the other side. */
static void offer_frames(EdfFlows *l, EdfFlow *f, unsigned n)
{
    FrontRing *tx = &f->front->tx;
    EdfRecord *r = &f->record;

    for (unsigned i = 0; i < n; i++) {
        uint32_t slot = front_slot(tx, tx->next + i);

        edf_frame_stamp(front_frame(tx, slot), f->number, r->sequence++,
                        l->rounds.now_ns);
    }
    front_offer(tx, n);
    r->sent_pkts += l->rounds.now_ns >= r->from_ns ? n : 0;
}

static void send_frames(EdfFlows *l, EdfFlow *f, unsigned n)
{
    offer_frames(l, f, n);
    front_kick(&f->front->tx);
}

static void send_rt(EdfFlows *l, EdfFlow *f)
{
    uint64_t now_ns = l->rounds.now_ns;

    if (now_ns >= f->next_ns) {
        f->next_ns = now_ns + f->period_ns;
        send_frames(l, f, MIN(f->burst, front_ready(&f->front->tx)));
    }
}

static void send_bulk(EdfFlows *l, EdfFlow *f)
{
    if (l->rounds.now_ns >= f->pacer.next_ns &&
        front_has(&f->front->tx, FLOWS_BULK_BURST)) {
        edf_pacer_charge(&f->pacer, l->rounds.now_ns,
                         FLOWS_BULK_BURST * wire_bytes(f));
        send_frames(l, f, FLOWS_BULK_BURST);
    }
}

void edf_flows_run(EdfFlows *l, uint64_t ns)
{
    uint64_t until_ns;

    edf_rounds_begin(&l->rounds);
    until_ns = l->rounds.now_ns + ns;
    while (l->rounds.now_ns < until_ns) {
        receive(l);
        for (unsigned i = 0; i < l->flows; i++) {
            EdfFlow *f = l->flow[i];

            if (f->on && f->period_ns > 0) {
                send_rt(l, f);
            } else if (f->on) {
                send_bulk(l, f);
            }
        }
        edf_rounds_next(&l->rounds);
    }
}

/* -- Nobody sends ---------------------------------------------------------- */

/* A source of which the back end still has frames to take, or NULL. */
static const EdfFlow *undrained(const EdfFlows *l)
{
    for (unsigned i = 0; i < l->flows; i++) {
        if (!front_has(&l->flow[i]->front->tx, FLOWS_RING)) {
            return l->flow[i];
        }
    }
    return NULL;
}

bool edf_flows_drain(EdfFlows *l, unsigned seconds, GError **error)
{
    uint64_t moved_ns = l->rounds.now_ns;
    uint64_t until_ns = moved_ns + seconds * UINT64_C(1000000000);
    const EdfFlow *left = undrained(l);

    while (left || l->rounds.now_ns - moved_ns < DRAINED_NS) {
        if (receive(l) > 0 || left) {
            moved_ns = l->rounds.now_ns;
        }
        if (l->rounds.now_ns > until_ns) {
            SET_ERROR(error, "%s: within %u s not all frames were taken or "
                      "came; is the back end stopped?",
                      left ? left->front->cfg.socket : l->sink->cfg.socket,
                      seconds);
            return false;
        }
        left = undrained(l);
        edf_rounds_next(&l->rounds);
    }
    return true;
}

bool edf_flows_ping(EdfFlows *l, EdfFlow *f, uint64_t *delay_ns)
{
    uint64_t received_pkts = l->received_pkts, sent_ns;

    edf_rounds_begin(&l->rounds);
    offer_frames(l, f, 1);
    edf_rounds_begin(&l->rounds);
    sent_ns = l->rounds.now_ns;
    front_kick(&f->front->tx);
    do {
        edf_rounds_next(&l->rounds);
        receive(l);
    } while (l->received_pkts == received_pkts &&
             l->rounds.now_ns - sent_ns < PING_NS);
    *delay_ns = l->rounds.now_ns - sent_ns;
    return l->received_pkts > received_pkts;
}

bool edf_flows_check(const EdfFlows *l, GError **error)
{
    for (unsigned i = 0; i < l->flows; i++) {
        if (!front_check(l->flow[i]->front, error)) {
            return false;
        }
    }
    if (l->wrong) {
        SET_ERROR(error, "%s: a frame came that nobody has sent so, or for "
                  "the second time, or before one that was sent before",
                  l->sink->cfg.socket);
        return false;
    }
    return front_check(l->sink, error);
}
