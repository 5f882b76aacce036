/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checksums that are completed, and frames that are cut, against a model.
 *
 * Threads: one more, which stands for the guest and writes to its buffers while
 * they are read.  It does so through a file, as another process would.
 */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "frame-maker.h"
#include "l4-model.h"
#include "offload.h"
#include "offload-bed.h"
#include "offload-csum.h"

#define ROUNDS 3000
#define ROUNDS_SLOW 200000
#define CSUM_ROUNDS 20000

static const OffloadSpec tcp4 = {
    .ip_version = 4, .protocol = BED_TCP, .payload_bytes = 5000,
    .gso_size = 1000,
};

/* Frames as they come, and what they are turned into. */
static uint8_t sent_bytes[BED_MAX_BYTES];

static void assert_none(const char *error)
{
    g_assert_cmpstr(error, ==, NULL);
}

/* -- Features -------------------------------------------------------------- */

static void test_features(void)
{
    /* By number, as the specification has them. */
    static const struct {
        unsigned feature;
        uint8_t accepted, allowed;
    } bits[] = {
        { 0, 0, OFFLOAD_CSUM }, { 1, OFFLOAD_CSUM, 0 },
        { 7, OFFLOAD_TSO4, 0 }, { 8, OFFLOAD_TSO6, 0 }, { 9, OFFLOAD_ECN, 0 },
        { 11, 0, OFFLOAD_TSO4 }, { 12, 0, OFFLOAD_TSO6 },
        { 13, 0, OFFLOAD_ECN }, { 54, OFFLOAD_USO4, 0 },
        { 55, OFFLOAD_USO6, 0 }, { 56, 0, OFFLOAD_USO4 | OFFLOAD_USO6 },
    };
    unsigned next = 0;

    for (unsigned i = 0; i < 64; i++) {
        bool known = next < G_N_ELEMENTS(bits) && bits[next].feature == i;

        g_assert_cmphex(offload_accepted(UINT64_C(1) << i), ==,
                        known ? bits[next].accepted : 0);
        g_assert_cmphex(offload_allowed(UINT64_C(1) << i), ==,
                        known ? bits[next].allowed : 0);
        next += known;
    }
    g_assert_cmpuint(next, ==, G_N_ELEMENTS(bits));
    g_assert_cmphex(offload_accepted(UINT64_MAX), ==, OFFLOAD_ALL);
    g_assert_cmphex(offload_allowed(UINT64_MAX), ==, OFFLOAD_ALL);
}

/* -- Sums ------------------------------------------------------------------ */

static uint16_t fast_sum(const uint8_t *p, size_t bytes)
{
    return GUINT16_FROM_BE(csum_fold(csum_add(0, p, bytes)));
}

static void test_csum(void)
{
    /* RFC 1071, 3. */
    static const uint8_t example[] = {
        0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7,
    };
    uint8_t *p = g_malloc(BED_MAX_BYTES), field[2];

    g_assert_cmphex(fast_sum(example, sizeof(example)), ==, 0xddf2);
    for (unsigned i = 0; i < CSUM_ROUNDS; i++) {
        unsigned offset = g_test_rand_int_range(0, 16);
        unsigned bytes = g_test_rand_int_range(0, i % 100 ? 300 : 60000);

        if (i % 3) {
            frame_random_fill(p + offset, bytes);
        } else {
            memset(p + offset, 0xff, bytes);
        }
        g_assert_cmphex(fast_sum(p + offset, bytes), ==,
                        l4_model_sum(p + offset, bytes));
    }
    g_free(p);

    g_assert_cmphex(csum_fold(0), ==, 0);
    g_assert_cmphex(csum_fold(UINT64_MAX), ==, 0xffff);
    g_assert_cmphex(csum_fold(0xffff), ==, 0xffff);
    g_assert_cmphex(csum_fold(UINT64_C(0x1000100010001)), ==, 4);
    csum_put(field, 0xffff);
    g_assert_cmpmem(field, 2, "\0\0", 2);
    csum_put_nonzero(field, 0xffff);
    g_assert_cmpmem(field, 2, "\xff\xff", 2);
    csum_put_nonzero(field, 0);
    g_assert_cmpmem(field, 2, "\xff\xff", 2);
    csum_put_nonzero(field, GUINT16_TO_BE(0x1234));
    g_assert_cmpmem(field, 2, "\xed\xcb", 2);
}

/* -- What comes out -------------------------------------------------------- */

