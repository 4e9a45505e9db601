/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses: names of both ends, bind before connect, devices, IPv6, IPv4 in IPv6, MPTCP. */
#include "sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

typedef int name_fn(int fd, struct sockaddr *at, socklen_t *len);

struct name {
	struct sockaddr_storage at;
	socklen_t len;
	int error;
};

static struct name name_of(name_fn *fn, int fd)
{
	struct name n = {.len = sizeof(n.at)};

	n.error = fn(fd, (struct sockaddr *)&n.at, &n.len) < 0 ? errno : 0;
	return n;
}

static bool same(const struct name *a, const struct name *b)
{
	return !a->error && a->len == b->len && memcmp(&a->at, &b->at, a->len) == 0;
}

static uint16_t port_of(const struct name *n)
{
	return ntohs(((const struct sockaddr_in *)&n->at)->sin_port);
}

/* The names of both ends, by what they should be: addresses differ from run to run. */
static void see_names(const struct sc *x, int c, int s, const struct sockaddr_storage *asked, socklen_t len)
{
	struct name to = {.at = *asked, .len = len}, cp = name_of(getpeername, c), cs = name_of(getsockname, c),
		    sp = name_of(getpeername, s), ss = name_of(getsockname, s);

	sc_see(x, "client's peer is what it asked for", "%s", same(&cp, &to) ? "yes" : "no");
	sc_see(x, "server's peer is the client", "%s", same(&sp, &cs) ? "yes" : "no");
	sc_see(x, "server's port", "%d", port_of(&ss) - x->port);
	sc_see(x, "client's address is of family", "%d, %u bytes", cs.at.ss_family, cs.len);
}

static void see_family(const struct sc *x, int family, const struct sc_listen *what, const struct sockaddr_storage *to,
		       socklen_t len)
{
	int l = sc_listen(x, what), c = sc_socket(x, family), s;

	sc_need(x, l >= 0, "no listener: %s", strerror(-l));
	sc_result(x, "connect", connect(c, (const struct sockaddr *)to, len));
	s = sc_accept(x, l);
	see_names(x, c, s, to, len);
	sc_stream(x, "bytes up", c, s, 100000, 5000);
	sc_stream(x, "bytes down", s, c, 100000, 5000);
}

static void names(const struct sc *x)
{
	int l = sc_listener(x), c = sc_socket(x, AF_INET), s;
	struct sockaddr_storage to, small;
	socklen_t len = sc_address(x, AF_INET, x->port, &to), short_len = 4;
	struct name n;

	sc_see(x, "not connected", "%s", sc_error_name(name_of(getpeername, c).error));
	n = name_of(getsockname, c);
	sc_see(x, "not bound", "%s, port %u", sc_error_name(n.error), port_of(&n));
	sc_need(x, connect(c, (struct sockaddr *)&to, len) == 0, "connect: %m");
	s = sc_accept(x, l);
	see_names(x, c, s, &to, len);
	memset(&small, 0xff, sizeof(small));
	sc_result(x, "a short buffer", getpeername(c, (struct sockaddr *)&small, &short_len));
	sc_see(x, "its length", "%u", short_len);
	sc_see(x, "what is behind it", "%s", ((unsigned char *)&small)[4] == 0xff ? "untouched" : "written");
	shutdown(s, SHUT_RDWR);
	shutdown(c, SHUT_RDWR);
	sc_state_until(c, 7);
	sc_see(x, "after the end", "%s", sc_error_name(name_of(getpeername, c).error));
}

static void six(const struct sc *x)
{
	struct sockaddr_storage to;
	socklen_t len;

	if (!x->has_v6)
		sc_skip(x, "no IPv6 here");
	len = sc_address(x, AF_INET6, x->port, &to);
	see_family(x, AF_INET6, &(struct sc_listen){.family = AF_INET6, .port = x->port, .v6_only = true}, &to, len);
}

static socklen_t mapped(const struct sc *x, struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(x->port);
	in6->sin6_addr.s6_addr[10] = in6->sin6_addr.s6_addr[11] = 0xff;
	memcpy(in6->sin6_addr.s6_addr + 12, &x->v4, 4);
	return sizeof(*in6);
}

