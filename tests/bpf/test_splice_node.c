/* SPDX-License-Identifier: Apache-2.0 */
/* What is not sent cannot be stopped by the node; so spliced flows ask, and then wait in TCP until they may pass. */
#include "flows.h"

#include "dataplane/splice.h"
#include "model/workload.h"

static const char drop_rule[] = "table inet t {\n chain f { type filter hook forward priority 0;\n"
				"  tcp dport 8080 drop\n  tcp sport 8080 drop\n }\n}";

static int two_spliced_pods(struct world *w)
{
	struct mesh_l4_image image = {.version = 1};
	struct mesh_errs errs = {0};
	int r = world_new(w);

	for (int i = 0; r == 0 && i < 2; i++)
		world_pod(w);
	if (r == 0)
		route_through_node(w);
	for (int i = 0; r == 0 && i < 2; i++)
		r = world_capture(w, &w->pods[i]);
	for (int i = 0; r == 0 && i < 2; i++)
		r = mesh_dp_splice_pod(w->dp, w->pods[i].cookie, MESH_SPLICE_ENABLED, &errs);
	print_errs(&errs);
	mesh_errs_free(&errs);
	if (r < 0)
		return r;
	pod_serve(&w->pods[1], with_port(w->pods[1].ip4, 8080), 'b');
	add_dest(add_service(&image, "10.99.0.1:80", IPPROTO_TCP, MESH_TIER_L4), 1, 1,
		 (struct mesh_addr[]){with_port(w->pods[1].ip4, 8080)});
	return world_apply(w->dp, &image);
}

static long way(struct mesh_dp *dp, const char *name)
{
	json_t *status = mesh_dp_splice_status(dp), *row;
	long n = -1;
	size_t i;

	json_array_foreach(json_object_get(status, "ways"), i, row)
	{
		if (strcmp(json_string_value(json_object_get(row, "way")), name) == 0)
			n = (long)json_integer_value(json_object_get(row, "messages"));
	}
	json_decref(status);
	return n;
}

/* A flow under way; *asked: that the node was asked, which is not done once a receiver was seen to block in a call. */
static void begin_flow(struct world *w, const char *bypass, struct conn *c, bool *asked)
{
	struct dial d = {.to = at("10.99.0.1:80")};

	CHECK_INT(two_spliced_pods(w), 0);
	CHECK_INT(switch_to(w->dp, "bypass", bypass), 0);
	*c = pod_dial(&w->pods[0], &d);
	CHECK(c->fd >= 0);
	CHECK_INT(pod_name(&w->pods[0], c->fd), 'b');
	stream_start(&w->pods[0], c->fd, 100, 500);
	pump(w->dp, 3000);
	*asked = way(w->dp, "asked") >= 1;
}

static void check_stopped(const char *bypass)
{
	struct streamed s;
	struct world w;
	struct conn c = {.fd = -1};
	bool asked = false;
	long rounds;

	if (!has_program("nft"))
		SKIP("there is no nft");
	for (int i = 0; i < 3 && !asked; i++) {
		if (i > 0) {
			stream_stop(&w.pods[0]);
			pod_close(&w.pods[0], c.fd);
			world_free(&w);
		}
		begin_flow(&w, bypass, &c, &asked);
		if (test_failed)
			return;
	}
	CHECK(asked);
	CHECK(way(w.dp, "redirected") > 500);
	CHECK(way(w.dp, "redirected") > 10 * way(w.dp, "asked"));
	CHECK_INT(node_rules(&w, drop_rule), 0);
	pump(w.dp, 2500);
	rounds = stream_rounds(&w.pods[0]);
	pump(w.dp, 500);
	CHECK_INT(stream_rounds(&w.pods[0]), rounds);
	CHECK_INT(node_rules(&w, "delete table inet t"), 0);
	/* TCP sends again after at most twice as long as it has waited. */
	for (int i = 0; i < 1000 && stream_rounds(&w.pods[0]) < rounds + 100; i++)
		pump(w.dp, 10);
	s = stream_stop(&w.pods[0]);
	CHECK(s.rounds >= rounds + 100);
	CHECK_INT(s.bad, 0);
	CHECK_INT(s.error, 0);
	pod_close(&w.pods[0], c.fd);
	world_free(&w);
}

TEST(a_rule_of_the_node_stops_a_flow)
{
	check_stopped("off");
}

TEST(also_with_bypass)
{
	check_stopped("on");
}

TEST_MAIN_ROOT()
