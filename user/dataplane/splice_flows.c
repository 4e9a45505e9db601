/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking flows out of the splice tier, by a thread of its own. Deleting a socket from the SOCKHASH drops what is
 * queued for it, and a send that has its verdict may still be about to queue. So: nothing more is redirected (PASS);
 * every program that had not seen that ends (a grace period); each end is seen at a moment when nobody used its
 * socket, so no send of it is under way, and then the other's queue empty; then both are deleted. Until then, or for
 * ever if no agent runs, the flow goes by TCP while still in the map.
 */
#include "dataplane/splice.h"

#include "core/loop.h"
#include "dataplane/probe_splice.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SWEEP_NS MESH_SEC(5)

enum {
	SOON_TRIES = 200, /* a millisecond apart; then more and more seldom */
	RETIRE_TRIES = 100,
};

int mesh_splice_ask(const struct mesh_splice_gen *g, uint64_t cookie, enum mesh_splice_step step, uint64_t *peer)
{
	struct mesh_splice_ask ask = {.cookie = cookie, .step = step};
	LIBBPF_OPTS(bpf_test_run_opts, run, .ctx_in = &ask, .ctx_size_in = sizeof(ask));

	if (bpf_prog_test_run_opts(g->leave, &run) < 0)
		return -errno;
	if (peer)
		*peer = ask.peer;
	return (int)ask.answer;
}

void mesh_splice_remove(const struct mesh_splice_gen *g, uint64_t a, uint64_t b)
{
	bpf_map_delete_elem(g->maps[MESH_SPLICE_SOCKS], &a);
	bpf_map_delete_elem(g->maps[MESH_SPLICE_SOCKS], &b);
	bpf_map_delete_elem(g->maps[MESH_SPLICE_FLOW], &a);
	bpf_map_delete_elem(g->maps[MESH_SPLICE_FLOW], &b);
}

struct cookies {
	bool only_leaving;
	MESH_VEC(uint64_t) list;
};

static void see_flow(void *arg, const void *key, const void *value)
{
	struct cookies *c = arg;
	const struct mesh_splice_flow *f = value;

	if (!c->only_leaving || f->leave != MESH_SPLICE_STAYS)
		mesh_vec_push(&c->list, *(const uint64_t *)key);
}

size_t mesh_splice_cookies(const struct mesh_splice_gen *g, bool only_leaving, uint64_t **ret)
{
	struct cookies c = {.only_leaving = only_leaving};

	mesh_dp_each_batch(g->maps[MESH_SPLICE_FLOW], sizeof(uint64_t), sizeof(struct mesh_splice_flow), see_flow, &c);
	*ret = c.list.items;
	return c.list.count;
}

/* ---- the worker ---- */

static void add_leaver(struct mesh_splice *s, struct mesh_splice_gen *g, uint64_t cookie)
{
	struct mesh_splice_leaver *l = mesh_vec_add(&s->leavers);

	l->gen = g;
	l->cookie = cookie;
}

static int on_event(void *arg, void *data, size_t size)
{
	struct mesh_splice_gen *g = arg;
	const struct mesh_splice_event *e = data;

	if (size >= sizeof(*e))
		add_leaver(g->splice, g, e->cookie);
	return 0;
}

/* New ones: nothing is redirected from now on, and whoever had not seen that has ended. */
static void quiet_new(struct mesh_splice *s)
{
	bool any = false;

	mesh_vec_each (l, &s->leavers)
		if (l->stage == MESH_SPLICE_STAYS) {
			mesh_splice_ask(l->gen, l->cookie, MESH_SPLICE_STEP_PASS, NULL);
			any = true;
		}
	if (!any)
		return;
	mesh_dp_grace_period();
	mesh_vec_each (l, &s->leavers)
		if (l->stage == MESH_SPLICE_STAYS) {
			mesh_splice_ask(l->gen, l->cookie, MESH_SPLICE_STEP_QUIET, NULL);
			l->stage = MESH_SPLICE_QUIET;
		}
}

/* Returns whether it is settled. */
static bool try_leaver(struct mesh_splice *s, struct mesh_splice_leaver *l, uint64_t now)
{
	uint64_t peer = 0;
	int answer = mesh_splice_ask(l->gen, l->cookie, MESH_SPLICE_STEP_CHECK, &peer);

	if (answer == 1) {
		mesh_splice_remove(l->gen, l->cookie, peer);
		s->left++;
	}
	if (answer != 0)
		return true;
	l->tries++;
	l->next_ns = now + (l->tries < SOON_TRIES       ? MESH_MS(1)
			    : l->tries < 2 * SOON_TRIES ? MESH_MS(20)
							: MESH_MS(500));
	return false;
}

