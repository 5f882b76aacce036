/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "file-closer.h"
#include "netvm-raw-bed.h"

PortStatus raw_bed_status(NetvmBed *b, const char *name)
{
    PortStatus status;

    switch_port_status(b->sw, switch_find_port(b->sw, name), &status);
    return status;
}

static bool is_alone(void *opaque)
{
    NetvmBed *b = opaque;

    return !raw_bed_status(b, "m0").connected && !b->domain->members &&
           file_closer_waiting() == 0;
}

/* Whoever was at port m0 has gone, with all that it had. */
void raw_bed_wait_alone(NetvmBed *b)
{
    bed_wait(is_alone, b, "nobody to be there");
    g_assert_cmpuint(domain_free_buffers(b->domain), ==, b->domain->buffers);
}

static bool is_attached(void *opaque)
{
    return raw_bed_status(opaque, "m0").ready;
}

/* It polls, and the daemon has seen that. */
void raw_bed_attach(NetvmBed *b, NetvmRaw *r)
{
    netvm_raw_attach(r);
    bed_wait(is_attached, b, "the daemon to see that it polls");
}

/* An honest one may come. */
void raw_bed_check_serves(NetvmBed *b)
{
    NetvmRaw *r;

    raw_bed_wait_alone(b);
    r = netvm_raw_join(b->socket[0]);
    g_assert_true(raw_bed_status(b, "m0").connected);
    netvm_raw_free(r);
    raw_bed_wait_alone(b);
}

unsigned raw_bed_maps(void)
{
    g_autofree char *text = NULL;
    unsigned n = 0;

    g_assert_true(g_file_get_contents("/proc/self/maps", &text, NULL, NULL));
    for (const char *at = text; (at = strstr(at, "/memfd:netvm-")); at++) {
        n++;
    }
    return n;
}
