/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include <glib/gstdio.h>

#include "switch-bed.h"

unsigned bed_warnings;
char *bed_last_warning;

static void on_log(const char *domain, GLogLevelFlags level, const char *text,
                   gpointer opaque)
{
    if (level & G_LOG_LEVEL_WARNING) {
        bed_warnings++;
        g_free(bed_last_warning);
        bed_last_warning = g_strdup(text);
    } else if (level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL)) {
        g_log_default_handler(domain, level, text, NULL);
    }
}

void bed_expect_warnings(void)
{
    g_log_set_always_fatal(G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL);
    g_log_set_default_handler(on_log, NULL);
}

char *bed_socket_path(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("vus-XXXXXX", &error);

    g_assert_no_error(error);
    return g_build_filename(dir, "s", NULL);
}

/* Its port is gone, and the socket with it. */
void bed_socket_free(char *path)
{
    g_autofree char *dir = g_path_get_dirname(path);

    g_assert_cmpint(g_rmdir(dir), ==, 0);
    g_free(path);
}

Switch *bed_switch_new(unsigned workers)
{
    g_autoptr(GError) error = NULL;
    SwitchConfig cfg;
    Switch *sw;

    switch_config_init(&cfg);
    cfg.workers = workers;
    sw = switch_new(&cfg, &error);
    g_assert_no_error(error);
    return sw;
}

static void parse(PortSettings *s, const char *settings)
{
    g_auto(GStrv) words = g_strsplit(settings, " ", -1);
    g_autoptr(GError) error = NULL;

    port_settings_init(s);
    port_settings_set(s, "type", "dummy", &error);
    g_assert_no_error(error);
    if (*settings) {
        port_settings_parse(s, (const char *const *)words, &error);
        g_assert_no_error(error);
    }
}

Port *bed_add(Switch *sw, const char *name, const char *settings)
{
    g_autoptr(GError) error = NULL;
    PortSettings s;
    Port *p;

    parse(&s, settings);
    p = switch_add_port(sw, name, &s, &error);
    g_assert_no_error(error);
    port_settings_clear(&s);
    return p;
}

void bed_set(Switch *sw, const char *name, const char *settings)
{
    g_autoptr(GError) error = NULL;
    PortSettings s;

    parse(&s, settings);
    switch_set_port(sw, name, &s, &error);
    g_assert_no_error(error);
    port_settings_clear(&s);
}

void bed_remove(Switch *sw, const char *name)
{
    g_autoptr(GError) error = NULL;

    switch_remove_port(sw, name, &error);
    g_assert_no_error(error);
}

void bed_send(Switch *sw, const char *name, const uint8_t *frame, size_t bytes)
{
    g_autoptr(GError) error = NULL;

    switch_dummy_inject(sw, switch_find_port(sw, name), frame, bytes, NULL,
                        &error);
    g_assert_no_error(error);
}

GBytes *bed_read(Switch *sw, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) got =
        switch_dummy_read(sw, switch_find_port(sw, name), &error);

    g_assert_no_error(error);
    return got ? g_bytes_new_from_bytes(got, 12, g_bytes_get_size(got) - 12)
               : NULL;
}

unsigned bed_drain(Switch *sw, const char *name)
{
    GBytes *got;
    unsigned n = 0;

    while ((got = bed_read(sw, name))) {
        g_bytes_unref(got);
        n++;
    }
    return n;
}

PortCounters bed_counters(Switch *sw, const char *name)
{
    PortCounters counters;

    switch_port_counters(sw, switch_find_port(sw, name), &counters);
    return counters;
}

uint64_t bed_drops(Switch *sw, const char *name, Drop reason)
{
    return bed_counters(sw, name).drops[reason];
}

void bed_make_mac(uint8_t mac[6], unsigned station)
{
    const uint8_t bytes[6] = { 2, 0, 0, 0, station >> 8, station };

    if (station == BED_GROUP) {
        memset(mac, 0xff, 6);
    } else {
        memcpy(mac, bytes, 6);
    }
}

void bed_make_frame(uint8_t *frame, unsigned to, unsigned from, int tci)
{
    unsigned at = 12;

    memset(frame, 0, BED_FRAME_BYTES);
    bed_make_mac(frame, to);
    bed_make_mac(frame + 6, from);
    if (tci >= 0) {
        frame[at++] = 0x81;
        frame[at++] = 0x00;
        frame[at++] = tci >> 8;
        frame[at++] = tci;
    }
    /* For experiments (IEEE 802). */
    frame[at++] = 0x88;
    frame[at] = 0xb5;
}

void bed_wait(bool (*is_so)(void *opaque), void *opaque, const char *what)
{
    gint64 end_us = g_get_monotonic_time() + BED_WAIT_S * G_USEC_PER_SEC;

    while (!is_so(opaque)) {
        if (g_get_monotonic_time() > end_us) {
            g_error("waited %d s for %s", BED_WAIT_S, what);
        }
        bed_turn();
        g_usleep(100);
    }
}

void bed_turn(void)
{
    while (g_main_context_iteration(NULL, false)) {
    }
}
