// SPDX-License-Identifier: GPL-2.0-only
/*
 * randtree-things.c - what the processes of a random tree have between them: see randtree.h.
 *
 * A thing has one or two ends, each a descriptor of a number that follows from the thing; any process
 * that descends from its owner may have an end or not, and may have it a second time by another number.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#include "randtree.h"

#define FIRST_NUMBER	64
#define FIRST_DUP	256
#define FILE_BYTES	700
#define SHARED_BYTES	(3 * 4096)
#define TOKEN		"token"
#define LATER		3600	/* seconds: nothing expires in a test */

static unsigned char *memory[THINGS_MAX];

static unsigned char content(int k, unsigned int at)
{
	return (unsigned char)chance(7000 + k, at, 0);
}

static void fill(int k, unsigned char *to, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		to[i] = content(k, i);
}

static bool is_content(int k, const unsigned char *at, unsigned int from, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		if (at[i] != content(k, from + i))
			return false;
	return true;
}

static int number(int k, int end)
{
	return FIRST_NUMBER + ENDS * k + end;
}

static int ends_of(int k)
{
	switch (plan.things[k].kind) {
	case PIPE:
	case PAIR:
	case DELETED:
		return 2;
	case SHARED:
		return 0;
	default:
		return 1;
	}
}

/* ---- who has what ---- */

static bool chooses(int node, int k, int end)
{
	return is_or_descends(node, plan.things[k].owner) && !plan.nodes[node].ends &&
	       chance(node, k, 100 + end) % 10 < 6;
}

/* What an epoll instance watches is to be its holder's as well. */
static bool is_watched_with(int node, int k, int end);

static bool holds(int node, int k, int end)
{
	const struct thing *t = &plan.things[k];
	bool any = false;

	if (!is_or_descends(node, t->owner) || plan.nodes[node].ends)
		return false;
	if (chooses(node, k, end) || is_watched_with(node, k, end))
		return true;
	for (int i = 0; node == t->owner && i < plan.nr_nodes; i++)
		any |= chooses(i, k, end);
	return node == t->owner && !any;
}

static bool is_watched_with(int node, int k, int end)
{
	for (int e = k + 1; !end && e < plan.nr_things; e++) {
		const struct thing *t = &plan.things[e];

		for (int i = 0; t->kind == EPOLL && i < t->nr_watched; i++)
			if (t->watched[i] == k && holds(node, e, 0))
				return true;
	}
	return false;
}

static bool has_dup(int node, int k, int end)
{
	return holds(node, k, end) && chance(node, k, 200 + end) % 4 == 0;
}

static bool is_cloexec(int node, int k, int end, bool dup)
{
	return chance(node, k, 300 + 2 * end + dup) % 2;
}

/* One of those who have an end: the first or the last. */
static int holder(int k, int end, bool last)
{
	int found = -1;

	for (int i = 0; i < plan.nr_nodes; i++)
		if (holds(i, k, end) && (last || found < 0))
			found = i;
	return found;
}

/* ---- plan ---- */

static bool can_be_watched(int k)
{
	enum kind kind = plan.things[k].kind;

	return kind == PIPE || kind == EVENTFD || kind == TIMERFD || kind == PAIR;
}

static void plan_watches(struct thing *t, int k)
{
	for (int i = 0; i < k && t->nr_watched < 4; i++)
		if (can_be_watched(i) && is_or_descends(t->owner, plan.things[i].owner) &&
		    chance(k, i, 1) % 2)
			t->watched[t->nr_watched++] = i;
}

void thing_plan(int k)
{
	static const unsigned int most[NR_KINDS] = { [PIPE] = 9000, [EVENTFD] = 5, [PAIR] = 3 };
	struct thing *t = &plan.things[k];

	t->kind = (enum kind)(chance(k, 1, 2) % NR_KINDS);
	do
		t->owner = (int)(chance(k, 3, 4 + t->variant++) % (unsigned int)plan.nr_nodes);
	while (plan.nodes[t->owner].ends);
	t->variant = chance(k, 5, 6) % 1000;
	t->amount = most[t->kind] ? chance(k, 7, 8) % (most[t->kind] + 1) : 0;
	t->offset = chance(k, 9, 10) % FILE_BYTES;
	if (t->kind == EPOLL)
		plan_watches(t, k);
}

/* ---- making ---- */

