/* SPDX-License-Identifier: Apache-2.0 */
/* What a service is beside an address with weights: affinity, node ports, ports of every address, UDP flows. */
#include "traffic.h"

#include <bpf/bpf.h>
#include "mesh/abi.h"

static struct world w;
static struct pod *client, *other, *one, *two;
static struct mesh_addr a4, b4, a6, b6, ua4, ub4, ua6, ub6;

TEST_SETUP(world)
{
	struct mesh_l4_image none = {0};

	CHECK_INT(world_new(&w), 0);
	client = world_pod(&w);
	other = world_pod(&w);
	one = world_pod(&w);
	two = world_pod(&w);
	a4 = with_port(one->ip4, 8080);
	b4 = with_port(two->ip4, 8080);
	a6 = with_port(one->ip6, 8080);
	b6 = with_port(two->ip6, 8080);
	ua4 = with_port(one->ip4, 53);
	ub4 = with_port(two->ip4, 53);
	ua6 = with_port(one->ip6, 53);
	ub6 = with_port(two->ip6, 53);
	pod_serve(one, a4, 'a');
	pod_serve(two, b4, 'b');
	pod_serve(one, a6, 'a');
	pod_serve(two, b6, 'b');
	pod_serve_udp(one, ua4, 'a');
	pod_serve_udp(two, ub4, 'b');
	pod_serve_udp(one, ua6, 'a');
	pod_serve_udp(two, ub6, 'b');
	CHECK_INT(world_capture(&w, client), 0);
	CHECK_INT(world_capture(&w, other), 0);
	CHECK_INT(world_apply(w.dp, &none), 0);
}

/* ---- affinity ---- */

static int apply_affinity(uint32_t seconds, size_t count, const struct mesh_addr *endpoints)
{
	struct mesh_l4_image image = {.version = 1};
	struct mesh_l4_service *s = add_service(&image, "10.99.0.1:80", IPPROTO_TCP, MESH_TIER_L4);

	s->affinity_s = seconds;
	add_dest(s, 1, count, endpoints);
	return world_apply(w.dp, &image);
}

TEST(affinity_keeps_the_endpoint)
{
	int same = 0;

	CHECK_INT(apply_affinity(60, 2, (struct mesh_addr[]){a4, b4}), 0);
	for (int i = 0; i < 2; i++) {
		struct pod *p = i ? other : client;
		struct tally t = pod_burst(p, "10.99.0.1:80", 50);

		CHECK_INT(t.failed, 0);
		CHECK(t.by_name['a'] == 50 || t.by_name['b'] == 50);
		same += t.by_name['a'] == 50;
	}
	/* Endpoints are drawn in turn: the second pod has the other one. */
	CHECK_INT(same, 1);
}

TEST(affinity_holds_while_the_endpoint_is_there)
{
	char mine;

	CHECK_INT(apply_affinity(60, 2, (struct mesh_addr[]){a4, b4}), 0);
	mine = pod_burst(client, "10.99.0.1:80", 1).first[0];
	/* Others come and go. */
	for (int i = 0; i < 6; i++) {
		struct mesh_addr own = mine == 'a' ? a4 : b4, rest = mine == 'a' ? b4 : a4;

		CHECK_INT(apply_affinity(60, i % 2 ? 1 : 3, (struct mesh_addr[]){own, rest, rest}), 0);
		CHECK_INT(pod_burst(client, "10.99.0.1:80", 5).by_name[(int)mine], 5);
	}
	/* It goes itself: the other one, and that it stays when the first is back. */
	CHECK_INT(apply_affinity(60, 1, mine == 'a' ? &b4 : &a4), 0);
	CHECK_INT(pod_burst(client, "10.99.0.1:80", 5).by_name[mine == 'a' ? 'b' : 'a'], 5);
	CHECK_INT(apply_affinity(60, 2, (struct mesh_addr[]){a4, b4}), 0);
	CHECK_INT(pod_burst(client, "10.99.0.1:80", 5).by_name[mine == 'a' ? 'b' : 'a'], 5);
}

