/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One request at a time is under way: JSON-RPC 2.0, a line each.  At start and
 * when an option is changed the answer is waited for; when the connection has
 * come back, it is read as it comes.
 *
 * Threads: main loop, under the BQL.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "rtvnic-control.h"

#define ANSWER_MAX_BYTES 65536

/* -- What is said ------------------------------------------------------------ */

static void put_or_null(QDict *to, const char *key, int64_t value, bool is_set)
{
    if (is_set) {
        qdict_put_int(to, key, value);
    } else {
        qdict_put_null(to, key);
    }
}

/* Options as words of the daemon's port; null is the default. */
static QDict *describe_contract(const RtvnicPort *rp)
{
    QDict *settings = qdict_new();

    put_or_null(settings, "deadline-us", rp->deadline_us, rp->deadline_us);
    put_or_null(settings, "period-us", rp->period_us, rp->period_us);
    put_or_null(settings, "max-frame-bytes", rp->max_frame_bytes,
                rp->max_frame_bytes);
    put_or_null(settings, "source-id", rp->source_id, rp->source_id);
    put_or_null(settings, "dscp", rp->dscp, rp->dscp >= 0);
    put_or_null(settings, "pcp", rp->pcp, rp->pcp >= 0);
    qdict_put_int(settings, "link-mtu", rp->link_mtu);
    qdict_put_int(settings, "max-skew-us", rp->max_skew_us);
    qdict_put_str(settings, "trailer", rp->trailer ? "on" : "off");
    qdict_put_str(settings, "late",
                  rp->late == RTVNIC_LATE_DROP ? "drop" : "send");
    return settings;
}

static bool send_request(RtvnicPort *rp, const char *method, QDict *settings)
{
    g_autoptr(QDict) request = qdict_new();
    QDict *params = qdict_new();
    g_autoptr(GString) text = NULL;

    qdict_put_str(params, "port", rp->daemon_port);
    if (settings) {
        qdict_put(params, "settings", settings);
    }
    qdict_put_str(request, "jsonrpc", "2.0");
    qdict_put_int(request, "id", ++rp->last_id);
    qdict_put_str(request, "method", method);
    qdict_put(request, "params", params);
    text = qobject_to_json(QOBJECT(request));
    g_string_append_c(text, '\n');
    return qemu_chr_fe_write_all(&rp->control, (uint8_t *)text->str,
                                 text->len) == text->len;
}

/* -- What is answered -------------------------------------------------------- */

/*
 * Is @line the answer to the last request?  Then *@refusal is what the daemon
 * has against it, or NULL.
 */
static bool read_answer(RtvnicPort *rp, const char *line, char **refusal)
{
    QObject *obj = qobject_from_json(line, NULL);
    QDict *answer = qobject_to(QDict, obj);
    bool is_answer = answer &&
                     qdict_get_try_int(answer, "id", 0) == rp->last_id;

    if (is_answer) {
        QDict *error = qobject_to(QDict, qdict_get(answer, "error"));

        *refusal = error ? g_strdup(qdict_get_try_str(error, "message") ?:
                                    "no reason was given") : NULL;
    }
    qobject_unref(obj);
    return is_answer;
}

static void set_refusal(RtvnicPort *rp, char *refusal)
{
    g_free(rp->refusal);
    rp->refusal = refusal;
    rp->registered = !refusal;
}

/* Wait for it; false if the connection ends. */
static bool wait_for_answer(RtvnicPort *rp, char **refusal)
{
    g_autoptr(GString) line = g_string_new(NULL);
    uint8_t byte;

    while (line->len < ANSWER_MAX_BYTES &&
           qemu_chr_fe_read_all(&rp->control, &byte, 1) == 1) {
        if (byte != '\n') {
            g_string_append_c(line, byte);
        } else if (read_answer(rp, line->str, refusal)) {
            return true;
        } else {
            g_string_truncate(line, 0);
        }
    }
    return false;
}

