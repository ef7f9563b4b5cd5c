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
 * Life: attach (the object enters the list) -> detach by the snapshot's release; or
 * the shrinker takes it off the list, with a reference to the picture, cancels, and
 * drops the reference. Whoever finds it on the list, under the list's lock, owns the
 * step. The object itself is freed by detach alone.
 */
#include <linux/list_lru.h>
#include <linux/memcontrol.h>
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
	struct ckpt_picture *picture;
};

static struct kmem_cache *cache;
static struct shrinker *shrinker;
static struct list_lru lru;
static bool ready;

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

	pressure = ckpt_alloc_fails() ? NULL : kmem_cache_alloc_lru(cache, &lru, GFP_KERNEL_ACCOUNT);
	set_active_memcg(old);
	mem_cgroup_put(memcg);
	if (!pressure)
		return -ENOMEM;
	INIT_LIST_HEAD(&pressure->lru);
	pressure->picture = picture;
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

	if (!ckpt_picture_tryget(pressure->picture))
		return LRU_SKIP;
	list_lru_isolate(one, item);
	list_add(&pressure->cancel, arg);
	return LRU_REMOVED;
}

static unsigned long shrink_scan(struct shrinker *s, struct shrink_control *sc)
{
	struct ckpt_pressure *pressure, *next;
	unsigned long freed = 0;
	LIST_HEAD(victims);

	/* The last reference to a picture has references to files. */
	if (!(sc->gfp_mask & __GFP_FS))
		return SHRINK_STOP;
	list_lru_shrink_walk(&lru, sc, isolate, &victims);
	list_for_each_entry_safe(pressure, next, &victims, cancel) {
		struct ckpt_picture *picture = pressure->picture;

		freed += ckpt_picture_cancel(picture);
		ckpt_picture_put(picture);	/* may free pressure */
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
