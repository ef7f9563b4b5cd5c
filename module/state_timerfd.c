// SPDX-License-Identifier: GPL-2.0-only
/*
 * State: what a timerfd does not say of itself. Its fdinfo has the time that is left, never less than
 * none: neither when it expired, nor at what time it will, nor whether it is about to expire or was never
 * armed. Lines of our own follow the kernel's:
 *
 *	armed: 0 or 1
 *	expires: on its clock as the process reads it, in ns
 *	remaining: until then, in ns; negative when that is past
 *
 * Owns nothing. No locks: the timer may fire meanwhile, so the text is taken again until timer and text
 * agree. The process stands still and does not read it, so a timer fires once at most.
 */
#include <linux/alarmtimer.h>
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/seq_file.h>
#include <linux/timerfd.h>

#include "state.h"

/* It may have left its queue and not have been counted yet. */
#define JUST_EXPIRED	NSEC_PER_MSEC

/* The timer itself: struct timerfd_ctx is private to fs/timerfd.c, and has begun like this since 3.11. */
union timer {
	struct hrtimer hr;
	struct alarm alarm;
};

/* For another process may have it too, and read on. */
#define TRIES		500

static bool is_alarm(int clock)
{
	return clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM;
}

static bool is_armed(union timer *t, int clock)
{
	return is_alarm(clock) ? READ_ONCE(t->alarm.state) & ALARMTIMER_STATE_ENQUEUED :
				 hrtimer_active(&t->hr);
}

static s64 remaining(const union timer *t, int clock)
{
	return is_alarm(clock) ? alarm_expires_remaining(&t->alarm) : hrtimer_get_remaining(&t->hr);
}

static s64 expires(const union timer *t, int clock, const struct timens_offsets *offsets)
{
	s64 at = is_alarm(clock) ? t->alarm.node.expires : hrtimer_get_expires(&t->hr);

	if (clock == CLOCK_MONOTONIC)
		return at + timespec64_to_ns(&offsets->monotonic);
	if (clock == CLOCK_BOOTTIME || clock == CLOCK_BOOTTIME_ALARM)
		return at + timespec64_to_ns(&offsets->boottime);
	return at;
}

/* "clockid: N" begins the text. */
static int clock_of(struct seq_file *m, struct file *file)
{
	int clock = -1;

	file->f_op->show_fdinfo(m, file);
	if (m->count == m->size)
		return -1;
	m->buf[m->count] = '\0';
	return sscanf(m->buf, "clockid: %d", &clock) == 1 ? clock : -1;
}

/**
 * ckpt_timerfd_show - what a timerfd's fdinfo says, and what it does not
 * @m: buffer
 * @file: a timerfd's; its process stands still
 * @offsets: of the clocks of that process
 */
void ckpt_timerfd_show(struct seq_file *m, struct file *file, const struct timens_offsets *offsets)
{
	union timer *t = file->private_data;
	int clock = clock_of(m, file);
	unsigned int tries = 0;
	bool armed, again;
	s64 left;

	if (clock < 0)
		return;
	do {
		armed = is_armed(t, clock);
		m->count = 0;
		file->f_op->show_fdinfo(m, file);
		left = remaining(t, clock);
		again = armed != is_armed(t, clock) || (!armed && left <= 0 && left > -JUST_EXPIRED);
		if (again)
			udelay(10);
	} while (again && ++tries < TRIES);
	seq_printf(m, "armed: %d\nexpires: %lld\nremaining: %lld\n", armed,
		   expires(t, clock, offsets), left);
}
