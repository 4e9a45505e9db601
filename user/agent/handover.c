/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/handover.h"

#include "agent/keeper.h"
#include "agent/state.h"
#include "core/fds.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/vec.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum {
	WIRE_LEN_MAX = 256 << 10, /* more than a request's head may have */
	CHANNEL_BYTES = 8 << 20,  /* room for the connections of a busy node */
	CUT_LINES = 20,
};
#define EARLY_TRY_NS   MESH_MS(20)
#define EARLY_NS       MESH_SEC(5) /* a pod that is not captured by then is none of the mesh any more */
#define LINGER_NS      MESH_MS(10)
#define LINGER_LONG_NS MESH_MS(200)

/*
 * A message between two agents, which may be of different versions: kinds and members stay as they are, new ones come
 * after, and size says where the bytes begin. Addresses as in include/mesh/abi.h, ports in host byte order.
 */
enum wire_kind {
	WIRE_IN_FORCE = 1,   /* younger to older */
	WIRE_CONNECTION = 2, /* older to younger, with one descriptor and what was read from it */
};

struct wire {
	uint16_t kind, size;
	uint32_t len;
	uint64_t netns_cookie;
	uint8_t peer[16], origdst[16];
	uint16_t peer_port, origdst_port;
	uint32_t zero;
};

_Static_assert(sizeof(struct wire) == 56, "between versions");

/* A connection of a pod that is not captured here yet. */
struct early {
	struct mesh_proxy_moved c;
	char *data;
	int fd;
	uint64_t until_ns;
};

struct mesh_handover {
	struct mesh_agent *agent;
	struct mesh_io keeper, older, younger;
	struct mesh_timer linger, early_timer;
	MESH_VEC(struct early) early;
	uint64_t moving_ns; /* since when this agent is done for */
	uint64_t lost;      /* connections of pods that are not captured here */
	char *room;         /* WIRE_LEN_MAX and a struct wire */
	bool yielded, moving, told;
};

/* ---- the older agent */

