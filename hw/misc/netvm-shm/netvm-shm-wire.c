/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon's side of the device: include/rtnet/netvm-wire.h, read as it
 * comes.  No more than the rest of one message is ever read, so a file that
 * the chardev has belongs to that message.
 *
 * Whatever is not as it should be ends the connection; the chardev brings it
 * back, if it was told to (reconnect-ms=, server=on).  Each reason is reported
 * once, not each time.
 *
 * Nothing here waits.  What the daemon does not take is one HELLO, and one
 * RESET however often the guest resets.
 *
 * Threads: main loop; netvm_wire_reset() also vCPUs; under the BQL.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "netvm-shm.h"
#include "trace.h"

#define HEADER_BYTES sizeof(struct netvm_header)
#define FILES_MAX 16            /* that a chardev takes at a time */

struct NetvmMessage {
    const char *name;
    uint32_t body_bytes;
    bool file;
    NetvmWireState needs;
    /* Takes *@fd by setting it to -1.  False ends the connection. */
    bool (*take)(NetvmShm *s, const void *body, int *fd, Error **errp);
};

/* -- To the daemon --------------------------------------------------------- */

static void flush(NetvmShm *s);

static gboolean writable(void *do_not_use, GIOCondition condition, void *opaque)
{
    NetvmShm *s = opaque;

    s->wire.out_watch = 0;
    flush(s);
    return G_SOURCE_REMOVE;
}

static void put(NetvmWire *w, uint32_t type, const void *body, uint32_t bytes)
{
    struct netvm_header header = { .type = type, .bytes = bytes };

    g_byte_array_append(w->out, (uint8_t *)&header, sizeof(header));
    g_byte_array_append(w->out, body, bytes);
}

static void flush(NetvmShm *s)
{
    NetvmWire *w = &s->wire;

    while (w->out->len || w->reset_due) {
        int written;

        if (!w->out->len) {
            put(w, NETVM_MSG_RESET, NULL, 0);
            w->reset_due = false;
            w->resets++;
        }
        written = qemu_chr_fe_write(&s->chr, w->out->data, w->out->len);
        if (written <= 0) {
            if (!w->out_watch) {
                w->out_watch = qemu_chr_fe_add_watch(&s->chr,
                                                     G_IO_OUT | G_IO_HUP,
                                                     writable, s);
            }
            return;
        }
        g_byte_array_remove_range(w->out, 0, written);
    }
}

static void say_hello(NetvmShm *s)
{
    struct netvm_hello hello = {
        .version = NETVM_WIRE_VERSION,
        .window_bytes = s->size_bytes,
    };

    put(&s->wire, NETVM_MSG_HELLO, &hello, sizeof(hello));
    flush(s);
}

static void say_unfit(NetvmShm *s, const char *why)
{
    struct netvm_text text = { 0 };

    g_strlcpy(text.text, why, sizeof(text.text));
    put(&s->wire, NETVM_MSG_UNFIT, &text, sizeof(text));
    flush(s);
}

void netvm_wire_reset(NetvmShm *s)
{
    NetvmWire *w = &s->wire;

    w->ready = false;
    if (w->state == NETVM_WIRE_WELCOMED) {
        trace_netvm_shm_reset(s->name);
        w->reset_due = true;
        flush(s);
    }
}

/* -- The connection -------------------------------------------------------- */

static void forget_message(NetvmWire *w)
{
    if (w->fd >= 0) {
        close(w->fd);
        w->fd = -1;
    }
    w->message = NULL;
    w->in_bytes = 0;
}

static void closed(NetvmShm *s)
{
    NetvmWire *w = &s->wire;

    forget_message(w);
    g_byte_array_set_size(w->out, 0);
    if (w->out_watch) {
        g_source_remove(w->out_watch);
        w->out_watch = 0;
    }
    w->reset_due = false;
    w->resets = 0;
    w->ready = false;
    w->state = NETVM_WIRE_CLOSED;
}

