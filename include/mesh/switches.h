/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) OR Apache-2.0 */
/*
 * What of the data plane can be switched while it runs: one row, one place. The words are in map switches (that of
 * "mesh" in map node), which are pinned: programs read them, so a switch is never a detach, and it stays as it was set
 * when an agent starts again.
 */
#ifndef MESH_SWITCHES_H
#define MESH_SWITCHES_H

/* X(index, ID, "name", word where none was set, "words that may be set", "help"). Indexes are stable: they are in maps.
 */
#define MESH_SWITCHES(X)                                                                                               \
	X(0, BYPASS, "bypass", ON, "on|off",                                                                           \
	  "established flows between pods of a node pass its bridge and host stack by")                                \
	X(1, ANTISPOOF, "antispoof", ON, "on|off",                                                                     \
	  "captured pods send from their own addresses only; without it no bypass")                                    \
	X(2, SPLICE, "splice", AUTO, "auto|on|off",                                                                    \
	  "bytes between sockets of a node go past TCP; auto: of pods that ask for it, on: of all that do not refuse") \
	X(3, XDP, "xdp", ON, "on|off",                                                                                 \
	  "packets that the uplink brings from a local pod's or nobody's address end there, before they cost a "       \
	  "buffer")                                                                                                    \
	X(4, MESH, "mesh", ON, "on|off",                                                                               \
	  "all of it; off: new connections of pods go the node's own way, by no rule, policy or mTLS of the mesh")

enum mesh_word {
	MESH_WORD_UNSET, /* the row's word is meant */
	MESH_WORD_OFF,
	MESH_WORD_ON,
	MESH_WORD_AUTO,
	MESH_WORD_COUNT
};

enum mesh_switch {
#define MESH_SWITCH_ENUM(index, id, name, unset, words, help) MESH_SWITCH_##id = index,
	MESH_SWITCHES(MESH_SWITCH_ENUM)
#undef MESH_SWITCH_ENUM
	/* Not for people: */
	MESH_SWITCH_UPLINK = 13, /* a number: the device by which flows between nodes leave; 0: they are left alone */
	MESH_SWITCH_PROBED = 14, /* MESH_WORD_ON: this kernel passed the bypass's probe since it was started */
	MESH_SWITCH_EPOCH = 15,  /* a number: what was known of the node's paths before it was raised is forgotten */
	MESH_SWITCH_SLOTS = 16
};

enum mesh_switch_default {
#define MESH_SWITCH_DEFAULT(index, id, name, unset, words, help) MESH_SWITCH_DEFAULT_##id = MESH_WORD_##unset,
	MESH_SWITCHES(MESH_SWITCH_DEFAULT)
#undef MESH_SWITCH_DEFAULT
};

#endif