/* Returns how many milliseconds until the next is due; -1: none waits. */
static int step_leavers(struct mesh_splice *s)
{
	uint64_t now = mesh_now_ns(), next = UINT64_MAX;
	size_t kept = 0;

	quiet_new(s);
	mesh_vec_each (l, &s->leavers) {
		if (l->next_ns <= now && try_leaver(s, l, now))
			continue;
		next = MESH_MIN(next, l->next_ns);
		s->leavers.items[kept++] = *l;
	}
	s->leavers.count = kept;
	s->leaving = kept;
	return next == UINT64_MAX ? -1 : (int)(next > now ? (next - now) / MESH_MS(1) : 0) + 1;
}

/* Clients' ends that no server's end came for: they are in the map alone, and nothing was ever redirected to them. */
static void see_waiting(void *arg, const void *key, const void *value)
{
	const struct mesh_splice_gen *g = arg;
	const struct mesh_splice_wait *w = value;
	struct mesh_splice_flow f;

	if (mesh_now_ns() - w->since_ns > MESH_SEC(2) && bpf_map_delete_elem(g->maps[MESH_SPLICE_WAIT], key) == 0 &&
	    bpf_map_lookup_elem(g->maps[MESH_SPLICE_FLOW], &w->cookie, &f) < 0)
		bpf_map_delete_elem(g->maps[MESH_SPLICE_SOCKS], &w->cookie);
}

static void drop_lonely(struct mesh_splice_gen *g)
{
	mesh_dp_each_batch(g->maps[MESH_SPLICE_WAIT], sizeof(struct mesh_tuple), sizeof(struct mesh_splice_wait),
			   see_waiting, g);
}

/* What closed in a generation whose splice_ops runs no more: that has not taken the entry away. */
static void drop_closed(const struct mesh_splice_gen *g)
{
	mesh_auto_free uint64_t *cookies = NULL;
	size_t n = mesh_splice_cookies(g, false, &cookies);
	uint64_t self;

	for (size_t i = 0; i < n; i++)
		if (bpf_map_lookup_elem(g->maps[MESH_SPLICE_SOCKS], &cookies[i], &self) < 0 && errno == ENOENT)
			bpf_map_delete_elem(g->maps[MESH_SPLICE_FLOW], &cookies[i]);
}

static bool is_empty(const struct mesh_splice_gen *g)
{
	uint64_t key;

	return bpf_map_get_next_key(g->maps[MESH_SPLICE_SOCKS], NULL, &key) < 0 &&
	       bpf_map_get_next_key(g->maps[MESH_SPLICE_FLOW], NULL, &key) < 0;
}

/* An older generation whose last flow has ended. */
static void retire_empty(struct mesh_splice *s)
{
	mesh_splice_lock(s); /* who has it may look for the newest */
	pthread_mutex_lock(&s->lock);
	for (size_t i = s->gens.count; s->loaded && i > 1; i--) {
		struct mesh_splice_gen *g = s->gens.items[i - 2];
		bool busy = false;

		mesh_vec_each (l, &s->leavers)
			busy |= l->gen == g;
		if (busy || !is_empty(g))
			continue;
		mesh_splice_gen_unpin(s->dp->pin_dir, g->number);
		mesh_vec_remove(&s->gens, i - 2);
		mesh_splice_gen_free(g);
	}
	pthread_mutex_unlock(&s->lock);
	mesh_splice_unlock(s);
}

static struct mesh_slice key_of(const uint64_t *cookie)
{
	return mesh_slice_of((const char *)cookie, sizeof(*cookie));
}

static void add_all(struct mesh_splice *s, struct mesh_splice_gen *g, bool only_leaving)
{
	mesh_auto_free uint64_t *cookies = NULL;
	size_t n = mesh_splice_cookies(g, only_leaving, &cookies);
	struct mesh_map known = {0};

	mesh_vec_each (l, &s->leavers)
		if (n && l->gen == g)
			mesh_map_put(&known, key_of(&l->cookie), g);
	for (size_t i = 0; i < n; i++)
		if (!mesh_map_get(&known, key_of(&cookies[i])))
			add_leaver(s, g, cookies[i]);
	mesh_map_free(&known);
}

/* The generations as they are now; only this thread ever takes one away. */
static size_t gens_now(struct mesh_splice *s, struct mesh_splice_gen ***ret, bool *all_out, bool *probe)
{
	size_t count;

	pthread_mutex_lock(&s->lock);
	count = s->gens.count;
	*ret = mesh_xcalloc(count + 1, sizeof(**ret));
	if (count)
		memcpy(*ret, s->gens.items, count * sizeof(**ret));
	*all_out = s->all_out;
	*probe = s->probe_wanted;
	s->all_out = s->probe_wanted = false;
	pthread_mutex_unlock(&s->lock);
	return count;
}

static void prove(struct mesh_splice *s)
{
	struct mesh_splice_conf c = {0};
	struct mesh_splice_found found = {0};
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(s->conf, &zero, &c) < 0 || c.proven)
		return;
	mesh_splice_probe(&found, true);
	mesh_splice_lock(s);
	bpf_map_lookup_elem(s->conf, &zero, &c);
	c.proven = found.all ? 1 : 2;
	bpf_map_update_elem(s->conf, &zero, &c, BPF_ANY);
	mesh_splice_unlock(s);
	if (found.all)
		mesh_splice_reconsider(s, NULL);
}

