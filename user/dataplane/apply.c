/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what changed, or from all that there is, to the maps: check all, write every new set beside the old ones, then
 * switch service by service, then let the old sets be swept. Until the first switch a failure undoes itself.
 */
#include "dataplane/bypass.h"

#include <errno.h>
#include <inttypes.h>

struct change {
	const struct mesh_l4_service *s;
	struct mesh_dp_service *old; /* NULL: new */
	uint64_t set, hash;
};

struct plan {
	MESH_VEC(struct change) changes;
	size_t count[2], fresh[2]; /* services of the list, IPv4 and IPv6, and those that are new */
};

static int bad(struct mesh_errs *errs, const struct mesh_l4_service *s, const char *text)
{
	mesh_errs_add(errs, "service %s: %s", s->name ? s->name : "without a name", text);
	return -EINVAL;
}

static int check_dests(const struct mesh_l4_service *s, struct mesh_errs *errs)
{
	bool v4 = mesh_addr_is_v4(&s->vip);
	uint64_t total = 0;

	if (s->dests.count > MESH_DEST_MAX)
		return bad(errs, s, "more than 256 weighted destinations");
	mesh_vec_each (d, &s->dests) {
		total += d->weight;
		if (d->endpoint_count > UINT32_MAX)
			return bad(errs, s, "too many endpoints");
		for (size_t i = 0; i < d->endpoint_count; i++)
			if (mesh_addr_is_v4(&d->endpoints[i]) != v4)
				return bad(errs, s, "an endpoint is not of its address's family");
	}
	return total > UINT32_MAX ? bad(errs, s, "the weights' sum is above 4294967295") : 0;
}

static int check_service(const struct mesh_l4_service *s, struct mesh_errs *errs)
{
	struct mesh_addr none = {0}, none4 = mesh_addr_from_v4(0, 0);

	if (s->kind != MESH_KEY_VIP && !mesh_addr_ip_eq(&s->vip, &none) && !mesh_addr_ip_eq(&s->vip, &none4))
		return bad(errs, s, "an address where it is for many");
	if (s->ip_proto != IPPROTO_TCP && s->ip_proto != IPPROTO_UDP)
		return bad(errs, s, "neither TCP nor UDP");
	switch (s->tier) {
	case MESH_TIER_OFF:
		return 0;
	case MESH_TIER_L4:
		return check_dests(s, errs);
	case MESH_TIER_L7:
		return s->ip_proto == IPPROTO_TCP ? 0 : bad(errs, s, "the HTTP tier is for TCP only");
	case MESH_TIER_REFUSE:
		return s->refuse_reason > MESH_REASON_NONE && s->refuse_reason < MESH_REASON_COUNT
			       ? 0
			       : bad(errs, s, "a refusal without a known reason");
	default:
		return bad(errs, s, "an unknown tier");
	}
}

static int check_size(size_t count, uint32_t size, const char *what, struct mesh_errs *errs)
{
	if (count <= size)
		return 0;
	mesh_errs_add(errs, "%zu %s do not fit in the data plane's table of %u", count, what, size);
	return -E2BIG;
}

static int check_sizes(struct mesh_dp *dp, const size_t count[2], struct mesh_errs *errs)
{
	int r = check_size(count[0], dp->sizes[MESH_DP_MAP_SVC4], "IPv4 services", errs);
	int one = check_size(count[1], dp->sizes[MESH_DP_MAP_SVC6], "IPv6 services", errs);

	return r < 0 ? r : one;
}

static int check_services(const struct mesh_l4_service *list, size_t count, struct mesh_errs *errs)
{
	int r = 0;

	for (size_t i = 0; i < count; i++) {
		int one = check_service(&list[i], errs);

		r = r < 0 ? r : one;
	}
	return r;
}

static struct mesh_dp_service *in_force(struct mesh_dp *dp, const struct mesh_l4_service *s, struct mesh_dp_key *key)
{
	mesh_dp_key_of(s, key);
	return mesh_map_get(&dp->services, mesh_dp_key_bytes(key));
}

