/* SPDX-License-Identifier: Apache-2.0 */
/* Service entries and their sets: from an image into the maps, and from the maps after a restart. */
#include "dataplane/dp.h"

#include <errno.h>
#include <time.h>

struct mesh_slice mesh_dp_key_bytes(const struct mesh_dp_key *key)
{
	return mesh_slice_of((const char *)&key->k4, key->v6 ? sizeof(key->k6) : sizeof(key->k4));
}

void mesh_dp_key_of(const struct mesh_l4_service *s, struct mesh_dp_key *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->v6 = !mesh_addr_is_v4(&s->vip);
	if (ret->v6) {
		memcpy(ret->k6.ip, &s->vip.ip, sizeof(ret->k6.ip));
		ret->k6.port = s->vip.port;
		ret->k6.proto = s->ip_proto;
		ret->k6.kind = (uint8_t)s->kind;
	} else {
		memcpy(ret->k4.ip, &s->vip.ip.s6_addr[12], sizeof(ret->k4.ip));
		ret->k4.port = s->vip.port;
		ret->k4.proto = s->ip_proto;
		ret->k4.kind = (uint8_t)s->kind;
	}
}

/* One form of all that is in force of a service, whether read from an image or from the maps. */
static void hash_head(struct mesh_buf *b, enum mesh_tier tier, uint32_t reason, uint32_t affinity, bool near,
		      const char *name)
{
	mesh_buf_clear(b);
	mesh_buf_printf(b, "%u %u %u %u %.*s", tier, tier == MESH_TIER_REFUSE ? reason : 0,
			tier == MESH_TIER_L4 ? affinity : 0, near, MESH_NAME_LEN - 1, name ? name : "");
}

static void hash_dest(struct mesh_buf *b, uint32_t weight, uint32_t endpoints)
{
	uint32_t words[2] = {weight, endpoints};

	mesh_buf_add(b, words, sizeof(words));
}

static void hash_endpoint(struct mesh_buf *b, const void *ip, uint16_t port)
{
	mesh_buf_add(b, ip, 16);
	mesh_buf_add(b, &port, sizeof(port));
}

bool mesh_dp_has_members(const struct mesh_l4_service *s)
{
	return s->tier == MESH_TIER_L4 && (s->ip_proto == IPPROTO_UDP || s->affinity_s);
}

/* How many endpoints a service's only group has, where a draw is among those alone; else 0. */
static uint32_t only_endpoints(const struct mesh_l4_service *s)
{
	bool only = s->tier == MESH_TIER_L4 && !s->affinity_s && s->dests.count == 1 && s->dests.items[0].weight;

	return only ? (uint32_t)s->dests.items[0].endpoint_count : 0;
}

static union mesh_near near_of(const struct mesh_addr *a)
{
	union mesh_near n = {.ep = {.port = a->port}};

	memcpy(n.ep.ip, &a->ip.s6_addr[12], sizeof(n.ep.ip));
	return n;
}

/* Whether the first endpoints are in the service's entry. */
static bool has_near(const struct mesh_l4_service *s)
{
	return only_endpoints(s) && mesh_addr_is_v4(&s->vip) && near_of(&s->dests.items[0].endpoints[0]).word;
}

static void fill_near(const struct mesh_l4_service *s, struct mesh_svc *v)
{
	const struct mesh_l4_dest *d = has_near(s) ? &s->dests.items[0] : NULL;

	for (size_t i = 0; d && i < d->endpoint_count && i < MESH_NEAR + MESH_NEAR_MORE; i++)
		*(i < MESH_NEAR ? &v->near[i] : &v->more[i - MESH_NEAR]) = near_of(&d->endpoints[i]);
	v->more_seal = mesh_seal_more(v->set, v->more);
}

uint64_t mesh_dp_service_hash(const struct mesh_l4_service *s, struct mesh_buf *b)
{
	hash_head(b, s->tier, s->refuse_reason, s->affinity_s, has_near(s), s->name);
	if (s->tier == MESH_TIER_L4)
		mesh_vec_each (d, &s->dests) {
			hash_dest(b, d->weight, (uint32_t)d->endpoint_count);
			for (size_t i = 0; i < d->endpoint_count; i++)
				hash_endpoint(b, &d->endpoints[i].ip, d->endpoints[i].port);
		}
	return mesh_hash(b->data, b->len);
}

/* Hash elements come from caches that the kernel refills a moment later. */
static int update(int fd, const void *key, const void *value)
{
	struct timespec moment = {.tv_nsec = 1000 * 1000};

	for (int i = 0; i < 20; i++) {
		if (bpf_map_update_elem(fd, key, value, BPF_ANY) == 0)
			return 0;
		if (errno != ENOMEM)
			return -errno;
		nanosleep(&moment, NULL);
	}
	return -ENOMEM;
}

