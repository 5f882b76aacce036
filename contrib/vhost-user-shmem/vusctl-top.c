/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rates of all ports, from counters that are read twice; and, of ports that
 * have any, frames that wait and deadlines that were not kept.
 *
 * On a terminal each table takes the place of the one before, and as many ports
 * are shown as fit; else they follow each other.
 *
 * Threads: single.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vusctl.h"

/* Column widths; with gaps, 80 in all. */
#define NAME_WIDTH 15
#define STATE_WIDTH 9
#define RATE_WIDTH 10

#define LINES_DEFAULT 24
#define LINES_AROUND 4              /* headings, sum, how many more, cursor */
#define LINES_BETWEEN 2             /* a blank one, headings */

#define CLEAR_BELOW "\033[J"
#define HOME "\033[H"

typedef struct Sample {
    JsonNode *ports;                /* of port.list */
    JsonNode *stats;
    JsonNode *links;
    JsonNode *deadlines;
} Sample;

static void clear_sample(Sample *s)
{
    g_clear_pointer(&s->ports, json_node_unref);
    g_clear_pointer(&s->stats, json_node_unref);
    g_clear_pointer(&s->links, json_node_unref);
    g_clear_pointer(&s->deadlines, json_node_unref);
}

static JsonObject *without_bounds(void)
{
    JsonObject *params = json_object_new();

    json_object_set_boolean_member(params, "bounds", false);
    return params;
}

static bool take_sample(Vusctl *v, Sample *s, GError **error)
{
    s->ports = vusctl_call(v, "port.list", NULL, error);
    s->stats = s->ports ? vusctl_call(v, "stats", NULL, error) : NULL;
    s->links = s->stats ? vusctl_call(v, "qos.links", without_bounds(), error)
                        : NULL;
    s->deadlines = s->links ? vusctl_call(v, "qos.deadlines", without_bounds(),
                                          error) : NULL;
    return s->deadlines != NULL;
}

/* -- Numbers --------------------------------------------------------------- */

/* In RATE_WIDTH, with a decimal if there is room. */
static void print_rate(double rate)
{
    printf(" %*.*f", RATE_WIDTH, rate < 9999999 ? 1 : 0, rate);
}

/* Counters that began at zero meanwhile have counted what they say. */
static double per_second(int64_t before, int64_t now, double seconds)
{
    return (now < before ? now : now - before) / seconds;
}

static void print_row(const char *name, const char *state, JsonObject *before,
                      JsonObject *now, double seconds)
{
    /* Counter, and what its unit is of a second's. */
    static const struct {
        const char *name;
        double unit;
    } columns[] = {
        { "ingress-pkts", 1e3 }, { "egress-pkts", 1e3 },
        { "ingress-bytes", 1e6 / 8 }, { "egress-bytes", 1e6 / 8 },
    };

    printf("%-*.*s %-*.*s", NAME_WIDTH, NAME_WIDTH, name, STATE_WIDTH,
           STATE_WIDTH, state);
    for (unsigned i = 0; i < G_N_ELEMENTS(columns); i++) {
        print_rate(per_second(vusctl_number(before, columns[i].name),
                              vusctl_number(now, columns[i].name), seconds) /
                   columns[i].unit);
    }
    print_rate(per_second(vusctl_sum(before, "drops"),
                          vusctl_sum(now, "drops"), seconds));
    printf("\n");
}

/* -- Tables ---------------------------------------------------------------- */

/* The object of that name in @array; an empty one if there is none: all of it
 * counts from zero. */
static JsonObject *find(JsonArray *array, const char *name, JsonObject *none)
{
    for (unsigned i = 0; i < json_array_get_length(array); i++) {
        JsonObject *one = json_array_get_object_element(array, i);

        if (!strcmp(vusctl_string(one, "name"), name)) {
            return one;
        }
    }
    return none;
}

static unsigned rows_of_terminal(void)
{
    struct winsize size;
    unsigned lines = LINES_DEFAULT;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0) {
        lines = size.ws_row;
    }
    return lines > LINES_AROUND ? lines - LINES_AROUND : 1;
}

static double seconds_between(const Sample *before, const Sample *now)
{
    return (vusctl_number(json_node_get_object(now->stats), "time-ns") -
            vusctl_number(json_node_get_object(before->stats), "time-ns")) /
           1e9;
}