/* It comes back through wire_event(). */
static void end(NetvmShm *s, Error *err)
{
    NetvmWire *w = &s->wire;
    const char *why = error_get_pretty(err);

    trace_netvm_shm_end(s->name, why);
    if (g_strcmp0(w->end, why)) {
        error_report("netvm-shm '%s': disconnected from the daemon: %s",
                     s->name, why);
        g_free(w->end);
        w->end = g_strdup(why);
    }
    error_free(err);
    qemu_chr_fe_disconnect(&s->chr);
}

static void wire_event(void *opaque, QEMUChrEvent event)
{
    NetvmShm *s = opaque;

    switch (event) {
    case CHR_EVENT_OPENED:
        trace_netvm_shm_open(s->name);
        closed(s);
        s->wire.state = NETVM_WIRE_GREETED;
        say_hello(s);
        break;
    case CHR_EVENT_CLOSED:
        trace_netvm_shm_close(s->name);
        closed(s);
        netvm_irq_raise(s, NETVM_VECTOR_CONFIG);
        break;
    default:
        break;
    }
}

/* -- What the daemon says -------------------------------------------------- */

static bool take_welcome(NetvmShm *s, const void *body, int *fd, Error **errp)
{
    ERRP_GUARD();
    struct netvm_welcome welcome;

    memcpy(&welcome, body, sizeof(welcome));
    if (!netvm_region_fits(s, welcome.region_bytes, errp)) {
        say_unfit(s, error_get_pretty(*errp));
        return false;
    }
    trace_netvm_shm_welcome(s->name, welcome.region_id);
    netvm_doorbell_clear_all(s);
    netvm_irq_clear_events(s);
    netvm_region_clear(s);
    s->wire.state = NETVM_WIRE_WELCOMED;
    s->attached++;
    return true;
}

/* It is shown to people, so it is one line of text. */
static bool is_text(const struct netvm_text *text)
{
    const char *end = memchr(text->text, 0, sizeof(text->text));

    if (!end || !g_utf8_validate(text->text, end - text->text, NULL)) {
        return false;
    }
    for (const char *c = text->text; c < end; c = g_utf8_next_char(c)) {
        if (!g_unichar_isprint(g_utf8_get_char(c))) {
            return false;
        }
    }
    return true;
}

static bool take_refused(NetvmShm *s, const void *body, int *fd, Error **errp)
{
    struct netvm_text text;

    memcpy(&text, body, sizeof(text));
    if (is_text(&text)) {
        error_setg(errp, "it refuses: %s", text.text);
    } else {
        error_setg(errp, "it refuses, and its reason is no line of text");
    }
    return false;
}

static bool take_segment(NetvmShm *s, const void *body, int *fd, Error **errp)
{
    ERRP_GUARD();
    struct netvm_segment_place place;

    memcpy(&place, body, sizeof(place));
    if (!netvm_region_check(s, &place, *fd, errp)) {
        return false;
    }
    if (!netvm_region_map(s, &place, *fd, errp)) {
        say_unfit(s, error_get_pretty(*errp));
        return false;
    }
    if (s->wire.ready) {
        netvm_irq_raise(s, NETVM_VECTOR_CONFIG);
    }
    return true;
}

/*
 * KVM takes nothing else, and QEMU ends if KVM does not take it.  The chardev
 * has just made it blocking, for all who have it.
 */
static bool is_eventfd(int fd, const char *message, Error **errp)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autofree char *target = g_file_read_link(path, NULL);

    if (!target || !strstr(target, "[eventfd]") ||
        !g_unix_set_fd_nonblocking(fd, true, NULL)) {
        error_setg(errp, "%s brought a file that is no eventfd", message);
        return false;
    }
    return true;
}

static bool is_number(const void *body, uint32_t max, const char *message,
                      uint32_t *number, Error **errp)
{
    struct netvm_number n;

    memcpy(&n, body, sizeof(n));
    *number = n.number;
    if (n.number > max) {
        error_setg(errp, "%s of number %u; there are 0 to %u", message,
                   n.number, max);
        return false;
    }
    return true;
}

static bool take_doorbell(NetvmShm *s, const void *body, int *fd, Error **errp)
{
    uint32_t member;

    if (!is_number(body, NETVM_MEMBERS_MAX, "DOORBELL", &member, errp) ||
        !is_eventfd(*fd, "DOORBELL", errp)) {
        return false;
    }
    netvm_doorbell_set(s, member, *fd);
    *fd = -1;
    return true;
}

