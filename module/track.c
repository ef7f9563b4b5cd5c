// SPDX-License-Identifier: GPL-2.0-only
/*
 * Track: which pages of a program are in the last generation, and have not changed since.
 *
 * One struct ckpt_track for each tracked mm. Its coverage is a bit for each page:
 *
 *  - set by the harvest (arm.c) when a snapshot takes the page and clears the dirty bit
 *    of its entry, under the page table lock, while no thread runs;
 *  - cleared by the mmu_notifier before and after the kernel changes what is mapped
 *    there: a break of copy-on-write, unmapping, mremap, reclaim, migration, merging,
 *    splitting and collapsing of huge pages, MADV_DONTNEED, MADV_FREE;
 *  - cleared by the watch (watch.c) when somebody asks for the page in order to write
 *    to it past the entry.
 *
 * A page goes into a delta if its bit is clear or its entry is dirty. So what is new,
 * moved or unknown is in it, and clearing a bit is always right: it costs a page. A
 * change that is under way while the harvest sets a bit clears it when it ends.
 *
 * Changes of permission alone (mprotect, fork, soft-dirty, our own arming) leave bits
 * as they are: the content stays, and the kernel keeps the dirty bit through all of
 * them.
 *
 * A snapshot's bits count when userspace says that it is on disk, under an identity
 * (ckpt_track_commit): the next may be a delta of that one and no other. Until then
 * the snapshot is pending. One that is dropped instead, or taken anew because a sleeper
 * woke, has its bits cleared again (ckpt_track_forget): its pages are in the next
 * delta. There is one pending snapshot at a time; others are taken without tracking.
 *
 * Life: found or made by ckpt_track_get(), which counts a user: a session, a snapshot,
 * or the pin, which lasts until the mm ends, somebody unpins it, or the module goes.
 * The last user's put lets the mmu_notifier code free it, later; it then waits for
 * readers under RCU (the watch) and is taken apart by a work.
 *
 * Locks: @lock for the identity and the pending snapshot; tracks_lock for the table and
 * the list of pins. Coverage has none: bits are atomic, leaves come under the
 * mmap_lock, held for writing, or go (empty ones) from the owner of the pending
 * snapshot, and RCU keeps them for the two who clear bits. These take no lock at all;
 * they run in reclaim, in the target's faults and in a kprobe.
 */
#include <linux/hashtable.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "alloc.h"
#include "counters.h"
#include "pages.h"
#include "track.h"
#include "watch.h"

#define ID_LEN	CKPT_ID_LEN

struct ckpt_track {
	struct mmu_notifier notifier;
	struct hlist_node node;		/* in tracks, under tracks_lock, read under RCU */
	struct list_head pin;		/* in pins, under tracks_lock; empty: not pinned */
	struct mm_struct *mm;		/* held by the notifier */
	struct xarray covers;		/* address >> PMD_SHIFT to struct ckpt_cover */
	spinlock_t lock;
	const void *pending;		/* who has a snapshot that is not committed */
	u8 id[ID_LEN];			/* the last generation; zero: none */
	unsigned long missed;		/* what the watch has missed; the pending one's */
	struct rcu_work free;
};

static DEFINE_SPINLOCK(tracks_lock);
static DEFINE_HASHTABLE(tracks, 6);
static LIST_HEAD(pins);
static struct workqueue_struct *queue;
static const struct mmu_notifier_ops notifier_ops;

/* ---- coverage ---- */

static void clear_slots(struct ckpt_cover *cover, unsigned int first, unsigned int last)
{
	unsigned int i;

	if (!first && last == PTRS_PER_PTE - 1) {
		for (i = 0; i < BITS_TO_LONGS(PTRS_PER_PTE); i++)
			WRITE_ONCE(cover->bits[i], 0);
		return;
	}
	for (i = first; i <= last; i++)
		clear_bit(i, cover->bits);
}

/**
 * ckpt_track_uncover - pages that are not known to be in the last generation, or unchanged
 * @track: tracker
 * @start: first address
 * @end: behind the last; 0: the end of the address space
 *
 * From any context.
 */
