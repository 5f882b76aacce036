/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device: its options, which are all checked before the guest starts, and
 * its life.  It never waits for a daemon.
 *
 * Threads: main loop, under the BQL.
 */
#include "qemu/osdep.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "hw/qdev-properties.h"
#include "hw/qdev-properties-system.h"
#include "migration/blocker.h"
#include "netvm-shm.h"

#define SIZE_MIN_BYTES (2 * MiB)        /* a huge page */

/* What has a place below 4 GiB on any machine. */
#define SIZE_LOW_BYTES (256 * MiB)

/* -- Options --------------------------------------------------------------- */

/* Physical address bits of the guest's CPUs, 0 if that is no matter. */
static unsigned guest_address_bits(void)
{
    Object *cpu = OBJECT(first_cpu);
    unsigned bits;

    if (!cpu || !object_property_find(cpu, "phys-bits")) {
        return 0;
    }
    bits = object_property_get_uint(cpu, "phys-bits", &error_abort);
    return bits ?: 40;          /* TCG's */
}

/*
 * The largest window: a BAR lies at a multiple of its size, and this one above
 * 4 GiB and the guest's own memory.
 */
static uint64_t largest_size(unsigned bits)
{
    uint64_t end = UINT64_C(1) << bits;
    uint64_t used = 4 * GiB + current_machine->maxram_size;
    uint64_t size = end / 2;

    while (size > SIZE_LOW_BYTES && ROUND_UP(used, size) + size > end) {
        size /= 2;
    }
    return size;
}

static bool check_size(NetvmShm *s, Error **errp)
{
    unsigned bits = guest_address_bits();
    g_autofree char *size = netvm_size_text(s->size_bytes);
    g_autofree char *largest = NULL;

    if (!s->size_bytes) {
        error_setg(errp, "netvm-shm needs a size: add size=1G, or the size of "
                   "the largest region that the daemon may have");
        return false;
    }
    if (s->size_bytes < SIZE_MIN_BYTES || !is_power_of_2(s->size_bytes)) {
        error_setg(errp, "size=%" PRIu64 " is no power of two of at least 2M: "
                   "use 2M, 4M, ..., 1G, 2G, ...", s->size_bytes);
        return false;
    }
    if (bits && s->size_bytes > largest_size(bits)) {
        largest = netvm_size_text(largest_size(bits));
        error_setg(errp, "size=%s does not fit the guest: beside its memory, "
                   "its %u physical address bits have room for size=%s. Use "
                   "that, or give it more: -cpu ...,phys-bits=N, or "
                   "host-phys-bits=on for as many as the host has",
                   size, bits, largest);
        return false;
    }
    return true;
}

static bool check_chardev(NetvmShm *s, Error **errp)
{
    Chardev *chr = qemu_chr_fe_get_driver(&s->chr);

    if (!chr) {
        error_setg(errp, "netvm-shm needs a chardev, on which the daemon is: "
                   "-chardev socket,id=c0,path=SOCKET,reconnect-ms=1000 and "
                   "chardev=c0");
        return false;
    }
    if (!qemu_chr_has_feature(chr, QEMU_CHAR_FEATURE_FD_PASS)) {
        error_setg(errp, "chardev '%s' cannot pass files: use a Unix socket, "
                   "-chardev socket,id=%s,path=SOCKET,reconnect-ms=1000",
                   chr->label, chr->label);
        return false;
    }
    return true;
}

/* -- Life ------------------------------------------------------------------ */

void netvm_shm_reset(NetvmShm *s)
{
    netvm_irq_reset(s);
    netvm_wire_reset(s);
}

static void netvm_shm_reset_hold(Object *obj, ResetType type)
{
    NetvmShm *s = NETVM_SHM(obj);

    netvm_irq_stop_irqfds(s);
    netvm_shm_reset(s);
}

