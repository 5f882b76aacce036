/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BAR 0.  A doorbell is an ioeventfd: under KVM a write to it signals the
 * eventfd in the kernel; otherwise QEMU's memory core does before it would
 * come here.
 *
 * Threads: vCPUs and main loop, under the BQL.
 */
#include "qemu/osdep.h"
#include "netvm-shm.h"
#include "trace.h"

#define ACCESS_BYTES 4

/* -- Registers ------------------------------------------------------------- */

static uint32_t status(NetvmShm *s)
{
    uint32_t bits = 0;

    if (s->wire.state != NETVM_WIRE_CLOSED) {
        bits |= NETVM_STATUS_CONNECTED;
    }
    if (s->segments) {
        bits |= NETVM_STATUS_REGION;
    }
    if (s->wire.ready) {
        bits |= NETVM_STATUS_READY;
    }
    return bits;
}

static uint32_t take_int_status(NetvmShm *s)
{
    uint32_t bits = s->int_status;

    s->int_status = 0;
    netvm_irq_update_intx(s);
    return bits;
}

static uint32_t read_register(NetvmShm *s, hwaddr offset)
{
    switch (offset) {
    case NETVM_REG_MAGIC:
        return NETVM_MAGIC;
    case NETVM_REG_VERSION:
        return NETVM_VERSION_MAJOR << 16 | NETVM_VERSION_MINOR;
    case NETVM_REG_STATUS:
        return status(s);
    case NETVM_REG_MEMBER:
        return s->wire.ready ? s->wire.member : 0;
    case NETVM_REG_SERIAL:
        return s->wire.ready ? s->wire.serial : 0;
    case NETVM_REG_INT_STATUS:
        return take_int_status(s);
    case NETVM_REG_INT_MASK:
        return s->int_mask;
    case NETVM_REG_SEGMENTS:
        return s->segments;
    case NETVM_REG_ATTACHED:
        return s->attached;
    default:
        return 0;
    }
}

static uint64_t regs_read(void *opaque, hwaddr offset, unsigned size)
{
    NetvmShm *s = opaque;
    uint32_t value = read_register(s, offset);

    trace_netvm_shm_read(s->name, offset, value);
    return value;
}

/* KVM hands us what it does not know: part of a wider write. */
static void ring(NetvmShm *s, hwaddr offset)
{
    uint64_t member = (offset - NETVM_REG_DOORBELL(0)) / ACCESS_BYTES;

    if (member <= NETVM_MEMBERS_MAX && s->doorbell[member].initialized) {
        event_notifier_set(&s->doorbell[member]);
    }
}

static void regs_write(void *opaque, hwaddr offset, uint64_t value,
                       unsigned size)
{
    NetvmShm *s = opaque;

    trace_netvm_shm_write(s->name, offset, value);
    if (offset >= NETVM_REG_DOORBELL(0)) {
        ring(s, offset);
    } else if (offset == NETVM_REG_CONTROL && (value & NETVM_CONTROL_RESET)) {
        netvm_shm_reset(s);
    } else if (offset == NETVM_REG_INT_MASK) {
        s->int_mask = value & (BIT(NETVM_VECTORS) - 1);
        netvm_irq_update_intx(s);
    }
}

static const MemoryRegionOps regs_ops = {
    .read = regs_read,
    .write = regs_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = {
        .min_access_size = ACCESS_BYTES,
        .max_access_size = ACCESS_BYTES,
    },
    .impl = {
        .min_access_size = ACCESS_BYTES,
        .max_access_size = ACCESS_BYTES,
    },
};

void netvm_regs_init(NetvmShm *s)
{
    memory_region_init_io(&s->registers, OBJECT(s), &regs_ops, s,
                          "netvm-shm.registers", NETVM_REGISTERS_BYTES);
}

/* -- Doorbells ------------------------------------------------------------- */

static void disconnect_doorbell(NetvmShm *s, unsigned member)
{
    if (s->doorbell[member].initialized) {
        trace_netvm_shm_doorbell(s->name, member, false);
        memory_region_del_eventfd(&s->registers, NETVM_REG_DOORBELL(member),
                                  ACCESS_BYTES, false, 0,
                                  &s->doorbell[member]);
    }
}

void netvm_doorbell_clear(NetvmShm *s, unsigned member)
{
    disconnect_doorbell(s, member);
    event_notifier_cleanup(&s->doorbell[member]);
}

void netvm_doorbell_clear_all(NetvmShm *s)
{
    memory_region_transaction_begin();
    for (unsigned m = 0; m <= NETVM_MEMBERS_MAX; m++) {
        disconnect_doorbell(s, m);
    }
    memory_region_transaction_commit();
    /* Not before: KVM is told of the eventfds when the transaction ends. */
    for (unsigned m = 0; m <= NETVM_MEMBERS_MAX; m++) {
        event_notifier_cleanup(&s->doorbell[m]);
    }
}

void netvm_doorbell_set(NetvmShm *s, unsigned member, int fd)
{
    netvm_doorbell_clear(s, member);
    event_notifier_init_fd(&s->doorbell[member], fd);
    memory_region_add_eventfd(&s->registers, NETVM_REG_DOORBELL(member),
                              ACCESS_BYTES, false, 0, &s->doorbell[member]);
    trace_netvm_shm_doorbell(s->name, member, true);
}