/* Finds what differs from what is in force, and marks what is still wanted. */
static int make_plan(struct mesh_dp *dp, const struct mesh_l4_service *list, size_t count, struct plan *plan,
		     struct mesh_errs *errs)
{
	mesh_auto(mesh_buf_free) struct mesh_buf scratch = {0};
	int r = check_services(list, count, errs);

	for (size_t i = 0; r == 0 && i < count; i++) {
		const struct mesh_l4_service *s = &list[i];
		struct change c = {.s = s};
		struct mesh_dp_key key;

		if (s->tier == MESH_TIER_OFF)
			continue;
		c.hash = mesh_dp_service_hash(s, &scratch);
		c.old = in_force(dp, s, &key);
		plan->count[key.v6]++;
		plan->fresh[key.v6] += !c.old;
		if (c.old) {
			c.old->seen = dp->applies;
			c.old->drain = s->drain;
		}
		if (!c.old || c.old->hash != c.hash)
			mesh_vec_push(&plan->changes, c);
	}
	return r;
}

static uint32_t dests_of(const struct mesh_l4_service *s)
{
	return s->tier == MESH_TIER_L4 ? (uint32_t)s->dests.count : 0;
}

/* The set that was written for a change, and the one that was in force. */
static struct mesh_dp_garbage set_of(const struct change *c)
{
	return (struct mesh_dp_garbage){.set = c->set,
					.dests = dests_of(c->s),
					.v6 = !mesh_addr_is_v4(&c->s->vip),
					.members = mesh_dp_has_members(c->s)};
}

static struct mesh_dp_garbage set_in_force(const struct mesh_dp_service *s)
{
	return (struct mesh_dp_garbage){.set = s->set, .dests = s->dests, .v6 = s->key.v6, .members = s->members};
}

static int write_set(struct mesh_dp *dp, struct change *c)
{
	struct mesh_dp_garbage garbage;
	int r = 0;

	for (int attempt = 0; attempt < 2; attempt++) {
		c->set = dp->next_set++;
		r = dests_of(c->s) ? mesh_dp_set_write(dp, c->s, c->set, c->old) : 0;
		if (r == 0)
			return 0;
		garbage = set_of(c);
		mesh_dp_set_delete(dp, &garbage);
		c->set = 0;
		if (r != -E2BIG && r != -ENOMEM)
			break;
		mesh_dp_sweep_flush(dp); /* perhaps it is old sets that take the room */
	}
	return r;
}

static int write_sets(struct mesh_dp *dp, struct plan *plan, struct mesh_errs *errs)
{
	mesh_vec_each (c, &plan->changes) {
		int r = write_set(dp, c);

		if (r == 0)
			continue;
		mesh_errs_add(errs, "writing service %s: %s; the last configuration stays in force",
			      c->s->name ? c->s->name : "", r == -E2BIG ? "the endpoint table is full" : strerror(-r));
		mesh_vec_each (undo, &plan->changes)
			if (undo->set) {
				struct mesh_dp_garbage g = set_of(undo);

				mesh_dp_set_delete(dp, &g);
			}
		return r;
	}
	return 0;
}

static int switch_service(struct mesh_dp *dp, struct change *c)
{
	struct mesh_dp_service *s = c->old;
	struct mesh_dp_garbage garbage;
	int r = mesh_dp_set_switch(dp, c->s, c->set);

	if (r < 0) { /* what is in force stays; nothing points to the new set */
		garbage = set_of(c);
		mesh_dp_sweep_add(dp, &garbage);
		return r;
	}
	if (s) {
		garbage = set_in_force(s);
		mesh_dp_retire(dp, s, &garbage);
	} else {
		s = mesh_xcalloc(1, sizeof(*s));
		mesh_dp_key_of(c->s, &s->key);
		mesh_map_put(&dp->services, mesh_dp_key_bytes(&s->key), s);
		dp->service_count[s->key.v6]++;
	}
	/* Another tier, or none any more, may take with it what allowed its flows. */
	dp->doubt |= c->old && s->tier != c->s->tier;
	s->tier = c->s->tier;
	s->set = c->set;
	s->hash = c->hash;
	s->dests = dests_of(c->s);
	s->members = mesh_dp_has_members(c->s);
	s->seen = dp->applies;
	s->drain = c->s->drain;
	return 0;
}

