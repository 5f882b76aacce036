/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Members of a domain that send packets round in a circle, for bench_netvm.py:
 * processes on the host stand for virtual machines.  Directly or through the
 * daemon: as the domain is set.
 *
 * Threads: see circle.h.
 */
#include "circle.h"
#include "netvm.h"

#define MEMBERS_MAX 8
#define ATTACH_MS 10000
#define SCATTERED_MAX (1 << 16)
#define SCATTER_MS 300

#define SET_ERROR(error, ...) \
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, __VA_ARGS__)

static char **sockets;
static gboolean scattered;

static unsigned members;
static struct netvm *nv[MEMBERS_MAX];
static uint16_t next[MEMBERS_MAX];  /* the member that it sends to */

/* -- One hop --------------------------------------------------------------- */

/* A burst of member @i. */
static inline int pass(unsigned i)
{
    struct netvm_desc pkt[CIRCLE_BURST];
    int n = netvm_rx_burst(nv[i], pkt, CIRCLE_BURST), sent = 0;
    const struct netvm *me = nv[i];
    uint16_t to = next[i];
    bool touch = circle_opt.touch;

    for (int k = 0; k < n; k++) {
        if (touch) {
            circle_touch(netvm_data(me, &pkt[k]));
        }
        netvm_set_action_to(&pkt[k], NETVM_TO_MEMBER, to);
    }
    while (sent < n) {
        int more = netvm_tx_burst(nv[i], pkt + sent, n - sent);

        if (more < 0) {
            return more;
        }
        sent += more;
    }
    return n;
}

static int pass_all(unsigned thread)
{
    int all = 0;

    for (unsigned i = thread; i < members; i += circle_opt.threads) {
        int n = pass(i);

        if (n < 0) {
            return n;
        }
        all += n;
    }
    return all;
}

/* -- Life ------------------------------------------------------------------ */

static bool attach(GError **error)
{
    members = sockets ? g_strv_length(sockets) : 0;
    if (members < 2 || members > MEMBERS_MAX) {
        SET_ERROR(error, "--socket has to be given 2 to %d times",
                  MEMBERS_MAX);
        members = 0;
        return false;
    }
    for (unsigned i = 0; i < members; i++) {
        g_autofree char *where = g_strconcat("unix:", sockets[i], NULL);
        char text[NETVM_ERROR_BYTES];

        nv[i] = netvm_attach(where, ATTACH_MS, text);
        if (!nv[i]) {
            SET_ERROR(error, "%s", text);
            return false;
        }
    }
    for (unsigned i = 0; i < members; i++) {
        next[i] = netvm_self(nv[(i + 1) % members]);
    }
    return true;
}

/* Until the daemon has connected all to all, if it does. */
static void settle(void)
{
    for (unsigned k = 0; k < 200; k++) {
        for (unsigned i = 0; i < members; i++) {
            netvm_rx_burst(nv[i], NULL, 0);
        }
        g_usleep(1000);
    }
}

/* @n buffers, or as many as come until then; how many. */
static int allocate(struct netvm_desc *pkt, int n, int64_t ms)
{
    int64_t end_us = g_get_monotonic_time() + ms * 1000;
    int got = 0;

    while (got < n && g_get_monotonic_time() < end_us) {
        got += netvm_alloc(nv[0], &pkt[got], 1) == 1;
    }
    return got;
}

/* As in a domain that has been in use for long: any of its buffers. */
static void scatter(void)
{
    g_autofree struct netvm_desc *pkt = g_new(struct netvm_desc, SCATTERED_MAX);
    int n = allocate(pkt, SCATTERED_MAX, SCATTER_MS);

    for (int i = n - 1; i > 0; i--) {
        int k = g_random_int_range(0, i + 1);
        struct netvm_desc last = pkt[i];

        pkt[i] = pkt[k];
        pkt[k] = last;
    }
    netvm_free(nv[0], pkt, n);
}

static bool inject(GError **error)
{
    struct netvm_desc pkt[CIRCLE_INFLIGHT_MAX];

    if (scattered) {
        scatter();
    }
    if (allocate(pkt, circle_opt.inflight, ATTACH_MS) < circle_opt.inflight) {
        SET_ERROR(error, "the domain has no %d buffers: give it more buffers=",
                  circle_opt.inflight);
        return false;
    }
    for (int i = 0; i < circle_opt.inflight; i++) {
        pkt[i].length = circle_opt.bytes;
        netvm_set_action_to(&pkt[i], NETVM_TO_MEMBER, next[0]);
        memset(netvm_data(nv[0], &pkt[i]), 2, circle_opt.bytes);
        while (netvm_tx_burst(nv[0], &pkt[i], 1) != 1) {
            /* Others take what is there, so that a ring never stands. */
            for (unsigned k = 1; k < members; k++) {
                pass(k);
            }
        }
    }
    return true;
}

static bool begin(GError **error)
{
    if (!attach(error)) {
        return false;
    }
    settle();
    return inject(error);
}

/* How many of the packets went past the daemon. */
static void describe(GString *json)
{
    uint64_t direct = 0, sent = 0;

    for (unsigned i = 0; i < members; i++) {
        const struct netvm_stats *s = netvm_stats(nv[i], netvm_self(nv[i]));

        direct += s->direct_pkts;
        sent += s->tx_pkts;
    }
    g_string_printf(json, ", \"direct_share\": %.3f", (double)direct / sent);
}

static void end(void)
{
    for (unsigned i = 0; i < members; i++) {
        netvm_detach(nv[i]);
    }
}

int main(int argc, char **argv)
{
    static const GOptionEntry entries[] = {
        { "socket", 's', 0, G_OPTION_ARG_FILENAME_ARRAY, &sockets,
          "Of a netvm port; two or more", "PATH" },
        { "scattered", 0, 0, G_OPTION_ARG_NONE, &scattered,
          "Any buffers of the domain go round", NULL },
        { 0 },
    };
    static const Circle circle = {
        .name = "netvm-load",
        .summary = "Sends packets round in a circle of members; see "
                   "bench_netvm.py.",
        .entries = entries,
        .begin = begin,
        .pass = pass_all,
        .describe = describe,
        .end = end,
    };

    return circle_main(argc, argv, &circle);
}