/* One second: kept while connections are closer together than that, drawn anew after it. */
TEST(affinity_ends)
{
	char mine, then;

	CHECK_INT(apply_affinity(1, 2, (struct mesh_addr[]){a4, b4}), 0);
	pod_burst(client, "10.99.0.1:80", 1); /* perhaps to where it stayed before */
	usleep(1200 * 1000);
	mine = pod_burst(client, "10.99.0.1:80", 1).first[0];
	for (int i = 0; i < 4; i++) {
		usleep(400 * 1000);
		CHECK_INT(pod_burst(client, "10.99.0.1:80", 1).first[0], mine);
	}
	usleep(1200 * 1000);
	then = pod_burst(client, "10.99.0.1:80", 1).first[0];
	CHECK(then != mine); /* in turn */
	CHECK_INT(pod_burst(client, "10.99.0.1:80", 10).by_name[(int)then], 10);
}

/* An endpoint whose group lost its weight is no place to stay. */
TEST(affinity_and_weight_zero)
{
	struct mesh_l4_image image = {.version = 1};
	struct mesh_l4_service *s = add_service(&image, "10.99.0.1:80", IPPROTO_TCP, MESH_TIER_L4);
	char mine;

	CHECK_INT(apply_affinity(60, 2, (struct mesh_addr[]){a4, b4}), 0);
	mine = pod_burst(client, "10.99.0.1:80", 1).first[0];
	s->affinity_s = 60;
	add_dest(s, mine == 'a' ? 0 : 1, 1, &a4);
	add_dest(s, mine == 'a' ? 1 : 0, 1, &b4);
	CHECK_INT(world_apply(w.dp, &image), 0);
	CHECK_INT(pod_burst(client, "10.99.0.1:80", 5).by_name[mine == 'a' ? 'b' : 'a'], 5);
}

TEST(no_affinity_no_members)
{
	CHECK_INT(apply_affinity(60, 2, (struct mesh_addr[]){a4, b4}), 0);
	CHECK(map_entries(w.dp, "member") >= 2);
	CHECK_INT(apply_affinity(0, 2, (struct mesh_addr[]){a4, b4}), 0);
	for (int i = 0; i < 100 && map_entries(w.dp, "member"); i++)
		usleep(20000);
	CHECK_INT(map_entries(w.dp, "member"), 0);
	CHECK_INT(pod_burst(client, "10.99.0.1:80", 10).by_name['a'], 5);
}

/* ---- node ports and ports of every address ---- */

static struct mesh_l4_service *add_kind(struct mesh_l4_image *image, enum mesh_key_kind kind, const char *vip,
					int proto, const struct mesh_addr *endpoint)
{
	struct mesh_l4_service *s = add_service(image, vip, proto, MESH_TIER_L4);

	s->kind = kind;
	add_dest(s, 1, 1, endpoint);
	return s;
}

/* Who answers, or the errno. */
static int who(struct pod *p, const char *to)
{
	struct dial d = {.to = at(to)};
	int error = 0, name;
	struct conn c;

	pod_call(p, do_dial_briefly, &d, sizeof(d), &error, sizeof(error));
	if (error)
		return -error;
	c = pod_dial(p, &d);
	name = c.error ? -c.error : pod_name(p, c.fd);
	if (!c.error && !mesh_addr_eq(&c.peer, &d.to))
		name = -EDOM;
	if (!c.error)
		pod_close(p, c.fd);
	return name;
}

TEST(node_ports)
{
	struct mesh_l4_image image = {.version = 1};
	struct exchange x;
	struct dial udp = {.to = at("10.88.0.1:30053"), .udp = 1};

	add_kind(&image, MESH_KEY_NODE, "0.0.0.0:30080", IPPROTO_TCP, &a4);
	add_kind(&image, MESH_KEY_NODE, "0.0.0.0:30053", IPPROTO_UDP, &ub4);
	add_kind(&image, MESH_KEY_NODE, "[::]:30090", IPPROTO_TCP, &b6);
	add_kind(&image, MESH_KEY_VIP, "10.88.0.2:30080", IPPROTO_TCP, &b4);
	mesh_vec_push(&image.node_ips, at("10.88.0.1:0"));
	mesh_vec_push(&image.node_ips, at("10.88.0.2:0"));
	mesh_vec_push(&image.node_ips, at("[fd88::1]:0"));
	CHECK_INT(world_apply(w.dp, &image), 0);
	CHECK_INT(who(client, "10.88.0.1:30080"), 'a');
	CHECK_INT(who(client, "[fd88::1]:30090"), 'b');
	CHECK_INT(who(client, "10.88.0.2:30080"), 'b'); /* an address of its own is first */
	CHECK(who(client, "10.88.0.3:30080") < 0);      /* no node */
	CHECK(who(client, "10.88.0.1:30081") < 0);      /* no such port, but one in the range */
	CHECK(who(client, "10.88.0.1:30090") < 0);      /* one of the other family */
	CHECK(who(client, "10.88.0.1:443") < 0);
	x = pod_exchange(client, &udp);
	CHECK_INT(x.error, 0);
	CHECK_INT(x.name, 'b');
	CHECK(mesh_addr_eq(&x.from, &udp.to));
	CHECK_INT(map_entries(w.dp, "nodeip"), 3);
}

