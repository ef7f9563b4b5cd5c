// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * hold.c - see hold.h: tables of nftables, by libnftables, which is loaded when it is needed.
 *
 * A table is made in one transaction, with all that is in it.  That of hold_begin() belongs to the netlink
 * socket of its context (NFT_TABLE_F_OWNER, Linux 5.12) and goes with it.
 * A packet that was past our hooks when they came has to have reached its socket before anything is read of
 * that: the network stack receives inside of RCU read-side critical sections, and membarrier(2) waits for all
 * that have begun (kernel/sched/membarrier.c).
 *
 * struct hold owns the library and its context.  No locks.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <linux/netlink.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hold.h"

#define NFT_SONAME	"libnftables.so.1"
#define NAME_PREFIX	"ckpt_"
#define OWNED		"flags owner;"

#define NFT_CALLS(X) \
	X(nft_ctx_new) \
	X(nft_ctx_free) \
	X(nft_ctx_buffer_error) \
	X(nft_ctx_buffer_output) \
	X(nft_ctx_get_error_buffer) \
	X(nft_run_cmd_from_buffer)

#define NFT_CALL(name) __typeof__(&name) name;
struct hold {
	void *lib;
	struct nft_ctx *ctx;
	NFT_CALLS(NFT_CALL)
};
#undef NFT_CALL

/* ------------------------------------------------------------------------------- names */

int hold_new_name(struct ckpt_err *err, char *ret_name)
{
	uint64_t nr;

	if (getrandom(&nr, sizeof(nr), 0) != sizeof(nr))
		return ckpt_err_sys(err, errno, "random number");
	snprintf(ret_name, HOLD_NAME_SIZE, NAME_PREFIX "%016llx", (unsigned long long)nr);
	return 0;
}

bool hold_name_valid(const char *name)
{
	const size_t prefix = strlen(NAME_PREFIX);

	return strlen(name) == HOLD_NAME_SIZE - 1 && !strncmp(name, NAME_PREFIX, prefix) &&
	       strspn(name + prefix, "0123456789abcdef") == HOLD_NAME_SIZE - 1 - prefix;
}

/* ------------------------------------------------------------------------------- libnftables */

/* Without it nft_ctx_new() ends the process. */
static bool has_netfilter(void)
{
	int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	if (sock >= 0)
		close(sock);
	return sock >= 0;
}

static bool load(struct hold *h)
{
	h->lib = dlopen(NFT_SONAME, RTLD_NOW | RTLD_LOCAL);
	if (!h->lib)
		return false;
#define NFT_CALL(name) \
	h->name = (__typeof__(&name))dlsym(h->lib, #name); \
	if (!h->name) \
		return false;
	NFT_CALLS(NFT_CALL)
#undef NFT_CALL
	return true;
}

static int no_library(struct ckpt_err *err)
{
	const char *why = dlerror();

	ckpt_err_set(err, ENOSYS, "libnftables: %s", why ? why : NFT_SONAME);
	ckpt_err_hint(err, "install it (libnftables1)");
	return -ENOSYS;
}

static int open_context(struct ckpt_err *err, struct hold **ret)
{
	struct hold *h = calloc(1, sizeof(*h));
	int r = 0;

	if (!h) {
		ckpt_err_sys(err, ENOMEM, "connections to hold");
		return -ENOMEM;
	}
	if (!load(h)) {
		r = no_library(err);
	} else {
		h->ctx = h->nft_ctx_new(NFT_CTX_DEFAULT);
		if (!h->ctx || h->nft_ctx_buffer_error(h->ctx) || h->nft_ctx_buffer_output(h->ctx))
			r = ckpt_err_sys(err, ENOMEM, "libnftables");
	}
	if (r) {
		hold_end(h);
		return r;
	}
	*ret = h;
	return 0;
}

void hold_end(struct hold *h)
{
	if (!h)
		return;
	if (h->ctx)
		h->nft_ctx_free(h->ctx);
	if (h->lib)
		dlclose(h->lib);
	free(h);
}

/* What it says is several lines, the first of which tells. */
static int run(struct hold *h, const char *commands, const char *what, struct ckpt_err *err)
{
	const char *said;

	if (!h->nft_run_cmd_from_buffer(h->ctx, commands))
		return 0;
	said = h->nft_ctx_get_error_buffer(h->ctx);
	ckpt_err_set(err, EIO, "%s: nftables: %.*s", what, (int)strcspn(said, "\n"), said);
	ckpt_err_hint(err, "the kernel needs nf_tables with tables for inet, and we need CAP_NET_ADMIN");
	return -EIO;
}

/* ------------------------------------------------------------------------------- a table */

static bool is_v4(const struct hold_ends *e)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	return !memcmp(e->local, mapped, sizeof(mapped));
}

