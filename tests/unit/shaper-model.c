/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "shaper-model.h"

#define BEST_EFFORT_FIFO SHAPER_LANES

/* -- Frames ---------------------------------------------------------------- */

static bool is_early(const ModelFrame *f, uint64_t now_ns)
{
    return f->item.band == EDF_BAND_ADMITTED && f->turn.eligible_ns > now_ns;
}

static unsigned fifo_of(const ModelFrame *f)
{
    return f->item.band == EDF_BAND_BEST_EFFORT ? BEST_EFFORT_FIFO
                                                : f->item.lane;
}

/* Who is first where, and how many wait that are not admitted. */
static void look(Model *m)
{
    memset(m->first, 0, sizeof(m->first));
    memset(m->open_pkts, 0, sizeof(m->open_pkts));
    for (unsigned i = 0; i < MODEL_FRAMES; i++) {
        ModelFrame *f = &m->frame[i];
        unsigned source = f->item.source;

        if (f->queued) {
            ModelFrame **first = &m->first[source][fifo_of(f)];

            *first = *first && (*first)->order < f->order ? *first : f;
            m->open_pkts[source] += f->item.band != EDF_BAND_ADMITTED;
        }
    }
}

/*
 * The earliest deadline of the first frames of @band, of @source or (-1) of
 * all; UINT64_MAX if there is none.
 */
static uint64_t least_deadline(const Model *m, int source, EdfBand band,
                               bool early, uint64_t now_ns)
{
    uint64_t least_ns = UINT64_MAX;

    for (unsigned i = 0; i < MODEL_SOURCES * MODEL_FIFOS; i++) {
        const ModelFrame *f = m->first[i / MODEL_FIFOS][i % MODEL_FIFOS];

        if (f && f->item.band == band &&
            (source < 0 || f->item.source == source) &&
            is_early(f, now_ns) == early) {
            least_ns = MIN(least_ns, f->turn.order_ns);
        }
    }
    return least_ns;
}

unsigned model_len_pkts(const Model *m, int source)
{
    unsigned n = 0;

    for (unsigned i = 0; i < MODEL_FRAMES; i++) {
        const ModelFrame *f = &m->frame[i];

        n += f->queued && (source < 0 || f->item.source == source);
    }
    return n;
}

/* -- Nodes ----------------------------------------------------------------- */

/*
 * Who shares with whom: the sources of group @g, or (SHAPER_NO_GROUP) the
 * groups and the sources without a group.
 */
static unsigned siblings(Model *m, int g, ModelNode **nodes)
{
    unsigned n = 0;

    for (unsigned i = 0; i < MODEL_SOURCES; i++) {
        if (m->source[i].group == g) {
            nodes[n++] = &m->source[i];
        }
    }
    for (unsigned i = 0; g == SHAPER_NO_GROUP && i < MODEL_GROUPS; i++) {
        nodes[n++] = &m->group[i];
    }
    return n;
}

static bool is_group(const Model *m, const ModelNode *n)
{
    return n >= m->group && n < m->group + MODEL_GROUPS;
}

static unsigned open_below(const Model *m, const ModelNode *n)
{
    unsigned open = 0;

    if (!is_group(m, n)) {
        return m->open_pkts[n - m->source];
    }
    for (unsigned i = 0; i < MODEL_SOURCES; i++) {
        if (m->source[i].group == n - m->group) {
            open += m->open_pkts[i];
        }
    }
    return open;
}

/* Where those that come back to @n's siblings begin. */
static uint64_t *served_bytes(Model *m, const ModelNode *n)
{
    return n->group < 0 ? &m->root_served_bytes : &m->served_bytes[n->group];
}

static bool is_guaranteed(const ModelNode *n)
{
    return n->bits.rate_bps > 0 || n->pkts.rate_bps > 0;
}

static uint64_t own_behind_ns(const ModelNode *n)
{
    return MAX(n->bits.next_ns, n->pkts.next_ns);
}

/* UINT64_MAX: never. */
static uint64_t behind_ns(const Model *m, const ModelNode *n)
{
    uint64_t least_ns = UINT64_MAX;

    if (open_below(m, n) == 0) {
        return UINT64_MAX;
    }
    if (is_guaranteed(n)) {
        least_ns = own_behind_ns(n);
    }
    for (unsigned i = 0; is_group(m, n) && i < MODEL_SOURCES; i++) {
        if (m->source[i].group == n - m->group) {
            least_ns = MIN(least_ns, behind_ns(m, &m->source[i]));
        }
    }
    return least_ns;
}

