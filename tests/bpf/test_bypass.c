/* SPDX-License-Identifier: Apache-2.0 */
/* Which packets go from device to device, and that nobody can tell but by the clock: not the ends, not the node's
 * rules. */
#include "flows.h"

#include "dataplane/bypass.h"

#include <net/if.h>

/* Both pods captured; a service of each family leads to the second. */
static int two_pods(struct world *w, int routed)
{
	struct mesh_l4_image image = {.version = 1};
	int r = world_new(w);

	if (r < 0)
		return r;
	for (int i = 0; i < 2; i++)
		world_pod(w);
	if (routed)
		route_through_node(w);
	for (int i = 0; r == 0 && i < 2; i++)
		r = world_capture(w, &w->pods[i]);
	pod_serve(&w->pods[1], with_port(w->pods[1].ip4, 8080), 'b');
	pod_serve(&w->pods[1], with_port(w->pods[1].ip6, 8080), 'b');
	add_dest(add_service(&image, "10.99.0.1:80", IPPROTO_TCP, MESH_TIER_L4), 1, 1,
		 (struct mesh_addr[]){with_port(w->pods[1].ip4, 8080)});
	add_dest(add_service(&image, "[fd99::1]:80", IPPROTO_TCP, MESH_TIER_L4), 1, 1,
		 (struct mesh_addr[]){with_port(w->pods[1].ip6, 8080)});
	return r < 0 ? r : world_apply(w->dp, &image);
}

/* Goes on as an agent does until it is true, for half a minute: other machines are slower. */
#define UNTIL(w, cond)                                                                                                 \
	({                                                                                                             \
		int _left = 3000;                                                                                      \
		while (!(cond) && _left-- > 0)                                                                         \
			pump((w)->dp, 10);                                                                             \
		_left > 0;                                                                                             \
	})

enum { NOT_BYPASSED, BYPASSED };

/* Streams for a while; whether no byte was wrong, and packets went (or none did) the short way. */
static int streams(struct world *w, int fd, int how)
{
	long before = bypass_count(w->dp, "packets"), after;
	struct streamed s;

	stream_start(&w->pods[0], fd, 512, 0);
	if (how == BYPASSED)
		UNTIL(w, bypass_count(w->dp, "packets") > before + 50);
	else
		UNTIL(w, stream_rounds(&w->pods[0]) > 50);
	s = stream_stop(&w->pods[0]);
	after = bypass_count(w->dp, "packets");
	if (s.bad || s.error || s.rounds < 10 || (how == BYPASSED && after - before <= 50) ||
	    (how == NOT_BYPASSED && after != before)) {
		json_t *status = mesh_dp_status(w->dp);

		printf("  %ld rounds, %ld bad, error %d, %ld packets bypassed\n", s.rounds, s.bad, s.error,
		       after - before);
		json_dumpf(json_object_get(status, "bypass"), stdout, JSON_COMPACT);
		printf("\n");
		json_decref(status);
		return 0;
	}
	return 1;
}

static void check_taken(int routed, const char *to)
{
	struct world w;
	char why[256] = "";
	int fd;

	CHECK_INT(two_pods(&w, routed), 0);
	CHECK_INT(device_bypassed(w.dp, 1, why), 1);
	CHECK_INT(device_bypassed(w.dp, 2, why), 1);
	fd = connect_to(&w, to);
	CHECK(fd >= 0);
	CHECK(streams(&w, fd, BYPASSED));
	CHECK_INT(bypass_count(w.dp, "flows"), 1);
	CHECK(bypass_count(w.dp, "answered") >= 2);
	CHECK_INT(map_entries(w.dp, "flows"), 2);
	CHECK_INT(reason_count(w.dp, "spoofed"), 0);
	/* It goes with the connection. */
	pod_close(&w.pods[0], fd);
	CHECK(UNTIL(&w, map_entries(w.dp, "flows") == 0));
	world_free(&w);
}

TEST(taken_through_the_node)
{
	check_taken(1, "10.99.0.1:80");
}