static void place(int fd, int k, int end)
{
	must(dup2(fd, number(k, end)));
	must(close(fd));
}

static void make_pipe(const struct thing *t, int k)
{
	unsigned char bytes[9000];
	int ends[2];

	must(pipe2(ends, t->variant % 2 ? O_NONBLOCK : 0));
	if (t->variant % 3 == 0)
		must(fcntl(ends[0], F_SETPIPE_SZ, 4 * 65536));
	fill(k, bytes, t->amount);
	must(write(ends[1], bytes, t->amount));
	place(ends[0], k, 0);
	place(ends[1], k, 1);
}

static void make_file(const struct thing *t, int k)
{
	unsigned char bytes[FILE_BYTES];
	char name[24];
	int fd;

	snprintf(name, sizeof(name), "file.%d", k);
	fill(k, bytes, sizeof(bytes));
	fd = must(open(name, O_RDWR | O_CREAT | O_EXCL | (t->kind == APPEND_FILE ? O_APPEND : 0), 0644));
	must(write(fd, bytes, sizeof(bytes)));
	if (t->kind == READ_FILE) {
		must(close(fd));
		fd = must(open(name, O_RDONLY | (t->variant % 2 ? O_NONBLOCK : 0)));
	}
	if (t->kind != APPEND_FILE)
		must(lseek(fd, t->offset, SEEK_SET));
	if (t->kind == DELETED) {
		place(must(open(name, O_RDONLY)), k, 1);
		must(unlink(name));
	}
	if (t->kind == APPEND_FILE && t->variant % 2)
		must(flock(fd, LOCK_EX));
	place(fd, k, 0);
}

static void make_memfd(const struct thing *t, int k)
{
	int fd = must(memfd_create("in the tree", MFD_ALLOW_SEALING));
	unsigned char bytes[FILE_BYTES];

	fill(k, bytes, sizeof(bytes));
	must(write(fd, bytes, sizeof(bytes)));
	must(lseek(fd, t->offset, SEEK_SET));
	if (t->variant % 2)
		must(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	place(fd, k, 0);
}

/* 0: not set; 1: in an hour, and each hour; 2: at a time; 3: has expired, once. */
static void make_timerfd(const struct thing *t, int k)
{
	static const clockid_t clocks[] = { CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME };
	const clockid_t clock = clocks[t->variant / 4 % 3];
	int fd = must(timerfd_create(clock, t->variant % 5 ? 0 : TFD_NONBLOCK));
	struct itimerspec its = { 0 };
	struct pollfd expired = { .fd = fd, .events = POLLIN };

	if (t->variant % 4 == 1)
		its = (struct itimerspec){ { LATER, 7 }, { LATER, 0 } };
	if (t->variant % 4 == 2) {
		clock_gettime(clock, &its.it_value);
		its.it_value.tv_sec += LATER;
	}
	if (t->variant % 4 == 3)
		its.it_value.tv_nsec = 1;
	must(timerfd_settime(fd, t->variant % 4 == 2 ? TFD_TIMER_ABSTIME : 0, &its, NULL));
	if (t->variant % 4 == 3)
		must(poll(&expired, 1, -1));
	place(fd, k, 0);
}

static void make_epoll(const struct thing *t, int k)
{
	place(must(epoll_create1(0)), k, 0);
	for (int i = 0; i < t->nr_watched; i++) {
		struct epoll_event ev = { .events = EPOLLIN, .data.u64 = (uint64_t)t->watched[i] << 32 };

		must(epoll_ctl(number(k, 0), EPOLL_CTL_ADD, number(t->watched[i], 0), &ev));
	}
}

static int socket_type(const struct thing *t)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };

	return types[t->variant % 3];
}

/* Of the message that comes to this end as the @i-th. */
static size_t message_length(int end, unsigned int i)
{
	return (end ? 10 : 20) + i;
}

/* As many messages in either, each of a length of its own. */
static void make_pair(const struct thing *t, int k)
{
	unsigned char bytes[64];
	int ends[2];

	must(socketpair(AF_UNIX, socket_type(t), 0, ends));
	fill(k, bytes, sizeof(bytes));
	for (unsigned int i = 0; i < t->amount; i++)
		for (int end = 0; end < ENDS; end++)
			must(send(ends[!end], bytes, message_length(end, i), 0));
	place(ends[0], k, 0);
	place(ends[1], k, 1);
}