static int remove_service(struct mesh_dp *dp, struct mesh_dp_service *s)
{
	struct mesh_dp_garbage garbage = set_in_force(s);
	int r = mesh_dp_service_delete(dp, &s->key);

	if (r < 0)
		return r;
	dp->doubt = true;
	mesh_dp_retire(dp, s, &garbage);
	mesh_map_remove(&dp->services, mesh_dp_key_bytes(&s->key));
	dp->service_count[s->key.v6]--;
	free(s);
	return 0;
}

static int remove_unseen(struct mesh_dp *dp)
{
	int r = 0;

	mesh_map_each (e, &dp->services) {
		struct mesh_dp_service *s = e->value;

		if (r == 0 && s->seen != dp->applies)
			r = remove_service(dp, s);
	}
	return r;
}

static int switch_all(struct mesh_dp *dp, struct plan *plan, struct mesh_errs *errs)
{
	int r = 0;

	mesh_vec_each (c, &plan->changes) {
		int one = switch_service(dp, c);

		if (one < 0) {
			mesh_errs_add(errs, "switching service %s: %s", c->s->name ? c->s->name : "", strerror(-one));
			r = one;
		}
	}
	if (dp->doubt)
		mesh_dp_bypass_doubt(dp);
	dp->doubt = false;
	return r;
}

static int apply_elsewhere(struct mesh_dp *dp, const struct mesh_dp_ips *ips, struct mesh_errs *errs)
{
	int r = mesh_dp_elsewhere_apply(dp, ips);

	if (r < 0)
		mesh_errs_add(errs, "the nodes' addresses: %s", strerror(-r));
	return r;
}

/* Those of the list that are in force go. */
static int remove_gone(struct mesh_dp *dp, const struct mesh_l4_delta *delta)
{
	int r = 0;

	mesh_vec_each (s, &delta->gone) {
		struct mesh_dp_key key;
		struct mesh_dp_service *old = in_force(dp, s, &key);

		if (r == 0 && old)
			r = remove_service(dp, old);
	}
	return r;
}

static bool is_elsewhere(const struct mesh_l4_delta *delta)
{
	mesh_vec_each (s, &delta->set)
		if (s->kind != MESH_KEY_VIP)
			return true;
	mesh_vec_each (s, &delta->gone)
		if (s->kind != MESH_KEY_VIP)
			return true;
	return delta->whole || delta->nodes;
}

/* How many there will be: to be compared with the maps' sizes. */
static int check_room(struct mesh_dp *dp, const struct plan *plan, const struct mesh_l4_delta *delta,
		      struct mesh_errs *errs)
{
	size_t count[2] = {dp->service_count[0] + plan->fresh[0], dp->service_count[1] + plan->fresh[1]};

	if (delta->whole)
		return check_sizes(dp, plan->count, errs);
	mesh_vec_each (s, &delta->gone) {
		struct mesh_dp_key key;

		if (in_force(dp, s, &key))
			count[key.v6]--;
	}
	return check_sizes(dp, count, errs);
}

int mesh_dp_change(struct mesh_dp *dp, const struct mesh_l4_delta *delta, struct mesh_errs *errs)
{
	struct mesh_dp_ips ips = {delta->node_ips.items, delta->node_ips.count};
	struct plan plan = {0};
	int r, one;

	dp->applies++;
	mesh_dp_retired_sweep(dp);
	r = make_plan(dp, delta->set.items, delta->set.count, &plan, errs);
	if (r == 0)
		r = check_room(dp, &plan, delta, errs);
	if (r == 0)
		r = write_sets(dp, &plan, errs);
	if (r < 0)
		goto out;
	/* Room first: what is removed may make way for what is new. */
	r = delta->whole ? remove_unseen(dp) : remove_gone(dp, delta);
	one = switch_all(dp, &plan, errs);
	r = one < 0 ? one : r;
	if (r == 0 && is_elsewhere(delta))
		r = apply_elsewhere(dp, delta->whole || delta->nodes ? &ips : NULL, errs);
	if (r == 0)
		dp->version = delta->version;
out:
	mesh_vec_free(&plan.changes);
	return r;
}
