/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Methods of the control socket, called without one, on a switch with dummy
 * ports.
 *
 * Threads: the one that made the bed.
 */
#ifndef METHODS_BED_H
#define METHODS_BED_H

#include "rpc-methods.h"

typedef struct Bed {
    RpcContext context;
} Bed;

Bed *bed_new(void);
void bed_free(Bed *bed);

/* The whole answer. */
JsonObject *call(Bed *bed, const char *method, const char *params);

/* The result, as text; the test fails if there is none. */
char *result_of(Bed *bed, const char *method, const char *params);

/* The same, which is to be so, or to have this part, or not. */
void expect(Bed *bed, const char *method, const char *params,
            const char *expected);
void expect_part(Bed *bed, const char *method, const char *params,
                 const char *part);
void expect_not(Bed *bed, const char *method, const char *params,
                const char *part);

/* It is refused, with that code and words. */
void expect_error(Bed *bed, const char *method, const char *params,
                  int code, const char *part);

/* A port; @settings are members of JSON. */
void add_port(Bed *bed, const char *name, const char *settings);
void add_dummy(Bed *bed, const char *name);

/* @frame is hexadecimal. */
void inject(Bed *bed, const char *port, const char *frame);

#endif
