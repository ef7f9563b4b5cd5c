// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page table of somebody else's that follows the program's: that of a virtual machine, whose memory
 * is the program's. It has to be told (MMU notifiers) that pages are now shared with a snapshot, or
 * the guest goes on to write to them.
 *
 * Without the worker that newer kernels give such a process for its huge pages: with it the process is
 * refused.
 */
#include <kselftest_harness.h>

#include <linux/kvm.h>
#include <sys/uio.h>

#include "snap.h"
#include "system.h"

#define ENTRY	0x1000
#define LEN	0x10000UL
#define FIRST	0x2000		/* the pages from here on are written to, in turn, for ever */

static const unsigned char code[] = {
	0x40,				/* start: inc ax */
	0xbf, 0x00, 0x20,		/*	  mov di, FIRST */
	0x89, 0x05,			/* next:  mov [di], ax */
	0x81, 0xc7, 0x00, 0x10,		/*	  add di, 0x1000 */
	0x73, 0xf8,			/*	  jnc next */
	0xeb, 0xf2,			/*	  jmp start */
};

static void start_guest(int vm, int cpu, char *mem)
{
	struct kvm_userspace_memory_region region = {
		.memory_size = LEN, .userspace_addr = (unsigned long)mem,
	};
	struct kvm_regs regs = { .rip = ENTRY, .rflags = 2 };
	struct kvm_sregs sregs;

	must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region));
	must(ioctl(cpu, KVM_GET_SREGS, &sregs));
	sregs.cs.base = sregs.cs.selector = 0;
	must(ioctl(cpu, KVM_SET_SREGS, &sregs));
	must(ioctl(cpu, KVM_SET_REGS, &regs));
}

static void machine(struct target *me, void *arg)
{
	char *mem = arg;
	int kvm = must(open("/dev/kvm", O_RDWR | O_CLOEXEC));
	int vm = must(ioctl(kvm, KVM_CREATE_VM, 0));
	int cpu = must(ioctl(vm, KVM_CREATE_VCPU, 0));
	struct kvm_run *run;

	run = must(mmap(NULL, must(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0)), PROT_READ | PROT_WRITE,
			MAP_SHARED, cpu, 0));
	memset(mem, 1, LEN);
	memcpy(mem + ENTRY, code, sizeof(code));
	start_guest(vm, cpu, mem);
	target_say(me);
	while (!ioctl(cpu, KVM_RUN, 0) || errno == EINTR)
		if (run->exit_reason != KVM_EXIT_INTR && run->exit_reason != KVM_EXIT_UNKNOWN)
			give_up("the guest ended: %u", run->exit_reason);
	give_up("KVM_RUN: %s", strerror(errno));
}

FIXTURE(guest) {
	struct target target;
	char *mem;
};

/* What the guest wrote last to its last page. */
static unsigned int written(FIXTURE_DATA(guest) *self)
{
	uint16_t value = 0;
	struct iovec to = { &value, sizeof(value) };
	struct iovec from = { self->mem + LEN - PAGE, sizeof(value) };

	must(process_vm_readv(self->target.pid, &to, 1, &from, 1, 0));
	return value;
}

static bool goes_on(FIXTURE_DATA(guest) *self)
{
	unsigned int before = written(self);

	return wait_until(written(self) != before);
}

FIXTURE_SETUP(guest)
{
	/* Older ones do not know the word, and have no such worker. */
	run("modprobe kvm nx_huge_pages=never 2>/dev/null");
	if (access("/dev/kvm", F_OK) && !run("modprobe kvm_amd") && !run("modprobe kvm_intel"))
		SKIP(_exit(255), "this processor has no virtual machines");
	self->mem = anon_memory(LEN);
	advise_huge(self->mem, LEN, MADV_NOHUGEPAGE);
	target_begin(&self->target, machine, self->mem);
	ASSERT_TRUE(goes_on(self));
}

FIXTURE_TEARDOWN(guest)
{
	target_kill(&self->target);
	EXPECT_TRUE(wait_until(nothing_held()));
}

TEST_F(guest, does_not_write_to_the_snapshot)
{
	char before[LEN - FIRST], after[LEN - FIRST];
	unsigned int shared = 0;
	int fd, i;

	for (i = 0; i < 10; i++) {
		/* Pages still on a processor's list of new ones are copied: put them in their place. */
		set_file("/proc/sys/vm/compact_memory", "1");
		fd = snap_ready(self->target.pid, 0);
		shared += stats(fd).out_copied < sizeof(before) / PAGE;
		ASSERT_EQ((ssize_t)sizeof(before),
			  read_at(fd, self->mem + FIRST, before, sizeof(before)));
		ASSERT_TRUE(goes_on(self));
		ASSERT_TRUE(goes_on(self));
		ASSERT_EQ((ssize_t)sizeof(after),
			  read_at(fd, self->mem + FIRST, after, sizeof(after)));
		ASSERT_EQ(0, memcmp(before, after, sizeof(before)))
			fprintf(stderr, "# snapshot %d\n", i);
		close(fd);
	}
	EXPECT_LT(0, shared);	/* else this shows nothing */
}

TEST_HARNESS_MAIN
