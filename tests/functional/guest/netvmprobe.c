/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netvmprobe: looks at a guest's netvm-shm device through libnetvm, and sends
 * through it.
 *
 *     netvmprobe [--at WHERE] WORD...
 *
 * attaches, does what the words say, one after the other, with a line of
 * output each, and detaches:
 *
 *   info          who we are, and what is mapped
 *   speed         memory copied out of the region, MB/s
 *   wait=MS       sleep until a packet comes
 *   reattach=MS   become a member again
 *   hold          until killed
 *   echo=NAME     all that comes goes to member NAME, until killed
 *   next          all that comes goes to the next hop of its chain
 *   send=NAME,N   N packets to member NAME, which is to send them back: are
 *                 they the same, in order, in the same buffers?
 *
 * Threads: none.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "netvm.h"

#define ATTACH_MS 20000
#define SPEED_BYTES 65536       /* copied at once */
#define SPEED_NS 500000000
#define BURST 32
#define PACKET_BYTES 200
#define SEND_MS 30000           /* all are to be back by then */
#define SLEEP_MS 1000

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void info(const struct netvm *nv)
{
    const struct netvm_region *r = netvm_region(nv);

    printf("info member=%u magic=%#" PRIx32 " region=%#" PRIx64
           " segments=%" PRIu32 "\n", netvm_self(nv), r->magic, r->id,
           r->segments);
}

static void speed(const struct netvm *nv)
{
    const uint8_t *from = (const uint8_t *)netvm_region(nv);
    static uint8_t to[SPEED_BYTES];
    uint64_t begin_ns = now_ns(), bytes = 0, took_ns;

    do {
        memcpy(to, from, sizeof(to));
        /* The copy is to be made, though nobody reads it. */
        __asm__ volatile("" : : "r"(to) : "memory");
        bytes += sizeof(to);
        took_ns = now_ns() - begin_ns;
    } while (took_ns < SPEED_NS);
    printf("speed mb_per_s=%.1f\n", bytes * 1e3 / took_ns);
}

static void wait_ms(struct netvm *nv, int ms)
{
    uint64_t begin_ns = now_ns();
    int status = netvm_wait(nv, ms);

    printf("wait status=%d ms=%.1f\n", status, (now_ns() - begin_ns) / 1e6);
}

/* -- Packets --------------------------------------------------------------- */

static int fail(const char *what, int status)
{
    fprintf(stderr, "netvmprobe: %s: %s\n", what, strerror(-status));
    return 1;
}

/* Wait until member @name is there. */
static int find(struct netvm *nv, const char *name)
{
    uint64_t end_ns = now_ns() + SEND_MS * UINT64_C(1000000);
    int member;

    while ((member = netvm_find_member(nv, name)) < 0 && now_ns() < end_ns) {
        usleep(10000);
    }
    return member;
}

/* All of them; they wait for room. */
static int send_all(struct netvm *nv, const struct netvm_desc *pkt, int n)
{
    int sent = 0;

    while (sent < n) {
        int more = netvm_tx_burst(nv, pkt + sent, n - sent);

        if (more < 0) {
            return more;
        }
        sent += more;
    }
    return 0;
}

/* To @member with @action, until something fails. */
static int pass_on(struct netvm *nv, uint8_t action, int member)
{
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct netvm_desc pkt[BURST];
        int n = netvm_rx_burst(nv, pkt, BURST);

        if (n == 0) {
            n = netvm_wait(nv, SLEEP_MS);
            if (n < 0) {
                return fail("wait", n);
            }
            continue;
        }
        for (int i = 0; i < n; i++) {
            pkt[i].action = action;
            if (member > 0) {
                pkt[i].port = member;
            }
        }
        if (n > 0) {
            n = send_all(nv, pkt, n);
        }
        if (n < 0) {
            return fail("pass on", n);
        }
    }
}

/* A packet that says which one it is. */
static void fill(uint8_t *data, uint32_t number)
{
    for (unsigned i = 0; i < PACKET_BYTES; i++) {
        data[i] = number + i;
    }
    memcpy(data, &number, sizeof(number));
}

static int check(struct netvm *nv, const struct netvm_desc *pkt,
                 uint32_t number, uint32_t buffer)
{
    uint8_t expected[PACKET_BYTES];

    fill(expected, number);
    if (pkt->length != PACKET_BYTES ||
        memcmp(netvm_data(nv, pkt), expected, PACKET_BYTES) != 0) {
        fprintf(stderr, "netvmprobe: packet %" PRIu32 " came back as another "
                "one\n", number);
        return 1;
    }
    if (pkt->buffer != buffer) {
        fprintf(stderr, "netvmprobe: packet %" PRIu32 " was copied\n", number);
        return 1;
    }
    return 0;
}