void ckpt_track_uncover(struct ckpt_track *track, unsigned long start, unsigned long end)
{
	unsigned long last = end - 1, index;
	struct ckpt_cover *cover;

	rcu_read_lock();
	xa_for_each_range(&track->covers, index, cover, start >> PMD_SHIFT, last >> PMD_SHIFT) {
		unsigned long base = index << PMD_SHIFT;

		clear_slots(cover, ckpt_leaf_slot(max(start, base)),
			    ckpt_leaf_slot(min(last, base + PMD_SIZE - 1)));
	}
	rcu_read_unlock();
}

/**
 * ckpt_track_cover - coverage of the page table at an address, made if there is none
 * @track: of the mm, whose mmap_lock is held for writing
 * @addr: address
 *
 * Return: NULL without memory: then nothing is covered there.
 */
struct ckpt_cover *ckpt_track_cover(struct ckpt_track *track, unsigned long addr)
{
	struct ckpt_cover *cover = xa_load(&track->covers, addr >> PMD_SHIFT);

	if (cover)
		return cover;
	cover = ckpt_alloc(sizeof(*cover));
	if (cover && (ckpt_alloc_fails() ||
		      xa_is_err(xa_store(&track->covers, addr >> PMD_SHIFT, cover,
					 CKPT_GFP)))) {
		kfree(cover);
		return NULL;
	}
	if (cover)
		ckpt_count(CKPT_COUNT_COVERS, 1);
	return cover;
}

/* Leaves of what has been unmapped. The caller has the pending snapshot: nobody sets bits. */
static void drop_empty(struct ckpt_track *track)
{
	struct ckpt_cover *cover;
	unsigned long index;

	xa_for_each(&track->covers, index, cover) {
		if (bitmap_empty(cover->bits, PTRS_PER_PTE)) {
			xa_erase(&track->covers, index);
			kfree_rcu(cover, rcu);
			ckpt_count(CKPT_COUNT_COVERS, -1);
		}
		cond_resched();
	}
}

/**
 * ckpt_track_forget - what these pages held is not in any generation
 * @track: tracker
 * @pages: of the pending snapshot, complete or not, not yet released
 */
void ckpt_track_forget(struct ckpt_track *track, struct ckpt_pages *pages)
{
	unsigned long addr = 0, end;
	enum ckpt_entry entry;

	for (; addr < TASK_SIZE_MAX; addr = end) {
		entry = ckpt_pages_entry(pages, addr, &end);
		if (entry == CKPT_ENTRY_DATA || entry == CKPT_ENTRY_CONSUMED)
			ckpt_track_uncover(track, addr, end);
		cond_resched();
	}
}

/* ---- who clears ---- */

static bool changes_content(const struct mmu_notifier_range *range)
{
	switch (range->event) {
	case MMU_NOTIFY_PROTECTION_VMA:
	case MMU_NOTIFY_PROTECTION_PAGE:
	case MMU_NOTIFY_SOFT_DIRTY:
		return false;
	default:
		return true;
	}
}

static int invalidate_start(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	if (changes_content(range))
		ckpt_track_uncover(container_of(notifier, struct ckpt_track, notifier),
				   range->start, range->end);
	return 0;
}

static void invalidate_end(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	invalidate_start(notifier, range);
}

/* From the watch, in a kprobe: somebody is about to write to these pages of @mm. */
void ckpt_track_touch(struct mm_struct *mm, unsigned long start, unsigned long nr)
{
	struct ckpt_track *track;

	if (!nr)
		return;
	start &= PAGE_MASK;
	rcu_read_lock();
	hash_for_each_possible_rcu(tracks, track, node, (unsigned long)mm) {
		if (track->mm == mm)
			ckpt_track_uncover(track, start, start + (nr << PAGE_SHIFT));
	}
	rcu_read_unlock();
}

/* ---- generations ---- */

/**
 * ckpt_track_is_watched - has no writer been missed since this was asked last?
 * @track: tracker; the caller has its pending snapshot
 *
 * If one has, nothing is covered any more.
 */
