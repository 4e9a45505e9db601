/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network namespaces, links, addresses and routes by netlink. Everything may be there already
 * (a repair): that is no error. Network namespaces are named under /run/netns, as ip-netns does.
 * Descriptors are the caller's. One thread.
 */
#ifndef MESH_LAB_LAB_NET_H
#define MESH_LAB_LAB_NET_H

#include <stdbool.h>

/** Opens the namespace of that name. Returns a descriptor or -errno. */
int mesh_lab_netns_open(const char *name);
/** Makes it if it is not there, with loopback up, and opens it. Returns a descriptor or -errno. */
int mesh_lab_netns_make(const char *name);
/** Removes the name. The namespace goes with its last process. Returns 0 (also if it was not there) or -errno. */
int mesh_lab_netns_remove(const char *name);

struct mesh_lab_nl; /* a netlink socket in one namespace */

int mesh_lab_nl_new(struct mesh_lab_nl **ret, int netns_fd);
void mesh_lab_nl_free(struct mesh_lab_nl *nl);
/**
 * A bridge, up, with that hardware address (6 bytes). One of its own choice would change as ports come and go, and
 * what is on its way to the old one would be dropped.
 */
int mesh_lab_nl_bridge(struct mesh_lab_nl *nl, const char *name, const unsigned char *mac);
/** A veth pair: name here (in the bridge master, or NULL), peer in the namespace peer_ns. Both up. */
int mesh_lab_nl_veth(struct mesh_lab_nl *nl, const char *name, const char *master, const char *peer, int peer_ns);
int mesh_lab_nl_up(struct mesh_lab_nl *nl, const char *name);
int mesh_lab_nl_delete(struct mesh_lab_nl *nl, const char *name);
/** "10.64.1.5/32"; IPv6 addresses are usable at once (no duplicate detection). */
int mesh_lab_nl_address(struct mesh_lab_nl *nl, const char *name, const char *prefix);
/** dst NULL: the default route of via's family. The gateway need not be in a subnet of name. */
int mesh_lab_nl_route(struct mesh_lab_nl *nl, const char *dst, const char *via, const char *name);
/** Does this machine's kernel speak IPv6? Where it does not, a lab has IPv4 alone. */
bool mesh_lab_has_ipv6(void);
/** Writes below /proc/sys/net as seen in the namespace. Returns 0 or -errno. */
int mesh_lab_sysctl(int netns_fd, const char *path, const char *value);

#endif
