/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu/osdep.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "qom/object_interfaces.h"
#include "rtnet/compat.h"
#include "net/edf/clock.h"
#include "net/edf/sched-object.h"

OBJECT_DECLARE_SIMPLE_TYPE(EdfScheduler, EDF_SCHEDULER)

struct EdfScheduler {
    Object parent_obj;

    EdfSchedConfig cfg;
    bool jitter_given;
    EdfSched *sched;            /* NULL until complete */
};

EdfSched *edf_scheduler_find(const char *id, Error **errp)
{
    Object *obj = object_resolve_path_component(object_get_objects_root(), id);
    EdfScheduler *es = (EdfScheduler *)
        object_dynamic_cast(obj, TYPE_EDF_SCHEDULER);

    if (!es) {
        error_setg(errp, "scheduler '%s' %s; create it first with -object "
                   "edf-scheduler,id=%s,rate-bps=...", id,
                   obj ? "is no edf-scheduler" : "not found", id);
        return NULL;
    }
    return es->sched;
}

/* -- Options ------------------------------------------------------------------ */

static bool settable(EdfScheduler *es, const char *name, Error **errp)
{
    if (es->sched) {
        error_setg(errp, "%s cannot be changed once the edf-scheduler exists",
                   name);
        return false;
    }
    return true;
}

static void get_rate_bps(Object *obj, Visitor *v, const char *name,
                         void *opaque, Error **errp)
{
    visit_type_uint64(v, name, &EDF_SCHEDULER(obj)->cfg.rate_bps, errp);
}

static void set_rate_bps(Object *obj, Visitor *v, const char *name,
                         void *opaque, Error **errp)
{
    EdfScheduler *es = EDF_SCHEDULER(obj);
    uint64_t value;

    if (!visit_type_uint64(v, name, &value, errp)) {
        return;
    }
    if (!value || value > EDF_RATE_MAX_BPS) {
        error_setg(errp, "rate-bps must be 1 to %" PRIu64 " bits per second, "
                   "the rate of the narrowest link behind the scheduler; "
                   "leave it out to send at once", EDF_RATE_MAX_BPS);
        return;
    }
    if (!es->sched || edf_sched_set_rate(es->sched, value, errp)) {
        es->cfg.rate_bps = value;
    }
}

static int get_policy(Object *obj, Error **errp)
{
    return EDF_SCHEDULER(obj)->cfg.policy;
}

static void set_policy(Object *obj, int value, Error **errp)
{
    EdfScheduler *es = EDF_SCHEDULER(obj);

    if (settable(es, "policy", errp)) {
        es->cfg.policy = value;
    }
}

static void get_queue_pkts(Object *obj, Visitor *v, const char *name,
                           void *opaque, Error **errp)
{
    visit_type_uint32(v, name, &EDF_SCHEDULER(obj)->cfg.queue_pkts, errp);
}

static void set_queue_pkts(Object *obj, Visitor *v, const char *name,
                           void *opaque, Error **errp)
{
    EdfScheduler *es = EDF_SCHEDULER(obj);
    uint32_t value;

    if (!settable(es, name, errp) ||
        !visit_type_uint32(v, name, &value, errp)) {
        return;
    }
    if (!value) {
        error_setg(errp, "queue-pkts must be at least 1");
        return;
    }
    es->cfg.queue_pkts = value;
}

static void get_queue_bytes(Object *obj, Visitor *v, const char *name,
                            void *opaque, Error **errp)
{
    visit_type_size(v, name, &EDF_SCHEDULER(obj)->cfg.queue_bytes, errp);
}

static void set_queue_bytes(Object *obj, Visitor *v, const char *name,
                            void *opaque, Error **errp)
{
    EdfScheduler *es = EDF_SCHEDULER(obj);
    uint64_t value;

    if (!settable(es, name, errp) || !visit_type_size(v, name, &value, errp)) {
        return;
    }
    if (!value) {
        error_setg(errp, "queue-bytes must be at least 1");
        return;
    }
    es->cfg.queue_bytes = value;
}