TEST(taken_across_a_bridge)
{
	check_taken(0, "10.99.0.1:80");
}

TEST(taken_ipv6)
{
	check_taken(1, "[fd99::1]:80");
}

/* What a pod connected to by itself is nobody's business, as are first packets of any connection. */
TEST(not_taken)
{
	struct world w;
	int fd;

	CHECK_INT(two_pods(&w, 1), 0);
	fd = connect_to(&w, "10.77.0.2:8080");
	CHECK(fd >= 0);
	CHECK(streams(&w, fd, NOT_BYPASSED));
	CHECK_INT(bypass_count(w.dp, "flows"), 0);
	CHECK_INT(pod_burst(&w.pods[0], "10.99.0.1:80", 200).by_name['b'], 200);
	pump(w.dp, 20);
	CHECK_INT(bypass_count(w.dp, "flows"), 0);
	CHECK_INT(bypass_count(w.dp, "packets"), 0);
	world_free(&w);
}

static const char drop_rule[] = "table inet t {\n chain f { type filter hook forward priority 0;\n"
				"  tcp dport 8080 drop\n }\n}";

/* The uplink's two ends, e2 and the other machine's eth0. */
static void plug(struct world *w)
{
	in_ns(&w->hub, "ip link set e2 nomaster up; ip addr add 10.78.0.1/24 dev e2");
	in_ns(&w->pods[1], "ip link set eth0 up; ip addr flush dev eth0; ip addr add 10.78.0.2/24 dev eth0; "
			   "ip route replace default via 10.78.0.1");
}

/* A client pod of this node, and a server behind its uplink e2. */
static int two_nodes(struct world *w)
{
	struct mesh_l4_image image = {.version = 1};
	struct mesh_addr server = at("10.78.0.2:8080");
	int r = world_new(w);

	if (r < 0)
		return r;
	world_pod(w);
	route_through_node(w);
	world_pod(w);
	plug(w);
	world_dp_end(w);
	w->uplink = "e2";
	r = world_dp(w, &w->dp);
	if (r == 0)
		r = world_capture(w, &w->pods[0]);
	pod_serve(&w->pods[1], server, 'b');
	add_dest(add_service(&image, "10.99.0.1:80", IPPROTO_TCP, MESH_TIER_L4), 1, 1, &server);
	return r < 0 ? r : world_apply(w->dp, &image);
}

/* With an uplink, a flow to another node goes from the pod to the wire and back. */
TEST(taken_between_nodes)
{
	struct streamed s;
	struct world w;
	long packets;
	int fd;

	CHECK_INT(two_nodes(&w), 0);
	fd = connect_to(&w, "10.99.0.1:80");
	CHECK(fd >= 0);
	CHECK(streams(&w, fd, BYPASSED));
	CHECK_INT(switch_to(w.dp, "bypass", "off"), 0);
	CHECK(streams(&w, fd, NOT_BYPASSED));
	CHECK_INT(switch_to(w.dp, "bypass", "on"), 0);
	CHECK(streams(&w, fd, BYPASSED));
	/* It goes, and comes again with another index. */
	CHECK_STR(follow_devices(w.dp), "");
	in_ns(&w.hub, "ip link del e2");
	CHECK_STR(follow_devices(w.dp), "uplink e2: No such device");
	CHECK_STR(follow_devices(w.dp), "");
	CHECK_INT(map_entries(w.dp, "veth"), 1);
	run("ip link add name e2 netns %d type veth peer name eth0 netns %d", w.hub.pid, w.pods[1].pid);
	plug(&w);
	CHECK(streams(&w, fd, NOT_BYPASSED));
	CHECK_STR(follow_devices(w.dp), "uplink e2: is there: flows to pods of other nodes take their short way");
	CHECK_INT(map_entries(w.dp, "veth"), 2);
	CHECK(streams(&w, fd, BYPASSED));
	CHECK_STR(follow_devices(w.dp), "");
	/* The node's rules hold there, too. */
	if (has_program("nft")) {
		stream_start(&w.pods[0], fd, 512, 200);
		CHECK(UNTIL(&w, stream_rounds(&w.pods[0]) > 10));
		CHECK_INT(node_rules(&w, drop_rule), 0);
		pump(w.dp, 1500);
		packets = bypass_count(w.dp, "packets");
		pump(w.dp, 300);
		CHECK_INT(bypass_count(w.dp, "packets"), packets);
		CHECK_INT(node_rules(&w, "delete table inet t"), 0);
		CHECK(UNTIL(&w, bypass_count(w.dp, "packets") > packets));
		s = stream_stop(&w.pods[0]);
		CHECK_INT(s.error, 0);
		CHECK_INT(s.bad, 0);
	}
	/* An agent that has no uplink leaves it. */
	world_dp_end(&w);
	w.uplink = NULL;
	CHECK_INT(world_dp(&w, &w.dp), 0);
	CHECK(streams(&w, fd, NOT_BYPASSED));
	CHECK_INT(map_entries(w.dp, "veth"), 1);
	world_free(&w);
}

