/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The object edf-port: puts a NIC of any model behind an edf-scheduler.  The
 * NIC takes the object's id as its netdev.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "hw/vmstate-if.h"
#include "migration/vmstate.h"
#include "qom/object_interfaces.h"
#include "rtnet/compat.h"
#include "net/edf/port.h"
#include "net/edf/sched-object.h"

#define TYPE_EDF_PORT "edf-port"
OBJECT_DECLARE_SIMPLE_TYPE(EdfPortObject, EDF_PORT)

struct EdfPortObject {
    Object parent_obj;

    char *netdev;
    char *scheduler;
    uint32_t deadline_us;
    uint32_t period_us;
    uint32_t max_frame_bytes;
    uint32_t link_mtu;

    EdfPort *port;              /* NULL until complete */
};

/* -- Options ------------------------------------------------------------------ */

static bool settable(EdfPortObject *po, const char *name, Error **errp)
{
    if (po->port) {
        error_setg(errp, "%s cannot be changed once the edf-port exists", name);
        return false;
    }
    return true;
}

static char *get_netdev(Object *obj, Error **errp)
{
    return g_strdup(EDF_PORT(obj)->netdev);
}

static void set_netdev(Object *obj, const char *value, Error **errp)
{
    EdfPortObject *po = EDF_PORT(obj);

    if (settable(po, "netdev", errp)) {
        g_free(po->netdev);
        po->netdev = g_strdup(value);
    }
}

static char *get_scheduler(Object *obj, Error **errp)
{
    return g_strdup(EDF_PORT(obj)->scheduler);
}

static void set_scheduler(Object *obj, const char *value, Error **errp)
{
    EdfPortObject *po = EDF_PORT(obj);

    if (settable(po, "scheduler", errp)) {
        g_free(po->scheduler);
        po->scheduler = g_strdup(value);
    }
}

/* The uint32 options differ in their field and in what is checked at once. */
typedef struct Uint32Option {
    const char *name;
    const char *description;
    size_t offset;
    bool (*check)(uint32_t value, Error **errp);
    bool (*change)(EdfPort *port, uint32_t value, Error **errp);
} Uint32Option;

static const Uint32Option uint32_options[] = {
    { "deadline-us",
      "Deadline of every frame, microseconds after the guest sent it; may be "
      "changed while it runs",
      offsetof(EdfPortObject, deadline_us), edf_port_check_deadline_us,
      edf_port_set_deadline_us },
    { "period-us",
      "Least microseconds between two frames; asks for admission",
      offsetof(EdfPortObject, period_us), edf_port_check_period_us },
    { "max-frame-bytes",
      "Longest frame of the guest, Ethernet header included",
      offsetof(EdfPortObject, max_frame_bytes), NULL },
    { "link-mtu",
      "Longest frame the link carries, without Ethernet header (default 1500)",
      offsetof(EdfPortObject, link_mtu), NULL },
};

static uint32_t *option_field(EdfPortObject *po, const Uint32Option *opt)
{
    return (uint32_t *)((char *)po + opt->offset);
}

static void get_uint32(Object *obj, Visitor *v, const char *name,
                       void *opaque, Error **errp)
{
    visit_type_uint32(v, name, option_field(EDF_PORT(obj), opaque), errp);
}

static void set_uint32(Object *obj, Visitor *v, const char *name,
                       void *opaque, Error **errp)
{
    EdfPortObject *po = EDF_PORT(obj);
    const Uint32Option *opt = opaque;
    uint32_t value;

    if (!visit_type_uint32(v, name, &value, errp)) {
        return;
    }
    if (po->port && opt->change) {
        if (!opt->change(po->port, value, errp)) {
            return;
        }
    } else if (!settable(po, name, errp) ||
               (opt->check && !opt->check(value, errp))) {
        return;
    }
    *option_field(po, opt) = value;
}

/* -- Life ---------------------------------------------------------------------- */

static void edf_port_complete(UserCreatable *uc, Error **errp)
{
    EdfPortObject *po = EDF_PORT(uc);
    EdfPortConfig cfg = {
        .id = object_get_canonical_path_component(OBJECT(po)),
        .netdev_id = po->netdev,
        .deadline_us = po->deadline_us,
        .period_us = po->period_us,
        .ep = {
            .max_frame_bytes = po->max_frame_bytes,
            .link_mtu = po->link_mtu,
            .dscp = RT_DSCP_KEEP,
            .pcp = RT_PCP_KEEP,
        },
    };

    if (!po->netdev || !po->scheduler) {
        error_setg(errp, "edf-port needs netdev= and scheduler=");
        return;
    }
    cfg.sched = edf_scheduler_find(po->scheduler, errp);
    if (!cfg.sched) {
        return;
    }
    po->port = edf_port_new(&cfg, errp);
    if (po->port &&
        vmstate_register_with_alias_id(VMSTATE_IF(po), VMSTATE_INSTANCE_ID_ANY,
                                       &vmstate_edf_port, po->port, -1, 0,
                                       errp) < 0) {
        edf_port_free(po->port);
        po->port = NULL;
    }
}

/* Names the section of the port's frames: the same on both sides. */
static char *edf_port_get_id(VMStateIf *obj)
{
    return g_strdup(object_get_canonical_path_component(OBJECT(obj)));
}

static bool edf_port_can_be_deleted(UserCreatable *uc)
{
    EdfPort *port = EDF_PORT(uc)->port;

    return !port || !edf_port_is_used(port);
}

static void edf_port_init(Object *obj)
{
    EDF_PORT(obj)->link_mtu = RT_LINK_MTU_DEFAULT;
}

static void edf_port_finalize(Object *obj)
{
    EdfPortObject *po = EDF_PORT(obj);

    if (po->port) {
        vmstate_unregister(NULL, &vmstate_edf_port, po->port);
    }
    edf_port_free(po->port);
    g_free(po->scheduler);
    g_free(po->netdev);
}

static void edf_port_class_init(ObjectClass *oc, RtnetClassData *data)
{
    UserCreatableClass *ucc = USER_CREATABLE_CLASS(oc);

    VMSTATE_IF_CLASS(oc)->get_id = edf_port_get_id;
    ucc->complete = edf_port_complete;
    ucc->can_be_deleted = edf_port_can_be_deleted;

    object_class_property_add_str(oc, "netdev", get_netdev, set_netdev);
    object_class_property_set_description(oc, "netdev",
        "ID of the netdev behind the port");
    object_class_property_add_str(oc, "scheduler", get_scheduler,
                                  set_scheduler);
    object_class_property_set_description(oc, "scheduler",
        "ID of the edf-scheduler");
    for (size_t i = 0; i < ARRAY_SIZE(uint32_options); i++) {
        const Uint32Option *opt = &uint32_options[i];

        object_class_property_add(oc, opt->name, "uint32", get_uint32,
                                  set_uint32, NULL, (void *)opt);
        object_class_property_set_description(oc, opt->name, opt->description);
    }
}

static const TypeInfo edf_port_info = {
    .name = TYPE_EDF_PORT,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(EdfPortObject),
    .instance_init = edf_port_init,
    .instance_finalize = edf_port_finalize,
    .class_init = edf_port_class_init,
    .interfaces = (InterfaceInfo[]) {
        { TYPE_USER_CREATABLE },
        { TYPE_VMSTATE_IF },
        { }
    }
};

static void edf_port_register(void)
{
    type_register_static(&edf_port_info);
}

type_init(edf_port_register)
