// SPDX-License-Identifier: GPL-2.0-only
/*
 * System V shared memory: number, key, size, owner, mode and content of segments that are attached; removed
 * ones and others; in part, read-only, twice, moved; with a child, which has it too (SHARED in the
 * environment).
 */
#include <semaphore.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/wait.h>

#include "fact.h"

#define PAGE	4096
#define PAGES	8
#define SIZE	(PAGES * PAGE - 100)
#define KEY	0x636b7074

static int kept, removed, owned;
static char *at, *twice, *readable, *gone, *moved;
static struct shmid_ds before;
static pid_t child;
static sem_t *ask, *answer;

static void *attach(int id, int flags)
{
	return must(shmat(id, NULL, flags));
}

static void serve(void)
{
	want(!sem_wait(ask));
	want(!strcmp(at, "asked") && !strcmp(gone + PAGE, "page one"));
	strcpy(gone, "answered");
	want(!sem_post(answer));
	_exit(0);
}

static void set_up(void)
{
	kept = must(shmget(KEY, SIZE, IPC_CREAT | IPC_EXCL | 0640));
	at = attach(kept, 0);
	twice = attach(kept, 0);
	readable = attach(kept, SHM_RDONLY);
	for (int i = 0; i < PAGES - 1; i++)
		sprintf(at + i * PAGE, "page %d", i);
	strcpy(at + SIZE - 4, "end");
	must(munmap(twice + 2 * PAGE, 3 * PAGE));
	must(mprotect(twice + PAGE, PAGE, PROT_READ));

	removed = must(shmget(IPC_PRIVATE, 4 * PAGE, 0600));
	gone = attach(removed, 0);
	must(shmctl(removed, IPC_RMID, NULL));
	strcpy(gone + PAGE, "page one");

	/* Another's; only the third page is left of it, at another place, and one is written that nobody maps. */
	must(seteuid(1234));
	owned = must(shmget(IPC_PRIVATE, PAGES * PAGE, 0600));
	must(seteuid(0));
	moved = attach(owned, 0);
	strcpy(moved + 5 * PAGE, "page five");
	must(munmap(moved, 2 * PAGE));
	must(munmap(moved + 3 * PAGE, 5 * PAGE));
	moved = must(mremap(moved + 2 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, moved + 6 * PAGE));
	strcpy(moved, "page two");
	must(shmctl(owned, IPC_STAT, &before));
	before.shm_perm.uid = 1000;
	before.shm_perm.mode = 0622;
	must(shmctl(owned, IPC_SET, &before));
	must(shmctl(owned, IPC_STAT, &before));

	if (!getenv("SHARED"))
		return;
	ask = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	answer = ask + 1;
	must(sem_init(ask, 1, 0));
	must(sem_init(answer, 1, 0));
	child = must(fork());
	if (!child)
		serve();
}

static void look_at_kept(void)
{
	struct shmid_ds ds;
	char text[16];

	want(shmget(KEY, 0, 0) == kept && !shmctl(kept, IPC_STAT, &ds));
	want(ds.shm_segsz == SIZE && ds.shm_perm.__key == KEY && ds.shm_perm.mode == 0640);
	want(ds.shm_nattch == (child ? 10 : 5));
	for (int i = 0; i < PAGES - 1; i++) {
		snprintf(text, sizeof(text), "page %d", i);
		want(!strcmp(at + i * PAGE, text) && !strcmp(readable + i * PAGE, text));
		want((i >= 2 && i < 5) || !strcmp(twice + i * PAGE, text));
	}
	want(!strcmp(at + SIZE - 4, "end") && !at[SIZE - 5]);
	strcpy(twice, "one memory");
	want(!strcmp(at, "one memory") && !strcmp(readable, "one memory"));
	want(mprotect(readable, PAGE, PROT_READ | PROT_WRITE) == -1 && errno == EACCES);
	want(mincore(twice + 2 * PAGE, PAGE, (void *)text) == -1 && errno == ENOMEM);
	want(!mprotect(twice + PAGE, PAGE, PROT_READ | PROT_WRITE));
	/* One attachment still, though in parts. */
	want(!shmdt(twice) && !shmdt(readable) && !shmctl(kept, IPC_STAT, &ds));
	want(ds.shm_nattch == (child ? 6 : 1));
}

static void look(void)
{
	struct shmid_ds ds;
	char *all;

	look_at_kept();
	want(!shmctl(removed, IPC_STAT, &ds) && ds.shm_perm.mode & SHM_DEST && ds.shm_segsz == 4 * PAGE);
	want(!strcmp(gone + PAGE, "page one") && !*gone);
	want(!shmctl(owned, IPC_STAT, &ds) && ds.shm_perm.uid == 1000 && ds.shm_perm.mode == 0622);
	want(ds.shm_perm.cuid == before.shm_perm.cuid && ds.shm_cpid == before.shm_cpid);
	want(!strcmp(moved, "page two"));
	all = attach(owned, 0);
	want(!strcmp(all + 2 * PAGE, "page two") && !strcmp(all + 5 * PAGE, "page five"));
	if (child) {
		int status;

		strcpy(at, "asked");
		want(!sem_post(ask) && !sem_wait(answer) && !strcmp(gone, "answered"));
		want(waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status));
	}
	want(!shmdt(gone) && shmctl(removed, IPC_STAT, &ds) == -1 && errno == EINVAL);
	want(!shmctl(kept, IPC_RMID, NULL) && !shmctl(owned, IPC_RMID, NULL));
}

FACT(set_up, look)
