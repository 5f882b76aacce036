/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a member of a domain can do to the daemon.  An input is one of two:
 *
 * - what it says at the socket, in pieces, with files, while answers wait: only
 *   whole messages of known types come in, and no file stays open;
 * - what it writes into the region, any word of it, between bursts: whatever is
 *   taken lies within a buffer, and no buffer is in the pool twice.
 *
 * Threads: none, but for the one that closes files.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "file-closer.h"
#include "fuzz-input.h"
#include "netvm/domain-chain.h"
#include "netvm/netvm-conn.h"
#include "netvm/netvm-frames.h"

#define STEPS 256
/* What is not closed is among the first. */
#define FILES 64
#define MEMBERS 3
#define SEGMENTS 3

/* -- The socket ------------------------------------------------------------ */

static void say(FuzzInput *input, int fd)
{
    uint8_t data[512];
    unsigned bytes = fuzz_take(input, 1), files = fuzz_take(input, 1) & 3;
    struct iovec iov = { .iov_base = data, .iov_len = bytes };
    union {
        char bytes[CMSG_SPACE(3 * sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    for (unsigned i = 0; i < bytes; i++) {
        data[i] = fuzz_take(input, 1);
    }
    if (files > 0) {
        struct cmsghdr *c;

        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(files * sizeof(int));
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(files * sizeof(int));
        for (unsigned i = 0; i < files; i++) {
            memcpy(CMSG_DATA(c) + i * sizeof(fd), &fd, sizeof(fd));
        }
    }
    (void)!sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* False: nothing more can come. */
static bool hear(NetvmConn *c)
{
    static const uint32_t bytes[] = {
        [NETVM_MSG_HELLO] = sizeof(struct netvm_hello),
        [NETVM_MSG_RESET] = 0,
        [NETVM_MSG_UNFIT] = sizeof(struct netvm_text),
    };
    NetvmIncoming in;

    for (;;) {
        GError *error = NULL;
        NetvmReceived got = netvm_conn_receive(c, &in, &error);

        assert((got == NETVM_BROKEN) == (error != NULL));
        g_clear_error(&error);
        if (got != NETVM_RECEIVED) {
            return got == NETVM_RECEIVED_PART;
        }
        assert(in.header.type >= NETVM_MSG_HELLO &&
               in.header.type <= NETVM_MSG_UNFIT);
        assert(in.header.bytes == bytes[in.header.type]);
    }
}

static unsigned open_files(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < FILES; fd++) {
        n += fcntl(fd, F_GETFD) >= 0;
    }
    return n;
}

static void talk(FuzzInput *input)
{
    unsigned before = open_files();
    int pair[2], status;
    NetvmConn *c;
    bool open = true;

    status = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                        pair);
    assert(status == 0);
    c = netvm_conn_new(pair[0]);
    for (unsigned i = 0; i < STEPS && input->left_bytes && open; i++) {
        unsigned what = fuzz_take(input, 1);
        struct netvm_text text = { "" };
        char answers[256];

        switch (what % 4) {
        case 0:
            open = netvm_conn_send(c, NETVM_MSG_REFUSED, &text, sizeof(text),
                                   what & 4 ? pair[1] : -1);
            assert(open || !hear(c));
            break;
        case 1:
            (void)!read(pair[1], answers, sizeof(answers));
            open = netvm_conn_flush(c);
            assert(open || !hear(c));
            break;
        default:
            say(input, pair[1]);
            open = hear(c);
        }
    }
    close(pair[1]);
    netvm_conn_free(c);
    while (file_closer_waiting() > 0) {
        sched_yield();
    }
    assert(open_files() == before);
}

/* -- The region ------------------------------------------------------------ */

typedef struct World {
    Domain *d;
    DomainMember *member[MEMBERS];      /* the first one is hostile */
    unsigned service[MEMBERS];
    DomainChain chain;
    DomainTaken taken;
    NetvmFrames frames;
    IngressBurst burst;
    PortCounters counters;
    Port port;
} World;

static void ignore(const char *domain, GLogLevelFlags level, const char *text,
                   gpointer opaque)
{
}

static void join(World *w, unsigned i)
{
    w->member[i] = domain_join(w->d, i, "m", NULL);
    if (!w->member[i]) {
        return;                 /* others have not seen who left */
    }
    domain_attach(w->d, w->member[i]);
    domain_add_instance(w->d, w->service[i], w->member[i]);
    domain_connect(w->d, w->member[i]);
}

static void leave(World *w, unsigned i)
{
    if (w->member[i]) {
        domain_remove_instance(w->d, w->service[i], w->member[i]);
        domain_leave(w->d, w->member[i]);
        w->member[i] = NULL;
    }
}

static void begin(World *w)
{
    static const char *const name[MEMBERS] = { "a", "b", "c" };
    DomainSettings s;
    bool made;

    memset(w, 0, sizeof(*w));
    domain_settings_init(&s);
    s.buffers = s.ring_descs = 64;
    s.buffer_bytes = 8192;
    s.members = MEMBERS + 1;
    s.pages = DOMAIN_PAGES_ORDINARY;
    w->d = domain_new("d", &s, NULL);
    assert(w->d);
    w->frames.domain = w->d;
    for (unsigned i = 0; i < MEMBERS; i++) {
        w->service[i] = domain_name_service(w->d, name[i], NULL);
        join(w, i);
    }
    w->chain.number = 1;
    w->chain.wake_fd = -1;
    made = domain_set_chain(w->d, &w->chain, "a,b+c", NULL);
    assert(made);
}

static void check_pool(const Domain *d)
{
    uint64_t bits = 0;

    assert(d->pool_n <= d->buffers);
    for (uint32_t i = 0; i < d->pool_n; i++) {
        uint32_t buffer = d->pool[i], n = buffer & NETVM_INDEX_MASK;

        assert(netvm_map_has(&d->region->map, buffer));
        assert(d->in_pool[buffer >> NETVM_SEGMENT_SHIFT][n / 64] >> n % 64 & 1);
    }
    /* As many as there are entries: none is there twice. */
    for (unsigned s = 0; s < d->segments_used; s++) {
        for (uint32_t i = 0; i < (d->region->map.segment[s].n + 63) / 64; i++) {
            bits += __builtin_popcountll(d->in_pool[s][i]);
        }
    }
    assert(bits == d->pool_n);
}

static void end(World *w)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        leave(w, i);
    }
    domain_remove_chain(w->d, &w->chain);
    check_pool(w->d);
    assert(w->d->members == 0);
    domain_free(w->d);
}

