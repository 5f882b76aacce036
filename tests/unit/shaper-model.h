/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules of shaper.h, slowly: every frame is in one list, and who may be
 * next is found by looking through all of it.
 *
 * The model follows a shaper: it is told what was called and what came of it,
 * and fails the test if that is not one of the things that the rules allow.
 * Where several are equal the shaper may choose any of them.
 *
 * Threads: caller-owned state.
 */
#ifndef SHAPER_MODEL_H
#define SHAPER_MODEL_H

#include "shaper.h"

#define MODEL_SOURCES 10
#define MODEL_GROUPS 3
#define MODEL_FRAMES 160

/* Frames of a source that are never reordered: a lane, or best effort. */
#define MODEL_FIFOS (SHAPER_LANES + 1)

typedef struct ModelFrame {
    ShaperItem item;                        /* first */
    EdfTurn turn;
    bool queued;
    uint64_t order;                         /* of arrival */
} ModelFrame;

/* A source, or a group. */
typedef struct ModelNode {
    ShaperGuarantee guarantee;
    EdfPacer bits, pkts;
    uint64_t share_bytes;
    int group;                              /* none, if it is a group */
} ModelNode;

/* Zero-initialise, then model_init(). */
typedef struct Model {
    ShaperConfig cfg;
    EdfPacer bits, pkts;
    ModelNode source[MODEL_SOURCES], group[MODEL_GROUPS];
    uint64_t root_served_bytes;             /* share of who had least ... */
    uint64_t served_bytes[MODEL_GROUPS];    /* ... when it was chosen */
    ModelFrame frame[MODEL_FRAMES];
    uint64_t arrivals;
    uint64_t now_ns;                        /* of the last frame in or out */

    /* Found anew each time. */
    ModelFrame *first[MODEL_SOURCES][MODEL_FIFOS];
    unsigned open_pkts[MODEL_SOURCES];      /* that are not admitted */
} Model;

void model_init(Model *m, const ShaperConfig *cfg);
void model_set_rate(Model *m, const ShaperConfig *cfg, uint64_t now_ns);
void model_set_source(Model *m, unsigned source, int group,
                      ShaperGuarantee guarantee);
void model_set_group(Model *m, unsigned group, ShaperGuarantee guarantee);

/* A place for a frame; NULL: there are enough. */
ModelFrame *model_free_frame(Model *m);

void model_put(Model *m, ModelFrame *f, uint64_t now_ns);

/* UINT64_MAX: none waits. */
uint64_t model_next_ns(const Model *m);

/* @f has left.  Returns the rule; 0: another policy than edf. */
unsigned model_left(Model *m, ModelFrame *f, uint64_t now_ns);

/* @passed of @n frames of @source have left without having waited. */
void model_passed(Model *m, unsigned source, const uint32_t *wire_bytes,
                  unsigned n, unsigned passed, uint64_t now_ns);

void model_dropped(Model *m, ModelFrame *f);

/* @source: -1 for all. */
unsigned model_len_pkts(const Model *m, int source);

#endif
