/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What rtnet/netvm-*.h want of the C library's header, inside the kernel,
 * which has none.
 */
#ifndef NETVM_SHM_STDINT_H
#define NETVM_SHM_STDINT_H

#include <linux/types.h>

#define UINT16_C(n) n
#define UINT32_C(n) n##U
#define UINT64_C(n) n##ULL
#define UINT64_MAX (~UINT64_C(0))

#endif
