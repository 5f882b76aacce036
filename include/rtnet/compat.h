/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where QEMU's versions differ, and nothing else.  The base is 10.0.
 */
#ifndef RTNET_COMPAT_H
#define RTNET_COMPAT_H

/* Second argument of TypeInfo.class_init; 10.1 made it const. */
#if QEMU_VERSION_MAJOR > 10 || (QEMU_VERSION_MAJOR == 10 && \
                                QEMU_VERSION_MINOR >= 1)
typedef const void RtnetClassData;
#else
typedef void RtnetClassData;
#endif

/* 10.2 gave it the name of the side that it is on. */
#if QEMU_VERSION_MAJOR > 10 || (QEMU_VERSION_MAJOR == 10 && \
                                QEMU_VERSION_MINOR >= 2)
#define RtnetCharFrontend CharFrontend
#else
#define RtnetCharFrontend CharBackend
#endif

#endif