/* -- What it writes -------------------------------------------------------- */

/* In front of the buffers of a segment: tables, rings, words. */
static void write_word(World *w, FuzzInput *input)
{
    const DomainRegion *r = w->d->region;
    unsigned segment = fuzz_take(input, 1) % r->segments;
    uint8_t *host = r->segment[segment].host;
    uint64_t words = (r->map.segment[segment].buffers - host) / 8;

    netvm_write((uint64_t *)host + fuzz_take(input, 3) % words,
                fuzz_take(input, 8));
}

/* Where the word of @buffer is, of a segment that is not used yet, too. */
static uint64_t *find_word(const DomainRegion *r, uint32_t buffer)
{
    unsigned segment = buffer >> NETVM_SEGMENT_SHIFT;
    uint32_t n = buffer & NETVM_INDEX_MASK;

    return segment < r->segments && n < r->segment[segment].buffers
           ? r->map.segment[segment].owners + n : NULL;
}

/* At the place of the next descriptor, or somewhat behind; with a word, if
 * there is such a buffer. */
static void write_desc(World *w, FuzzInput *input)
{
    struct netvm_receiver *tx = &w->member[0]->tx;
    unsigned how = fuzz_take(input, 1);
    uint64_t position = tx->head + how % 64;
    struct netvm_desc desc;
    uint64_t *word;

    desc.word[0] = fuzz_take(input, 8);
    desc.word[1] = fuzz_take(input, 8);
    tx->ring->desc[position & (tx->descs - 1)] = desc;
    word = how & 64 ? find_word(w->d->region, desc.buffer) : NULL;
    if (word) {
        netvm_write(word, netvm_owner_word(
                              NETVM_RING_TX(w->member[0]->number), position));
    }
}

static void write_position(World *w, FuzzInput *input)
{
    DomainMember *m = w->member[0];
    unsigned which = fuzz_take(input, 1);
    uint64_t add = which & 4 ? fuzz_take(input, 8) : fuzz_take(input, 1);

    switch (which % 4) {
    case 0:
        netvm_write(&m->rx.ring->head, m->rx.tail - add);
        break;
    case 1:
        netvm_write(&m->fill.ring->head, m->fill.tail - add);
        break;
    default:
        netvm_write(&m->tx.ring->tail, m->tx.head + add);
    }
}