static void mapped_client(const struct sc *x)
{
	struct sockaddr_storage to;
	socklen_t len = mapped(x, &to);
	int l = sc_listener(x), c = socket(AF_INET6, SOCK_STREAM, 0), s;
	struct name cp, cs, sp;

	if (c < 0)
		sc_skip(x, "no IPv6 here");
	sc_result(x, "connect", connect(c, (struct sockaddr *)&to, len));
	s = sc_accept(x, l);
	cp = name_of(getpeername, c);
	cs = name_of(getsockname, c);
	sp = name_of(getpeername, s);
	sc_see(x, "client's peer is what it asked for", "%s",
	       cp.len == len && memcmp(&cp.at, &to, len) == 0 ? "yes" : "no");
	sc_see(x, "client's own is mapped, too", "%s",
	       IN6_IS_ADDR_V4MAPPED(&((struct sockaddr_in6 *)&cs.at)->sin6_addr) ? "yes" : "no");
	sc_see(x, "server sees its port", "%s", port_of(&sp) == port_of(&cs) ? "yes" : "no");
	sc_stream(x, "bytes", c, s, 50000, 5000);
	close(c);
	c = socket(AF_INET6, SOCK_STREAM, 0);
	sc_set(c, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	sc_result(x, "with IPV6_V6ONLY", connect(c, (struct sockaddr *)&to, len));
}

static void dual_server(const struct sc *x)
{
	int l = sc_listen(x, &(struct sc_listen){.family = AF_INET6, .port = x->port}), c = sc_socket(x, AF_INET), s;
	struct sockaddr_storage to;
	socklen_t len = sc_address(x, AF_INET, x->port, &to);
	struct name sp;

	if (l == -EAFNOSUPPORT)
		sc_skip(x, "no IPv6 here");
	sc_need(x, l >= 0, "no listener: %s", strerror(-l));
	sc_result(x, "connect", connect(c, (struct sockaddr *)&to, len));
	s = sc_accept(x, l);
	sp = name_of(getpeername, s);
	sc_see(x, "server's peer is mapped", "%s",
	       sp.at.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&((struct sockaddr_in6 *)&sp.at)->sin6_addr) ? "yes"
														: "no");
	sc_stream(x, "bytes", c, s, 50000, 5000);
}

static void bound(const struct sc *x)
{
	int l = sc_listener(x), c = sc_socket(x, AF_INET), s, one = 1;
	struct sockaddr_storage to;
	socklen_t len = sc_address(x, AF_INET, x->port, &to);
	struct sockaddr_in own = {.sin_family = AF_INET}, other = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(1)};
	struct name before, after;

	/* The pod's own address, from a first connection. */
	sc_need(x, connect(c, (struct sockaddr *)&to, len) == 0, "connect: %m");
	sc_accept(x, l);
	before = name_of(getsockname, c);
	own.sin_addr = ((struct sockaddr_in *)&before.at)->sin_addr;
	c = sc_socket(x, AF_INET);
	sc_result(x, "bind", bind(c, (struct sockaddr *)&own, sizeof(own)));
	before = name_of(getsockname, c);
	sc_result(x, "connect", connect(c, (struct sockaddr *)&to, len));
	s = sc_accept(x, l);
	after = name_of(getsockname, c);
	sc_see(x, "keeps address and port", "%s", same(&before, &after) ? "yes" : "no");
	see_names(x, c, s, &to, len);
	sc_result(x, "bind twice", bind(c, (struct sockaddr *)&own, sizeof(own)));
	c = sc_socket(x, AF_INET);
	setsockopt(c, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	sc_result(x, "IP_BIND_ADDRESS_NO_PORT: bind", bind(c, (struct sockaddr *)&own, sizeof(own)));
	before = name_of(getsockname, c);
	sc_see(x, "its port", "%u", port_of(&before));
	sc_result(x, "its connect", connect(c, (struct sockaddr *)&to, len));
	see_names(x, c, sc_accept(x, l), &to, len);
	c = sc_socket(x, AF_INET);
	sc_result(x, "bind to an address that is not its own", bind(c, (struct sockaddr *)&other, sizeof(other)));
	other.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sc_result(x, "bind to loopback", bind(c, (struct sockaddr *)&other, sizeof(other)));
	sc_nonblocking(c, true);
	sc_result(x, "and connect", connect(c, (struct sockaddr *)&to, len));
}

