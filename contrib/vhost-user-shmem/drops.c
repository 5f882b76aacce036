/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>

#include "drops.h"

static const char *const name[] = {
#define DROP_NAME(name, counter, text) counter,
    DROPS(DROP_NAME)
#undef DROP_NAME
};

static const char *const text[] = {
#define DROP_TEXT(name, counter, text) text,
    DROPS(DROP_TEXT)
#undef DROP_TEXT
};

const char *drop_name(Drop reason)
{
    g_assert(reason < DROP_REASONS);
    return name[reason];
}

const char *drop_text(Drop reason)
{
    g_assert(reason < DROP_REASONS);
    return text[reason];
}
