/* SPDX-License-Identifier: Apache-2.0 */
/* The options of `meshd control`. Texts are borrowed from the command line and the environment. One thread. */
#ifndef MESH_CONTROL_OPTIONS_H
#define MESH_CONTROL_OPTIONS_H

#include "control/reconcile.h"
#include "core/addr.h"
#include "core/daemon.h"
#include "core/opts.h"
#include "store/store.h"

struct mesh_control_args {
	bool embedded, no_reconcile, leader_elect;
	const char *data, *kubeconfig, *kubeconfig_out, *kubeconfig_server, *service_cidr;
	struct mesh_opt_list listen_texts, sans;
	const char *ns, *pod;
	const char *webhook_text, *webhook_configuration, *webhook_service, *webhook_secret;
	const char *health_text;
	unsigned cert_seconds, ca_seconds, ca_overlap_seconds;
	enum mesh_log_level log_level;
	struct mesh_control_opts opts;
	/* What follows from the texts. */
	MESH_VEC(struct mesh_store_listen) listen;
	struct mesh_addr webhook, health; /* port 0: none */
};

/** Returns -1 to go on, else an exit status. */
int mesh_control_args_parse(int argc, char **argv, struct mesh_control_args *ret);
void mesh_control_args_free(struct mesh_control_args *args);

#endif
