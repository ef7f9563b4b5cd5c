// SPDX-License-Identifier: GPL-2.0-only
/* example-restore STORE REF: bring a process back and wait for it. Needs -lckpt. */
#include <stdio.h>
#include <sys/wait.h>
#include <libckpt.h>

int main(int argc, char **argv)
{
	struct ckpt_restore_request request = { .size = sizeof(request) };
	struct ckpt_err *err = ckpt_err_new();
	struct ckpt_store *store = NULL;
	int status, ret;
	pid_t pid;

	if (argc != 3)
		return fprintf(stderr, "usage: %s STORE REF\n", argv[0]), 2;
	request.ref = argv[2];
	ret = ckpt_store_open(argv[1], err, &store);
	if (!ret)
		ret = ckpt_restore_start(store, &request, err, &pid);
	if (ret)
		fprintf(stderr, "%s\n", ckpt_err_text(err));
	ckpt_store_close(store);
	ckpt_err_free(err);
	if (ret)
		return 1;
	if (waitpid(pid, &status, 0) != pid)	/* it is our child */
		return perror("wait"), 1;
	return printf("%d ended with wait status %#x\n", pid, status) < 0;
}
