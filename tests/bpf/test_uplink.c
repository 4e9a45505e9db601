/* SPDX-License-Identifier: Apache-2.0 */
/* What the uplink may bring: packet by packet (BPF_PROG_TEST_RUN), random ones, and on a wire; where the program goes.
 */
#include "core/netdev.h"
#include "flows.h"
#include "frames.h"

#include <net/if.h>
#include <netinet/udp.h>

enum { DROP = 1, PASS = 2, PORT = 7777, FUZZ_RUNS = 60000 };

static const struct mesh_xdp generic = {.device = "e2", .mode = MESH_XDP_GENERIC, .veth = true};
static const struct mesh_xdp native = {.device = "e2", .mode = MESH_XDP_NATIVE, .veth = true};

/* A captured pod of this node, and a machine behind its uplink e2. The data plane has that as xdp says. */
static int two_machines(struct world *w, const struct mesh_xdp *xdp)
{
	int r = world_new(w);

	if (r < 0)
		return r;
	world_pod(w);
	route_through_node(w);
	world_pod(w);
	in_ns(&w->hub, "ip link set e2 nomaster; ip addr add 10.78.0.1/24 dev e2; ip addr add fd78::1/64 dev e2 nodad; "
		       "for f in all default e2; do echo 0 > /proc/sys/net/ipv4/conf/$f/rp_filter; done");
	in_ns(&w->pods[1], "ip addr flush dev eth0; ip addr add 10.78.0.2/24 dev eth0; "
			   "ip addr add fd78::2/64 dev eth0 nodad; ip route add default via 10.78.0.1; "
			   "ip -6 route replace default via fd78::1");
	mesh_dp_free(w->dp);
	w->dp = NULL;
	w->xdp = xdp;
	r = world_dp(w, &w->dp);
	return r < 0 ? r : world_capture(w, &w->pods[0]);
}

static int restart(struct world *w, const struct mesh_xdp *xdp)
{
	mesh_dp_free(w->dp);
	w->dp = NULL;
	w->xdp = xdp;
	return world_dp(w, &w->dp);
}

/* What status says of it, a text (else ""). */
static const char *said(struct world *w, const char *key)
{
	static char text[512];
	json_t *status = mesh_dp_status(w->dp);
	const char *s = json_string_value(json_object_get(json_object_get(status, "xdp"), key));

	snprintf(text, sizeof(text), "%s", s ? s : "");
	json_decref(status);
	return text;
}

static long number(struct world *w, const char *key)
{
	json_t *status = mesh_dp_status(w->dp);
	long n = (long)json_integer_value(json_object_get(json_object_get(status, "xdp"), key));

	json_decref(status);
	return n;
}

static int in_use(struct world *w)
{
	json_t *status = mesh_dp_status(w->dp);
	int is = json_is_true(json_object_get(json_object_get(status, "xdp"), "inUse"));

	json_decref(status);
	return is;
}

/* The link that is pinned: its id, or 0; of its program a descriptor. */
static unsigned link_id(struct world *w, int *prog)
{
	mesh_auto_free char *pin = mesh_xasprintf("%s/links/uplink_in", w->pin);
	struct bpf_link_info info = {0};
	uint32_t len = sizeof(info);
	mesh_auto_fd int fd = access(pin, F_OK) == 0 ? bpf_obj_get(pin) : -1;

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return 0;
	if (prog)
		*prog = bpf_prog_get_fd_by_id(info.prog_id);
	return info.id;
}

/* How many XDP programs are on e2. */
static int programs_there(struct world *w)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, q);
	int home = -1;

	if (mesh_netns_enter(w->hub.netns_fd, &home) < 0)
		return -1;
	bpf_xdp_query((int)if_nametoindex("e2"), 0, &q);
	mesh_netns_leave(&home);
	return (q.drv_prog_id != 0) + (q.skb_prog_id != 0) + (!q.drv_prog_id && !q.skb_prog_id && q.prog_id);
}

/* Packets one by one, in the node's namespace. */
struct judge {
	int prog, home;
	uint32_t ifindex;
};

static int judge_open(struct world *w, struct judge *j)
{
	*j = (struct judge){.prog = -1, .home = -1};
	if (!link_id(w, &j->prog) || j->prog < 0)
		return -ENOENT;
	if (mesh_netns_enter(w->hub.netns_fd, &j->home) < 0)
		return -EIO;
	j->ifindex = if_nametoindex("e2");
	return 0;
}

static void judge_close(struct judge *j)
{
	mesh_netns_leave(&j->home);
	close(j->prog);
}