TEST(node_addresses_go_with_the_last_node_port)
{
	struct mesh_l4_image image = {.version = 1}, none = {.version = 2};

	add_kind(&image, MESH_KEY_NODE, "0.0.0.0:30080", IPPROTO_TCP, &a4);
	mesh_vec_push(&image.node_ips, at("10.88.0.1:0"));
	CHECK_INT(world_apply(w.dp, &image), 0);
	CHECK_INT(who(client, "10.88.0.1:30080"), 'a');
	CHECK(who(client, "10.88.0.2:30080") < 0);
	CHECK_INT(map_entries(w.dp, "nodeip"), 1);
	CHECK_INT(world_apply(w.dp, &none), 0);
	CHECK_INT(map_entries(w.dp, "nodeip"), 0);
	CHECK(who(client, "10.88.0.1:30080") < 0);
}

TEST(ports_of_every_address)
{
	struct mesh_l4_image image = {.version = 1};
	struct dial near = {.to = at("127.0.0.1:9080")};
	int error = 0;

	add_kind(&image, MESH_KEY_ANY, "0.0.0.0:9080", IPPROTO_TCP, &a4);
	add_kind(&image, MESH_KEY_ANY, "[::]:9080", IPPROTO_TCP, &a6);
	add_kind(&image, MESH_KEY_VIP, "10.99.0.1:9080", IPPROTO_TCP, &b4);
	CHECK_INT(world_apply(w.dp, &image), 0);
	CHECK_INT(who(client, "203.0.113.7:9080"), 'a');
	CHECK_INT(who(client, "[2001:db8::7]:9080"), 'a');
	CHECK_INT(who(client, "10.99.0.1:9080"), 'b');
	CHECK(who(client, "203.0.113.7:9081") < 0);
	/* Loopback is the pod's own, link-local addresses are the node's. */
	pod_call(client, do_dial_briefly, &near, sizeof(near), &error, sizeof(error));
	CHECK_INT(error, ECONNREFUSED);
	near.to = at("[::1]:9080");
	pod_call(client, do_dial_briefly, &near, sizeof(near), &error, sizeof(error));
	CHECK_INT(error, ECONNREFUSED);
	near.to = at("169.254.169.254:9080");
	pod_call(client, do_dial_briefly, &near, sizeof(near), &error, sizeof(error));
	CHECK(error != 0);
}

TEST(every_address_through_the_agent)
{
	struct mesh_l4_image image = {.version = 1};
	struct dial d = {.to = at("203.0.113.7:80")};
	struct mesh_l4_service *s = add_service(&image, "0.0.0.0:80", IPPROTO_TCP, MESH_TIER_L7);
	struct mesh_addr orig;
	struct conn c;
	int fd;

	s->kind = MESH_KEY_ANY;
	CHECK_INT(world_apply(w.dp, &image), 0);
	c = pod_dial(client, &d);
	CHECK_INT(c.error, 0);
	fd = accept_origdst(w.dp, client, &orig);
	CHECK(fd >= 0);
	CHECK(mesh_addr_eq(&orig, &d.to));
	close(fd);
	pod_close(client, c.fd);
}

TEST(an_address_where_it_is_for_many_is_refused)
{
	struct mesh_l4_image image = {.version = 1};
	mesh_auto(mesh_buf_free) struct mesh_buf said = {0};
	struct mesh_errs errs = {0};

	add_kind(&image, MESH_KEY_NODE, "10.0.0.1:30080", IPPROTO_TCP, &a4);
	CHECK_INT(image_apply(w.dp, &image, &errs), -EINVAL);
	mesh_errs_format(&errs, &said);
	CHECK_STR(said.data, "service 10.0.0.1:30080: an address where it is for many\n");
	mesh_errs_free(&errs);
	mesh_l4_image_free(&image);
}

