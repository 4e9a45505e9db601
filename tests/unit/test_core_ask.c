/* SPDX-License-Identifier: Apache-2.0 */
#include "core/ask.h"

#include "core/mem.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* A process that is asked: takes one connection, reads a line, and says what it was told to say. */
static struct peer {
	char dir[64], path[96], heard[256];
	int listener, fd; /* fd: what came with the line, -1: nothing */
	unsigned late_ms; /* listens so much later */
	const char *pieces[4];
	bool silent; /* neither answers nor hangs up until the other side does */
	pthread_t thread;
} peer;

static void peer_listen(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", peer.path);
	peer.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK_INT(bind(peer.listener, (struct sockaddr *)&sun, sizeof(sun)), 0);
	CHECK_INT(listen(peer.listener, 4), 0);
}

static void peer_hear(int c)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec to = {.iov_base = peer.heard, .iov_len = sizeof(peer.heard) - 1};
	struct msghdr m = {.msg_iov = &to, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(c, &m, MSG_CMSG_CLOEXEC);
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	peer.heard[n > 0 ? n : 0] = '\0';
	if (h && h->cmsg_type == SCM_RIGHTS)
		memcpy(&peer.fd, CMSG_DATA(h), sizeof(peer.fd));
}

static void *peer_main(void *arg)
{
	char rest;
	int c;

	(void)arg;
	if (peer.late_ms) {
		usleep(peer.late_ms * 1000);
		peer_listen();
	}
	c = accept(peer.listener, NULL, NULL);
	peer_hear(c);
	for (int i = 0; i < 4 && peer.pieces[i]; i++) {
		if (write(c, peer.pieces[i], strlen(peer.pieces[i])) < 0)
			break;
		usleep(5000);
	}
	while (peer.silent && read(c, &rest, 1) > 0)
		;
	close(c);
	return NULL;
}

static void peer_start(struct peer p)
{
	peer = p;
	peer.fd = -1;
	strcpy(peer.dir, "/tmp/mesh-ask-XXXXXX");
	CHECK(mkdtemp(peer.dir) != NULL);
	snprintf(peer.path, sizeof(peer.path), "%s/sock", peer.dir);
	if (!peer.late_ms)
		peer_listen();
	pthread_create(&peer.thread, NULL, peer_main, NULL);
}

static void peer_end(void)
{
	pthread_join(peer.thread, NULL);
	close(peer.listener);
	unlink(peer.path);
	rmdir(peer.dir);
}

static struct mesh_ask ask_peer(void)
{
	return (struct mesh_ask){
		.path = peer.path, .line = MESH_SLICE("{\"cmd\":\"x\"}"), .fd = -1, .time_ms = 2000, .answer_max = 64};
}

/* Asks once; the answer is to be want, or the error r. */
static void check_ask(struct peer p, int r, const char *want)
{
	struct mesh_buf answer = {0};
	struct mesh_ask ask;

	peer_start(p);
	ask = ask_peer();
	if (p.silent)
		ask.time_ms = 50;
	if (p.late_ms)
		ask.connect_ms = 5000;
	CHECK_INT(mesh_ask(&ask, &answer), r);
	if (r == 0) {
		mesh_buf_char(&answer, '\0');
		CHECK_STR(answer.data, want);
		CHECK_STR(peer.heard, "{\"cmd\":\"x\"}\n");
	}
	mesh_buf_free(&answer);
	peer_end();
}

TEST(an_answer)
{
	check_ask((struct peer){.pieces = {"{\"ok\":true}\n"}}, 0, "{\"ok\":true}");
	check_ask((struct peer){.pieces = {"\n"}}, 0, "");
}

TEST(an_answer_in_pieces_ends_at_its_newline)
{
	check_ask((struct peer){.pieces = {"{\"ok\"", ":tr", "ue}\nmore"}}, 0, "{\"ok\":true}");
}

TEST(who_listens_late_is_waited_for)
{
	check_ask((struct peer){.late_ms = 60, .pieces = {"late\n"}}, 0, "late");
}

TEST(no_whole_answer)
{
	check_ask((struct peer){.pieces = {NULL}}, -ECONNRESET, NULL);
	check_ask((struct peer){.pieces = {"half"}}, -ECONNRESET, NULL);
	check_ask((struct peer){.pieces = {"half"}, .silent = true}, -ETIMEDOUT, NULL);
}

TEST(an_answer_that_is_too_long)
{
	static const char long_text[] = "0123456789012345678901234567890123456789012345678901234567890123456789";

	check_ask((struct peer){.pieces = {long_text}, .silent = false}, -EFBIG, NULL);
}

TEST(a_descriptor_goes_along)
{
	struct mesh_buf answer = {0};
	struct stat sent, got;
	struct mesh_ask ask;

	peer_start((struct peer){.pieces = {"ok\n"}});
	ask = ask_peer();
	ask.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CHECK_INT(mesh_ask(&ask, &answer), 0);
	peer_end();
	CHECK(peer.fd >= 0);
	CHECK_INT(fstat(ask.fd, &sent), 0);
	CHECK_INT(fstat(peer.fd, &got), 0);
	CHECK(sent.st_ino == got.st_ino && sent.st_dev == got.st_dev);
	close(ask.fd);
	close(peer.fd);
	mesh_buf_free(&answer);
}

TEST(nobody_is_there)
{
	char path[200];
	struct mesh_buf answer = {0};
	struct mesh_ask ask = {.path = "/tmp/mesh-ask-nobody/sock", .line = MESH_SLICE("x"), .fd = -1, .time_ms = 100};

	CHECK_INT(mesh_ask(&ask, &answer), -ENOENT);
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	ask.path = path;
	CHECK_INT(mesh_ask(&ask, &answer), -ENAMETOOLONG);
	CHECK(answer.len == 0);
	mesh_buf_free(&answer);
}

TEST_MAIN()
