/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields of core/v1 PodTemplateSpec and all that is below it.
 */
#include "config/schema.h"
#include "config/schema_rows.h"

static const char *const values_does_not_exist_exists_gt[] = {"DoesNotExist", "Exists", "Gt", "In",
							      "Lt",           "NotIn",  NULL};
static const char *const values_http_https[] = {"HTTP", "HTTPS", NULL};
static const char *const values_sigabrt_sigalrm_sigbus[] = {
	"SIGABRT",     "SIGALRM",     "SIGBUS",      "SIGCHLD",     "SIGCLD",      "SIGCONT",     "SIGFPE",
	"SIGHUP",      "SIGILL",      "SIGINT",      "SIGIO",       "SIGIOT",      "SIGKILL",     "SIGPIPE",
	"SIGPOLL",     "SIGPROF",     "SIGPWR",      "SIGQUIT",     "SIGRTMAX",    "SIGRTMAX-1",  "SIGRTMAX-10",
	"SIGRTMAX-11", "SIGRTMAX-12", "SIGRTMAX-13", "SIGRTMAX-14", "SIGRTMAX-2",  "SIGRTMAX-3",  "SIGRTMAX-4",
	"SIGRTMAX-5",  "SIGRTMAX-6",  "SIGRTMAX-7",  "SIGRTMAX-8",  "SIGRTMAX-9",  "SIGRTMIN",    "SIGRTMIN+1",
	"SIGRTMIN+10", "SIGRTMIN+11", "SIGRTMIN+12", "SIGRTMIN+13", "SIGRTMIN+14", "SIGRTMIN+15", "SIGRTMIN+2",
	"SIGRTMIN+3",  "SIGRTMIN+4",  "SIGRTMIN+5",  "SIGRTMIN+6",  "SIGRTMIN+7",  "SIGRTMIN+8",  "SIGRTMIN+9",
	"SIGSEGV",     "SIGSTKFLT",   "SIGSTOP",     "SIGSYS",      "SIGTERM",     "SIGTRAP",     "SIGTSTP",
	"SIGTTIN",     "SIGTTOU",     "SIGURG",      "SIGUSR1",     "SIGUSR2",     "SIGVTALRM",   "SIGWINCH",
	"SIGXCPU",     "SIGXFSZ",     NULL};
static const char *const values_sctp_tcp_udp[] = {"SCTP", "TCP", "UDP", NULL};
static const char *const values_localhost_runtime_default_unconfined[] = {"Localhost", "RuntimeDefault", "Unconfined",
									  NULL};
static const char *const values_default_unmasked[] = {"Default", "Unmasked", NULL};
static const char *const values_bidirectional_host_to_container_none[] = {"Bidirectional", "HostToContainer", "None",
									  NULL};
static const char *const values_always_if_not_present_never[] = {"Always", "IfNotPresent", "Never", NULL};
static const char *const values_fallback_to_logs_on_error_file[] = {"FallbackToLogsOnError", "File", NULL};
static const char *const values_always_on_root_mismatch[] = {"Always", "OnRootMismatch", NULL};
static const char *const values_merge_strict[] = {"Merge", "Strict", NULL};
static const char *const values_no_execute_no_schedule_prefer_no_schedule[] = {"NoExecute", "NoSchedule",
									       "PreferNoSchedule", NULL};
static const char *const values_equal_exists[] = {"Equal", "Exists", NULL};
static const char *const values_honor_ignore[] = {"Honor", "Ignore", NULL};
static const char *const values_do_not_schedule_schedule_anyway[] = {"DoNotSchedule", "ScheduleAnyway", NULL};
static const char *const values_none_read_only_read_write[] = {"None", "ReadOnly", "ReadWrite", NULL};
static const char *const values_dedicated_managed_shared[] = {"Dedicated", "Managed", "Shared", NULL};
static const char *const values_read_only_many_read_write_many_read_write[] = {
	"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod", NULL};
