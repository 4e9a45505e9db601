/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of the bypass: pods that talk through the node as on a cluster, streams that compare every byte, counters.
 */
#ifndef MESH_TEST_FLOWS_H
#define MESH_TEST_FLOWS_H

#include "dataplane/dp.h"
#include "traffic.h"

#include <net/if.h>

enum { TCX_INGRESS = 46 };

/* Runs a shell command in a pod's network namespace. Returns its status. */
static inline int in_ns(const struct pod *p, const char *fmt, ...)
{
	char cmd[400], all[480];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	snprintf(all, sizeof(all), "nsenter -t %d -n sh -c '%s'", p->pid, cmd);
	return system(all);
}

/* From now on pods reach each other through the node's stack, not across its bridge alone. */
static inline void route_through_node(struct world *w)
{
	/* A bridge's MAC is else that of a port, and changes with that. */
	in_ns(&w->hub, "ip link set br0 address 02:5a:00:00:00:fe; for f in ipv4/ip_forward ipv6/conf/all/forwarding; "
		       "do echo 1 > /proc/sys/net/$f; done; "
		       "for f in all br0; do echo 0 > /proc/sys/net/ipv4/conf/$f/send_redirects; done");
	for (int i = 0; i < w->pod_count; i++) {
		in_ns(&w->pods[i],
		      "ip route add 10.77.0.254 dev eth0; ip route del 10.77.0.0/24 dev eth0; "
		      "ip -6 route add fd77::fe dev eth0; ip -6 route del fd77::/64 dev eth0; "
		      "ip -6 route replace default via fd77::fe; ip route replace default via 10.77.0.254");
	}
}

static inline int has_program(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "/usr/sbin/%s", name);
	if (access(path, X_OK) == 0)
		return 1;
	snprintf(path, sizeof(path), "/sbin/%s", name);
	return access(path, X_OK) == 0;
}

/* Rules of the node: an nft script. */
static inline int node_rules(struct world *w, const char *script)
{
	char cmd[1200];

	snprintf(cmd, sizeof(cmd), "nsenter -t %d -n /usr/sbin/nft -f - <<'E'\n%s\nE\n", w->hub.pid, script);
	return system(cmd);
}

/* Packets that a counter of table t counted. */
static inline long rule_count(struct world *w, const char *counter)
{
	char cmd[200], line[200];
	long n = -1;
	FILE *f;

	snprintf(cmd, sizeof(cmd), "nsenter -t %d -n /usr/sbin/nft list counter inet t %s", w->hub.pid, counter);
	f = popen(cmd, "r");
	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, "packets"))
			sscanf(strstr(line, "packets"), "packets %ld", &n);
	if (f)
		pclose(f);
	return n;
}

static inline long bypass_count(struct mesh_dp *dp, const char *name)
{
	return status_number(dp, "bypass/%s", name);
}

/* What status says of the bypass of pod number n: 1, or 0 with why. */
static inline int device_bypassed(struct mesh_dp *dp, int n, char why[256])
{
	json_t *status = mesh_dp_status(dp), *d;
	char name[32];
	size_t i;
	int is = -1;

	snprintf(name, sizeof(name), "test/pod%d", n);
	json_array_foreach(json_object_get(json_object_get(status, "bypass"), "devices"), i, d)
	{
		const char *text = json_string_value(json_object_get(d, "why"));

		if (strcmp(json_string_value(json_object_get(d, "pod")), name) != 0)
			continue;
		is = json_is_true(json_object_get(d, "bypass"));
		snprintf(why, 256, "%s", text ? text : "");
	}
	json_decref(status);
	return is;
}

static inline int switch_to(struct mesh_dp *dp, const char *name, const char *word)
{
	json_t *set = json_pack("{s:s}", name, word);
	struct mesh_errs errs = {0};
	int r = mesh_dp_switch_set(dp, set, &errs);

	mesh_errs_free(&errs);
	json_decref(set);
	return r;
}

/* Does what an agent's loop does, for a while. */
static inline void pump(struct mesh_dp *dp, int ms)
{
	for (int i = 0; i < ms; i += 5) {
		if (dp)
			mesh_dp_events(dp);
		usleep(5000);
	}
}

/* A stream: sends to an echo server and compares, on a thread of the pod, until stopped. */
struct stream {
	int fd, size; /* bytes a round, at most 16384 */
	int pause_us;
};

struct streamed {
	long rounds, bad;
	int error, longest_ms; /* a round's, at most */
};

static struct {
	struct stream in;
	struct streamed out;
	pthread_t thread;
	atomic_int stop;
	atomic_long rounds;
} streaming; /* each pod's process has its own */

