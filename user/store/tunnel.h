/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log, exec, attach and portforward of a pod: the request goes to the kubelet of the pod's
 * node over TLS, and bytes flow both ways until either side ends. One thread.
 */
#ifndef MESH_STORE_TUNNEL_H
#define MESH_STORE_TUNNEL_H

#include "store/call.h"

/** Serves pods/NAME/{log,exec,attach,portforward}. Returns false if the call is none of these. */
bool mesh_tunnel_serve(struct mesh_call *call);

#endif