static void bound_name(int k, struct sockaddr_un *un)
{
	*un = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(un->sun_path + 1, sizeof(un->sun_path) - 1, "randtree-%d-%d", (int)board->pid[0], k);
}

static void make_bound(const struct thing *t, int k)
{
	int fd = must(socket(AF_UNIX, socket_type(t), 0));
	struct sockaddr_un un;

	bound_name(k, &un);
	must(bind(fd, (struct sockaddr *)&un, sizeof(un)));
	if (socket_type(t) != SOCK_DGRAM)
		must(listen(fd, 5));
	place(fd, k, 0);
}

void thing_make(int k)
{
	const struct thing *t = &plan.things[k];

	switch (t->kind) {
	case PIPE:
		make_pipe(t, k);
		break;
	case READ_FILE:
	case APPEND_FILE:
	case DELETED:
		make_file(t, k);
		break;
	case MEMFD:
		make_memfd(t, k);
		break;
	case EVENTFD:
		place(must(eventfd(t->amount, (t->variant % 2 ? EFD_SEMAPHORE : 0) |
				   (t->variant % 3 ? 0 : EFD_NONBLOCK))), k, 0);
		break;
	case TIMERFD:
		make_timerfd(t, k);
		break;
	case EPOLL:
		make_epoll(t, k);
		break;
	case PAIR:
		make_pair(t, k);
		break;
	case BOUND:
		make_bound(t, k);
		break;
	case SHARED:
		memory[k] = must(mmap(NULL, SHARED_BYTES, PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0));
		fill(k, memory[k], SHARED_BYTES);
		break;
	case NULL_DEVICE:
		place(must(open("/dev/null", O_RDWR)), k, 0);
		break;
	case DIRECTORY:
		place(must(open(".", O_RDONLY | O_DIRECTORY)), k, 0);
		break;
	case NR_KINDS:
		break;
	}
}

static int as_flag(bool cloexec)
{
	return cloexec ? FD_CLOEXEC : 0;
}

void thing_settle(int k)
{
	if (plan.things[k].kind == SHARED && !holds(me, k, 0))
		must(munmap(memory[k], SHARED_BYTES));
	for (int end = 0; end < ends_of(k); end++) {
		const int dup = FIRST_DUP + ENDS * k + end;

		if (has_dup(me, k, end))
			must(dup3(number(k, end), dup, is_cloexec(me, k, end, true) ? O_CLOEXEC : 0));
		if (holds(me, k, end))
			must(fcntl(number(k, end), F_SETFD, as_flag(is_cloexec(me, k, end, false))));
		else
			must(close(number(k, end)));
	}
}

/* ---- looking ---- */

static void look_at_end(int k, int end)
{
	const int fd = number(k, end), dup = FIRST_DUP + ENDS * k + end;

	hold_true(fcntl(fd, F_GETFD) == as_flag(is_cloexec(me, k, end, false)));
	if (has_dup(me, k, end))
		hold_true(fcntl(dup, F_GETFD) == as_flag(is_cloexec(me, k, end, true)));
	else
		hold_true(fcntl(dup, F_GETFD) == -1 && errno == EBADF);
}