bool ckpt_track_is_watched(struct ckpt_track *track)
{
	if (ckpt_watch_is_whole(&track->missed))
		return true;
	ckpt_track_uncover(track, 0, 0);
	return false;
}

/**
 * ckpt_track_begin - a snapshot is to be taken of a tracked target
 * @track: tracker
 * @owner: the snapshot, pending from now on unless CKPT_FULL_PENDING is returned
 * @parent: identity of the generation a delta is wanted of; zero: none
 *
 * Return: CKPT_FULL_NO: take a delta; else why everything has to be taken.
 */
enum ckpt_full ckpt_track_begin(struct ckpt_track *track, const void *owner, const u8 *parent)
{
	enum ckpt_full full = CKPT_FULL_NO;

	spin_lock(&track->lock);
	if (track->pending)
		full = CKPT_FULL_PENDING;
	else
		track->pending = owner;
	spin_unlock(&track->lock);
	if (full)
		return full;

	/* From here on @id and @missed are ours. */
	if (!ckpt_track_is_watched(track))
		full = CKPT_FULL_WATCH;
	if (!memchr_inv(parent, 0, ID_LEN))
		return CKPT_FULL_ASKED;
	if (!memchr_inv(track->id, 0, ID_LEN))
		return CKPT_FULL_UNTRACKED;
	if (memcmp(parent, track->id, ID_LEN))
		return CKPT_FULL_PARENT;
	return full;
}

/* It is over with the pending snapshot, if it is @owner's. Its coverage stays. */
void ckpt_track_end(struct ckpt_track *track, const void *owner)
{
	spin_lock(&track->lock);
	if (track->pending == owner)
		track->pending = NULL;
	spin_unlock(&track->lock);
}

/* Takes it off the list of pins; true: it was there, and the pin's use has to be given back. */
static bool unlist(struct ckpt_track *track)
{
	bool pinned;

	spin_lock_bh(&tracks_lock);
	pinned = !list_empty(&track->pin);
	list_del_init(&track->pin);
	spin_unlock_bh(&tracks_lock);
	return pinned;
}

/* One more user, the pin, unless there is one, or the mm ends. */
static void pin_down(struct ckpt_track *track)
{
	struct ckpt_track *same;
	bool pinned;

	if (!mmget_not_zero(track->mm))
		return;
	if (!ckpt_track_get(track->mm, &same)) {
		spin_lock_bh(&tracks_lock);
		pinned = !list_empty(&track->pin);
		if (!pinned)
			list_add(&track->pin, &pins);
		spin_unlock_bh(&tracks_lock);
		if (pinned)
			ckpt_track_put(same);
	}
	mmput(track->mm);
}

/**
 * ckpt_track_commit - the pending snapshot is on disk
 * @track: tracker
 * @owner: who has the pending snapshot; no more after this
 * @id: identity of the generation, not zero
 * @pin: keep the tracker as long as the mm
 *
 * Return: 0; -ESTALE when @owner's snapshot is not the pending one.
 */
int ckpt_track_commit(struct ckpt_track *track, const void *owner, const u8 *id, bool pin)
{
	bool ours;

	spin_lock(&track->lock);
	ours = track->pending == owner;
	spin_unlock(&track->lock);
	if (!ours)
		return -ESTALE;
	drop_empty(track);
	memcpy(track->id, id, ID_LEN);
	ckpt_track_end(track, owner);
	if (pin)
		pin_down(track);
	return 0;
}

/* ---- coming and going ---- */

static struct mmu_notifier *alloc_notifier(struct mm_struct *mm)
{
	struct ckpt_track *track = ckpt_alloc(sizeof(*track));

	if (!track)
		return ERR_PTR(-ENOMEM);
	track->mm = mm;
	xa_init(&track->covers);
	spin_lock_init(&track->lock);
	INIT_LIST_HEAD(&track->pin);
	spin_lock_bh(&tracks_lock);
	hash_add_rcu(tracks, &track->node, (unsigned long)mm);
	spin_unlock_bh(&tracks_lock);
	ckpt_count(CKPT_COUNT_TRACKS, 1);
	return &track->notifier;
}