/* The agent's own connections in a pod's namespace are of the L4 tier. */
TEST(taken_for_the_agent)
{
	struct world w;
	int fd;

	CHECK_INT(two_pods(&w, 1), 0);
	pod_call(&w.pods[0], do_move, w.agent_cgroup, sizeof(w.agent_cgroup), NULL, 0);
	fd = connect_to(&w, "10.77.0.2:8080");
	CHECK(fd >= 0);
	CHECK(streams(&w, fd, BYPASSED));
	world_free(&w);
}

static int guard(struct world *w, struct pod *p)
{
	struct mesh_dp_found found = {0};
	int r = mesh_dp_find(w->dp, &p->ip4, NULL, &found);

	if (r == 0)
		mesh_dp_guard(w->dp, &found, (struct mesh_addr[]){p->ip4, p->ip6}, 2, "test/edge");
	mesh_dp_found_free(&found);
	return r;
}

/* A gateway draws endpoints by itself: what it connects to a captured pod is of the L4 tier, what it does otherwise is
 * not looked at, and it is not captured. */
TEST(taken_for_a_gateway)
{
	struct world w;
	int fd;

	CHECK_INT(two_pods(&w, 1), 0);
	CHECK_INT(mesh_dp_release(w.dp, w.pods[0].cookie), 0);
	fd = connect_to(&w, "10.77.0.2:8080");
	CHECK(fd >= 0);
	CHECK(streams(&w, fd, NOT_BYPASSED));
	CHECK_INT(guard(&w, &w.pods[0]), 0);
	CHECK_INT(map_entries(w.dp, "pods"), 1);
	CHECK_INT(map_entries(w.dp, "veth"), 2);
	CHECK(streams(&w, fd, BYPASSED));
	/* The node's rules hold. */
	if (has_program("nft")) {
		CHECK_INT(node_rules(&w, drop_rule), 0);
		pump(w.dp, 600);
		stream_start(&w.pods[0], fd, 512, 0);
		pump(w.dp, 1200);
		CHECK_INT(stream_rounds(&w.pods[0]), 0);
		CHECK_INT(node_rules(&w, "delete table inet t"), 0);
		CHECK(UNTIL(&w, stream_rounds(&w.pods[0]) > 50));
		CHECK_INT(stream_stop(&w.pods[0]).bad, 0);
	}
	/* The next agent knows nothing of it until it is told again. */
	mesh_dp_free(w.dp);
	w.dp = NULL;
	CHECK_INT(world_dp(&w, &w.dp), 0);
	CHECK(streams(&w, fd, NOT_BYPASSED));
	mesh_dp_settle(w.dp);
	CHECK_INT(map_entries(w.dp, "veth"), 1);
	CHECK_INT(guard(&w, &w.pods[0]), 0);
	CHECK(streams(&w, fd, BYPASSED));
	mesh_dp_unguard(w.dp, w.pods[0].cookie);
	mesh_dp_settle(w.dp);
	CHECK_INT(map_entries(w.dp, "veth"), 1);
	CHECK(streams(&w, fd, NOT_BYPASSED));
	world_free(&w);
}

