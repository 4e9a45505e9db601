/* SPDX-License-Identifier: Apache-2.0 */
/* agent/keeper: what outlives the process that it starts. The children are this program again. */
#include "test.h"

#include "agent/holder.h"
#include "agent/keeper.h"
#include "agent/packet.h"
#include "core/loop.h"
#include "core/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#define COOKIE 7

static void nap(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in a = {0};
	socklen_t len = sizeof(a);

	getsockname(fd, (struct sockaddr *)&a, &len);
	return ntohs(a.sin_port);
}

/* Serves on until the keeper asks it to yield, and then until its successor speaks, or is gone. */
static void wait_to_yield(struct mesh_keeper *k)
{
	int channel = -1, r = 0;
	char text[8];

	for (int i = 0; i < 1000 && r == 0; i++) {
		r = mesh_keeper_asks(k, &channel);
		nap(5);
	}
	if (r != 1 || mesh_keeper_yielded(k) < 0)
		_exit(12);
	if (recv(channel, text, sizeof(text), 0) <= 0)
		_exit(MESH_KEEPER_RESUME);
	if (send(channel, "moved", 5, MSG_NOSIGNAL) != 5 || mesh_keeper_moved(k) < 0)
		_exit(13);
	_exit(0);
}

/* Listens, has it held, tells the port, and dies. */
static void first_life(struct mesh_keeper *k, FILE *out)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fds[2] = {socket(AF_INET, SOCK_STREAM, 0), socket(AF_INET, SOCK_STREAM, 0)};

	for (int i = 0; i < 2; i++)
		if (bind(fds[i], (struct sockaddr *)&any, sizeof(any)) < 0 || listen(fds[i], 8) < 0)
			_exit(9);
	/* Put twice: the later one counts. A third namespace comes and goes. */
	mesh_keeper_put(k, COOKIE, &fds[1], 1);
	mesh_keeper_put(k, COOKIE, fds, 1);
	mesh_keeper_put(k, 8, fds, 2);
	mesh_keeper_put(k, 9, fds, 2);
	mesh_keeper_put(k, 9, NULL, 0);
	fprintf(out, "%d\n", port_of(fds[0]));
	fclose(out);
	if (strcmp(getenv("KEEPER_TEST_DOES"), "yields") == 0)
		wait_to_yield(k);
	if (strcmp(getenv("KEEPER_TEST_DOES"), "puts") == 0) {
		mesh_keeper_free(k); /* it will not be asked */
		for (;;)
			pause();
	}
	raise(SIGKILL);
}

/* Serves what waits on the listener of the life before, with what it found held. */
static void second_life(struct mesh_keeper *k)
{
	int fds[MESH_KEEPER_FDS], more[MESH_KEEPER_FDS], peer;
	size_t count = mesh_keeper_take(k, COOKIE, fds), eight, nine, again;
	int channel = mesh_keeper_channel(k);
	char moved[8] = "alone";

	if (count != 1)
		_exit(10);
	eight = mesh_keeper_take(k, 8, more);
	nine = mesh_keeper_take(k, 9, more);
	again = mesh_keeper_take(k, COOKIE, more);
	mesh_keeper_drop_rest(k);
	if (channel >= 0 && (send(channel, "go", 2, MSG_NOSIGNAL) != 2 || recv(channel, moved, 5, 0) != 5 ||
			     recv(channel, moved + 6, 1, 0) != 0 || mesh_keeper_moved(k) < 0))
		_exit(14);
	peer = accept(fds[0], NULL, NULL);
	if (peer < 0)
		_exit(11);
	dprintf(peer, "%zu %zu %zu %zu %s", count, eight, nine, again, moved);
	close(peer);
	_exit(0);
}

/* Runs before main(): in a child of the keeper it never gets there. */
__attribute__((constructor(200))) static void as_child(void)
{
	const char *path = getenv("KEEPER_TEST"), *what = getenv("KEEPER_TEST_DOES");
	struct mesh_keeper *k = NULL;
	int lives = 0, c;
	FILE *f;

	if (!path || !getenv("SOCKMESH_KEEPER_FD"))
		return;
	if (what && strcmp(what, "waits") == 0) {
		signal(SIGTERM, SIG_DFL);
		f = fopen(path, "a");
		fprintf(f, "%d\n", getpid());
		fclose(f);
		for (;;)
			pause();
	}
	if (what && strcmp(what, "fails") == 0)
		_exit(5);
	if (what && strcmp(what, "is killed, then fails") == 0) {
		f = fopen(path, "a+");
		rewind(f);
		lives = getc(f) != EOF;
		fprintf(f, "%d\n", getpid());
		fclose(f);
		for (; lives == 0;)
			pause();
		_exit(6);
	}
	if (mesh_keeper_join(&k) < 0 || !k)
		_exit(8);
	f = fopen(path, "a+");
	rewind(f);
	while ((c = getc(f)) != EOF)
		lives += c == '\n';
	if (lives == 0)
		first_life(k, f);
	second_life(k);
}