static bool take_no_doorbell(NetvmShm *s, const void *body, int *fd,
                             Error **errp)
{
    uint32_t member;

    if (!is_number(body, NETVM_MEMBERS_MAX, "NO_DOORBELL", &member, errp)) {
        return false;
    }
    netvm_doorbell_clear(s, member);
    return true;
}

static bool take_interrupt(NetvmShm *s, const void *body, int *fd,
                           Error **errp)
{
    uint32_t vector;

    if (!is_number(body, NETVM_VECTORS - 1, "INTERRUPT", &vector, errp) ||
        !is_eventfd(*fd, "INTERRUPT", errp)) {
        return false;
    }
    if (s->wire.ready) {
        error_setg(errp, "INTERRUPT %u after READY", vector);
        return false;
    }
    netvm_irq_set_event(s, vector, *fd);
    *fd = -1;
    return true;
}

static bool is_complete(NetvmShm *s)
{
    return s->segments && s->doorbell[NETVM_DAEMON].initialized &&
           s->vector[NETVM_VECTOR_RINGS].event.initialized &&
           s->vector[NETVM_VECTOR_CONFIG].event.initialized;
}

static bool take_ready(NetvmShm *s, const void *body, int *fd, Error **errp)
{
    NetvmWire *w = &s->wire;
    struct netvm_ready ready;

    memcpy(&ready, body, sizeof(ready));
    if (!is_complete(s)) {
        error_setg(errp, "READY before a segment, the daemon's doorbell and "
                   "the interrupts");
        return false;
    }
    if (!ready.member || ready.member > NETVM_MEMBERS_MAX) {
        error_setg(errp, "READY as member %u; there are 1 to %u",
                   ready.member, NETVM_MEMBERS_MAX);
        return false;
    }
    /* To the guest these say that it is no member. */
    if (!ready.serial || ready.serial == UINT32_MAX) {
        error_setg(errp, "READY with serial number 0x%x", ready.serial);
        return false;
    }
    if (w->ready || (int32_t)(ready.resets - w->resets) > 0) {
        error_setg(errp, "READY after %u RESETs, of %u", ready.resets,
                   w->resets);
        return false;
    }
    /* Another READY answers the RESETs that it had not seen. */
    if (ready.resets == w->resets && !w->reset_due) {
        w->member = ready.member;
        w->serial = ready.serial;
        w->ready = true;
        g_clear_pointer(&w->end, g_free);
        trace_netvm_shm_ready(s->name, w->member, w->serial);
        netvm_irq_raise(s, NETVM_VECTOR_CONFIG);
    }
    return true;
}

static const NetvmMessage messages[] = {
    [NETVM_MSG_WELCOME] = {
        "WELCOME", sizeof(struct netvm_welcome), false,
        NETVM_WIRE_GREETED, take_welcome },
    [NETVM_MSG_REFUSED] = {
        "REFUSED", sizeof(struct netvm_text), false,
        NETVM_WIRE_GREETED, take_refused },
    [NETVM_MSG_SEGMENT] = {
        "SEGMENT", sizeof(struct netvm_segment_place), true,
        NETVM_WIRE_WELCOMED, take_segment },
    [NETVM_MSG_DOORBELL] = {
        "DOORBELL", sizeof(struct netvm_number), true,
        NETVM_WIRE_WELCOMED, take_doorbell },
    [NETVM_MSG_NO_DOORBELL] = {
        "NO_DOORBELL", sizeof(struct netvm_number), false,
        NETVM_WIRE_WELCOMED, take_no_doorbell },
    [NETVM_MSG_INTERRUPT] = {
        "INTERRUPT", sizeof(struct netvm_number), true,
        NETVM_WIRE_WELCOMED, take_interrupt },
    [NETVM_MSG_READY] = {
        "READY", sizeof(struct netvm_ready), false,
        NETVM_WIRE_WELCOMED, take_ready },
};

/* -- From the daemon ------------------------------------------------------- */

