/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "../deliver.h"
#include "netvm-frames.h"

/* -- Out of the domain ----------------------------------------------------- */

/* May it name that port? */
static bool may_name(const Port *p, unsigned id)
{
    return id < SWITCH_MAX_PORTS && p->outs[id / 64] >> id % 64 & 1;
}

unsigned netvm_frames_read(NetvmFrames *fs, const Port *p, IngressBurst *b,
                           PortCounters *counters)
{
    unsigned n = 0;

    b->ring.n = fs->n;
    for (unsigned i = 0; i < fs->n; i++) {
        const struct netvm_desc *desc = &fs->desc[i];
        Frame *f = &b->frame[n];

        fs->buffer[i] = (FrameBuffer) { .domain = fs->domain, .desc = desc };
        if (desc->action == NETVM_OUT && !may_name(p, desc->port)) {
            counter_add(&counters->drops[DROP_NOWHERE], 1);
            continue;
        }
        b->ring.segment[i] = (VringSegment) {
            netvm_map_buffer(&fs->domain->region->map, desc->buffer) +
            desc->offset, desc->length
        };
        b->ring.chain[i] = (VringChain) {
            .bytes = desc->length, .first = i, .segments = 1
        };
        /* Those that are too short were not given out. */
        frame_read(f, &b->ring, &b->ring.chain[i], 0);
        f->vnet = (struct virtio_net_hdr) { 0 };
        f->buffer = &fs->buffer[i];
        if (desc->action == NETVM_OUT) {
            b->directed |= UINT32_C(1) << n;
            b->out[n] = desc->port;
        }
        n++;
    }
    return n;
}

void netvm_frames_done(NetvmFrames *fs)
{
    uint64_t gone = 0;

    for (unsigned i = 0; i < fs->n; i++) {
        gone |= (uint64_t)fs->buffer[i].gone << i;
    }
    domain_done(fs->domain, fs->desc, fs->n, gone);
}

/* -- Into the domain ------------------------------------------------------- */

bool netvm_frame_moves(const Domain *d, const Frame *f,
                       struct netvm_desc *desc)
{
    if (!f->buffer || f->buffer->domain != d || f->buffer->shared) {
        return false;
    }
    *desc = *f->buffer->desc;
    return true;
}

static DomainGive give_frame(Domain *d, DomainGiven *given, const Frame *f,
                             NetvmGive give, void *opaque)
{
    struct netvm_desc desc = { .action = NETVM_SWITCH };
    bool copied = !netvm_frame_moves(d, f, &desc);
    DomainGive result;

    if (copied) {
        desc.hash = frame_hash(f);
        result = domain_copy(d, f, &desc);
        if (result != DOMAIN_GIVEN) {
            return result;
        }
    }
    desc.port = NETVM_NO_PORT;
    /* Of which chain it was is nobody's business any more. */
    desc.chain = desc.hop = 0;
    result = give(opaque, given, &desc, copied);
    if (!copied) {
        f->buffer->gone = result == DOMAIN_GIVEN;
    } else if (result != DOMAIN_GIVEN) {
        domain_pool_put(d, desc.buffer);
    }
    return result;
}

void netvm_frames_give(Domain *d, const Frame *const *frames, unsigned n,
                       PortCounters *counters, NetvmGive give, void *opaque)
{
    static const Drop reason[] = {
        [DOMAIN_NOT_THERE] = DROP_DOWN,
        [DOMAIN_NO_ROOM] = DROP_RX_FULL,
        [DOMAIN_NO_BUFFER] = DROP_RX_FULL,
        [DOMAIN_TOO_LONG] = DROP_RX_SHORT,
    };
    DomainGiven given;
    uint64_t bytes = 0;
    unsigned done = 0;

    domain_give_begin(&given);
    pthread_mutex_lock(&d->lock);
    for (unsigned i = 0; i < n; i++) {
        DomainGive result = give_frame(d, &given, frames[i], give, opaque);

        if (G_LIKELY(result == DOMAIN_GIVEN)) {
            bytes += frames[i]->bytes;
            done++;
        } else {
            counter_add(&counters->drops[reason[result]], 1);
        }
    }
    domain_give_end(d, &given);
    pthread_mutex_unlock(&d->lock);
    counter_add(&counters->egress_pkts, done);
    counter_add(&counters->egress_bytes, bytes);
}
