/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "hw/qdev-properties.h"
#include "hw/qdev-properties-system.h"
#include "hw/vmstate-if.h"
#include "migration/vmstate.h"
#include "hw/core/qdev-prop-internal.h"
#include "rtnet/compat.h"
#include "net/edf/sched-object.h"
#include "rtvnic-control.h"

#define CHILD_NAME "rt"

/* -- Options that are checked at once ------------------------------------------ */

static void get_uint32(Object *obj, Visitor *v, const char *name, void *opaque,
                       Error **errp)
{
    visit_type_uint32(v, name, object_field_prop_ptr(obj, opaque), errp);
}

/* The NIC is there, and one of its options has changed: the one that was
 * changed is put back if the daemon does not like it. */
static void renew(RtvnicPort *rp, void *option, uint32_t before, Error **errp)
{
    if (rtvnic_control_is_on(rp) && !rtvnic_control_renew(rp, errp)) {
        memcpy(option, &before, sizeof(before));
    }
}

static void set_deadline_us(Object *obj, Visitor *v, const char *name,
                            void *opaque, Error **errp)
{
    uint32_t *option = object_field_prop_ptr(obj, opaque);
    EdfPort *port = RTVNIC_PORT(obj)->port;
    uint32_t us, before = *option;

    if (visit_type_uint32(v, name, &us, errp) &&
        (port ? edf_port_set_deadline_us(port, us, errp)
              : edf_port_check_deadline_us(us, errp))) {
        *option = us;
        renew(RTVNIC_PORT(obj), option, before, errp);
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
    int32_t *option = object_field_prop_ptr(obj, opaque);
    EdfPort *port = RTVNIC_PORT(obj)->port;
    int32_t dscp, before = *option;

    if (visit_type_int32(v, name, &dscp, errp) &&
        (port ? edf_port_set_dscp(port, dscp, errp)
              : edf_port_check_dscp(dscp, errp))) {
        *option = dscp;
        renew(RTVNIC_PORT(obj), option, before, errp);
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
    DEFINE_PROP_CHR("control", RtvnicPort, control),
    DEFINE_PROP_STRING("port", RtvnicPort, daemon_port),
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
    { "control", "ID of a chardev: the control socket of vhost-user-shmem, if "
                 "the netdev is one of its ports" },
    { "port", "Name of that port" },
};

/* -- The child of a NIC ------------------------------------------------------------ */

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

/* -- Behind vhost-user-shmem ------------------------------------------------------- */

static bool is_vhost_user(const NetClientState *netdev)
{
    return netdev->info->type == NET_CLIENT_DRIVER_VHOST_USER;
}

static bool check_control(RtvnicPort *rp, ObjectClass *nic_class,
                          const NetClientState *netdev, Error **errp)
{
    bool control = qemu_chr_fe_backend_connected(&rp->control);

    if (!is_vhost_user(netdev)) {
        if (control || rp->daemon_port) {
            error_setg(errp, "control= and port= are for a netdev of type "
                       "vhost-user, and '%s' is none: leave them out",
                       netdev->name);
        }
        return !control && !rp->daemon_port;
    }
    if (!object_class_dynamic_cast(nic_class, "virtio-net-device")) {
        error_setg(errp, "netdev '%s' is a vhost-user back end, which needs a "
                   "virtio NIC: use rtvnic", netdev->name);
        return false;
    }
    if (!control || !rp->daemon_port) {
        error_setg(errp, "netdev '%s' is a vhost-user back end, which sends "
                   "past QEMU: if it is vhost-user-shmem, add "
                   "control=CHARDEV of its control socket and port=NAME of "
                   "its port, and it does what is real-time", netdev->name);
        return false;
    }
    if (rp->scheduler) {
        error_setg(errp, "scheduler=%s is QEMU's, and vhost-user-shmem "
                   "schedules what netdev '%s' sends: leave it out",
                   rp->scheduler, netdev->name);
        return false;
    }
    return true;
}

/* The daemon checks what depends on others; this is what it would not see. */
static bool plug_control(RtvnicPort *rp, NICConf *conf, Error **errp)
{
    if (rp->period_us && !rp->deadline_us) {
        error_setg(errp, "period-us declares how often frames with a deadline "
                   "come; give deadline-us, too");
        return false;
    }
    if (!qdev_realize(DEVICE(rp), NULL, errp)) {
        return false;
    }
    if (!rtvnic_control_start(rp, errp)) {
        qdev_unrealize(DEVICE(rp));
        return false;
    }
    rp->conf = conf;
    return true;
}

/* -- For the variants ------------------------------------------------------------ */

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
    if (!check_control(rp, nic_class, netdev, errp)) {
        return false;
    }
    if (is_vhost_user(netdev)) {
        return plug_control(rp, conf, errp);
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

    if (rp->port && !rp->source_id) {
        rp->port->sp.ep.cfg.source_id = rt_source_id_from_mac(mac->a);
    }
}

void rtvnic_port_unplug(DeviceState *nic)
{
    RtvnicPort *rp = rtvnic_port_of(nic);

    if (!rp->port) {
        rtvnic_control_stop(rp);
        qdev_unrealize(DEVICE(rp));
        return;
    }
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
static bool frames_wait_here(void *opaque)
{
    return ((RtvnicPort *)opaque)->port;
}

static const VMStateDescription vmstate_rtvnic_port = {
    .name = "rtvnic-port",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = frames_wait_here,
    .fields = (const VMStateField[]) {
        VMSTATE_STRUCT_POINTER(port, RtvnicPort, vmstate_edf_port, EdfPort),
        VMSTATE_END_OF_LIST()
    },
};

/* What became of its contract with vhost-user-shmem. */
static char *get_contract(Object *obj, Error **errp)
{
    return rtvnic_control_state(RTVNIC_PORT(obj));
}

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
    object_class_property_add_str(oc, "contract", get_contract, NULL);
    object_class_property_set_description(oc, "contract",
        "What became of its contract with vhost-user-shmem: none, registered, "
        "disconnected, or why it was refused");
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
