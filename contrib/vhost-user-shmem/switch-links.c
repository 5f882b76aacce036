/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ports that name others (peer=, mirror=, outs=): names become ids that workers
 * read.  A name that nobody has yet is no error; it takes effect when somebody
 * does.
 *
 * Threads: the control thread.
 */
#include <string.h>

#include "switch-impl.h"

/* What @p's neighbours mean for it. */
typedef struct Links {
    int16_t peer;
    bool only_peer;
    uint8_t shown_by_n;
    uint16_t shown_by[PORT_MAX_MIRRORS];
    uint64_t outs[SWITCH_MAX_PORTS / 64];
} Links;

static bool shows(const Port *mirror, const char *name)
{
    const char *const *names = (const char *const *)mirror->settings.mirror;

    return names && strcmp(mirror->name, name) != 0 &&
           g_strv_contains(names, name);
}

static void find_mirrors(Switch *sw, const Port *p, Links *links)
{
    for (unsigned i = 0; i < sw->ports->len; i++) {
        const Port *mirror = g_ptr_array_index(sw->ports, i);

        if (shows(mirror, p->name)) {
            g_assert(links->shown_by_n < PORT_MAX_MIRRORS);
            links->shown_by[links->shown_by_n++] = mirror->id;
        }
    }
}

static void find_outs(Switch *sw, const Port *p, Links *links)
{
    for (char **name = p->settings.outs; name && *name; name++) {
        const Port *out = switch_find_port(sw, *name);

        if (out && out != p) {
            links->outs[out->id / 64] |= UINT64_C(1) << out->id % 64;
        }
    }
}

static Links find_links(Switch *sw, const Port *p)
{
    const PortSettings *s = &p->settings;
    Links links = { .peer = -1 };

    find_mirrors(sw, p, &links);
    find_outs(sw, p, &links);
    if (s->peer) {
        const Port *peer = switch_find_port(sw, s->peer);
        Links theirs = { 0 };

        links.peer = peer ? peer->id : -2;
        if (peer) {
            find_mirrors(sw, peer, &theirs);
        }
        links.only_peer = peer && s->macs == 0 && s->ips == 0 &&
                          links.shown_by_n + theirs.shown_by_n == 0;
    }
    return links;
}

void switch_link_ports(Switch *sw)
{
    for (unsigned i = 0; i < sw->ports->len; i++) {
        Port *p = g_ptr_array_index(sw->ports, i);
        Links links = find_links(sw, p);
        bool ids_same = links.shown_by_n == p->shown_by_n &&
                        memcmp(links.shown_by, p->shown_by,
                               links.shown_by_n * sizeof(uint16_t)) == 0;

        if (ids_same && links.peer == p->peer &&
            memcmp(links.outs, p->outs, sizeof(p->outs)) == 0 &&
            links.only_peer == p->only_peer) {
            continue;
        }
        port_quiesce(p);
        p->peer = links.peer;
        p->only_peer = links.only_peer;
        p->shown_by_n = links.shown_by_n;
        memcpy(p->shown_by, links.shown_by, sizeof(p->shown_by));
        memcpy(p->outs, links.outs, sizeof(p->outs));
        datapath_new_generation(&sw->dp);
        port_resume(p);
    }
    switch_show_macs(sw);
}

bool switch_may_mirror(Switch *sw, const char *name, const PortSettings *s,
                       GError **error)
{
    for (unsigned k = 0; s->mirror && s->mirror[k]; k++) {
        unsigned n = 0;

        for (unsigned i = 0; i < sw->ports->len; i++) {
            const Port *p = g_ptr_array_index(sw->ports, i);

            n += shows(p, s->mirror[k]) && strcmp(p->name, name) != 0;
        }
        if (n >= PORT_MAX_MIRRORS) {
            SET_ERROR(error, "port %s is shown by %u ports already, as many as "
                      "can be: remove one", s->mirror[k], n);
            return false;
        }
    }
    return true;
}