static int send_connection(void *arg, int fd, const struct mesh_proxy_moved *c)
{
	const struct mesh_handover *h = arg;
	struct wire w = {.kind = WIRE_CONNECTION,
			 .size = sizeof(w),
			 .len = (uint32_t)c->len,
			 .netns_cookie = c->netns_cookie,
			 .peer_port = c->peer.port,
			 .origdst_port = c->origdst.port};
	struct iovec parts[] = {{.iov_base = &w, .iov_len = sizeof(w)},
				{.iov_base = (char *)c->data, .iov_len = c->len}};
	struct msghdr m = {.msg_iov = parts, .msg_iovlen = c->len ? 2 : 1};
	union mesh_fds_room room;

	if (c->len > WIRE_LEN_MAX)
		return -EMSGSIZE;
	memcpy(w.peer, &c->peer.ip, sizeof(w.peer));
	memcpy(w.origdst, &c->origdst.ip, sizeof(w.origdst));
	mesh_fds_put(&m, &room, &fd, 1);
	if (sendmsg(h->younger.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	return errno == ENOBUFS || errno == ENOMEM || errno == ETOOMANYREFS || errno == EINTR ? -EAGAIN : -errno;
}

static void end(struct mesh_handover *h)
{
	mesh_timer_remove(h->agent->loop, &h->linger);
	mesh_loop_stop(h->agent->loop);
}

/* The drain time is over: says what goes with this process. */
static void cut(struct mesh_handover *h)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	size_t n = mesh_proxy_left(h->agent->proxy, &text, CUT_LINES);
	struct mesh_slice rest = mesh_buf_view(&text), line;

	mesh_warn("%zu connections were not done %u s after another agent took over: they are cut", n,
		  h->agent->opts.drain_s);
	while (mesh_slice_split(&rest, '\n', &line))
		if (line.len)
			mesh_warn("cut: %.*s", (int)line.len, line.ptr);
}

static void on_linger(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_handover *h = mesh_container_of(timer, struct mesh_handover, linger);
	uint64_t waited = mesh_now_ns() - h->moving_ns;
	struct mesh_proxy_stats s;

	if (mesh_proxy_active(h->agent->proxy) == 0) {
		mesh_proxy_stats(h->agent->proxy, &s);
		mesh_info("%llu connections were sent to the agent that took over, none is left: ends",
			  (unsigned long long)s.moved_out);
		end(h);
	} else if (waited >= MESH_SEC(h->agent->opts.drain_s)) {
		cut(h);
		end(h);
	} else {
		mesh_timer_set(loop, timer, waited < MESH_SEC(1) ? LINGER_NS : LINGER_LONG_NS);
	}
}

static void begin_moving(struct mesh_handover *h)
{
	h->moving = true;
	h->moving_ns = mesh_now_ns();
	mesh_proxy_move_out(h->agent->proxy, send_connection, h);
	mesh_keeper_moved(h->agent->keeper);
	mesh_info("another agent is in force here: it gets this one's connections");
	mesh_timer_set(h->agent->loop, &h->linger, 0);
}

static void younger_gone(struct mesh_handover *h)
{
	mesh_io_remove(h->agent->loop, &h->younger);
	if (h->moving) {
		mesh_warn("the agent that took over is gone: connections that are left end with their requests");
		mesh_proxy_drain(h->agent->proxy);
		return;
	}
	mesh_warn("the agent that was to take over is gone");
	h->agent->exit_status = MESH_KEEPER_RESUME;
	end(h);
}

static void on_younger(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct mesh_handover *h = mesh_container_of(io, struct mesh_handover, younger);
	struct wire w = {0};
	ssize_t n = recv(io->fd, &w, sizeof(w), MSG_DONTWAIT);

	(void)loop;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		younger_gone(h);
	else if (n >= (ssize_t)sizeof(uint32_t) && w.kind == WIRE_IN_FORCE && !h->moving)
		begin_moving(h);
}

/* From now on nothing on the node is changed by this agent; what it has in force is served on. */
static void yield(struct mesh_handover *h, int channel)
{
	struct mesh_agent *a = h->agent;
	int bytes = CHANNEL_BYTES;

	h->yielded = true;
	h->younger.fd = channel;
	if (setsockopt(channel, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
		setsockopt(channel, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	mesh_agent_yield(a);
	mesh_info("another agent is to take over: this one serves on until that one is in force");
	if (mesh_io_set(a->loop, &h->younger, EPOLLIN) < 0 || mesh_keeper_yielded(a->keeper) < 0)
		mesh_loop_stop(a->loop);
}

static void on_keeper(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct mesh_handover *h = mesh_container_of(io, struct mesh_handover, keeper);
	int channel, r = mesh_keeper_asks(h->agent->keeper, &channel);

	(void)events;
	if (r < 0)
		mesh_io_remove(loop, io); /* SIGTERM comes, too */
	else if (r > 0 && h->yielded)
		close(channel);
	else if (r > 0)
		yield(h, channel);
}

/* ---- the younger agent */

static void early_free(struct early *e)
{
	mesh_cleanup_fd(&e->fd);
	free(e->data);
}

static bool enter(struct mesh_handover *h, int fd, const struct mesh_proxy_moved *c)
{
	struct mesh_proxy_listener *l = mesh_pods_listener(h->agent->pods, c->netns_cookie);

	if (l)
		mesh_proxy_move_in(l, fd, c);
	return l != NULL;
}

static void on_early(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_handover *h = mesh_container_of(timer, struct mesh_handover, early_timer);
	uint64_t now = mesh_now_ns();

	for (size_t i = h->early.count; i > 0; i--) {
		struct early *e = &h->early.items[i - 1];

		if (enter(h, e->fd, &e->c))
			e->fd = -1;
		else if (now < e->until_ns)
			continue;
		else
			h->lost++;
		early_free(e);
		mesh_vec_remove(&h->early, i - 1);
	}
	if (h->early.count)
		mesh_timer_set(loop, timer, EARLY_TRY_NS);
}

static void take(struct mesh_handover *h, int fd, const struct mesh_proxy_moved *c)
{
	struct early e = {.c = *c, .fd = fd, .until_ns = mesh_now_ns() + EARLY_NS};

	if (enter(h, fd, c))
		return;
	if (c->len) {
		e.data = mesh_xmalloc(c->len);
		memcpy(e.data, c->data, c->len);
	}
	e.c.data = e.data;
	mesh_vec_push(&h->early, e);
	if (!h->early_timer.heap_at)
		mesh_timer_set(h->agent->loop, &h->early_timer, EARLY_TRY_NS);
}

/* Returns 1, 0 if nothing is there, or -errno: the older agent is gone. */
static int receive(struct mesh_handover *h)
{
	struct iovec part = {.iov_base = h->room, .iov_len = sizeof(struct wire) + WIRE_LEN_MAX};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	struct mesh_proxy_moved c = {0};
	int fds[MESH_FDS_MAX];
	union mesh_fds_room room;
	struct wire w = {0};
	size_t count;
	ssize_t n;

	mesh_fds_expect(&m, &room);
	n = recvmsg(h->older.fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return n < 0 ? -errno : -ECONNRESET;
	count = mesh_fds_take(&m, fds);
	memcpy(&w, h->room, MESH_MIN((size_t)n, sizeof(w)));
	if (count != 1 || (size_t)n < sizeof(w) || w.kind != WIRE_CONNECTION || w.size < sizeof(w) ||
	    (size_t)n != w.size + (size_t)w.len) {
		h->lost += w.kind == WIRE_CONNECTION;
		while (count)
			close(fds[--count]);
		return 1;
	}
	c = (struct mesh_proxy_moved){.netns_cookie = w.netns_cookie, .data = h->room + w.size, .len = w.len};
	c.peer.port = w.peer_port;
	c.origdst.port = w.origdst_port;
	memcpy(&c.peer.ip, w.peer, sizeof(w.peer));
	memcpy(&c.origdst.ip, w.origdst, sizeof(w.origdst));
	take(h, fds[0], &c);
	return 1;
}

static void on_older(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct mesh_handover *h = mesh_container_of(io, struct mesh_handover, older);
	struct mesh_proxy_stats s;
	int r;

	(void)events;
	while ((r = receive(h)) > 0)
		;
	if (r == 0)
		return;
	mesh_io_remove(loop, io);
	mesh_cleanup_fd(&io->fd);
	free(mesh_steal(h->room));
	mesh_keeper_moved(h->agent->keeper);
	mesh_dp_alone(h->agent->dp);
	mesh_proxy_stats(h->agent->proxy, &s);
	mesh_info("the agent before has ended: %llu of its connections go on here", (unsigned long long)s.moved_in);
}

void mesh_handover_in_force(struct mesh_handover *h)
{
	struct wire w = {.kind = WIRE_IN_FORCE, .size = sizeof(w)};

	if (h->told || h->older.fd < 0)
		return;
	h->told = true;
	if (send(h->older.fd, &w, sizeof(w), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		mesh_warn("the agent before does not listen: %s", strerror(errno));
	mesh_keeper_in_force(h->agent->keeper);
}

/* ---- both */

bool mesh_handover_has_older(const struct mesh_handover *h)
{
	return h->older.fd >= 0;
}

bool mesh_handover_lingers(const struct mesh_handover *h)
{
	return h && h->moving;
}

json_t *mesh_handover_status(const struct mesh_handover *h)
{
	return json_pack("{s:b, s:b, s:I}", "older", h->older.fd >= 0, "yielded", h->yielded, "lost",
			 (json_int_t)h->lost);
}

int mesh_handover_new(struct mesh_handover **ret, struct mesh_agent *a)
{
	struct mesh_handover *h = mesh_xcalloc(1, sizeof(*h));
	int r = 0;

	h->agent = a;
	h->linger.fn = on_linger;
	h->early_timer.fn = on_early;
	h->keeper = (struct mesh_io){.fd = mesh_keeper_fd(a->keeper), .fn = on_keeper};
	h->older = (struct mesh_io){.fd = mesh_keeper_channel(a->keeper), .fn = on_older};
	h->younger = (struct mesh_io){.fd = -1, .fn = on_younger};
	*ret = h;
	if (h->keeper.fd >= 0)
		r = mesh_io_set(a->loop, &h->keeper, EPOLLIN);
	if (r == 0 && h->older.fd >= 0) {
		h->room = mesh_xmalloc(sizeof(struct wire) + WIRE_LEN_MAX);
		r = mesh_io_set(a->loop, &h->older, EPOLLIN);
	}
	return r;
}

void mesh_handover_free(struct mesh_handover *h)
{
	if (!h)
		return;
	mesh_timer_remove(h->agent->loop, &h->linger);
	mesh_timer_remove(h->agent->loop, &h->early_timer);
	mesh_io_remove(h->agent->loop, &h->keeper);
	mesh_io_remove(h->agent->loop, &h->older);
	mesh_io_remove(h->agent->loop, &h->younger);
	mesh_vec_each (e, &h->early)
		early_free(e);
	mesh_vec_free(&h->early);
	mesh_cleanup_fd(&h->older.fd);
	mesh_cleanup_fd(&h->younger.fd);
	free(h->room);
	free(h);
}