static int verdict(const struct judge *j, const struct frame *f)
{
	struct xdp_md ctx = {.data_end = (uint32_t)f->len, .ingress_ifindex = j->ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = f->bytes, .data_size_in = (uint32_t)f->len, .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = 1);
	int r = bpf_prog_test_run_opts(j->prog, &o);

	return r < 0 ? r : (int)o.retval;
}

static struct frame patched(struct frame f, size_t at, uint8_t byte)
{
	f.bytes[at] = byte;
	return f;
}

/* With a tag of that type before what the frame is. */
static struct frame tagged(struct frame f, unsigned type)
{
	uint8_t tag[4] = {(uint8_t)(type >> 8), (uint8_t)type, 0, 100};

	memmove(f.bytes + 16, f.bytes + 12, f.len - 12);
	memcpy(f.bytes + 12, tag, sizeof(tag));
	f.len += 4;
	return f;
}

/* inner's IP packet behind an outer IPv4 header. */
static struct frame carried(const char *src, uint8_t proto, const struct frame *inner)
{
	struct frame f = cut(patched(with_ip4(src, "10.78.0.1"), 14 + 9, proto), 14 + 20);

	add(&f, inner->bytes + 14, inner->len - 14);
	return f;
}

enum { IP = 14 }; /* where it begins */

static void check_frames(const struct judge *j)
{
	struct frame mine = with_ip4("10.77.0.1", "10.78.0.1"), mine6 = with_ip6("fd77::1", "fd78::1", 17, 64);
	const struct {
		struct frame frame;
		int want;
		const char *what;
	} rows[] = {
		{with_ip4("10.78.0.2", "10.77.0.1"), PASS, "from the other machine"},
		{with_ip4("192.0.2.7", "10.77.0.1"), PASS, "from elsewhere"},
		{mine, DROP, "from the pod"},
		{with_ip4("10.77.0.1", "10.77.0.1"), DROP, "from the pod to itself"},
		{with_ip4("10.77.0.3", "10.77.0.1"), PASS, "from an address of no pod, beside it"},
		{with_ip6("fd78::2", "fd77::1", 17, 64), PASS, "from the other machine, IPv6"},
		{mine6, DROP, "from the pod, IPv6"},
		{with_ip6("fd77::3", "fd77::1", 17, 64), PASS, "from an address of no pod, IPv6"},
		{with_ip4("127.0.0.1", "10.77.0.1"), DROP, "loopback"},
		{with_ip4("127.255.0.9", "10.77.0.1"), DROP, "all of loopback"},
		{with_ip4("224.0.0.5", "10.77.0.1"), DROP, "a group"},
		{with_ip4("239.255.255.255", "10.77.0.1"), DROP, "the last group"},
		{with_ip4("240.0.0.1", "10.77.0.1"), PASS, "reserved, which the kernel routes"},
		{with_ip4("255.255.255.255", "10.77.0.1"), DROP, "everybody"},
		{with_ip4("0.0.0.0", "10.77.0.1"), DROP, "nobody to somebody"},
		{with_ip4("0.0.0.0", "255.255.255.255"), PASS, "asking for an address"},
		{with_ip4("0.0.0.0", "224.0.0.1"), PASS, "asking for groups"},
		{with_ip4("0.0.0.0", "0.0.0.0"), PASS, "nobody to nobody"},
		{with_ip4("0.1.2.3", "10.77.0.1"), DROP, "this network"},
		{with_ip4("0.1.2.3", "255.255.255.255"), PASS, "this network to everybody"},
		{with_ip6("::1", "fd77::1", 17, 64), DROP, "loopback, IPv6"},
		{with_ip6("::2", "fd77::1", 17, 64), PASS, "beside loopback"},
		{with_ip6("ff02::1", "fd77::1", 17, 64), DROP, "a group, IPv6"},
		{with_ip6("::ffff:192.0.2.1", "fd77::1", 17, 64), DROP, "IPv4 in disguise"},
		{with_ip6("::ffff:10.77.0.1", "fd77::1", 17, 64), DROP, "the pod's IPv4 in disguise"},
		{with_ip6("::", "ff02::1:ff00:1", 58, 255), PASS, "making sure of an address"},
		{with_ip6("fe80::1", "ff02::1", 58, 255), PASS, "link-local"},
		{tagged(mine, 0x8100), DROP, "behind a tag"},
		{tagged(tagged(mine, 0x8100), 0x88a8), DROP, "behind two tags"},
		{tagged(tagged(tagged(mine, 0x8100), 0x8100), 0x88a8), PASS, "behind three"},
		{tagged(mine6, 0x88a8), DROP, "IPv6 behind a tag"},
		{tagged(with_ip4("10.78.0.2", "10.77.0.1"), 0x8100), PASS, "another's behind a tag"},
		{patched(mine, IP, 0x4f), DROP, "with options"},
		{patched(mine, IP, 0x41), DROP, "with a length that cannot be"},
		{patched(mine, IP, 0x65), PASS, "of version 6 under IPv4's type"},
		{patched(mine6, IP, 0x40), PASS, "of version 4 under IPv6's type"},
		{patched(mine, IP + 6, 0x20), DROP, "the first fragment"},
		{patched(mine, IP + 7, 0x10), DROP, "a later fragment"},
		{with_ip6("fd77::1", "fd78::1", 44, 64), DROP, "a fragment, IPv6"},
		{with_ip6("fd77::1", "fd78::1", 0, 64), DROP, "behind an extension header"},
		{carried("10.78.0.2", 4, &mine), PASS, "IPIP: the pod's inside"},
		{carried("10.78.0.2", 41, &mine6), PASS, "IPv6 in IPv4: the pod's inside"},
		{carried("10.77.0.1", 4, &mine), DROP, "IPIP: the pod's outside"},
		{cut(mine, IP + 20), DROP, "a header and no more"},
		{cut(mine, IP + 19), PASS, "a header less a byte"},
		{cut(mine, IP), PASS, "no header"},
		{cut(mine6, IP + 40), DROP, "a header and no more, IPv6"},
		{cut(mine6, IP + 39), PASS, "a header less a byte, IPv6"},
		{cut(tagged(mine, 0x8100), IP + 4 + 19), PASS, "cut off behind a tag"},
		{cut(tagged(mine, 0x8100), IP + 3), PASS, "cut off within a tag"},
		{eth(0x0806), PASS, "ARP"},
		{eth(0x0026), PASS, "a length instead of a type"},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		int got = verdict(j, &rows[i].frame);

		if (got != rows[i].want)
			printf("  %s: %d, not %d\n", rows[i].what, got, rows[i].want);
		test_failed |= got != rows[i].want;
	}
}

