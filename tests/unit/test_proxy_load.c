/* SPDX-License-Identifier: Apache-2.0 */
/* The proxy with much to carry: large bodies in little memory, slow readers, configurations that change under load. */
#include "proxy_lab.h"

static struct lab_upstream v1, v2;
static struct lab_proxy px;

static void start(unsigned workers)
{
	lab_upstream_start(&v1, "v1");
	lab_upstream_start(&v2, "v2");
	lab_proxy_start(&px, &(struct mesh_proxy_opts){.workers = workers},
			lab_config_any(NULL, (uint16_t[]){v1.port, 0}));
	lab_listen_gateway(&px);
}

static void stop(void)
{
	lab_proxy_stop(&px);
	lab_upstream_stop(&v1);
	lab_upstream_stop(&v2);
}

static size_t rss_kib(void)
{
	unsigned long size, rss = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f || fscanf(f, "%lu %lu", &size, &rss) != 2)
		abort();
	fclose(f);
	return rss * 4;
}

WORLD(large_response_in_little_memory, 1)
{
	const size_t size = 256u << 20;
	mesh_auto_free char *text = mesh_xasprintf("GET /zeros/%zu HTTP/1.1\r\nHost: a\r\n\r\n", size);
	struct lab_message m = {0};
	size_t before = rss_kib();
	mesh_auto_fd int fd = lab_connect(px.port);

	CHECK(lab_say(fd, text));
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.content_length, size);
	for (int i = 0; i < 400 && lab_stats(&px).requests_active; i++) /* counted after the last byte is out */
		lab_sleep_ms(5);
	CHECK(lab_stats(&px).bytes_to_downstream > size);
	CHECK(rss_kib() - before < 16 * 1024);
	CHECK(lab_say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
	CHECK(lab_response(fd, &m));
	CHECK_STR(m.body.data, "v1");
	lab_message_free(&m);
}

static bool send_chunks(int fd, size_t count)
{
	static char chunk[10 + 32768 + 2];

	memcpy(chunk, "00008000\r\n", 10);
	memcpy(chunk + sizeof(chunk) - 2, "\r\n", 2);
	for (size_t i = 0; i < count; i++)
		if (!lab_send(fd, chunk, sizeof(chunk)))
			return false;
	return lab_say(fd, "0\r\nX-T: 1\r\n\r\n");
}

WORLD(large_chunked_request_in_little_memory, 1)
{
	struct lab_message m = {0};
	size_t before = rss_kib();
	mesh_auto_fd int fd = lab_connect(px.port);

	CHECK(lab_say(fd, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
	CHECK(send_chunks(fd, 4096));
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 200);
	CHECK_INT(v1.received, 4096u * 32768);
	CHECK(rss_kib() - before < 16 * 1024);
	lab_message_free(&m);
}

WORLD(slow_reader_stops_the_upstream, 1)
{
	const size_t size = 64u << 20;
	mesh_auto_free char *text = mesh_xasprintf("GET /zeros/%zu HTTP/1.1\r\nHost: a\r\n\r\n", size);
	struct lab_message m = {0};
	size_t before = rss_kib();
	mesh_auto_fd int fd = lab_connect(px.port);
	uint64_t sent = 0, last;

	CHECK(lab_say(fd, text));
	do { /* until it stands still */
		last = sent;
		lab_sleep_ms(100);
		sent = v1.sent;
	} while (sent != last || sent == 0);
	CHECK(sent < size / 2); /* what socket buffers hold */
	CHECK(rss_kib() - before < 8 * 1024);
	CHECK_INT(lab_get(px.port, &m, "a", "/"), 200); /* others are not held up */
	m.in.len = 0;
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.content_length, size);
	CHECK_INT(v1.sent, size);
	lab_message_free(&m);
}

WORLD(slow_upstream_stops_the_client, 1)
{
	static const char zeros[65536];
	struct timeval brief = {.tv_usec = 300000};
	mesh_auto_fd int raw = -1, fd = -1, c = -1;
	size_t sent = 0;
	uint16_t port;

	raw = lab_listen(&port);
	mesh_proxy_publish(px.proxy, lab_config_any(NULL, (uint16_t[]){port, 0}));
	fd = lab_connect(px.port);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &brief, sizeof(brief));
	CHECK(lab_say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 67108864\r\n\r\n"));
	while (sent < 64u << 20) {
		ssize_t n = send(fd, zeros, sizeof(zeros), MSG_NOSIGNAL);

		if (n <= 0)
			break;
		sent += (size_t)n;
	}
	CHECK(sent < 32u << 20);
	CHECK(lab_stats(&px).bytes_from_downstream < 32u << 20);
	c = accept(raw, NULL, NULL);
	CHECK(c >= 0);
}

/* Version k of the configuration sends everything to v1 if k is odd, else to v2. */
static atomic_uint_fast64_t in_force, on_its_way;
static atomic_bool over;
static atomic_uint_fast64_t done, failed, wrong, exact;