static char path[] = "/tmp/keeper-test-XXXXXX";

static pid_t keeper(const char *does)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		static char *const argv[] = {"test_agent_keeper", NULL};

		setenv("KEEPER_TEST", path, 1);
		setenv("KEEPER_TEST_DOES", does, 1);
		_exit(mesh_keeper_run("/proc/self/exe", argv, getenv("KEEPER_TEST_DOOR"),
				      getenv("KEEPER_TEST_HOLDER")));
	}
	return pid;
}

static int number_in_file(void)
{
	int n = 0;

	for (int i = 0; i < 500 && n == 0; i++) {
		FILE *f = fopen(path, "r");

		if (!f || fscanf(f, "%d", &n) != 1)
			n = 0;
		if (f)
			fclose(f);
		nap(10);
	}
	return n;
}

/* A connection to the listener that the first life tells of; -1: there is none. */
static int connected(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	to.sin_port = htons((uint16_t)number_in_file());
	if (to.sin_port == 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		mesh_cleanup_fd(&fd);
	return fd;
}

/* What a second life says on it. */
static void check_served(int fd, const char *want)
{
	char text[64] = "";

	CHECK(fd >= 0);
	CHECK(read(fd, text, sizeof(text) - 1) > 0);
	CHECK_STR(text, want);
	close(fd);
}

static void check_end(pid_t pid, int want)
{
	int status = -1;

	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	CHECK_INT(WEXITSTATUS(status), want);
}

/* Keepers that are made from now on have a door at this path, a template of mkstemp(). */
static void begin_door(char *door)
{
	close(mkstemp(door));
	unlink(door);
	setenv("KEEPER_TEST_DOOR", door, 1);
	close(creat(path, 0600));
}

static void end_door(const char *door)
{
	unsetenv("KEEPER_TEST_DOOR");
	unlink(door);
	unlink(path);
}

TEST(a_connection_made_between_two_lives_is_served)
{
	int made = mkstemp(path);
	pid_t pid;

	CHECK(made >= 0);
	close(made);
	pid = keeper("");
	check_served(connected(), "1 2 0 0 alone");
	check_end(pid, 0);
	unlink(path);
}

/* As a child of the first keeper: has a listener held. As one of the second: serves on it. */
static void check_younger(const char *older_does, const char *want)
{
	char door[] = "/tmp/keeper-door-XXXXXX";
	pid_t older, younger;
	int fd, status;

	begin_door(door);
	older = keeper(older_does);
	fd = connected();
	younger = keeper("");
	check_served(fd, want);
	check_end(younger, 0);
	/* The older one has no child any more, and waits for its end. */
	CHECK_INT(waitpid(older, &status, WNOHANG), 0);
	CHECK_INT(kill(older, SIGTERM), 0);
	check_end(older, 0);
	end_door(door);
}

TEST(a_younger_keeper_takes_over)
{
	check_younger("puts", "1 2 0 0 alone");
}

/* The two agents meet on a channel. */
TEST(a_younger_keeper_takes_over_from_one_that_yields)
{
	check_younger("yields", "1 2 0 0 moved");
}

/* What a younger keeper does, up to where it has everything; then it is gone. */
static void come_and_go(const char *door)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	uint32_t hello[4] = {0, 0, 0, 1};
	char room[256];
	ssize_t n;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	memcpy(at.sun_path, door, strlen(door));
	CHECK_INT(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	CHECK_INT(send(fd, hello, sizeof(hello), 0), sizeof(hello));
	while ((n = recv(fd, room, sizeof(room), 0)) > 0) /* descriptors that nobody takes are closed */
		;
	CHECK_INT(n, 0);
	close(fd);
}

TEST(where_the_younger_is_gone_the_older_serves_again)
{
	char door[] = "/tmp/keeper-door-XXXXXX";
	pid_t pid;

	begin_door(door);
	pid = keeper("yields");
	CHECK(number_in_file() > 0);
	come_and_go(door);
	check_served(connected(), "1 2 0 0 alone");
	check_end(pid, 0);
	CHECK(access(door, F_OK) < 0); /* it had a door again, which went with it */
	end_door(door);
}

/* ---- a holder, which is there when keeper and agent are killed together */

static pid_t holder(const char *at, unsigned alone_ms)
{
	struct sockaddr_un address;
	pid_t pid;
	int fd = -1;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM); /* of a test that fails */
		_exit(mesh_holder_run(at, MESH_MS(alone_ms)));
	}
	mesh_packet_address(at, &address);
	for (int i = 0; i < 300 && fd < 0; i++) {
		nap(10);
		fd = mesh_packet_connect(&address);
	}
	if (fd >= 0)
		close(fd);
	return pid;
}