TEST(frames)
{
	struct frame mine = with_ip4("10.77.0.1", "10.78.0.1");
	struct judge j;
	struct world w;

	CHECK_INT(two_machines(&w, &generic), 0);
	CHECK_STR(said(&w, "why"), "");
	CHECK_INT(number(&w, "addresses"), 2);
	CHECK_INT(number(&w, "unreached"), 0);
	CHECK_INT(judge_open(&w, &j), 0);
	check_frames(&j);
	CHECK_INT(number(&w, "martian"), 11);
	CHECK_INT(reason_count(w.dp, "uplink_martian"), 11);
	/* Each switch lets all pass. */
	CHECK_INT(switch_to(w.dp, "xdp", "off"), 0);
	CHECK_INT(verdict(&j, &mine), PASS);
	CHECK_INT(switch_to(w.dp, "xdp", "on"), 0);
	CHECK_INT(verdict(&j, &mine), DROP);
	CHECK_INT(mesh_dp_set_off(w.dp, true), 0);
	CHECK_INT(verdict(&j, &mine), PASS);
	CHECK_INT(mesh_dp_set_off(w.dp, false), 0);
	judge_close(&j);
	world_free(&w);
}

/* Random frames: what the program says is what is to be said of them by another parser, which knows neither. */

static uint32_t random_state = 20261123;

static uint32_t draw(uint32_t below)
{
	random_state = random_state * 1664525 + 1013904223;
	return (random_state >> 8) % below;
}

static const char *const sources4[] = {"10.77.0.1", "10.78.0.2", "127.0.0.1",       "224.0.0.1",
				       "0.0.0.0",   "0.0.0.1",   "255.255.255.255", "10.77.0.2"};
static const char *const sources6[] = {"fd77::1", "fd78::2", "::1", "ff02::1", "::", "::ffff:10.77.0.1", "fd77::2"};

static struct frame random_frame(void)
{
	static const unsigned types[] = {0x0800, 0x86dd, 0x8100, 0x88a8, 0x0806, 0x9100, 0x8847};
	uint32_t kind = draw(8);
	struct frame f;

