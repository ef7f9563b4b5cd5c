// SPDX-License-Identifier: GPL-2.0-only
/* The ends of TCP connections: who belongs to whom, and when no byte is lost between them. */
#include <netinet/in.h>
#include <stdlib.h>

#include "tap.h"
#include "tcp.h"

static struct ckpt_model_tcp one[4], two[4];
static struct ckpt_model models[2] = { { .tcps = one }, { .tcps = two } };
static struct ckpt_model *both[] = { &models[0], &models[1] };
static struct ckpt_set set = { both, 2 };

/* A connected end, of port @from, to port @to; its numbers go round in the middle of what waits. */
static struct ckpt_model_tcp end(uint64_t ino, uint32_t from, uint32_t to)
{
	return (struct ckpt_model_tcp){ .rec = {
		.ino = ino, .state = TCP_IS_ESTABLISHED, .local_port = from, .remote_port = to,
		.local = { [15] = 1 }, .remote = { [15] = 1 },
		.send_unacked = 0xfffffff0, .send_end = 0x10, .recv_read = 0xfffffff0, .recv_next = 0,
	} };
}

static void begin(void)
{
	one[0] = end(1, 10, 20);
	two[0] = end(2, 20, 10);
	models[0].nr_tcps = models[1].nr_tcps = 1;
	models[0].set = models[1].set = &set;
}

static void an_end_is_found_in_any_process(void)
{
	begin();
	REQUIRE(tcp_peer(&models[0], &one[0]) == &two[0] && tcp_peer(&models[1], &two[0]) == &one[0]);
	two[0].rec.remote[0] = 7;
	REQUIRE(!tcp_peer(&models[0], &one[0]));
	begin();
	two[0].rec.remote_port = 11;
	REQUIRE(!tcp_peer(&models[0], &one[0]));
	begin();
	two[0].rec.state = TCP_IS_CLOSE;
	REQUIRE(!tcp_peer(&models[0], &one[0]) && !tcp_peer(&models[1], &two[0]));
}

static void nobody_is_the_other_end_of_itself(void)
{
	begin();
	one[0] = end(1, 10, 10);
	REQUIRE(!tcp_peer(&models[0], &one[0]));
}

static void a_socket_of_two_processes_has_the_first_record(void)
{
	const struct ckpt_model_fd fd = { .rec.id.ino = 1 };

	begin();
	two[1] = one[0];
	models[1].nr_tcps = 2;
	REQUIRE(tcp_of(&models[0], &fd) == &one[0] && tcp_of(&models[1], &fd) == &one[0]);
}

static void a_byte_that_neither_has_is_noticed(void)
{
	begin();
	REQUIRE(tcp_all_steady(&models[0]));
	/* Acknowledged, but not there yet when it was looked at. */
	two[0].rec.recv_next = 0xffffffef;
	REQUIRE(!tcp_all_steady(&models[0]) && !tcp_all_steady(&models[1]));
	/* Come, but not written. */
	two[0].rec.recv_next = 0x11;
	REQUIRE(!tcp_all_steady(&models[0]));
	two[0].rec.recv_next = 0x10;
	REQUIRE(tcp_all_steady(&models[0]));
	two[0].rec.recv_next = 0xfffffff0;
	REQUIRE(tcp_all_steady(&models[0]));
	one[0].rec.recv_next = 0x11;
	REQUIRE(!tcp_all_steady(&models[0]));
}

static void it_is_over_when_nothing_is_left_to_be_sent(void)
{
	begin();
	two[0].rec.state = TCP_IS_CLOSE;
	REQUIRE(tcp_is_over(&models[1], &two[0]) && !tcp_is_over(&models[0], &one[0]));
	one[0].rec.state = TCP_IS_LAST_ACK;
	REQUIRE(tcp_is_over(&models[0], &one[0]));
	one[0].rec.send_len = 1;
	REQUIRE(!tcp_is_over(&models[0], &one[0]));
	one[0].rec.send_len = 0;
	two[0].rec.state = TCP_IS_CLOSING;
	REQUIRE(!tcp_is_over(&models[0], &one[0]));
}

static void the_other_end_has_the_family_of_the_socket(void)
{
	const struct sockaddr_in6 name = { .sin6_family = AF_INET6, .sin6_scope_id = 3 };
	const struct sockaddr_in name4 = { .sin_family = AF_INET };
	struct sockaddr_storage to;

	begin();
	REQUIRE_EQ(tcp_remote(&one[0].rec, (const struct sockaddr *)&name, &to), sizeof(name));
	REQUIRE(((struct sockaddr_in6 *)&to)->sin6_port == htons(20) &&
		((struct sockaddr_in6 *)&to)->sin6_scope_id == 3 && to.ss_family == AF_INET6);
	REQUIRE_EQ(tcp_remote(&one[0].rec, (const struct sockaddr *)&name4, &to), sizeof(name4));
	REQUIRE(((struct sockaddr_in *)&to)->sin_addr.s_addr == htonl(1) && to.ss_family == AF_INET);
}

static void those_to_outside_are_listed_once_each(void)
{
	struct hold_ends *v;
	size_t nr;

	begin();
	REQUIRE_EQ(tcp_list_outside(&models[1], &v, &nr), 0);
	REQUIRE_EQ(nr, 0);
	free(v);
	one[1] = end(3, 10, 22);
	one[2] = end(4, 10, 21);
	one[3] = end(5, 10, 23);
	one[3].rec.state = TCP_IS_CLOSE;
	two[1] = one[1];
	models[0].nr_tcps = 4;
	models[1].nr_tcps = 2;
	REQUIRE_EQ(tcp_list_outside(&models[1], &v, &nr), 0);
	REQUIRE_EQ(nr, 2);
	REQUIRE(v[0].local_port == 10 && v[0].remote_port == 21 && v[1].remote_port == 22);
	REQUIRE(v[0].local[15] == 1 && v[0].remote[15] == 1);
	free(v);
}

static void names_of_holds_are_part_of_no_other_command(void)
{
	char name[HOLD_NAME_SIZE];

	REQUIRE_EQ(hold_new_name(NULL, name), 0);
	REQUIRE(hold_name_valid(name));
	REQUIRE(hold_name_valid("ckpt_0123456789abcdef"));
	REQUIRE(!hold_name_valid("") && !hold_name_valid("ckpt_0123456789abcde;"));
	REQUIRE(!hold_name_valid("ckpt_0123456789abcdef0") && !hold_name_valid("abcd_0123456789abcdef"));
	REQUIRE(!hold_name_valid("ckpt_0123456789ABCDEF") && !hold_name_valid("ckpt_ 23456789abcdef "));
}

static const struct tap_test tests[] = {
	{ "an_end_is_found_in_any_process", an_end_is_found_in_any_process },
	{ "nobody_is_the_other_end_of_itself", nobody_is_the_other_end_of_itself },
	{ "a_socket_of_two_processes_has_the_first_record", a_socket_of_two_processes_has_the_first_record },
	{ "a_byte_that_neither_has_is_noticed", a_byte_that_neither_has_is_noticed },
	{ "it_is_over_when_nothing_is_left_to_be_sent", it_is_over_when_nothing_is_left_to_be_sent },
	{ "the_other_end_has_the_family_of_the_socket", the_other_end_has_the_family_of_the_socket },
	{ "those_to_outside_are_listed_once_each", those_to_outside_are_listed_once_each },
	{ "names_of_holds_are_part_of_no_other_command", names_of_holds_are_part_of_no_other_command },
};

TAP_MAIN(tests)
