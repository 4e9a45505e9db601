/* SPDX-License-Identifier: Apache-2.0 */
/* The splice tier between pods: what it carries, what it leaves to TCP, and that no byte is lost, doubled or overtaken.
 */
#include "splice.h"

#include "dataplane/dp.h"
#include "dataplane/probe_splice.h"

#include <bpf/bpf.h>

enum { PORT = 8080 };

static struct world w;
static struct pod *client, *server, *stranger;
static int listener;
static char *home; /* the test's own cgroup */

/* The agent's listeners are in its cgroup. */
static void move_to(const char *cgroup)
{
	mesh_auto_free char *procs = mesh_xasprintf("%s/cgroup.procs", cgroup);

	write_file(procs, "0");
}

#define VIP "10.99.0.1:80"

static void apply(void)
{
	struct mesh_addr a = with_port(server->ip4, PORT), b = with_port(stranger->ip4, PORT);
	struct mesh_addr a6 = with_port(server->ip6, PORT);
	struct mesh_l4_image image = {.version = 1};

	add_dest(add_service(&image, VIP, IPPROTO_TCP, MESH_TIER_L4), 1, 1, &a);
	add_dest(add_service(&image, "10.99.0.2:80", IPPROTO_TCP, MESH_TIER_L4), 1, 1, &b);
	add_dest(add_service(&image, "[fd99::1]:80", IPPROTO_TCP, MESH_TIER_L4), 1, 1, &a6);
	add_service(&image, "10.99.0.3:80", IPPROTO_TCP, MESH_TIER_L7);
	CHECK_INT(world_apply(w.dp, &image), 0);
}

static int wish(struct pod *p, enum mesh_splice_wish what)
{
	struct mesh_errs errs = {0};
	int r = mesh_dp_splice_pod(w.dp, p->cookie, what, &errs);

	print_errs(&errs);
	mesh_errs_free(&errs);
	return r;
}

TEST_SETUP(world)
{
	struct mesh_addr at;

	CHECK_INT(world_new(&w), 0);
	CHECK_INT(mesh_cgroup_of_pid(getpid(), &home), 0);
	move_to(w.agent_cgroup);
	client = world_pod(&w);
	server = world_pod(&w);
	stranger = world_pod(&w);
	CHECK_INT(world_capture(&w, client), 0);
	CHECK_INT(world_capture(&w, server), 0);
	CHECK_INT(world_capture(&w, stranger), 0);
	at = with_port(server->ip4, PORT);
	listener = pod_fd(server, do_listen, &at, sizeof(at));
	CHECK(listener >= 0);
	apply();
}

struct flow {
	int c, s;
};

static struct flow flow_to(const char *vip, struct pod *to, int listen_fd)
{
	struct dial d = {.to = at(vip)};
	struct conn c = pod_dial(client, &d);
	struct flow f = {.c = c.fd, .s = pod_fd(to, do_accept, &listen_fd, sizeof(listen_fd))};

	if (c.error || f.s < 0)
		printf("  no flow to %s: %s\n", vip, strerror(c.error));
	return f;
}

static struct flow flow_open(void)
{
	return flow_to(VIP, server, listener);
}

static void flow_close(struct flow f)
{
	pod_close(client, f.c);
	pod_close(server, f.s);
}

static int exchange(struct flow f, int count, uint32_t request, uint32_t response)
{
	struct pingpong job = {.fd = f.s, .count = count, .request = request, .response = response, .is_server = 1};
	int there, back;

	pod_call(server, do_pingpong_later, &job, sizeof(job), NULL, 0);
	job.fd = f.c;
	job.is_server = 0;
	pod_call(client, do_pingpong, &job, sizeof(job), &there, sizeof(there));
	pod_call(server, do_pingpong_wait, NULL, 0, &back, sizeof(back));
	return there < back ? there : back;
}

