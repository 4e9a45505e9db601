/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/controllers.h"
#include "test.h"

static unsigned fraction(json_t *v, unsigned total, bool up, unsigned otherwise)
{
	unsigned n = mesh_deployment_fraction(v, total, up, otherwise);

	json_decref(v);
	return n;
}

TEST(fractions)
{
	CHECK_INT(fraction(json_integer(3), 10, true, 9), 3);
	CHECK_INT(fraction(json_string("25%"), 10, true, 9), 3);
	CHECK_INT(fraction(json_string("25%"), 10, false, 9), 2);
	CHECK_INT(fraction(json_string("25%"), 1, true, 9), 1);
	CHECK_INT(fraction(json_string("25%"), 1, false, 9), 0);
	CHECK_INT(fraction(json_string("100%"), 7, false, 9), 7);
	CHECK_INT(fraction(json_string("0%"), 7, true, 9), 0);
	CHECK_INT(fraction(json_string("x%"), 7, true, 9), 9);
	CHECK_INT(fraction(json_string("5"), 7, true, 9), 9);
	CHECK_INT(fraction(NULL, 7, true, 9), 9);
	CHECK_INT(fraction(json_integer(-1), 7, true, 9), 0);
}

TEST(new_set_grows_within_the_surge)
{
	struct mesh_rollout r = {.replicas = 4, .surge = 1, .unavailable = 1, .old_wanted = 4, .old_available = 4};

	CHECK_INT(mesh_rollout_new(&r), 1);
	r.new_wanted = 1;
	CHECK_INT(mesh_rollout_new(&r), 1); /* five there are, five may be */
	r.old_wanted = 3;
	CHECK_INT(mesh_rollout_new(&r), 2);
	r.old_wanted = 0;
	CHECK_INT(mesh_rollout_new(&r), 4);
	r.new_wanted = 6;
	CHECK_INT(mesh_rollout_new(&r), 4);
	r.replicas = 0;
	CHECK_INT(mesh_rollout_new(&r), 0);
}

TEST(old_sets_shrink_only_behind_available_pods)
{
	struct mesh_rollout r = {
		.replicas = 4, .surge = 1, .unavailable = 0, .new_wanted = 1, .old_wanted = 4, .old_available = 4};

	CHECK_INT(mesh_rollout_old_less(&r), 0);
	r.new_available = 1;
	CHECK_INT(mesh_rollout_old_less(&r), 1);
	r.unavailable = 2;
	CHECK_INT(mesh_rollout_old_less(&r), 3);
	r.new_available = 0;
	CHECK_INT(mesh_rollout_old_less(&r), 2);
}

TEST(old_pods_that_do_not_work_go_first)
{
	struct mesh_rollout r = {.replicas = 4,
				 .surge = 1,
				 .unavailable = 1,
				 .new_wanted = 2,
				 .new_available = 0,
				 .old_wanted = 3,
				 .old_available = 1};

	/* five wanted, three must be; two new ones are missing: there is no room */
	CHECK_INT(mesh_rollout_old_less(&r), 0);
	r.new_available = 2;
	CHECK_INT(mesh_rollout_old_less(&r), 2);
}

/* Whatever becomes available in which order, the bounds hold at each step, and it ends. */
TEST(bounds_hold_all_the_way)
{
	for (unsigned replicas = 1; replicas <= 7; replicas++)
		for (unsigned surge = 0; surge <= 3; surge++)
			for (unsigned missing = surge ? 0 : 1; missing <= 3; missing++) {
				struct mesh_rollout r = {.replicas = replicas,
							 .surge = surge,
							 .unavailable = missing,
							 .old_wanted = replicas,
							 .old_available = replicas};
				unsigned least = replicas > missing ? replicas - missing : 0, turns = 0, less;

				while (r.new_wanted < replicas || r.old_wanted) {
					r.new_wanted = mesh_rollout_new(&r);
					CHECK(r.new_wanted + r.old_wanted <= replicas + surge);
					less = mesh_rollout_old_less(&r);
					CHECK(less <= r.old_wanted);
					r.old_wanted -= less;
					r.old_available = r.old_wanted;
					CHECK(r.new_available + r.old_available >= least);
					if (turns & 1 && r.new_available < r.new_wanted)
						r.new_available++;
					CHECK(turns++ < 100);
				}
			}
}

TEST_MAIN()