static void check_out(const Sent *sent, const uint8_t *frame, size_t bytes,
                      const Frame *const *out, unsigned n)
{
    static uint8_t got[L4_MODEL_MAX_BYTES];

    assert_none(l4_model_check(frame, bytes, &sent->f.vnet, out, n, true));
    for (unsigned i = 0; i < n; i++) {
        assert_none(l4_model_verify(got, l4_model_flatten(out[i], got)));
    }
}

static unsigned segments_of(const OffloadSpec *s)
{
    return s->gso_size == 0 ? 1
           : (s->payload_bytes + s->gso_size - 1) / s->gso_size;
}

/* What a driver may say without meaning it. */
static void add_noise(const OffloadSpec *s, struct virtio_net_hdr *vnet)
{
    vnet->hdr_len = g_test_rand_int();
    vnet->flags |= g_test_rand_int();
    if (s->gso_size == 0) {
        vnet->gso_size = g_test_rand_int();
    } else if (s->protocol == BED_TCP && g_test_rand_bit()) {
        vnet->gso_type ^= VIRTIO_NET_HDR_GSO_ECN;
    }
}

/* Nothing that the header asks for may be left out of what is allowed. */
static void check_allowed(const Frame *f, uint8_t needs)
{
    if (!(f->vnet.gso_type & VIRTIO_NET_HDR_GSO_ECN)) {
        needs &= ~OFFLOAD_ECN;
    } else {
        needs |= OFFLOAD_ECN;
    }
    for (uint8_t bit = 1; bit < OFFLOAD_ALL; bit <<= 1) {
        Frame copy = *f;

        g_assert_cmpint(offload_check(&copy, OFFLOAD_ALL & ~bit), ==,
                        !(needs & bit));
    }
}

typedef struct Seen {
    unsigned as_is, completed, cut, too_many;
} Seen;

static void try_any(Offload *o, Seen *seen)
{
    uint8_t accepted = g_test_rand_int_range(0, OFFLOAD_ALL + 1), needs;
    struct virtio_net_hdr vnet, expected;
    g_autoptr(Sent) sent = NULL;
    const Frame *const *out;
    OffloadSpec s;
    unsigned n;
    size_t bytes;

    offload_random_spec(&s);
    needs = offload_expect_needs(&s);
    bytes = offload_make(&s, sent_bytes, &vnet);
    expected = vnet;
    add_noise(&s, &vnet);
    sent = sent_new(sent_bytes, bytes, &vnet);
    g_assert_false(offload_is_plain(&sent->f));
    check_allowed(&sent->f, needs);
    g_assert_true(offload_check(&sent->f, OFFLOAD_ALL));
    g_assert_cmpmem(&sent->f.vnet, sizeof(expected), &expected,
                    sizeof(expected));
    g_assert_cmphex(offload_needs(&sent->f), ==, needs);

    n = offload_convert(o, &sent->f, accepted, &out);
    if (!(needs & ~accepted)) {
        g_assert_cmpuint(n, ==, 1);
        g_assert_true(out[0] == &sent->f);
        seen->as_is++;
    } else if (segments_of(&s) > OFFLOAD_MAX_SEGMENTS) {
        g_assert_cmpuint(n, ==, 0);
        seen->too_many++;
    } else {
        g_assert_cmpuint(n, ==, segments_of(&s));
        check_out(sent, sent_bytes, bytes, out, n);
        seen->completed += s.gso_size == 0;
        seen->cut += s.gso_size > 0;
    }
}

static void test_any(void)
{
    unsigned rounds = g_test_slow() ? ROUNDS_SLOW : ROUNDS;
    Offload *o = offload_new();
    Seen seen = { 0 };

    for (unsigned i = 0; i < rounds; i++) {
        try_any(o, &seen);
    }
    g_test_message("%u as they are, %u completed, %u cut, %u too many",
                   seen.as_is, seen.completed, seen.cut, seen.too_many);
    g_assert_cmpuint(seen.as_is, >, rounds / 30);
    g_assert_cmpuint(seen.completed, >, rounds / 30);
    g_assert_cmpuint(seen.cut, >, rounds / 10);
    g_assert_cmpuint(seen.too_many, >, 0);
    offload_free(o);
}

#define ETHERNET "\x52\x54\0\0\0\x02\x52\x54\0\0\0\x01\x08\0"
#define ADDRESSES "\x0a\0\0\x01\x0a\0\0\x02"
#define PORTS "\x30\x39\0\x50"
#define ACK "\0\0\0\x01"

