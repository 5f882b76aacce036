/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Eight ports with random settings, random frames: what comes out is what a
 * slow obvious model says.
 *
 * The model knows nothing of caches, ids or bursts: it walks over all ports and
 * asks of each whether the frame is for it, and what it looks like there.
 *
 * Threads: single.
 */
#include <string.h>

#include "switch-bed.h"

#define PORTS 8
#define STATIONS 6
#define FRAMES_PER_SETTINGS 120
#define ROUNDS 250
#define ROUNDS_SLOW 20000

/* -- The model ------------------------------------------------------------- */

typedef struct ModelPort {
    char name[2];
    int access;                 /* VLAN, or -1: a trunk */
    bool in_trunk[VLAN_IDS];
    int native;
    unsigned station;           /* the only one that may send; 0: any */
    int peer;                   /* -1: none */
    bool shows[PORTS];
    bool is_mirror, is_up;
} ModelPort;

typedef struct Learned {
    bool known;
    unsigned vlan;
    uint8_t mac[6];
    int port;
} Learned;

typedef struct Model {
    ModelPort port[PORTS];
    Learned learned[STATIONS * VLAN_IDS];
    unsigned n_learned;
} Model;

typedef struct ModelFrame {
    uint8_t data[BED_FRAME_BYTES + 4];
    size_t bytes;
} ModelFrame;

static bool has_tag(const ModelFrame *f)
{
    return f->bytes >= 18 && f->data[12] == 0x81 && f->data[13] == 0;
}

static unsigned tci_of(const ModelFrame *f)
{
    return f->data[14] << 8 | f->data[15];
}

/* VLAN 0: frames without. */
static bool is_member(const ModelPort *p, unsigned vlan)
{
    if (p->access >= 0) {
        return vlan == (unsigned)p->access;
    }
    if (vlan == 0) {
        return p->native == 0 && p->in_trunk[0];
    }
    return p->in_trunk[vlan];
}

static int vlan_of(const ModelPort *p, const ModelFrame *f)
{
    unsigned vid = has_tag(f) ? tci_of(f) & 0xfff : 0;

    if (vid != 0) {
        return p->access < 0 && is_member(p, vid) ? (int)vid : -1;
    }
    if (p->access >= 0) {
        return p->access;
    }
    return p->native ? p->native : p->in_trunk[0] ? 0 : -1;
}

static ModelFrame without_tag(const ModelFrame *f)
{
    ModelFrame to = { .bytes = f->bytes - 4 };

    memcpy(to.data, f->data, 12);
    memcpy(to.data + 12, f->data + 16, f->bytes - 16);
    return to;
}

static ModelFrame with_tag(const ModelFrame *f, unsigned tci)
{
    ModelFrame to = { .bytes = f->bytes + 4 };

    memcpy(to.data, f->data, 12);
    to.data[12] = 0x81;
    to.data[14] = tci >> 8;
    to.data[15] = tci;
    memcpy(to.data + 16, f->data + 12, f->bytes - 12);
    return to;
}

/* A frame of @vlan as @p's wire shows it.  Without a VLAN nothing changes; a
 * tag keeps its priority. */
static ModelFrame seen_at(const ModelPort *p, const ModelFrame *f,
                          unsigned vlan)
{
    ModelFrame bare = has_tag(f) ? without_tag(f) : *f;
    unsigned priority = has_tag(f) ? tci_of(f) & 0xf000 : 0;

    if (vlan == 0) {
        return *f;
    }
    return p->access >= 0 || vlan == (unsigned)p->native
           ? bare : with_tag(&bare, priority | vlan);
}

static Learned *find_learned(Model *m, unsigned vlan, const uint8_t *mac)
{
    for (unsigned i = 0; i < m->n_learned; i++) {
        Learned *l = &m->learned[i];

        if (l->known && l->vlan == vlan && memcmp(l->mac, mac, 6) == 0) {
            return l;
        }
    }
    return NULL;
}

/* An address does not move within a second, and no second passes here. */
static void learn(Model *m, unsigned vlan, const uint8_t *mac, int port)
{
    if (!find_learned(m, vlan, mac)) {
        Learned *l = &m->learned[m->n_learned++];

        g_assert_cmpuint(m->n_learned, <=, G_N_ELEMENTS(m->learned));
        *l = (Learned) { .known = true, .vlan = vlan, .port = port };
        memcpy(l->mac, mac, 6);
    }
}

static void forget(Model *m, int port)
{
    for (unsigned i = 0; i < m->n_learned; i++) {
        m->learned[i].known &= m->learned[i].port != port;
    }
}