static void netvm_shm_realize(PCIDevice *pci_dev, Error **errp)
{
    NetvmShm *s = NETVM_SHM(pci_dev);

    if (!check_chardev(s, errp) || !check_size(s, errp)) {
        return;
    }
    g_free(s->name);
    s->name = qdev_get_human_name(DEVICE(s));
    error_setg(&s->migration_blocker, "netvm-shm: memory shared with other "
               "guests cannot migrate; unplug device '%s' first", s->name);
    if (migrate_add_blocker(&s->migration_blocker, errp) < 0) {
        return;
    }
    if (!netvm_irq_init(s, errp)) {
        migrate_del_blocker(&s->migration_blocker);
        return;
    }
    netvm_regs_init(s);
    pci_register_bar(pci_dev, NETVM_BAR_REGISTERS,
                     PCI_BASE_ADDRESS_SPACE_MEMORY, &s->registers);
    netvm_region_init(s);
    pci_register_bar(pci_dev, NETVM_BAR_REGION,
                     PCI_BASE_ADDRESS_SPACE_MEMORY |
                     PCI_BASE_ADDRESS_MEM_PREFETCH |
                     PCI_BASE_ADDRESS_MEM_TYPE_64, &s->window);
    netvm_wire_start(s);
}

static void netvm_shm_exit(PCIDevice *pci_dev)
{
    NetvmShm *s = NETVM_SHM(pci_dev);

    netvm_wire_stop(s);
    netvm_doorbell_clear_all(s);
    netvm_irq_cleanup(s);
    netvm_region_clear(s);
    migrate_del_blocker(&s->migration_blocker);
}

static void netvm_shm_finalize(Object *obj)
{
    g_free(NETVM_SHM(obj)->name);
}

static void netvm_shm_config_write(PCIDevice *pci_dev, uint32_t address,
                                   uint32_t value, int bytes)
{
    pci_default_write_config(pci_dev, address, value, bytes);
    netvm_irq_config_written(NETVM_SHM(pci_dev));
}

/* -- The type -------------------------------------------------------------- */

static const Property netvm_shm_properties[] = {
    DEFINE_PROP_CHR("chardev", NetvmShm, chr),
    DEFINE_PROP_SIZE("size", NetvmShm, size_bytes, 0),
};

static char *get_state(Object *obj, Error **errp)
{
    NetvmShm *s = NETVM_SHM(obj);

    return qdev_is_realized(DEVICE(obj)) ? netvm_wire_describe(s) :
                                           g_strdup("not realized");
}

static void netvm_shm_class_init(ObjectClass *oc, RtnetClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(oc);

    pc->realize = netvm_shm_realize;
    pc->exit = netvm_shm_exit;
    pc->config_write = netvm_shm_config_write;
    pc->vendor_id = NETVM_PCI_VENDOR;
    pc->device_id = NETVM_PCI_DEVICE;
    pc->revision = NETVM_PCI_REVISION;
    pc->class_id = PCI_CLASS_MEMORY_RAM;
    RESETTABLE_CLASS(oc)->phases.hold = netvm_shm_reset_hold;
    dc->desc = "Memory shared by the VMs of a domain, for network functions";
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
    device_class_set_props(dc, netvm_shm_properties);
    object_class_property_set_description(oc, "chardev",
        "Unix socket of the daemon's netvm port");
    object_class_property_set_description(oc, "size",
        "of the window: a power of two, and no less than the domain's region");
    object_class_property_add_str(oc, "state", get_state, NULL);
    object_class_property_set_description(oc, "state",
        "what the daemon made of it (read only)");
}

static const TypeInfo netvm_shm_info = {
    .name = TYPE_NETVM_SHM,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(NetvmShm),
    .instance_finalize = netvm_shm_finalize,
    .class_init = netvm_shm_class_init,
    .interfaces = (InterfaceInfo[]) {
        { INTERFACE_CONVENTIONAL_PCI_DEVICE },
        { },
    },
};

static void netvm_shm_register(void)
{
    type_register_static(&netvm_shm_info);
}

type_init(netvm_shm_register)