static uint64_t frame_ns(const Model *m, const ModelNode *n)
{
    return MAX(n->bits.rate_bps ? edf_wire_time_ns(m->cfg.max_wire_bytes,
                                                   n->bits.rate_bps) : 0,
               n->pkts.rate_bps ? edf_wire_time_ns(1, n->pkts.rate_bps) : 0);
}

/* By when a frame of @n has to leave, if it is behind; else UINT64_MAX. */
static uint64_t due_ns(const Model *m, const ModelNode *n, uint64_t now_ns)
{
    uint64_t least_ns = UINT64_MAX;

    if (open_below(m, n) == 0) {
        return UINT64_MAX;
    }
    if (is_guaranteed(n) && own_behind_ns(n) <= now_ns) {
        least_ns = own_behind_ns(n) + frame_ns(m, n);
    }
    for (unsigned i = 0; is_group(m, n) && i < MODEL_SOURCES; i++) {
        if (m->source[i].group == n - m->group) {
            least_ns = MIN(least_ns, due_ns(m, &m->source[i], now_ns));
        }
    }
    return least_ns;
}

/* May @n be chosen among its siblings, and is it by share? */
static bool may_be_chosen(Model *m, ModelNode *n, uint64_t now_ns,
                          bool *by_share)
{
    ModelNode *other[MODEL_SOURCES + MODEL_GROUPS];
    unsigned others = siblings(m, n->group, other);
    uint64_t least_ns = UINT64_MAX, least_bytes = UINT64_MAX;

    for (unsigned i = 0; i < others; i++) {
        if (open_below(m, other[i]) > 0) {
            least_ns = MIN(least_ns, due_ns(m, other[i], now_ns));
            least_bytes = MIN(least_bytes, other[i]->share_bytes);
        }
    }
    *by_share = least_ns == UINT64_MAX;
    return *by_share ? n->share_bytes == least_bytes
                     : due_ns(m, n, now_ns) == least_ns;
}

/* -- Rules ----------------------------------------------------------------- */

/* Of the source that was chosen, may @f be next? */
static bool is_next_of_source(const Model *m, const ModelFrame *f,
                              uint64_t now_ns)
{
    int source = f->item.source;
    uint64_t deadline_ns = least_deadline(m, source, EDF_BAND_DEADLINE, false,
                                          now_ns);

    if (deadline_ns < UINT64_MAX) {
        return f->item.band == EDF_BAND_DEADLINE &&
               f->turn.order_ns == deadline_ns;
    }
    if (m->first[source][BEST_EFFORT_FIFO]) {
        return f->item.band == EDF_BAND_BEST_EFFORT;
    }
    return f->turn.order_ns == least_deadline(m, source, EDF_BAND_ADMITTED,
                                              true, now_ns);
}

static void charge(Model *m, ModelNode *n, uint32_t bytes, bool by_share,
                   uint64_t now_ns)
{
    if (by_share) {
        *served_bytes(m, n) = n->share_bytes;
        n->share_bytes += bytes;
    } else if (is_guaranteed(n) &&
               own_behind_ns(n) < now_ns + SHAPER_MEMORY_NS) {
        edf_pacer_charge(&n->bits, now_ns, bytes);
        edf_pacer_charge(&n->pkts, now_ns, 1);
    }
}

/* By which rule does something leave? */
static unsigned rule_at(Model *m, uint64_t now_ns)
{
    ModelNode *top[MODEL_SOURCES + MODEL_GROUPS];
    unsigned tops = siblings(m, SHAPER_NO_GROUP, top), open = 0;
    bool behind = false;

    for (unsigned i = 0; i < tops; i++) {
        open += open_below(m, top[i]);
        behind |= behind_ns(m, top[i]) <= now_ns;
    }
    if (least_deadline(m, -1, EDF_BAND_ADMITTED, false, now_ns) < UINT64_MAX) {
        return 1;
    }
    if (behind) {
        return 2;
    }
    if (least_deadline(m, -1, EDF_BAND_DEADLINE, false, now_ns) < UINT64_MAX) {
        return 3;
    }
    return open > 0 ? 4 : 5;
}

/* Was it @f's turn by rule 2 or 4?  Charges it. */
static void check_chosen(Model *m, const ModelFrame *f, uint64_t now_ns)
{
    ModelNode *source = &m->source[f->item.source];
    ModelNode *group = source->group < 0 ? NULL : &m->group[source->group];
    bool by_share, group_by_share = false;

    g_assert_cmpuint(open_below(m, source), >, 0);
    g_assert_true(is_next_of_source(m, f, now_ns));
    g_assert_true(may_be_chosen(m, source, now_ns, &by_share));
    if (group) {
        g_assert_true(may_be_chosen(m, group, now_ns, &group_by_share));
        charge(m, group, f->item.wire_bytes, group_by_share, now_ns);
    }
    charge(m, source, f->item.wire_bytes, by_share, now_ns);
}

