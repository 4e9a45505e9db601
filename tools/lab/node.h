/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lab's node: what a kubelet does, through the Kubernetes API. One thread, one loop; what
 * must survive the process (sandboxes, containers, restart counts) is in a file for each pod.
 */
#ifndef MESH_LAB_NODE_H
#define MESH_LAB_NODE_H

#include "core/loop.h"
#include "lab/lab_json.h"
#include "lab/lab_proc.h"
#include "lab/lab_state.h"
#include "lab/node_sandbox.h"

struct mesh_node;
struct mesh_pod;
struct mesh_container;

/* ---- Actions: what probes and hooks do. */

struct mesh_action;
/** error: NULL if it went well; else what to say. */
typedef void mesh_action_fn(void *arg, const char *error);
/** Starts what a probe or a hook describes (httpGet, tcpSocket, exec, sleep). Calls back later, exactly once. */
struct mesh_action *mesh_action_start(struct mesh_container *c, const json_t *what, unsigned timeout_s,
				      mesh_action_fn *fn, void *arg);
/** Stops it without calling back. NULL is allowed. */
void mesh_action_cancel(struct mesh_action *action);

/* ---- Probes. */

enum mesh_probe_kind {
	MESH_PROBE_STARTUP,
	MESH_PROBE_READINESS,
	MESH_PROBE_LIVENESS,
	MESH_PROBE_KINDS,
};

/** A probe's numbers, with Kubernetes' defaults filled in. */
struct mesh_probe_times {
	unsigned initial_delay_s, period_s, timeout_s, success, failure;
};

struct mesh_probe {
	struct mesh_container *container;
	enum mesh_probe_kind kind;
	struct mesh_timer timer;
	struct mesh_action *action;
	struct mesh_probe_times times;
	unsigned successes, failures, tries;
	bool on, ever, good;
};

void mesh_probe_times_of(const json_t *probe, struct mesh_probe_times *ret);
/** Starts the probes of a container that has just started (or was found running). */
void mesh_probes_start(struct mesh_container *c);
void mesh_probes_stop(struct mesh_container *c);
/** Delay before try number n (from 0) of a readiness probe that has never succeeded, in ms: short, then the period. */
unsigned mesh_probe_early_ms(unsigned n, unsigned period_s);

/* ---- Containers. */

enum mesh_container_state {
	MESH_CONTAINER_WAITING,
	MESH_CONTAINER_RUNNING,
	MESH_CONTAINER_TERMINATED,
};

struct mesh_container {
	struct mesh_pod *pod;
	char *name;
	bool init, sidecar;
	enum mesh_container_state state;
	char reason[64], message[512]; /* of waiting or terminated */
	char id[72];
	struct mesh_lab_pid shim, process;
	struct mesh_io gone;     /* the shim's pidfd */
	struct mesh_timer timer; /* back-off before the next start */
	unsigned restarts, backoff_s;
	time_t started_at, finished_at;
	int exit_code, signal;
	json_t *last_state;  /* NULL: none */
	json_t *env;         /* "K=V" strings of the running process, for exec */
	bool started, ready; /* as the probes see it */
	struct mesh_probe probes[MESH_PROBE_KINDS];
	bool killing;
	struct mesh_action *hook;
	struct mesh_timer grace;
	unsigned image_tries;
};

/** Its part of the pod's spec; NULL if the pod changed under it. */
json_t *mesh_container_spec(const struct mesh_container *c);
char *mesh_container_cgroup(const struct mesh_container *c); /* caller frees */
char *mesh_container_log(const struct mesh_container *c, unsigned restart);
/** Starts it, or puts it in a waiting state with a timer for the next try. */
void mesh_container_start(struct mesh_container *c);
/** preStop, SIGTERM, then SIGKILL after grace_s. Its end is told through mesh_pod_container_gone(). */
void mesh_container_stop(struct mesh_container *c, unsigned grace_s, const char *why);
/** Puts a container that does not run into a waiting state. */
void mesh_container_wait(struct mesh_container *c, const char *reason, const char *message);
/** Follows a process found running after a restart of the kubelet; if it has ended, handles that. */
void mesh_container_adopt(struct mesh_container *c);
/** Stops following it: its process is gone or killed otherwise. */
void mesh_container_forget(struct mesh_container *c);
/** Frees what it has; kills nothing. */
void mesh_container_clear(struct mesh_container *c);
/** Back-off before the next restart, in seconds; was: the last one, ran_s: how long it ran. As a kubelet: 0, 10, 20 ...
 * 300. */
unsigned mesh_container_backoff(unsigned restarts, unsigned was_s, unsigned ran_s);

/** What to run, from spec and image. Returns 0; else reason (a waiting reason) and message say why not. */
struct mesh_command {
	char **argv, **envp;
	char *cwd;
};
int mesh_command_make(struct mesh_container *c, struct mesh_command *ret, char reason[64], char message[512]);
void mesh_command_free(struct mesh_command *cmd);
/** Replaces $(NAME) from env ("K=V" strings); $$(NAME) stands for $(NAME). The caller frees. */
char *mesh_command_expand(const char *text, const json_t *env);

/** What a fieldRef names ("metadata.labels['app']"); NULL if it is not one that can be asked for. */
const char *mesh_pod_field(const struct mesh_pod *pod, const char *path);
/** Fills the container's volumes and says where they are to be seen. Returns 0, or -EINVAL with message. */
int mesh_volumes_make(struct mesh_container *c, struct mesh_lab_mounts *ret, char message[512]);
void mesh_volumes_free(struct mesh_lab_mounts *mounts);

