/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A table for people: columns are as wide as what is in them.
 *
 * Threads: single.
 */
#ifndef VUS_TABLE_H
#define VUS_TABLE_H

#include <glib.h>

typedef struct Table Table;

/* Headings up to NULL; a column whose heading begins with '>' is aligned to
 * the right, without it. */
Table *table_new(const char *heading, ...) G_GNUC_NULL_TERMINATED;
void table_free(Table *t);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Table, table_free)

/* A row: as many texts as there are headings. */
void table_add(Table *t, ...);

/* Rows are at most @columns wide: what does not fit into the last column, which
 * is aligned to the left, goes on below. */
void table_wrap(Table *t, unsigned columns);

/* Nothing but the headings if no row was added. */
char *table_text(const Table *t);
void table_print(const Table *t);

#endif