static void look_at_file(const struct thing *t, int k)
{
	const off_t at = t->kind == APPEND_FILE ? FILE_BYTES : (off_t)t->offset;
	unsigned char bytes[FILE_BYTES];

	hold_true(pread(number(k, 0), bytes, sizeof(bytes), 0) == sizeof(bytes));
	hold_true(is_content(k, bytes, 0, sizeof(bytes)));
	hold_true(lseek(number(k, 0), 0, SEEK_CUR) == at);
	if (t->kind == MEMFD)
		hold_true(fcntl(number(k, 0), F_GET_SEALS) == (t->variant % 2 ? F_SEAL_SHRINK : 0));
	if (t->kind == APPEND_FILE && t->variant % 2) {
		char path[40];
		int other;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", number(k, 0));
		other = must(open(path, O_RDONLY));
		hold_true(flock(other, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK);
		close(other);
	}
}

static void look_at_timer(const struct thing *t, int fd)
{
	const bool runs = t->variant % 4 == 1 || t->variant % 4 == 2;
	struct itimerspec its;

	must(timerfd_gettime(fd, &its));
	hold_true((its.it_value.tv_sec > 0) == runs && its.it_value.tv_sec <= LATER);
	hold_true(its.it_interval.tv_sec == (t->variant % 4 == 1 ? LATER : 0));
	hold_true(its.it_interval.tv_nsec == (t->variant % 4 == 1 ? 7 : 0));
}

static bool is_ready(int k)
{
	const struct thing *t = &plan.things[k];

	return t->kind == TIMERFD ? t->variant % 4 == 3 : t->amount > 0;
}

static void look_at_epoll(const struct thing *t, int fd)
{
	struct epoll_event said[5];
	int nr = epoll_wait(fd, said, 5, 0), ready = 0;

	hold_true(nr >= 0);
	for (int i = 0; i < t->nr_watched; i++) {
		bool found = false;

		for (int n = 0; n < nr; n++)
			found |= said[n].data.u64 == (uint64_t)t->watched[i] << 32;
		hold_true(found == is_ready(t->watched[i]));
		ready += found;
	}
	hold_true(nr == ready);
}

/* Open, and nothing waits in it. */
static bool is_empty(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == -1 && errno == EAGAIN;
}

/* Both ends tell who made them, whoever has them. */
static void look_at_pair(const struct thing *t, int k, int end)
{
	const size_t len = message_length(end, 0);
	const int fd = number(k, end);
	struct ucred maker;
	unsigned char bytes[64];
	socklen_t size = sizeof(maker);
	int type;

	hold_true(!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &maker, &size));
	hold_true(maker.pid == board->pid[t->owner]);
	size = sizeof(type);
	hold_true(!getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) && type == socket_type(t));
	hold_true(is_empty(fd) == !t->amount);
	if (t->amount) {
		hold_true(recv(fd, bytes, len, MSG_PEEK | MSG_DONTWAIT) == (ssize_t)len);
		hold_true(is_content(k, bytes, 0, len));
	}
}

void thing_look(int k)
{
	const struct thing *t = &plan.things[k];
	struct sockaddr_un un, got;
	socklen_t len = sizeof(got);
	int n;

	for (int end = 0; end < ends_of(k); end++) {
		if (holds(me, k, end))
			look_at_end(k, end);
		else
			hold_true(fcntl(number(k, end), F_GETFD) == -1);
		if (holds(me, k, end) && plan.things[k].kind == PAIR)
			look_at_pair(t, k, end);
	}
	if (!holds(me, k, 0))
		return;
	switch (t->kind) {
	case PIPE:
		hold_true(!ioctl(number(k, 0), FIONREAD, &n) && n == (int)t->amount);
		if (t->variant % 3 == 0)
			hold_true(fcntl(number(k, 0), F_GETPIPE_SZ) == 4 * 65536);
		break;
	case READ_FILE:
	case APPEND_FILE:
	case DELETED:
	case MEMFD:
		look_at_file(t, k);
		break;
	case TIMERFD:
		look_at_timer(t, number(k, 0));
		break;
	case EPOLL:
		look_at_epoll(t, number(k, 0));
		break;
	case SHARED:
		hold_true(is_content(k, memory[k], 0, SHARED_BYTES));
		break;
	case BOUND:
		bound_name(k, &un);
		hold_true(!getsockname(number(k, 0), (struct sockaddr *)&got, &len));
		hold_true(len == sizeof(un) && !memcmp(&un, &got, len));
		break;
	default:
		break;
	}
}

/* ---- using up ---- */

int thing_user(int k, int step)
{
	const enum kind kind = plan.things[k].kind;

	if (kind == NULL_DEVICE || kind == DIRECTORY || kind == EPOLL || kind == BOUND)
		return -1;
	if (kind == PAIR)
		return step < 4 ? holder(k, step % 2, step == 1 || step == 2) : -1;
	if (kind == PIPE)
		return step < 3 ? holder(k, step == 1, step == 2) : -1;
	return step < 2 ? holder(k, 0, step) : -1;
}

static void use_pipe(const struct thing *t, int k, int step)
{
	unsigned char bytes[9000 + 1];

	if (step == 0 && t->amount) {
		hold_true(read(number(k, 0), bytes, sizeof(bytes)) == (ssize_t)t->amount);
		hold_true(is_content(k, bytes, 0, t->amount));
	}
	if (step == 1)
		hold_true(write(number(k, 1), TOKEN, 5) == 5);
	if (step == 2)
		hold_true(read(number(k, 0), bytes, sizeof(bytes)) == 5 && !memcmp(bytes, TOKEN, 5));
}