	if (kind < 3)
		f = with_ip4(sources4[draw(MESH_ARRAY_SIZE(sources4))], sources4[draw(MESH_ARRAY_SIZE(sources4))]);
	else if (kind < 6)
		f = with_ip6(sources6[draw(MESH_ARRAY_SIZE(sources6))], sources6[draw(MESH_ARRAY_SIZE(sources6))],
			     (uint8_t)draw(256), 64);
	else
		f = eth(types[draw(MESH_ARRAY_SIZE(types))]);
	while (f.len < 100)
		f.bytes[f.len++] = (uint8_t)draw(256);
	for (uint32_t tags = draw(4); tags && draw(3) == 0; tags--)
		f = tagged(f, types[2 + draw(2)]);
	for (uint32_t flips = draw(4); flips && draw(2); flips--)
		f.bytes[12 + draw(60)] = draw(2) ? (uint8_t)draw(256) : 0;
	if (draw(3) == 0)
		f.len = 14 + draw((uint32_t)f.len - 13);
	return f;
}

static int is_in(const uint8_t *ip, const char *first, const char *mask)
{
	uint8_t a[16], m[16];
	size_t n = strchr(first, ':') ? 16 : 4;

	inet_pton(n == 4 ? AF_INET : AF_INET6, first, a);
	inet_pton(n == 4 ? AF_INET : AF_INET6, mask, m);
	for (size_t i = 0; i < n; i++)
		if ((ip[i] & m[i]) != a[i])
			return 0;
	return 1;
}

#define ALL4 "255.255.255.255"
#define ALL6 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"

static int wanted4(const uint8_t *src, const uint8_t *dst)
{
	int to_all = is_in(dst, ALL4, ALL4) || is_in(dst, "224.0.0.0", "240.0.0.0");

	if (is_in(src, "0.0.0.0", ALL4) && is_in(dst, "0.0.0.0", ALL4))
		return MESH_REASON_NONE;
	if (is_in(src, "0.0.0.0", "255.0.0.0"))
		return to_all ? MESH_REASON_NONE : MESH_REASON_UPLINK_MARTIAN;
	if (is_in(src, "127.0.0.0", "255.0.0.0") || is_in(src, "224.0.0.0", "240.0.0.0") || is_in(src, ALL4, ALL4))
		return MESH_REASON_UPLINK_MARTIAN;
	return is_in(src, "10.77.0.1", ALL4) ? MESH_REASON_UPLINK_SPOOFED : MESH_REASON_NONE;
}

static int wanted6(const uint8_t *src)
{
	if (is_in(src, "ff00::", "ff00::") || is_in(src, "::1", ALL6) ||
	    is_in(src, "::ffff:0.0.0.0", "ffff:ffff:ffff:ffff:ffff:ffff::"))
		return MESH_REASON_UPLINK_MARTIAN;
	return is_in(src, "fd77::1", ALL6) ? MESH_REASON_UPLINK_SPOOFED : MESH_REASON_NONE;
}

static int wanted(const struct frame *f)
{
	size_t at = 12;

	for (int tags = 0; tags < 2 && at + 2 <= f->len; tags++, at += 4)
		if ((f->bytes[at] << 8 | f->bytes[at + 1]) != 0x8100 &&
		    (f->bytes[at] << 8 | f->bytes[at + 1]) != 0x88a8)
			break;
	if (at + 2 + 20 <= f->len && f->bytes[at] == 0x08 && f->bytes[at + 1] == 0 && f->bytes[at + 2] >> 4 == 4)
		return wanted4(f->bytes + at + 2 + 12, f->bytes + at + 2 + 16);
	if (at + 2 + 40 <= f->len && f->bytes[at] == 0x86 && f->bytes[at + 1] == 0xdd && f->bytes[at + 2] >> 4 == 6)
		return wanted6(f->bytes + at + 2 + 8);
	return MESH_REASON_NONE;
}

static void print_frame(const struct frame *f)
{
	for (size_t i = 0; i < f->len; i++)
		printf("%02x", f->bytes[i]);
	printf("\n");
}

TEST(random_frames)
{
	long counts[MESH_REASON_COUNT] = {0};
	struct judge j;
	struct world w;

	CHECK_INT(two_machines(&w, &generic), 0);
	CHECK_INT(judge_open(&w, &j), 0);
	for (int i = 0; i < FUZZ_RUNS; i++) {
		struct frame f = random_frame();
		int want = wanted(&f), got = verdict(&j, &f);

		counts[want]++;
		if (got == (want == MESH_REASON_NONE ? PASS : DROP))
			continue;
		printf("  frame %d: %d, not reason %d: ", i, got, want);
		print_frame(&f);
		CHECK(0);
	}
	/* Of each kind enough to say something. */
	for (int reason = 0; reason < MESH_REASON_COUNT; reason++)
		if (reason == MESH_REASON_NONE || reason >= MESH_REASON_UPLINK_SPOOFED)
			CHECK(counts[reason] > FUZZ_RUNS / 50);
	CHECK_INT(reason_count(w.dp, "uplink_spoofed"), counts[MESH_REASON_UPLINK_SPOOFED]);
	CHECK_INT(reason_count(w.dp, "uplink_martian"), counts[MESH_REASON_UPLINK_MARTIAN]);
	judge_close(&j);
	world_free(&w);
}

