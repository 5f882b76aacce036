/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include "table.h"

#define GAP "  "
#define GAP_COLUMNS 2

/* Less than that is worse than a row that is too wide. */
#define MIN_WRAPPED_COLUMNS 20

struct Table {
    unsigned columns;
    unsigned wrap;              /* rows are at most so wide; 0: as they are */
    GArray *right;              /* bool, of each column */
    GPtrArray *cells;           /* row by row; the first is the headings */
};

Table *table_new(const char *heading, ...)
{
    Table *t = g_new0(Table, 1);
    va_list args;

    t->right = g_array_new(false, false, sizeof(bool));
    t->cells = g_ptr_array_new_with_free_func(g_free);
    va_start(args, heading);
    for (; heading; heading = va_arg(args, const char *), t->columns++) {
        bool right = *heading == '>';

        g_array_append_val(t->right, right);
        g_ptr_array_add(t->cells, g_strdup(heading + right));
    }
    va_end(args);
    return t;
}

void table_free(Table *t)
{
    g_array_unref(t->right);
    g_ptr_array_unref(t->cells);
    g_free(t);
}

void table_add(Table *t, ...)
{
    va_list args;

    va_start(args, t);
    for (unsigned i = 0; i < t->columns; i++) {
        g_ptr_array_add(t->cells, g_strdup(va_arg(args, const char *)));
    }
    va_end(args);
}

static const char *cell(const Table *t, unsigned i)
{
    return g_ptr_array_index(t->cells, i);
}

static int width_of(const Table *t, unsigned column)
{
    glong width = 0;

    for (unsigned i = column; i < t->cells->len; i += t->columns) {
        width = MAX(width, g_utf8_strlen(cell(t, i), -1));
    }
    return width;
}

void table_wrap(Table *t, unsigned columns)
{
    t->wrap = columns;
}

/* How wide the last column may be, which begins at @begin. */
static int last_width(const Table *t, int begin)
{
    int left = (int)t->wrap - begin;

    return t->wrap == 0 ? G_MAXINT : MAX(left, MIN_WRAPPED_COLUMNS);
}

static void append_wrapped(GString *text, const char *cell_text, int begin,
                           int width)
{
    g_auto(GStrv) word = g_strsplit(cell_text, " ", -1);
    int column = 0;

    for (unsigned i = 0; word[i]; i++) {
        int length = g_utf8_strlen(word[i], -1);

        if (column > 0 && column + 1 + length > width) {
            g_string_append_printf(text, "\n%*s", begin, "");
            column = 0;
        } else if (i > 0) {
            g_string_append_c(text, ' ');
            column++;
        }
        g_string_append(text, word[i]);
        column += length;
    }
}

char *table_text(const Table *t)
{
    g_autofree int *width = g_new(int, t->columns);
    GString *text = g_string_new(NULL);
    int begin = 0;              /* of the last column */

    for (unsigned i = 0; i < t->columns; i++) {
        width[i] = width_of(t, i);
        begin += i + 1 < t->columns ? width[i] + GAP_COLUMNS : 0;
    }
    for (unsigned i = 0; i < t->cells->len; i++) {
        unsigned column = i % t->columns;
        bool last = column == t->columns - 1;
        int pad = width[column] - (int)g_utf8_strlen(cell(t, i), -1);

        if (g_array_index(t->right, bool, column)) {
            g_string_append_printf(text, "%*s%s", pad, "", cell(t, i));
        } else if (last) {
            append_wrapped(text, cell(t, i), begin, last_width(t, begin));
        } else {
            g_string_append_printf(text, "%s%*s", cell(t, i), pad, "");
        }
        if (last) {
            while (text->len > 0 && text->str[text->len - 1] == ' ') {
                g_string_truncate(text, text->len - 1);
            }
        }
        g_string_append(text, last ? "\n" : GAP);
    }
    return g_string_free(text, false);
}

void table_print(const Table *t)
{
    g_autofree char *text = table_text(t);

    fputs(text, stdout);
}
