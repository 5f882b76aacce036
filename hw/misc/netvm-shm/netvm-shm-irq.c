/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupts.  A vector whose eventfd is rung goes to the guest as MSI-X, or,
 * while that is off, as a bit in INT_STATUS that INTx shows.  Under KVM the
 * kernel does it (irqfd) as long as the vector is not masked; in all other
 * cases the main loop reads the eventfd.
 *
 * Threads: main loop and vCPUs, under the BQL.
 */
#include "qemu/osdep.h"
#include "hw/pci/msi.h"
#include "hw/pci/msix.h"
#include "system/kvm.h"
#include "netvm-shm.h"
#include "trace.h"

static unsigned number_of(const NetvmVector *v)
{
    return v - v->device->vector;
}

/* -- By the main loop ------------------------------------------------------ */

void netvm_irq_update_intx(NetvmShm *s)
{
    PCIDevice *pci_dev = PCI_DEVICE(s);

    pci_set_irq(pci_dev, !msix_enabled(pci_dev) &&
                         (s->int_status & s->int_mask));
}

void netvm_irq_raise(NetvmShm *s, unsigned vector)
{
    PCIDevice *pci_dev = PCI_DEVICE(s);

    trace_netvm_shm_interrupt(s->name, vector);
    if (msix_enabled(pci_dev)) {
        msix_notify(pci_dev, vector);
    } else {
        s->int_status |= BIT(vector);
        netvm_irq_update_intx(s);
    }
}

static void event_came(EventNotifier *event)
{
    NetvmVector *v = container_of(event, NetvmVector, event);

    if (event_notifier_test_and_clear(event)) {
        netvm_irq_raise(v->device, number_of(v));
    }
}

/* -- By KVM ---------------------------------------------------------------- */

static bool add_irqfd(NetvmVector *v)
{
    KVMRouteChange change = kvm_irqchip_begin_route_changes(kvm_state);

    v->virq = kvm_irqchip_add_msi_route(&change, number_of(v),
                                        PCI_DEVICE(v->device));
    if (v->virq < 0) {
        return false;
    }
    kvm_irqchip_commit_route_changes(&change);
    /* It refuses, for one, an eventfd that is an irqfd already. */
    if (kvm_irqchip_add_irqfd_notifier_gsi(kvm_state, &v->event, NULL,
                                           v->virq) < 0) {
        kvm_irqchip_release_virq(kvm_state, v->virq);
        return false;
    }
    return true;
}

static void stop_irqfd(NetvmVector *v)
{
    if (v->irqfd) {
        kvm_irqchip_remove_irqfd_notifier_gsi(kvm_state, &v->event, v->virq);
        kvm_irqchip_release_virq(kvm_state, v->virq);
        v->irqfd = false;
        event_notifier_set_handler(&v->event, event_came);
        trace_netvm_shm_irqfd(v->device->name, number_of(v), false);
    }
}

static void start_irqfd(NetvmVector *v)
{
    if (!v->irqfd && add_irqfd(v)) {
        v->irqfd = true;
        event_notifier_set_handler(&v->event, NULL);
        trace_netvm_shm_irqfd(v->device->name, number_of(v), true);
    }
}

/* Whoever has to wait for the event, waits. */
static void listen_to(NetvmVector *v)
{
    PCIDevice *pci_dev = PCI_DEVICE(v->device);

    if (!v->event.initialized) {
        return;
    }
    if (kvm_msi_via_irqfd_enabled() && msix_enabled(pci_dev) &&
        !msix_is_masked(pci_dev, number_of(v))) {
        start_irqfd(v);
    } else {
        stop_irqfd(v);
    }
}

static int vector_unmasked(PCIDevice *pci_dev, unsigned vector, MSIMessage msg)
{
    listen_to(&NETVM_SHM(pci_dev)->vector[vector]);
    return 0;
}

static void vector_masked(PCIDevice *pci_dev, unsigned vector)
{
    listen_to(&NETVM_SHM(pci_dev)->vector[vector]);
}

/* -- Life ------------------------------------------------------------------ */

static void clear_event(NetvmVector *v)
{
    if (v->event.initialized) {
        stop_irqfd(v);
        event_notifier_set_handler(&v->event, NULL);
        event_notifier_cleanup(&v->event);
    }
}

void netvm_irq_set_event(NetvmShm *s, unsigned vector, int fd)
{
    NetvmVector *v = &s->vector[vector];

    clear_event(v);
    event_notifier_init_fd(&v->event, fd);
    event_notifier_set_handler(&v->event, event_came);
    listen_to(v);
}

void netvm_irq_clear_events(NetvmShm *s)
{
    for (unsigned i = 0; i < NETVM_VECTORS; i++) {
        clear_event(&s->vector[i]);
    }
}

/* The MSI-X notifiers do not tell when all of MSI-X is switched off. */
void netvm_irq_config_written(NetvmShm *s)
{
    for (unsigned i = 0; i < NETVM_VECTORS; i++) {
        listen_to(&s->vector[i]);
    }
    netvm_irq_update_intx(s);
}

void netvm_irq_reset(NetvmShm *s)
{
    s->int_status = 0;
    s->int_mask = 0;
    netvm_irq_update_intx(s);
}

void netvm_irq_stop_irqfds(NetvmShm *s)
{
    for (unsigned i = 0; i < NETVM_VECTORS; i++) {
        stop_irqfd(&s->vector[i]);
    }
}

bool netvm_irq_init(NetvmShm *s, Error **errp)
{
    PCIDevice *pci_dev = PCI_DEVICE(s);

    if (msix_init_exclusive_bar(pci_dev, NETVM_VECTORS, NETVM_BAR_MSIX,
                                errp)) {
        return false;
    }
    for (unsigned i = 0; i < NETVM_VECTORS; i++) {
        s->vector[i].device = s;
        msix_vector_use(pci_dev, i);
    }
    if (kvm_msi_via_irqfd_enabled()) {
        msix_set_vector_notifiers(pci_dev, vector_unmasked, vector_masked,
                                  NULL);
    }
    pci_config_set_interrupt_pin(pci_dev->config, 1);
    return true;
}

void netvm_irq_cleanup(NetvmShm *s)
{
    PCIDevice *pci_dev = PCI_DEVICE(s);

    netvm_irq_clear_events(s);
    if (pci_dev->msix_vector_use_notifier) {
        msix_unset_vector_notifiers(pci_dev);
    }
    msix_uninit_exclusive_bar(pci_dev);
}
