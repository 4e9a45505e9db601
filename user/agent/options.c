/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/options.h"

#include "core/opts.h"

#define AT(field) offsetof(struct mesh_agent_opts, field)

/* clang-format off */
static const struct mesh_opt rows[] = {
	{.name = "node", .type = MESH_OPT_STRING, .at = AT(node), .arg = "NAME",
	 .help = "the Node whose pods this agent serves"},
	{.name = "cgroup-root", .type = MESH_OPT_STRING, .at = AT(cgroup_root), .arg = "DIR",
	 .help = "cgroup v2 directory that has the node's pods below it; auto: the node's own root"},
	{.name = "pin-dir", .type = MESH_OPT_STRING, .at = AT(pin_dir), .arg = "DIR",
	 .help = "bpffs directory for programs and maps"},
	{.name = "kubeconfig", .type = MESH_OPT_STRING, .at = AT(kubeconfig), .arg = "FILE",
	 .help = "the API (default: $KUBECONFIG, the pod's service account, ~/.kube/config)"},
	{.name = "socket", .type = MESH_OPT_STRING, .at = AT(socket), .arg = "PATH",
	 .help = "local socket for status, wait-pod and the CNI plugin"},
	{.name = "health-listen", .type = MESH_OPT_STRING, .at = AT(health_listen), .arg = "IP:PORT",
	 .help = "where GET /livez and /readyz are answered, without TLS: for a kubelet's probes"},
	{.name = "snapshot-dir", .type = MESH_OPT_STRING, .at = AT(snapshot_dir), .arg = "DIR",
	 .help = "keep the last good state there, and start from it while the API is away"},
	{.name = "cni-conf-dir", .type = MESH_OPT_STRING, .at = AT(cni_conf_dir), .arg = "DIR",
	 .help = "add the mesh's plugin to the network configuration there, and keep it in"},
	{.name = "cni-bin-dir", .type = MESH_OPT_STRING, .at = AT(cni_bin_dir), .arg = "DIR",
	 .help = "where the plugin's program goes"},
	{.name = "cni-file", .type = MESH_OPT_STRING, .at = AT(cni_file), .arg = "FILE",
	 .help = "that program (default: sockmesh-cni beside meshd, or in /usr/lib/sockmesh)"},
	{.name = "cni-policy", .type = MESH_OPT_CHOICE, .at = AT(cni_policy), .arg = "WORD", .values = "refuse|plain",
	 .initial = "refuse", .env = "SOCKMESH_CNI_POLICY", .help = "what becomes of pods of the mesh that start while no agent is there"},
	{.name = "splice", .type = MESH_OPT_CHOICE, .at = AT(splice), .arg = "WORD", .values = "auto|enabled|disabled",
	 .initial = "auto", .env = "SOCKMESH_SPLICE", .help = "splicing for pods without an annotation sockmesh.io/splice, nor on their namespace"},
	{.name = "uplink", .type = MESH_OPT_STRING, .at = AT(uplink), .arg = "DEVICE", .env = "SOCKMESH_UPLINK",
	 .help = "the device by which pods of other nodes are reached, by routes alone: flows of this node's pods take a short way there, too"},
	{.name = "clsact", .type = MESH_OPT_FLAG, .at = AT(clsact), .env = "SOCKMESH_CLSACT",
	 .help = "put programs on pods' devices as tc filters even where the kernel has tcx: others' filters with a lower priority number go before them"},
	{.name = "xdp", .type = MESH_OPT_STRING, .at = AT(xdp_text), .arg = "DEVICE[,mode=native|generic][,veth=allow]", .env = "SOCKMESH_XDP",
	 .help = "the device that leads to other nodes: what comes there from a local pod's address, or nobody's, ends before it costs a buffer"},
	{.name = "workers", .type = MESH_OPT_UNSIGNED, .at = AT(workers), .arg = "N", .max = 256,
	 .help = "proxy threads (default: one for each CPU)"},
	{.name = "drain", .type = MESH_OPT_CHOICE, .at = AT(drain_end), .arg = "WORD", .values = "keep|end", .initial = "keep",
	 .env = "SOCKMESH_DRAIN", .help = "what becomes of L4 connections to a pod that lives but gets no new ones (sockmesh.io/drain of a Service goes before)"},
	{.name = "drain-time", .type = MESH_OPT_UNSIGNED, .at = AT(drain_s), .arg = "SECONDS", .max = 86400, .initial = "20", .env = "SOCKMESH_DRAIN_TIME",
	 .help = "how long an agent whose place another took serves tunnels and long answers on before it cuts them"},
	{.name = "log-level", .type = MESH_OPT_CHOICE, .at = AT(log_level), .arg = "LEVEL", .values = MESH_LOG_LEVELS,
	 .initial = "info", .help = "what is logged"},
	{.name = "keep", .type = MESH_OPT_FLAG, .at = AT(keep), .env = "SOCKMESH_KEEP",
	 .help = "a keeper starts the agent again when it dies, and holds pods' listeners meanwhile"},
	{.name = "detach", .type = MESH_OPT_FLAG, .at = AT(detach),
	 .help = "remove programs, maps and plugin that outlive agents (needs --pin-dir, --cni-*), and end"},
	{.name = "health", .type = MESH_OPT_FLAG, .at = AT(health),
	 .help = "ask the agent at --socket: succeed if it is in force"},
	{.name = "alive", .type = MESH_OPT_FLAG, .at = AT(alive), .help = "ask the agent at --socket: succeed if it answers"},
	{.name = "status", .type = MESH_OPT_FLAG, .at = AT(status), .help = "print the status of the agent at --socket as JSON"},
	{.name = "leave", .type = MESH_OPT_FLAG, .at = AT(leave),
	 .help = "have the agent at --socket let all pods go and remove what it installed; it stays until it is killed"},
	{.name = "on-stop", .type = MESH_OPT_CHOICE, .at = AT(stop_detach), .arg = "WORD", .values = "keep|detach", .initial = "keep",
	 .env = "SOCKMESH_ON_STOP", .help = "what --pre-stop does: keep (nothing: the kernel goes on with what is in force), or detach (as --leave)"},
	{.name = "pre-stop", .type = MESH_OPT_FLAG, .at = AT(pre_stop),
	 .help = "what a preStop hook runs: as --on-stop says, unless the agent at --socket is another container's, which took this one's place"},
};
/* clang-format on */

