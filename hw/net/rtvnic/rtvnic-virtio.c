/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtvnic: a virtio-net-pci whose frames carry DSCP, send time and deadline and
 * leave in deadline order.  To its guest it is a virtio-net; everything that
 * is real-time about it is in the port behind it (net/edf).
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/virtio/virtio-net.h"
#include "hw/virtio/virtio-pci.h"
#include "rtnet/compat.h"
#include "rtvnic-port.h"

#define TYPE_RTVNIC "rtvnic"
#define TYPE_PARENT "virtio-net-pci"

static VirtioPCIClass *parent_class(void)
{
    return VIRTIO_PCI_CLASS(object_class_by_name(TYPE_PARENT));
}

/* The guest must leave room for the trailer, or it is not written. */
static bool rtvnic_set_mtu(DeviceState *nic, VirtIONet *net, Error **errp)
{
    RtvnicPort *rp = rtvnic_port_of(nic);
    uint32_t mtu = rtvnic_port_guest_mtu(rp);

    if (net->net_conf.mtu > mtu) {
        error_setg(errp, "host_mtu=%u leaves no room for the trailer on a link "
                   "with link-mtu=%u: use host_mtu=%u or less, or a larger "
                   "link-mtu if the link has it", net->net_conf.mtu,
                   rp->link_mtu, mtu);
        return false;
    }
    if (!net->net_conf.mtu) {
        net->net_conf.mtu = mtu;
    }
    return true;
}

static void rtvnic_realize(VirtIOPCIProxy *proxy, Error **errp)
{
    ERRP_GUARD();
    DeviceState *nic = DEVICE(proxy);
    VirtIONet *net = VIRTIO_NET(
        object_resolve_path_component(OBJECT(proxy), "virtio-backend"));

    /*
     * Resetting a single queue while a frame waits for room would abort QEMU:
     * net/edf/nic-watch.c.
     */
    object_property_set_bool(OBJECT(net), "queue_reset", false, &error_abort);

    if (!rtvnic_port_plug(nic, object_get_class(OBJECT(net)), &net->nic_conf,
                          errp)) {
        return;
    }
    if (rtvnic_set_mtu(nic, net, errp)) {
        parent_class()->realize(proxy, errp);
    }
    if (*errp) {
        rtvnic_port_unplug(nic);
        return;
    }
    rtvnic_port_set_mac(nic, &net->nic_conf.macaddr);
}

static void rtvnic_exit(PCIDevice *pci_dev)
{
    DeviceState *backend = DEVICE(
        object_resolve_path_component(OBJECT(pci_dev), "virtio-backend"));

    /* It still is if PCI gives the device up after our realize. */
    qdev_unrealize(backend);
    PCI_DEVICE_CLASS(parent_class())->exit(pci_dev);
    rtvnic_port_unplug(DEVICE(pci_dev));
}

static void rtvnic_init(Object *obj)
{
    rtvnic_port_add(DEVICE(obj));
}

static void rtvnic_class_init(ObjectClass *oc, RtnetClassData *data)
{
    DEVICE_CLASS(oc)->desc = "Real-time virtio NIC: EDF, send time, deadline";
    PCI_DEVICE_CLASS(oc)->exit = rtvnic_exit;
    VIRTIO_PCI_CLASS(oc)->realize = rtvnic_realize;
}

static const TypeInfo rtvnic_info = {
    .name = TYPE_RTVNIC,
    .parent = TYPE_PARENT,
    .instance_init = rtvnic_init,
    .class_init = rtvnic_class_init,
};

static void rtvnic_register(void)
{
    type_register_static(&rtvnic_info);
}

type_init(rtvnic_register)
