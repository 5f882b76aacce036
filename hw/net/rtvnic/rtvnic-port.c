/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "hw/qdev-properties.h"
#include "hw/vmstate-if.h"
#include "migration/vmstate.h"
#include "hw/core/qdev-prop-internal.h"
#include "rtnet/compat.h"
#include "net/edf/sched-object.h"
#include "rtvnic-port.h"

#define CHILD_NAME "rt"

/* -- Options that are checked at once ------------------------------------------ */

static void get_uint32(Object *obj, Visitor *v, const char *name, void *opaque,
                       Error **errp)
{
    visit_type_uint32(v, name, object_field_prop_ptr(obj, opaque), errp);
}

static void set_deadline_us(Object *obj, Visitor *v, const char *name,
                            void *opaque, Error **errp)
{
    EdfPort *port = RTVNIC_PORT(obj)->port;
    uint32_t us;

    if (visit_type_uint32(v, name, &us, errp) &&
        (port ? edf_port_set_deadline_us(port, us, errp)
              : edf_port_check_deadline_us(us, errp))) {
        *(uint32_t *)object_field_prop_ptr(obj, opaque) = us;
    }
}

static void set_period_us(Object *obj, Visitor *v, const char *name,
                          void *opaque, Error **errp)
{
    uint32_t us;

    if (visit_type_uint32(v, name, &us, errp) &&
        edf_port_check_period_us(us, errp)) {
        *(uint32_t *)object_field_prop_ptr(obj, opaque) = us;
    }
}

static void get_dscp(Object *obj, Visitor *v, const char *name, void *opaque,
                     Error **errp)
{
    visit_type_int32(v, name, object_field_prop_ptr(obj, opaque), errp);
}

static void set_dscp(Object *obj, Visitor *v, const char *name, void *opaque,
                     Error **errp)
{
    EdfPort *port = RTVNIC_PORT(obj)->port;
    int32_t dscp;

    if (visit_type_int32(v, name, &dscp, errp) &&
        (port ? edf_port_set_dscp(port, dscp, errp)
              : edf_port_check_dscp(dscp, errp))) {
        *(int32_t *)object_field_prop_ptr(obj, opaque) = dscp;
    }
}

static void set_default_int32(ObjectProperty *op, const Property *prop)
{
    object_property_set_default_int(op, prop->defval.i);
}

static const PropertyInfo prop_deadline_us = {
    .type = "uint32",
    .description = "Deadline, microseconds after the guest sent a frame; "
                   "without it: best effort; may be changed while it runs",
    .realized_set_allowed = true,
    .get = get_uint32,
    .set = set_deadline_us,
};

static const PropertyInfo prop_dscp = {
    .type = "int32",
    .description = "DSCP mark, 0 to 63 (46: expedited forwarding); -1 keeps "
                   "the guest's; may be changed while it runs",
    .realized_set_allowed = true,
    .get = get_dscp,
    .set = set_dscp,
    .set_default_value = set_default_int32,
};

static const PropertyInfo prop_period_us = {
    .type = "uint32",
    .description = "Least microseconds between two frames; asks for admission",
    .get = get_uint32,
    .set = set_period_us,
};

static const PropertyInfo prop_late = {
    .type = "RtvnicLate",
    .description = "Frames whose deadline passed while they waited: send, drop",
    .enum_table = &RtvnicLate_lookup,
    .get = qdev_propinfo_get_enum,
    .set = qdev_propinfo_set_enum,
    .set_default_value = qdev_propinfo_set_default_value_enum,
};

static const Property rtvnic_port_properties[] = {
    DEFINE_PROP_STRING("scheduler", RtvnicPort, scheduler),
    DEFINE_PROP("deadline-us", RtvnicPort, deadline_us, prop_deadline_us,
                uint32_t),
    DEFINE_PROP("period-us", RtvnicPort, period_us, prop_period_us, uint32_t),
    DEFINE_PROP_UINT32("max-frame-bytes", RtvnicPort, max_frame_bytes, 0),
    DEFINE_PROP_SIGNED("late", RtvnicPort, late, RTVNIC_LATE_SEND, prop_late,
                       RtvnicLate),
    DEFINE_PROP_SIGNED("dscp", RtvnicPort, dscp, RT_DSCP_KEEP, prop_dscp,
                       int32_t),
    DEFINE_PROP_INT32("pcp", RtvnicPort, pcp, RT_PCP_KEEP),
    DEFINE_PROP_BOOL("trailer", RtvnicPort, trailer, true),
    DEFINE_PROP_UINT32("link-mtu", RtvnicPort, link_mtu, RT_LINK_MTU_DEFAULT),
    DEFINE_PROP_UINT32("source-id", RtvnicPort, source_id, 0),
    DEFINE_PROP_UINT32("max-skew-us", RtvnicPort, max_skew_us,
                       RT_MAX_SKEW_DEFAULT_NS / SCALE_US),
};

static const struct {
    const char *name;
    const char *description;
} descriptions[] = {
    { "scheduler", "ID of the edf-scheduler of the uplink; without it frames "
                   "are marked and stamped only" },
    { "max-frame-bytes", "Longest frame the guest sends, Ethernet header "
                         "included; part of what period-us declares" },
    { "pcp", "802.1Q priority of tagged frames, 0 to 7; -1 keeps the guest's" },
    { "trailer", "Send time and deadline behind each frame" },
    { "link-mtu", "Longest packet the link carries, trailer included; the "
                  "guest gets 32 less" },
    { "source-id", "Sender in the trailer; 0: last four bytes of the MAC" },
    { "max-skew-us", "How far a sender's clock may be ahead before its frames "
                     "count as skewed" },
};

