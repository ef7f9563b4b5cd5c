// SPDX-License-Identifier: GPL-2.0-only
/*
 * Watch: who is about to write to a program's pages through the kernel's own mapping.
 *
 * The processor sets the dirty bit of an entry when somebody writes through that entry,
 * the kernel's copy_to_user() included. Who writes to the page itself does not:
 * process_vm_writev(), ptrace, /proc/PID/mem, reads with O_DIRECT, RDMA, registered
 * buffers. Most of them mark the page dirty when they are done; some never do (9p
 * reading without a cache, NFS reading into a huge page). But whoever it is had to ask
 * for the page first, by one of the few functions of mm/gup.c that hand pages out, and
 * says there that it will write (FOLL_WRITE). They are probed from the first tracked
 * snapshot on; what is asked for counts as changed (track.c). A page that is still in
 * somebody's hands when a snapshot is taken has a reference too many, and is not relied
 * upon either (arm.c).
 *
 * That makes it needless to look at every page for its flag: the pause of a delta reads
 * page tables and nothing else.
 *
 * Owns the probes: from the first use until the module goes. A probe may be passed over
 * (it is hit inside another one) or be switched off for all (debugfs kprobes/enabled):
 * the first is counted by the kernel, the second is found by a call of our own.
 *
 * Locks: @lock for setting up and for the call of our own. The handler runs with
 * preemption disabled and takes none.
 */
#include <linux/kprobes.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/ptrace.h>

#include "track.h"
#include "watch.h"

/* A function of mm/gup.c, and where its arguments are. */
struct probed {
	struct kprobe probe;
	bool remote;		/* the first argument is the mm, else it is current's */
	u8 flags;		/* index of gup_flags; start and number are the first two */
	bool may_lack;		/* newer kernels do not have it */
};

#define PROBED(name, of_other, flags_at, lacks)					\
	{									\
		.probe = { .symbol_name = name, .pre_handler = about_to_write },	\
		.remote = of_other, .flags = flags_at, .may_lack = lacks,		\
	}

static int about_to_write(struct kprobe *probe, struct pt_regs *regs);

static struct probed probed[] = {
	PROBED("get_user_pages", false, 2, false),
	PROBED("get_user_pages_unlocked", false, 3, false),
	PROBED("get_user_pages_fast", false, 2, false),
	PROBED("get_user_pages_fast_only", false, 2, false),
	PROBED("get_user_pages_remote", true, 3, false),
	PROBED("pin_user_pages", false, 2, false),
	PROBED("pin_user_pages_unlocked", false, 3, false),
	PROBED("pin_user_pages_fast", false, 2, false),
	PROBED("pin_user_pages_fast_only", false, 2, true),	/* until 6.6 */
	PROBED("pin_user_pages_remote", true, 3, false),
};

static DEFINE_MUTEX(lock);
static bool on;				/* under @lock */
static struct task_struct *caller;	/* who makes the call of our own */
static bool heard;

static int about_to_write(struct kprobe *probe, struct pt_regs *regs)
{
	const struct probed *p = container_of(probe, struct probed, probe);
	u32 flags = regs_get_kernel_argument(regs, p->flags);
	unsigned long start = regs_get_kernel_argument(regs, p->remote);
	/* A number of pages is an int in some; more than that nobody asks for. */
	u32 nr = regs_get_kernel_argument(regs, p->remote + 1);
	struct mm_struct *mm = current->mm;

	if (unlikely(READ_ONCE(caller) == current))
		WRITE_ONCE(heard, true);
	if (!(flags & FOLL_WRITE))
		return 0;
	if (p->remote)
		mm = (struct mm_struct *)regs_get_kernel_argument(regs, 0);
	if (mm && nr)
		ckpt_track_touch(mm, start, nr);
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

/* Nothing is mapped at 0, and if it were: it is the caller's own page. */
static bool answers(void)
{
	struct page *page;

	WRITE_ONCE(heard, false);
	WRITE_ONCE(caller, current);
	if (get_user_pages_fast(0, 1, FOLL_WRITE, &page) == 1)
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