/* -- What the daemon does -------------------------------------------------- */

/* Into the domain again: to a hop, or to a member that may not be there. */
static DomainGive give(void *opaque, DomainGiven *given,
                       struct netvm_desc *desc, bool copied)
{
    World *w = opaque;

    return desc->hash & 1 ? domain_give_hop(w->d, given, 1, 0, desc)
                          : domain_give(w->d, given, desc->hash / 2, desc);
}

static void serve_frames(World *w)
{
    const Frame *frame[INGRESS_BURST];
    unsigned n;

    for (unsigned i = 0; i < w->frames.n; i++) {
        const struct netvm_desc *desc = &w->frames.desc[i];

        assert(netvm_map_has(&w->d->region->map, desc->buffer));
        assert(desc->offset + desc->length <=
               (int)w->d->region->layout.buffer_bytes);
        assert(desc->length >= FRAME_MIN_BYTES);
    }
    w->burst.directed = 0;
    n = netvm_frames_read(&w->frames, &w->port, &w->burst, &w->counters);
    assert(n <= w->frames.n);
    for (unsigned i = 0; i < n; i++) {
        frame[i] = &w->burst.frame[i];
        w->frames.buffer[i].shared = frame[i]->head[1] & 1;
    }
    netvm_frames_give(w->d, frame, n, &w->counters, give, w);
    netvm_frames_done(&w->frames);
}

/* False: it is cut off. */
static bool serve(World *w, unsigned i)
{
    if (!domain_take(w->d, w->member[i], DOMAIN_BURST, &w->taken,
                     w->frames.desc)) {
        return false;
    }
    assert(w->taken.n <= DOMAIN_BURST && w->taken.out_n <= w->taken.n);
    w->frames.n = w->taken.out_n;
    serve_frames(w);
    return true;
}

/* What has come to the end of the chain. */
static void serve_chain(World *w)
{
    DomainChain *c = &w->chain;

    assert(c->done_tail - c->done_head <= CHAIN_DONE);
    for (w->frames.n = 0;
         w->frames.n < DOMAIN_BURST && c->done_head != c->done_tail;
         w->frames.n++) {
        w->frames.desc[w->frames.n] = c->done[c->done_head++ % CHAIN_DONE];
        w->frames.desc[w->frames.n].action = NETVM_SWITCH;
    }
    serve_frames(w);
}

static void step(World *w, FuzzInput *input)
{
    uint32_t owned[NETVM_MEMBERS_MAX + 1];
    unsigned i = 0;

    switch (fuzz_take(input, 1) % 9) {
    case 0:
        write_word(w, input);
        break;
    case 1:
    case 2:
        write_desc(w, input);
        break;
    case 3:
        write_position(w, input);
        break;
    case 4:
        for (i = 0; i < MEMBERS; i++) {
            if (w->member[i] && !serve(w, i)) {
                leave(w, i);
            }
        }
        serve_chain(w);
        break;
    case 5:
        i = fuzz_take(input, 1) % MEMBERS;
        leave(w, i);
        check_pool(w->d);
        join(w, i);
        break;
    case 6:
        if (w->d->region->segments < SEGMENTS) {
            domain_grow(w->d, 64, DOMAIN_NODE_ANY, NULL);
        }
        break;
    case 7:
        /* From now on others wait for it, if that is early. */
        i = fuzz_take(input, 1) % MEMBERS;
        if (w->member[i]) {
            netvm_write(&w->member[i]->shown->epoch_seen, fuzz_take(input, 1));
        }
        break;
    default:
        domain_count_owned(w->d, owned);
    }
    if (!w->member[0]) {
        join(w, 0);
    }
}

static void write_and_serve(FuzzInput *input)
{
    static World w;

    begin(&w);
    for (unsigned i = 0; i < STEPS && input->left_bytes && w.member[0]; i++) {
        step(&w, input);
    }
    end(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput input = { data, size };

    g_log_set_default_handler(ignore, NULL);
    if (fuzz_take(&input, 1) & 1) {
        write_and_serve(&input);
    } else {
        talk(&input);
    }
    return 0;
}