/* Written down, so that model and code are not wrong together. */
static void test_known(void)
{
    static const struct virtio_net_hdr vnet = {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN,
        .gso_size = GUINT16_TO_LE(5),
        .csum_start = GUINT16_TO_LE(34),
        .csum_offset = GUINT16_TO_LE(16),
    };
    static const uint8_t frame[] = ETHERNET
        "\x45\0\0\x33\x12\x34\x40\0\x40\x06\x14\x8f" ADDRESSES
        PORTS "\xff\xff\xff\xfc" ACK "\x50\x99\x20\0\x14\x28\0\0"
        "hello world";
    static const struct {
        unsigned bytes;
        const char *frame;
    } expected[] = {
        { 59, ETHERNET "\x45\0\0\x2d\x12\x34\x40\0\x40\x06\x14\x95" ADDRESSES
              PORTS "\xff\xff\xff\xfc" ACK "\x50\x90\x20\0\x06\xf4\0\0"
              "hello" },
        { 59, ETHERNET "\x45\0\0\x2d\x12\x35\x40\0\x40\x06\x14\x94" ADDRESSES
              PORTS "\0\0\0\x01" ACK "\x50\x10\x20\0\x4f\x58\0\0" " worl" },
        { 55, ETHERNET "\x45\0\0\x29\x12\x36\x40\0\x40\x06\x14\x97" ADDRESSES
              PORTS "\0\0\0\x06" ACK "\x50\x19\x20\0\xe7\x37\0\0" "d" },
    };
    g_autoptr(Sent) sent = sent_new(frame, sizeof(frame) - 1, &vnet);
    Offload *o = offload_new();
    const Frame *const *out;

    g_assert_true(offload_check(&sent->f, OFFLOAD_ALL));
    g_assert_cmpuint(offload_convert(o, &sent->f, OFFLOAD_CSUM, &out), ==, 3);
    for (unsigned i = 0; i < 3; i++) {
        uint8_t got[FRAME_HEAD_BYTES];

        g_assert_cmpmem(got, l4_model_flatten(out[i], got), expected[i].frame,
                        expected[i].bytes);
    }
    offload_free(o);
}

/* A checksum that comes to 0, whole and in a segment. */
static void test_zero(const void *opaque)
{
    OffloadSpec s = {
        .ip_version = 6, .protocol = BED_UDP, .payload_bytes = 100,
        .gso_size = GPOINTER_TO_UINT(opaque),
    };
    uint8_t frame[200], got[200], last[2];
    struct virtio_net_hdr vnet;
    size_t bytes = offload_make(&s, frame, &vnet);
    Offload *o = offload_new();
    g_autoptr(Sent) sent = NULL;
    const Frame *const *out;
    uint16_t sum;

    memset(frame + bytes - 2, 0, 2);
    sum = ~l4_model_sum(frame + offload_spec_l4(&s),
                        bytes - offload_spec_l4(&s));
    last[0] = sum >> 8;
    last[1] = sum;
    memcpy(frame + bytes - 2, last, 2);
    sent = sent_new(frame, bytes, &vnet);
    g_assert_true(offload_check(&sent->f, OFFLOAD_ALL));
    g_assert_cmpuint(offload_convert(o, &sent->f, 0, &out), ==, 1);
    l4_model_flatten(out[0], got);
    g_assert_cmpmem(got + offload_spec_l4(&s) + 6, 2, "\xff\xff", 2);
    assert_none(l4_model_verify(got, bytes));
    offload_free(o);
}

/* -- Where the checksum may be --------------------------------------------- */

/* A packet in a packet: the inner checksum, up to the end of the head. */
static void test_inner(void)
{
    OffloadSpec s = {
        .ip_version = 4, .protocol = BED_UDP, .payload_bytes = 1000,
    };
    struct virtio_net_hdr vnet;
    size_t bytes = offload_make(&s, sent_bytes, &vnet);
    unsigned behind = offload_spec_payload(&s);
    Offload *o = offload_new();
    const Frame *const *out;

    for (unsigned start = behind; start < FRAME_HEAD_BYTES; start++) {
        for (unsigned at = start; at < FRAME_HEAD_BYTES + 2; at++) {
            bool fits = at + 2 <= FRAME_HEAD_BYTES;
            g_autoptr(Sent) sent = NULL;

            vnet.csum_start = GUINT16_TO_LE(start);
            vnet.csum_offset = GUINT16_TO_LE(at - start);
            sent = sent_new(sent_bytes, bytes, &vnet);
            g_assert_cmpint(offload_check(&sent->f, OFFLOAD_CSUM), ==, fits);
            if (fits && at % 8 == 0) {
                g_assert_cmpuint(offload_convert(o, &sent->f, 0, &out), ==, 1);
                assert_none(l4_model_check(sent_bytes, bytes, &vnet, out, 1,
                                           true));
            }
        }
    }
    offload_free(o);
}

