// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory pressure cancels a snapshot rather than killing the job.
 *
 * While a snapshot holds pages, each of the program's first writes makes a copy, and
 * the copy is charged to the program's memory cgroup. When that cgroup, or the whole
 * machine, has nothing left to reclaim, the snapshot is given up: its pages are free
 * at once, and the reader gets -ECANCELED.
 *
 * Reclaim inside a cgroup calls only shrinkers that have an object in it. So each
 * snapshot has a small object, struct ckpt_pressure, allocated in the name of the
 * target's cgroup, on a list_lru.
 *
 * One object counts as one: mm/vmscan.c asks for (objects >> priority), so it is asked
 * for only at priority 0, reclaim's last attempt before it gives up and the OOM killer
 * is called. Ordinary reclaim of page cache does not cancel snapshots.
 *
 * Reclaim tries a number of times and then calls the OOM killer. Who comes while others
 * are still giving pages up must not find that there is nothing left: the object stays
 * on the list until its pages are gone, and the shrinker waits for who is at it.
 *
 * Life: attach (the object enters the list) -> detach by the snapshot's release, after
 * its pages; or the shrinker claims it, with a reference to the picture, cancels, takes
 * it off the list, and drops the reference. The object itself is freed by detach alone.
 *
 * Locks: that of the list, for the claim. releasing is held for reading by who gives
 * pages up, from before this shows (a claim, or a picture without references) until
 * they are gone; nothing is allocated meanwhile. The shrinker takes it for writing to wait.
 */
#include <linux/list_lru.h>
#include <linux/memcontrol.h>
#include <linux/rwsem.h>
#include <linux/sched/mm.h>
#include <linux/shrinker.h>
#include <linux/slab.h>

#include "compat/compat.h"
#include "alloc.h"
#include "picture.h"
#include "shrink.h"

struct ckpt_pressure {
	struct list_head lru;		/* under the lock of the list_lru */
	struct list_head cancel;	/* shrinker's private list */
	bool claimed;			/* by a shrinker, under the lock of the list_lru */
	struct ckpt_picture *picture;
};

static struct kmem_cache *cache;
static struct shrinker *shrinker;
static struct list_lru lru;
static bool ready;
static DECLARE_RWSEM(releasing);

struct victims {
	struct list_head list;
	bool others;			/* somebody else is at some */
};

void ckpt_release_begin(void)
{
	down_read(&releasing);
}

void ckpt_release_end(void)
{
	up_read(&releasing);
}

/**
 * ckpt_pressure_attach - let memory pressure cancel a picture
 * @picture: complete
 * @mm: the target's, which tells the memory cgroup
 * @ret_pressure: for ckpt_pressure_detach()
 */
int ckpt_pressure_attach(struct ckpt_picture *picture, struct mm_struct *mm,
			 struct ckpt_pressure **ret_pressure)
{
	struct mem_cgroup *memcg = get_mem_cgroup_from_mm(mm);
	struct mem_cgroup *old = set_active_memcg(memcg);
	struct ckpt_pressure *pressure;

	pressure = ckpt_alloc_fails() ? NULL : kmem_cache_alloc_lru(cache, &lru, CKPT_GFP);
	set_active_memcg(old);
	mem_cgroup_put(memcg);
	if (!pressure)
		return -ENOMEM;
	INIT_LIST_HEAD(&pressure->lru);
	pressure->picture = picture;
	pressure->claimed = false;
	ckpt_lru_add(&lru, &pressure->lru);
	*ret_pressure = pressure;
	return 0;
}

/* The picture goes. After this the shrinker does not find it any more. */
void ckpt_pressure_detach(struct ckpt_pressure *pressure)
{
	ckpt_lru_del(&lru, &pressure->lru);
	kmem_cache_free(cache, pressure);
}

static unsigned long shrink_count(struct shrinker *s, struct shrink_control *sc)
{
	return READ_ONCE(ready) ? list_lru_shrink_count(&lru, sc) : SHRINK_EMPTY;
}

/* Under the list's lock, which detach takes before the picture is freed. */
static CKPT_LRU_CALLBACK(isolate, item, one, arg)
{
	struct ckpt_pressure *pressure = container_of(item, struct ckpt_pressure, lru);
	struct victims *victims = arg;

	if (pressure->claimed || !ckpt_picture_tryget(pressure->picture)) {
		victims->others = true;
	} else {
		pressure->claimed = true;
		list_add(&pressure->cancel, &victims->list);
	}
	return LRU_SKIP;
}

static unsigned long shrink_scan(struct shrinker *s, struct shrink_control *sc)
{
	struct victims victims = { .list = LIST_HEAD_INIT(victims.list) };
	struct ckpt_pressure *pressure, *next;
	unsigned long freed = 0;

	/* The last reference to a picture has references to files. */
	if (!(sc->gfp_mask & __GFP_FS))
		return SHRINK_STOP;
	ckpt_release_begin();
	list_lru_shrink_walk(&lru, sc, isolate, &victims);
	list_for_each_entry(pressure, &victims.list, cancel) {
		freed += ckpt_picture_cancel(pressure->picture);
		ckpt_lru_del(&lru, &pressure->lru);
	}
	ckpt_release_end();
	list_for_each_entry_safe(pressure, next, &victims.list, cancel)
		ckpt_picture_put(pressure->picture);	/* may free pressure */
	if (victims.others) {
		down_write(&releasing);
		up_write(&releasing);
	}
	return freed ?: SHRINK_STOP;
}

int ckpt_shrink_init(void)
{
	int ret = -ENOMEM;

	cache = KMEM_CACHE(ckpt_pressure, SLAB_ACCOUNT);
	shrinker = ckpt_shrinker_alloc(SHRINKER_MEMCG_AWARE | SHRINKER_NUMA_AWARE);
	if (!cache || !shrinker)
		goto err;
	shrinker->count_objects = shrink_count;
	shrinker->scan_objects = shrink_scan;
	ret = ckpt_shrinker_register(shrinker);
	if (ret)
		goto err;
	ret = list_lru_init_memcg(&lru, shrinker);
	if (ret)
		goto err;
	WRITE_ONCE(ready, true);
	return 0;
err:
	ckpt_shrinker_free(shrinker);
	kmem_cache_destroy(cache);
	return ret;
}

void ckpt_shrink_exit(void)
{
	ckpt_shrinker_free(shrinker);
	list_lru_destroy(&lru);
	kmem_cache_destroy(cache);
}