/* ---- Pods. */

enum mesh_pod_stage {
	MESH_POD_NEW,
	MESH_POD_ADDRESSED, /* has a sandbox; its address is on its way to the API */
	MESH_POD_GUARDED,   /* the agent is asked */
	MESH_POD_STARTED,   /* containers may run */
	MESH_POD_STOPPING,
	MESH_POD_REPORTED, /* all has ended; the last status is on its way */
	MESH_POD_GONE,     /* to be deleted in the API */
};

struct mesh_pod {
	struct mesh_node *node;
	char *uid, *ns, *name;
	json_t *obj; /* as in the API */
	enum mesh_pod_stage stage;
	struct mesh_lab_sandbox sandbox;
	struct mesh_container *containers; /* init containers first, in order */
	size_t count;
	char start_time[32];
	struct mesh_timer timer; /* the next step, or a new try */
	struct mesh_io pause;    /* tells when the sandbox is lost */
	struct mesh_io agent;    /* its socket, while asked */
	struct mesh_timer agent_timer;
	json_t *conditions; /* ours, as last computed */
	json_t *reported;   /* last status sent */
	uint64_t ended_ns;  /* when the last container had ended */
	bool report_dirty, report_busy, token_asked;
	bool forgotten; /* the API does not know it any more */
	bool listed;    /* found after a restart and confirmed by the API's list */
	struct mesh_timer token_timer;
};

void mesh_pod_seen(struct mesh_node *node, json_t *obj);   /* added or changed in the API */
void mesh_pod_unseen(struct mesh_node *node, json_t *obj); /* gone from the API */
/** Looks at what is to be done next. Cheap; called whenever something may have changed. */
void mesh_pod_step(struct mesh_pod *pod);
/** A pod in stage NEW, known to the node. */
struct mesh_pod *mesh_pod_new(struct mesh_node *node, json_t *obj);
char *mesh_pod_cgroup(const struct mesh_pod *pod);     /* caller frees */
char *mesh_pod_state_file(const struct mesh_pod *pod); /* caller frees */
/** A container's back-off is over. */
void mesh_container_due(struct mesh_loop *loop, struct mesh_timer *timer);
void mesh_pod_container_gone(struct mesh_container *c);
/** The status is to be computed and, if it differs, sent. */
void mesh_pod_report(struct mesh_pod *pod);
void mesh_pod_save(const struct mesh_pod *pod);
/** Reads the files of pods that were running; to be called before the API is watched. */
void mesh_pods_restore(struct mesh_node *node);
/** The list from the API is complete: what it does not have is removed. */
void mesh_pods_listed(struct mesh_node *node);
struct mesh_pod *mesh_pod_find(const struct mesh_node *node, const char *ns, const char *name);
/** Follows the pause process: without it, all starts again. */
void mesh_pod_watch_sandbox(struct mesh_pod *pod);
/** Its sandbox was lost: everything again, in a new one. */
void mesh_pod_new_sandbox(struct mesh_pod *pod);
bool mesh_pod_stopping(const struct mesh_pod *pod);

/** Computes and sends the status (mesh_pod_report() is the way in). */
json_t *mesh_pod_status(struct mesh_pod *pod);
const char *mesh_pod_phase(const struct mesh_pod *pod);

/** The cluster's CA (PEM) out of the kubeconfig; the caller frees; NULL if it has none. */
char *mesh_lab_ca(const struct mesh_lab *lab);
/** Files of a pod: resolv.conf, hosts, service account. Paths are below mesh_pod_dir(). */
char *mesh_pod_dir(const struct mesh_pod *pod);
int mesh_pod_files(const struct mesh_pod *pod);
/** Asks for a service account token and writes it; calls mesh_pod_step() when it is there or cannot be had. */
void mesh_pod_token(struct mesh_pod *pod);

/* ---- The node. */

struct mesh_node {
	struct mesh_loop *loop;
	struct mesh_lab lab;
	unsigned number;
	char name[16];
	char ip[MESH_LAB_TEXT];
	int netns; /* the node's own */
	struct mesh_kube *kube;
	struct mesh_lab_events *events;
	struct mesh_lab_cache pods, services, slices, configmaps, secrets;
	struct mesh_map by_uid; /* struct mesh_pod * */
	bool hosts[256];        /* last parts of addresses in use */
	unsigned next_host;
	struct mesh_timer lease, nft;
	bool nft_waits;
	bool registered;
	struct mesh_io server;
};

void mesh_node_event(struct mesh_pod *pod, const char *type, const char *reason, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/** For requests whose failure is only logged. */
void mesh_node_ignore(void *arg, const struct mesh_kube_response *r);
/** Registers the Node and keeps its lease. */
void mesh_node_register(struct mesh_node *node);
/** Services changed: rules are rebuilt soon. */
void mesh_node_services_changed(struct mesh_node *node);
/** Rules for nft that send ClusterIPs to endpoints; caller frees the text. */
char *mesh_node_rules(const struct mesh_lab_cache *services, const struct mesh_lab_cache *slices);
/** Listens for exec, attach and logs. Returns 0 or -errno. */
int mesh_node_serve(struct mesh_node *node);

#endif