/* By rule 1, 3 or 5?  Charges it. */
static void check_earliest(Model *m, const ModelFrame *f, unsigned rule,
                           uint64_t now_ns)
{
    ModelNode *source = &m->source[f->item.source];
    EdfBand band = rule == 3 ? EDF_BAND_DEADLINE : EDF_BAND_ADMITTED;

    g_assert_cmpint(f->item.band, ==, band);
    g_assert_true(is_early(f, now_ns) == (rule == 5));
    g_assert_cmpuint(f->turn.order_ns, ==,
                     least_deadline(m, -1, band, rule == 5, now_ns));
    charge(m, source, f->item.wire_bytes, false, now_ns);
    if (source->group >= 0) {
        charge(m, &m->group[source->group], f->item.wire_bytes, false, now_ns);
    }
}

/* By the other policies? */
static void check_order(const Model *m, const ModelFrame *f)
{
    bool strict = m->cfg.policy == EDF_QUEUE_STRICT;
    bool best_effort = f->item.band == EDF_BAND_BEST_EFFORT;

    for (unsigned i = 0; i < MODEL_FRAMES; i++) {
        const ModelFrame *other = &m->frame[i];
        bool other_best_effort = other->item.band == EDF_BAND_BEST_EFFORT;

        if (other->queued && strict && best_effort != other_best_effort) {
            g_assert_true(other_best_effort);
        } else if (other->queued) {
            g_assert_cmpuint(other->order, >=, f->order);
        }
    }
}

/* -- Configuration --------------------------------------------------------- */

static void set_pacer(EdfPacer *p, uint64_t rate_bps, uint32_t bytes,
                      uint64_t memory_ns, uint64_t now_ns)
{
    if (p->rate_bps == 0) {
        edf_pacer_resume(p, now_ns);
    }
    edf_pacer_set_rate(p, rate_bps, bytes, now_ns);
    p->credit_ns = MAX(p->credit_ns, memory_ns);
}

static void apply(Model *m, ModelNode *n)
{
    ShaperGuarantee g = n->guarantee, sum = { 0 };

    for (unsigned i = 0; is_group(m, n) && i < MODEL_SOURCES; i++) {
        if (m->source[i].group == n - m->group) {
            sum.bps += m->source[i].guarantee.bps;
            sum.pps += m->source[i].guarantee.pps;
        }
    }
    set_pacer(&n->bits, g.bps ? g.bps : sum.bps, m->cfg.max_wire_bytes,
              SHAPER_MEMORY_NS, m->now_ns);
    set_pacer(&n->pkts, 8 * (g.pps ? g.pps : sum.pps), 1, SHAPER_MEMORY_NS,
              m->now_ns);
}

/* A frame comes to @n: if it is the first, no credit for the pause. */
static void comes_to(Model *m, ModelNode *n, uint64_t now_ns)
{
    if (open_below(m, n) > 0) {
        return;
    }
    if (is_guaranteed(n)) {
        edf_pacer_resume(&n->bits, now_ns);
        edf_pacer_resume(&n->pkts, now_ns);
    }
    n->share_bytes = MAX(n->share_bytes, *served_bytes(m, n));
}

void model_set_rate(Model *m, const ShaperConfig *cfg, uint64_t now_ns)
{
    m->cfg = *cfg;
    set_pacer(&m->bits, cfg->rate_bps, cfg->max_wire_bytes, cfg->catch_up_ns,
              now_ns);
    set_pacer(&m->pkts, 8 * cfg->rate_pps, 1, cfg->catch_up_ns, now_ns);
}

void model_init(Model *m, const ShaperConfig *cfg)
{
    for (unsigned i = 0; i < MODEL_SOURCES; i++) {
        m->source[i].group = SHAPER_NO_GROUP;
    }
    for (unsigned i = 0; i < MODEL_GROUPS; i++) {
        m->group[i].group = SHAPER_NO_GROUP;
    }
    model_set_rate(m, cfg, 0);
}

