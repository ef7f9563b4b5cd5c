// SPDX-License-Identifier: GPL-2.0-only
/*
 * Watch: who is about to write to a program's pages past its page tables.
 *
 * The processor sets the dirty bit of an entry when somebody writes through that entry,
 * the kernel's copy_to_user() included. Who writes to the page itself does not:
 * process_vm_writev(), ptrace, /proc/PID/mem, reads with O_DIRECT, RDMA, registered
 * buffers. Most of them mark the page dirty when they are done; some never do (9p
 * reading without a cache, NFS reading into a huge page). But whoever it is had to ask
 * for the page first, by one of the few functions of mm/gup.c that hand pages out, and
 * says there that it will write (FOLL_WRITE); or, a device that keeps a copy of the page
 * tables, by hmm_range_fault(). They are probed from the first tracked snapshot on; what
 * is asked for counts as changed (track.c).
 *
 * A call that is under way when a snapshot is taken may come to its pages later. It is
 * either one of the program's own, whose thread is then not still, or holds a use of the
 * mm, which is counted (arm.c). And one that has its pages holds a reference to each: such
 * a page is not covered. A device with copies of entries has none; it loses them at every
 * snapshot, by the notice that arming gives, and asks again.
 *
 * That makes it needless to look at every page for its flag: the pause of a delta reads
 * page tables and nothing else.
 *
 * Owns the probes: from the first use until the module goes. A probe may be passed over
 * (it is hit inside another one), or all be switched off (debugfs kprobes/enabled): the
 * first is counted by the kernel, the second is found by a call of our own.
 *
 * Locks: @lock for setting up and for the call of our own, which never sleeps. The handler
 * runs with preemption disabled and takes none.
 */
#include <linux/hmm.h>
#include <linux/kprobes.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/ptrace.h>

#include "track.h"
#include "watch.h"

/* Where a function has its arguments. */
enum how {
	OWN,		/* start, nr, flags; of current */
	OWN_LATE,	/* start, nr, pages, flags */
	REMOTE,		/* mm, start, nr, flags */
	RANGE,		/* struct hmm_range */
};

struct probed {
	struct kprobe probe;
	enum how how;
	bool may_lack;			/* not every kernel has it */
};

static int about_to_write(struct kprobe *probe, struct pt_regs *regs);

#define PROBED(name, which, lacks)							\
	{										\
		.probe = { .symbol_name = name, .pre_handler = about_to_write },	\
		.how = which, .may_lack = lacks,					\
	}

static struct probed probed[] = {
	PROBED("get_user_pages", OWN, false),
	PROBED("get_user_pages_unlocked", OWN_LATE, false),
	PROBED("get_user_pages_fast", OWN, false),
	PROBED("get_user_pages_fast_only", OWN, false),
	PROBED("get_user_pages_remote", REMOTE, false),
	PROBED("pin_user_pages", OWN, false),
	PROBED("pin_user_pages_unlocked", OWN_LATE, false),
	PROBED("pin_user_pages_fast", OWN, false),
	PROBED("pin_user_pages_fast_only", OWN, true),		/* until 6.6 */
	PROBED("pin_user_pages_remote", REMOTE, false),
	PROBED("hmm_range_fault", RANGE, true),			/* CONFIG_HMM_MIRROR */
};

static DEFINE_MUTEX(lock);
static bool on;				/* under @lock */
static struct task_struct *caller;	/* who makes the call of our own */
static bool heard;

static void asks_for_range(const struct hmm_range *range)
{
	ckpt_track_touch(range->notifier->mm, range->start,
			 (range->end - range->start) >> PAGE_SHIFT);
}

static int about_to_write(struct kprobe *probe, struct pt_regs *regs)
{
	const struct probed *p = container_of(probe, struct probed, probe);
	unsigned int first = p->how == REMOTE;
	struct mm_struct *mm = current->mm;
	unsigned long start;

	if (unlikely(READ_ONCE(caller) == current)) {
		WRITE_ONCE(heard, true);
	} else if (p->how == RANGE) {
		asks_for_range((const struct hmm_range *)regs_get_kernel_argument(regs, 0));
	} else if (regs_get_kernel_argument(regs, p->how == OWN ? 2 : 3) & FOLL_WRITE) {
		if (p->how == REMOTE)
			mm = (struct mm_struct *)regs_get_kernel_argument(regs, 0);
		/* Pointers may carry a tag (LAM). */
		start = regs_get_kernel_argument(regs, first) & GENMASK(56, 0);
		/* A number of pages is an int in some; more than that nobody asks for. */
		ckpt_track_touch(mm, start, (u32)regs_get_kernel_argument(regs, first + 1));
	}
	return 0;
}
NOKPROBE_SYMBOL(about_to_write);

/* One that has an address is not taken for registration again. */
static int start(struct probed *p)
{
	int ret = register_kprobe(&p->probe);

	if (ret)
		p->probe.addr = NULL;
	return ret == -ENOENT && p->may_lack ? 0 : ret;
}

static void stop(unsigned int nr)
{
	while (nr--) {
		if (probed[nr].probe.addr)
			unregister_kprobe(&probed[nr].probe);
		probed[nr].probe.addr = NULL;
	}
}

/**
 * ckpt_watch_begin - see to it that the probes are there
 *
 * Return: 0, or why one cannot be set.
 */
int ckpt_watch_begin(void)
{
	unsigned int i;
	int ret = 0;

	mutex_lock(&lock);
	for (i = 0; !on && i < ARRAY_SIZE(probed); i++) {
		ret = start(&probed[i]);
		if (ret) {
			stop(i);
			break;
		}
	}
	on = !ret;
	mutex_unlock(&lock);
	return ret;
}

/* Asks for what is no user's, and is refused at once. */
static bool answers(void)
{
	struct page *page;

	WRITE_ONCE(heard, false);
	WRITE_ONCE(caller, current);
	if (get_user_pages_fast(TASK_SIZE_MAX, 1, FOLL_WRITE, &page) == 1)
		put_page(page);
	WRITE_ONCE(caller, NULL);
	return READ_ONCE(heard);
}

/**
 * ckpt_watch_is_whole - has nobody been missed since the last question?
 * @missed: state of the asker; what it was does not matter for the first question
 */
bool ckpt_watch_is_whole(unsigned long *missed)
{
	unsigned long sum = 0;
	unsigned int i;
	bool whole;

	mutex_lock(&lock);
	for (i = 0; i < ARRAY_SIZE(probed); i++)
		sum += READ_ONCE(probed[i].probe.nmissed);
	whole = on && sum == *missed && answers();
	*missed = sum;
	mutex_unlock(&lock);
	return whole;
}

void ckpt_watch_exit(void)
{
	if (on)
		stop(ARRAY_SIZE(probed));
}
