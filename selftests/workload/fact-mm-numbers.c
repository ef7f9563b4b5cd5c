// SPDX-License-Identifier: GPL-2.0-only
/* Where the kernel is told (PR_SET_MM) that arguments, environment, code and data of the program are. */
#include <fcntl.h>
#include <sys/prctl.h>

#include "fact.h"

#define PAGE	4096ul
#define ARGS	"words\0of another\0place"

static char *args;
static char before[2048];

/* What /proc/self/stat has behind the name: code, data, stack, brk and arguments among it. */
static void numbers(char *buf, size_t size)
{
	char text[2048] = "", *p;
	int fd = must(open("/proc/self/stat", O_RDONLY));

	must(read(fd, text, sizeof(text) - 1));
	must(close(fd));
	p = strrchr(text, ')');
	for (int i = 0; i < 24; i++)	/* up to field 26: startcode */
		p = strchr(p + 1, ' ');
	snprintf(buf, size, "%s", p);
}

/* Fields 26 to 28 and 45 to 51. */
static bool same_numbers(void)
{
	char now[2048], *a, *b, *sa = NULL, *sb = NULL;
	bool same = true;
	int field = 26;

	numbers(now, sizeof(now));
	a = strtok_r(before, " ", &sa);
	b = strtok_r(now, " ", &sb);
	for (; a && b; a = strtok_r(NULL, " ", &sa), b = strtok_r(NULL, " ", &sb), field++)
		if ((field < 29 || (field >= 45 && field <= 51)) && strcmp(a, b))
			same = false;
	return same && !a && !b;
}

static void set_up(void)
{
	args = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	memcpy(args, ARGS, sizeof(ARGS));
	must(prctl(PR_SET_MM, PR_SET_MM_ARG_START, args, 0, 0));
	must(prctl(PR_SET_MM, PR_SET_MM_ARG_END, args + sizeof(ARGS), 0, 0));
	must(prctl(PR_SET_MM, PR_SET_MM_ENV_START, args + 6, 0, 0));
	must(prctl(PR_SET_MM, PR_SET_MM_ENV_END, args + 17, 0, 0));
	numbers(before, sizeof(before));
}

static void look(void)
{
	char text[64] = "";
	int fd = must(open("/proc/self/cmdline", O_RDONLY));

	want(read(fd, text, sizeof(text)) == sizeof(ARGS) && !memcmp(text, ARGS, sizeof(ARGS)));
	must(close(fd));
	fd = must(open("/proc/self/environ", O_RDONLY));
	want(read(fd, text, sizeof(text)) == 11 && !strcmp(text, "of another"));
	want(same_numbers());
}

FACT(set_up, look)