void model_set_source(Model *m, unsigned source, int group,
                      ShaperGuarantee guarantee)
{
    ModelNode *n = &m->source[source];
    int before = n->group;

    look(m);
    n->guarantee = guarantee;
    if (group != before) {
        n->group = MODEL_GROUPS;            /* nowhere */
        if (group >= 0 && m->open_pkts[source] > 0) {
            comes_to(m, &m->group[group], m->now_ns);
        }
        n->group = group;
        n->share_bytes = *served_bytes(m, n);
        if (before >= 0) {
            apply(m, &m->group[before]);
        }
    }
    apply(m, n);
    if (group >= 0) {
        apply(m, &m->group[group]);
    }
}

void model_set_group(Model *m, unsigned group, ShaperGuarantee guarantee)
{
    m->group[group].guarantee = guarantee;
    apply(m, &m->group[group]);
}

/* -- The way of a frame ---------------------------------------------------- */

ModelFrame *model_free_frame(Model *m)
{
    for (unsigned i = 0; i < MODEL_FRAMES; i++) {
        if (!m->frame[i].queued) {
            return &m->frame[i];
        }
    }
    return NULL;
}

void model_put(Model *m, ModelFrame *f, uint64_t now_ns)
{
    ModelNode *n = &m->source[f->item.source];

    look(m);
    if (model_len_pkts(m, -1) == 0) {
        edf_pacer_resume(&m->bits, now_ns);
        edf_pacer_resume(&m->pkts, now_ns);
    }
    if (m->cfg.policy == EDF_QUEUE_EDF && f->item.band != EDF_BAND_ADMITTED) {
        comes_to(m, n, now_ns);
        if (n->group >= 0) {
            comes_to(m, &m->group[n->group], now_ns);
        }
    }
    f->queued = true;
    f->order = m->arrivals++;
    m->now_ns = now_ns;
}

uint64_t model_next_ns(const Model *m)
{
    uint64_t free_ns = MAX(m->bits.next_ns, m->pkts.next_ns);

    if (model_len_pkts(m, -1) == 0) {
        return UINT64_MAX;
    }
    return free_ns > m->cfg.ahead_ns ? free_ns - m->cfg.ahead_ns : 0;
}

unsigned model_left(Model *m, ModelFrame *f, uint64_t now_ns)
{
    unsigned rule = 0;

    g_assert_true(f->queued);
    look(m);
    if (m->cfg.policy == EDF_QUEUE_EDF) {
        g_assert_true(m->first[f->item.source][fifo_of(f)] == f);
        rule = rule_at(m, now_ns);
        if (rule == 2 || rule == 4) {
            check_chosen(m, f, now_ns);
        } else {
            check_earliest(m, f, rule, now_ns);
        }
    } else {
        check_order(m, f);
    }
    edf_pacer_charge(&m->bits, now_ns, f->item.wire_bytes);
    edf_pacer_charge(&m->pkts, now_ns, 1);
    f->queued = false;
    m->now_ns = now_ns;
    return rule;
}

void model_passed(Model *m, unsigned source, const uint32_t *wire_bytes,
                  unsigned n, unsigned passed, uint64_t now_ns)
{
    uint64_t until_ns = now_ns + m->cfg.ahead_ns;
    ModelNode *node = &m->source[source];
    uint32_t sum = 0;

    if (model_len_pkts(m, -1) > 0) {
        g_assert_cmpuint(passed, ==, 0);
        return;
    }
    edf_pacer_resume(&m->bits, now_ns);
    edf_pacer_resume(&m->pkts, now_ns);
    for (unsigned i = 0; i < passed; i++) {
        g_assert_cmpuint(MAX(m->bits.next_ns, m->pkts.next_ns), <=, until_ns);
        edf_pacer_charge(&m->bits, now_ns, wire_bytes[i]);
        edf_pacer_charge(&m->pkts, now_ns, 1);
        sum += wire_bytes[i];
    }
    g_assert_true(passed == n ||
                  MAX(m->bits.next_ns, m->pkts.next_ns) >= until_ns);
    if (passed == 0) {
        return;
    }
    m->now_ns = now_ns;
    for (; node; node = node->group >= 0 ? &m->group[node->group] : NULL) {
        if (is_guaranteed(node) && own_behind_ns(node) <= now_ns) {
            edf_pacer_charge(&node->bits, now_ns, sum);
            edf_pacer_charge(&node->pkts, now_ns, passed);
        }
    }
}

void model_dropped(Model *m, ModelFrame *f)
{
    g_assert_true(f->queued);
    look(m);
    if (m->cfg.policy == EDF_QUEUE_EDF) {
        g_assert_true(m->first[f->item.source][fifo_of(f)] == f);
    }
    f->queued = false;
}