/* The pseudo header has the address that a routing header ends with. */
static void test_routed(void)
{
    OffloadSpec s = {
        .ip_version = 6, .protocol = BED_TCP, .payload_bytes = 3000,
        .gso_size = 700,
    };
    unsigned l4 = offload_spec_l4(&s), n;
    uint8_t frame[4000], *ip = frame + offload_spec_l3(&s), *field;
    struct virtio_net_hdr vnet;
    size_t bytes = offload_make(&s, frame, &vnet) + 24;
    Offload *o = offload_new();
    g_autoptr(Sent) sent = NULL;
    const Frame *const *out;

    memmove(frame + l4 + 24, frame + l4, bytes - 24 - l4);
    l4 += 24;
    ip[4] = (bytes - offload_spec_l3(&s) - 40) >> 8;
    ip[5] = bytes - offload_spec_l3(&s) - 40;
    ip[6] = 43;
    /* TCP next, 24 bytes, type 4 (segments), one left; then the address. */
    memcpy(ip + 40, "\x06\x02\x04\x01\0\0\0\0", 8);
    frame_random_fill(ip + 48, 16);
    vnet.csum_start = GUINT16_TO_LE(l4);
    field = frame + l4 + 16;
    {
        uint16_t sum = l4_model_add(l4_model_sum(ip + 8, 16),
                                    l4_model_sum(ip + 48, 16));

        sum = l4_model_add(sum, BED_TCP);
        sum = l4_model_add(sum, bytes - l4);
        field[0] = sum >> 8;
        field[1] = sum;
    }
    sent = sent_new(frame, bytes, &vnet);
    g_assert_true(offload_check(&sent->f, OFFLOAD_ALL));
    n = offload_convert(o, &sent->f, 0, &out);
    g_assert_cmpuint(n, ==, 5);
    for (unsigned i = 0; i < n; i++) {
        size_t got_bytes = l4_model_flatten(out[i], sent_bytes);

        /* Arrived: the last address is the destination. */
        memcpy(sent_bytes + offload_spec_l3(&s) + 24, ip + 48, 16);
        assert_none(l4_model_verify(sent_bytes, got_bytes));
    }
    offload_free(o);
}

/* -- Limits ---------------------------------------------------------------- */

static void test_most_segments(void)
{
    struct virtio_net_hdr vnet;
    Offload *o = offload_new();
    const Frame *const *out;

    for (unsigned extra = 0; extra < 2; extra++) {
        OffloadSpec s = tcp4;
        g_autoptr(Sent) sent = NULL;
        size_t bytes;

        s.gso_size = 7;
        s.payload_bytes = 7 * OFFLOAD_MAX_SEGMENTS + extra;
        bytes = offload_make(&s, sent_bytes, &vnet);
        sent = sent_new(sent_bytes, bytes, &vnet);
        g_assert_true(offload_check(&sent->f, OFFLOAD_ALL));
        g_assert_cmpuint(offload_convert(o, &sent->f, OFFLOAD_CSUM, &out), ==,
                         extra ? 0 : OFFLOAD_MAX_SEGMENTS);
        if (!extra) {
            check_out(sent, sent_bytes, bytes, out, OFFLOAD_MAX_SEGMENTS);
        }
    }
    offload_free(o);
}

/*
 * Longer than IP can be, in buffers that are longer still: only its checksum is
 * asked for.
 */
static void test_longest(void)
{
    const size_t most = FRAME_MAX_BYTES + FRAME_HEAD_ROOM;
    g_autofree uint8_t *frame = g_malloc0(most + 100);
    struct virtio_net_hdr vnet;
    OffloadSpec s = tcp4;
    Offload *o = offload_new();
    const Frame *const *out;

    s.gso_size = 0;
    offload_make(&s, frame, &vnet);
    for (unsigned extra = 0; extra < 2; extra++) {
        g_autoptr(Sent) sent = sent_new(frame, most + 100, &vnet);

        sent->f.bytes = most + extra;
        g_assert_true(offload_check(&sent->f, OFFLOAD_CSUM));
        g_assert_cmpuint(offload_convert(o, &sent->f, 0, &out), ==, !extra);
        if (!extra) {
            assert_none(l4_model_check(frame, most, &vnet, out, 1, true));
        }
    }
    offload_free(o);
}

/* -- A guest that writes to what it has sent ------------------------------- */