/* Something is in the way of what would be pinned: neither that switch nor one that was set with it changes. */
TEST(what_cannot_be_loaded_is_not_switched_on)
{
	mesh_auto_free char *in_the_way = mesh_xasprintf("%s/splice-1-msg", w.pin);
	json_t *set = json_pack("{s:s, s:s}", "bypass", "off", "splice", "on");
	struct mesh_errs errs = {0};

	CHECK_INT(mkdir(in_the_way, 0700), 0);
	CHECK(mesh_dp_switch_set(w.dp, set, &errs) < 0);
	CHECK_INT(errs.list.count, 1);
	CHECK_INT(mesh_dp_switch_word(w.dp, MESH_SWITCH_SPLICE), MESH_WORD_AUTO);
	CHECK_INT(mesh_dp_switch_word(w.dp, MESH_SWITCH_BYPASS), MESH_WORD_ON);
	CHECK_INT(rmdir(in_the_way), 0);
	mesh_errs_free(&errs);
	CHECK_INT(mesh_dp_switch_set(w.dp, set, &errs), 0);
	CHECK_INT(mesh_dp_switch_word(w.dp, MESH_SWITCH_SPLICE), MESH_WORD_ON);
	json_object_set_new(set, "bypass", json_string("on"));
	json_object_set_new(set, "splice", json_string("auto"));
	CHECK_INT(mesh_dp_switch_set(w.dp, set, &errs), 0);
	json_decref(set);
}

/* ---- who enters ---- */

TEST(nobody_enters_unasked)
{
	struct flow f = flow_open();

	CHECK_INT(exchange(f, 100, 100, 300), 100);
	CHECK_INT(splice_number(w.dp, "ends"), 0);
	flow_close(f);
}

TEST(both_ends_or_neither)
{
	struct flow f;

	CHECK_INT(wish(client, MESH_SPLICE_ENABLED), 0);
	f = flow_open();
	CHECK_INT(exchange(f, 100, 100, 300), 100);
	CHECK_INT(splice_number(w.dp, "ends"), 0);
	flow_close(f);
	CHECK_INT(wish(client, MESH_SPLICE_DISABLED), 0);
	CHECK_INT(wish(server, MESH_SPLICE_ENABLED), 0);
	f = flow_open();
	CHECK_INT(exchange(f, 100, 100, 300), 100);
	CHECK_INT(splice_number(w.dp, "ends"), 0);
	flow_close(f);
	CHECK_INT(wish(client, MESH_SPLICE_ENABLED), 0);
}

TEST(messages_go_past_tcp)
{
	long before = splice_way(w.dp, "redirected");
	struct flow f = flow_open();

	CHECK_INT(splice_number(w.dp, "ends"), 2);
	CHECK_INT(exchange(f, 1000, 100, 300), 1000);
	CHECK_INT(splice_way(w.dp, "redirected") - before, 2000);
	CHECK_INT(exchange(f, 300, 4000, 16000), 300);
	CHECK_INT(splice_way(w.dp, "redirected") - before, 2600);
	flow_close(f);
	CHECK(splice_becomes(w.dp, "ends", 0));
}

TEST(ipv6)
{
	struct mesh_addr at6 = with_port(server->ip6, PORT);
	int listen6 = pod_fd(server, do_listen, &at6, sizeof(at6));
	long before = splice_way(w.dp, "redirected");
	struct flow f = flow_to("[fd99::1]:80", server, listen6);

	CHECK_INT(splice_number(w.dp, "ends"), 2);
	CHECK_INT(exchange(f, 100, 100, 300), 100);
	CHECK_INT(splice_way(w.dp, "redirected") - before, 200);
	flow_close(f);
	pod_close(server, listen6);
}

TEST(what_the_mesh_did_not_place_stays_as_it_is)
{
	struct flow f = flow_to("10.77.0.2:8080", server, listener);

	CHECK_INT(exchange(f, 100, 100, 300), 100);
	CHECK_INT(splice_number(w.dp, "ends"), 0);
	flow_close(f);
}

/* ---- order and backpressure ---- */

