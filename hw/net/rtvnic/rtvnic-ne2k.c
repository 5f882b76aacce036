/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtvnic-ne2k: an ne2k_pci whose frames carry DSCP, send time and deadline and
 * leave in deadline order, for guests without a virtio driver; it is the model
 * of Suzuki 2013.  Everything that is real-time about it is in the port behind
 * it (net/edf).
 *
 * An NE2000 cannot wait: what it sends while its queue is full is dropped and
 * counted.  Nor can its guest be told an MTU: a frame that leaves no room for
 * the trailer on a link of link-mtu goes out marked, without it.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/pci/pci_device.h"
#include "hw/qdev-properties.h"
#include "migration/vmstate.h"
#include "rtnet/compat.h"
#include "rtvnic-port.h"

#define TYPE_RTVNIC_NE2K "rtvnic-ne2k"
#define TYPE_PARENT "ne2k_pci"

static PCIDeviceClass *parent_class(void)
{
    return PCI_DEVICE_CLASS(object_class_by_name(TYPE_PARENT));
}

/* The parent's state is private to its file; its options lead there. */
static NICConf *nic_conf(Object *nic)
{
    const Property *netdev = object_property_find(nic, "netdev")->opaque;
    NICPeers *peers = object_field_prop_ptr(nic, netdev);

    return container_of(peers, NICConf, peers);
}

static void rtvnic_ne2k_realize(PCIDevice *pci_dev, Error **errp)
{
    ERRP_GUARD();
    DeviceState *nic = DEVICE(pci_dev);
    NICConf *conf = nic_conf(OBJECT(nic));

    if (!rtvnic_port_plug(nic, object_get_class(OBJECT(nic)), conf, errp)) {
        return;
    }
    parent_class()->realize(pci_dev, errp);
    if (*errp) {
        rtvnic_port_unplug(nic);
        return;
    }
    rtvnic_port_set_mac(nic, &conf->macaddr);
}

static void rtvnic_ne2k_exit(PCIDevice *pci_dev)
{
    parent_class()->exit(pci_dev);
    rtvnic_port_unplug(DEVICE(pci_dev));
}

static void rtvnic_ne2k_init(Object *obj)
{
    rtvnic_port_add(DEVICE(obj));
}

static void rtvnic_ne2k_class_init(ObjectClass *oc, RtnetClassData *data)
{
    /*
     * Named anew, so that an ne2k_pci on the other side of a migration is
     * refused instead of taken for one.
     */
    static VMStateDescription vmstate;
    DeviceClass *dc = DEVICE_CLASS(oc);

    vmstate = *dc->vmsd;
    vmstate.name = TYPE_RTVNIC_NE2K;
    dc->vmsd = &vmstate;
    dc->desc = "Real-time NE2000 NIC: EDF, send time, deadline";
    PCI_DEVICE_CLASS(oc)->realize = rtvnic_ne2k_realize;
    PCI_DEVICE_CLASS(oc)->exit = rtvnic_ne2k_exit;
}

static const TypeInfo rtvnic_ne2k_info = {
    .name = TYPE_RTVNIC_NE2K,
    .parent = TYPE_PARENT,
    .instance_init = rtvnic_ne2k_init,
    .class_init = rtvnic_ne2k_class_init,
};

static void rtvnic_ne2k_register(void)
{
    type_register_static(&rtvnic_ne2k_info);
}

type_init(rtvnic_ne2k_register)