static inline int stream_round(int fd, int size, unsigned char start, int *bad)
{
	unsigned char out[16384], in[16384];
	int got = 0, sent = 0;

	for (int i = 0; i < size; i++)
		out[i] = (unsigned char)(start + i * 7);
	while (got < size) {
		struct pollfd p = {.fd = fd, .events = (short)(POLLIN | (sent < size ? POLLOUT : 0))};
		ssize_t n;

		if (poll(&p, 1, 20000) <= 0)
			return ETIMEDOUT;
		if (p.revents & POLLOUT && sent < size) {
			n = send(fd, out + sent, (size_t)(size - sent), MSG_DONTWAIT | MSG_NOSIGNAL);
			sent += n > 0 ? (int)n : 0;
		}
		if (!(p.revents & (POLLIN | POLLHUP | POLLERR)))
			continue;
		n = recv(fd, in + got, (size_t)(size - got), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return n ? errno : EPIPE;
		got += n > 0 ? (int)n : 0;
	}
	*bad = memcmp(in, out, (size_t)size) != 0;
	return 0;
}

static inline void *stream_thread(void *arg)
{
	(void)arg;
	while (!streaming.stop && !streaming.out.error) {
		struct timespec a, b;
		int bad = 0, ms;

		clock_gettime(CLOCK_MONOTONIC, &a);
		streaming.out.error =
			stream_round(streaming.in.fd, streaming.in.size, (unsigned char)streaming.out.rounds, &bad);
		clock_gettime(CLOCK_MONOTONIC, &b);
		ms = (int)((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000);
		streaming.out.longest_ms = MESH_MAX(streaming.out.longest_ms, ms);
		streaming.out.bad += bad;
		streaming.rounds = ++streaming.out.rounds;
		if (streaming.in.pause_us)
			usleep((useconds_t)streaming.in.pause_us);
	}
	return NULL;
}

static inline void do_stream_start(const void *in, void *out)
{
	(void)out;
	memset(&streaming, 0, sizeof(streaming));
	streaming.in = *(const struct stream *)in;
	pthread_create(&streaming.thread, NULL, stream_thread, NULL);
}

static inline void do_stream_rounds(const void *in, void *out)
{
	(void)in;
	*(long *)out = streaming.rounds;
}

static inline void do_stream_stop(const void *in, void *out)
{
	(void)in;
	streaming.stop = 1;
	pthread_join(streaming.thread, NULL);
	*(struct streamed *)out = streaming.out;
}

static inline void stream_start(struct pod *p, int fd, int size, int pause_us)
{
	struct stream s = {.fd = fd, .size = size, .pause_us = pause_us};

	pod_call(p, do_stream_start, &s, sizeof(s), NULL, 0);
}

static inline long stream_rounds(struct pod *p)
{
	long n;

	pod_call(p, do_stream_rounds, NULL, 0, &n, sizeof(n));
	return n;
}

static inline struct streamed stream_stop(struct pod *p)
{
	struct streamed s;

	pod_call(p, do_stream_stop, NULL, 0, &s, sizeof(s));
	return s;
}

/* A connection of the first pod that has said its first byte. Returns its descriptor, or -errno. */
static inline int connect_to(struct world *w, const char *to)
{
	struct dial d = {.to = at(to)};
	struct conn c = pod_dial(&w->pods[0], &d);

	if (c.fd >= 0 && pod_name(&w->pods[0], c.fd) == 'b')
		return c.fd;
	printf("  connecting to %s: %s\n", to, c.fd < 0 ? strerror(c.error) : "it says nothing");
	return -1;
}

/* Another's program for a device, which lets all pass. A descriptor, or -1 with errno. */
static inline int somebodys_program(void)
{
	static const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1},
		{.code = BPF_JMP | BPF_EXIT},
	};

	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "somebody", "GPL", pass, MESH_ARRAY_SIZE(pass), NULL);
}

/* How pod_out is on a device: "tcx", "twice" (so), "clsact", "both" or "". */
static inline const char *attached(const struct world *w, const char *device)
{
	uint32_t ids[8], count = MESH_ARRAY_SIZE(ids), flags = 0;
	int home = -1, tcx = 0, clsact;

	mesh_netns_enter(w->hub.netns_fd, &home);
	if (bpf_prog_query((int)if_nametoindex(device), (enum bpf_attach_type)TCX_INGRESS, 0, &flags, ids, &count) < 0)
		count = 0;
	mesh_netns_leave(&home);
	for (uint32_t i = 0; i < count; i++) {
		struct bpf_prog_info info = {0};
		uint32_t len = sizeof(info);
		int fd = bpf_prog_get_fd_by_id(ids[i]);

		tcx += bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && strcmp(info.name, "pod_out") == 0;
		close(fd);
	}
	clsact = in_ns(&w->hub, "tc filter show dev %s ingress | grep -q pod_out", device) == 0;
	return tcx > 1 ? "twice" : tcx && clsact ? "both" : tcx ? "tcx" : clsact ? "clsact" : "";
}

static inline bool has_qdisc(const struct world *w, const char *device)
{
	return in_ns(&w->hub, "tc qdisc show dev %s | grep -q clsact", device) == 0;
}

#endif