/* The same source port again, to the same destination: while it is in use, and in TIME_WAIT. */
static void same_port(const struct sc *x)
{
	int l = sc_listener(x), c = sc_socket(x, AF_INET), again = sc_socket(x, AF_INET), s;
	struct sockaddr_storage to;
	socklen_t len = sc_address(x, AF_INET, x->port, &to);
	struct name own;

	sc_set(c, SOL_SOCKET, SO_REUSEADDR, 1);
	sc_set(again, SOL_SOCKET, SO_REUSEADDR, 1);
	sc_need(x, connect(c, (struct sockaddr *)&to, len) == 0, "connect: %m");
	s = sc_accept(x, l);
	own = name_of(getsockname, c);
	sc_result(x, "bind", bind(again, (struct sockaddr *)&own.at, own.len));
	sc_result(x, "connect while it is in use", connect(again, (struct sockaddr *)&to, len));
	close(c);
	close(s);
	sc_sleep_ms(30);
	sc_result(x, "connect in TIME_WAIT", connect(again, (struct sockaddr *)&to, len));
}

static void device(const struct sc *x)
{
	int l = sc_listener(x), c = sc_socket(x, AF_INET);
	struct sockaddr_storage to;
	socklen_t len = sc_address(x, AF_INET, x->port, &to);
	char name[16] = "";
	socklen_t name_len = sizeof(name);

	sc_result(x, "SO_BINDTODEVICE", setsockopt(c, SOL_SOCKET, SO_BINDTODEVICE, "eth0", 4));
	sc_result(x, "connect", connect(c, (struct sockaddr *)&to, len));
	see_names(x, c, sc_accept(x, l), &to, len);
	getsockopt(c, SOL_SOCKET, SO_BINDTODEVICE, name, &name_len);
	sc_see(x, "read back", "%s", name);
	c = sc_socket(x, AF_INET);
	sc_result(x, "of a device that is not there", setsockopt(c, SOL_SOCKET, SO_BINDTODEVICE, "none9", 5));
}

static void multipath(const struct sc *x)
{
	struct sockaddr_storage to;
	socklen_t len = sc_address(x, AF_INET, x->port, &to);
	int l = sc_listener(x), c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP), s;

	if (c < 0)
		sc_skip(x, "socket(IPPROTO_MPTCP): %s", strerror(errno));
	sc_result(x, "connect", connect(c, (struct sockaddr *)&to, len));
	s = sc_accept(x, l);
	see_names(x, c, s, &to, len);
	sc_stream(x, "bytes up", c, s, 300000, 5000);
	sc_stream(x, "bytes down", s, c, 300000, 5000);
}

static const struct sc_case rows[] = {
	SC_CASE("names", "getpeername and getsockname of both ends", names, SC_TCP),
	SC_CASE("ipv6", "IPv6 on both sides", six, SC_TCP),
	SC_CASE("mapped-client", "an IPv6 socket that connects to an IPv4 address", mapped_client, SC_TCP),
	SC_CASE("dual-server", "an IPv6 listener that takes IPv4", dual_server, SC_TCP),
	SC_CASE("bind", "bind before connect, IP_BIND_ADDRESS_NO_PORT", bound, SC_TCP),
	SC_CASE("same-port", "a source port again: in use, and in TIME_WAIT", same_port, SC_TCP),
	SC_CASE("device", "SO_BINDTODEVICE", device, SC_TCP),
	SC_CASE("mptcp", "an MPTCP client of a TCP server", multipath, SC_TCP),
};

const struct sc_group sc_bind = SC_GROUP(rows);
