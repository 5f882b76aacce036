/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tags put in and taken out, of frames that are plain and of others.
 *
 * Threads: single.
 */
#include "frame-maker.h"
#include "l4-model.h"
#include "offload.h"
#include "offload-bed.h"
#include "vlan.h"

#define ROUNDS 3000
#define ROUNDS_SLOW 100000

static uint8_t bytes_in[BED_MAX_BYTES], bytes_out[L4_MODEL_MAX_BYTES];

static const struct virtio_net_hdr plain;

/* -- Read ------------------------------------------------------------------ */

/* Shorter than a tag, S-tag, and what looks like a tag too far behind. */
static void test_read(void)
{
    Frame f = { .bytes = 18, .head_bytes = 18 };
    uint16_t tci = 7;

    memset(f.head, 0x81, sizeof(f.head));
    memcpy(f.head + 12, "\x81\0\xab\xcd\x81\0", 6);
    g_assert_true(vlan_tag(&f, &tci));
    g_assert_cmphex(tci, ==, 0xabcd);
    tci = 7;
    f.bytes = f.head_bytes = 17;
    g_assert_false(vlan_tag(&f, &tci));
    f.bytes = f.head_bytes = 18;
    memcpy(f.head + 12, "\x88\xa8", 2);
    g_assert_false(vlan_tag(&f, &tci));
    memcpy(f.head + 12, "\x81\x01", 2);
    g_assert_false(vlan_tag(&f, &tci));
    g_assert_cmphex(tci, ==, 7);
}

/* -- Written --------------------------------------------------------------- */

static Sent *plain_of(size_t bytes)
{
    frame_random_fill(bytes_in, bytes);
    return sent_new(bytes_in, bytes, &plain);
}

/* The frame with a tag in it, and without again, of every short length. */
static void test_plain(void)
{
    for (size_t bytes = FRAME_MIN_BYTES; bytes < 3 * FRAME_HEAD_BYTES;
         bytes++) {
        g_autoptr(Sent) sent = plain_of(bytes);
        uint16_t tci = g_test_rand_int(), got = 0;
        uint8_t tag[] = { 0x81, 0x00, tci >> 8, tci & 0xff };
        Frame pushed, popped;

        vlan_push(&pushed, &sent->f, tci);
        g_assert_true(vlan_tag(&pushed, &got));
        g_assert_cmphex(got, ==, tci);
        g_assert_cmpuint(l4_model_flatten(&pushed, bytes_out), ==, bytes + 4);
        g_assert_cmpmem(bytes_out, 12, bytes_in, 12);
        g_assert_cmpmem(bytes_out + 12, 4, tag, 4);
        g_assert_cmpmem(bytes_out + 16, bytes - 12, bytes_in + 12, bytes - 12);
        g_assert_cmpmem(&pushed.vnet, sizeof(plain), &plain, sizeof(plain));

        vlan_pop(&popped, &pushed);
        g_assert_cmpmem(bytes_out, l4_model_flatten(&popped, bytes_out),
                        bytes_in, bytes);
        g_assert_cmpmem(&popped.vnet, sizeof(plain), &plain, sizeof(plain));
    }
}

/* A head that lacks four bytes of a whole one, as it begins with a tag. */
static void test_pop(void)
{
    for (size_t bytes = 18; bytes < 3 * FRAME_HEAD_BYTES; bytes++) {
        g_autoptr(Sent) sent = plain_of(bytes);
        Frame popped;

        vlan_pop(&popped, &sent->f);
        g_assert_cmpuint(popped.head_bytes, ==,
                         MIN(bytes, FRAME_HEAD_BYTES) - 4);
        g_assert_cmpuint(l4_model_flatten(&popped, bytes_out), ==, bytes - 4);
        g_assert_cmpmem(bytes_out, 12, bytes_in, 12);
        g_assert_cmpmem(bytes_out + 12, bytes - 16, bytes_in + 16, bytes - 16);
    }
}

/* -- With offloads --------------------------------------------------------- */

static void check_tagged(const Frame *tagged, const Frame *f, uint16_t tci)
{
    static uint8_t a[L4_MODEL_MAX_BYTES], b[L4_MODEL_MAX_BYTES];
    Frame pushed;

    vlan_push(&pushed, f, tci);
    g_assert_cmpmem(a, l4_model_flatten(tagged, a), b,
                    l4_model_flatten(&pushed, b));
    g_assert_cmpstr(l4_model_verify(a, tagged->bytes), ==, NULL);
}

/* To put a tag in and to convert is the same in either order. */
static bool try_offload(Offload *before, Offload *after)
{
    const Frame *const *untagged, *const *tagged;
    uint16_t tci = g_test_rand_int();
    struct virtio_net_hdr vnet;
    g_autoptr(Sent) sent = NULL;
    unsigned n;
    OffloadSpec s;
    Frame pushed, popped;

    offload_random_spec(&s);
    sent = sent_new(bytes_in, offload_make(&s, bytes_in, &vnet), &vnet);
    g_assert_true(offload_check(&sent->f, OFFLOAD_ALL));
    vlan_push(&pushed, &sent->f, tci);
    g_assert_cmphex(offload_needs(&pushed), ==, offload_expect_needs(&s));
    g_assert_cmpuint(GUINT16_FROM_LE(pushed.vnet.csum_start), ==,
                     offload_spec_l4(&s) + 4);
    g_assert_cmpuint(GUINT16_FROM_LE(pushed.vnet.hdr_len), ==,
                     s.gso_size ? offload_spec_payload(&s) + 4 : 0);

    vlan_pop(&popped, &pushed);
    g_assert_cmpmem(&popped.vnet, sizeof(vnet), &sent->f.vnet, sizeof(vnet));

    n = offload_convert(before, &sent->f, 0, &untagged);
    g_assert_cmpuint(offload_convert(after, &pushed, 0, &tagged), ==, n);
    for (unsigned i = 0; i < n; i++) {
        check_tagged(tagged[i], untagged[i], tci);
    }
    return n > 0;
}

static void test_offload(void)
{
    unsigned rounds = g_test_slow() ? ROUNDS_SLOW : ROUNDS, converted = 0;
    Offload *before = offload_new(), *after = offload_new();

    for (unsigned i = 0; i < rounds; i++) {
        converted += try_offload(before, after);
    }
    g_assert_cmpuint(converted, >, rounds / 2);
    offload_free(before);
    offload_free(after);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vus-vlan/read", test_read);
    g_test_add_func("/vus-vlan/plain", test_plain);
    g_test_add_func("/vus-vlan/pop", test_pop);
    g_test_add_func("/vus-vlan/offload", test_offload);
    return g_test_run();
}
