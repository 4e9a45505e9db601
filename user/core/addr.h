/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An IP address with port, as plain comparable bytes: IPv4 is kept as an IPv4-mapped
 * IPv6 address (::ffff:a.b.c.d, RFC 4291 section 2.5.5.2), so one form serves both. Any thread.
 */
#ifndef MESH_CORE_ADDR_H
#define MESH_CORE_ADDR_H

#include "core/slice.h"

#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

enum { MESH_ADDR_TEXT = 56 }; /* "[...]:65535" and NUL */

struct mesh_addr {
	struct in6_addr ip;
	uint16_t port; /* host byte order */
	uint16_t pad;
};

bool mesh_addr_is_v4(const struct mesh_addr *a);
/** The IPv4 address in network byte order; only for mesh_addr_is_v4(). */
uint32_t mesh_addr_v4(const struct mesh_addr *a);
struct mesh_addr mesh_addr_from_v4(uint32_t ip_be, uint16_t port);
/** Parses an address without port ("10.0.0.1", "fd00::1"). Returns 0 or -EINVAL, *ret untouched on failure. */
int mesh_addr_parse(struct mesh_slice text, uint16_t port, struct mesh_addr *ret);
/** Parses "10.0.0.1:80" or "[fd00::1]:80". */
int mesh_addr_parse_port(struct mesh_slice text, struct mesh_addr *ret);
/** Without the port; out has MESH_ADDR_TEXT bytes. Returns out. */
const char *mesh_addr_ip_text(const struct mesh_addr *a, char *out);
/** With the port. */
const char *mesh_addr_text(const struct mesh_addr *a, char *out);
bool mesh_addr_eq(const struct mesh_addr *a, const struct mesh_addr *b); /* address and port */
bool mesh_addr_ip_eq(const struct mesh_addr *a, const struct mesh_addr *b);
/** The bytes of the address, resp. of address and port, as a key of maps; they are a's. */
static inline struct mesh_slice mesh_ip_key(const struct mesh_addr *a)
{
	return mesh_slice_of((const char *)&a->ip, sizeof(a->ip));
}
static inline struct mesh_slice mesh_addr_key(const struct mesh_addr *a)
{
	return mesh_slice_of((const char *)a, offsetof(struct mesh_addr, pad));
}
/** Fills ss as AF_INET or AF_INET6; returns its length. */
socklen_t mesh_addr_to_sock(const struct mesh_addr *a, struct sockaddr_storage *ss);
/** Returns 0, or -EAFNOSUPPORT. */
int mesh_addr_from_sock(const struct sockaddr_storage *ss, struct mesh_addr *ret);

#endif