/* On a wire: datagrams from any address, and who gets them. */

struct volley {
	char from[48], to[48];
	int times;
};

static uint16_t sum16(const void *bytes, size_t len, uint32_t sum)
{
	const uint8_t *b = bytes;

	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)(b[i] << 8 | b[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void do_fire(const void *in, void *out)
{
	const struct volley *v = in;
	int v6 = strchr(v->to, ':') != NULL, sent = 0;
	struct frame f = v6 ? with_ip6(v->from, v->to, IPPROTO_UDP, 64) : cut(with_ip4(v->from, v->to), 14 + 20);
	struct udphdr udp = {.source = htons(PORT), .dest = htons(PORT), .len = htons(8)};
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6};
	struct sockaddr_in to4 = {.sin_family = AF_INET};
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW, IPPROTO_RAW);

	if (v6) {
		f.bytes[14 + 5] = 8;
		udp.check = htons((uint16_t)~sum16(&udp, 8, sum16(f.bytes + 14 + 8, 32, IPPROTO_UDP + 8)));
	} else {
		f.bytes[14 + 3] = 28;
	}
	add(&f, &udp, sizeof(udp));
	inet_pton(AF_INET6, v->to, &to6.sin6_addr);
	inet_pton(AF_INET, v->to, &to4.sin_addr);
	for (int i = 0; i < v->times; i++)
		sent += sendto(fd, f.bytes + 14, f.len - 14, 0, v6 ? (struct sockaddr *)&to6 : (struct sockaddr *)&to4,
			       v6 ? sizeof(to6) : sizeof(to4)) > 0;
	close(fd);
	*(int *)out = sent;
}

static int target = -1; /* each pod's process has its own */

/* How many datagrams have come since it was asked last. */
static void do_target(const void *in, void *out)
{
	struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
	struct pollfd p = {.events = POLLIN};
	char byte[64];
	int n = 0;

	(void)in;
	if (target < 0) {
		target = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (bind(target, (struct sockaddr *)&at, sizeof(at)) < 0)
			n = -1000000;
	}
	p.fd = target;
	while (poll(&p, 1, 200) > 0 && recv(target, byte, sizeof(byte), 0) >= 0)
		n++;
	*(int *)out = n;
}

/* Of that many datagrams from an address, how many reach the node. */
static int arrive(struct world *w, const char *from, const char *to, int times)
{
	struct volley v = {.times = times};
	int sent, n;

	snprintf(v.from, sizeof(v.from), "%s", from);
	snprintf(v.to, sizeof(v.to), "%s", to);
	pod_call(&w->hub, do_target, NULL, 0, &n, sizeof(n));
	pod_call(&w->pods[1], do_fire, &v, sizeof(v), &sent, sizeof(sent));
	if (sent != times)
		return -sent - 1;
	pod_call(&w->hub, do_target, NULL, 0, &n, sizeof(n));
	return n;
}

static long per_pod(struct mesh_dp *dp, const char *reason, const char *pod)
{
	json_t *status = mesh_dp_status(dp), *row;
	long n = 0;
	size_t i;

	json_array_foreach(json_object_get(status, "refused"), i, row)
	{
		if (strcmp(json_string_value(json_object_get(row, "reason")), reason) == 0 &&
		    strcmp(json_string_value(json_object_get(row, "pod")), pod) == 0)
			n += (long)json_integer_value(json_object_get(row, "count"));
	}
	json_decref(status);
	return n;
}