/* How many files have come; the first is in @fd, others are closed. */
static unsigned take_files(NetvmShm *s, int *fd)
{
    int fds[FILES_MAX];
    int count = qemu_chr_fe_get_msgfds(&s->chr, fds, FILES_MAX);

    if (count <= 0) {
        return 0;
    }
    *fd = fds[0];
    for (int i = 1; i < count; i++) {
        close(fds[i]);
    }
    return count;
}

static bool header_came(NetvmShm *s, Error **errp)
{
    NetvmWire *w = &s->wire;
    unsigned files = take_files(s, &w->fd);
    struct netvm_header header;
    const NetvmMessage *m;

    memcpy(&header, w->in, sizeof(header));
    if (header.type >= ARRAY_SIZE(messages) || !messages[header.type].take) {
        error_setg(errp, "unknown message %u: is that the socket of a netvm "
                   "port, and the daemon of this version?", header.type);
        return false;
    }
    m = &messages[header.type];
    if (header.bytes != m->body_bytes) {
        error_setg(errp, "%s of %u bytes, it has %u", m->name, header.bytes,
                   m->body_bytes);
    } else if (files != m->file) {
        error_setg(errp, "%s with %u files, it has %d", m->name, files,
                   m->file);
    } else if (w->state != m->needs) {
        error_setg(errp, "%s at a time when it must not come", m->name);
    } else {
        w->message = m;
        return true;
    }
    return false;
}

static bool body_came(NetvmShm *s, Error **errp)
{
    NetvmWire *w = &s->wire;
    const NetvmMessage *m = w->message;
    int stray = -1;

    if (take_files(s, &stray)) {
        close(stray);
        error_setg(errp, "%s with a file behind its header", m->name);
        return false;
    }
    trace_netvm_shm_message(s->name, m->name, m->file);
    if (!m->take(s, w->in + HEADER_BYTES, &w->fd, errp)) {
        return false;
    }
    forget_message(w);
    return true;
}

static size_t bytes_missing(const NetvmWire *w)
{
    return HEADER_BYTES + (w->message ? w->message->body_bytes : 0) -
           w->in_bytes;
}

static int wire_can_read(void *opaque)
{
    NetvmShm *s = opaque;

    return bytes_missing(&s->wire);
}

static void wire_read(void *opaque, const uint8_t *buf, int size)
{
    NetvmShm *s = opaque;
    NetvmWire *w = &s->wire;
    Error *err = NULL;

    while (size) {
        size_t bytes = MIN(bytes_missing(w), size);
        bool ok = true;

        memcpy(w->in + w->in_bytes, buf, bytes);
        w->in_bytes += bytes;
        buf += bytes;
        size -= bytes;
        if (!bytes_missing(w)) {
            ok = w->message ? body_came(s, &err) : header_came(s, &err);
        }
        if (!ok) {
            end(s, err);
            return;
        }
    }
}

/* -- For the device -------------------------------------------------------- */

void netvm_wire_start(NetvmShm *s)
{
    s->wire.fd = -1;
    s->wire.out = g_byte_array_new();
    qemu_chr_fe_set_handlers(&s->chr, wire_can_read, wire_read, wire_event,
                             NULL, s, NULL, true);
}

void netvm_wire_stop(NetvmShm *s)
{
    NetvmWire *w = &s->wire;

    qemu_chr_fe_set_handlers(&s->chr, NULL, NULL, NULL, NULL, NULL, NULL,
                             true);
    /* The end of the connection is what the daemon takes for our end. */
    if (qemu_chr_fe_backend_open(&s->chr)) {
        qemu_chr_fe_disconnect(&s->chr);
    }
    closed(s);
    g_clear_pointer(&w->out, g_byte_array_unref);
    g_clear_pointer(&w->end, g_free);
}

char *netvm_wire_describe(NetvmShm *s)
{
    const NetvmWire *w = &s->wire;

    if (w->ready) {
        return g_strdup_printf("ready: member %u, serial %u, %u segments",
                               w->member, w->serial, s->segments);
    }
    if (w->end) {
        return g_strdup(w->end);
    }
    return g_strdup(w->state == NETVM_WIRE_CLOSED ?
                    "no daemon is connected" :
                    "the daemon is not ready");
}