TEST(switched)
{
	struct world w;
	int fd;

	CHECK_INT(two_pods(&w, 1), 0);
	fd = connect_to(&w, "10.99.0.1:80");
	CHECK(fd >= 0);
	CHECK(streams(&w, fd, BYPASSED));
	CHECK_INT(switch_to(w.dp, "bypass", "off"), 0);
	CHECK(streams(&w, fd, NOT_BYPASSED));
	/* It stays so for the next agent. */
	CHECK_INT(world_dp_again(&w), 0);
	CHECK(streams(&w, fd, NOT_BYPASSED));
	CHECK_INT(switch_to(w.dp, "bypass", "on"), 0);
	CHECK(streams(&w, fd, BYPASSED));
	CHECK_INT(switch_to(w.dp, "antispoof", "off"), 0);
	CHECK(streams(&w, fd, NOT_BYPASSED));
	world_free(&w);
}

TEST(switches_refused)
{
	const struct {
		const char *name, *word, *text;
	} rows[] = {
		{"bypass", "auto", "bypass=auto: it may be on|off\n"},
		{"bypass", "", "bypass=: it may be on|off\n"},
		{"bypas", "on", "there is no switch \"bypas\""},
	};
	json_t *both = json_pack("{s:s, s:s}", "bypass", "off", "nonsense", "on"), *all;
	struct mesh_errs errs = {0};
	struct world w;

	CHECK_INT(world_new(&w), 0);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		json_t *set = json_pack("{s:s}", rows[i].name, rows[i].word);
		struct mesh_buf text = {0};

		CHECK(mesh_dp_switch_set(w.dp, set, &errs) < 0);
		mesh_errs_format(&errs, &text);
		CHECK(text.data && strncmp(text.data, rows[i].text, strlen(rows[i].text)) == 0);
		mesh_buf_free(&text);
		mesh_errs_free(&errs);
		json_decref(set);
	}
	/* All or nothing. */
	CHECK(mesh_dp_switch_set(w.dp, both, &errs) < 0);
	mesh_errs_free(&errs);
	all = mesh_dp_switches(w.dp);
	CHECK_STR(json_string_value(json_object_get(json_array_get(all, 0), "name")), "bypass");
	CHECK_STR(json_string_value(json_object_get(json_array_get(all, 0), "word")), "on");
	json_decref(all);
	json_decref(both);
	world_free(&w);
}

static const char tracking[] = "table inet t {\n"
			       " counter invalid { }\n counter forwarded { }\n counter unknown { }\n"
			       " chain forward { type filter hook forward priority 0;\n"
			       "  counter name forwarded\n"
			       "  ct state invalid counter name invalid drop\n"
			       "  ct state established,related accept\n"
			       "  tcp flags & (syn|ack) != syn counter name unknown drop\n }\n}";

/*
 * Rules as they are on most nodes: what connection tracking takes for invalid, and what is of no connection that it
 * knows, is dropped. A stream that was bypassed for longer than an entry lives goes on when it is switched off and on.
 */