/* -- For the variants ------------------------------------------------------------ */

void rtvnic_port_add(DeviceState *nic)
{
    Object *child = object_new(TYPE_RTVNIC_PORT);

    object_property_add_child(OBJECT(nic), CHILD_NAME, child);
    qdev_alias_all_properties(DEVICE(child), OBJECT(nic));
    object_unref(child);
}

RtvnicPort *rtvnic_port_of(DeviceState *nic)
{
    return RTVNIC_PORT(object_resolve_path_component(OBJECT(nic), CHILD_NAME));
}

uint32_t rtvnic_port_guest_mtu(const RtvnicPort *rp)
{
    return rp->link_mtu - (rp->trailer ? RT_TRAILER_BYTES : 0);
}

bool rtvnic_port_plug(DeviceState *nic, ObjectClass *nic_class, NICConf *conf,
                      Error **errp)
{
    RtvnicPort *rp = rtvnic_port_of(nic);
    NetClientState *netdev = conf->peers.ncs[0];
    const char *type = object_get_typename(OBJECT(nic));
    EdfPortConfig cfg = {
        .nic_class = nic_class,
        .deadline_us = rp->deadline_us,
        .period_us = rp->period_us,
        .ep = {
            .rtvnic = true,
            .trailer = rp->trailer,
            .drop_late = rp->late == RTVNIC_LATE_DROP,
            .max_frame_bytes = rp->max_frame_bytes,
            .link_mtu = rp->link_mtu,
            .dscp = rp->dscp,
            .pcp = rp->pcp,
            .source_id = rp->source_id,
            .max_skew_ns = (uint64_t)rp->max_skew_us * SCALE_US,
        },
    };

    if (!netdev) {
        error_setg(errp, "%s needs a netdev: add netdev=ID of a -netdev", type);
        return false;
    }
    if (rp->pcp < RT_PCP_KEEP || rp->pcp > 7) {
        error_setg(errp, "pcp must be 0 to 7, or %d to keep the guest's",
                   RT_PCP_KEEP);
        return false;
    }
    if (rp->late == RTVNIC_LATE_DROP && !rp->deadline_us) {
        error_setg(errp, "late=drop needs a deadline-us to be late for");
        return false;
    }
    if (rp->scheduler) {
        cfg.sched = edf_scheduler_find(rp->scheduler, errp);
        if (!cfg.sched) {
            return false;
        }
    }
    cfg.netdev_id = netdev->name;
    cfg.id = nic->id ?: netdev->name;
    rp->port = edf_port_new(&cfg, errp);
    if (!rp->port) {
        return false;
    }
    if (!qdev_realize(DEVICE(rp), NULL, errp)) {
        edf_port_free(rp->port);
        rp->port = NULL;
        return false;
    }
    rp->conf = conf;
    conf->peers.ncs[0] = rp->port->nic_side;
    conf->peers.queues = 1;
    return true;
}

void rtvnic_port_set_mac(DeviceState *nic, const MACAddr *mac)
{
    RtvnicPort *rp = rtvnic_port_of(nic);

    if (!rp->source_id) {
        rp->port->sp.ep.cfg.source_id = rt_source_id_from_mac(mac->a);
    }
}

void rtvnic_port_unplug(DeviceState *nic)
{
    RtvnicPort *rp = rtvnic_port_of(nic);

    rp->conf->peers.ncs[0] = NULL;
    qdev_unrealize(DEVICE(rp));
    edf_port_free(rp->port);
    rp->port = NULL;
}

/* -- The child device -------------------------------------------------------------- */

/*
 * Frames that wait, in a section of their own: the variant's is its NIC
 * model's.
 */
static const VMStateDescription vmstate_rtvnic_port = {
    .name = "rtvnic-port",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_STRUCT_POINTER(port, RtvnicPort, vmstate_edf_port, EdfPort),
        VMSTATE_END_OF_LIST()
    },
};

/* Sections are told apart by the place of the NIC, as its own section is. */
static char *rtvnic_port_get_id(VMStateIf *obj)
{
    DeviceState *nic = DEVICE(OBJECT(obj)->parent);

    return qdev_get_dev_path(nic);
}

static void rtvnic_port_class_init(ObjectClass *oc, RtnetClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->desc = "Real-time side of an rtvnic";
    dc->user_creatable = false;
    dc->vmsd = &vmstate_rtvnic_port;
    VMSTATE_IF_CLASS(oc)->get_id = rtvnic_port_get_id;
    device_class_set_props(dc, rtvnic_port_properties);
    for (size_t i = 0; i < ARRAY_SIZE(descriptions); i++) {
        object_class_property_set_description(oc, descriptions[i].name,
                                              descriptions[i].description);
    }
}

static const TypeInfo rtvnic_port_info = {
    .name = TYPE_RTVNIC_PORT,
    .parent = TYPE_DEVICE,
    .instance_size = sizeof(RtvnicPort),
    .class_init = rtvnic_port_class_init,
};

static void rtvnic_port_register(void)
{
    type_register_static(&rtvnic_port_info);
}

type_init(rtvnic_port_register)