static void get_host_jitter_us(Object *obj, Visitor *v, const char *name,
                               void *opaque, Error **errp)
{
    uint32_t value = DIV_ROUND_UP(EDF_SCHEDULER(obj)->cfg.jitter_ns, SCALE_US);

    visit_type_uint32(v, name, &value, errp);
}

static void set_host_jitter_us(Object *obj, Visitor *v, const char *name,
                               void *opaque, Error **errp)
{
    EdfScheduler *es = EDF_SCHEDULER(obj);
    uint32_t value;

    if (!settable(es, name, errp) ||
        !visit_type_uint32(v, name, &value, errp)) {
        return;
    }
    es->cfg.jitter_ns = (uint64_t)value * SCALE_US;
    es->jitter_given = true;
}

/* -- Life ---------------------------------------------------------------------- */

static void edf_scheduler_complete(UserCreatable *uc, Error **errp)
{
    EdfScheduler *es = EDF_SCHEDULER(uc);

    if (!rtnet_clock_usable(errp)) {
        return;
    }
    if (!es->jitter_given) {
        es->cfg.jitter_ns = rtnet_clock_measure_jitter_ns();
    }
    es->sched = edf_sched_new(object_get_canonical_path_component(OBJECT(es)),
                              &es->cfg);
}

static bool edf_scheduler_can_be_deleted(UserCreatable *uc)
{
    EdfSched *s = EDF_SCHEDULER(uc)->sched;

    return !s || QLIST_EMPTY(&s->ports);
}

static void edf_scheduler_init(Object *obj)
{
    EdfScheduler *es = EDF_SCHEDULER(obj);

    es->cfg.queue_pkts = EDF_SCHED_QUEUE_PKTS_DEFAULT;
    es->cfg.queue_bytes = EDF_SCHED_QUEUE_BYTES_DEFAULT;
}

static void edf_scheduler_finalize(Object *obj)
{
    EdfSched *s = EDF_SCHEDULER(obj)->sched;

    /* At exit objects go in any order; a port then outlives its scheduler. */
    if (s && QLIST_EMPTY(&s->ports)) {
        edf_sched_free(s);
    }
}

static void edf_scheduler_class_init(ObjectClass *oc, RtnetClassData *data)
{
    UserCreatableClass *ucc = USER_CREATABLE_CLASS(oc);

    ucc->complete = edf_scheduler_complete;
    ucc->can_be_deleted = edf_scheduler_can_be_deleted;

    object_class_property_add(oc, "rate-bps", "uint64", get_rate_bps,
                              set_rate_bps, NULL, NULL);
    object_class_property_set_description(oc, "rate-bps",
        "Bits per second of the narrowest link behind the scheduler; may be "
        "changed while it runs");
    object_class_property_add_enum(oc, "policy", "EdfPolicy", &EdfPolicy_lookup,
                                   get_policy, set_policy);
    object_class_property_set_description(oc, "policy",
        "Which frame goes first: edf (default), fifo, strict");
    object_class_property_add(oc, "queue-pkts", "uint32", get_queue_pkts,
                              set_queue_pkts, NULL, NULL);
    object_class_property_set_description(oc, "queue-pkts",
        "Frames that may wait per port (default 100)");
    object_class_property_add(oc, "queue-bytes", "size", get_queue_bytes,
                              set_queue_bytes, NULL, NULL);
    object_class_property_set_description(oc, "queue-bytes",
        "Bytes that may wait per port (default 1M)");
    object_class_property_add(oc, "host-jitter-us", "uint32",
                              get_host_jitter_us, set_host_jitter_us,
                              NULL, NULL);
    object_class_property_set_description(oc, "host-jitter-us",
        "How late this host may wake the scheduler (default: measured)");
}

static const TypeInfo edf_scheduler_info = {
    .name = TYPE_EDF_SCHEDULER,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(EdfScheduler),
    .instance_init = edf_scheduler_init,
    .instance_finalize = edf_scheduler_finalize,
    .class_init = edf_scheduler_class_init,
    .interfaces = (InterfaceInfo[]) {
        { TYPE_USER_CREATABLE },
        { }
    }
};

static void edf_scheduler_register(void)
{
    type_register_static(&edf_scheduler_info);
}

type_init(edf_scheduler_register)
