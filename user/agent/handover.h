/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A younger agent takes the place of an older one, and no connection of any client is lost. The older yields: from then
 * on it changes nothing on the node, but serves as before. The younger adopts what is pinned, and when its
 * configuration is in force says so on the channel between the two. Then the older accepts no more and sends its
 * clients' connections, each between two requests; it ends when none is left, or when the drain time is over, and then
 * says what it cut. The keepers (keeper.h) bring the two together and pass the listeners. Loop thread, but for what
 * workers send.
 */
#ifndef MESH_AGENT_HANDOVER_H
#define MESH_AGENT_HANDOVER_H

#include "proxy/proxy.h"

#include <jansson.h>
#include <stdbool.h>

struct mesh_agent;
struct mesh_handover;

/** Watches the keeper for a younger agent, and takes over the channel to an older one. Returns 0 or -errno. */
int mesh_handover_new(struct mesh_handover **ret, struct mesh_agent *a);
/** After mesh_proxy_free(). NULL is allowed. */
void mesh_handover_free(struct mesh_handover *h);

/** Whether an older agent serves beside this one. */
bool mesh_handover_has_older(const struct mesh_handover *h);
/** A configuration is in force here: the older agent, if there is one, may send its connections. */
void mesh_handover_in_force(struct mesh_handover *h);
/** Whether a younger agent has taken over, and this one ends by itself when the last connection has. */
bool mesh_handover_lingers(const struct mesh_handover *h);
/** {"older": bool, "yielded": bool, "lost": N}. New reference. */
json_t *mesh_handover_status(const struct mesh_handover *h);

#endif