static void check_wire(const struct mesh_xdp *xdp)
{
	struct world w;

	CHECK_INT(two_machines(&w, xdp), 0);
	CHECK_STR(said(&w, "why"), "");
	CHECK_STR(said(&w, "mode"), mesh_xdp_mode_text(xdp->mode));
	CHECK_INT(in_use(&w), 1);
	CHECK_INT(programs_there(&w), 1);
	CHECK_INT(arrive(&w, "10.78.0.2", "10.78.0.1", 20), 20);
	CHECK_INT(arrive(&w, "fd78::2", "fd78::1", 20), 20);
	CHECK_INT(arrive(&w, "10.77.0.1", "10.78.0.1", 20), 0);
	CHECK_INT(arrive(&w, "fd77::1", "fd78::1", 30), 0);
	CHECK_INT(reason_count(w.dp, "uplink_spoofed"), 50);
	CHECK_INT(per_pod(w.dp, "uplink_spoofed", "test/pod1"), 50);
	CHECK_INT(reason_count(w.dp, "spoofed"), 0);
	/* Without it they arrive. */
	CHECK_INT(switch_to(w.dp, "xdp", "off"), 0);
	CHECK_INT(in_use(&w), 0);
	CHECK_STR(said(&w, "why"), "it is switched off");
	CHECK_INT(arrive(&w, "10.77.0.1", "10.78.0.1", 20), 20);
	CHECK_INT(arrive(&w, "fd77::1", "fd78::1", 20), 20);
	CHECK_INT(reason_count(w.dp, "uplink_spoofed"), 50);
	CHECK_INT(switch_to(w.dp, "xdp", "on"), 0);
	/* A pod that is let go is nobody's business, nor is what never was one. */
	CHECK_INT(mesh_dp_release(w.dp, w.pods[0].cookie), 0);
	CHECK_INT(number(&w, "addresses"), 0);
	CHECK_INT(arrive(&w, "10.77.0.1", "10.78.0.1", 20), 20);
	CHECK_INT(arrive(&w, "10.77.0.9", "10.78.0.1", 20), 20);
	CHECK_INT(world_capture(&w, &w.pods[0]), 0);
	CHECK_INT(arrive(&w, "10.77.0.1", "10.78.0.1", 20), 0);
	world_free(&w);
}

TEST(wire_generic)
{
	check_wire(&generic);
}

TEST(wire_native)
{
	check_wire(&native);
}

/* A stream from the pod through the uplink to the other machine. Returns its descriptor. */
static int stream_out(struct world *w)
{
	struct dial d = {.to = at("10.78.0.2:8080")};
	struct conn c;

	pod_serve(&w->pods[1], at("10.78.0.2:8080"), 'b');
	c = pod_dial(&w->pods[0], &d);
	if (c.fd < 0 || pod_name(&w->pods[0], c.fd) != 'b')
		return -1;
	stream_start(&w->pods[0], c.fd, 4096, 200);
	return c.fd;
}

/* It outlives the agent, goes to the next one, changes its mode, and goes when it is not wanted any more; what passes
 * notices nothing. */
TEST(agents)
{
	struct streamed s;
	struct world w;
	unsigned id;

	CHECK_INT(two_machines(&w, NULL), 0);
	CHECK(stream_out(&w) >= 0);
	CHECK_INT(programs_there(&w), 0);
	CHECK_INT(restart(&w, &generic), 0);
	CHECK_INT(world_capture(&w, &w.pods[0]), 0);
	id = link_id(&w, NULL);
	CHECK(id > 0);
	CHECK_INT(arrive(&w, "10.77.0.1", "10.78.0.1", 10), 0);
	mesh_dp_free(w.dp);
	w.dp = NULL;
	CHECK_INT(programs_there(&w), 1);
	CHECK_INT(arrive(&w, "10.77.0.1", "10.78.0.1", 10), 0);
	CHECK_INT(restart(&w, &generic), 0);
	CHECK_INT(link_id(&w, NULL), id);
	CHECK_INT(reason_count(w.dp, "uplink_spoofed"), 20);
	CHECK_INT(arrive(&w, "10.77.0.1", "10.78.0.1", 10), 0);
	/* The other mode is another link. */
	CHECK_INT(restart(&w, &native), 0);
	CHECK_STR(said(&w, "why"), "");
	CHECK(link_id(&w, NULL) > 0 && link_id(&w, NULL) != id);
	CHECK_INT(programs_there(&w), 1);
	CHECK_INT(arrive(&w, "10.77.0.1", "10.78.0.1", 10), 0);
	CHECK_INT(reason_count(w.dp, "uplink_spoofed"), 40);
	/* An agent that is not told of it takes it off, with what it knew. */
	CHECK_INT(restart(&w, NULL), 0);
	CHECK_INT(programs_there(&w), 0);
	CHECK_INT(link_id(&w, NULL), 0);
	CHECK_INT(map_entries(w.dp, "ownip"), 0);
	CHECK_INT(arrive(&w, "10.77.0.1", "10.78.0.1", 10), 10);
	/* So does --detach. */
	CHECK_INT(restart(&w, &generic), 0);
	CHECK_INT(programs_there(&w), 1);
	s = stream_stop(&w.pods[0]);
	CHECK_INT(s.error, 0);
	CHECK_INT(s.bad, 0);
	CHECK(s.rounds > 20);
	mesh_dp_free(w.dp);
	w.dp = NULL;
	CHECK_INT(mesh_dp_detach_from(w.pin, w.hub.netns_fd, NULL), 0);
	CHECK_INT(programs_there(&w), 0);
	CHECK(access(w.pin, F_OK) != 0);
	world_free(&w);
}