typedef struct Expected {
    bool comes[PORTS];
    ModelFrame as[PORTS];
} Expected;

static void expect_at(Expected *e, unsigned port, const ModelFrame *f)
{
    if (!e->comes[port]) {
        e->comes[port] = true;
        e->as[port] = *f;
    }
}

/* What @of sends or is sent is shown there as it is on @of's wire. */
static void expect_shown(const Model *m, Expected *e, unsigned of,
                         const ModelFrame *f)
{
    for (unsigned i = 0; i < PORTS; i++) {
        if (m->port[i].shows[of]) {
            expect_at(e, i, f);
        }
    }
}

static void send_to_peer(const Model *m, Expected *e, unsigned in,
                         const ModelFrame *f)
{
    expect_at(e, m->port[in].peer, f);
    expect_shown(m, e, in, f);
    if (m->port[m->port[in].peer].is_up) {
        expect_shown(m, e, m->port[in].peer, f);
    }
}

static void send_model(Model *m, unsigned in, const ModelFrame *f, Expected *e)
{
    const ModelPort *from = &m->port[in];
    const uint8_t *mac = f->data + 6;
    const Learned *to = NULL;
    uint8_t own[6];
    int vlan;

    memset(e, 0, sizeof(*e));
    bed_make_mac(own, from->station);
    if (from->is_mirror || (from->station && memcmp(mac, own, 6) != 0)) {
        return;
    }
    if (from->peer >= 0) {
        send_to_peer(m, e, in, f);
        return;
    }
    if (mac[0] & 1) {
        return;
    }
    vlan = vlan_of(from, f);
    if (vlan < 0) {
        return;
    }
    learn(m, vlan, mac, in);
    if (memcmp(f->data, "\x01\x80\xc2\0\0", 5) == 0 && f->data[5] < 16) {
        return;
    }
    if (!(f->data[0] & 1)) {
        to = find_learned(m, vlan, f->data);
        if (to && to->port == (int)in) {
            return;
        }
    }
    expect_shown(m, e, in, f);
    for (unsigned i = 0; i < PORTS; i++) {
        const ModelPort *p = &m->port[i];
        ModelFrame seen = seen_at(p, f, vlan);

        if (to ? to->port != (int)i
               : i == in || p->is_mirror || p->peer >= 0 || !p->is_up ||
                 !is_member(p, vlan)) {
            continue;
        }
        expect_at(e, i, &seen);
        expect_shown(m, e, i, &seen);
    }
}

/* -- Random settings ------------------------------------------------------- */

static int rand_below(int n)
{
    return g_test_rand_int_range(0, n);
}

static void trunk_of_some(ModelPort *p, GString *words)
{
    unsigned members = 1 + rand_below(15);      /* of VLANs 0 to 3 */

    g_string_append(words, " trunk=");
    for (unsigned vlan = 0; vlan < 4; vlan++) {
        p->in_trunk[vlan] = members >> vlan & 1;
        if (p->in_trunk[vlan]) {
            g_string_append_printf(words, "%u,", vlan);
        }
    }
    g_string_truncate(words, words->len - 1);
}

static void random_vlans(ModelPort *p, GString *words)
{
    p->access = -1;
    p->native = 0;
    memset(p->in_trunk, 0, sizeof(p->in_trunk));
    switch (rand_below(3)) {
    case 0:
        p->access = 1 + rand_below(3);
        g_string_append_printf(words, " vlan=%d", p->access);
        return;
    case 1:
        memset(p->in_trunk, true, sizeof(p->in_trunk));
        break;
    default:
        trunk_of_some(p, words);
        break;
    }
    for (int vlan = 1; vlan < 4; vlan++) {
        if (p->in_trunk[vlan] && rand_below(4) == 0) {
            p->native = vlan;
            g_string_append_printf(words, " native=%d", vlan);
            return;
        }
    }
}

static void random_mirror(Model *m, unsigned i, GString *words)
{
    ModelPort *p = &m->port[i];
    unsigned shown[2] = { rand_below(PORTS), rand_below(PORTS) };

    for (unsigned k = 0; k < 2; k++) {
        unsigned of = shown[k];
        unsigned shown_by = 0;

        for (unsigned n = 0; n < PORTS; n++) {
            shown_by += m->port[n].shows[of];
        }
        /* Four at most may show one. */
        if (of == i || p->shows[of] || shown_by == 4) {
            continue;
        }
        g_string_append_printf(words, "%s%s", p->is_mirror ? "," : " mirror=",
                               m->port[of].name);
        p->shows[of] = p->is_mirror = true;
    }
}