TEST(connection_tracking)
{
	struct streamed s;
	struct world w;
	long before;
	int fd;

	if (!has_program("nft"))
		SKIP("there is no nft");
	CHECK_INT(two_pods(&w, 1), 0);
	if (node_rules(&w, tracking) != 0) {
		world_free(&w);
		SKIP("this kernel has no connection tracking for nft");
	}
	in_ns(&w.hub, "echo 3 > /proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established");
	fd = connect_to(&w, "10.99.0.1:80");
	CHECK(fd >= 0);
	stream_start(&w.pods[0], fd, 16384, 0);
	pump(w.dp, 5000);
	CHECK(UNTIL(&w, bypass_count(w.dp, "packets") > 500));
	CHECK_INT(bypass_count(w.dp, "conntrackTold"), 1);
	for (int i = 0; i < 5; i++) {
		CHECK_INT(switch_to(w.dp, "bypass", "off"), 0);
		pump(w.dp, 300);
		before = bypass_count(w.dp, "packets");
		pump(w.dp, 100);
		CHECK_INT(bypass_count(w.dp, "packets"), before);
		CHECK_INT(switch_to(w.dp, "bypass", "on"), 0);
		CHECK(UNTIL(&w, bypass_count(w.dp, "packets") > before));
	}
	s = stream_stop(&w.pods[0]);
	CHECK_INT(s.error, 0);
	CHECK_INT(s.bad, 0);
	CHECK(s.longest_ms < 10000);
	/* The end is seen, and not taken for invalid. */
	pod_close(&w.pods[0], fd);
	usleep(200000);
	CHECK_INT(rule_count(&w, "invalid"), 0);
	CHECK_INT(rule_count(&w, "unknown"), 0);
	CHECK(rule_count(&w, "forwarded") > 20);
	world_free(&w);
}

/* What the node's rules do not let pass, the bypass does not either: from the first packet on, or from then on. */
TEST(forward_chain)
{
	long rounds, packets;
	struct streamed s;
	struct world w;
	int fd, error;

	if (!has_program("nft"))
		SKIP("there is no nft");
	CHECK_INT(two_pods(&w, 1), 0);
	{
		struct dial d = {.to = at("10.99.0.1:80")};

		CHECK_INT(node_rules(&w, drop_rule), 0);
		pod_call(&w.pods[0], do_dial_briefly, &d, sizeof(d), &error, sizeof(error));
		CHECK(error == EINPROGRESS || error == EAGAIN || error == ETIMEDOUT);
		CHECK_INT(node_rules(&w, "delete table inet t"), 0);
	}
	fd = connect_to(&w, "10.99.0.1:80");
	CHECK(fd >= 0);
	stream_start(&w.pods[0], fd, 512, 200);
	CHECK(UNTIL(&w, bypass_count(w.dp, "packets") > 50));
	CHECK_INT(node_rules(&w, drop_rule), 0);
	pump(w.dp, 1200);
	rounds = stream_rounds(&w.pods[0]);
	packets = bypass_count(w.dp, "packets");
	pump(w.dp, 500);
	CHECK_INT(stream_rounds(&w.pods[0]), rounds);
	/* Answers may still go the short way for half a second: nobody acknowledges them. */
	CHECK_INT(bypass_count(w.dp, "packets"), packets);
	CHECK_INT(node_rules(&w, "delete table inet t"), 0);
	CHECK(UNTIL(&w, stream_rounds(&w.pods[0]) > rounds));
	CHECK(UNTIL(&w, bypass_count(w.dp, "packets") > packets));
	s = stream_stop(&w.pods[0]);
	CHECK_INT(s.error, 0);
	CHECK_INT(s.bad, 0);
	world_free(&w);
}

/* With the agent dead a bypassed flow goes on as it is; a new one takes the node's path until there is one again. */
TEST(agent_gone)
{
	long packets;
	struct streamed s;
	struct world w;
	int fd, second;

	CHECK_INT(two_pods(&w, 1), 0);
	fd = connect_to(&w, "10.99.0.1:80");
	CHECK(fd >= 0);
	stream_start(&w.pods[0], fd, 4096, 0);
	CHECK(UNTIL(&w, bypass_count(w.dp, "packets") > 50));
	packets = bypass_count(w.dp, "packets");
	world_dp_end(&w);
	pump(NULL, 700);
	second = connect_to(&w, "10.99.0.1:80");
	CHECK(second >= 0);
	for (int i = 0; i < 30; i++)
		CHECK(pod_echo(&w.pods[0], second));
	CHECK_INT(world_dp(&w, &w.dp), 0);
	CHECK(bypass_count(w.dp, "packets") > packets + 10);
	s = stream_stop(&w.pods[0]);
	CHECK_INT(s.error, 0);
	CHECK_INT(s.bad, 0);
	/* What nobody made ready meanwhile is now. */
	CHECK(streams(&w, second, BYPASSED));
	world_free(&w);
}