static int write_endpoint(struct mesh_dp *dp, const struct mesh_slot *slot, const struct mesh_addr *a, bool v6)
{
	struct mesh_ep4 e4 = {.port = a->port};
	struct mesh_ep6 e6 = {.port = a->port};

	if (v6) {
		memcpy(e6.ip, &a->ip, sizeof(e6.ip));
		return update(dp->maps[MESH_DP_MAP_EP6], slot, &e6);
	}
	memcpy(e4.ip, &a->ip.s6_addr[12], sizeof(e4.ip));
	return update(dp->maps[MESH_DP_MAP_EP4], slot, &e4);
}

static int write_member(struct mesh_dp *dp, uint64_t set, const struct mesh_addr *a, uint32_t weight)
{
	struct mesh_member m = {.set = set, .port = a->port};

	memcpy(m.ip, &a->ip, sizeof(m.ip));
	return update(dp->maps[MESH_DP_MAP_MEMBER], &m, &weight);
}

/* The turn that is in the entry in force, if it is kept there. Returns false if not. */
static bool turn_in_force(struct mesh_dp *dp, const struct mesh_l4_service *s, uint32_t *ret)
{
	struct mesh_dp_key key;
	struct mesh_svc v;

	mesh_dp_key_of(s, &key);
	if (bpf_map_lookup_elem(dp->maps[key.v6 ? MESH_DP_MAP_SVC6 : MESH_DP_MAP_SVC4], &key.k4, &v) < 0 ||
	    v.tier != MESH_TIER_L4 || !v.reason)
		return false;
	*ret = v.turn;
	return true;
}

int mesh_dp_set_write(struct mesh_dp *dp, const struct mesh_l4_service *s, uint64_t set,
		      const struct mesh_dp_service *old)
{
	struct mesh_slot slot = {.set = set};
	bool v6 = !mesh_addr_is_v4(&s->vip), members = mesh_dp_has_members(s);
	uint32_t upto = 0, turn;

	mesh_vec_each (d, &s->dests) {
		struct mesh_slot before = {.set = old ? old->set : 0, .dest = slot.dest};
		struct mesh_dest dest = {0}, was;
		int r;

		/* The group first: it says how many endpoints there are to delete, should this fail half-way. */
		upto += d->weight;
		dest.weight = d->weight;
		dest.upto = upto;
		dest.endpoints = (uint32_t)d->endpoint_count;
		if (old && bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_DEST], &before, &was) == 0)
			dest.turn = was.turn;
		if (old && slot.dest == 0 && turn_in_force(dp, s, &turn))
			dest.turn = turn;
		slot.index = 0;
		r = update(dp->maps[MESH_DP_MAP_DEST], &slot, &dest);
		for (; r == 0 && slot.index < d->endpoint_count; slot.index++) {
			r = write_endpoint(dp, &slot, &d->endpoints[slot.index], v6);
			if (r == 0 && members && d->weight)
				r = write_member(dp, set, &d->endpoints[slot.index], d->weight);
		}
		if (r < 0)
			return r;
		slot.dest++;
	}
	return 0;
}

int mesh_dp_set_switch(struct mesh_dp *dp, const struct mesh_l4_service *s, uint64_t set)
{
	struct mesh_svc v = {
		.set = set,
		.dests = s->tier == MESH_TIER_L4 ? (uint32_t)s->dests.count : 0,
		.tier = s->tier,
		.reason = s->tier == MESH_TIER_REFUSE ? s->refuse_reason : only_endpoints(s),
		.affinity = s->tier == MESH_TIER_L4 ? s->affinity_s : 0,
	};
	struct mesh_slot only = {.set = set};
	struct mesh_dp_key key;
	struct mesh_dest dest;
	uint32_t words[5];

	if (only_endpoints(s) && bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_DEST], &only, &dest) == 0)
		v.turn = (uint32_t)dest.turn;
	mesh_dp_key_of(s, &key);
	if (s->tier == MESH_TIER_L4)
		mesh_vec_each (d, &s->dests)
			v.total += d->weight;
	if (s->name)
		memcpy(v.name, s->name, strnlen(s->name, MESH_NAME_LEN - 1));
	fill_near(s, &v);
	memcpy(words, mesh_dp_key_bytes(&key).ptr, mesh_dp_key_bytes(&key).len);
	v.seal = mesh_seal(words, key.v6 ? 5 : 2, v.set, v.total, v.dests, v.tier, v.reason, v.affinity, v.near);
	return update(dp->maps[key.v6 ? MESH_DP_MAP_SVC6 : MESH_DP_MAP_SVC4], &key.k4, &v);
}

int mesh_dp_service_delete(struct mesh_dp *dp, const struct mesh_dp_key *key)
{
	int fd = dp->maps[key->v6 ? MESH_DP_MAP_SVC6 : MESH_DP_MAP_SVC4];

	return bpf_map_delete_elem(fd, &key->k4) < 0 && errno != ENOENT ? -errno : 0;
}

