// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that several processes have: anonymous, a memfd each has another part of, semaphores in a POSIX
 * shared memory object that was unlinked.  What one writes the others see.
 *
 * MIB in the environment: how much anonymous memory, of bytes that do not compress (4).  NAMED: the object
 * keeps its name.
 */
#include <fcntl.h>
#include <semaphore.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fact.h"

#define PAGE		4096
#define CHILDREN	3
#define PAGES		16	/* of the memfd */

static struct {
	sem_t ask[CHILDREN], answer[CHILDREN];
	int rounds;
	char text[16];
} *board;

static uint64_t *memory;
static size_t words;
static char *file;
static int child = -1;

static void fill(void)
{
	for (size_t i = 0; i < words; i++)
		memory[i] = mix64(i);
}

static void look_at_memory(void)
{
	for (size_t i = 512; i < words; i++)
		want(memory[i] == mix64(i));
}

/* Root has all of it, the first child the first half, the second the other, the third the odd one out. */
static void map_file(int fd)
{
	static const struct {
		int page, pages, flags;
	} parts[] = { { 0, PAGES, MAP_SHARED }, { 0, 8, MAP_SHARED }, { 8, 8, MAP_SHARED },
		      { 4, 8, MAP_PRIVATE } };

	file = must(mmap(NULL, parts[child + 1].pages * PAGE, PROT_READ | PROT_WRITE,
			 parts[child + 1].flags, fd, parts[child + 1].page * PAGE));
	close(fd);
}

static void look_as_child(void)
{
	look_at_memory();
	memory[child] = 100 + child;
	if (child == 2) {
		want(!strcmp(file, "page 4") && !strcmp(file + PAGE, "my own"));
		return;
	}
	want(!strcmp(file, child ? "page 8" : "page 0"));
	strcpy(file + PAGE, child ? "second" : "first");
}

static void serve(void)
{
	for (;;) {
		want(!sem_wait(&board->ask[child]));
		if (board->rounds++ >= CHILDREN)
			_exit(0);
		look_as_child();
		want(!sem_post(&board->answer[child]));
	}
}

static void begin(int number, int fd)
{
	if (must(fork()))
		return;
	child = number;
	map_file(fd);
	if (child == 2)
		strcpy(file + PAGE, "my own");
	must(sem_post(&board->answer[child]));
	serve();
}

static void set_up(void)
{
	const char *mib = getenv("MIB");
	int fd = must(shm_open("/ckpt-tree-memory", O_RDWR | O_CREAT | O_EXCL, 0600));
	char text[16];

	words = (mib ? atol(mib) : 4) << 17;
	memory = must(mmap(NULL, words * 8, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	fill();
	must(ftruncate(fd, sizeof(*board)));
	board = must(mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	close(fd);
	strcpy(board->text, "as it was");
	if (!getenv("NAMED"))
		must(shm_unlink("/ckpt-tree-memory"));
	fd = must(memfd_create("between", MFD_CLOEXEC));
	must(ftruncate(fd, PAGES * PAGE));
	for (int i = 0; i < PAGES; i++) {
		snprintf(text, sizeof(text), "page %d", i);
		must(pwrite(fd, text, strlen(text), i * PAGE));
	}
	for (int i = 0; i < CHILDREN; i++) {
		must(sem_init(&board->ask[i], 1, 0));
		must(sem_init(&board->answer[i], 1, 0));
	}
	for (int i = 0; i < CHILDREN; i++) {
		begin(i, fd);
		must(sem_wait(&board->answer[i]));
	}
	map_file(fd);
}

static void look(void)
{
	int status;

	look_at_memory();
	want(!strcmp(board->text, "as it was"));
	want(!getenv("NAMED") || !shm_unlink("/ckpt-tree-memory"));
	for (int i = 0; i < CHILDREN; i++) {
		want(!sem_post(&board->ask[i]));
		want(!sem_wait(&board->answer[i]));
		want(memory[i] == 100ul + i);
	}
	want(!strcmp(file + PAGE, "first") && !strcmp(file + 9 * PAGE, "second"));
	want(!strcmp(file + 5 * PAGE, "page 5"));
	for (int i = 0; i < CHILDREN; i++)
		want(!sem_post(&board->ask[i]));
	for (int i = 0; i < CHILDREN; i++)
		want(wait(&status) > 0 && WIFEXITED(status) && !WEXITSTATUS(status));
}

FACT(set_up, look)