static int send_to(struct netvm *nv, const char *words)
{
    char name[NETVM_NAME_BYTES] = { 0 };
    uint32_t sent_in[BURST], sent = 0, back = 0, n = 0;
    uint64_t begin_ns = now_ns();
    int member;

    if (sscanf(words, "%31[^,],%" SCNu32, name, &n) != 2) {
        fprintf(stderr, "netvmprobe: send=%s: say send=NAME,N\n", words);
        return 2;
    }
    member = find(nv, name);
    if (member < 0) {
        return fail(name, member);
    }
    while (back < n) {
        struct netvm_desc pkt[BURST];
        int got = 0;

        /* As many at once as we remember. */
        if (sent < n && sent - back < BURST) {
            got = netvm_alloc(nv, pkt, n - sent < BURST - (sent - back)
                                       ? n - sent : BURST - (sent - back));
        }
        for (int i = 0; i < got; i++) {
            fill(netvm_data(nv, &pkt[i]), sent);
            pkt[i].length = PACKET_BYTES;
            pkt[i].action = NETVM_TO_MEMBER;
            pkt[i].port = member;
            sent_in[sent++ % BURST] = pkt[i].buffer;
        }
        if (got > 0) {
            got = send_all(nv, pkt, got);
        }
        if (got >= 0) {
            got = netvm_rx_burst(nv, pkt, BURST);
        }
        if (got < 0) {
            return fail("send", got);
        }
        for (int i = 0; i < got; i++, back++) {
            if (check(nv, &pkt[i], back, sent_in[back % BURST])) {
                return 1;
            }
        }
        netvm_free(nv, pkt, got);
        if (got == 0 && netvm_wait(nv, SLEEP_MS) < 0) {
            return fail("wait", -EPIPE);
        }
        if (now_ns() - begin_ns > SEND_MS * UINT64_C(1000000)) {
            fprintf(stderr, "netvmprobe: %" PRIu32 " of %" PRIu32 " came "
                    "back\n", back, n);
            return 1;
        }
    }
    printf("sent pkts=%" PRIu32 " direct=%" PRIu64 " pps=%.0f\n", n,
           netvm_stats(nv, netvm_self(nv))->direct_pkts,
           n * 1e9 / (now_ns() - begin_ns));
    return 0;
}

/* -- Words ----------------------------------------------------------------- */

static int obey(struct netvm *nv, const char *word)
{
    if (strcmp(word, "info") == 0) {
        info(nv);
    } else if (strcmp(word, "speed") == 0) {
        speed(nv);
    } else if (strncmp(word, "wait=", 5) == 0) {
        wait_ms(nv, atoi(word + 5));
    } else if (strncmp(word, "reattach=", 9) == 0) {
        printf("reattach status=%d\n", netvm_reattach(nv, atoi(word + 9)));
    } else if (strcmp(word, "hold") == 0) {
        puts("hold");
        fflush(stdout);
        for (;;) {
            pause();
        }
    } else if (strncmp(word, "echo=", 5) == 0) {
        int member = find(nv, word + 5);

        return member < 0 ? fail(word, member)
                          : pass_on(nv, NETVM_TO_MEMBER, member);
    } else if (strcmp(word, "next") == 0) {
        return pass_on(nv, NETVM_NEXT, 0);
    } else if (strncmp(word, "send=", 5) == 0) {
        return send_to(nv, word + 5);
    } else {
        fprintf(stderr, "netvmprobe: %s: say info, speed, wait=MS, "
                "reattach=MS, hold, echo=NAME, next or send=NAME,N\n", word);
        return 2;
    }
    fflush(stdout);
    return 0;
}

int main(int argc, char **argv)
{
    const char *where = NULL;
    char error[NETVM_ERROR_BYTES];
    struct netvm *nv;
    int i = 1, status = 0;

    if (argc > 2 && strcmp(argv[1], "--at") == 0) {
        where = argv[2];
        i = 3;
    }
    nv = netvm_attach(where, ATTACH_MS, error);
    if (!nv) {
        fprintf(stderr, "netvmprobe: %s\n", error);
        return 1;
    }
    for (; i < argc && status == 0; i++) {
        status = obey(nv, argv[i]);
    }
    netvm_detach(nv);
    return status;
}