static void print_rates(const Sample *before, const Sample *now,
                        unsigned max_rows)
{
    g_autoptr(JsonObject) none = json_object_new();
    JsonObject *old = json_node_get_object(before->stats);
    JsonObject *new = json_node_get_object(now->stats);
    JsonArray *ports = json_object_get_array_member(new, "ports");
    JsonArray *old_ports = json_object_get_array_member(old, "ports");
    JsonArray *states = json_node_get_array(now->ports);
    unsigned n = json_array_get_length(ports);
    double seconds = seconds_between(before, now);

    printf("%-*s %-*s %*s %*s %*s %*s %*s\n", NAME_WIDTH, "PORT", STATE_WIDTH,
           "STATE", RATE_WIDTH, "IN kpps", RATE_WIDTH, "OUT kpps", RATE_WIDTH,
           "IN Mbit/s", RATE_WIDTH, "OUT Mbit/s", RATE_WIDTH, "DROPS/s");
    for (unsigned i = 0; i < n && i < max_rows; i++) {
        JsonObject *port = json_array_get_object_element(ports, i);
        const char *name = vusctl_string(port, "name");

        print_row(name, vusctl_string(find(states, name, none), "state"),
                  find(old_ports, name, none), port, seconds);
    }
    print_row("sum", "", json_object_get_object_member(old, "sum"),
              json_object_get_object_member(new, "sum"), seconds);
    if (n > max_rows) {
        printf("... and %u ports more\n", n - max_rows);
    }
}

/* -- What waits, and deadlines --------------------------------------------- */

/* Ports that have a queue or a deadline; those with both count once. */
static JsonArray *timed_ports(const Sample *s)
{
    JsonArray *links = vusctl_array(json_node_get_object(s->links), "links");
    JsonArray *deadlines = json_node_get_array(s->deadlines);
    JsonArray *ports = json_node_get_array(s->ports), *all = json_array_new();

    for (unsigned i = 0; i < vusctl_length(ports); i++) {
        const char *name = vusctl_string(
            json_array_get_object_element(ports, i), "name");

        if (find(links, name, NULL) || find(deadlines, name, NULL)) {
            json_array_add_string_element(all, name);
        }
    }
    return all;
}

static void print_timed_row(const char *name, const Sample *before,
                            const Sample *now, double seconds)
{
    g_autoptr(JsonObject) none = json_object_new();
    JsonArray *links = vusctl_array(json_node_get_object(now->links), "links");
    JsonObject *link = find(links, name, none);
    JsonObject *new = find(json_node_get_array(now->deadlines), name, none);
    JsonObject *old = find(json_node_get_array(before->deadlines), name, none);

    printf("%-*.*s %*" PRId64, NAME_WIDTH, NAME_WIDTH, name, RATE_WIDTH,
           vusctl_number(link, "waiting-pkts"));
    for (unsigned i = 0; i < 2; i++) {
        const char *counter = i == 0 ? "late" : "missed";

        print_rate(per_second(vusctl_deadline_counter(old, counter),
                              vusctl_deadline_counter(new, counter), seconds));
    }
    printf("\n");
}

static void print_timed(const Sample *before, const Sample *now,
                        JsonArray *ports, unsigned max_rows)
{
    unsigned n = vusctl_length(ports);

    if (n == 0 || max_rows == 0) {
        return;
    }
    printf("\n%-*s %*s %*s %*s\n", NAME_WIDTH, "PORT", RATE_WIDTH, "WAITING",
           RATE_WIDTH, "LATE/s", RATE_WIDTH, "MISSED/s");
    for (unsigned i = 0; i < n && i < max_rows; i++) {
        print_timed_row(json_array_get_string_element(ports, i), before, now,
                        seconds_between(before, now));
    }
}

/* The first table leaves half of the lines to the second one, if that needs
 * them. */
static void print_tables(const Sample *before, const Sample *now,
                         unsigned max_rows)
{
    g_autoptr(JsonArray) timed = timed_ports(now);
    unsigned below = MIN(vusctl_length(timed), max_rows / 2);

    if (below > 0) {
        max_rows -= MIN(below + LINES_BETWEEN, max_rows - 1);
    }
    print_rates(before, now, max_rows);
    print_timed(before, now, timed, below);
}

bool vusctl_top(Vusctl *v, GError **error)
{
    bool terminal = isatty(STDOUT_FILENO) && !v->once;
    Sample before = { 0 }, now = { 0 };
    bool first = true, alive = take_sample(v, &before, error);

    while (alive) {
        g_usleep(v->interval_s * G_USEC_PER_SEC);
        alive = take_sample(v, &now, error);
        if (!alive) {
            break;
        }
        if (terminal) {
            fputs(HOME CLEAR_BELOW, stdout);
        } else if (!first) {
            printf("\n");
        }
        print_tables(&before, &now, terminal ? rows_of_terminal() : UINT_MAX);
        if (fflush(stdout) != 0 || v->once) {
            break;
        }
        clear_sample(&before);
        before = now;
        now = (Sample) { 0 };
        first = false;
    }
    clear_sample(&before);
    clear_sample(&now);
    return alive;
}