static int ask_to_connect(int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval ten = {.tv_sec = 10};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &ten, sizeof(ten));
	to.sin_port = htons((uint16_t)port);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	close(fd);
	return -errno;
}

/* How many listeners the holder has for a namespace, asked as a keeper does, which then is the one it listens to. */
static size_t held_for(const char *at, uint64_t cookie)
{
	struct mesh_held_list all = {0};
	struct sockaddr_un address;
	size_t n = 0;
	int fd;

	mesh_packet_address(at, &address);
	fd = mesh_packet_connect(&address);
	if (fd < 0 || mesh_packet_send(fd, MESH_PACKET_TAKE, 0, NULL, 0, 0) < 0 ||
	    mesh_packet_receive_list(fd, &all, NULL) != 1)
		n = 99;
	mesh_vec_each (h, &all.list)
		n += h->netns_cookie == cookie ? h->count : 0;
	mesh_held_free(&all);
	if (fd >= 0)
		close(fd);
	return n;
}

static void end_with(pid_t pid, int signal, int want)
{
	int status = -1;

	CHECK_INT(kill(pid, signal), 0);
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK_INT(WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), want);
}

TEST(a_holder_outlives_keeper_and_agent)
{
	char at[] = "/tmp/keeper-holder-XXXXXX", text[64] = "";
	int fd, port, status = -1;
	pid_t held, first, second;

	close(mkstemp(at));
	close(creat(path, 0600));
	held = holder(at, 20000);
	setenv("KEEPER_TEST_HOLDER", at, 1);
	first = keeper("puts");
	port = number_in_file();
	CHECK(port > 0);
	nap(500); /* the keeper passes on what its child put */
	end_with(first, SIGKILL, -SIGKILL);
	nap(200);                  /* until its child, which has them too, is gone as well */
	fd = ask_to_connect(port); /* nobody accepts: it waits */
	CHECK(fd >= 0);
	second = keeper("");
	CHECK(read(fd, text, sizeof(text) - 1) > 0);
	CHECK_STR(text, "1 2 0 0 alone");
	close(fd);
	CHECK_INT(waitpid(second, &status, 0), second);
	CHECK_INT(WEXITSTATUS(status), 0);
	/* What that one dropped is not held any more; it had taken what was its own. */
	CHECK_INT(held_for(at, COOKIE), 1);
	CHECK_INT(held_for(at, 9), 0);
	unsetenv("KEEPER_TEST_HOLDER");
	end_with(held, SIGTERM, 0);
	CHECK_INT(ask_to_connect(port), -ECONNREFUSED);
	unlink(at);
	unlink(path);
}

TEST(a_holder_that_comes_late_is_told_everything)
{
	char at[] = "/tmp/keeper-holder-XXXXXX";
	pid_t held, k;
	int port;

	close(mkstemp(at));
	unlink(at);
	close(creat(path, 0600));
	setenv("KEEPER_TEST_HOLDER", at, 1);
	k = keeper("puts");
	port = number_in_file();
	CHECK(port > 0);
	held = holder(at, 20000);
	nap(1500); /* the keeper looks once a second */
	end_with(k, SIGKILL, -SIGKILL);
	CHECK_INT(held_for(at, COOKIE), 1);
	CHECK_INT(held_for(at, 8), 2);
	unsetenv("KEEPER_TEST_HOLDER");
	end_with(held, SIGTERM, 0);
	unlink(at);
	unlink(path);
}

