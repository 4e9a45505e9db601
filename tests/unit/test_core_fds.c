/* SPDX-License-Identifier: Apache-2.0 */
/* core/fds: descriptors arrive, as many as were sent, and are those that were. */
#include "test.h"

#include "core/fds.h"

#include <stdint.h>
#include <sys/stat.h>

static int pair[2];

TEST_SETUP(sockets)
{
	CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
}

static ssize_t transmit(const int *fds, size_t count)
{
	struct iovec part = {.iov_base = "x", .iov_len = 1};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	union mesh_fds_room room;

	mesh_fds_put(&m, &room, fds, count);
	return sendmsg(pair[0], &m, MSG_NOSIGNAL);
}

static size_t receive(int fds[MESH_FDS_MAX], int *flags)
{
	char text;
	struct iovec part = {.iov_base = &text, .iov_len = 1};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	union mesh_fds_room room;

	mesh_fds_expect(&m, &room);
	if (recvmsg(pair[1], &m, MSG_CMSG_CLOEXEC) != 1)
		return SIZE_MAX;
	*flags = m.msg_flags;
	return mesh_fds_take(&m, fds);
}

static int is_same_file(int a, int b)
{
	struct stat sa, sb;

	return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_ino == sb.st_ino && sa.st_dev == sb.st_dev;
}

TEST(as_many_as_were_sent)
{
	int pipes[4], got[MESH_FDS_MAX], flags;

	CHECK_INT(pipe(pipes), 0);
	CHECK_INT(pipe(pipes + 2), 0);
	for (size_t count = 0; count <= MESH_FDS_MAX; count++) {
		CHECK_INT(transmit(pipes, count), 1);
		CHECK_INT(receive(got, &flags), count);
		CHECK_INT(flags & MSG_CTRUNC, 0);
		for (size_t i = 0; i < count; i++) {
			CHECK(got[i] != pipes[i]);
			CHECK(is_same_file(got[i], pipes[i]));
			CHECK_INT(close(got[i]), 0);
		}
	}
	for (int i = 0; i < 4; i++)
		close(pipes[i]);
}

TEST_TEARDOWN(end)
{
	close(pair[0]);
	close(pair[1]);
}

TEST_MAIN()
