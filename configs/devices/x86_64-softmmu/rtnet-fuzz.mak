# SPDX-License-Identifier: GPL-2.0-or-later
#
# Devices of the QEMU with sanitizers: what fuzzers and qtests use, because
# with all devices it takes twice as long to build.
CONFIG_AMD_IOMMU=n
CONFIG_CXL=n
CONFIG_HYPERV=n
CONFIG_ISAPC=n
CONFIG_MICROVM=n
CONFIG_PCI_DEVICES=n
CONFIG_PXB=n
CONFIG_TEST_DEVICES=n
CONFIG_VTD=n

CONFIG_E1000_PCI=y
CONFIG_NE2000_PCI=y
CONFIG_RTVNIC=y
CONFIG_RTVNIC_NE2K=y
CONFIG_VIRTIO_PCI=y
CONFIG_VIRTIO_BLK=y
CONFIG_VIRTIO_NET=y