static void *ask(void *arg)
{
	bool fresh = arg != NULL;
	struct lab_message m = {0};
	int fd = -1;

	while (!atomic_load(&over)) {
		uint64_t first = atomic_load(&in_force), last;
		bool ok;

		if (fd < 0 || fresh) {
			mesh_cleanup_fd(&fd);
			fd = lab_connect(px.port);
			m.in.len = 0;
		}
		ok = lab_say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n") && lab_response(fd, &m) && m.head.status == 200;
		last = atomic_load(&on_its_way);
		atomic_fetch_add(&done, 1);
		atomic_fetch_add(&failed, !ok);
		if (!ok || last > first + 1)
			continue;
		atomic_fetch_add(&exact, last == first);
		if (last == first && strcmp(m.body.data, first % 2 ? "v1" : "v2") != 0)
			atomic_fetch_add(&wrong, 1);
	}
	mesh_cleanup_fd(&fd);
	lab_message_free(&m);
	return NULL;
}

WORLD(configurations_change_under_load, 2)
{
	pthread_t t[6];

	atomic_store(&in_force, 1);
	atomic_store(&on_its_way, 1);
	for (size_t i = 0; i < 6; i++)
		pthread_create(&t[i], NULL, ask, i < 2 ? &done : NULL);
	for (uint64_t k = 2; k <= 500; k++) {
		struct mesh_l7_config *cfg = lab_config_any(NULL, (uint16_t[]){k % 2 ? v1.port : v2.port, 0});

		atomic_store(&on_its_way, k);
		mesh_proxy_publish(px.proxy, cfg);
		atomic_store(&in_force, k);
		lab_sleep_ms(2);
	}
	atomic_store(&over, true);
	for (size_t i = 0; i < 6; i++)
		pthread_join(t[i], NULL);
	printf("  %llu requests, %llu within one version\n", (unsigned long long)done, (unsigned long long)exact);
	CHECK_INT(failed, 0);
	CHECK_INT(wrong, 0);
	CHECK(exact > 500);
}

static void *ask_many(void *arg)
{
	struct lab_message m = {0};
	int fd = lab_connect(px.port);
	long bad = 0;

	for (int i = 0; i < 300; i++) {
		const char *text = i % 3 ? "GET /chunked HTTP/1.1\r\nHost: a\r\n\r\n"
					 : "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";

		if (!lab_say(fd, text) || !lab_response(fd, &m) ||
		    strcmp(m.body.data, i % 3 ? "hello world" : "hello") != 0)
			bad++;
	}
	close(fd);
	lab_message_free(&m);
	*(long *)arg = bad;
	return NULL;
}

WORLD(many_connections_at_once, 2)
{
	pthread_t t[32];
	long bad[32];

	for (size_t i = 0; i < 32; i++)
		pthread_create(&t[i], NULL, ask_many, &bad[i]);
	for (size_t i = 0; i < 32; i++) {
		pthread_join(t[i], NULL);
		CHECK_INT(bad[i], 0);
	}
	CHECK_INT(v1.requests, 32 * 300);
	CHECK(v1.connections <= 64);
}

/* Clients that do whatever clients do, at random: all ends must be left clean. */
static void misbehave(unsigned *seed)
{
	static const char *const requests[] = {
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /zeros/3000000 HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /cut HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /drop HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /stale HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /garbage HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /close HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /slow/3 HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /chunked HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
		"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nhello",
		"PUT /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"PUT /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd",
		"GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: e\r\n\r\ndata",
		"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
		"BAD\r\n\r\n",
	};
	int fd = lab_connect(px.port), count = 1 + rand_r(seed) % 4;
	struct timeval brief = {.tv_usec = 10000};
	struct lab_message m = {0};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof(brief));
	for (int i = 0; i < count; i++) {
		const char *text = requests[(size_t)rand_r(seed) % MESH_ARRAY_SIZE(requests)];
		size_t at = (size_t)rand_r(seed) % (strlen(text) + 1);

		lab_send(fd, text, at);
		if (rand_r(seed) % 3 == 0)
			lab_sleep_ms(1);
		if (rand_r(seed) % 6 == 0)
			break;
		lab_say(fd, text + at);
	}
	switch (rand_r(seed) % 4) {
	case 0: /* gone at once, by a reset */
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
		break;
	case 1:
		shutdown(fd, SHUT_WR);
		for (int i = 0; i < 4 && lab_response(fd, &m); i++)
			;
		break;
	case 2:
		lab_more(fd, &m);
		break;
	default:
		break;
	}
	close(fd);
	lab_message_free(&m);
}

static void *misbehave_often(void *arg)
{
	unsigned seed = (unsigned)(size_t)arg;
	uint64_t end = mesh_now_ns() + MESH_MS(1500);

	while (mesh_now_ns() < end)
		misbehave(&seed);
	return NULL;
}

WORLD(nothing_is_left_of_clients_that_misbehave, 2)
{
	struct lab_message m = {0};
	pthread_t t[8];

	for (size_t i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, misbehave_often, (void *)(i + 1));
	for (int k = 0; k < 100; k++) {
		uint16_t ports[] = {k % 3 ? v1.port : v2.port, k % 5 ? v2.port : 0, 0};

		mesh_proxy_publish(px.proxy, lab_config_any(NULL, ports));
		lab_sleep_ms(10);
	}
	for (size_t i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 800 && (lab_stats(&px).connections_active || lab_stats(&px).requests_active); i++)
		lab_sleep_ms(5);
	CHECK_INT(lab_stats(&px).requests_active, 0);
	CHECK_INT(lab_stats(&px).connections_active, 0);
	CHECK_INT(lab_get(px.port, &m, "a", "/"), 200);
	printf("  %llu requests\n", (unsigned long long)lab_stats(&px).requests_total);
	lab_message_free(&m);
}

TEST_MAIN()
