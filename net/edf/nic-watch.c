/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is plugged into ports.
 *
 * A virtio-net that can reset single queues (queue_reset=on, the default)
 * would abort QEMU if its guest did so while a frame waits for room: the reset
 * flushes the ring, and asserts that nothing is left.  So it is refused behind
 * an edf-port, before it exists.
 *
 * A port's uplink is a NIC to the net layer, which announces every NIC's MAC
 * after a migration; so the uplink has to know the MAC of the NIC in front.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qobject/qdict.h"
#include "qom/qom-qobject.h"
#include "qom/object_interfaces.h"
#include "net/edf/port.h"

static EdfPort *find_port(const char *id)
{
    EdfPort *port;

    QLIST_FOREACH(port, &edf_ports, next) {
        if (!g_strcmp0(port->id, id) && !port->sp.ep.cfg.rtvnic) {
            return port;
        }
    }
    return NULL;
}

/* Would @driver have queue_reset on, given @opts and the machine's defaults? */
static bool resets_queues(const char *driver, const QDict *opts, bool from_json)
{
    g_autoptr(QDict) given = qdict_new();
    QObject *value = qdict_get(opts, "queue_reset");
    ObjectClass *oc = module_object_class_by_name(driver);
    Object *probe;
    bool on;

    if (!oc && g_str_has_prefix(driver, "virtio-net")) {
        oc = module_object_class_by_name("virtio-net-pci");     /* an alias */
    }
    if (!oc || object_class_is_abstract(oc) ||
        !object_class_dynamic_cast(oc, TYPE_DEVICE) ||
        object_class_dynamic_cast(oc, "rtvnic")) {  /* it turns them off */
        return false;
    }
    probe = object_new_with_class(oc);
    if (value) {
        qdict_put_obj(given, "queue_reset", qobject_ref(value));
        object_set_properties_from_keyval(probe, given, from_json, NULL);
    }
    on = object_property_find(probe, "queue_reset") &&
         object_property_get_bool(probe, "queue_reset", NULL);
    object_unref(probe);
    return on;
}

/* Called before a device is made; we hide none, but refuse. */
static bool nic_watch_hide(DeviceListener *listener, const QDict *opts,
                           bool from_json, Error **errp)
{
    const char *driver = opts ? qdict_get_try_str(opts, "driver") : NULL;
    const char *netdev = opts ? qdict_get_try_str(opts, "netdev") : NULL;

    if (driver && netdev && find_port(netdev) &&
        resets_queues(driver, opts, from_json)) {
        error_setg(errp, "edf-port '%s' cannot serve a NIC that resets single "
                   "queues; add queue_reset=off to -device %s", netdev, driver);
    }
    return false;
}

static void nic_watch_realize(DeviceListener *listener, DeviceState *dev)
{
    edf_port_tell_nics();
}

static void nic_watch_unrealize(DeviceListener *listener, DeviceState *dev)
{
    edf_port_tell_nics();
}

static DeviceListener nic_watch = {
    .hide_device = nic_watch_hide,
    .realize = nic_watch_realize,
    .unrealize = nic_watch_unrealize,
};

void edf_port_watch_nics(void)
{
    static bool watching;

    if (!watching) {
        device_listener_register(&nic_watch);
        watching = true;
    }
}