static void both_ways(struct flow f, uint64_t bytes, uint32_t min, uint32_t max, uint32_t pause_us)
{
	struct stream s = {.bytes = bytes, .min = min, .max = max, .seed = max, .pause_us = pause_us}, back = s;
	struct stream r = {.bytes = bytes, .min = 1, .max = 65536, .seed = 7}, rback = r;
	static const char *const names[] = {"client sends", "server reads", "client reads", "server sends"};
	struct streamed results[4];
	int jobs[3];

	back.from = rback.from = 1 << 30;
	s.fd = rback.fd = f.c;
	r.fd = back.fd = f.s;
	jobs[0] = pod_later(server, do_recv_later, r);
	jobs[1] = pod_later(server, do_send_later, back);
	jobs[2] = pod_later(client, do_recv_later, rback);
	results[0] = pod_stream(client, do_send, s);
	results[1] = pod_wait(server, jobs[0]);
	results[2] = pod_wait(client, jobs[2]);
	results[3] = pod_wait(server, jobs[1]);
	for (int i = 0; i < 4; i++)
		if (results[i].error || results[i].bytes != bytes)
			printf("  %s: error %d at byte %llu of %llu, pieces %u to %u\n", names[i], results[i].error,
			       (unsigned long long)results[i].bytes, (unsigned long long)bytes, min, max);
	for (int i = 0; i < 4; i++) {
		CHECK_INT(results[i].error, 0);
		CHECK(results[i].bytes == bytes);
	}
}

TEST(mixed_sizes_both_ways)
{
	static const struct {
		uint64_t bytes;
		uint32_t min, max, pause;
	} rows[] = {{20000, 1, 20, 0},       {2 << 20, 1, 5000, 0},        {2 << 20, 100, 40000, 50},
		    {8 << 20, 1, 200000, 0}, {1 << 20, 20000, 33000, 200}, {64 << 20, 65536, 1 << 20, 0}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct flow f = flow_open();

		both_ways(f, rows[i].bytes, rows[i].min, rows[i].max, rows[i].pause);
		flow_close(f);
	}
}

/* Bytes by TCP that nobody has read, then small ones that could be redirected. */
TEST(tcp_is_not_overtaken)
{
	struct stream large = {.bytes = 40000, .min = 40000, .max = 40000}, small = {.from = 40000, .bytes = 3000};
	struct stream all = {.bytes = 43000, .min = 1, .max = 9999};
	struct flow f = flow_open();

	CHECK_INT(exchange(f, 10, 50, 50), 10);
	large.fd = small.fd = f.c;
	all.fd = f.s;
	small.min = small.max = 100;
	for (int i = 0; i < 20; i++) {
		struct streamed got;

		CHECK_INT(pod_stream(client, do_send, large).error, 0);
		CHECK_INT(pod_stream(client, do_send, small).error, 0);
		got = pod_stream(server, do_recv, all);
		CHECK_INT(got.error, 0);
		CHECK(got.bytes == all.bytes);
	}
	flow_close(f);
}

/* A reader that waits for more within one call sees TCP's bytes only, until it returns. */
static void do_recv_waitall(const void *in, void *out)
{
	const struct stream *s = in;
	struct streamed *r = out;
	static char buf[100000];
	ssize_t n = recv(s->fd, buf, s->bytes, MSG_WAITALL);

	for (ssize_t i = 0; i < n; i++)
		if (buf[i] != stream_byte(s->from + (uint64_t)i))
			r->error = -1;
	r->bytes = n > 0 ? (uint64_t)n : 0;
}

static struct stream waitall_stream;
static struct streamed waitall_result;
static pthread_t waitall_thread;

static void *waitall_main(void *arg)
{
	(void)arg;
	memset(&waitall_result, 0, sizeof(waitall_result));
	do_recv_waitall(&waitall_stream, &waitall_result);
	return NULL;
}

static void do_waitall_later(const void *in, void *out)
{
	(void)out;
	waitall_stream = *(const struct stream *)in;
	pthread_create(&waitall_thread, NULL, waitall_main, NULL);
}

static void do_waitall_end(const void *in, void *out)
{
	(void)in;
	pthread_join(waitall_thread, NULL);
	memcpy(out, &waitall_result, sizeof(waitall_result));
}

