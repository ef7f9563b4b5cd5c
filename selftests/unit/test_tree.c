// SPDX-License-Identifier: GPL-2.0-only
/* The list of the processes of a tree: what is written is read again, and nothing else is believed. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc-stat.h"
#include "tap.h"
#include "tree.h"

static struct tree tree;

static void add(pid_t pid, pid_t ppid, bool ended)
{
	struct tree_process p = { .pid = pid, .ppid = ppid, .pgid = 7, .sid = 3, .ended = ended,
				  .status = ended ? 42 << 8 : 0, .comm = "a (b) \xff" };

	REQUIRE_EQ(tree_add(&tree, &p), 0);
}

static int parse(const char *text, struct tree *ret)
{
	struct ckpt_err err = CKPT_ERR_INIT;

	return tree_parse(text, strlen(text), &err, ret);
}

static void what_is_written_is_read_again(void)
{
	struct tree again;
	char *text;

	add(10, 1, false);
	add(11, 10, true);
	add(12, 10, false);
	add(13, 12, false);
	REQUIRE_EQ(tree_add_file(&tree, &(struct tree_file){ 1, 10, 4 }), 0);
	REQUIRE_EQ(tree_add_file(&tree, &(struct tree_file){ 1, 13, 9 }), 0);
	REQUIRE_EQ(tree_format(&tree, &text), 0);
	REQUIRE_EQ(parse(text, &again), 0);
	free(text);
	REQUIRE_EQ(again.nr, 4);
	REQUIRE_EQ(again.nr_files, 2);
	for (size_t i = 0; i < again.nr; i++) {
		const struct tree_process *a = &tree.processes[i], *b = &again.processes[i];

		REQUIRE(a->pid == b->pid && a->ppid == b->ppid && a->pgid == b->pgid &&
			a->sid == b->sid && a->ended == b->ended && a->status == b->status);
		REQUIRE(!strcmp(b->comm, "a (b) ?"));
	}
	REQUIRE(tree_find(&again, 12) == &again.processes[2] && !tree_find(&again, 14));
	REQUIRE(tree_find_file(&again, 13, 9) == &again.files[1] && !tree_find_file(&again, 13, 4));
	tree_free(&again);
	tree_free(&tree);
}

#define P(pid, ppid, more)	"{\"pid\":" #pid ",\"ppid\":" #ppid ",\"pgid\":1,\"sid\":1,\"comm\":\"x\"" more "}"
#define ROOT			",\"root\":true"
#define TREE(processes, files)	"{\"processes\":[" processes "],\"files\":[" files "]}"
#define F(object, pid, file)	"{\"object\":" #object ",\"pid\":" #pid ",\"file\":" #file "}"

static void nothing_else_is_believed(void)
{
	static const char * const bad[] = {
		"", "[]", "{}", "{\"processes\":[]}", TREE("", ""),
		"{\"processes\":[" P(5, 1, "") "]}",
		TREE(P(0, 1, ""), ""), TREE(P(-5, 1, ""), ""), TREE(P(5000000000, 1, ""), ""),
		TREE(P(5, 1, ",\"ended\":0"), ""),			/* the root has ended */
		TREE(P(5, 1, "") "," P(6, 1, ROOT ",\"ended\":0"), ""),	/* another root has */
		TREE(P(5, 1, "") "," P(6, 5, ROOT), ""),			/* a root that is a child */
		TREE(P(5, 1, "") "," P(5, 5, ""), ""),			/* twice */
		TREE(P(5, 1, "") "," P(6, 6, ""), ""),			/* its own parent */
		TREE(P(5, 1, "") "," P(6, 7, "") "," P(7, 5, ""), ""),	/* before its parent */
		TREE(P(5, 1, "") "," P(6, 5, ",\"ended\":0") "," P(7, 6, ""), ""), /* a zombie's child */
		TREE(P(5, 1, "") "," P(6, 5, ",\"ended\":65536"), ""),
		TREE(P(5, 1, "") "," P(6, 5, ",\"ended\":\"x\""), ""),
		TREE(P(5, 1, "") "," "7", ""), TREE(P(5, 1, ""), "7"),
		TREE(P(5, 1, ""), F(0, 5, 1)), TREE(P(5, 1, ""), F(1, 5, 0)),
		TREE(P(5, 1, ""), F(1, 6, 1)), TREE(P(5, 1, ""), F(1, 5, 1) "," F(2, 5, 1)),
		TREE(P(5, 1, "") "," P(6, 5, ",\"ended\":0"), F(1, 6, 1)),
	};
	struct tree t;

	REQUIRE_EQ(parse(TREE(P(5, 1, "") "," P(6, 5, ",\"ended\":0"), F(1, 5, 1)), &t), 0);
	tree_free(&t);
	REQUIRE_EQ(parse(TREE(P(5, 1, "") "," P(6, 1, ROOT) "," P(7, 6, ""), ""), &t), 0);
	REQUIRE(t.processes[0].root && t.processes[1].root && !t.processes[2].root);
	tree_free(&t);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (parse(bad[i], &t) != -EBADMSG) {
			printf("# believed: %s\n", bad[i]);
			REQUIRE(false);
		}
}