static void take_apart(struct work_struct *work)
{
	struct ckpt_track *track = container_of(to_rcu_work(work), struct ckpt_track, free);
	struct ckpt_cover *cover;
	unsigned long index;

	xa_for_each(&track->covers, index, cover) {
		kfree(cover);
		ckpt_count(CKPT_COUNT_COVERS, -1);
		cond_resched();
	}
	xa_destroy(&track->covers);
	kfree(track);
	ckpt_count(CKPT_COUNT_TRACKS, -1);
	wake_up_var(&ckpt_counters[CKPT_COUNT_TRACKS]);
}

/* No callback runs any more; the watch may. */
static void free_notifier(struct mmu_notifier *notifier)
{
	struct ckpt_track *track = container_of(notifier, struct ckpt_track, notifier);

	spin_lock_bh(&tracks_lock);
	hash_del_rcu(&track->node);
	spin_unlock_bh(&tracks_lock);
	INIT_RCU_WORK(&track->free, take_apart);
	queue_rcu_work(queue, &track->free);
}

/* The mm ends. */
static void release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	struct ckpt_track *track = container_of(notifier, struct ckpt_track, notifier);

	if (unlist(track))
		ckpt_track_put(track);
}

static const struct mmu_notifier_ops notifier_ops = {
	.invalidate_range_start	= invalidate_start,
	.invalidate_range_end	= invalidate_end,
	.release		= release,
	.alloc_notifier		= alloc_notifier,
	.free_notifier		= free_notifier,
};

/**
 * ckpt_track_get - the tracker of an mm, made if there is none
 * @mm: a reference to its users is held (get_task_mm()), no lock
 * @ret_track: tracker, to be given back with ckpt_track_put()
 *
 * Return: 0; -ENOMEM, -EINTR, or why the watch cannot be kept.
 */
int ckpt_track_get(struct mm_struct *mm, struct ckpt_track **ret_track)
{
	struct mmu_notifier *notifier;
	int ret;

	ret = ckpt_watch_begin();
	if (ret)
		return ret;
	notifier = mmu_notifier_get(&notifier_ops, mm);
	if (IS_ERR(notifier))
		return PTR_ERR(notifier);
	*ret_track = container_of(notifier, struct ckpt_track, notifier);
	return 0;
}

void ckpt_track_put(struct ckpt_track *track)
{
	mmu_notifier_put(&track->notifier);
}

bool ckpt_track_is_of(const struct ckpt_track *track, const struct mm_struct *mm)
{
	return track->mm == mm;
}

/**
 * ckpt_untrack - take the pin away from the tracker of an mm
 * @mm: any
 *
 * Return: false when there is none.
 */
bool ckpt_untrack(struct mm_struct *mm)
{
	struct ckpt_track *track, *found = NULL;

	spin_lock_bh(&tracks_lock);
	hash_for_each_possible(tracks, track, node, (unsigned long)mm) {
		if (track->mm == mm && !list_empty(&track->pin)) {
			list_del_init(&track->pin);
			found = track;
		}
	}
	spin_unlock_bh(&tracks_lock);
	if (found)
		ckpt_track_put(found);
	return found;
}

int ckpt_track_init(void)
{
	queue = alloc_workqueue("ckpt", WQ_UNBOUND, 0);
	return queue ? 0 : -ENOMEM;
}

/* Only pins are left: every other user is a descriptor, and holds the module. */
void ckpt_track_exit(void)
{
	struct ckpt_track *track;

	for (;;) {
		spin_lock_bh(&tracks_lock);
		track = list_first_entry_or_null(&pins, struct ckpt_track, pin);
		if (track)
			list_del_init(&track->pin);
		spin_unlock_bh(&tracks_lock);
		if (!track)
			break;
		ckpt_track_put(track);
	}
	mmu_notifier_synchronize();
	wait_var_event(&ckpt_counters[CKPT_COUNT_TRACKS],
		       !atomic64_read(&ckpt_counters[CKPT_COUNT_TRACKS]));
	destroy_workqueue(queue);
	ckpt_watch_exit();
}