TEST(a_reader_inside_of_tcp_is_not_overtaken)
{
	struct stream large = {.bytes = 40000, .min = 40000, .max = 40000}, small = {.from = 40000, .bytes = 1000};
	struct stream all = {.bytes = 41000};
	struct flow f = flow_open();
	struct streamed got;
	long before;

	CHECK_INT(exchange(f, 10, 50, 50), 10);
	large.fd = small.fd = f.c;
	all.fd = f.s;
	small.min = small.max = 100;
	CHECK_INT(pod_stream(client, do_send, large).error, 0);
	usleep(20000);
	pod_call(server, do_waitall_later, &all, sizeof(all), NULL, 0);
	usleep(50000); /* it has read all there is, and waits for the rest */
	before = splice_way(w.dp, "redirected");
	CHECK_INT(pod_stream(client, do_send, small).error, 0);
	pod_call(server, do_waitall_end, NULL, 0, &got, sizeof(got));
	CHECK_INT(got.error, 0);
	CHECK(got.bytes == all.bytes);
	CHECK_INT(splice_way(w.dp, "redirected"), before);
	CHECK_INT(exchange(f, 100, 50, 50), 100);
	flow_close(f);
}

TEST(a_slow_reader_is_bounded)
{
	struct flow f = flow_open(), plain;
	uint64_t spliced = pod_fill(client, f.c), tcp;

	flow_close(f);
	CHECK_INT(wish(server, MESH_SPLICE_DISABLED), 0);
	plain = flow_open();
	tcp = pod_fill(client, plain.c);
	flow_close(plain);
	CHECK_INT(wish(server, MESH_SPLICE_ENABLED), 0);
	printf("  spliced %llu, by TCP %llu\n", (unsigned long long)spliced, (unsigned long long)tcp);
	CHECK(spliced <= 2 * tcp + MESH_SPLICE_CREDIT + MESH_SPLICE_MESSAGE);
}

/* ---- ends ---- */

TEST(half_close_each_way)
{
	for (int side = 0; side < 2; side++) {
		struct flow f = flow_open();
		struct pod *a = side ? server : client, *b = side ? client : server;
		int fa = side ? f.s : f.c, fb = side ? f.c : f.s, r;
		struct stream s = {.fd = fa, .bytes = 5000, .min = 1, .max = 700}, got = s;

		CHECK_INT(exchange(f, 10, 50, 50), 10);
		CHECK_INT(pod_stream(a, do_send, s).error, 0);
		pod_call(a, do_shut, &fa, sizeof(fa), &r, sizeof(r));
		CHECK_INT(r, 0);
		got.fd = fb;
		CHECK(pod_stream(b, do_recv, got).bytes == 5000);
		pod_call(b, do_end, &fb, sizeof(fb), &r, sizeof(r));
		CHECK_INT(r, 0);
		s.fd = fb;
		CHECK_INT(pod_stream(b, do_send, s).error, 0);
		got.fd = fa;
		CHECK(pod_stream(a, do_recv, got).bytes == 5000);
		flow_close(f);
	}
}

TEST(reset)
{
	struct flow f = flow_open();
	int r;

	CHECK_INT(exchange(f, 10, 50, 50), 10);
	pod_call(server, do_reset, &f.s, sizeof(f.s), &r, sizeof(r));
	pod_call(client, do_end, &f.c, sizeof(f.c), &r, sizeof(r));
	CHECK_INT(r, ECONNRESET);
	pod_close(client, f.c);
	CHECK(splice_becomes(w.dp, "ends", 0));
}

TEST(a_killed_process_ends_its_flows)
{
	struct pod *doomed = world_pod(&w);
	struct dial d = {.to = at(VIP)};
	struct stream s = {.bytes = 5000, .min = 100, .max = 100}, got = s;
	int fd, r;

	CHECK_INT(world_capture(&w, doomed), 0);
	CHECK_INT(wish(doomed, MESH_SPLICE_ENABLED), 0);
	s.fd = pod_dial(doomed, &d).fd;
	fd = pod_fd(server, do_accept, &listener, sizeof(listener));
	CHECK_INT(splice_number(w.dp, "ends"), 2);
	CHECK_INT(pod_stream(doomed, do_send, s).error, 0);
	pod_stop(doomed);
	w.pod_count--;
	got.fd = fd;
	CHECK(pod_stream(server, do_recv, got).bytes == 5000);
	pod_call(server, do_end, &fd, sizeof(fd), &r, sizeof(r));
	CHECK_INT(r, 0);
	pod_close(server, fd);
	CHECK(splice_becomes(w.dp, "ends", 0));
}

