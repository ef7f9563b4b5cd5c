// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * tree.c - see tree.h: a list of processes, and which open files they share.
 *
 * A struct tree belongs to its caller; its arrays grow by doubling.
 */
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "meta.h"
#include "tree.h"

/* Room for one more of @size bytes in an array of @nr: full when that is a power of two, or 0. */
static int grow(void *array, size_t nr, size_t size)
{
	void **v = array, *p;

	if (nr & (nr - 1))
		return 0;
	p = reallocarray(*v, nr ? 2 * nr : 1, size);
	if (!p)
		return -ENOMEM;
	*v = p;
	return 0;
}

/* Where @pid is in the table, or where it would be. */
static uint32_t *slot_of(const struct tree *t, pid_t pid)
{
	size_t i = (uint32_t)pid * 2654435761u % t->nr_slots;

	while (t->slots[i] && t->processes[t->slots[i] - 1].pid != pid)
		i = (i + 1) % t->nr_slots;
	return &t->slots[i];
}

/* Never more than half full. */
static int grow_slots(struct tree *t)
{
	size_t nr = t->nr_slots ? 2 * t->nr_slots : 64;
	uint32_t *slots;

	if (2 * (t->nr + 1) <= t->nr_slots)
		return 0;
	slots = calloc(nr, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	free(t->slots);
	t->slots = slots;
	t->nr_slots = nr;
	for (size_t i = t->nr; i-- > 0;)
		*slot_of(t, t->processes[i].pid) = (uint32_t)i + 1;
	return 0;
}

int tree_add(struct tree *t, const struct tree_process *p)
{
	int ret = t->nr < TREE_MAX ? grow(&t->processes, t->nr, sizeof(*p)) : -E2BIG;
	uint32_t *slot;

	if (!ret)
		ret = grow_slots(t);
	if (ret)
		return ret;
	t->processes[t->nr++] = *p;
	slot = slot_of(t, p->pid);
	if (!*slot)
		*slot = (uint32_t)t->nr;
	return 0;
}

int tree_add_file(struct tree *t, const struct tree_file *f)
{
	int ret = grow(&t->files, t->nr_files, sizeof(*f));

	if (!ret)
		t->files[t->nr_files++] = *f;
	return ret;
}

const struct tree_process *tree_find(const struct tree *t, pid_t pid)
{
	const uint32_t slot = t->nr_slots ? *slot_of(t, pid) : 0;

	return slot ? &t->processes[slot - 1] : NULL;
}

const struct tree_file *tree_find_file(const struct tree *t, pid_t pid, uint32_t file)
{
	for (size_t i = 0; i < t->nr_files; i++)
		if (t->files[i].pid == pid && t->files[i].file == file)
			return &t->files[i];
	return NULL;
}

/* ----------------------------------------------------------------------- sessions and groups */

static bool has_root_in(const struct tree *t, pid_t sid, pid_t pgid)
{
	for (size_t i = 0; i < t->nr; i++)
		if (t->processes[i].root && (t->processes[i].sid == sid || t->processes[i].pgid == pgid))
			return true;
	return false;
}

bool tree_session_is_headless(const struct tree *t, pid_t sid)
{
	return sid > 0 && !tree_find(t, sid) && !has_root_in(t, sid, -1);
}

bool tree_group_is_headless(const struct tree *t, pid_t pgid)
{
	return pgid > 0 && !tree_find(t, pgid) && !has_root_in(t, -1, pgid);
}

bool tree_is_adrift(const struct tree *t, const struct tree_process *p)
{
	return p->root && p->sid != p->pid && tree_find(t, p->sid);
}

pid_t tree_session_of_birth(const struct tree *t, const struct tree_process *p)
{
	if (p->sid != p->pid)
		return p->sid;
	for (size_t i = (size_t)(p - t->processes) + 1; i < t->nr; i++) {
		const struct tree_process *child = &t->processes[i];
		pid_t born;

		if (child->ppid != p->pid || tree_is_orphan(t, child))
			continue;
		born = tree_session_of_birth(t, child);
		if (born && born != p->sid)
			return born;
	}
	return 0;
}

bool tree_session_is_inherited(const struct tree *t, const struct tree_process *p)
{
	const struct tree_process *leader, *a = p;

	if (p->sid == p->pid)
		return true;
	if (p->root) {
		leader = tree_find(t, p->sid);
		return !leader || !leader->ended;
	}
	/* Who leads a session was in another before, and could have children there. */
	do {
		a = tree_find(t, a->ppid);
		if (!a)
			return false;	/* somebody was killed while the tree was gathered */
		if (a->sid == p->sid)
			return true;
	} while (!a->root && a->sid == a->pid);
	/* What a root that leads one was born into nobody knows. */
	return a->root && a->sid == a->pid && p->sid > 0 && !tree_find(t, p->sid);
}

bool tree_is_orphan(const struct tree *t, const struct tree_process *p)
{
	return tree_session_is_headless(t, p->sid) && !tree_session_is_inherited(t, p);
}

void tree_free(struct tree *t)
{
	free(t->processes);
	free(t->slots);
	free(t->files);
	*t = (struct tree){ 0 };
}

/* --------------------------------------------------------------------------------- writing */

static json_t *process_to_json(const struct tree_process *p)
{
	char comm[sizeof(p->comm) + 1];
	size_t n = 0;
	json_t *o;

	/* A name may hold any byte; it is for people alone. */
	for (size_t i = 0; i < sizeof(p->comm) && p->comm[i]; i++)
		comm[n++] = (unsigned char)p->comm[i] < 0x80 ? p->comm[i] : '?';
	comm[n] = '\0';
	o = json_pack("{s:i, s:i, s:i, s:i, s:s}", "pid", p->pid, "ppid", p->ppid, "pgid", p->pgid, "sid",
		      p->sid, "comm", comm);
	if (p->root && json_object_set_new(o, "root", json_true())) {
		json_decref(o);
		return NULL;
	}
	if (!p->ended || (!json_object_set_new(o, "ended", json_integer(p->status)) &&
			  (!p->clone || !json_object_set_new(o, "clone", json_true()))))
		return o;
	json_decref(o);
	return NULL;
}

static json_t *file_to_json(const struct tree_file *f)
{
	return json_pack("{s:I, s:i, s:I}", "object", (json_int_t)f->object, "pid", f->pid, "file",
			 (json_int_t)f->file);
}

int tree_format(const struct tree *t, char **ret_text)
{
	json_t *processes = json_array(), *files = json_array(), *top;
	bool bad = false;

	for (size_t i = 0; i < t->nr; i++)
		bad |= json_array_append_new(processes, process_to_json(&t->processes[i])) != 0;
	for (size_t i = 0; i < t->nr_files; i++)
		bad |= json_array_append_new(files, file_to_json(&t->files[i])) != 0;
	top = json_pack("{s:o, s:o}", "processes", processes, "files", files);
	*ret_text = bad || !top ? NULL : meta_text(top, JSON_COMPACT);
	json_decref(top);
	return *ret_text ? 0 : -ENOMEM;
}

/* --------------------------------------------------------------------------------- reading */

static bool get_number(json_t *o, const char *name, json_int_t min, json_int_t max, json_int_t *ret)
{
	json_t *v = json_object_get(o, name);

	*ret = json_integer_value(v);
	return json_is_integer(v) && *ret >= min && *ret <= max;
}

static bool get_process(json_t *o, struct tree_process *p)
{
	json_int_t pid, ppid, pgid, sid, status = 0;
	const char *comm = json_string_value(json_object_get(o, "comm"));

	*p = (struct tree_process){ .root = json_is_true(json_object_get(o, "root")),
				    .ended = json_object_get(o, "ended"),
				    .clone = json_is_true(json_object_get(o, "clone")) };
	if (!get_number(o, "pid", 1, INT_MAX, &pid) || !get_number(o, "ppid", 0, INT_MAX, &ppid) ||
	    !get_number(o, "pgid", 0, INT_MAX, &pgid) || !get_number(o, "sid", 0, INT_MAX, &sid) ||
	    (p->ended && !get_number(o, "ended", 0, 0xffff, &status)) || !comm)
		return false;
	p->pid = (pid_t)pid;
	p->ppid = (pid_t)ppid;
	p->pgid = (pid_t)pgid;
	p->sid = (pid_t)sid;
	p->status = (int)status;
	strncpy(p->comm, comm, sizeof(p->comm) - 1);
	return true;
}

static bool lives(const struct tree *t, pid_t pid)
{
	const struct tree_process *p = tree_find(t, pid);

	return p && !p->ended;
}

static int read_processes(json_t *list, struct tree *t)
{
	struct tree_process p;
	size_t i;
	json_t *o;
	int ret;

	json_array_foreach(list, i, o) {
		if (!get_process(o, &p) || tree_find(t, p.pid))
			return -EBADMSG;
		p.root |= !i;
		if (p.root ? p.ended || tree_find(t, p.ppid) : !lives(t, p.ppid))
			return -EBADMSG;
		ret = tree_add(t, &p);
		if (ret)
			return ret == -E2BIG ? -EBADMSG : ret;
	}
	return t->nr ? 0 : -EBADMSG;
}

static int read_files(json_t *list, struct tree *t)
{
	json_int_t object, pid, file;
	size_t i;
	json_t *o;
	int ret;

	if (!json_is_array(list))
		return -EBADMSG;
	json_array_foreach(list, i, o) {
		if (!get_number(o, "object", 1, UINT32_MAX, &object) ||
		    !get_number(o, "pid", 1, INT_MAX, &pid) ||
		    !get_number(o, "file", 1, UINT32_MAX, &file) || !lives(t, (pid_t)pid) ||
		    tree_find_file(t, (pid_t)pid, (uint32_t)file))
			return -EBADMSG;
		ret = tree_add_file(t, &(struct tree_file){ (uint32_t)object, (pid_t)pid,
							    (uint32_t)file });
		if (ret)
			return ret;
	}
	return 0;
}

int tree_parse(const void *text, size_t len, struct ckpt_err *err, struct tree *ret_tree)
{
	struct tree t = { 0 };
	json_t *top;
	int ret = meta_json(text, len, "list of processes", err, &top);

	if (ret)
		return ret;
	ret = read_processes(json_object_get(top, "processes"), &t);
	if (!ret)
		ret = read_files(json_object_get(top, "files"), &t);
	json_decref(top);
	if (ret) {
		tree_free(&t);
		return ckpt_err_set(err, ret, ret == -ENOMEM ? "list of processes: no memory" :
				    "list of processes in the image: is not understood");
	}
	*ret_tree = t;
	return 0;
}