#define HOSTILE_BYTES 24000
#define HOSTILE_CONVERSIONS 300
#define HOSTILE_WRITES 3000

typedef struct Guest {
    int fd;
    bool stop;                  /* atomic */
    unsigned writes;            /* atomic */
} Guest;

static void *guest_writes(void *opaque)
{
    Guest *g = opaque;
    uint8_t bytes[400];

    for (unsigned i = 0; !__atomic_load_n(&g->stop, __ATOMIC_ACQUIRE); i++) {
        memset(bytes, i, sizeof(bytes));
        g_assert_cmpint(pwrite(g->fd, bytes, sizeof(bytes),
                               i * 397u % (HOSTILE_BYTES - sizeof(bytes))), ==,
                        sizeof(bytes));
        __atomic_add_fetch(&g->writes, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

/* What came out agrees with itself, and stays. */
static void check_hostile(Offload *o, const Frame *f, const uint8_t *frame,
                          size_t bytes, uint8_t *guest)
{
    static uint8_t got[2 * HOSTILE_BYTES], again[HOSTILE_BYTES];
    const Frame *const *out;
    unsigned n = offload_convert(o, f, 0, &out);
    uint8_t *at = got;

    assert_none(l4_model_check(frame, bytes, &f->vnet, out, n, false));
    for (unsigned i = 0; i < n; i++) {
        g_assert_cmpuint(out[i]->bytes, <=, got + sizeof(got) - at);
        assert_none(l4_model_verify(at, l4_model_flatten(out[i], at)));
        at += out[i]->bytes;
    }
    memset(guest, guest[bytes / 2] + 1, bytes);
    at = got;
    for (unsigned i = 0; i < n; i++) {
        g_assert_cmpmem(at, out[i]->bytes, again,
                        l4_model_flatten(out[i], again));
        at += out[i]->bytes;
    }
}

static void test_hostile(const void *opaque)
{
    OffloadSpec s = tcp4;
    Guest g = { .fd = memfd_create("guest", MFD_CLOEXEC) };
    struct virtio_net_hdr vnet;
    Offload *o = offload_new();
    size_t bytes;
    uint8_t *map;
    GThread *thread;
    VringSegment segment;
    Frame f = { .rest = &segment, .rest_offset = FRAME_HEAD_BYTES };

    s.gso_size = GPOINTER_TO_UINT(opaque);
    s.payload_bytes = HOSTILE_BYTES - offload_spec_payload(&s);
    bytes = offload_make(&s, sent_bytes, &vnet);
    g_assert_cmpuint(bytes, ==, HOSTILE_BYTES);
    g_assert_cmpint(ftruncate(g.fd, bytes), ==, 0);
    map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, g.fd, 0);
    g_assert_true(map != MAP_FAILED);
    segment = (VringSegment) { .data = map, .bytes = bytes };
    f.bytes = bytes;
    f.head_bytes = FRAME_HEAD_BYTES;
    f.vnet = vnet;
    memcpy(f.head, sent_bytes, FRAME_HEAD_BYTES);
    g_assert_true(offload_check(&f, OFFLOAD_ALL));

    thread = g_thread_new("guest", guest_writes, &g);
    for (unsigned i = 0; i < HOSTILE_CONVERSIONS ||
         __atomic_load_n(&g.writes, __ATOMIC_ACQUIRE) < HOSTILE_WRITES; i++) {
        check_hostile(o, &f, sent_bytes, bytes, map);
    }
    __atomic_store_n(&g.stop, true, __ATOMIC_RELEASE);
    g_thread_join(thread);
    munmap(map, bytes);
    close(g.fd);
    offload_free(o);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vus-offload/features", test_features);
    g_test_add_func("/vus-offload/csum", test_csum);
    g_test_add_func("/vus-offload/any", test_any);
    g_test_add_func("/vus-offload/known", test_known);
    g_test_add_data_func("/vus-offload/zero/completed", GUINT_TO_POINTER(0),
                         test_zero);
    g_test_add_data_func("/vus-offload/zero/cut", GUINT_TO_POINTER(1000),
                         test_zero);
    g_test_add_func("/vus-offload/inner", test_inner);
    g_test_add_func("/vus-offload/routed", test_routed);
    g_test_add_func("/vus-offload/most-segments", test_most_segments);
    g_test_add_func("/vus-offload/longest", test_longest);
    g_test_add_data_func("/vus-offload/hostile/completed", GUINT_TO_POINTER(0),
                         test_hostile);
    g_test_add_data_func("/vus-offload/hostile/cut", GUINT_TO_POINTER(1000),
                         test_hostile);
    return g_test_run();
}