/* With the agent dead an address may go to another machine: the node's routes say so, and it is let in. */
TEST(routes_are_asked)
{
	struct world w;

	CHECK_INT(two_machines(&w, &generic), 0);
	mesh_dp_free(w.dp);
	w.dp = NULL;
	CHECK_INT(arrive(&w, "fd78::2", "fd78::1", 10), 10); /* neighbours ask for each other by their own addresses */
	CHECK_INT(arrive(&w, "10.77.0.1", "10.78.0.1", 10), 0);
	CHECK_INT(in_ns(&w.hub, "ip route add 10.77.0.1/32 via 10.78.0.2 && ip -6 route add fd77::1/128 via fd78::2"),
		  0);
	CHECK_INT(arrive(&w, "10.77.0.1", "10.78.0.1", 10), 10);
	CHECK_INT(arrive(&w, "fd77::1", "fd78::1", 10), 10);
	/* By no device at all is not inside, either. */
	CHECK_INT(in_ns(&w.hub, "ip route replace unreachable 10.77.0.1/32"), 0);
	CHECK_INT(arrive(&w, "10.77.0.1", "10.78.0.1", 10), 10);
	/* Captured while the routes lead elsewhere, nothing is known of it; when they are right, the next change tells.
	 */
	CHECK_INT(restart(&w, &generic), 0);
	CHECK_INT(world_capture(&w, &w.pods[0]), 0);
	CHECK_INT(number(&w, "unreached"), 2);
	CHECK_INT(in_ns(&w.hub, "ip route del 10.77.0.1/32; ip -6 route del fd77::1/128"), 0);
	CHECK_INT(arrive(&w, "10.77.0.1", "10.78.0.1", 10), 10);
	world_pod(&w);
	CHECK_INT(world_capture(&w, &w.pods[2]), 0);
	CHECK_INT(number(&w, "unreached"), 0);
	CHECK_INT(number(&w, "addresses"), 4);
	CHECK_INT(arrive(&w, "10.77.0.1", "10.78.0.1", 10), 0);
	CHECK_INT(arrive(&w, "fd77::3", "fd78::1", 10), 0);
	world_free(&w);
}

/* A program of somebody else's, which lets all pass. Returns its descriptor. */
static int somebody(struct world *w, const char *device)
{
	static const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = 1U << 1 /* XDP_FLAGS_SKB_MODE */);
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "somebody", "GPL", pass, MESH_ARRAY_SIZE(pass), NULL), home = -1,
	    link;

	if (fd < 0 || mesh_netns_enter(w->hub.netns_fd, &home) < 0)
		return -errno;
	link = bpf_link_create(fd, (int)if_nametoindex(device), BPF_XDP, &opts);
	mesh_netns_leave(&home);
	close(fd);
	return link;
}

/* Where it does not go, and that it says why; the data plane is as well without it. */
TEST(refused)
{
	static const struct mesh_xdp nowhere = {.device = "eth77"}, loopback = {.device = "lo"},
				     veth = {.device = "e2"},
				     pods = {.device = "e1", .mode = MESH_XDP_GENERIC, .veth = true},
				     bridge = {.device = "br0"};
	char why[512];
	struct world w;
	int fd;

	CHECK_INT(two_machines(&w, &nowhere), 0);
	snprintf(why, sizeof(why), "%s", said(&w, "why"));
	CHECK(strncmp(why, "eth77: there is no such device; there are ", 42) == 0 && strstr(why, "e1") &&
	      strstr(why, "br0"));
	CHECK_INT(in_use(&w), 0);
	CHECK_INT(restart(&w, &loopback), 0);
	CHECK_STR(said(&w, "why"), "lo: it is loopback, where every address is at home");
	CHECK_INT(restart(&w, &veth), 0);
	CHECK_STR(said(&w, "why"),
		  "e2: it is a veth, which would lose segmentation offload: veth=allow behind its name if "
		  "it is to be so");
	CHECK_INT(restart(&w, &pods), 0);
	CHECK_STR(said(&w, "why"), "e1: it is a pod's device, and leads to no other node");
	CHECK_INT(restart(&w, &bridge), 0);
	CHECK_STR(said(&w, "why"),
		  "br0: its driver bridge runs no XDP programs (mode=generic works with any, and saves "
		  "little)");
	CHECK_INT(programs_there(&w), 0);
	/* Who was there before stays. */
	fd = somebody(&w, "e2");
	CHECK(fd >= 0);
	for (int i = 0; i < 2; i++) {
		CHECK_INT(restart(&w, i ? &native : &generic), 0);
		CHECK(strncmp(said(&w, "why"), "e2: another XDP program is attached to it: somebody (id ", 56) == 0);
		CHECK(strstr(said(&w, "why"), ", generic)") != NULL);
		CHECK_INT(programs_there(&w), 1);
		CHECK_INT(link_id(&w, NULL), 0);
	}
	CHECK_INT(arrive(&w, "10.77.0.1", "10.78.0.1", 10), 10);
	close(fd);
	CHECK_INT(restart(&w, &generic), 0);
	CHECK_STR(said(&w, "why"), "");
	world_free(&w);
}