TEST(a_holder_without_keepers_lets_go)
{
	char at[] = "/tmp/keeper-holder-XXXXXX";
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un address;
	int fd, to, port, waits;
	pid_t held;

	close(mkstemp(at));
	held = holder(at, 400);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0 && listen(fd, 8) == 0);
	port = port_of(fd);
	CHECK_INT(mesh_packet_address(at, &address), 0);
	to = mesh_packet_connect(&address);
	CHECK(to >= 0);
	CHECK_INT(mesh_packet_send(to, MESH_PACKET_LISTENERS, COOKIE, &fd, 1, 0), 0);
	close(fd);
	nap(600);
	waits = ask_to_connect(port); /* as long as a keeper is there it holds */
	CHECK(waits >= 0);
	close(waits);
	close(to);
	nap(100);
	waits = ask_to_connect(port);
	CHECK(waits >= 0);
	close(waits);
	nap(700);
	CHECK_INT(ask_to_connect(port), -ECONNREFUSED);
	end_with(held, SIGTERM, 0);
	unlink(at);
}

/* ---- a younger agent that never gets there */

TEST(a_younger_keeper_whose_agent_fails_gives_way)
{
	char door[] = "/tmp/keeper-door-XXXXXX", text[64] = "";
	int status = -1, fd, port;
	pid_t older, younger;

	close(mkstemp(door));
	unlink(door);
	close(creat(path, 0600));
	setenv("KEEPER_TEST_DOOR", door, 1);
	older = keeper("yields");
	port = number_in_file();
	CHECK(port > 0);
	fd = ask_to_connect(port);
	CHECK(fd >= 0);
	younger = keeper("fails");
	CHECK_INT(waitpid(younger, &status, 0), younger);
	CHECK_INT(WEXITSTATUS(status), EXIT_FAILURE);
	/* The older one's agent started anew, and serves who waited. */
	CHECK(read(fd, text, sizeof(text) - 1) > 0);
	CHECK_STR(text, "1 2 0 0 alone");
	close(fd);
	CHECK_INT(waitpid(older, &status, 0), older);
	CHECK_INT(WEXITSTATUS(status), 0);
	unsetenv("KEEPER_TEST_DOOR");
	unlink(door);
	unlink(path);
}

TEST(a_signal_to_end_is_passed_on)
{
	pid_t pid, child;

	close(creat(path, 0600));
	pid = keeper("waits");
	child = number_in_file();
	CHECK(child > 0);
	CHECK_INT(kill(pid, SIGTERM), 0);
	check_end(pid, 128 + SIGTERM);
	CHECK(kill(child, 0) < 0);
	unlink(path);
}

TEST(without_its_keeper_the_child_ends)
{
	int status = -1;
	pid_t pid, child;

	close(creat(path, 0600));
	pid = keeper("waits");
	child = number_in_file();
	CHECK(child > 0);
	CHECK_INT(kill(pid, SIGKILL), 0);
	CHECK_INT(waitpid(pid, &status, 0), pid);
	for (int i = 0; i < 300 && kill(child, 0) == 0; i++)
		nap(10);
	CHECK(kill(child, 0) < 0);
	unlink(path);
}

TEST(a_start_that_fails_is_not_repeated)
{
	pid_t pid;

	close(creat(path, 0600));
	pid = keeper("fails");
	check_end(pid, 5);
	unlink(path);
}

TEST(one_that_is_killed_is_started_again_with_nothing_to_hold)
{
	pid_t pid;

	close(creat(path, 0600));
	pid = keeper("is killed, then fails");
	CHECK_INT(kill(number_in_file(), SIGKILL), 0);
	check_end(pid, 6); /* its second life's */
	unlink(path);
}

TEST(there_may_be_no_keeper)
{
	struct mesh_keeper *k = (struct mesh_keeper *)path;
	int fds[MESH_KEEPER_FDS];

	CHECK_INT(mesh_keeper_join(&k), 0);
	CHECK(k == NULL);
	CHECK_INT(mesh_keeper_take(NULL, COOKIE, fds), 0);
	CHECK_INT(mesh_keeper_put(NULL, COOKIE, fds, 0), 0);
	CHECK_INT(mesh_keeper_fd(NULL), -1);
	CHECK_INT(mesh_keeper_channel(NULL), -1);
	CHECK_INT(mesh_keeper_moved(NULL), 0);
	mesh_keeper_drop_rest(NULL);
	mesh_keeper_free(NULL);
}

TEST_MAIN()
