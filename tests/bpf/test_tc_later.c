/* SPDX-License-Identifier: Apache-2.0 */
/* Devices of pods that are new or gone: what is there at once, and what comes or goes later. */
#include "dataplane/bypass.h"
#include "flows.h"
#include "frames.h"

enum { PROGRAMS_MAX = 64 };

/* One that nobody runs in yet. */
static int new_pod(struct world *w)
{
	int r = world_new(w);

	if (r < 0)
		return r;
	world_pod(w);
	return world_capture_new(w, &w->pods[0]);
}

static int shoot(struct world *w, int times)
{
	struct shot s = {.frame = with_ip4("10.77.0.2", "10.77.0.254"), .times = times};
	int sent = 0;

	pod_call(&w->pods[0], do_shoot, &s, sizeof(s), &sent, sizeof(sent));
	usleep(50000);
	return sent;
}

static bool is_by_tcx_soon(struct world *w, const char *device)
{
	for (int i = 0; i < 100; i++) {
		if (strcmp(attached(w, device), "tcx") == 0)
			return true;
		usleep(50000);
	}
	return false;
}

static bool can_go_over(void)
{
	return mesh_dp_has_tcx() && has_program("tc");
}

/* It sends nothing but its own from the first, and while it goes over to what costs less. */
TEST(new_pod_is_guarded_at_once)
{
	struct world w;

	if (!can_go_over())
		SKIP("there is no tcx, or no tc");
	CHECK_INT(new_pod(&w), 0);
	CHECK_STR(attached(&w, "e1"), "clsact");
	CHECK_INT(shoot(&w, 20), 20);
	CHECK_INT(reason_count(w.dp, "spoofed"), 20);
	CHECK(is_by_tcx_soon(&w, "e1"));
	mesh_dp_settle(w.dp);
	CHECK_INT(status_number(w.dp, "bypass/changesLeft"), 0);
	CHECK_INT(shoot(&w, 20), 20);
	CHECK_INT(reason_count(w.dp, "spoofed"), 40);
	/* Empty. */
	CHECK(has_qdisc(&w, "e1"));
	CHECK_INT(mesh_dp_release(w.dp, w.pods[0].cookie), 0);
	mesh_dp_settle(w.dp);
	CHECK_STR(attached(&w, "e1"), "");
	CHECK(!has_qdisc(&w, "e1"));
	CHECK_INT(map_entries(w.dp, "veth"), 0);
	world_free(&w);
}

/* Flows take the short way before, during and after. */
TEST(flows_go_on)
{
	struct mesh_l4_image image = {.version = 1};
	struct streamed r;
	struct world w;
	int fd;

	if (!can_go_over())
		SKIP("there is no tcx, or no tc");
	CHECK_INT(new_pod(&w), 0);
	world_pod(&w);
	route_through_node(&w);
	CHECK_INT(world_capture_new(&w, &w.pods[1]), 0);
	pod_serve(&w.pods[1], with_port(w.pods[1].ip4, 8080), 'b');
	add_dest(add_service(&image, "10.99.0.1:80", IPPROTO_TCP, MESH_TIER_L4), 1, 1,
		 (struct mesh_addr[]){with_port(w.pods[1].ip4, 8080)});
	CHECK_INT(world_apply(w.dp, &image), 0);
	fd = connect_to(&w, "10.99.0.1:80");
	CHECK(fd >= 0);
	stream_start(&w.pods[0], fd, 512, 0);
	for (int i = 0; i < 100 && status_number(w.dp, "bypass/changesLeft"); i++)
		pump(w.dp, 50);
	CHECK_STR(attached(&w, "e1"), "tcx");
	CHECK_STR(attached(&w, "e2"), "tcx");
	pump(w.dp, 200);
	r = stream_stop(&w.pods[0]);
	CHECK_INT(r.bad, 0);
	CHECK(r.rounds > 50);
	CHECK(bypass_count(w.dp, "packets") > 50);
	world_free(&w);
}

