// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * netvm-shm: gives the PCI device (docs/specs/netvm-shm.rst) to a program,
 * libnetvm, as netvm_shm.h says: its memory, its interrupts, and its end.
 *
 * The region is mapped write-back cached, like memory.  It is memory: the
 * host's, which other virtual machines have mapped, cached, too, and no device
 * stands behind it that would have to see each access.  Uncached, each read of
 * a packet's header would take as long as one from a real device.
 * Write-combining would be wrong: on x86 it gives up the order in which writes
 * are seen, and rings live on that.
 *
 * remap_pfn_range() would not do it.  It asks the MTRRs, by which firmware
 * declares uncached what is not RAM below 4 GiB, so that a window which lies
 * there would be mapped so, without a word.  For KVM, guests' MTRRs are no more
 * than a declaration (but for some that also have a device of the host's); what
 * counts is the page table.  So its entries are written here.  Nobody else maps
 * the same in another way: the driver claims the BARs exclusively, which keeps
 * sysfs and /dev/mem out.
 *
 * Mappings are filled when they are touched, 2 MiB at a time.  That is what
 * makes removal safe: a fault after it finds a page of ones, and a fault before
 * it is undone by it, because the mapping was known by then.
 *
 * Threads: @lock guards the end of the device against whoever uses it; it is
 * taken below mmap_lock.  Interrupt handlers touch but @regs, which go after
 * them, @interrupts and @wait.
 */
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/interrupt.h>
#include <linux/kref.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/version.h>
#include <linux/wait.h>

#include "netvm_shm.h"
#include "rtnet/netvm-regs.h"

#define DRIVER_NAME "netvm_shm"
#define ALL_VECTORS ((1u << NETVM_VECTORS) - 1)
#define ALL_ONES 0xffffffffu		/* what is not there reads so */

struct netvm_dev {
	struct kref kref;		/* the driver's, and the open file's */
	struct pci_dev *pdev;
	struct miscdevice misc;
	int number;
	char name[16];

	void __iomem *regs;
	bool msix;
	struct {
		phys_addr_t address;
		u64 bytes;
	} bar[NETVM_BAR_REGION + 1];

	struct mutex lock;
	bool gone;			/* the device is; never comes back */
	struct address_space *mapping;	/* of who has it open, or NULL */
	struct page *ones;		/* what he finds once it is gone */

	atomic64_t interrupts;		/* not read yet */
	wait_queue_head_t wait;
};

static DEFINE_IDA(numbers);

static void netvm_free(struct kref *kref)
{
	struct netvm_dev *nv = container_of(kref, struct netvm_dev, kref);

	ida_free(&numbers, nv->number);
	__free_page(nv->ones);
	kfree(nv);
}

/* All that the program owned goes back, and INTx is silent. */
static void reset(struct netvm_dev *nv)
{
	iowrite32(NETVM_CONTROL_RESET, nv->regs + NETVM_REG_CONTROL);
}

static void allow_intx(struct netvm_dev *nv)
{
	iowrite32(ALL_VECTORS, nv->regs + NETVM_REG_INT_MASK);
}

/* -- Interrupts ------------------------------------------------------------ */

static irqreturn_t netvm_interrupt(int irq, void *opaque)
{
	struct netvm_dev *nv = opaque;

	atomic64_inc(&nv->interrupts);
	wake_up_interruptible(&nv->wait);
	return IRQ_HANDLED;
}

/* Reading INT_STATUS ends it; others may have the same line. */
static irqreturn_t netvm_intx(int irq, void *opaque)
{
	struct netvm_dev *nv = opaque;
	u32 vectors = ioread32(nv->regs + NETVM_REG_INT_STATUS);

	if (vectors == 0 || vectors == ALL_ONES)
		return IRQ_NONE;
	return netvm_interrupt(irq, opaque);
}

static void stop_interrupts(struct netvm_dev *nv, int vectors)
{
	while (vectors-- > 0)
		free_irq(pci_irq_vector(nv->pdev, vectors), nv);
	pci_free_irq_vectors(nv->pdev);
}

static int start_msix(struct netvm_dev *nv)
{
	int i, err;

	err = pci_alloc_irq_vectors(nv->pdev, NETVM_VECTORS, NETVM_VECTORS,
				    PCI_IRQ_MSIX);
	if (err < 0)
		return err;
	for (i = 0; i < NETVM_VECTORS; i++) {
		err = request_irq(pci_irq_vector(nv->pdev, i), netvm_interrupt,
				  0, nv->name, nv);
		if (err) {
			stop_interrupts(nv, i);
			return err;
		}
	}
	nv->msix = true;
	return 0;
}

static int start_interrupts(struct netvm_dev *nv)
{
	if (start_msix(nv) == 0)
		return 0;
	return request_irq(nv->pdev->irq, netvm_intx, IRQF_SHARED, nv->name,
			   nv);
}

/* -- Mappings -------------------------------------------------------------- */

struct fill {
	struct vm_area_struct *vma;
	phys_addr_t address;		/* of the vma's first byte */
};

static int fill_page(pte_t *pte, unsigned long at, void *opaque)
{
	struct fill *f = opaque;
	struct vm_area_struct *vma = f->vma;
	phys_addr_t address = f->address + (at - vma->vm_start);

	set_pte_at(vma->vm_mm, at, pte,
		   pte_mkspecial(pfn_pte(PHYS_PFN(address),
					 vma->vm_page_prot)));
	return 0;
}

static vm_fault_t fill_around(struct netvm_dev *nv, struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long first = max(vma->vm_start, vmf->address & PMD_MASK);
	unsigned long end = min(vma->vm_end - 1, vmf->address | ~PMD_MASK) + 1;
	u64 offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
	struct fill f = { .vma = vma };

	if (offset < NETVM_MMAP_REGION)
		f.address = nv->bar[NETVM_BAR_REGISTERS].address + offset;
	else
		f.address = nv->bar[NETVM_BAR_REGION].address +
			    (offset - NETVM_MMAP_REGION);
	if (apply_to_page_range(vma->vm_mm, first, end - first, fill_page, &f))
		return VM_FAULT_OOM;
	return VM_FAULT_NOPAGE;
}

static vm_fault_t netvm_fault(struct vm_fault *vmf)
{
	struct netvm_dev *nv = vmf->vma->vm_private_data;
	vm_fault_t result;

	mutex_lock(&nv->lock);
	if (nv->gone)
		result = vmf_insert_pfn(vmf->vma, vmf->address,
					page_to_pfn(nv->ones));
	else
		result = fill_around(nv, vmf);
	mutex_unlock(&nv->lock);
	return result;
}

static const struct vm_operations_struct netvm_vm_ops = {
	.fault = netvm_fault,
};

static int netvm_mmap(struct file *file, struct vm_area_struct *vma)
{
	const unsigned long flags = VM_PFNMAP | VM_IO | VM_DONTEXPAND |
				    VM_DONTDUMP;
	struct netvm_dev *nv = file->private_data;
	u64 offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
	u64 bytes = nv->bar[NETVM_BAR_REGISTERS].bytes;
	bool is_region = offset >= NETVM_MMAP_REGION;

	if (is_region) {
		offset -= NETVM_MMAP_REGION;
		bytes = nv->bar[NETVM_BAR_REGION].bytes;
	}
	if (!(vma->vm_flags & VM_SHARED) || offset > bytes ||
	    vma->vm_end - vma->vm_start > bytes - offset)
		return -EINVAL;
	if (!is_region)
		vma->vm_page_prot = pgprot_noncached(vma->vm_page_prot);
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
	vma->vm_flags |= flags;
#else
	vm_flags_set(vma, flags);
#endif
	vma->vm_private_data = nv;
	vma->vm_ops = &netvm_vm_ops;
	return 0;
}

/* -- The file -------------------------------------------------------------- */

static int netvm_open(struct inode *inode, struct file *file)
{
	struct netvm_dev *nv = container_of(file->private_data,
					    struct netvm_dev, misc);
	int err = 0;

	mutex_lock(&nv->lock);
	if (nv->mapping) {
		err = -EBUSY;
	} else {
		nv->mapping = file->f_mapping;
		atomic64_set(&nv->interrupts, 0);
		kref_get(&nv->kref);
		file->private_data = nv;
	}
	mutex_unlock(&nv->lock);
	return err ?: nonseekable_open(inode, file);
}

/* The mappings hold on to the file: they are gone. */
static int netvm_release(struct inode *inode, struct file *file)
{
	struct netvm_dev *nv = file->private_data;

	mutex_lock(&nv->lock);
	if (!nv->gone) {
		reset(nv);
		allow_intx(nv);
	}
	nv->mapping = NULL;
	mutex_unlock(&nv->lock);
	kref_put(&nv->kref, netvm_free);
	return 0;
}

static bool may_read(struct netvm_dev *nv)
{
	return atomic64_read(&nv->interrupts) || READ_ONCE(nv->gone);
}

static ssize_t netvm_read(struct file *file, char __user *to, size_t bytes,
			  loff_t *position)
{
	struct netvm_dev *nv = file->private_data;
	u64 interrupts;

	if (bytes < sizeof(interrupts))
		return -EINVAL;
	do {
		if (!(file->f_flags & O_NONBLOCK) &&
		    wait_event_interruptible(nv->wait, may_read(nv)))
			return -ERESTARTSYS;
		if (READ_ONCE(nv->gone))
			return -ENODEV;
		interrupts = atomic64_xchg(&nv->interrupts, 0);
		if (interrupts == 0 && (file->f_flags & O_NONBLOCK))
			return -EAGAIN;
	} while (interrupts == 0);
	return copy_to_user(to, &interrupts, sizeof(interrupts)) ?
	       -EFAULT : sizeof(interrupts);
}

static __poll_t netvm_poll(struct file *file, poll_table *table)
{
	struct netvm_dev *nv = file->private_data;

	poll_wait(file, &nv->wait, table);
	if (READ_ONCE(nv->gone))
		return EPOLLIN | EPOLLRDNORM | EPOLLHUP;
	return may_read(nv) ? EPOLLIN | EPOLLRDNORM : 0;
}

static const struct file_operations netvm_fops = {
	.owner = THIS_MODULE,
	.open = netvm_open,
	.release = netvm_release,
	.read = netvm_read,
	.poll = netvm_poll,
	.mmap = netvm_mmap,
};

/* -- The device ------------------------------------------------------------ */

/* Has the firmware, or the kernel, found a place for it? */
static int find_bar(struct netvm_dev *nv, int bar)
{
	nv->bar[bar].address = pci_resource_start(nv->pdev, bar);
	nv->bar[bar].bytes = pci_resource_len(nv->pdev, bar);
	if (nv->bar[bar].bytes == 0 ||
	    pci_resource_flags(nv->pdev, bar) & IORESOURCE_UNSET) {
		dev_err(&nv->pdev->dev,
			"the machine has no addresses left for BAR %d: "
			"give the device a smaller size=, or the CPU more "
			"phys-bits\n", bar);
		return -ENODEV;
	}
	return 0;
}

/* Is it one we know? */
static int check_version(struct netvm_dev *nv)
{
	u32 magic = ioread32(nv->regs + NETVM_REG_MAGIC);
	u32 version = ioread32(nv->regs + NETVM_REG_VERSION);

	if (magic != NETVM_MAGIC || version >> 16 != NETVM_VERSION_MAJOR) {
		dev_err(&nv->pdev->dev,
			"a device of version %u, the module's is %u: "
			"take both from one release\n",
			version >> 16, NETVM_VERSION_MAJOR);
		return -ENODEV;
	}
	return 0;
}

/* Without the device; that is the kref's. */
static struct netvm_dev *netvm_new(struct pci_dev *pdev)
{
	struct netvm_dev *nv = kzalloc(sizeof(*nv), GFP_KERNEL);

	if (!nv)
		return NULL;
	nv->ones = alloc_page(GFP_KERNEL);
	nv->number = ida_alloc(&numbers, GFP_KERNEL);
	if (!nv->ones || nv->number < 0) {
		if (nv->number >= 0)
			ida_free(&numbers, nv->number);
		if (nv->ones)
			__free_page(nv->ones);
		kfree(nv);
		return NULL;
	}
	memset(page_address(nv->ones), 0xff, PAGE_SIZE);
	kref_init(&nv->kref);
	mutex_init(&nv->lock);
	init_waitqueue_head(&nv->wait);
	snprintf(nv->name, sizeof(nv->name), "netvm%d", nv->number);
	nv->pdev = pdev;
	nv->misc.minor = MISC_DYNAMIC_MINOR;
	nv->misc.name = nv->name;
	nv->misc.fops = &netvm_fops;
	nv->misc.parent = &pdev->dev;
	return nv;
}

static int netvm_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct netvm_dev *nv = netvm_new(pdev);
	int err;

	if (!nv)
		return -ENOMEM;
	err = find_bar(nv, NETVM_BAR_REGISTERS) ?:
	      find_bar(nv, NETVM_BAR_REGION) ?: pci_enable_device(pdev);
	if (err)
		goto put;
	err = pci_request_regions_exclusive(pdev, DRIVER_NAME);
	if (err)
		goto disable;
	nv->regs = pci_iomap(pdev, NETVM_BAR_REGISTERS, NETVM_REGISTERS_BYTES);
	err = nv->regs ? check_version(nv) : -ENOMEM;
	if (err)
		goto unmap;
	pci_set_master(pdev);		/* an MSI is a write to memory */
	err = start_interrupts(nv);
	if (err)
		goto unmap;
	reset(nv);
	allow_intx(nv);
	pci_set_drvdata(pdev, nv);
	err = misc_register(&nv->misc);
	if (err)
		goto stop;
	dev_info(&pdev->dev,
		 "/dev/%s: a window of %llu MiB, interrupts by %s\n",
		 nv->name, nv->bar[NETVM_BAR_REGION].bytes >> 20,
		 nv->msix ? "MSI-X" : "INTx");
	return 0;
stop:
	stop_interrupts(nv, nv->msix ? NETVM_VECTORS : 1);
unmap:
	if (nv->regs)
		pci_iounmap(pdev, nv->regs);
	pci_release_regions(pdev);
disable:
	pci_disable_device(pdev);
put:
	kref_put(&nv->kref, netvm_free);
	return err;
}

