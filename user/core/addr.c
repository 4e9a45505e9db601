/* SPDX-License-Identifier: Apache-2.0 */
#include "core/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

bool mesh_addr_is_v4(const struct mesh_addr *a)
{
	return IN6_IS_ADDR_V4MAPPED(&a->ip);
}

uint32_t mesh_addr_v4(const struct mesh_addr *a)
{
	uint32_t v;

	memcpy(&v, &a->ip.s6_addr[12], sizeof(v));
	return v;
}

struct mesh_addr mesh_addr_from_v4(uint32_t ip_be, uint16_t port)
{
	struct mesh_addr a = {.port = port};

	a.ip.s6_addr[10] = a.ip.s6_addr[11] = 0xff;
	memcpy(&a.ip.s6_addr[12], &ip_be, sizeof(ip_be));
	return a;
}

int mesh_addr_parse(struct mesh_slice text, uint16_t port, struct mesh_addr *ret)
{
	char s[INET6_ADDRSTRLEN];
	struct in_addr v4;
	struct mesh_addr a = {.port = port};

	if (text.len >= sizeof(s) || text.len == 0)
		return -EINVAL;
	memcpy(s, text.ptr, text.len);
	s[text.len] = '\0';
	if (inet_pton(AF_INET, s, &v4) == 1)
		a = mesh_addr_from_v4(v4.s_addr, port);
	else if (inet_pton(AF_INET6, s, &a.ip) != 1)
		return -EINVAL;
	*ret = a;
	return 0;
}

int mesh_addr_parse_port(struct mesh_slice text, struct mesh_addr *ret)
{
	struct mesh_slice ip = text, digits;
	ssize_t at = -1;
	uint64_t port;

	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] == ':')
			at = (ssize_t)i;
	if (at < 0)
		return -EINVAL;
	ip.len = (size_t)at;
	digits = mesh_slice_of(text.ptr + at + 1, text.len - (size_t)at - 1);
	if (ip.len >= 2 && ip.ptr[0] == '[' && ip.ptr[ip.len - 1] == ']')
		ip = mesh_slice_of(ip.ptr + 1, ip.len - 2);
	else if (mesh_slice_find(ip, ':') >= 0)
		return -EINVAL;
	if (mesh_slice_to_u64(digits, 65535, &port) < 0)
		return -EINVAL;
	return mesh_addr_parse(ip, (uint16_t)port, ret);
}

const char *mesh_addr_ip_text(const struct mesh_addr *a, char *out)
{
	uint32_t v4 = mesh_addr_v4(a);

	if (mesh_addr_is_v4(a))
		inet_ntop(AF_INET, &v4, out, MESH_ADDR_TEXT);
	else
		inet_ntop(AF_INET6, &a->ip, out, MESH_ADDR_TEXT);
	return out;
}

const char *mesh_addr_text(const struct mesh_addr *a, char *out)
{
	char ip[MESH_ADDR_TEXT];

	mesh_addr_ip_text(a, ip);
	snprintf(out, MESH_ADDR_TEXT, mesh_addr_is_v4(a) ? "%.45s:%u" : "[%.45s]:%u", ip, a->port);
	return out;
}

bool mesh_addr_ip_eq(const struct mesh_addr *a, const struct mesh_addr *b)
{
	return memcmp(&a->ip, &b->ip, sizeof(a->ip)) == 0;
}

bool mesh_addr_eq(const struct mesh_addr *a, const struct mesh_addr *b)
{
	return a->port == b->port && mesh_addr_ip_eq(a, b);
}

socklen_t mesh_addr_to_sock(const struct mesh_addr *a, struct sockaddr_storage *ss)
{
	memset(ss, 0, sizeof(*ss));
	if (mesh_addr_is_v4(a)) {
		struct sockaddr_in *in = (struct sockaddr_in *)ss;

		in->sin_family = AF_INET;
		in->sin_port = htons(a->port);
		in->sin_addr.s_addr = mesh_addr_v4(a);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(a->port);
	in6->sin6_addr = a->ip;
	return sizeof(*in6);
}

int mesh_addr_from_sock(const struct sockaddr_storage *ss, struct mesh_addr *ret)
{
	if (ss->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)ss;

		*ret = mesh_addr_from_v4(in->sin_addr.s_addr, ntohs(in->sin_port));
		return 0;
	}
	if (ss->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;

		*ret = (struct mesh_addr){.ip = in6->sin6_addr, .port = ntohs(in6->sin6_port)};
		return 0;
	}
	return -EAFNOSUPPORT;
}