/* One round. Returns how long to wait for the next in milliseconds. */
static int turn(struct mesh_splice *s)
{
	mesh_auto_free struct mesh_splice_gen **gens = NULL;
	uint64_t now = mesh_now_ns();
	bool all_out, probe, due = now >= s->next_sweep_ns;
	size_t count = gens_now(s, &gens, &all_out, &probe);
	int wait;

	if (probe)
		prove(s);
	for (size_t i = 0; i < count; i++) {
		if (!gens[i]->ring)
			gens[i]->ring = ring_buffer__new(gens[i]->maps[MESH_SPLICE_EVENTS], on_event, gens[i], NULL);
		if (gens[i]->ring)
			ring_buffer__consume(gens[i]->ring);
		if (all_out || due)
			add_all(s, gens[i], !all_out);
		if (due)
			drop_lonely(gens[i]);
		if (due && i + 1 < count)
			drop_closed(gens[i]);
	}
	if (due) {
		s->next_sweep_ns = now + SWEEP_NS;
		retire_empty(s);
	}
	wait = step_leavers(s);
	if (count == 0)
		return -1;
	return wait < 0 || wait > 1000 ? 1000 : wait;
}

static void *work(void *arg)
{
	struct mesh_splice *s = arg;
	bool stop = false;
	uint64_t n;

	while (!stop) {
		struct pollfd fds[9] = {{.fd = s->wake, .events = POLLIN}};
		int wait = turn(s);
		nfds_t count = 1;

		pthread_mutex_lock(&s->lock);
		mesh_vec_each (g, &s->gens)
			if ((*g)->ring && count < MESH_ARRAY_SIZE(fds))
				fds[count++] =
					(struct pollfd){.fd = ring_buffer__epoll_fd((*g)->ring), .events = POLLIN};
		stop = s->stop;
		pthread_mutex_unlock(&s->lock);
		if (!stop && poll(fds, count, wait) > 0 && fds[0].revents && read(s->wake, &n, sizeof(n)) < 0)
			continue;
	}
	return NULL;
}

int mesh_splice_worker_start(struct mesh_splice *s)
{
	int r;

	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->wake < 0)
		return -errno;
	r = pthread_create(&s->worker, NULL, work, s);
	s->runs = r == 0;
	return -r;
}

void mesh_splice_worker_wake(struct mesh_splice *s)
{
	uint64_t one = 1;

	if (s->wake >= 0 && write(s->wake, &one, sizeof(one)) < 0)
		return; /* it is awake */
}

void mesh_splice_worker_stop(struct mesh_splice *s)
{
	if (!s->runs)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_mutex_unlock(&s->lock);
	mesh_splice_worker_wake(s);
	pthread_join(s->worker, NULL);
	s->runs = false;
}

/* ---- without an agent ---- */

void mesh_splice_retire(const char *pin_dir)
{
	struct mesh_splice_conf off = {.mode = MESH_SPLICE_MODE_OFF};
	mesh_auto_free char *conf = mesh_xasprintf("%s/splice_conf", pin_dir);
	mesh_auto_free unsigned *numbers = NULL;
	size_t count = mesh_splice_gen_list(pin_dir, &numbers);
	mesh_auto_fd int fd = count ? bpf_obj_get(conf) : -1;
	struct mesh_splice s = {0};
	uint32_t zero = 0;

	if (fd < 0)
		return;
	bpf_map_update_elem(fd, &zero, &off, BPF_ANY);
	for (size_t i = 0; i < count; i++) {
		struct mesh_splice_gen *g = mesh_splice_gen_open(pin_dir, numbers[i]);

		if (!g)
			continue;
		mesh_vec_push(&s.gens, g);
		add_all(&s, g, false);
	}
	for (int i = 0; i < RETIRE_TRIES && step_leavers(&s) >= 0; i++)
		usleep(1000);
	mesh_vec_free(&s.leavers);
	mesh_vec_each (g, &s.gens)
		mesh_splice_gen_free(*g);
	mesh_vec_free(&s.gens);
}

bool mesh_dp_spliced(struct mesh_dp *dp, int fd)
{
	uint64_t cookie, same;
	socklen_t len = sizeof(cookie);
	bool ret = true; /* also while the flows are another agent's care */

	pthread_rwlock_rdlock(&dp->splice_kept);
	if (dp->splice && getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0) {
		pthread_mutex_lock(&dp->splice->lock);
		ret = false;
		mesh_vec_each (g, &dp->splice->gens)
			ret |= bpf_map_lookup_elem((*g)->maps[MESH_SPLICE_SOCKS], &cookie, &same) == 0;
		pthread_mutex_unlock(&dp->splice->lock);
	}
	pthread_rwlock_unlock(&dp->splice_kept);
	return ret;
}