static struct tree_process *add_in(pid_t pid, pid_t ppid, pid_t sid, bool ended)
{
	struct tree_process p = { .pid = pid, .ppid = ppid, .pgid = sid, .sid = sid, .root = ppid == 1, .ended = ended };

	REQUIRE_EQ(tree_add(&tree, &p), 0);
	return &tree.processes[tree.nr - 1];
}

/* Two roots were somebody else's before, one leads a session, one has outlived its parent in that. */
static void whoever_is_in_whose_session(void)
{
	enum { OUTER = 3, OTHER = 4, GONE = 5, LEADER = 10, CHILD, ORPHAN, SECOND, LOST, DEAD, OF_DEAD };
	const struct tree_process *v;

	add_in(LEADER, 1, LEADER, false);
	add_in(CHILD, LEADER, OTHER, false);	/* born before its parent led one */
	add_in(ORPHAN, 1, LEADER, false);
	add_in(SECOND, 1, OUTER, false);
	add_in(LOST, SECOND, GONE, false);
	add_in(DEAD, SECOND, DEAD, true);
	add_in(OF_DEAD, 1, DEAD, false);
	v = tree.processes - LEADER;
	REQUIRE(tree_session_is_headless(&tree, GONE) && tree_group_is_headless(&tree, GONE));
	REQUIRE(!tree_session_is_headless(&tree, OUTER) && !tree_group_is_headless(&tree, OUTER));
	REQUIRE(!tree_session_is_headless(&tree, LEADER) && !tree_session_is_headless(&tree, 0));
	for (pid_t pid = LEADER; pid <= OF_DEAD; pid++) {
		REQUIRE_EQ(tree_is_adrift(&tree, &v[pid]), pid == ORPHAN || pid == OF_DEAD);
		REQUIRE_EQ(tree_is_orphan(&tree, &v[pid]), pid == LOST);
		REQUIRE_EQ(tree_session_is_inherited(&tree, &v[pid]), pid != LOST && pid != OF_DEAD);
	}
	REQUIRE_EQ(tree_session_of_birth(&tree, &v[LEADER]), OTHER);
	tree_free(&tree);
}

static unsigned int fail_at, allocated;

static void *failing_malloc(size_t size)
{
	return ++allocated == fail_at ? NULL : malloc(size);
}

/* One allocation fails, whichever: no text, or the text, and not one that lacks a word. */
static void no_text_is_in_pieces_for_want_of_memory(void)
{
	char *whole, *text;
	unsigned int failed = 0;

	for (pid_t pid = 10; pid < 60; pid++)
		add(pid, pid - 1, pid == 59);
	REQUIRE_EQ(tree_format(&tree, &whole), 0);
	json_set_alloc_funcs(failing_malloc, free);
	for (fail_at = 1; ; fail_at++) {
		allocated = 0;
		if (tree_format(&tree, &text)) {
			failed++;
			continue;
		}
		REQUIRE(!strcmp(text, whole));
		free(text);
		if (allocated < fail_at)
			break;
	}
	REQUIRE(failed > 100);
	free(whole);
	tree_free(&tree);
}

static void a_process_is_read_whatever_its_name(void)
{
	const pid_t self = getpid();
	struct proc_stat st;
	int status;
	pid_t pid;

	REQUIRE_EQ(prctl(PR_SET_NAME, "a) S 1 (2 3"), 0);
	REQUIRE_EQ(proc_stat_read(self, &st), 0);
	REQUIRE(!strcmp(st.comm, "a) S 1 (2 3"));
	REQUIRE(st.state == 'R' && st.ppid == getppid() && st.pgid == getpgrp() && st.sid == getsid(0));
	REQUIRE(st.start_ticks > 0 && !st.status && st.exit_signal == SIGCHLD);
	pid = fork();
	if (!pid)
		_exit(42);
	REQUIRE(pid > 0);
	REQUIRE_EQ(waitid(P_PID, (id_t)pid, NULL, WEXITED | WNOWAIT), 0);
	REQUIRE_EQ(proc_stat_read(pid, &st), 0);
	REQUIRE(st.state == 'Z' && st.ppid == self);
	REQUIRE_EQ(st.status, 42 << 8);
	REQUIRE(waitpid(pid, &status, 0) == pid);
	REQUIRE_EQ(proc_stat_read(pid, &st), -ENOENT);
}

static const struct tap_test tests[] = {
	{ "a_process_is_read_whatever_its_name", a_process_is_read_whatever_its_name },
	{ "no_text_is_in_pieces_for_want_of_memory", no_text_is_in_pieces_for_want_of_memory },
	{ "what_is_written_is_read_again", what_is_written_is_read_again },
	{ "whoever_is_in_whose_session", whoever_is_in_whose_session },
	{ "nothing_else_is_believed", nothing_else_is_believed },
};

TAP_MAIN(tests)