/* -- The connection ---------------------------------------------------------- */

static int can_read(void *opaque)
{
    return 1024;
}

/* Only an answer to what control_event() has sent is awaited here. */
static void control_read(void *opaque, const uint8_t *buf, int size)
{
    RtvnicPort *rp = opaque;

    for (int i = 0; i < size; i++) {
        char *refusal;

        if (buf[i] != '\n') {
            if (rp->line->len < ANSWER_MAX_BYTES) {
                g_string_append_c(rp->line, buf[i]);
            }
            continue;
        }
        if (read_answer(rp, rp->line->str, &refusal)) {
            if (refusal) {
                warn_report("port '%s' of vhost-user-shmem refuses the "
                            "contract it had: %s", rp->daemon_port, refusal);
            }
            set_refusal(rp, refusal);
        }
        g_string_truncate(rp->line, 0);
    }
}

static void control_event(void *opaque, QEMUChrEvent event)
{
    RtvnicPort *rp = opaque;

    if (event == CHR_EVENT_CLOSED) {
        /* The daemon withdraws it by itself. */
        rp->registered = false;
        g_string_truncate(rp->line, 0);
    } else if (event == CHR_EVENT_OPENED && !rp->starting) {
        send_request(rp, "contract.register", describe_contract(rp));
    }
}

static void set_handlers(RtvnicPort *rp, bool on)
{
    qemu_chr_fe_set_handlers(&rp->control, on ? can_read : NULL,
                             on ? control_read : NULL,
                             on ? control_event : NULL, NULL, rp, NULL, true);
}

/* -- For the NIC ------------------------------------------------------------- */

/* Register and wait; false with @errp set. */
static bool register_now(RtvnicPort *rp, Error **errp)
{
    char *refusal = NULL;

    if (!send_request(rp, "contract.register", describe_contract(rp)) ||
        !wait_for_answer(rp, &refusal)) {
        error_setg(errp, "vhost-user-shmem does not answer on chardev '%s': "
                   "is that its control socket?", rp->control.chr->label);
        return false;
    }
    if (refusal) {
        error_setg(errp, "vhost-user-shmem refuses the contract of port "
                   "'%s': %s", rp->daemon_port, refusal);
        g_free(refusal);
        return false;
    }
    set_refusal(rp, NULL);
    return true;
}

bool rtvnic_control_start(RtvnicPort *rp, Error **errp)
{
    /* As the netdev has waited for the same daemon. */
    if (qemu_chr_fe_wait_connected(&rp->control, errp) < 0 ||
        !register_now(rp, errp)) {
        return false;
    }
    rp->line = g_string_new(NULL);
    /* Setting them reports an open connection as one that was opened. */
    rp->starting = true;
    set_handlers(rp, true);
    rp->starting = false;
    return true;
}

void rtvnic_control_stop(RtvnicPort *rp)
{
    if (!rp->line) {
        return;
    }
    set_handlers(rp, false);
    if (qemu_chr_fe_backend_open(&rp->control)) {
        send_request(rp, "contract.withdraw", NULL);
    }
    rp->registered = false;
    g_clear_pointer(&rp->refusal, g_free);
    g_string_free(rp->line, true);
    rp->line = NULL;
}

bool rtvnic_control_is_on(const RtvnicPort *rp)
{
    return rp->line;
}

bool rtvnic_control_renew(RtvnicPort *rp, Error **errp)
{
    bool done;

    if (!qemu_chr_fe_backend_open(&rp->control)) {
        return true;            /* it is registered when that comes back */
    }
    rp->starting = true;
    set_handlers(rp, false);
    done = register_now(rp, errp);
    set_handlers(rp, true);
    rp->starting = false;
    return done;
}

char *rtvnic_control_state(const RtvnicPort *rp)
{
    return g_strdup(!rp->line ? "none" :
                    rp->registered ? "registered" :
                    rp->refusal ? rp->refusal : "disconnected");
}
