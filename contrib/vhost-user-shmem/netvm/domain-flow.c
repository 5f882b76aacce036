/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where members may send by themselves: the table that they look packets up in
 * (rtnet/netvm-abi.h).
 *
 * What is not there goes to the daemon.  So an entry may come late; it has to
 * go before it is wrong, and the epoch after that says when all have seen it.
 *
 * Threads: control.
 */
#include "domain.h"
#include "netvm-flow.h"

/* Of the table, which members can write to, we know our own keys. */
void domain_show_flow(Domain *d, uint64_t key, uint64_t value)
{
    struct netvm_flow *table = domain_region_flows(d->region);
    uint32_t at = netvm_flow_hash(key), free_at = UINT32_MAX;

    for (unsigned i = 0; i < NETVM_FLOW_PROBES; i++) {
        uint32_t place = (at + i) & (DOMAIN_FLOWS - 1);

        if (d->flow_key[place] == key) {
            free_at = place;
            break;
        }
        if (d->flow_key[place] == 0 && free_at == UINT32_MAX) {
            free_at = place;
        }
    }
    if (free_at == UINT32_MAX) {
        return;                     /* the daemon knows it all the same */
    }
    netvm_write_release(&table[free_at].value, 0);
    netvm_write_release(&table[free_at].key, value ? key : 0);
    netvm_write_release(&table[free_at].value, value);
    d->flow_key[free_at] = value ? key : 0;
}

/* -- Addresses ------------------------------------------------------------- */

static bool has(const DomainMac *macs, unsigned n, const DomainMac *mac)
{
    for (unsigned i = 0; i < n; i++) {
        if (macs[i].key == mac->key && macs[i].value == mac->value) {
            return true;
        }
    }
    return false;
}

/* Those that are not among @wanted go; are there any? */
static bool hide_others(Domain *d, const DomainMac *wanted, unsigned n)
{
    bool some = false;

    for (unsigned i = d->macs->len; i-- > 0; ) {
        DomainMac *mac = &g_array_index(d->macs, DomainMac, i);

        if (!has(wanted, n, mac)) {
            domain_show_flow(d, mac->key, 0);
            g_array_remove_index_fast(d->macs, i);
            some = true;
        }
    }
    return some;
}

void domain_show_macs(Domain *d, const DomainMac *macs, unsigned n)
{
    if (hide_others(d, macs, n)) {
        domain_region_new_epoch(d->region);
    }
    for (unsigned i = 0; i < n; i++) {
        if (!has((DomainMac *)d->macs->data, d->macs->len, &macs[i])) {
            domain_show_flow(d, macs[i].key, macs[i].value);
            g_array_append_val(d->macs, macs[i]);
        }
    }
}

void domain_hide_macs(Domain *d, const DomainMember *m)
{
    for (unsigned i = d->macs->len; i-- > 0; ) {
        DomainMac *mac = &g_array_index(d->macs, DomainMac, i);

        if (mac->value == NETVM_VALUE_MEMBER(m->number)) {
            domain_show_flow(d, mac->key, 0);
            g_array_remove_index_fast(d->macs, i);
        }
    }
}