static void netvm_remove(struct pci_dev *pdev)
{
	struct netvm_dev *nv = pci_get_drvdata(pdev);

	misc_deregister(&nv->misc);
	mutex_lock(&nv->lock);
	WRITE_ONCE(nv->gone, true);
	if (nv->mapping)
		unmap_mapping_range(nv->mapping, 0, 0, 1);
	reset(nv);
	mutex_unlock(&nv->lock);
	wake_up_all(&nv->wait);
	stop_interrupts(nv, nv->msix ? NETVM_VECTORS : 1);
	pci_iounmap(pdev, nv->regs);
	pci_release_regions(pdev);
	pci_disable_device(pdev);
	kref_put(&nv->kref, netvm_free);
}

static const struct pci_device_id netvm_ids[] = {
	{ PCI_DEVICE(NETVM_PCI_VENDOR, NETVM_PCI_DEVICE) },
	{ }
};
MODULE_DEVICE_TABLE(pci, netvm_ids);

static struct pci_driver netvm_driver = {
	.name = DRIVER_NAME,
	.id_table = netvm_ids,
	.probe = netvm_probe,
	.remove = netvm_remove,
};
module_pci_driver(netvm_driver);

MODULE_DESCRIPTION("netvm-shm: memory shared by virtual machines");
MODULE_VERSION("1.0");
MODULE_LICENSE("GPL");