/* The hash of a service that an earlier agent wrote; 0 if it is incomplete. */
static uint64_t hash_in_force(struct mesh_dp *dp, const struct mesh_svc *v, bool v6, struct mesh_buf *b)
{
	struct mesh_slot slot = {.set = v->set};

	hash_head(b, v->tier, v->reason, v->affinity, v->near[0].word != 0, v->name);
	for (; slot.dest < v->dests; slot.dest++) {
		struct mesh_dest dest;

		slot.index = 0;
		if (bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_DEST], &slot, &dest) < 0)
			return 0;
		hash_dest(b, dest.weight, dest.endpoints);
		for (; slot.index < dest.endpoints; slot.index++) {
			struct mesh_ep4 e4;
			struct mesh_ep6 e6;
			struct mesh_addr a;

			if (bpf_map_lookup_elem(dp->maps[v6 ? MESH_DP_MAP_EP6 : MESH_DP_MAP_EP4], &slot,
						v6 ? (void *)&e6 : (void *)&e4) < 0)
				return 0;
			if (v6) {
				hash_endpoint(b, e6.ip, e6.port);
			} else {
				uint32_t ip;

				memcpy(&ip, e4.ip, sizeof(ip));
				a = mesh_addr_from_v4(ip, e4.port);
				hash_endpoint(b, &a.ip, a.port);
			}
		}
	}
	return mesh_hash(b->data, b->len);
}

static int adopt_services(struct mesh_dp *dp, bool v6, struct mesh_map *sets)
{
	int fd = dp->maps[v6 ? MESH_DP_MAP_SVC6 : MESH_DP_MAP_SVC4];
	mesh_auto(mesh_buf_free) struct mesh_buf scratch = {0};
	struct mesh_dp_key key = {.v6 = v6};
	void *prev = NULL;

	while (bpf_map_get_next_key(fd, prev, &key.k4) == 0) {
		struct mesh_dp_service *s;
		struct mesh_svc v;

		prev = &key.k4;
		if (bpf_map_lookup_elem(fd, &key.k4, &v) < 0)
			return -errno;
		s = mesh_xcalloc(1, sizeof(*s));
		s->key = key;
		s->set = v.set;
		s->dests = v.dests;
		s->tier = v.tier;
		s->members =
			v.tier == MESH_TIER_L4 && (v.affinity || (v6 ? key.k6.proto : key.k4.proto) == IPPROTO_UDP);
		s->hash = hash_in_force(dp, &v, v6, &scratch);
		mesh_map_put(&dp->services, mesh_dp_key_bytes(&key), s);
		dp->service_count[v6]++;
		mesh_map_put(sets, mesh_slice_of((const char *)&v.set, sizeof(v.set)), s);
		if (v.set >= dp->next_set)
			dp->next_set = v.set + 1;
	}
	return errno == ENOENT ? 0 : -errno;
}

/* A key that begins with the number of its set: of dest, ep4, ep6 or member. */
union set_key {
	uint64_t set;
	struct mesh_slot slot;
	struct mesh_member member;
};

/* Deletes entries of a map keyed by set whose set is not in sets: an earlier agent was killed on the way. */
static int drop_unknown(struct mesh_dp *dp, enum mesh_dp_map map, const struct mesh_map *sets)
{
	MESH_VEC(union set_key) unknown = {0};
	union set_key key = {0}, *prev = NULL;

	while (bpf_map_get_next_key(dp->maps[map], prev, &key) == 0) {
		prev = &key;
		if (!mesh_map_get(sets, mesh_slice_of((const char *)&key.set, sizeof(key.set))))
			mesh_vec_push(&unknown, key);
		if (key.set >= dp->next_set)
			dp->next_set = key.set + 1;
	}
	/* A program may still read what the earlier agent had just replaced; the kernel gives freed memory away at
	 * once. */
	if (unknown.count)
		mesh_dp_grace_period();
	mesh_vec_each (u, &unknown)
		bpf_map_delete_elem(dp->maps[map], u);
	mesh_vec_free(&unknown);
	return 0;
}

int mesh_dp_table_adopt(struct mesh_dp *dp)
{
	static const enum mesh_dp_map of_sets[] = {MESH_DP_MAP_DEST, MESH_DP_MAP_EP4, MESH_DP_MAP_EP6,
						   MESH_DP_MAP_MEMBER};
	struct mesh_map sets = {0};
	int r = adopt_services(dp, false, &sets);

	if (r == 0)
		r = adopt_services(dp, true, &sets);
	for (size_t i = 0; r == 0 && i < MESH_ARRAY_SIZE(of_sets); i++)
		r = drop_unknown(dp, of_sets[i], &sets);
	mesh_map_free(&sets);
	return r;
}