/* The next agent takes what the one before did not come to. */
TEST(agent_ends_before)
{
	struct world w;

	if (!can_go_over())
		SKIP("there is no tcx, or no tc");
	CHECK_INT(new_pod(&w), 0);
	world_pod(&w);
	CHECK_INT(world_capture(&w, &w.pods[1]), 0);
	CHECK_STR(attached(&w, "e2"), "tcx");
	CHECK_INT(mesh_dp_release(w.dp, w.pods[1].cookie), 0);
	world_dp_end(&w);
	CHECK_STR(attached(&w, "e1"), "clsact");
	CHECK_STR(attached(&w, "e2"), "tcx");
	CHECK_INT(world_dp(&w, &w.dp), 0);
	CHECK_INT(world_capture_new(&w, &w.pods[0]), 0);
	mesh_dp_settle(w.dp);
	CHECK_STR(attached(&w, "e1"), "tcx");
	CHECK_STR(attached(&w, "e2"), "");
	CHECK_INT(map_entries(w.dp, "veth"), 1);
	/* And uninstall whatever is there. */
	CHECK_INT(mesh_dp_release(w.dp, w.pods[0].cookie), 0);
	world_pod(&w);
	CHECK_INT(world_capture_new(&w, &w.pods[2]), 0);
	world_dp_end(&w);
	CHECK_INT(mesh_dp_detach_from(w.pin, w.hub.netns_fd, NULL), 0);
	for (int i = 1; i <= 3; i++) {
		char device[8];

		snprintf(device, sizeof(device), "e%d", i);
		CHECK_STR(attached(&w, device), "");
		CHECK(!has_qdisc(&w, device));
	}
	world_free(&w);
}

/* What was ordered last holds. */
TEST(comes_and_goes)
{
	struct world w;

	if (!can_go_over())
		SKIP("there is no tcx, or no tc");
	CHECK_INT(new_pod(&w), 0);
	for (int i = 0; i < 8; i++) {
		CHECK_INT(mesh_dp_release(w.dp, w.pods[0].cookie), 0);
		CHECK_INT(shoot(&w, 1), 1);
		/* Now and then the thread is at it. */
		if (i % 2)
			usleep(460000 + (useconds_t)i * 5000);
		CHECK_INT(world_capture_new(&w, &w.pods[0]), 0);
		CHECK(attached(&w, "e1")[0]);
		CHECK_INT(map_entries(w.dp, "veth"), 1);
	}
	mesh_dp_settle(w.dp);
	CHECK_STR(attached(&w, "e1"), "tcx");
	CHECK_INT(map_entries(w.dp, "podip"), 2);
	CHECK_INT(mesh_dp_release(w.dp, w.pods[0].cookie), 0);
	CHECK_INT(world_capture_new(&w, &w.pods[0]), 0);
	CHECK_INT(mesh_dp_release(w.dp, w.pods[0].cookie), 0);
	mesh_dp_settle(w.dp);
	CHECK_STR(attached(&w, "e1"), "");
	CHECK(!has_qdisc(&w, "e1"));
	CHECK_INT(map_entries(w.dp, "veth"), 0);
	CHECK_INT(map_entries(w.dp, "podip"), 0);
	world_free(&w);
}

/* A pod that was captured and is gone, with its device, before anything was done. */
TEST(device_goes)
{
	struct world w;

	CHECK_INT(new_pod(&w), 0);
	CHECK_INT(in_ns(&w.hub, "ip link del e1"), 0);
	mesh_dp_settle(w.dp);
	CHECK_INT(map_entries(w.dp, "veth"), 1);
	CHECK_INT(mesh_dp_release(w.dp, w.pods[0].cookie), 0);
	mesh_dp_settle(w.dp);
	CHECK_INT(map_entries(w.dp, "veth"), 0);
	world_free(&w);
}

static int fill_with_programs(struct world *w, const char *device)
{
	int home = -1, n = 0, r = mesh_netns_enter(w->hub.netns_fd, &home);

	for (; r == 0 && n < PROGRAMS_MAX; n++) {
		int fd = somebodys_program();

		r = fd < 0 ? -errno : 0;
		if (r == 0 &&
		    bpf_prog_attach(fd, (int)if_nametoindex(device), (enum bpf_attach_type)TCX_INGRESS, 0) < 0)
			r = -errno;
		close(fd);
	}
	mesh_netns_leave(&home);
	return n;
}

/* There is no room by tcx: the filters stay, and do the same. */
TEST(no_room)
{
	struct world w;
	int n;

	if (!can_go_over())
		SKIP("there is no tcx, or no tc");
	CHECK_INT(world_new(&w), 0);
	world_pod(&w);
	n = fill_with_programs(&w, "e1");
	CHECK(n >= PROGRAMS_MAX - 1);
	CHECK_INT(world_capture_new(&w, &w.pods[0]), 0);
	mesh_dp_settle(w.dp);
	CHECK_STR(attached(&w, "e1"), "clsact");
	CHECK_INT(shoot(&w, 20), 20);
	CHECK_INT(reason_count(w.dp, "spoofed"), 20);
	world_free(&w);
}

TEST_MAIN_ROOT()