/* A data plane that is started again finds it all. */
TEST(adopted)
{
	struct mesh_l4_image image = {.version = 1}, again = {.version = 2};
	struct mesh_l4_service *s;
	char mine;

	for (int i = 0; i < 2; i++) {
		struct mesh_l4_image *to = i ? &again : &image;

		add_kind(to, MESH_KEY_NODE, "0.0.0.0:30080", IPPROTO_TCP, &a4);
		mesh_vec_push(&to->node_ips, at("10.88.0.1:0"));
		s = add_service(to, "10.99.0.1:80", IPPROTO_TCP, MESH_TIER_L4);
		s->affinity_s = 60;
		add_dest(s, 1, 2, (struct mesh_addr[]){a4, b4});
	}
	CHECK_INT(world_apply(w.dp, &image), 0);
	mine = pod_burst(client, "10.99.0.1:80", 1).first[0];
	mesh_dp_free(w.dp);
	CHECK_INT(who(client, "10.88.0.1:30080"), 'a');
	CHECK_INT(world_dp(&w, &w.dp), 0);
	CHECK_INT(who(client, "10.88.0.1:30080"), 'a');
	CHECK_INT(world_apply(w.dp, &again), 0);
	CHECK_INT(who(client, "10.88.0.1:30080"), 'a');
	CHECK_INT(pod_burst(client, "10.99.0.1:80", 10).by_name[(int)mine], 10);
	CHECK_INT(map_entries(w.dp, "nodeip"), 1);
}

/* ---- UDP ---- */

