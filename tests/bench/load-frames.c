/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads: see load-frames.h. */
#include "load-frames.h"
#include "vhost-front.h"

#define HEADERS_STRIDE_BYTES 64
#define UDP_FROM 1024           /* the first flow */
#define UDP_TO 9                /* discard */

/* "Simple IMIX", 7:4:1, in an order in which any part of it is about the same.
 * The usual sizes of IPv4 packets are 40, 576 and 1500. */
static const uint32_t imix_bytes[LOAD_MAX_SIZES] = {
    64, 594, 64, 64, 594, 64, 1518, 64, 594, 64, 64, 594,
};

/* -- One frame ------------------------------------------------------------- */

static void put16(uint8_t *at, uint16_t value)
{
    at[0] = value >> 8;
    at[1] = value;
}

static uint16_t get16(const uint8_t *at)
{
    return at[0] << 8 | at[1];
}

static uint16_t ip_checksum(const uint8_t *header)
{
    uint32_t sum = 0;

    for (unsigned i = 0; i < 20; i += 2) {
        sum += get16(header + i);
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return ~sum;
}

static void put_mac(uint8_t *at, unsigned port, unsigned station)
{
    const uint8_t mac[] = { 0x52, 0x54, port, 0, station >> 8, station };

    memcpy(at, mac, sizeof(mac));
}

static void put_ip(uint8_t *at, unsigned port, unsigned station)
{
    const uint8_t ip[] = { 10, port, station >> 8, station };

    memcpy(at, ip, sizeof(ip));
}

static void put_headers(uint8_t *frame, uint32_t bytes, unsigned port,
                        unsigned station, unsigned flow)
{
    uint8_t *ip = frame + 14, *udp = ip + 20;

    memset(frame, 0, LOAD_HEADERS_BYTES);
    put_mac(frame, port ^ 1, station);
    put_mac(frame + 6, port, station);
    put16(frame + 12, 0x0800);
    ip[0] = 0x45;
    put16(ip + 2, bytes - 14);
    ip[8] = 64;                                 /* hops */
    ip[9] = 17;                                 /* UDP */
    put_ip(ip + 12, port, station);
    put_ip(ip + 16, port ^ 1, station);
    put16(ip + 10, ip_checksum(ip));
    put16(udp, UDP_FROM + flow);
    put16(udp + 2, UDP_TO);
    put16(udp + 4, bytes - 34);                 /* checksum 0: none */
}

bool load_frame_check(const uint8_t *frame, unsigned port)
{
    uint32_t bytes = get16(frame + 14 + 2) + 14;
    uint8_t headers[LOAD_HEADERS_BYTES];

    if (bytes < LOAD_MIN_FRAME_BYTES || bytes > FRONT_MAX_FRAME_BYTES) {
        return false;
    }
    put_headers(headers, bytes, port ^ 1, get16(frame + 4),
                get16(frame + 34) - UDP_FROM);
    if (memcmp(frame, headers, sizeof(headers)) != 0) {
        return false;
    }
    for (uint32_t i = LOAD_HEADERS_BYTES + 1; i < bytes; i++) {
        if (frame[i] != frame[LOAD_HEADERS_BYTES]) {
            return false;
        }
    }
    return true;
}

/* -- All of a port --------------------------------------------------------- */

bool load_frames_parse_bytes(LoadFramesConfig *cfg, const char *text,
                             GError **error)
{
    guint64 bytes;

    if (strcmp(text, "imix") == 0) {
        cfg->sizes = LOAD_MAX_SIZES;
        memcpy(cfg->bytes, imix_bytes, sizeof(imix_bytes));
        return true;
    }
    if (!g_ascii_string_to_unsigned(text, 10, LOAD_MIN_FRAME_BYTES,
                                    FRONT_MAX_FRAME_BYTES, &bytes, NULL)) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "--bytes %s: a number from %d to %d is expected, or imix",
                    text, LOAD_MIN_FRAME_BYTES, FRONT_MAX_FRAME_BYTES);
        return false;
    }
    cfg->sizes = 1;
    cfg->bytes[0] = bytes;
    return true;
}

LoadFrames *load_frames_new(const LoadFramesConfig *cfg, unsigned port)
{
    unsigned variants = MAX(cfg->flows, cfg->macs);
    LoadFrames *f = g_new0(LoadFrames, 1);

    /* One for each, not for each slot: few stay in the first cache. */
    f->headers = g_malloc0_n(cfg->sizes * variants, HEADERS_STRIDE_BYTES);
    f->slot = g_new0(LoadFrame, cfg->slots);
    for (uint32_t slot = 0; slot < cfg->slots; slot++) {
        unsigned size = slot % cfg->sizes, variant = slot % variants;
        uint8_t *headers = f->headers + (size_t)(size * variants + variant) *
                                        HEADERS_STRIDE_BYTES;

        put_headers(headers, cfg->bytes[size], port, variant % cfg->macs,
                    variant % cfg->flows);
        f->slot[slot] = (LoadFrame) {
            .bytes = cfg->bytes[size], .headers = headers,
        };
    }
    return f;
}

void load_frames_free(LoadFrames *f)
{
    if (f) {
        g_free(f->headers);
        g_free(f->slot);
        g_free(f);
    }
}
