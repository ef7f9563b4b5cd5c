// SPDX-License-Identifier: GPL-2.0-only
/* Calls that wait for a socket, a System V object, a message queue, a child. */
#include <fcntl.h>
#include <mqueue.h>
#include <stddef.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "blocking.h"

#define HALF	4096

/* ---- sockets ---- */

static void setup_stream(struct seat *s)
{
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s->fd));
}

static void setup_recv_timeout(struct seat *s)
{
	struct timeval tv = { .tv_usec = WAIT_NS / 1000 };

	setup_stream(s);
	must(setsockopt(s->fd[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
}

static void block_recv_timeout(struct seat *s)
{
	uint64_t begin = mono();
	char byte;

	seat_timed_out(s, recv(s->fd[0], &byte, 1, 0) == -1 && errno == EAGAIN, begin);
}

static void send_half(struct seat *s, int half, int round)
{
	unsigned char buf[HALF];

	for (int i = 0; i < HALF; i++)
		buf[i] = i * 7 + half * 3 + round;
	if (send(s->fd[1], buf, HALF, 0) != HALF)
		wrong(s, "serving: %s", strerror(errno));
}

static void serve_first_half(struct seat *s)
{
	send_half(s, 0, atomic_load(&s->open) + 1);
}

static void serve_second_half(struct seat *s)
{
	send_half(s, 1, atomic_load(&s->open));
}

static void block_recv_waitall(struct seat *s)
{
	unsigned char buf[2 * HALF];
	int done = 0;

	/* a short count is lawful, an error is not */
	while (done < 2 * HALF) {
		ssize_t n = recv(s->fd[0], buf + done, 2 * HALF - done, MSG_WAITALL);

		if (n <= 0)
			wrong(s, "%zd after %d bytes, %s", n, done, strerror(errno));
		done += n;
	}
	for (int i = 0; i < 2 * HALF; i++)
		if (buf[i] != (unsigned char)(i % HALF * 7 + i / HALF * 3 + s->round))
			wrong(s, "byte %d is wrong: lost or doubled before it", i);
}

static void block_send_big(struct seat *s)
{
	unsigned char *buf = malloc(BIG);
	size_t done = 0;

	for (size_t i = 0; i < BIG; i++)
		buf[i] = i * 13 + (i >> 10) + s->round;
	while (done < BIG) {
		ssize_t n = send(s->fd[1], buf + done, BIG - done, 0);

		if (n <= 0)
			wrong(s, "%zd after %zu bytes, %s", n, done, strerror(errno));
		done += n;
	}
	free(buf);
}

static void serve_recv_big(struct seat *s)
{
	unsigned char buf[5000];
	size_t done = 0;

	while (done < BIG) {
		size_t want = BIG - done < sizeof(buf) ? BIG - done : sizeof(buf);
		ssize_t n = recv(s->fd[0], buf, want, 0);

		if (n <= 0)
			wrong(s, "receiving: %zd, %s", n, strerror(errno));
		for (ssize_t i = 0; i < n; i++) {
			size_t at = done + i;

			if (buf[i] != (unsigned char)(at * 13 + (at >> 10) + atomic_load(&s->open)))
				wrong(s, "byte %zu is wrong: lost or doubled before it", at);
		}
		done += n;
	}
}

/* An abstract name of the seat's own. */
static socklen_t seat_address(struct seat *s, struct sockaddr_un *un)
{
	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	return offsetof(struct sockaddr_un, sun_path) + 1 +
	       snprintf(un->sun_path + 1, sizeof(un->sun_path) - 1, "ckpt-blocking-%d-%d",
			getpid(), s->fd[0]);
}

static void setup_listen(struct seat *s)
{
	struct sockaddr_un un;
	socklen_t len;

	s->fd[0] = must(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	len = seat_address(s, &un);
	must(bind(s->fd[0], (struct sockaddr *)&un, len));
	must(listen(s->fd[0], 0));
}

static int knock(struct seat *s, int flags)
{
	int fd = must(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
	struct sockaddr_un un;
	socklen_t len = seat_address(s, &un);
	int ret = connect(fd, (struct sockaddr *)&un, len) ? -errno : 0;

	close(fd);
	return ret;
}

static void serve_connect(struct seat *s)
{
	if (knock(s, 0))
		wrong(s, "serving: %s", strerror(errno));
}

static void block_accept(struct seat *s)
{
	int fd = accept(s->fd[0], NULL, NULL);

	if (fd < 0)
		wrong(s, "%s", strerror(errno));
	close(fd);
}

static void block_connect(struct seat *s)
{
	int ret;

	/* fill the queue of those not yet accepted: a closed one keeps its place */
	while (!(ret = knock(s, SOCK_NONBLOCK)))
		;
	if (ret != -EAGAIN)
		wrong(s, "filling the queue: %s", strerror(-ret));
	ret = knock(s, 0);
	if (ret)
		wrong(s, "%s", strerror(-ret));
}

static void serve_accept(struct seat *s)
{
	must(fcntl(s->fd[0], F_SETFL, O_NONBLOCK));
	while (!seat_done(s)) {
		int fd = accept(s->fd[0], NULL, NULL);

		if (fd >= 0)
			close(fd);
		else
			usleep(500);
	}
}

/* ---- System V ---- */

static int sems[4], queues[4];
static int nr_sems, nr_queues;

static void setup_sem(struct seat *s)
{
	s->id = sems[nr_sems++] = must(semget(IPC_PRIVATE, 1, 0600));
}

static void block_semop(struct seat *s)
{
	struct sembuf down = { .sem_op = -1 };

	if (semop(s->id, &down, 1))
		wrong(s, "%s", strerror(errno));
}

static void serve_semop(struct seat *s)
{
	struct sembuf up = { .sem_op = 1 };

	must(semop(s->id, &up, 1));
}

static void block_semtimedop(struct seat *s)
{
	struct timespec ts = ns_to_timespec(WAIT_NS);
	struct sembuf down = { .sem_op = -1 };
	uint64_t begin = mono();

	seat_timed_out(s, semtimedop(s->id, &down, 1, &ts) == -1 && errno == EAGAIN, begin);
}

struct message {
	long type;
	char text[2000];
};

static void setup_msg(struct seat *s)
{
	s->id = queues[nr_queues++] = must(msgget(IPC_PRIVATE, 0600));
}

static void block_msgrcv(struct seat *s)
{
	struct message m = { 0 };
	ssize_t n = msgrcv(s->id, &m, sizeof(m.text), 0, 0);

	if (n != 8 || m.type != s->round)
		wrong(s, "%zd, %s, type %ld", n, strerror(errno), m.type);
}

static void serve_msgsnd(struct seat *s)
{
	struct message m = { .type = atomic_load(&s->open) };

	must(msgsnd(s->id, &m, 8, 0));
}

static void block_msgsnd(struct seat *s)
{
	struct message m = { .type = s->round };

	while (!msgsnd(s->id, &m, sizeof(m.text), IPC_NOWAIT))
		;
	if (errno != EAGAIN || msgsnd(s->id, &m, sizeof(m.text), 0))
		wrong(s, "%s", strerror(errno));
}

static void serve_msgrcv(struct seat *s)
{
	struct message m;

	do {
		while (msgrcv(s->id, &m, sizeof(m.text), 0, IPC_NOWAIT) >= 0)
			if (m.type != atomic_load(&s->open))
				wrong(s, "a message of type %ld", m.type);
		usleep(500);
	} while (!seat_done(s));
	while (msgrcv(s->id, &m, sizeof(m.text), 0, IPC_NOWAIT) >= 0)
		;
}

/* ---- POSIX message queues ---- */

static void setup_mq(struct seat *s)
{
	struct mq_attr attr = { .mq_maxmsg = 4, .mq_msgsize = 64 };
	char name[64];

	snprintf(name, sizeof(name), "/ckpt-blocking-%d-%p", getpid(), (void *)s);
	s->id = must(mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attr));
	must(mq_unlink(name));
}

static void block_mq(struct seat *s)
{
	char buf[64];
	ssize_t n = mq_receive(s->id, buf, sizeof(buf), NULL);

	if (n != 1 || buf[0] != (char)s->round)
		wrong(s, "%zd, %s", n, strerror(errno));
}

static void serve_mq(struct seat *s)
{
	char byte = atomic_load(&s->open);

	must(mq_send(s->id, &byte, 1, 0));
}

static void block_mq_timeout(struct seat *s)
{
	uint64_t begin = mono();
	struct timespec ts = ns_to_timespec(now_ns(CLOCK_REALTIME) + WAIT_NS);
	char buf[64];

	seat_timed_out(s, mq_timedreceive(s->id, buf, sizeof(buf), NULL, &ts) == -1 &&
		       errno == ETIMEDOUT, begin);
}

/* ---- children ---- */

static void setup_child(struct seat *s)
{
	must(pipe2(s->fd, O_CLOEXEC));
}

static pid_t child_that_waits(struct seat *s)
{
	pid_t pid = must(fork());
	char byte;

	if (!pid)
		_exit(read(s->fd[0], &byte, 1) == 1 ? 40 + s->round : 1);
	return pid;
}

static void serve_child(struct seat *s)
{
	must(write(s->fd[1], "", 1));
}

static void block_wait4(struct seat *s)
{
	pid_t pid = child_that_waits(s), got;
	int status = 0;

	got = wait4(pid, &status, 0, NULL);
	if (got != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 40 + s->round)
		wrong(s, "%d, %s, status %#x", got, strerror(errno), status);
}

static void block_waitid(struct seat *s)
{
	pid_t pid = child_that_waits(s);
	siginfo_t info = { 0 };

	if (waitid(P_PID, pid, &info, WEXITED) || info.si_pid != pid ||
	    info.si_code != CLD_EXITED || info.si_status != 40 + s->round)
		wrong(s, "%s, status %#x", strerror(errno), info.si_status);
}

/* System V objects outlive the program unless it takes them away. */
void ipc_remove(void)
{
	while (nr_sems--)
		semctl(sems[nr_sems], 0, IPC_RMID);
	while (nr_queues--)
		msgctl(queues[nr_queues], IPC_RMID, NULL);
}

const struct kind ipc_kinds[] = {
	{ "recv with SO_RCVTIMEO", false, false, setup_recv_timeout, block_recv_timeout },
	{ "recv MSG_WAITALL half served", false, false, setup_stream, block_recv_waitall,
	  serve_second_half, serve_first_half },
	{ "send of 1 MiB to a full socket", false, false, setup_stream, block_send_big,
	  serve_recv_big },
	{ "accept", false, false, setup_listen, block_accept, serve_connect },
	{ "connect to a full queue", false, false, setup_listen, block_connect, serve_accept },
	{ "semop", false, false, setup_sem, block_semop, serve_semop },
	{ "semtimedop", false, false, setup_sem, block_semtimedop },
	{ "msgrcv", false, false, setup_msg, block_msgrcv, serve_msgsnd },
	{ "msgsnd to a full queue", false, false, setup_msg, block_msgsnd, serve_msgrcv },
	{ "mq_receive", false, false, setup_mq, block_mq, serve_mq },
	{ "mq_timedreceive", false, false, setup_mq, block_mq_timeout },
	{ "wait4", false, false, setup_child, block_wait4, serve_child },
	{ "waitid", false, false, setup_child, block_waitid, serve_child },
	{ NULL }
};
