// SPDX-License-Identifier: GPL-2.0-only
/*
 * A thread with credentials of its own, as file servers have them (the system calls know no process): user,
 * groups, capabilities, securebits that are locked, no new privileges, and what becomes of it when it starts
 * another program. The first thread keeps all it has.
 */
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "fact-aside.h"

#define BITS	(SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS)

static struct aside other;
static const gid_t groups[] = { 3, 70000, 4000000000u };

static struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
static const struct __user_cap_data_struct caps[2] = {
	{ .effective = 1u << CAP_KILL, .permitted = 1u << CAP_KILL | 1u << CAP_NET_RAW,
	  .inheritable = 1u << CAP_NET_RAW | 1u << CAP_CHOWN },
	{ .permitted = 1u << (CAP_SYSLOG - 32), .inheritable = 1u << (CAP_SYSLOG - 32) },
};

static void become(void)
{
	must(prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT));
	must(syscall(SYS_setgroups, 3, groups));
	must(prctl(PR_SET_SECUREBITS, BITS));
	must(syscall(SYS_setresgid, 11, 12, 13));
	must(syscall(SYS_setresuid, 21, 22, 23));
	must(syscall(SYS_capset, &head, caps));
	must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYSLOG, 0, 0));
	setfsuid(23);
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static void is_so(void)
{
	struct __user_cap_data_struct now[2];
	uid_t r, e, s;
	gid_t g[4];

	must(getresuid(&r, &e, &s));
	want(r == 21 && e == 22 && s == 23 && setfsuid(-1) == 23);
	must(getresgid(&r, &e, &s));
	want(r == 11 && e == 12 && s == 13 && setfsgid(-1) == 12);
	want(getgroups(4, g) == 3 && !memcmp(g, groups, sizeof(groups)));
	must(syscall(SYS_capget, &head, now));
	want(!memcmp(now, caps, sizeof(caps)));
	want(prctl(PR_GET_SECUREBITS) == BITS && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	want(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_SYSLOG, 0, 0) == 1);
	want(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_RAW, 0, 0) == 0);
	want(prctl(PR_CAPBSET_READ, CAP_SYS_BOOT) == 0 && prctl(PR_CAPBSET_READ, CAP_CHOWN) == 1);
}

static void set_up(void)
{
	aside_begin(&other, become, is_so);
}

static void look(void)
{
	want(!getuid() && !geteuid() && prctl(PR_CAPBSET_READ, CAP_SYS_BOOT) == 1);
	want(!prctl(PR_GET_SECUREBITS) && !prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	aside_look(&other);
}

FACT(set_up, look)