/* ---- bulk ---- */

TEST(bulk_leaves_under_traffic)
{
	long left = splice_number(w.dp, "left");
	struct flow f = flow_open();

	CHECK_INT(exchange(f, 50, 100, 100), 50);
	CHECK_INT(splice_number(w.dp, "ends"), 2);
	both_ways(f, 32 << 20, 100, 200000, 0);
	CHECK(splice_becomes(w.dp, "ends", 0));
	CHECK(splice_becomes(w.dp, "leaving", 0));
	CHECK(splice_number(w.dp, "left") > left);
	CHECK_INT(exchange(f, 200, 100, 100), 200); /* and does not come back */
	CHECK_INT(splice_number(w.dp, "ends"), 0);
	flow_close(f);
}

/* Many flows that turn to bulk while small messages are on their way. */
TEST(leaving_loses_nothing)
{
	for (int i = 0; i < 30; i++) {
		struct flow f = flow_open();

		CHECK_INT(exchange(f, 5, 100, 100), 5);
		both_ways(f, 600000 + (uint64_t)i * 1000, 1, 8000 + (uint32_t)i * 700, 0);
		CHECK_INT(exchange(f, 20, 100, 100), 20);
		flow_close(f);
	}
	CHECK(splice_becomes(w.dp, "ends", 0));
}

/* ---- the switch ---- */

TEST(off_and_on_under_traffic)
{
	struct flow f = flow_open();
	struct pingpong job = {.fd = f.s, .count = 8000, .request = 100, .response = 100, .is_server = 1};
	struct mesh_errs errs = {0};
	int there, back;
	long passed;

	pod_call(server, do_pingpong_later, &job, sizeof(job), NULL, 0);
	job.fd = f.c;
	job.is_server = 0;
	pod_call(client, do_pingpong_later, &job, sizeof(job), NULL, 0);
	usleep(50000);
	CHECK_INT(mesh_dp_splice_set(w.dp, MESH_SPLICE_MODE_OFF, &errs), 0);
	CHECK(splice_becomes(w.dp, "ends", 0));
	passed = splice_way(w.dp, "redirected");
	usleep(50000);
	CHECK_INT(splice_way(w.dp, "redirected"), passed);
	CHECK_INT(mesh_dp_splice_set(w.dp, MESH_SPLICE_MODE_ON, &errs), 0);
	pod_call(client, do_pingpong_wait, NULL, 0, &there, sizeof(there));
	pod_call(server, do_pingpong_wait, NULL, 0, &back, sizeof(back));
	CHECK_INT(there, 8000);
	CHECK_INT(back, 8000);
	flow_close(f);
	f = flow_open();
	CHECK_INT(splice_number(w.dp, "ends"), 2);
	flow_close(f);
	CHECK_INT(mesh_dp_splice_set(w.dp, MESH_SPLICE_MODE_AUTO, &errs), 0);
	mesh_errs_free(&errs);
}

TEST(modes_by_name)
{
	enum mesh_splice_mode m = MESH_SPLICE_MODE_ON;

	CHECK_INT(mesh_splice_mode_parse("sometimes", &m), -EINVAL);
	CHECK_INT(mesh_splice_mode_parse(NULL, &m), -EINVAL);
	CHECK_INT(m, MESH_SPLICE_MODE_ON);
	CHECK_INT(mesh_splice_mode_parse("auto", &m), 0);
	CHECK_INT(m, MESH_SPLICE_MODE_AUTO);
	CHECK_STR(mesh_splice_mode_text(MESH_SPLICE_MODE_OFF), "off");
}

/* ---- loopback ---- */

static void do_dial_from(const void *in, void *out)
{
	struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(40001)};
	const struct dial *d = in;
	struct sockaddr_storage ss;
	socklen_t len = mesh_addr_to_sock(&d->to, &ss);
	struct timeval patience = {.tv_sec = 5};
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	*(int *)out =
		bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0 || connect(fd, (struct sockaddr *)&ss, len) < 0
			? -errno
			: fd;
}