static const struct mesh_opts opts = {.command = "meshd agent", .rows = rows, .count = MESH_ARRAY_SIZE(rows)};

unsigned mesh_agent_asks(const struct mesh_agent_opts *o)
{
	return 0u + o->health + o->alive + o->status + o->leave + o->pre_stop;
}

static void check(struct mesh_agent_opts *o, struct mesh_errs *errs)
{
	unsigned asks = mesh_agent_asks(o);
	const char *why;

	if (o->health_listen &&
	    (mesh_addr_parse_port(mesh_slice_str(o->health_listen), &o->health_addr) < 0 || o->health_addr.port == 0))
		mesh_errs_add(errs, "--health-listen %s: not IP:PORT", o->health_listen);
	if (o->xdp_text && mesh_xdp_parse(o->xdp_text, &o->xdp, &why) < 0)
		mesh_errs_add(errs, "--xdp %s: %s", o->xdp_text, why);
	if (asks + o->detach > 1)
		mesh_errs_add(errs, "only one of --detach, --health, --alive, --status, --leave and --pre-stop");
	if (!o->cni_bin_dir != !o->cni_conf_dir)
		mesh_errs_add(errs, "--cni-bin-dir and --cni-conf-dir go together");
	if (asks) {
		if (!o->socket)
			mesh_errs_add(errs, "--socket is needed to ask an agent");
		return;
	}
	if (!o->pin_dir)
		mesh_errs_add(errs, "--pin-dir is required");
	if (o->detach)
		return;
	if (!o->node)
		mesh_errs_add(errs, "--node is required");
	if (!o->cgroup_root)
		mesh_errs_add(errs, "--cgroup-root is required");
	if (o->cni_conf_dir && !o->socket)
		mesh_errs_add(errs, "--cni-conf-dir needs --socket, at which the plugin asks");
}

int mesh_agent_options(int argc, char **argv, struct mesh_agent_opts *ret)
{
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	int r = mesh_opts_main(&opts, argc, argv, ret, NULL);

	if (r >= 0)
		return r;
	check(ret, &errs);
	return errs.list.count ? mesh_opts_refuse(&opts, &errs) : -1;
}

const char *mesh_cni_policy_text(enum mesh_cni_policy policy)
{
	return policy == MESH_CNI_PLAIN ? "plain" : "refuse";
}