/* By one of them it is moved, and another one sees it. */
static void use_file(const struct thing *t, int k, int step)
{
	const off_t from = t->kind == APPEND_FILE ? FILE_BYTES : (off_t)t->offset;
	const int fd = number(k, 0);
	char bytes[5];

	if (step == 0 && t->kind == READ_FILE)
		hold_true(read(fd, bytes, 1) == 1 && is_content(k, (unsigned char *)bytes, t->offset, 1));
	if (step == 0 && t->kind != READ_FILE)
		hold_true(write(fd, TOKEN, 5) == 5);
	if (step == 1)
		hold_true(lseek(fd, 0, SEEK_CUR) == from + (t->kind == READ_FILE ? 1 : 5));
	if (step == 1 && t->kind != READ_FILE)
		hold_true(pread(fd, bytes, 5, from) == 5 && !memcmp(bytes, TOKEN, 5));
	if (step == 1 && t->kind == DELETED && holds(me, k, 1))
		hold_true(pread(number(k, 1), bytes, 5, from) == 5 && !memcmp(bytes, TOKEN, 5));
}

static void use_eventfd(const struct thing *t, int k, int step)
{
	const bool semaphore = t->variant % 2;
	uint64_t want = semaphore ? 1 : t->amount, got;
	struct pollfd p = { .fd = number(k, 0), .events = POLLIN };

	hold_true((poll(&p, 1, 0) == 1) == (step ? semaphore && t->amount > 1 : t->amount > 0));
	if (!step && t->amount)
		hold_true(read(number(k, 0), &got, sizeof(got)) == sizeof(got) && got == want);
}

static void use_timer(const struct thing *t, int k, int step)
{
	struct pollfd p = { .fd = number(k, 0), .events = POLLIN };
	struct itimerspec its = { 0 };
	uint64_t got;

	if (step == 0) {
		hold_true((poll(&p, 1, 0) == 1) == (t->variant % 4 == 3));
		if (t->variant % 4 == 3)
			hold_true(read(number(k, 0), &got, sizeof(got)) == sizeof(got) && got == 1);
		its.it_value.tv_sec = 2 * LATER;
		must(timerfd_settime(number(k, 0), 0, &its, NULL));
	} else {
		must(timerfd_gettime(number(k, 0), &its));
		hold_true(its.it_value.tv_sec > LATER && !poll(&p, 1, 0));
	}
}

static void hear_token(int fd)
{
	char bytes[64];

	hold_true(recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) == 5 && !memcmp(bytes, TOKEN, 5));
	hold_true(is_empty(fd));
}

static void use_messages(const struct thing *t, int k, int end)
{
	const bool stream = socket_type(t) == SOCK_STREAM;
	unsigned char bytes[64];

	for (unsigned int i = 0; i < t->amount; i++) {
		const size_t len = message_length(end, i), room = stream ? len : sizeof(bytes);

		hold_true(recv(number(k, end), bytes, room, MSG_DONTWAIT) == (ssize_t)len);
		hold_true(is_content(k, bytes, 0, len));
	}
	hold_true(is_empty(number(k, end)));
}

/* What waits is read at both ends, then a token goes there and back; by others if there are any. */
static void use_pair(const struct thing *t, int k, int step)
{
	const int fd = number(k, step % 2);

	if (step < 2)
		use_messages(t, k, step);
	else
		hear_token(fd);
	if (step == 1 || step == 2)
		hold_true(send(fd, TOKEN, 5, 0) == 5);
}

void thing_use(int k, int step)
{
	const struct thing *t = &plan.things[k];

	switch (t->kind) {
	case PIPE:
		use_pipe(t, k, step);
		break;
	case READ_FILE:
	case APPEND_FILE:
	case DELETED:
	case MEMFD:
		use_file(t, k, step);
		break;
	case EVENTFD:
		use_eventfd(t, k, step);
		break;
	case TIMERFD:
		use_timer(t, k, step);
		break;
	case PAIR:
		use_pair(t, k, step);
		break;
	case SHARED:
		if (!step)
			memory[k][5] ^= 0xff;
		else
			hold_true(memory[k][5] == (content(k, 5) ^ 0xff));
		break;
	default:
		break;
	}
}
