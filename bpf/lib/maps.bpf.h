/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every map. Each is pinned under its own name and shared by all objects. Sizes here are the
 * defaults; user space sets those it was asked for before it loads.
 */
#ifndef MESH_MAPS_BPF_H
#define MESH_MAPS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "mesh/abi.h"

/* One entry. Written by the agent when it starts and to switch off; read by every program. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mesh_node);
} node SEC(".maps");

/* Namespace cookie -> captured pod. Written by the agent: capture, release; read by every program. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct mesh_pod);
} pods SEC(".maps");

/* Destination -> the version of the service in force. Written by apply: one update is the switch; read by connect,
 * sendmsg. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct mesh_key4);
	__type(value, struct mesh_svc);
} svc4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct mesh_key6);
	__type(value, struct mesh_svc);
} svc6 SEC(".maps");

/* Set and number -> weighted group. Written by apply before the switch, deleted a grace period after the next; read by
 * the draw. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct mesh_slot);
	__type(value, struct mesh_dest);
} dest SEC(".maps");

/* Set, group and number -> endpoint. Life as dest. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
	__type(key, struct mesh_slot);
	__type(value, struct mesh_ep4);
} ep4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
	__type(key, struct mesh_slot);
	__type(value, struct mesh_ep6);
} ep6 SEC(".maps");

/* Set and endpoint -> its group's weight, of sets that something may stay with. Life as dest; read by the draw. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
	__type(key, struct mesh_member);
	__type(value, __u32);
} member SEC(".maps");

/* Pod and destination -> endpoint (session affinity). Written and read by the draw; oldest go first. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct mesh_stick_key);
	__type(value, struct mesh_stick);
} affinity SEC(".maps");

/* Unconnected UDP socket and destination -> endpoint. Written and read by the draw; oldest go first. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct mesh_stick_key);
	__type(value, struct mesh_stick);
} udpflow SEC(".maps");

/* Addresses of the cluster's nodes, while there are node ports. Written by apply; read when nothing has the
 * destination. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct mesh_node_ip);
	__type(value, __u32);
} nodeip SEC(".maps");

/* Place (a socket cookie's low bits) -> the socket that has it and what it asked for. Written by connect; read by
 * sockops, getpeername, getsockname, recvmsg; freed by sock_release. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MESH_SOCK_PLACES);
	__type(key, __u32);
	__type(value, struct mesh_sock);
} sock SEC(".maps");

/* Socket cookie -> as sock, for sockets whose place another one has. Life as there. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
	__type(key, __u64);
	__type(value, struct mesh_sock);
} sockmore SEC(".maps");

/* Connection to the agent's listener -> original destination. Written by sockops before the SYN; taken by the agent on
 * accept, else deleted by sockops when the socket closes. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct mesh_tuple);
	__type(value, struct mesh_origdst);
} origdst SEC(".maps");

/* Unconnected UDP socket and endpoint -> the address it sent to. Written by sendmsg, read by recvmsg; oldest go first.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct mesh_udp_key);
	__type(value, struct mesh_udp_src);
} udpsrc SEC(".maps");

/* Pod, destination and reason -> refusals. Written by every program that refuses; read by status; oldest go first. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct mesh_refused);
	__type(value, __u64);
} refused SEC(".maps");

/* Tier -> connects (and first datagrams of unconnected sockets) of captured pods. Written by connect, sendmsg. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MESH_TIER_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} tiers SEC(".maps");

/* Reason -> how often, of all pods; never evicted. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MESH_REASON_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} reasons SEC(".maps");

/* Switch -> its word (include/mesh/switches.h). Written by the agent; read by every program that can be switched. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MESH_SWITCH_SLOTS);
	__type(key, __u32);
	__type(value, __u32);
} switches SEC(".maps");

/* The node's end of a captured pod's veth pair -> the pod's addresses. Written by the agent: capture, release; read by
 * the programs on these devices. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct mesh_veth);
} veth SEC(".maps");

/* Place (a device's index modulo their number) -> what of map veth is needed most. Life as veth. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MESH_VETH_PLACES);
	__type(key, __u32);
	__type(value, struct mesh_veth_place);
} vethplaces SEC(".maps");

/* Address of a captured pod -> its device in map veth. Life as veth. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct mesh_pod_ip);
	__type(value, __u32);
} podip SEC(".maps");

/* Address of a captured pod -> the pod, and where the node's routes lead to it. Written by the agent: capture, release;
 * read by uplink_in. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2048);
	__type(key, struct mesh_pod_ip);
	__type(value, struct mesh_own_ip);
} ownip SEC(".maps");

/* Direction of a connection between two pods of this node -> where it leads. Entered by pod_out, made ready by the
 * agent, kept up by pod_in; goes with the connection's first FIN or RST and with its pods; oldest go first. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct mesh_flow_key);
	__type(value, struct mesh_flow);
} flows SEC(".maps");

/* Flows that were entered (struct mesh_flow_key, client to server), for the agent to make ready. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} flowev SEC(".maps");

/* One entry: what the bypass did. Written by pod_out and pod_in. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mesh_bypassed);
} bypassed SEC(".maps");

#endif