static void put_end(FILE *f, const uint8_t *address, uint32_t port, bool v4)
{
	char text[INET6_ADDRSTRLEN] = "";

	inet_ntop(v4 ? AF_INET : AF_INET6, address + (v4 ? 12 : 0), text, sizeof(text));
	fprintf(f, "%s . %u", text, port);
}

/* An empty list is none the language knows. */
static void put_set(FILE *f, bool v4, const struct hold_ends *v, size_t nr)
{
	const char *before = "elements = { ", *type = v4 ? "ipv4_addr" : "ipv6_addr", *end = "";

	fprintf(f, "set %s { type %s . inet_service . %s . inet_service; ", v4 ? "four" : "six", type, type);
	for (size_t i = 0; i < nr; i++) {
		if (is_v4(&v[i]) != v4)
			continue;
		fputs(before, f);
		put_end(f, v[i].local, v[i].local_port, v4);
		fputs(" . ", f);
		put_end(f, v[i].remote, v[i].remote_port, v4);
		before = ", ";
		end = " }; ";
	}
	fprintf(f, "%s}\n", end);
}

/* In: our end is where the packet goes to. */
static void put_chain(FILE *f, bool in)
{
	const char *ours = in ? "daddr" : "saddr", *our = in ? "dport" : "sport";
	const char *theirs = in ? "saddr" : "daddr", *their = in ? "sport" : "dport";

	fprintf(f, "chain %s { type filter hook %s priority -300; ", in ? "in" : "out", in ? "prerouting" : "output");
	fprintf(f, "ip %s . tcp %s . ip %s . tcp %s @four drop; ", ours, our, theirs, their);
	fprintf(f, "ip6 %s . tcp %s . ip6 %s . tcp %s @six drop; }\n", ours, our, theirs, their);
}

static int make_table(struct hold *h, const char *name, const char *options, const struct hold_ends *v, size_t nr,
		      struct ckpt_err *err)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	int r = -ENOMEM;

	if (f) {
		fprintf(f, "table inet %s { %s\n", name, options);
		put_set(f, true, v, nr);
		put_set(f, false, v, nr);
		put_chain(f, true);
		put_chain(f, false);
		fputs("}\n", f);
		r = fclose(f) ? -ENOMEM : 0;
	}
	r = r ? ckpt_err_sys(err, r, "connections to hold") : run(h, text, "hold connections", err);
	free(text);
	return r;
}

static int open_to_make(struct ckpt_err *err, struct hold **ret)
{
	if (has_netfilter())
		return open_context(err, ret);
	ckpt_err_sys(err, errno, "hold connections: netlink socket of netfilter");
	ckpt_err_hint(err, "try again after 'modprobe nf_tables'");
	return -ENOSYS;
}

static int wait_for_packets(struct ckpt_err *err)
{
	if (!syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		return 0;
	ckpt_err_sys(err, errno, "hold connections: membarrier(MEMBARRIER_CMD_GLOBAL)");
	ckpt_err_hint(err, "a kernel with nohz_full does not have it");
	return -ENOSYS;
}

int hold_begin(const struct hold_ends *v, size_t nr, struct ckpt_err *err, struct hold **ret)
{
	char name[HOLD_NAME_SIZE];
	struct hold *h = NULL;
	int r = hold_new_name(err, name);

	if (!r)
		r = open_to_make(err, &h);
	if (r)
		return r;
	r = make_table(h, name, OWNED, v, nr, err);
	if (!r)
		r = wait_for_packets(err);
	if (r) {
		hold_end(h);
		return r;
	}
	*ret = h;
	return 0;
}

int hold_keep(const char *name, const char *why, const struct hold_ends *v, size_t nr, struct ckpt_err *err)
{
	char comment[128];
	struct hold *h = NULL;
	int r = open_to_make(err, &h);

	if (r)
		return r;
	snprintf(comment, sizeof(comment), "comment \"ckpt: %s\";", why);
	r = make_table(h, name, comment, v, nr, err);
	hold_end(h);
	return r;
}

int hold_release(const char *name, struct ckpt_err *err)
{
	char command[64 + HOLD_NAME_SIZE];
	struct hold *h = NULL;
	int r;

	if (!has_netfilter())
		return 0;
	r = open_context(err, &h);
	if (r)
		return r;
	snprintf(command, sizeof(command), "list table inet %s", name);
	if (!h->nft_run_cmd_from_buffer(h->ctx, command)) {
		snprintf(command, sizeof(command), "delete table inet %s", name);
		r = run(h, command, "let connections go", err);
	}
	hold_end(h);
	return r;
}