static void random_settings(Model *m, unsigned i, GString *words)
{
    ModelPort *p = &m->port[i];

    p->station = 0;
    p->peer = -1;
    p->is_mirror = false;
    memset(p->shows, 0, sizeof(p->shows));
    p->is_up = rand_below(8) > 0;
    g_string_assign(words, p->is_up ? "link=up" : "link=down");
    random_vlans(p, words);
    if (rand_below(4) == 0) {
        uint8_t mac[6];

        p->station = 1 + rand_below(STATIONS);
        bed_make_mac(mac, p->station);
        g_string_append_printf(words, " mac=%02x:%02x:%02x:%02x:%02x:%02x",
                               mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    }
    switch (rand_below(8)) {
    case 0:
        random_mirror(m, i, words);
        break;
    case 1:
        p->peer = (i + 1 + rand_below(PORTS - 1)) % PORTS;
        g_string_append_printf(words, " peer=%s", m->port[p->peer].name);
        break;
    }
}

/* -- Random frames --------------------------------------------------------- */

static void random_frame(ModelFrame *f)
{
    /* Seldom used ones too, so that slots of flows meet. */
    static const uint16_t tci[] = { 0, 1, 2, 3, 4, 0xe000, 0xe001, 0x2002 };
    unsigned to = rand_below(STATIONS + 2);

    bed_make_frame(f->data, to ? to : BED_GROUP, 1 + rand_below(STATIONS),
                   rand_below(2) ? tci[rand_below(G_N_ELEMENTS(tci))] : -1);
    switch (rand_below(16)) {
    case 0:
        memcpy(f->data, "\x01\x80\xc2\0\0\x0e", 6);
        break;
    case 1:
        f->data[6] |= 1;
        break;
    case 2:
        f->data[12] = 0x88;
        f->data[13] = 0xa8;
        break;
    }
    /* Shorter than a tag, and than the tag's frame. */
    f->bytes = rand_below(4) ? BED_FRAME_BYTES : 14 + rand_below(8);
    g_assert_cmpuint(f->bytes, <=, BED_FRAME_BYTES);
}

/* -- Compare --------------------------------------------------------------- */

static void compare(Switch *sw, const Model *m, const Expected *e,
                    unsigned in, const ModelFrame *f)
{
    for (unsigned i = 0; i < PORTS; i++) {
        const ModelPort *p = &m->port[i];
        g_autoptr(GBytes) got = bed_read(sw, p->name);
        g_autoptr(GBytes) more = bed_read(sw, p->name);
        const ModelFrame *want = &e->as[i];
        bool comes = e->comes[i] && p->is_up;

        if (comes != (got != NULL)) {
            g_error("port %s: a frame of %zu bytes from port %s %s", p->name,
                    f->bytes, m->port[in].name,
                    got ? "should not come" : "does not come");
        }
        g_assert_null(more);
        if (got) {
            g_assert_cmpmem(g_bytes_get_data(got, NULL), g_bytes_get_size(got),
                            want->data, want->bytes);
        }
    }
}

static void change_one(Switch *sw, Model *m, unsigned i)
{
    g_autoptr(GString) words = g_string_new("");

    random_settings(m, i, words);
    g_test_message("%s: %s", m->port[i].name, words->str);
    bed_set(sw, m->port[i].name, words->str);
    bed_drain(sw, m->port[i].name);
    forget(m, i);
}

static void test_model(void)
{
    unsigned rounds = g_test_slow() ? ROUNDS_SLOW : ROUNDS;
    Switch *sw = bed_switch_new(1);
    Model *m = g_new0(Model, 1);
    Expected *e = g_new(Expected, 1);

    for (unsigned i = 0; i < PORTS; i++) {
        m->port[i].name[0] = 'a' + i;
        m->port[i].peer = m->port[i].access = -1;
        m->port[i].is_up = true;
        memset(m->port[i].in_trunk, true, VLAN_IDS);
        bed_add(sw, m->port[i].name, "");
    }
    for (unsigned round = 0; round < rounds; round++) {
        change_one(sw, m, rand_below(PORTS));
        if (rand_below(4) == 0) {
            switch_fdb_flush(sw, NULL);
            m->n_learned = 0;
        }
        for (unsigned n = 0; n < FRAMES_PER_SETTINGS; n++) {
            unsigned in = rand_below(PORTS);
            ModelFrame f;

            random_frame(&f);
            if (m->port[in].is_up) {
                send_model(m, in, &f, e);
                bed_send(sw, m->port[in].name, f.data, f.bytes);
                compare(sw, m, e, in, &f);
            }
        }
    }
    g_free(m);
    g_free(e);
    switch_free(sw);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vus-switch-model/random", test_model);
    return g_test_run();
}