static const char *const values_block_filesystem[] = {"Block", "Filesystem", NULL};
static const char *const values_empty_block_device_char_device[] = {
	"", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket", NULL};
static const char *const values_cluster_first_cluster_first_with_host_net[] = {
	"ClusterFirst", "ClusterFirstWithHostNet", "Default", "None", NULL};
static const char *const values_never_preempt_lower_priority[] = {"Never", "PreemptLowerPriority", NULL};
static const char *const values_always_never_on_failure[] = {"Always", "Never", "OnFailure", NULL};

static const struct mesh_field node_selector_requirement_fields[] = {
	FIELD("key", STRING, .flags = REQUIRED),
	FIELD("operator", STRING, .flags = REQUIRED, .values = values_does_not_exist_exists_gt),
	LIST("values", STRING),
	{.name = NULL},
};

static const struct mesh_schema node_selector_requirement_schema = {
	.name = "io.k8s.api.core.v1.NodeSelectorRequirement", .fields = node_selector_requirement_fields};

static const struct mesh_field node_selector_term_fields[] = {
	LIST_OF("matchExpressions", &node_selector_requirement_schema),
	LIST_OF("matchFields", &node_selector_requirement_schema),
	{.name = NULL},
};

static const struct mesh_schema node_selector_term_schema = {.name = "io.k8s.api.core.v1.NodeSelectorTerm",
							     .fields = node_selector_term_fields};

static const struct mesh_field preferred_scheduling_term_fields[] = {
	OBJECT("preference", &node_selector_term_schema, .flags = REQUIRED),
	FIELD("weight", INT32, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema preferred_scheduling_term_schema = {
	.name = "io.k8s.api.core.v1.PreferredSchedulingTerm", .fields = preferred_scheduling_term_fields};

static const struct mesh_field node_selector_fields[] = {
	LIST_OF("nodeSelectorTerms", &node_selector_term_schema, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema node_selector_schema = {.name = "io.k8s.api.core.v1.NodeSelector",
							.fields = node_selector_fields};

static const struct mesh_field node_affinity_fields[] = {
	LIST_OF("preferredDuringSchedulingIgnoredDuringExecution", &preferred_scheduling_term_schema),
	OBJECT("requiredDuringSchedulingIgnoredDuringExecution", &node_selector_schema),
	{.name = NULL},
};

static const struct mesh_schema node_affinity_schema = {.name = "io.k8s.api.core.v1.NodeAffinity",
							.fields = node_affinity_fields};

static const struct mesh_field pod_affinity_term_fields[] = {
	OBJECT("labelSelector", &mesh_schema_label_selector),
	LIST("matchLabelKeys", STRING),
	LIST("mismatchLabelKeys", STRING),
	OBJECT("namespaceSelector", &mesh_schema_label_selector),
	LIST("namespaces", STRING),
	FIELD("topologyKey", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema pod_affinity_term_schema = {.name = "io.k8s.api.core.v1.PodAffinityTerm",
							    .fields = pod_affinity_term_fields};

static const struct mesh_field weighted_pod_affinity_term_fields[] = {
	OBJECT("podAffinityTerm", &pod_affinity_term_schema, .flags = REQUIRED),
	FIELD("weight", INT32, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema weighted_pod_affinity_term_schema = {
	.name = "io.k8s.api.core.v1.WeightedPodAffinityTerm", .fields = weighted_pod_affinity_term_fields};

static const struct mesh_field pod_affinity_fields[] = {
	LIST_OF("preferredDuringSchedulingIgnoredDuringExecution", &weighted_pod_affinity_term_schema),
	LIST_OF("requiredDuringSchedulingIgnoredDuringExecution", &pod_affinity_term_schema),
	{.name = NULL},
};

static const struct mesh_schema pod_affinity_schema = {.name = "io.k8s.api.core.v1.PodAffinity",
						       .fields = pod_affinity_fields};

static const struct mesh_field pod_anti_affinity_fields[] = {
	LIST_OF("preferredDuringSchedulingIgnoredDuringExecution", &weighted_pod_affinity_term_schema),
	LIST_OF("requiredDuringSchedulingIgnoredDuringExecution", &pod_affinity_term_schema),
	{.name = NULL},
};

static const struct mesh_schema pod_anti_affinity_schema = {.name = "io.k8s.api.core.v1.PodAntiAffinity",
							    .fields = pod_anti_affinity_fields};

static const struct mesh_field affinity_fields[] = {
	OBJECT("nodeAffinity", &node_affinity_schema),
	OBJECT("podAffinity", &pod_affinity_schema),
	OBJECT("podAntiAffinity", &pod_anti_affinity_schema),
	{.name = NULL},
};

static const struct mesh_schema affinity_schema = {.name = "io.k8s.api.core.v1.Affinity", .fields = affinity_fields};

static const struct mesh_field config_map_key_selector_fields[] = {
	FIELD("key", STRING, .flags = REQUIRED),
	FIELD("name", STRING),
	FIELD("optional", BOOL),
	{.name = NULL},
};

static const struct mesh_schema config_map_key_selector_schema = {.name = "io.k8s.api.core.v1.ConfigMapKeySelector",
								  .fields = config_map_key_selector_fields};

static const struct mesh_field object_field_selector_fields[] = {
	FIELD("apiVersion", STRING),
	FIELD("fieldPath", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema object_field_selector_schema = {.name = "io.k8s.api.core.v1.ObjectFieldSelector",
								.fields = object_field_selector_fields};

static const struct mesh_field file_key_selector_fields[] = {
	FIELD("key", STRING, .flags = REQUIRED),
	FIELD("optional", BOOL),
	FIELD("path", STRING, .flags = REQUIRED),
	FIELD("volumeName", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema file_key_selector_schema = {.name = "io.k8s.api.core.v1.FileKeySelector",
							    .fields = file_key_selector_fields};

static const struct mesh_field resource_field_selector_fields[] = {
	FIELD("containerName", STRING),
	FIELD("divisor", QUANTITY),
	FIELD("resource", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema resource_field_selector_schema = {.name = "io.k8s.api.core.v1.ResourceFieldSelector",
								  .fields = resource_field_selector_fields};

static const struct mesh_field secret_key_selector_fields[] = {
	FIELD("key", STRING, .flags = REQUIRED),
	FIELD("name", STRING),
	FIELD("optional", BOOL),
	{.name = NULL},
};

static const struct mesh_schema secret_key_selector_schema = {.name = "io.k8s.api.core.v1.SecretKeySelector",
							      .fields = secret_key_selector_fields};

static const struct mesh_field env_var_source_fields[] = {
	OBJECT("configMapKeyRef", &config_map_key_selector_schema),
	OBJECT("fieldRef", &object_field_selector_schema),
	OBJECT("fileKeyRef", &file_key_selector_schema),
	OBJECT("resourceFieldRef", &resource_field_selector_schema),
	OBJECT("secretKeyRef", &secret_key_selector_schema),
	{.name = NULL},
};

static const struct mesh_schema env_var_source_schema = {.name = "io.k8s.api.core.v1.EnvVarSource",
							 .fields = env_var_source_fields};

static const struct mesh_field env_var_fields[] = {
	FIELD("name", STRING, .flags = REQUIRED),
	FIELD("value", STRING),
	OBJECT("valueFrom", &env_var_source_schema),
	{.name = NULL},
};

static const struct mesh_schema env_var_schema = {.name = "io.k8s.api.core.v1.EnvVar", .fields = env_var_fields};

static const struct mesh_field config_map_env_source_fields[] = {
	FIELD("name", STRING),
	FIELD("optional", BOOL),
	{.name = NULL},
};

static const struct mesh_schema config_map_env_source_schema = {.name = "io.k8s.api.core.v1.ConfigMapEnvSource",
								.fields = config_map_env_source_fields};

static const struct mesh_field secret_env_source_fields[] = {
	FIELD("name", STRING),
	FIELD("optional", BOOL),
	{.name = NULL},
};

static const struct mesh_schema secret_env_source_schema = {.name = "io.k8s.api.core.v1.SecretEnvSource",
							    .fields = secret_env_source_fields};

static const struct mesh_field env_from_source_fields[] = {
	OBJECT("configMapRef", &config_map_env_source_schema),
	FIELD("prefix", STRING),
	OBJECT("secretRef", &secret_env_source_schema),
	{.name = NULL},
};

static const struct mesh_schema env_from_source_schema = {.name = "io.k8s.api.core.v1.EnvFromSource",
							  .fields = env_from_source_fields};

static const struct mesh_field exec_action_fields[] = {
	LIST("command", STRING),
	{.name = NULL},
};

static const struct mesh_schema exec_action_schema = {.name = "io.k8s.api.core.v1.ExecAction",
						      .fields = exec_action_fields};

static const struct mesh_field http_header_fields[] = {
	FIELD("name", STRING, .flags = REQUIRED),
	FIELD("value", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema http_header_schema = {.name = "io.k8s.api.core.v1.HTTPHeader",
						      .fields = http_header_fields};

static const struct mesh_field http_get_action_fields[] = {
	FIELD("host", STRING),
	LIST_OF("httpHeaders", &http_header_schema),
	FIELD("path", STRING),
	FIELD("port", INT_OR_STRING, .flags = REQUIRED),
	FIELD("scheme", STRING, .values = values_http_https),
	{.name = NULL},
};

static const struct mesh_schema http_get_action_schema = {.name = "io.k8s.api.core.v1.HTTPGetAction",
							  .fields = http_get_action_fields};

static const struct mesh_field sleep_action_fields[] = {
	FIELD("seconds", INT64, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema sleep_action_schema = {.name = "io.k8s.api.core.v1.SleepAction",
						       .fields = sleep_action_fields};

static const struct mesh_field tcp_socket_action_fields[] = {
	FIELD("host", STRING),
	FIELD("port", INT_OR_STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema tcp_socket_action_schema = {.name = "io.k8s.api.core.v1.TCPSocketAction",
							    .fields = tcp_socket_action_fields};

static const struct mesh_field lifecycle_handler_fields[] = {
	OBJECT("exec", &exec_action_schema),
	OBJECT("httpGet", &http_get_action_schema),
	OBJECT("sleep", &sleep_action_schema),
	OBJECT("tcpSocket", &tcp_socket_action_schema),
	{.name = NULL},
};

static const struct mesh_schema lifecycle_handler_schema = {.name = "io.k8s.api.core.v1.LifecycleHandler",
							    .fields = lifecycle_handler_fields};

static const struct mesh_field lifecycle_fields[] = {
	OBJECT("postStart", &lifecycle_handler_schema),
	OBJECT("preStop", &lifecycle_handler_schema),
	FIELD("stopSignal", STRING, .values = values_sigabrt_sigalrm_sigbus),
	{.name = NULL},
};

static const struct mesh_schema lifecycle_schema = {.name = "io.k8s.api.core.v1.Lifecycle", .fields = lifecycle_fields};

static const struct mesh_field grpc_action_fields[] = {
	FIELD("port", INT32, .flags = REQUIRED),
	FIELD("service", STRING),
	{.name = NULL},
};

static const struct mesh_schema grpc_action_schema = {.name = "io.k8s.api.core.v1.GRPCAction",
						      .fields = grpc_action_fields};

static const struct mesh_field probe_fields[] = {
	OBJECT("exec", &exec_action_schema),
	FIELD("failureThreshold", INT32),
	OBJECT("grpc", &grpc_action_schema),
	OBJECT("httpGet", &http_get_action_schema),
	FIELD("initialDelaySeconds", INT32),
	FIELD("periodSeconds", INT32),
	FIELD("successThreshold", INT32),
	OBJECT("tcpSocket", &tcp_socket_action_schema),
	FIELD("terminationGracePeriodSeconds", INT64),
	FIELD("timeoutSeconds", INT32),
	{.name = NULL},
};

static const struct mesh_schema probe_schema = {.name = "io.k8s.api.core.v1.Probe", .fields = probe_fields};

static const struct mesh_field container_port_fields[] = {
	FIELD("containerPort", INT32, .flags = REQUIRED),
	FIELD("hostIP", STRING),
	FIELD("hostPort", INT32),
	FIELD("name", STRING),
	FIELD("protocol", STRING, .values = values_sctp_tcp_udp),
	{.name = NULL},
};

static const struct mesh_schema container_port_schema = {.name = "io.k8s.api.core.v1.ContainerPort",
							 .fields = container_port_fields};

static const struct mesh_field container_resize_policy_fields[] = {
	FIELD("resourceName", STRING, .flags = REQUIRED),
	FIELD("restartPolicy", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema container_resize_policy_schema = {.name = "io.k8s.api.core.v1.ContainerResizePolicy",
								  .fields = container_resize_policy_fields};

static const struct mesh_field resource_claim_fields[] = {
	FIELD("name", STRING, .flags = REQUIRED),
	FIELD("request", STRING),
	{.name = NULL},
};

static const struct mesh_schema resource_claim_schema = {.name = "io.k8s.api.core.v1.ResourceClaim",
							 .fields = resource_claim_fields};

static const struct mesh_field resource_requirements_fields[] = {
	LIST_OF("claims", &resource_claim_schema),
	MAP("limits", QUANTITY),
	MAP("requests", QUANTITY),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_resource_requirements = {.name = "io.k8s.api.core.v1.ResourceRequirements",
							      .fields = resource_requirements_fields};

static const struct mesh_field container_restart_rule_on_exit_codes_fields[] = {
	FIELD("operator", STRING, .flags = REQUIRED),
	LIST("values", INT32),
	{.name = NULL},
};

static const struct mesh_schema container_restart_rule_on_exit_codes_schema = {
	.name = "io.k8s.api.core.v1.ContainerRestartRuleOnExitCodes",
	.fields = container_restart_rule_on_exit_codes_fields};

static const struct mesh_field container_restart_rule_fields[] = {
	FIELD("action", STRING, .flags = REQUIRED),
	OBJECT("exitCodes", &container_restart_rule_on_exit_codes_schema),
	{.name = NULL},
};

static const struct mesh_schema container_restart_rule_schema = {.name = "io.k8s.api.core.v1.ContainerRestartRule",
								 .fields = container_restart_rule_fields};

static const struct mesh_field app_armor_profile_fields[] = {
	FIELD("localhostProfile", STRING),
	FIELD("type", STRING, .flags = REQUIRED, .values = values_localhost_runtime_default_unconfined),
	{.name = NULL},
};

static const struct mesh_schema app_armor_profile_schema = {.name = "io.k8s.api.core.v1.AppArmorProfile",
							    .fields = app_armor_profile_fields};

static const struct mesh_field capabilities_fields[] = {
	LIST("add", STRING),
	LIST("drop", STRING),
	{.name = NULL},
};

static const struct mesh_schema capabilities_schema = {.name = "io.k8s.api.core.v1.Capabilities",
						       .fields = capabilities_fields};

static const struct mesh_field se_linux_options_fields[] = {
	FIELD("level", STRING), FIELD("role", STRING), FIELD("type", STRING), FIELD("user", STRING), {.name = NULL},
};

static const struct mesh_schema se_linux_options_schema = {.name = "io.k8s.api.core.v1.SELinuxOptions",
							   .fields = se_linux_options_fields};

static const struct mesh_field seccomp_profile_fields[] = {
	FIELD("localhostProfile", STRING),
	FIELD("type", STRING, .flags = REQUIRED, .values = values_localhost_runtime_default_unconfined),
	{.name = NULL},
};

static const struct mesh_schema seccomp_profile_schema = {.name = "io.k8s.api.core.v1.SeccompProfile",
							  .fields = seccomp_profile_fields};

static const struct mesh_field windows_security_context_options_fields[] = {
	FIELD("gmsaCredentialSpec", STRING),
	FIELD("gmsaCredentialSpecName", STRING),
	FIELD("hostProcess", BOOL),
	FIELD("runAsUserName", STRING),
	{.name = NULL},
};

static const struct mesh_schema windows_security_context_options_schema = {
	.name = "io.k8s.api.core.v1.WindowsSecurityContextOptions", .fields = windows_security_context_options_fields};

static const struct mesh_field security_context_fields[] = {
	FIELD("allowPrivilegeEscalation", BOOL),
	OBJECT("appArmorProfile", &app_armor_profile_schema),
	OBJECT("capabilities", &capabilities_schema),
	FIELD("privileged", BOOL),
	FIELD("procMount", STRING, .values = values_default_unmasked),
	FIELD("readOnlyRootFilesystem", BOOL),
	FIELD("runAsGroup", INT64),
	FIELD("runAsNonRoot", BOOL),
	FIELD("runAsUser", INT64),
	OBJECT("seLinuxOptions", &se_linux_options_schema),
	OBJECT("seccompProfile", &seccomp_profile_schema),
	OBJECT("windowsOptions", &windows_security_context_options_schema),
	{.name = NULL},
};

static const struct mesh_schema security_context_schema = {.name = "io.k8s.api.core.v1.SecurityContext",
							   .fields = security_context_fields};

static const struct mesh_field volume_device_fields[] = {
	FIELD("devicePath", STRING, .flags = REQUIRED),
	FIELD("name", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema volume_device_schema = {.name = "io.k8s.api.core.v1.VolumeDevice",
							.fields = volume_device_fields};

static const struct mesh_field volume_mount_fields[] = {
	FIELD("mountPath", STRING, .flags = REQUIRED),
	FIELD("mountPropagation", STRING, .values = values_bidirectional_host_to_container_none),
	FIELD("name", STRING, .flags = REQUIRED),
	FIELD("readOnly", BOOL),
	FIELD("recursiveReadOnly", STRING),
	FIELD("subPath", STRING),
	FIELD("subPathExpr", STRING),
	{.name = NULL},
};

static const struct mesh_schema volume_mount_schema = {.name = "io.k8s.api.core.v1.VolumeMount",
						       .fields = volume_mount_fields};

static const struct mesh_field container_fields[] = {
	LIST("args", STRING),
	LIST("command", STRING),
	LIST_OF("env", &env_var_schema, .merge_key = "name"),
	LIST_OF("envFrom", &env_from_source_schema),
	FIELD("image", STRING),
	FIELD("imagePullPolicy", STRING, .values = values_always_if_not_present_never),
	OBJECT("lifecycle", &lifecycle_schema),
	OBJECT("livenessProbe", &probe_schema),
	FIELD("name", STRING, .flags = REQUIRED),
	LIST_OF("ports", &container_port_schema, .merge_key = "containerPort"),
	OBJECT("readinessProbe", &probe_schema),
	LIST_OF("resizePolicy", &container_resize_policy_schema),
	OBJECT("resources", &mesh_schema_resource_requirements),
	FIELD("restartPolicy", STRING),
	LIST_OF("restartPolicyRules", &container_restart_rule_schema),
	OBJECT("securityContext", &security_context_schema),
	OBJECT("startupProbe", &probe_schema),
	FIELD("stdin", BOOL),
	FIELD("stdinOnce", BOOL),
	FIELD("terminationMessagePath", STRING),
	FIELD("terminationMessagePolicy", STRING, .values = values_fallback_to_logs_on_error_file),
	FIELD("tty", BOOL),
	LIST_OF("volumeDevices", &volume_device_schema, .merge_key = "devicePath"),
	LIST_OF("volumeMounts", &volume_mount_schema, .merge_key = "mountPath"),
	FIELD("workingDir", STRING),
	{.name = NULL},
};

static const struct mesh_schema container_schema = {.name = "io.k8s.api.core.v1.Container", .fields = container_fields};

static const struct mesh_field pod_dns_config_option_fields[] = {
	FIELD("name", STRING),
	FIELD("value", STRING),
	{.name = NULL},
};

static const struct mesh_schema pod_dns_config_option_schema = {.name = "io.k8s.api.core.v1.PodDNSConfigOption",
								.fields = pod_dns_config_option_fields};

static const struct mesh_field pod_dns_config_fields[] = {
	LIST("nameservers", STRING),
	LIST_OF("options", &pod_dns_config_option_schema),
	LIST("searches", STRING),
	{.name = NULL},
};

static const struct mesh_schema pod_dns_config_schema = {.name = "io.k8s.api.core.v1.PodDNSConfig",
							 .fields = pod_dns_config_fields};

static const struct mesh_field ephemeral_container_fields[] = {
	LIST("args", STRING),
	LIST("command", STRING),
	LIST_OF("env", &env_var_schema, .merge_key = "name"),
	LIST_OF("envFrom", &env_from_source_schema),
	FIELD("image", STRING),
	FIELD("imagePullPolicy", STRING, .values = values_always_if_not_present_never),
	OBJECT("lifecycle", &lifecycle_schema),
	OBJECT("livenessProbe", &probe_schema),
	FIELD("name", STRING, .flags = REQUIRED),
	LIST_OF("ports", &container_port_schema, .merge_key = "containerPort"),
	OBJECT("readinessProbe", &probe_schema),
	LIST_OF("resizePolicy", &container_resize_policy_schema),
	OBJECT("resources", &mesh_schema_resource_requirements),
	FIELD("restartPolicy", STRING),
	LIST_OF("restartPolicyRules", &container_restart_rule_schema),
	OBJECT("securityContext", &security_context_schema),
	OBJECT("startupProbe", &probe_schema),
	FIELD("stdin", BOOL),
	FIELD("stdinOnce", BOOL),
	FIELD("targetContainerName", STRING),
	FIELD("terminationMessagePath", STRING),
	FIELD("terminationMessagePolicy", STRING, .values = values_fallback_to_logs_on_error_file),
	FIELD("tty", BOOL),
	LIST_OF("volumeDevices", &volume_device_schema, .merge_key = "devicePath"),
	LIST_OF("volumeMounts", &volume_mount_schema, .merge_key = "mountPath"),
	FIELD("workingDir", STRING),
	{.name = NULL},
};

static const struct mesh_schema ephemeral_container_schema = {.name = "io.k8s.api.core.v1.EphemeralContainer",
							      .fields = ephemeral_container_fields};

static const struct mesh_field host_alias_fields[] = {
	LIST("hostnames", STRING),
	FIELD("ip", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema host_alias_schema = {.name = "io.k8s.api.core.v1.HostAlias",
						     .fields = host_alias_fields};

static const struct mesh_field local_object_reference_fields[] = {
	FIELD("name", STRING),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_local_object_reference = {.name = "io.k8s.api.core.v1.LocalObjectReference",
							       .fields = local_object_reference_fields};

static const struct mesh_field pod_os_fields[] = {
	FIELD("name", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema pod_os_schema = {.name = "io.k8s.api.core.v1.PodOS", .fields = pod_os_fields};

static const struct mesh_field pod_readiness_gate_fields[] = {
	FIELD("conditionType", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema pod_readiness_gate_schema = {.name = "io.k8s.api.core.v1.PodReadinessGate",
							     .fields = pod_readiness_gate_fields};

static const struct mesh_field pod_resource_claim_fields[] = {
	FIELD("name", STRING, .flags = REQUIRED),
	FIELD("resourceClaimName", STRING),
	FIELD("resourceClaimTemplateName", STRING),
	{.name = NULL},
};

static const struct mesh_schema pod_resource_claim_schema = {.name = "io.k8s.api.core.v1.PodResourceClaim",
							     .fields = pod_resource_claim_fields};

static const struct mesh_field pod_scheduling_gate_fields[] = {
	FIELD("name", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema pod_scheduling_gate_schema = {.name = "io.k8s.api.core.v1.PodSchedulingGate",
							      .fields = pod_scheduling_gate_fields};

static const struct mesh_field sysctl_fields[] = {
	FIELD("name", STRING, .flags = REQUIRED),
	FIELD("value", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema sysctl_schema = {.name = "io.k8s.api.core.v1.Sysctl", .fields = sysctl_fields};

static const struct mesh_field pod_security_context_fields[] = {
	OBJECT("appArmorProfile", &app_armor_profile_schema),
	FIELD("fsGroup", INT64),
	FIELD("fsGroupChangePolicy", STRING, .values = values_always_on_root_mismatch),
	FIELD("runAsGroup", INT64),
	FIELD("runAsNonRoot", BOOL),
	FIELD("runAsUser", INT64),
	FIELD("seLinuxChangePolicy", STRING),
	OBJECT("seLinuxOptions", &se_linux_options_schema),
	OBJECT("seccompProfile", &seccomp_profile_schema),
	LIST("supplementalGroups", INT64),
	FIELD("supplementalGroupsPolicy", STRING, .values = values_merge_strict),
	LIST_OF("sysctls", &sysctl_schema),
	OBJECT("windowsOptions", &windows_security_context_options_schema),
	{.name = NULL},
};

static const struct mesh_schema pod_security_context_schema = {.name = "io.k8s.api.core.v1.PodSecurityContext",
							       .fields = pod_security_context_fields};

static const struct mesh_field toleration_fields[] = {
	FIELD("effect", STRING, .values = values_no_execute_no_schedule_prefer_no_schedule),
	FIELD("key", STRING),
	FIELD("operator", STRING, .values = values_equal_exists),
	FIELD("tolerationSeconds", INT64),
	FIELD("value", STRING),
	{.name = NULL},
};

static const struct mesh_schema toleration_schema = {.name = "io.k8s.api.core.v1.Toleration",
						     .fields = toleration_fields};

static const struct mesh_field topology_spread_constraint_fields[] = {
	OBJECT("labelSelector", &mesh_schema_label_selector),
	LIST("matchLabelKeys", STRING),
	FIELD("maxSkew", INT32, .flags = REQUIRED),
	FIELD("minDomains", INT32),
	FIELD("nodeAffinityPolicy", STRING, .values = values_honor_ignore),
	FIELD("nodeTaintsPolicy", STRING, .values = values_honor_ignore),
	FIELD("topologyKey", STRING, .flags = REQUIRED),
	FIELD("whenUnsatisfiable", STRING, .flags = REQUIRED, .values = values_do_not_schedule_schedule_anyway),
	{.name = NULL},
};

static const struct mesh_schema topology_spread_constraint_schema = {
	.name = "io.k8s.api.core.v1.TopologySpreadConstraint", .fields = topology_spread_constraint_fields};

static const struct mesh_field aws_elastic_block_store_volume_source_fields[] = {
	FIELD("fsType", STRING), FIELD("partition", INT32),
	FIELD("readOnly", BOOL), FIELD("volumeID", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema aws_elastic_block_store_volume_source_schema = {
	.name = "io.k8s.api.core.v1.AWSElasticBlockStoreVolumeSource",
	.fields = aws_elastic_block_store_volume_source_fields};

static const struct mesh_field azure_disk_volume_source_fields[] = {
	FIELD("cachingMode", STRING, .values = values_none_read_only_read_write),
	FIELD("diskName", STRING, .flags = REQUIRED),
	FIELD("diskURI", STRING, .flags = REQUIRED),
	FIELD("fsType", STRING),
	FIELD("kind", STRING, .values = values_dedicated_managed_shared),
	FIELD("readOnly", BOOL),
	{.name = NULL},
};

static const struct mesh_schema azure_disk_volume_source_schema = {.name = "io.k8s.api.core.v1.AzureDiskVolumeSource",
								   .fields = azure_disk_volume_source_fields};

static const struct mesh_field azure_file_volume_source_fields[] = {
	FIELD("readOnly", BOOL),
	FIELD("secretName", STRING, .flags = REQUIRED),
	FIELD("shareName", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema azure_file_volume_source_schema = {.name = "io.k8s.api.core.v1.AzureFileVolumeSource",
								   .fields = azure_file_volume_source_fields};

static const struct mesh_field ceph_fs_volume_source_fields[] = {
	LIST("monitors", STRING, .flags = REQUIRED),
	FIELD("path", STRING),
	FIELD("readOnly", BOOL),
	FIELD("secretFile", STRING),
	OBJECT("secretRef", &mesh_schema_local_object_reference),
	FIELD("user", STRING),
	{.name = NULL},
};

static const struct mesh_schema ceph_fs_volume_source_schema = {.name = "io.k8s.api.core.v1.CephFSVolumeSource",
								.fields = ceph_fs_volume_source_fields};

static const struct mesh_field cinder_volume_source_fields[] = {
	FIELD("fsType", STRING),
	FIELD("readOnly", BOOL),
	OBJECT("secretRef", &mesh_schema_local_object_reference),
	FIELD("volumeID", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema cinder_volume_source_schema = {.name = "io.k8s.api.core.v1.CinderVolumeSource",
							       .fields = cinder_volume_source_fields};

static const struct mesh_field key_to_path_fields[] = {
	FIELD("key", STRING, .flags = REQUIRED),
	FIELD("mode", INT32),
	FIELD("path", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema key_to_path_schema = {.name = "io.k8s.api.core.v1.KeyToPath",
						      .fields = key_to_path_fields};

static const struct mesh_field config_map_volume_source_fields[] = {
	FIELD("defaultMode", INT32),
	LIST_OF("items", &key_to_path_schema),
	FIELD("name", STRING),
	FIELD("optional", BOOL),
	{.name = NULL},
};

static const struct mesh_schema config_map_volume_source_schema = {.name = "io.k8s.api.core.v1.ConfigMapVolumeSource",
								   .fields = config_map_volume_source_fields};

static const struct mesh_field csi_volume_source_fields[] = {
	FIELD("driver", STRING, .flags = REQUIRED),
	FIELD("fsType", STRING),
	OBJECT("nodePublishSecretRef", &mesh_schema_local_object_reference),
	FIELD("readOnly", BOOL),
	MAP("volumeAttributes", STRING),
	{.name = NULL},
};

static const struct mesh_schema csi_volume_source_schema = {.name = "io.k8s.api.core.v1.CSIVolumeSource",
							    .fields = csi_volume_source_fields};

static const struct mesh_field downward_api_volume_file_fields[] = {
	OBJECT("fieldRef", &object_field_selector_schema),
	FIELD("mode", INT32),
	FIELD("path", STRING, .flags = REQUIRED),
	OBJECT("resourceFieldRef", &resource_field_selector_schema),
	{.name = NULL},
};

static const struct mesh_schema downward_api_volume_file_schema = {.name = "io.k8s.api.core.v1.DownwardAPIVolumeFile",
								   .fields = downward_api_volume_file_fields};

static const struct mesh_field downward_api_volume_source_fields[] = {
	FIELD("defaultMode", INT32),
	LIST_OF("items", &downward_api_volume_file_schema),
	{.name = NULL},
};

static const struct mesh_schema downward_api_volume_source_schema = {
	.name = "io.k8s.api.core.v1.DownwardAPIVolumeSource", .fields = downward_api_volume_source_fields};

static const struct mesh_field empty_dir_volume_source_fields[] = {
	FIELD("medium", STRING),
	FIELD("sizeLimit", QUANTITY),
	{.name = NULL},
};

static const struct mesh_schema empty_dir_volume_source_schema = {.name = "io.k8s.api.core.v1.EmptyDirVolumeSource",
								  .fields = empty_dir_volume_source_fields};

static const struct mesh_field typed_local_object_reference_fields[] = {
	FIELD("apiGroup", STRING),
	FIELD("kind", STRING, .flags = REQUIRED),
	FIELD("name", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema typed_local_object_reference_schema = {
	.name = "io.k8s.api.core.v1.TypedLocalObjectReference", .fields = typed_local_object_reference_fields};

static const struct mesh_field typed_object_reference_fields[] = {
	FIELD("apiGroup", STRING),
	FIELD("kind", STRING, .flags = REQUIRED),
	FIELD("name", STRING, .flags = REQUIRED),
	FIELD("namespace", STRING),
	{.name = NULL},
};

static const struct mesh_schema typed_object_reference_schema = {.name = "io.k8s.api.core.v1.TypedObjectReference",
								 .fields = typed_object_reference_fields};

static const struct mesh_field volume_resource_requirements_fields[] = {
	MAP("limits", QUANTITY),
	MAP("requests", QUANTITY),
	{.name = NULL},
};

static const struct mesh_schema volume_resource_requirements_schema = {
	.name = "io.k8s.api.core.v1.VolumeResourceRequirements", .fields = volume_resource_requirements_fields};

static const struct mesh_field persistent_volume_claim_spec_fields[] = {
	LIST("accessModes", STRING, .values = values_read_only_many_read_write_many_read_write),
	OBJECT("dataSource", &typed_local_object_reference_schema),
	OBJECT("dataSourceRef", &typed_object_reference_schema),
	OBJECT("resources", &volume_resource_requirements_schema),
	OBJECT("selector", &mesh_schema_label_selector),
	FIELD("storageClassName", STRING),
	FIELD("volumeAttributesClassName", STRING),
	FIELD("volumeMode", STRING, .values = values_block_filesystem),
	FIELD("volumeName", STRING),
	{.name = NULL},
};

static const struct mesh_schema persistent_volume_claim_spec_schema = {
	.name = "io.k8s.api.core.v1.PersistentVolumeClaimSpec", .fields = persistent_volume_claim_spec_fields};

static const struct mesh_field persistent_volume_claim_template_fields[] = {
	OBJECT("metadata", &mesh_schema_object_meta),
	OBJECT("spec", &persistent_volume_claim_spec_schema, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema persistent_volume_claim_template_schema = {
	.name = "io.k8s.api.core.v1.PersistentVolumeClaimTemplate", .fields = persistent_volume_claim_template_fields};

static const struct mesh_field ephemeral_volume_source_fields[] = {
	OBJECT("volumeClaimTemplate", &persistent_volume_claim_template_schema),
	{.name = NULL},
};

static const struct mesh_schema ephemeral_volume_source_schema = {.name = "io.k8s.api.core.v1.EphemeralVolumeSource",
								  .fields = ephemeral_volume_source_fields};

static const struct mesh_field fc_volume_source_fields[] = {
	FIELD("fsType", STRING),    FIELD("lun", INT32),   FIELD("readOnly", BOOL),
	LIST("targetWWNs", STRING), LIST("wwids", STRING), {.name = NULL},
};

static const struct mesh_schema fc_volume_source_schema = {.name = "io.k8s.api.core.v1.FCVolumeSource",
							   .fields = fc_volume_source_fields};

static const struct mesh_field flex_volume_source_fields[] = {
	FIELD("driver", STRING, .flags = REQUIRED),
	FIELD("fsType", STRING),
	MAP("options", STRING),
	FIELD("readOnly", BOOL),
	OBJECT("secretRef", &mesh_schema_local_object_reference),
	{.name = NULL},
};

static const struct mesh_schema flex_volume_source_schema = {.name = "io.k8s.api.core.v1.FlexVolumeSource",
							     .fields = flex_volume_source_fields};

static const struct mesh_field flocker_volume_source_fields[] = {
	FIELD("datasetName", STRING),
	FIELD("datasetUUID", STRING),
	{.name = NULL},
};

static const struct mesh_schema flocker_volume_source_schema = {.name = "io.k8s.api.core.v1.FlockerVolumeSource",
								.fields = flocker_volume_source_fields};

static const struct mesh_field gce_persistent_disk_volume_source_fields[] = {
	FIELD("fsType", STRING),
	FIELD("partition", INT32),
	FIELD("pdName", STRING, .flags = REQUIRED),
	FIELD("readOnly", BOOL),
	{.name = NULL},
};

static const struct mesh_schema gce_persistent_disk_volume_source_schema = {
	.name = "io.k8s.api.core.v1.GCEPersistentDiskVolumeSource", .fields = gce_persistent_disk_volume_source_fields};

static const struct mesh_field git_repo_volume_source_fields[] = {
	FIELD("directory", STRING),
	FIELD("repository", STRING, .flags = REQUIRED),
	FIELD("revision", STRING),
	{.name = NULL},
};

static const struct mesh_schema git_repo_volume_source_schema = {.name = "io.k8s.api.core.v1.GitRepoVolumeSource",
								 .fields = git_repo_volume_source_fields};

static const struct mesh_field glusterfs_volume_source_fields[] = {
	FIELD("endpoints", STRING, .flags = REQUIRED),
	FIELD("path", STRING, .flags = REQUIRED),
	FIELD("readOnly", BOOL),
	{.name = NULL},
};

static const struct mesh_schema glusterfs_volume_source_schema = {.name = "io.k8s.api.core.v1.GlusterfsVolumeSource",
								  .fields = glusterfs_volume_source_fields};

static const struct mesh_field host_path_volume_source_fields[] = {
	FIELD("path", STRING, .flags = REQUIRED),
	FIELD("type", STRING, .values = values_empty_block_device_char_device),
	{.name = NULL},
};

static const struct mesh_schema host_path_volume_source_schema = {.name = "io.k8s.api.core.v1.HostPathVolumeSource",
								  .fields = host_path_volume_source_fields};

static const struct mesh_field image_volume_source_fields[] = {
	FIELD("pullPolicy", STRING, .values = values_always_if_not_present_never),
	FIELD("reference", STRING),
	{.name = NULL},
};

static const struct mesh_schema image_volume_source_schema = {.name = "io.k8s.api.core.v1.ImageVolumeSource",
							      .fields = image_volume_source_fields};

static const struct mesh_field iscsi_volume_source_fields[] = {
	FIELD("chapAuthDiscovery", BOOL),
	FIELD("chapAuthSession", BOOL),
	FIELD("fsType", STRING),
	FIELD("initiatorName", STRING),
	FIELD("iqn", STRING, .flags = REQUIRED),
	FIELD("iscsiInterface", STRING),
	FIELD("lun", INT32, .flags = REQUIRED),
	LIST("portals", STRING),
	FIELD("readOnly", BOOL),
	OBJECT("secretRef", &mesh_schema_local_object_reference),
	FIELD("targetPortal", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema iscsi_volume_source_schema = {.name = "io.k8s.api.core.v1.ISCSIVolumeSource",
							      .fields = iscsi_volume_source_fields};

static const struct mesh_field nfs_volume_source_fields[] = {
	FIELD("path", STRING, .flags = REQUIRED),
	FIELD("readOnly", BOOL),
	FIELD("server", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema nfs_volume_source_schema = {.name = "io.k8s.api.core.v1.NFSVolumeSource",
							    .fields = nfs_volume_source_fields};

static const struct mesh_field persistent_volume_claim_volume_source_fields[] = {
	FIELD("claimName", STRING, .flags = REQUIRED),
	FIELD("readOnly", BOOL),
	{.name = NULL},
};

static const struct mesh_schema persistent_volume_claim_volume_source_schema = {
	.name = "io.k8s.api.core.v1.PersistentVolumeClaimVolumeSource",
	.fields = persistent_volume_claim_volume_source_fields};

static const struct mesh_field photon_persistent_disk_volume_source_fields[] = {
	FIELD("fsType", STRING),
	FIELD("pdID", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema photon_persistent_disk_volume_source_schema = {
	.name = "io.k8s.api.core.v1.PhotonPersistentDiskVolumeSource",
	.fields = photon_persistent_disk_volume_source_fields};

static const struct mesh_field portworx_volume_source_fields[] = {
	FIELD("fsType", STRING),
	FIELD("readOnly", BOOL),
	FIELD("volumeID", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema portworx_volume_source_schema = {.name = "io.k8s.api.core.v1.PortworxVolumeSource",
								 .fields = portworx_volume_source_fields};

static const struct mesh_field cluster_trust_bundle_projection_fields[] = {
	OBJECT("labelSelector", &mesh_schema_label_selector),
	FIELD("name", STRING),
	FIELD("optional", BOOL),
	FIELD("path", STRING, .flags = REQUIRED),
	FIELD("signerName", STRING),
	{.name = NULL},
};

static const struct mesh_schema cluster_trust_bundle_projection_schema = {
	.name = "io.k8s.api.core.v1.ClusterTrustBundleProjection", .fields = cluster_trust_bundle_projection_fields};

static const struct mesh_field config_map_projection_fields[] = {
	LIST_OF("items", &key_to_path_schema),
	FIELD("name", STRING),
	FIELD("optional", BOOL),
	{.name = NULL},
};

static const struct mesh_schema config_map_projection_schema = {.name = "io.k8s.api.core.v1.ConfigMapProjection",
								.fields = config_map_projection_fields};

static const struct mesh_field downward_api_projection_fields[] = {
	LIST_OF("items", &downward_api_volume_file_schema),
	{.name = NULL},
};

static const struct mesh_schema downward_api_projection_schema = {.name = "io.k8s.api.core.v1.DownwardAPIProjection",
								  .fields = downward_api_projection_fields};

static const struct mesh_field pod_certificate_projection_fields[] = {
	FIELD("certificateChainPath", STRING),
	FIELD("credentialBundlePath", STRING),
	FIELD("keyPath", STRING),
	FIELD("keyType", STRING, .flags = REQUIRED),
	FIELD("maxExpirationSeconds", INT32),
	FIELD("signerName", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema pod_certificate_projection_schema = {
	.name = "io.k8s.api.core.v1.PodCertificateProjection", .fields = pod_certificate_projection_fields};

static const struct mesh_field secret_projection_fields[] = {
	LIST_OF("items", &key_to_path_schema),
	FIELD("name", STRING),
	FIELD("optional", BOOL),
	{.name = NULL},
};

static const struct mesh_schema secret_projection_schema = {.name = "io.k8s.api.core.v1.SecretProjection",
							    .fields = secret_projection_fields};

static const struct mesh_field service_account_token_projection_fields[] = {
	FIELD("audience", STRING),
	FIELD("expirationSeconds", INT64),
	FIELD("path", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema service_account_token_projection_schema = {
	.name = "io.k8s.api.core.v1.ServiceAccountTokenProjection", .fields = service_account_token_projection_fields};

static const struct mesh_field volume_projection_fields[] = {
	OBJECT("clusterTrustBundle", &cluster_trust_bundle_projection_schema),
	OBJECT("configMap", &config_map_projection_schema),
	OBJECT("downwardAPI", &downward_api_projection_schema),
	OBJECT("podCertificate", &pod_certificate_projection_schema),
	OBJECT("secret", &secret_projection_schema),
	OBJECT("serviceAccountToken", &service_account_token_projection_schema),
	{.name = NULL},
};

static const struct mesh_schema volume_projection_schema = {.name = "io.k8s.api.core.v1.VolumeProjection",
							    .fields = volume_projection_fields};

static const struct mesh_field projected_volume_source_fields[] = {
	FIELD("defaultMode", INT32),
	LIST_OF("sources", &volume_projection_schema),
	{.name = NULL},
};

static const struct mesh_schema projected_volume_source_schema = {.name = "io.k8s.api.core.v1.ProjectedVolumeSource",
								  .fields = projected_volume_source_fields};

static const struct mesh_field quobyte_volume_source_fields[] = {
	FIELD("group", STRING),  FIELD("readOnly", BOOL), FIELD("registry", STRING, .flags = REQUIRED),
	FIELD("tenant", STRING), FIELD("user", STRING),   FIELD("volume", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema quobyte_volume_source_schema = {.name = "io.k8s.api.core.v1.QuobyteVolumeSource",
								.fields = quobyte_volume_source_fields};

static const struct mesh_field rbd_volume_source_fields[] = {
	FIELD("fsType", STRING),
	FIELD("image", STRING, .flags = REQUIRED),
	FIELD("keyring", STRING),
	LIST("monitors", STRING, .flags = REQUIRED),
	FIELD("pool", STRING),
	FIELD("readOnly", BOOL),
	OBJECT("secretRef", &mesh_schema_local_object_reference),
	FIELD("user", STRING),
	{.name = NULL},
};

static const struct mesh_schema rbd_volume_source_schema = {.name = "io.k8s.api.core.v1.RBDVolumeSource",
							    .fields = rbd_volume_source_fields};

static const struct mesh_field scale_io_volume_source_fields[] = {
	FIELD("fsType", STRING),
	FIELD("gateway", STRING, .flags = REQUIRED),
	FIELD("protectionDomain", STRING),
	FIELD("readOnly", BOOL),
	OBJECT("secretRef", &mesh_schema_local_object_reference, .flags = REQUIRED),
	FIELD("sslEnabled", BOOL),
	FIELD("storageMode", STRING),
	FIELD("storagePool", STRING),
	FIELD("system", STRING, .flags = REQUIRED),
	FIELD("volumeName", STRING),
	{.name = NULL},
};

static const struct mesh_schema scale_io_volume_source_schema = {.name = "io.k8s.api.core.v1.ScaleIOVolumeSource",
								 .fields = scale_io_volume_source_fields};

static const struct mesh_field secret_volume_source_fields[] = {
	FIELD("defaultMode", INT32),
	LIST_OF("items", &key_to_path_schema),
	FIELD("optional", BOOL),
	FIELD("secretName", STRING),
	{.name = NULL},
};

static const struct mesh_schema secret_volume_source_schema = {.name = "io.k8s.api.core.v1.SecretVolumeSource",
							       .fields = secret_volume_source_fields};

static const struct mesh_field storage_os_volume_source_fields[] = {
	FIELD("fsType", STRING),
	FIELD("readOnly", BOOL),
	OBJECT("secretRef", &mesh_schema_local_object_reference),
	FIELD("volumeName", STRING),
	FIELD("volumeNamespace", STRING),
	{.name = NULL},
};

static const struct mesh_schema storage_os_volume_source_schema = {.name = "io.k8s.api.core.v1.StorageOSVolumeSource",
								   .fields = storage_os_volume_source_fields};

static const struct mesh_field vsphere_virtual_disk_volume_source_fields[] = {
	FIELD("fsType", STRING),
	FIELD("storagePolicyID", STRING),
	FIELD("storagePolicyName", STRING),
	FIELD("volumePath", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema vsphere_virtual_disk_volume_source_schema = {
	.name = "io.k8s.api.core.v1.VsphereVirtualDiskVolumeSource",
	.fields = vsphere_virtual_disk_volume_source_fields};

static const struct mesh_field volume_fields[] = {
	OBJECT("awsElasticBlockStore", &aws_elastic_block_store_volume_source_schema),
	OBJECT("azureDisk", &azure_disk_volume_source_schema),
	OBJECT("azureFile", &azure_file_volume_source_schema),
	OBJECT("cephfs", &ceph_fs_volume_source_schema),
	OBJECT("cinder", &cinder_volume_source_schema),
	OBJECT("configMap", &config_map_volume_source_schema),
	OBJECT("csi", &csi_volume_source_schema),
	OBJECT("downwardAPI", &downward_api_volume_source_schema),
	OBJECT("emptyDir", &empty_dir_volume_source_schema),
	OBJECT("ephemeral", &ephemeral_volume_source_schema),
	OBJECT("fc", &fc_volume_source_schema),
	OBJECT("flexVolume", &flex_volume_source_schema),
	OBJECT("flocker", &flocker_volume_source_schema),
	OBJECT("gcePersistentDisk", &gce_persistent_disk_volume_source_schema),
	OBJECT("gitRepo", &git_repo_volume_source_schema),
	OBJECT("glusterfs", &glusterfs_volume_source_schema),
	OBJECT("hostPath", &host_path_volume_source_schema),
	OBJECT("image", &image_volume_source_schema),
	OBJECT("iscsi", &iscsi_volume_source_schema),
	FIELD("name", STRING, .flags = REQUIRED),
	OBJECT("nfs", &nfs_volume_source_schema),
	OBJECT("persistentVolumeClaim", &persistent_volume_claim_volume_source_schema),
	OBJECT("photonPersistentDisk", &photon_persistent_disk_volume_source_schema),
	OBJECT("portworxVolume", &portworx_volume_source_schema),
	OBJECT("projected", &projected_volume_source_schema),
	OBJECT("quobyte", &quobyte_volume_source_schema),
	OBJECT("rbd", &rbd_volume_source_schema),
	OBJECT("scaleIO", &scale_io_volume_source_schema),
	OBJECT("secret", &secret_volume_source_schema),
	OBJECT("storageos", &storage_os_volume_source_schema),
	OBJECT("vsphereVolume", &vsphere_virtual_disk_volume_source_schema),
	{.name = NULL},
};

static const struct mesh_schema volume_schema = {.name = "io.k8s.api.core.v1.Volume", .fields = volume_fields};

static const struct mesh_field pod_spec_fields[] = {
	FIELD("activeDeadlineSeconds", INT64),
	OBJECT("affinity", &affinity_schema),
	FIELD("automountServiceAccountToken", BOOL),
	LIST_OF("containers", &container_schema, .flags = REQUIRED, .merge_key = "name"),
	OBJECT("dnsConfig", &pod_dns_config_schema),
	FIELD("dnsPolicy", STRING, .values = values_cluster_first_cluster_first_with_host_net),
	FIELD("enableServiceLinks", BOOL),
	LIST_OF("ephemeralContainers", &ephemeral_container_schema, .merge_key = "name"),
	LIST_OF("hostAliases", &host_alias_schema, .merge_key = "ip"),
	FIELD("hostIPC", BOOL),
	FIELD("hostNetwork", BOOL),
	FIELD("hostPID", BOOL),
	FIELD("hostUsers", BOOL),
	FIELD("hostname", STRING),
	FIELD("hostnameOverride", STRING),
	LIST_OF("imagePullSecrets", &mesh_schema_local_object_reference, .merge_key = "name"),
	LIST_OF("initContainers", &container_schema, .merge_key = "name"),
	FIELD("nodeName", STRING),
	MAP("nodeSelector", STRING),
	OBJECT("os", &pod_os_schema),
	MAP("overhead", QUANTITY),
	FIELD("preemptionPolicy", STRING, .values = values_never_preempt_lower_priority),
	FIELD("priority", INT32),
	FIELD("priorityClassName", STRING),
	LIST_OF("readinessGates", &pod_readiness_gate_schema),
	LIST_OF("resourceClaims", &pod_resource_claim_schema, .flags = RETAIN_KEYS, .merge_key = "name"),
	OBJECT("resources", &mesh_schema_resource_requirements),
	FIELD("restartPolicy", STRING, .values = values_always_never_on_failure),
	FIELD("runtimeClassName", STRING),
	FIELD("schedulerName", STRING),
	LIST_OF("schedulingGates", &pod_scheduling_gate_schema, .merge_key = "name"),
	OBJECT("securityContext", &pod_security_context_schema),
	FIELD("serviceAccount", STRING),
	FIELD("serviceAccountName", STRING),
	FIELD("setHostnameAsFQDN", BOOL),
	FIELD("shareProcessNamespace", BOOL),
	FIELD("subdomain", STRING),
	FIELD("terminationGracePeriodSeconds", INT64),
	LIST_OF("tolerations", &toleration_schema),
	LIST_OF("topologySpreadConstraints", &topology_spread_constraint_schema, .merge_key = "topologyKey"),
	LIST_OF("volumes", &volume_schema, .flags = RETAIN_KEYS, .merge_key = "name"),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_pod_spec = {.name = "io.k8s.api.core.v1.PodSpec", .fields = pod_spec_fields};

static const struct mesh_field pod_template_spec_fields[] = {
	OBJECT("metadata", &mesh_schema_object_meta),
	OBJECT("spec", &mesh_schema_pod_spec),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_pod_template_spec = {.name = "io.k8s.api.core.v1.PodTemplateSpec",
							  .fields = pod_template_spec_fields};