static void plug(struct world *w)
{
	run("ip link add name e2 netns %d type veth peer name eth0 netns %d", w->hub.pid, w->pods[1].pid);
	in_ns(&w->hub, "ip link set e2 up; ip addr add 10.78.0.1/24 dev e2");
}

/* A device that turns out to be a pod's, and one that goes. */
TEST(device_lost)
{
	static const struct mesh_xdp pods = {.device = "e3", .mode = MESH_XDP_GENERIC, .veth = true};
	struct world w;
	int fd;

	CHECK_INT(two_machines(&w, &generic), 0);
	world_pod(&w);
	CHECK_INT(restart(&w, &pods), 0);
	CHECK_STR(said(&w, "why"), "");
	CHECK_INT(world_capture(&w, &w.pods[2]), 0);
	CHECK_STR(said(&w, "why"), "e3: it is the device of pod test/pod3, and leads to no other node");
	CHECK_INT(link_id(&w, NULL), 0);
	CHECK_INT(restart(&w, &generic), 0);
	CHECK_STR(said(&w, "why"), "");
	in_ns(&w.hub, "ip link del e2");
	CHECK_STR(said(&w, "why"), "its device is gone, or somebody took it off");
	CHECK_INT(restart(&w, &generic), 0);
	CHECK(strncmp(said(&w, "why"), "e2: there is no such device; ", 29) == 0);
	CHECK_INT(link_id(&w, NULL), 0);
	CHECK_STR(follow_devices(w.dp), "");
	/* It comes, goes, comes again; the last time somebody else is on it. */
	plug(&w);
	CHECK_STR(follow_devices(w.dp), "XDP: e2 is there: what comes in by it is judged");
	CHECK_STR(said(&w, "why"), "");
	CHECK_INT(in_use(&w), 1);
	CHECK_INT(programs_there(&w), 1);
	CHECK_INT(number(&w, "addresses"), 4);
	CHECK_STR(follow_devices(w.dp), "");
	in_ns(&w.hub, "ip link del e2");
	CHECK(strncmp(follow_devices(w.dp), "XDP: e2: there is no such device; ", 34) == 0);
	CHECK_STR(follow_devices(w.dp), "");
	plug(&w);
	fd = somebody(&w, "e2");
	CHECK(fd >= 0);
	CHECK(strncmp(follow_devices(w.dp), "XDP: e2: another XDP program is attached to it: somebody", 56) == 0);
	CHECK_STR(follow_devices(w.dp), "");
	close(fd);
	CHECK_STR(follow_devices(w.dp), "XDP: e2 is there: what comes in by it is judged");
	CHECK_INT(programs_there(&w), 1);
	world_free(&w);
}

/* Kernels that tell (6.3) say what a driver can: veth's can. */
TEST(drivers)
{
	char driver[MESH_NETDEV_DRIVER];
	enum mesh_netdev_xdp can;
	struct world w;
	int home = -1;

	CHECK_INT(two_machines(&w, NULL), 0);
	CHECK_INT(mesh_netns_enter(w.hub.netns_fd, &home), 0);
	CHECK_INT(mesh_netdev_driver("e2", driver), 0);
	can = mesh_netdev_xdp(if_nametoindex("e2"));
	mesh_netns_leave(&home);
	CHECK_STR(driver, "veth");
	CHECK(can == MESH_NETDEV_XDP_NATIVE || can == MESH_NETDEV_XDP_UNKNOWN);
	world_free(&w);
}

TEST_MAIN_ROOT()