/* Programs hang on devices, not on the agent: they go with capture, and with detach. */
static void check_programs_go(const char *way)
{
	bool is_clsact = strcmp(way, "clsact") == 0;
	struct world w;
	char why[256];
	int fd;

	world_clsact = is_clsact;
	CHECK_INT(two_pods(&w, 1), 0);
	CHECK_STR(attached(&w, "e1"), way);
	CHECK_INT(has_qdisc(&w, "e1"), is_clsact);
	fd = connect_to(&w, "10.99.0.1:80");
	CHECK(fd >= 0);
	CHECK(streams(&w, fd, BYPASSED));
	CHECK_INT(mesh_dp_release(w.dp, w.pods[0].cookie), 0);
	CHECK_INT(map_entries(w.dp, "podip"), 2);
	mesh_dp_settle(w.dp);
	CHECK_STR(attached(&w, "e1"), "");
	CHECK(!has_qdisc(&w, "e1"));
	CHECK_INT(device_bypassed(w.dp, 1, why), -1);
	CHECK_INT(map_entries(w.dp, "veth"), 1);
	/* An agent that starts over takes what is there. */
	world_dp_end(&w);
	CHECK_STR(attached(&w, "e2"), way);
	CHECK_INT(world_dp(&w, &w.dp), 0);
	CHECK_INT(world_capture(&w, &w.pods[1]), 0);
	CHECK_STR(attached(&w, "e2"), way);
	world_dp_end(&w);
	CHECK_INT(mesh_dp_detach_from(w.pin, w.hub.netns_fd, NULL), 0);
	CHECK_STR(attached(&w, "e2"), "");
	CHECK(!has_qdisc(&w, "e2"));
	world_clsact = false;
	world_free(&w);
}

TEST(programs_go)
{
	if (!has_program("tc"))
		SKIP("there is no tc");
	if (mesh_dp_has_tcx())
		check_programs_go("tcx");
	check_programs_go("clsact");
}

/* An agent that attaches in the other way leaves nothing of the first but an empty qdisc: while that goes, packets are
 * lost. It goes with capture. */
TEST(other_way)
{
	struct world w;

	if (!mesh_dp_has_tcx() || !has_program("tc"))
		SKIP("there is no tcx, or no tc");
	world_clsact = true;
	CHECK_INT(two_pods(&w, 1), 0);
	for (int i = 0; i < 3; i++) {
		CHECK_STR(attached(&w, "e1"), world_clsact ? "clsact" : "tcx");
		CHECK(has_qdisc(&w, "e1"));
		world_clsact = !world_clsact;
		CHECK_INT(world_dp_again(&w), 0);
		CHECK_INT(world_capture(&w, &w.pods[0]), 0);
	}
	world_clsact = false;
	CHECK_INT(mesh_dp_release(w.dp, w.pods[0].cookie), 0);
	mesh_dp_settle(w.dp);
	CHECK(!has_qdisc(&w, "e1"));
	world_free(&w);
}

/* A filter of somebody else's, which lets all pass; by tcx, or of clsact. Returns 0 or -errno. */
static int put_filter(const struct pod *hub, const char *device, bool tcx)
{
	int fd = somebodys_program();
	int home = -1, r = fd < 0 ? -errno : mesh_netns_enter(hub->netns_fd, &home);
	LIBBPF_OPTS(bpf_tc_hook, hook, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = fd, .priority = 1, .handle = 1);

	if (r < 0)
		return r;
	hook.ifindex = (int)if_nametoindex(device);
	if (tcx)
		r = bpf_prog_attach(fd, hook.ifindex, (enum bpf_attach_type)TCX_INGRESS, 0) < 0 ? -errno : 0;
	else
		r = bpf_tc_hook_create(&hook);
	if (r == 0 && !tcx)
		r = bpf_tc_attach(&hook, &opts);
	mesh_netns_leave(&home);
	close(fd);
	return r;
}

