/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bursts of any frames through ports with any settings: eight ports that take
 * what they are given.
 *
 * No frame goes back where it came from, or is longer than frames can be; each
 * that came in went out, or is counted as dropped; what leaves begins with the
 * head that was decided on.
 *
 * Threads: none.
 */
#include <stdbool.h>

#include "datapath.h"
#include "fuzz-input.h"

#define PORTS 8
#define BURSTS 16
#define MAX_BYTES 256

static Datapath dp;
static Port port[PORTS];
static Forwarder *fw;
static const Port *in;
static uint8_t gathered[FRAME_MAX_BYTES + FRAME_HEAD_ROOM];
static uint8_t rest[INGRESS_BURST][MAX_BYTES];
static VringSegment segment[INGRESS_BURST];
static uint64_t given;

static void egress(Port *p, unsigned queue, const Frame *const *frames,
                   unsigned n, VringBurst *scratch, PortCounters *counters)
{
    assert(p != in && queue < p->egress_queues && n > 0 && n <= EGRESS_BURST);
    for (unsigned i = 0; i < n; i++) {
        const Frame *f = frames[i];

        assert(f->bytes >= FRAME_MIN_BYTES && f->bytes <= sizeof(gathered));
        assert(f->head_bytes <= f->bytes);
        frame_gather(f, gathered);
        assert(memcmp(gathered, f->head, f->head_bytes) == 0);
    }
    given += n;
}

static const PortOps ops = { .type = "fuzz", .egress = egress };

static void set_up(FuzzInput *input)
{
    for (unsigned i = 0; i < PORTS; i++) {
        PortSettings *s = &port[i].settings;
        unsigned kind = fuzz_take(input, 1), more = fuzz_take(input, 1);

        port_settings_clear(s);
        port_settings_init(s);
        port[i].id = i;
        port[i].ops = &ops;
        port[i].egress_queues = more % 3;
        port[i].offloads_allowed = more;
        port[i].offloads_accepted = more >> 2;
        port[i].peer = -1;
        port[i].only_peer = port[i].mirrors = false;
        port[i].shown_by_n = 0;
        s->max_macs = 4;
        s->vlan = kind & 1 ? 1 + more % 4 : -1;
        s->all_vlans = kind & 2;
        s->trunk[0] = more;
        s->native = kind & 4 ? more % 4 : 0;
        s->macs = kind & 8 ? 1 : 0;
        s->mac[0][0] = more & ~1;
        s->ips = kind & 16 ? 1 : 0;
        s->ip[0].is_v6 = more & 1;
        if (kind & 32 && more % PORTS != i) {
            port[i].peer = more % PORTS;
            port[i].only_peer = !s->macs && !s->ips && kind & 64;
        } else if (kind & 32) {
            port[i].mirrors = true;
        }
        __atomic_store_n(&dp.port[i], kind & 128 ? NULL : &port[i],
                         __ATOMIC_RELAXED);
    }
    for (unsigned i = 0; i < PORTS; i++) {
        for (unsigned k = 0; k < PORTS; k++) {
            if (k != i && port[k].mirrors &&
                port[i].shown_by_n < PORT_MAX_MIRRORS) {
                port[i].shown_by[port[i].shown_by_n++] = k;
            }
        }
    }
    datapath_new_generation(&dp);
}

static void take_frame(FuzzInput *input, unsigned i)
{
    Frame *f = &fw->burst.frame[i];
    size_t bytes = FRAME_MIN_BYTES + fuzz_take(input, 1);

    if (bytes > MAX_BYTES) {
        bytes = MAX_BYTES;
    }
    *f = (Frame) { .bytes = bytes, .head_bytes = MIN(bytes, FRAME_HEAD_BYTES) };
    if (fuzz_take(input, 1) & 1) {
        uint8_t *vnet = (uint8_t *)&f->vnet;

        for (unsigned k = 0; k < sizeof(f->vnet); k++) {
            vnet[k] = fuzz_take(input, 1);
        }
    }
    for (unsigned k = 0; k < bytes; k++) {
        rest[i][k] = fuzz_take(input, 1);
    }
    memcpy(f->head, rest[i], f->head_bytes);
    segment[i] = (VringSegment) { rest[i], bytes };
    f->rest = &segment[i];
    f->rest_offset = f->head_bytes;
}

static uint64_t dropped(void)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < PORTS; i++) {
        for (unsigned reason = 0; reason < DROP_REASONS; reason++) {
            sum += fw->counters[i].drops[reason];
        }
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput input = { data, size };

    if (!fw) {
        rcu_register_thread();
        dp.fdb = fdb_new(16, SWITCH_MAX_PORTS);
        dp.generation = dp.now_s = 1;
        dp.ports_end = PORTS;
        fw = forwarder_new(&dp);
    }
    set_up(&input);
    for (unsigned i = 0; i < BURSTS && input.left_bytes; i++) {
        uint64_t before = given + dropped();
        unsigned n = 1 + fuzz_take(&input, 1) % INGRESS_BURST;

        in = &port[fuzz_take(&input, 1) % PORTS];
        for (fw->burst.n = 0; fw->burst.n < n; fw->burst.n++) {
            take_frame(&input, fw->burst.n);
        }
        forward_burst(fw, in);
        assert(given + dropped() >= before + n);
        dp.now_s += n % 2;
    }
    rcu_thread_offline();
    fdb_forget(dp.fdb, -1, UINT32_MAX, true);
    rcu_thread_online();
    return 0;
}