static void do_udp_open(const void *in, void *out)
{
	struct timeval patience = {.tv_sec = 2};
	int fd = socket(*(const int *)in, SOCK_DGRAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	*(int *)out = fd;
}

static int udp_open(struct pod *p, int family)
{
	int fd = -1;

	pod_call(p, do_udp_open, &family, sizeof(family), &fd, sizeof(fd));
	return fd;
}

struct ask {
	int fd, connect, plain; /* plain: send() without an address */
	struct mesh_addr to;
};

/* One datagram and its answer on an open socket. */
static void do_ask(const void *in, void *out)
{
	const struct ask *a = in;
	struct exchange *x = out;
	struct sockaddr_storage ss;
	socklen_t len = mesh_addr_to_sock(&a->to, &ss);
	char byte = '?';

	if (a->connect && connect(a->fd, (struct sockaddr *)&ss, len) < 0)
		x->error = errno;
	else if (sendto(a->fd, &byte, 1, 0, a->plain ? NULL : (struct sockaddr *)&ss, a->plain ? 0 : len) < 0)
		x->error = errno;
	if (x->error)
		return;
	len = sizeof(ss);
	if (recvfrom(a->fd, &byte, 1, 0, (struct sockaddr *)&ss, &len) != 1)
		x->error = errno;
	else
		mesh_addr_from_sock(&ss, &x->from);
	x->name = byte;
}

static int ask(struct pod *p, const struct ask *a)
{
	struct exchange x = {0};

	pod_call(p, do_ask, a, sizeof(*a), &x, sizeof(x));
	if (x.error)
		return -x.error;
	return mesh_addr_eq(&x.from, &a->to) ? x.name : -EDOM;
}

static int apply_udp(size_t count, const struct mesh_addr *endpoints)
{
	bool v6 = !mesh_addr_is_v4(&endpoints[0]);
	struct mesh_l4_image image = {.version = 1};

	add_dest(add_service(&image, v6 ? "[fd99::10]:53" : "10.99.0.10:53", IPPROTO_UDP, MESH_TIER_L4), 1, count,
		 endpoints);
	return world_apply(w.dp, &image);
}

/* All datagrams of an unconnected socket go to one endpoint, whatever else comes, until it is gone. */
static void check_flow(struct mesh_addr a, struct mesh_addr b, const char *vip)
{
	struct ask q = {.fd = udp_open(client, mesh_addr_is_v4(&a) ? AF_INET : AF_INET6), .to = at(vip)};
	int mine, then;

	CHECK_INT(apply_udp(2, (struct mesh_addr[]){a, b}), 0);
	mine = ask(client, &q);
	CHECK(mine == 'a' || mine == 'b');
	for (int i = 0; i < 6; i++) {
		struct mesh_addr own = mine == 'a' ? a : b, rest = mine == 'a' ? b : a;

		CHECK_INT(apply_udp(i % 2 ? 3 : 1, (struct mesh_addr[]){own, rest, rest}), 0);
		CHECK_INT(ask(client, &q), mine);
		CHECK_INT(ask(client, &q), mine);
	}
	CHECK_INT(apply_udp(1, mine == 'a' ? &b : &a), 0);
	then = ask(client, &q);
	CHECK_INT(then, mine == 'a' ? 'b' : 'a');
	CHECK_INT(apply_udp(2, (struct mesh_addr[]){a, b}), 0);
	CHECK_INT(ask(client, &q), then);
	pod_close(client, q.fd);
}

TEST(udp_flow)
{
	check_flow(ua4, ub4, "10.99.0.10:53");
}

TEST(udp_flow_ipv6)
{
	check_flow(ua6, ub6, "[fd99::10]:53");
}

TEST(udp_sockets_are_spread)
{
	int by_name[128] = {0};

	CHECK_INT(apply_udp(2, (struct mesh_addr[]){ua4, ub4}), 0);
	for (int i = 0; i < 8; i++) {
		struct ask q = {.fd = udp_open(client, AF_INET), .to = at("10.99.0.10:53")};
		int name = ask(client, &q);

		CHECK(name > 0);
		by_name[name]++;
		pod_close(client, q.fd);
	}
	CHECK_INT(by_name['a'], 4);
	CHECK_INT(by_name['b'], 4);
}

/* send() and sendto() on a connected socket: the endpoint that connect() was given, and answers are let in. */
TEST(udp_connected)
{
	CHECK_INT(apply_udp(2, (struct mesh_addr[]){ua4, ub4}), 0);
	for (int i = 0; i < 4; i++) {
		struct ask q = {.fd = udp_open(client, AF_INET), .connect = 1, .plain = 1, .to = at("10.99.0.10:53")};
		int mine = ask(client, &q);

		CHECK(mine > 0);
		q.connect = 0;
		CHECK_INT(ask(client, &q), mine);
		q.plain = 0;
		CHECK_INT(ask(client, &q), mine);
		CHECK_INT(ask(client, &q), mine);
		pod_close(client, q.fd);
	}
}

/* A socket that was sent to an endpoint gets an error when that is gone, and can be connected again. */
TEST(udp_connected_to_what_is_gone)
{
	struct ask q = {.fd = udp_open(client, AF_INET), .connect = 1, .plain = 1, .to = at("10.99.0.10:53")};
	struct ask direct = {.fd = udp_open(client, AF_INET), .connect = 1, .plain = 1, .to = ua4};
	struct mesh_addr gone = one->ip4;
	json_t *status = mesh_dp_status(w.dp);
	bool iterator = json_is_true(json_object_get(json_object_get(status, "features"), "sockDestroy"));

	json_decref(status);
	CHECK_INT(apply_udp(1, &ua4), 0);
	CHECK_INT(ask(client, &q), 'a');
	CHECK_INT(ask(client, &direct), 'a');
	CHECK_INT(apply_udp(1, &ub4), 0);
	CHECK_INT(mesh_dp_end_flows(w.dp, other->netns_fd, &gone, NULL), 0);
	CHECK_INT(mesh_dp_end_flows(w.dp, client->netns_fd, &gone, NULL), iterator ? 1 : 2);
	CHECK_INT(mesh_dp_end_flows(w.dp, client->netns_fd, &gone, NULL), 0);
	q.connect = 0;
	CHECK_INT(ask(client, &q), -EDESTADDRREQ);
	q.connect = 1;
	CHECK_INT(ask(client, &q), -ECONNABORTED); /* the socket's pending error, once */
	CHECK_INT(ask(client, &q), 'b');
	direct.connect = 0;
	if (iterator)
		CHECK_INT(ask(client, &direct), 'a');
	pod_close(client, q.fd);
	pod_close(client, direct.fd);
}

TEST(udp_affinity)
{
	struct mesh_l4_image image = {.version = 1};
	struct mesh_l4_service *s = add_service(&image, "10.99.0.10:53", IPPROTO_UDP, MESH_TIER_L4);
	int mine = 0;

	s->affinity_s = 60;
	add_dest(s, 1, 2, (struct mesh_addr[]){ua4, ub4});
	CHECK_INT(world_apply(w.dp, &image), 0);
	for (int i = 0; i < 6; i++) {
		struct ask q = {
			.fd = udp_open(client, AF_INET), .connect = i % 2, .plain = i % 2, .to = at("10.99.0.10:53")};
		int name = ask(client, &q);

		CHECK(name > 0 && (!mine || name == mine));
		mine = name;
		pod_close(client, q.fd);
	}
}

TEST_TEARDOWN(end)
{
	world_free(&w);
}

TEST_MAIN_ROOT()