/* The agent's end of an HTTP flow, here the test's. */
static int agents_end(struct pod *p)
{
	struct mesh_addr orig;
	int fd = accept_origdst(w.dp, p, &orig);
	struct timeval patience = {.tv_sec = 5};

	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

TEST(app_to_agent_with_the_same_ports_in_two_pods)
{
	struct dial d = {.to = at("10.99.0.3:80")};
	struct pod *pods[2] = {client, server};
	long before = splice_way(w.dp, "redirected");
	int app[2], agent[2];

	for (int i = 0; i < 2; i++) {
		app[i] = pod_fd(pods[i], do_dial_from, &d, sizeof(d));
		CHECK(app[i] >= 0);
		agent[i] = agents_end(pods[i]);
		CHECK(agent[i] >= 0);
	}
	CHECK_INT(splice_number(w.dp, "ends"), 4);
	CHECK(mesh_dp_spliced(w.dp, agent[0]) && mesh_dp_spliced(w.dp, agent[1]));
	CHECK(!mesh_dp_spliced(w.dp, w.hub.sock)); /* another socket */
	CHECK(mesh_dp_spliced(w.dp, -1));          /* not known is not no */
	for (int round = 0; round < 50; round++)
		for (int i = 0; i < 2; i++) {
			struct stream s = {
				.fd = app[i], .from = (uint64_t)(i + 1) * 1000, .bytes = 60, .min = 60, .max = 60};
			struct streamed got = {0};

			CHECK_INT(pod_stream(pods[i], do_send, s).error, 0);
			s.fd = agent[i];
			recv_stream(s, &got);
			CHECK_INT(got.error, 0);
			CHECK(got.bytes == 60);
			got = (struct streamed){0};
			send_stream(s, &got);
			s.fd = app[i];
			got = pod_stream(pods[i], do_recv, s);
			CHECK_INT(got.error, 0);
			CHECK(got.bytes == 60);
		}
	CHECK_INT(splice_way(w.dp, "redirected") - before, 200);
	for (int i = 0; i < 2; i++) {
		pod_close(pods[i], app[i]);
		close(agent[i]);
	}
}

/* ---- without an agent, and after it ---- */

TEST(flows_outlive_the_agent)
{
	struct flow f = flow_open();
	struct stream s = {.fd = f.c, .bytes = 3 << 20, .min = 1, .max = 3000, .pause_us = 20}, r = s;
	struct streamed got;
	int job, sent;

	r.fd = f.s;
	r.max = 5000;
	r.pause_us = 0;
	CHECK_INT(exchange(f, 50, 100, 100), 50);
	job = pod_later(server, do_recv_later, r);
	sent = pod_later(client, do_send_later, s);
	world_dp_end(&w);
	usleep(8000);
	CHECK_INT(exchange(f, 0, 1, 1), 0);
	CHECK_INT(world_dp(&w, &w.dp), 0);
	CHECK_INT(pod_wait(client, sent).error, 0);
	got = pod_wait(server, job);
	CHECK_INT(got.error, 0);
	CHECK(got.bytes == s.bytes);
	CHECK_INT(splice_number(w.dp, "ends"), 2);
	CHECK_INT(exchange(f, 50, 100, 100), 50);
	flow_close(f);
	f = flow_open(); /* new ones enter as before, and the same generation */
	CHECK_INT(splice_number(w.dp, "ends"), 2);
	flow_close(f);
}

TEST(a_flow_leaves_though_its_agent_died_meanwhile)
{
	struct flow f = flow_open();

	CHECK_INT(exchange(f, 50, 100, 100), 50);
	world_dp_end(&w);
	both_ways(f, 4 << 20, 40000, 200000, 0);
	CHECK_INT(world_dp(&w, &w.dp), 0);
	CHECK(splice_becomes(w.dp, "ends", 0));
	both_ways(f, 4 << 20, 1, 200000, 0);
	flow_close(f);
}

static size_t pins_of_splice(void)
{
	DIR *d = opendir(w.pin);
	struct dirent *e;
	size_t n = 0;

	while (d && (e = readdir(d)))
		n += strncmp(e->d_name, "splice-1-", 9) == 0;
	if (d)
		closedir(d);
	return n;
}

/* A program that is not ours any more: as if an older version had pinned it. */
TEST(an_older_generation_ends_with_its_last_flow)
{
	mesh_auto_free char *ours = mesh_xasprintf("%s/splice-1-msg", w.pin);
	mesh_auto_free char *other = mesh_xasprintf("%s/splice-1-leave", w.pin);
	struct flow old = flow_open(), fresh;
	int fd;

	CHECK_INT(exchange(old, 50, 100, 100), 50);
	world_dp_end(&w);
	CHECK_INT(unlink(ours), 0);
	fd = bpf_obj_get(other);
	CHECK_INT(bpf_obj_pin(fd, ours), 0);
	close(fd);
	CHECK_INT(world_dp(&w, &w.dp), 0);
	CHECK_INT(exchange(old, 50, 100, 100), 50);
	CHECK_INT(splice_number(w.dp, "ends"), 2);
	fresh = flow_open();
	CHECK_INT(splice_number(w.dp, "ends"), 4);
	CHECK_INT(exchange(fresh, 50, 100, 100), 50);
	flow_close(fresh);
	CHECK(pins_of_splice() > 0);
	flow_close(old);
	for (int i = 0; i < 120 && pins_of_splice(); i++)
		usleep(100000);
	CHECK_INT(pins_of_splice(), 0);
	fresh = flow_open();
	CHECK_INT(exchange(fresh, 50, 100, 100), 50);
	flow_close(fresh);
}

TEST(detached_flows_go_on)
{
	struct flow f = flow_open();

	CHECK_INT(exchange(f, 50, 100, 100), 50);
	world_dp_end(&w);
	CHECK_INT(mesh_dp_detach(w.pin, NULL), 0);
	CHECK_INT(exchange(f, 500, 100, 100), 500);
	both_ways(f, 4 << 20, 1, 200000, 0);
	flow_close(f);
	CHECK_INT(world_dp(&w, &w.dp), 0);
}

/* ---- the probes ---- */

/* What is seen on a socket is what the kernel's table of symbols says. */
TEST(a_blocked_reader_is_known)
{
	FILE *f = fopen("/proc/kallsyms", "re");
	unsigned long long at = 0, found = 0;
	char line[256], name[128];

	while (f && !found && fgets(line, sizeof(line), f))
		if (sscanf(line, "%llx %*c %127s", &at, name) == 2 && strcmp(name, "woken_wake_function") == 0)
			found = at;
	if (f)
		fclose(f);
	CHECK(found != 0);
	CHECK(mesh_splice_learn_reader() == found);
}

TEST(probes)
{
	/* What our rules see to, whatever the kernel is. */
	static const char *const ours[] = {"order",      "backpressure", "failed redirect",     "leaving",
					   "half-close", "MSG_PEEK",     "edge-triggered epoll"};
	struct mesh_splice_found all, first;
	bool same = true;
	size_t seen = 0;

	mesh_splice_probe(&all, false);
	CHECK_STR(all.trouble, "");
	for (size_t i = 0; i < all.count; i++) {
		same &= all.rows[i].same;
		for (size_t k = 0; k < sizeof(ours) / sizeof(ours[0]); k++)
			if (strcmp(ours[k], all.rows[i].name) == 0) {
				seen++;
				CHECK(all.rows[i].same);
				if (!all.rows[i].same)
					printf("  %s: %s\n", all.rows[i].name, all.rows[i].seen);
			}
		CHECK(all.rows[i].seen[0] != '\0');
		if (strcmp(all.rows[i].name, "memory pressure") == 0 && !all.rows[i].same) {
			printf("  memory pressure: %s\n", all.rows[i].seen);
			CHECK(strncmp(all.rows[i].seen, "not tried: ", 11) == 0); /* not every machine lets us */
		}
	}
	CHECK_INT(seen, sizeof(ours) / sizeof(ours[0]));
	CHECK(same == all.all);
	mesh_splice_probe(&first, true);
	CHECK(first.all == all.all);
	CHECK(first.count <= all.count);
	CHECK(first.all || !first.rows[first.count - 1].same);
}

TEST_TEARDOWN(end)
{
	move_to(home);
	free(home);
	world_free(&w);
}

TEST_MAIN_ROOT()