/* Who else is on a device stays there, and sees every packet. */
TEST(others_on_the_device)
{
	char why[256] = "";
	struct world w;

	if (!has_program("tc"))
		SKIP("there is no tc");
	CHECK_INT(world_new(&w), 0);
	for (int i = 0; i < 3; i++)
		world_pod(&w);
	CHECK_INT(put_filter(&w.hub, "e1", false), 0);
	CHECK_INT(world_capture(&w, &w.pods[0]), 0);
	CHECK_INT(device_bypassed(w.dp, 1, why), 0);
	CHECK_STR(why, "others are on its device, and must see every packet: ingress filter somebody (priority 1)");
	/* Still, nothing leaves the pod but what is from it. */
	CHECK(attached(&w, "e1")[0]);
	if (mesh_dp_has_tcx()) {
		CHECK_INT(put_filter(&w.hub, "e2", true), 0);
		CHECK_INT(world_capture(&w, &w.pods[1]), 0);
		CHECK_INT(device_bypassed(w.dp, 2, why), 0);
		CHECK_STR(why, "others are on its device, and must see every packet: ingress tcx program somebody");
		CHECK_INT(mesh_dp_release(w.dp, w.pods[1].cookie), 0);
	}
	/* One whose address is on no veth. */
	in_ns(&w.pods[2], "ip link add d0 type bridge && ip link set d0 up && ip addr del 10.77.0.3/24 dev eth0 && "
			  "ip addr add 10.77.0.3/32 dev d0");
	CHECK_INT(world_capture(&w, &w.pods[2]), 0);
	CHECK_INT(device_bypassed(w.dp, 3, why), 0);
	CHECK_STR(why, "its device d0 is no veth but bridge");
	CHECK_INT(mesh_dp_release(w.dp, w.pods[0].cookie), 0);
	mesh_dp_settle(w.dp);
	CHECK_INT(in_ns(&w.hub, "tc filter show dev e1 ingress | grep -q somebody"), 0);
	CHECK_STR(attached(&w, "e1"), "");
	/* A queue that shapes. */
	if (in_ns(&w.hub, "tc qdisc add dev e2 root tbf rate 10mbit burst 32k latency 50ms 2> /dev/null") == 0) {
		CHECK_INT(world_capture(&w, &w.pods[1]), 0);
		CHECK_INT(device_bypassed(w.dp, 2, why), 0);
		CHECK_STR(why, "its device has the queue discipline tbf, which must see every packet");
	} else {
		printf("  this kernel has no tbf: queues were not looked at\n");
	}
	world_free(&w);
}

/* The same address on a new device: the flow finds it, nothing goes to the old one. */
TEST(address_moves)
{
	struct world w;
	int fd;

	CHECK_INT(two_pods(&w, 1), 0);
	world_pod(&w);
	fd = connect_to(&w, "10.99.0.1:80");
	CHECK(fd >= 0);
	CHECK(streams(&w, fd, BYPASSED));
	CHECK_INT(mesh_dp_release(w.dp, w.pods[1].cookie), 0);
	CHECK_INT(map_entries(w.dp, "flows"), 0);
	in_ns(&w.hub, "ip link del e2");
	in_ns(&w.pods[2], "ip addr add 10.77.0.2/24 dev eth0; ip route add 10.77.0.254 dev eth0; "
			  "ip route del 10.77.0.0/24 dev eth0; ip route replace default via 10.77.0.254");
	in_ns(&w.hub, "ip neigh flush dev br0");
	w.pods[2].ip4 = w.pods[1].ip4;
	CHECK_INT(world_capture(&w, &w.pods[2]), 0);
	pod_serve(&w.pods[2], with_port(w.pods[2].ip4, 8080), 'b');
	fd = connect_to(&w, "10.99.0.1:80");
	CHECK(fd >= 0);
	CHECK(streams(&w, fd, BYPASSED));
	world_free(&w);
}

TEST_MAIN_ROOT()
