// SPDX-License-Identifier: GPL-2.0-only
/* Eventfds: a plain one, a semaphore, one that is full, two descriptors of one, in all their flags. */
#include <fcntl.h>
#include <sys/eventfd.h>

#include "fact.h"

static int plain, semaphore, full, empty, twin;

static void set_up(void)
{
	plain = must(eventfd(41, EFD_CLOEXEC));
	semaphore = must(eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK));
	full = must(eventfd(0, EFD_NONBLOCK));
	must(eventfd_write(full, UINT64_MAX - 1));
	empty = must(eventfd(0, EFD_NONBLOCK));
	twin = must(dup2(plain, 70));
	must(eventfd_write(twin, 1));
}

static void look(void)
{
	eventfd_t value;

	want(!eventfd_read(plain, &value) && value == 42);
	want(!eventfd_write(twin, 7) && !eventfd_read(plain, &value) && value == 7);
	want(fcntl(plain, F_GETFD) == FD_CLOEXEC && fcntl(twin, F_GETFD) == 0);
	want(!(fcntl(plain, F_GETFL) & O_NONBLOCK));

	want(fcntl(semaphore, F_GETFL) & O_NONBLOCK);
	want(!eventfd_read(semaphore, &value) && value == 1);
	want(!eventfd_read(semaphore, &value) && value == 1);
	want(eventfd_read(semaphore, &value) && errno == EAGAIN);

	want(eventfd_write(full, 1) && errno == EAGAIN);
	want(!eventfd_read(full, &value) && value == UINT64_MAX - 1);
	want(eventfd_read(empty, &value) && errno == EAGAIN);
}

FACT(set_up, look)
