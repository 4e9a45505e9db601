/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields of the kinds of core/v1, but for what a pod template shares with them.
 */
#include "config/schema.h"
#include "config/schema_rows.h"

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
static const char *const values_failed_pending_running[] = {"Failed",    "Pending", "Running",
							    "Succeeded", "Unknown", NULL};
static const char *const values_best_effort_burstable_guaranteed[] = {"BestEffort", "Burstable", "Guaranteed", NULL};
static const char *const values_active_terminating[] = {"Active", "Terminating", NULL};
static const char *const values_no_execute_no_schedule_prefer_no_schedule[] = {"NoExecute", "NoSchedule",
									       "PreferNoSchedule", NULL};
static const char *const values_pending_running_terminated[] = {"Pending", "Running", "Terminated", NULL};
static const char *const values_sctp_tcp_udp[] = {"SCTP", "TCP", "UDP", NULL};
static const char *const values_cluster_local[] = {"Cluster", "Local", NULL};
static const char *const values_empty_i_pv4_i_pv6[] = {"", "IPv4", "IPv6", NULL};
static const char *const values_prefer_dual_stack_require_dual_stack_sing[] = {"PreferDualStack", "RequireDualStack",
									       "SingleStack", NULL};
static const char *const values_client_ip_none[] = {"ClientIP", "None", NULL};
static const char *const values_cluster_ip_external_name_load_balancer[] = {"ClusterIP", "ExternalName", "LoadBalancer",
									    "NodePort", NULL};

static const struct mesh_field pod_condition_fields[] = {
	FIELD("lastProbeTime", TIME),
	FIELD("lastTransitionTime", TIME),
	FIELD("message", STRING),
	FIELD("observedGeneration", INT64),
	FIELD("reason", STRING),
	FIELD("status", STRING, .flags = REQUIRED),
	FIELD("type", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema pod_condition_schema = {.name = "io.k8s.api.core.v1.PodCondition",
							.fields = pod_condition_fields};

static const struct mesh_field resource_health_fields[] = {
	FIELD("health", STRING),
	FIELD("resourceID", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema resource_health_schema = {.name = "io.k8s.api.core.v1.ResourceHealth",
							  .fields = resource_health_fields};

static const struct mesh_field resource_status_fields[] = {
	FIELD("name", STRING),
	LIST_OF("resources", &resource_health_schema),
	{.name = NULL},
};

static const struct mesh_schema resource_status_schema = {.name = "io.k8s.api.core.v1.ResourceStatus",
							  .fields = resource_status_fields};

static const struct mesh_field container_state_running_fields[] = {
	FIELD("startedAt", TIME),
	{.name = NULL},
};

static const struct mesh_schema container_state_running_schema = {.name = "io.k8s.api.core.v1.ContainerStateRunning",
								  .fields = container_state_running_fields};

static const struct mesh_field container_state_terminated_fields[] = {
	FIELD("containerID", STRING), FIELD("exitCode", INT32, .flags = REQUIRED),
	FIELD("finishedAt", TIME),    FIELD("message", STRING),
	FIELD("reason", STRING),      FIELD("signal", INT32),
	FIELD("startedAt", TIME),     {.name = NULL},
};

static const struct mesh_schema container_state_terminated_schema = {
	.name = "io.k8s.api.core.v1.ContainerStateTerminated", .fields = container_state_terminated_fields};

static const struct mesh_field container_state_waiting_fields[] = {
	FIELD("message", STRING),
	FIELD("reason", STRING),
	{.name = NULL},
};

static const struct mesh_schema container_state_waiting_schema = {.name = "io.k8s.api.core.v1.ContainerStateWaiting",
								  .fields = container_state_waiting_fields};

static const struct mesh_field container_state_fields[] = {
	OBJECT("running", &container_state_running_schema),
	OBJECT("terminated", &container_state_terminated_schema),
	OBJECT("waiting", &container_state_waiting_schema),
	{.name = NULL},
};

static const struct mesh_schema container_state_schema = {.name = "io.k8s.api.core.v1.ContainerState",
							  .fields = container_state_fields};

static const struct mesh_field linux_container_user_fields[] = {
	FIELD("gid", INT64, .flags = REQUIRED),
	LIST("supplementalGroups", INT64),
	FIELD("uid", INT64, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema linux_container_user_schema = {.name = "io.k8s.api.core.v1.LinuxContainerUser",
							       .fields = linux_container_user_fields};

static const struct mesh_field container_user_fields[] = {
	OBJECT("linux", &linux_container_user_schema),
	{.name = NULL},
};

static const struct mesh_schema container_user_schema = {.name = "io.k8s.api.core.v1.ContainerUser",
							 .fields = container_user_fields};

static const struct mesh_field volume_mount_status_fields[] = {
	FIELD("mountPath", STRING),         FIELD("name", STRING), FIELD("readOnly", BOOL),
	FIELD("recursiveReadOnly", STRING), {.name = NULL},
};

static const struct mesh_schema volume_mount_status_schema = {.name = "io.k8s.api.core.v1.VolumeMountStatus",
							      .fields = volume_mount_status_fields};

static const struct mesh_field container_status_fields[] = {
	MAP("allocatedResources", QUANTITY),
	LIST_OF("allocatedResourcesStatus", &resource_status_schema, .merge_key = "name"),
	FIELD("containerID", STRING),
	FIELD("image", STRING),
	FIELD("imageID", STRING),
	OBJECT("lastState", &container_state_schema),
	FIELD("name", STRING),
	FIELD("ready", BOOL),
	OBJECT("resources", &mesh_schema_resource_requirements),
	FIELD("restartCount", INT32),
	FIELD("started", BOOL),
	OBJECT("state", &container_state_schema),
	FIELD("stopSignal", STRING, .values = values_sigabrt_sigalrm_sigbus),
	OBJECT("user", &container_user_schema),
	LIST_OF("volumeMounts", &volume_mount_status_schema, .merge_key = "mountPath"),
	{.name = NULL},
};

static const struct mesh_schema container_status_schema = {.name = "io.k8s.api.core.v1.ContainerStatus",
							   .fields = container_status_fields};

static const struct mesh_field container_extended_resource_request_fields[] = {
	FIELD("containerName", STRING, .flags = REQUIRED),
	FIELD("requestName", STRING, .flags = REQUIRED),
	FIELD("resourceName", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema container_extended_resource_request_schema = {
	.name = "io.k8s.api.core.v1.ContainerExtendedResourceRequest",
	.fields = container_extended_resource_request_fields};

static const struct mesh_field pod_extended_resource_claim_status_fields[] = {
	LIST_OF("requestMappings", &container_extended_resource_request_schema),
	FIELD("resourceClaimName", STRING),
	{.name = NULL},
};

static const struct mesh_schema pod_extended_resource_claim_status_schema = {
	.name = "io.k8s.api.core.v1.PodExtendedResourceClaimStatus",
	.fields = pod_extended_resource_claim_status_fields};

static const struct mesh_field host_ip_fields[] = {
	FIELD("ip", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema host_ip_schema = {.name = "io.k8s.api.core.v1.HostIP", .fields = host_ip_fields};

static const struct mesh_field pod_ip_fields[] = {
	FIELD("ip", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema pod_ip_schema = {.name = "io.k8s.api.core.v1.PodIP", .fields = pod_ip_fields};

static const struct mesh_field pod_resource_claim_status_fields[] = {
	FIELD("name", STRING),
	FIELD("resourceClaimName", STRING),
	{.name = NULL},
};

static const struct mesh_schema pod_resource_claim_status_schema = {.name = "io.k8s.api.core.v1.PodResourceClaimStatus",
								    .fields = pod_resource_claim_status_fields};

static const struct mesh_field pod_status_fields[] = {
	LIST_OF("conditions", &pod_condition_schema, .merge_key = "type"),
	LIST_OF("containerStatuses", &container_status_schema),
	LIST_OF("ephemeralContainerStatuses", &container_status_schema),
	OBJECT("extendedResourceClaimStatus", &pod_extended_resource_claim_status_schema),
	FIELD("hostIP", STRING),
	LIST_OF("hostIPs", &host_ip_schema, .merge_key = "ip"),
	LIST_OF("initContainerStatuses", &container_status_schema),
	FIELD("message", STRING),
	FIELD("nominatedNodeName", STRING),
	FIELD("observedGeneration", INT64),
	FIELD("phase", STRING, .values = values_failed_pending_running),
	FIELD("podIP", STRING),
	LIST_OF("podIPs", &pod_ip_schema, .merge_key = "ip"),
	FIELD("qosClass", STRING, .values = values_best_effort_burstable_guaranteed),
	FIELD("reason", STRING),
	FIELD("resize", STRING),
	LIST_OF("resourceClaimStatuses", &pod_resource_claim_status_schema, .flags = RETAIN_KEYS, .merge_key = "name"),
	FIELD("startTime", TIME),
	{.name = NULL},
};

static const struct mesh_schema pod_status_schema = {.name = "io.k8s.api.core.v1.PodStatus",
						     .fields = pod_status_fields};

static const struct mesh_field pod_fields[] = {
	OBJECT("spec", &mesh_schema_pod_spec),
	OBJECT("status", &pod_status_schema),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_pod = {.name = "io.k8s.api.core.v1.Pod", .fields = pod_fields};

static const struct mesh_field namespace_spec_fields[] = {
	LIST("finalizers", STRING),
	{.name = NULL},
};

static const struct mesh_schema namespace_spec_schema = {.name = "io.k8s.api.core.v1.NamespaceSpec",
							 .fields = namespace_spec_fields};

static const struct mesh_field namespace_condition_fields[] = {
	FIELD("lastTransitionTime", TIME),
	FIELD("message", STRING),
	FIELD("reason", STRING),
	FIELD("status", STRING, .flags = REQUIRED),
	FIELD("type", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema namespace_condition_schema = {.name = "io.k8s.api.core.v1.NamespaceCondition",
							      .fields = namespace_condition_fields};

static const struct mesh_field namespace_status_fields[] = {
	LIST_OF("conditions", &namespace_condition_schema, .merge_key = "type"),
	FIELD("phase", STRING, .values = values_active_terminating),
	{.name = NULL},
};

static const struct mesh_schema namespace_status_schema = {.name = "io.k8s.api.core.v1.NamespaceStatus",
							   .fields = namespace_status_fields};

static const struct mesh_field namespace_fields[] = {
	OBJECT("spec", &namespace_spec_schema),
	OBJECT("status", &namespace_status_schema),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_namespace = {.name = "io.k8s.api.core.v1.Namespace", .fields = namespace_fields};

static const struct mesh_field config_map_node_config_source_fields[] = {
	FIELD("kubeletConfigKey", STRING, .flags = REQUIRED),
	FIELD("name", STRING, .flags = REQUIRED),
	FIELD("namespace", STRING, .flags = REQUIRED),
	FIELD("resourceVersion", STRING),
	FIELD("uid", STRING),
	{.name = NULL},
};

static const struct mesh_schema config_map_node_config_source_schema = {
	.name = "io.k8s.api.core.v1.ConfigMapNodeConfigSource", .fields = config_map_node_config_source_fields};

static const struct mesh_field node_config_source_fields[] = {
	OBJECT("configMap", &config_map_node_config_source_schema),
	{.name = NULL},
};

static const struct mesh_schema node_config_source_schema = {.name = "io.k8s.api.core.v1.NodeConfigSource",
							     .fields = node_config_source_fields};

static const struct mesh_field taint_fields[] = {
	FIELD("effect", STRING, .flags = REQUIRED, .values = values_no_execute_no_schedule_prefer_no_schedule),
	FIELD("key", STRING, .flags = REQUIRED),
	FIELD("timeAdded", TIME),
	FIELD("value", STRING),
	{.name = NULL},
};

static const struct mesh_schema taint_schema = {.name = "io.k8s.api.core.v1.Taint", .fields = taint_fields};

static const struct mesh_field node_spec_fields[] = {
	OBJECT("configSource", &node_config_source_schema),
	FIELD("externalID", STRING),
	FIELD("podCIDR", STRING),
	LIST("podCIDRs", STRING, .merge_key = ""),
	FIELD("providerID", STRING),
	LIST_OF("taints", &taint_schema),
	FIELD("unschedulable", BOOL),
	{.name = NULL},
};

static const struct mesh_schema node_spec_schema = {.name = "io.k8s.api.core.v1.NodeSpec", .fields = node_spec_fields};

static const struct mesh_field node_address_fields[] = {
	FIELD("address", STRING, .flags = REQUIRED),
	FIELD("type", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema node_address_schema = {.name = "io.k8s.api.core.v1.NodeAddress",
						       .fields = node_address_fields};

static const struct mesh_field node_condition_fields[] = {
	FIELD("lastHeartbeatTime", TIME),
	FIELD("lastTransitionTime", TIME),
	FIELD("message", STRING),
	FIELD("reason", STRING),
	FIELD("status", STRING, .flags = REQUIRED),
	FIELD("type", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema node_condition_schema = {.name = "io.k8s.api.core.v1.NodeCondition",
							 .fields = node_condition_fields};

static const struct mesh_field node_config_status_fields[] = {
	OBJECT("active", &node_config_source_schema),
	OBJECT("assigned", &node_config_source_schema),
	FIELD("error", STRING),
	OBJECT("lastKnownGood", &node_config_source_schema),
	{.name = NULL},
};

static const struct mesh_schema node_config_status_schema = {.name = "io.k8s.api.core.v1.NodeConfigStatus",
							     .fields = node_config_status_fields};

static const struct mesh_field daemon_endpoint_fields[] = {
	FIELD("Port", INT32, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema daemon_endpoint_schema = {.name = "io.k8s.api.core.v1.DaemonEndpoint",
							  .fields = daemon_endpoint_fields};

static const struct mesh_field node_daemon_endpoints_fields[] = {
	OBJECT("kubeletEndpoint", &daemon_endpoint_schema),
	{.name = NULL},
};

static const struct mesh_schema node_daemon_endpoints_schema = {.name = "io.k8s.api.core.v1.NodeDaemonEndpoints",
								.fields = node_daemon_endpoints_fields};

static const struct mesh_field node_features_fields[] = {
	FIELD("supplementalGroupsPolicy", BOOL),
	{.name = NULL},
};

static const struct mesh_schema node_features_schema = {.name = "io.k8s.api.core.v1.NodeFeatures",
							.fields = node_features_fields};

static const struct mesh_field container_image_fields[] = {
	LIST("names", STRING),
	FIELD("sizeBytes", INT64),
	{.name = NULL},
};

static const struct mesh_schema container_image_schema = {.name = "io.k8s.api.core.v1.ContainerImage",
							  .fields = container_image_fields};

static const struct mesh_field node_swap_status_fields[] = {
	FIELD("capacity", INT64),
	{.name = NULL},
};

static const struct mesh_schema node_swap_status_schema = {.name = "io.k8s.api.core.v1.NodeSwapStatus",
							   .fields = node_swap_status_fields};

static const struct mesh_field node_system_info_fields[] = {
	FIELD("architecture", STRING),
	FIELD("bootID", STRING),
	FIELD("containerRuntimeVersion", STRING),
	FIELD("kernelVersion", STRING),
	FIELD("kubeProxyVersion", STRING),
	FIELD("kubeletVersion", STRING),
	FIELD("machineID", STRING),
	FIELD("operatingSystem", STRING),
	FIELD("osImage", STRING),
	OBJECT("swap", &node_swap_status_schema),
	FIELD("systemUUID", STRING),
	{.name = NULL},
};

static const struct mesh_schema node_system_info_schema = {.name = "io.k8s.api.core.v1.NodeSystemInfo",
							   .fields = node_system_info_fields};

static const struct mesh_field node_runtime_handler_features_fields[] = {
	FIELD("recursiveReadOnlyMounts", BOOL),
	FIELD("userNamespaces", BOOL),
	{.name = NULL},
};

static const struct mesh_schema node_runtime_handler_features_schema = {
	.name = "io.k8s.api.core.v1.NodeRuntimeHandlerFeatures", .fields = node_runtime_handler_features_fields};

static const struct mesh_field node_runtime_handler_fields[] = {
	OBJECT("features", &node_runtime_handler_features_schema),
	FIELD("name", STRING),
	{.name = NULL},
};

static const struct mesh_schema node_runtime_handler_schema = {.name = "io.k8s.api.core.v1.NodeRuntimeHandler",
							       .fields = node_runtime_handler_fields};

static const struct mesh_field attached_volume_fields[] = {
	FIELD("devicePath", STRING, .flags = REQUIRED),
	FIELD("name", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema attached_volume_schema = {.name = "io.k8s.api.core.v1.AttachedVolume",
							  .fields = attached_volume_fields};

static const struct mesh_field node_status_fields[] = {
	LIST_OF("addresses", &node_address_schema, .merge_key = "type"),
	MAP("allocatable", QUANTITY),
	MAP("capacity", QUANTITY),
	LIST_OF("conditions", &node_condition_schema, .merge_key = "type"),
	OBJECT("config", &node_config_status_schema),
	OBJECT("daemonEndpoints", &node_daemon_endpoints_schema),
	OBJECT("features", &node_features_schema),
	LIST_OF("images", &container_image_schema),
	OBJECT("nodeInfo", &node_system_info_schema),
	FIELD("phase", STRING, .values = values_pending_running_terminated),
	LIST_OF("runtimeHandlers", &node_runtime_handler_schema),
	LIST_OF("volumesAttached", &attached_volume_schema),
	LIST("volumesInUse", STRING),
	{.name = NULL},
};

static const struct mesh_schema node_status_schema = {.name = "io.k8s.api.core.v1.NodeStatus",
						      .fields = node_status_fields};

static const struct mesh_field node_fields[] = {
	OBJECT("spec", &node_spec_schema),
	OBJECT("status", &node_status_schema),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_node = {.name = "io.k8s.api.core.v1.Node", .fields = node_fields};

static const struct mesh_field service_port_fields[] = {
	FIELD("appProtocol", STRING),
	FIELD("name", STRING),
	FIELD("nodePort", INT32),
	FIELD("port", INT32, .flags = REQUIRED),
	FIELD("protocol", STRING, .values = values_sctp_tcp_udp),
	FIELD("targetPort", INT_OR_STRING),
	{.name = NULL},
};

static const struct mesh_schema service_port_schema = {.name = "io.k8s.api.core.v1.ServicePort",
						       .fields = service_port_fields};

static const struct mesh_field client_ip_config_fields[] = {
	FIELD("timeoutSeconds", INT32),
	{.name = NULL},
};

static const struct mesh_schema client_ip_config_schema = {.name = "io.k8s.api.core.v1.ClientIPConfig",
							   .fields = client_ip_config_fields};

static const struct mesh_field session_affinity_config_fields[] = {
	OBJECT("clientIP", &client_ip_config_schema),
	{.name = NULL},
};

static const struct mesh_schema session_affinity_config_schema = {.name = "io.k8s.api.core.v1.SessionAffinityConfig",
								  .fields = session_affinity_config_fields};

static const struct mesh_field service_spec_fields[] = {
	FIELD("allocateLoadBalancerNodePorts", BOOL),
	FIELD("clusterIP", STRING),
	LIST("clusterIPs", STRING),
	LIST("externalIPs", STRING),
	FIELD("externalName", STRING),
	FIELD("externalTrafficPolicy", STRING, .values = values_cluster_local),
	FIELD("healthCheckNodePort", INT32),
	FIELD("internalTrafficPolicy", STRING, .values = values_cluster_local),
	LIST("ipFamilies", STRING, .values = values_empty_i_pv4_i_pv6),
	FIELD("ipFamilyPolicy", STRING, .values = values_prefer_dual_stack_require_dual_stack_sing),
	FIELD("loadBalancerClass", STRING),
	FIELD("loadBalancerIP", STRING),
	LIST("loadBalancerSourceRanges", STRING),
	LIST_OF("ports", &service_port_schema, .merge_key = "port"),
	FIELD("publishNotReadyAddresses", BOOL),
	MAP("selector", STRING),
	FIELD("sessionAffinity", STRING, .values = values_client_ip_none),
	OBJECT("sessionAffinityConfig", &session_affinity_config_schema),
	FIELD("trafficDistribution", STRING),
	FIELD("type", STRING, .values = values_cluster_ip_external_name_load_balancer),
	{.name = NULL},
};

static const struct mesh_schema service_spec_schema = {.name = "io.k8s.api.core.v1.ServiceSpec",
						       .fields = service_spec_fields};

static const struct mesh_field port_status_fields[] = {
	FIELD("error", STRING),
	FIELD("port", INT32),
	FIELD("protocol", STRING, .values = values_sctp_tcp_udp),
	{.name = NULL},
};

static const struct mesh_schema port_status_schema = {.name = "io.k8s.api.core.v1.PortStatus",
						      .fields = port_status_fields};

static const struct mesh_field load_balancer_ingress_fields[] = {
	FIELD("hostname", STRING),
	FIELD("ip", STRING),
	FIELD("ipMode", STRING),
	LIST_OF("ports", &port_status_schema),
	{.name = NULL},
};

static const struct mesh_schema load_balancer_ingress_schema = {.name = "io.k8s.api.core.v1.LoadBalancerIngress",
								.fields = load_balancer_ingress_fields};

static const struct mesh_field load_balancer_status_fields[] = {
	LIST_OF("ingress", &load_balancer_ingress_schema),
	{.name = NULL},
};

static const struct mesh_schema load_balancer_status_schema = {.name = "io.k8s.api.core.v1.LoadBalancerStatus",
							       .fields = load_balancer_status_fields};

static const struct mesh_field service_status_fields[] = {
	LIST_OF("conditions", &mesh_schema_condition, .merge_key = "type"),
	OBJECT("loadBalancer", &load_balancer_status_schema),
	{.name = NULL},
};

static const struct mesh_schema service_status_schema = {.name = "io.k8s.api.core.v1.ServiceStatus",
							 .fields = service_status_fields};

static const struct mesh_field service_fields[] = {
	OBJECT("spec", &service_spec_schema),
	OBJECT("status", &service_status_schema),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_service = {.name = "io.k8s.api.core.v1.Service", .fields = service_fields};

static const struct mesh_field object_reference_fields[] = {
	FIELD("apiVersion", STRING), FIELD("fieldPath", STRING),       FIELD("kind", STRING), FIELD("name", STRING),
	FIELD("namespace", STRING),  FIELD("resourceVersion", STRING), FIELD("uid", STRING),  {.name = NULL},
};

const struct mesh_schema mesh_schema_object_reference = {.name = "io.k8s.api.core.v1.ObjectReference",
							 .fields = object_reference_fields};

static const struct mesh_field endpoint_address_fields[] = {
	FIELD("hostname", STRING),
	FIELD("ip", STRING, .flags = REQUIRED),
	FIELD("nodeName", STRING),
	OBJECT("targetRef", &mesh_schema_object_reference),
	{.name = NULL},
};

static const struct mesh_schema endpoint_address_schema = {.name = "io.k8s.api.core.v1.EndpointAddress",
							   .fields = endpoint_address_fields};

static const struct mesh_field endpoint_port_fields[] = {
	FIELD("appProtocol", STRING),
	FIELD("name", STRING),
	FIELD("port", INT32, .flags = REQUIRED),
	FIELD("protocol", STRING, .values = values_sctp_tcp_udp),
	{.name = NULL},
};

static const struct mesh_schema endpoint_port_schema = {.name = "io.k8s.api.core.v1.EndpointPort",
							.fields = endpoint_port_fields};

static const struct mesh_field endpoint_subset_fields[] = {
	LIST_OF("addresses", &endpoint_address_schema),
	LIST_OF("notReadyAddresses", &endpoint_address_schema),
	LIST_OF("ports", &endpoint_port_schema),
	{.name = NULL},
};

static const struct mesh_schema endpoint_subset_schema = {.name = "io.k8s.api.core.v1.EndpointSubset",
							  .fields = endpoint_subset_fields};

static const struct mesh_field endpoints_fields[] = {
	LIST_OF("subsets", &endpoint_subset_schema),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_endpoints = {.name = "io.k8s.api.core.v1.Endpoints", .fields = endpoints_fields};

static const struct mesh_field service_account_fields[] = {
	FIELD("automountServiceAccountToken", BOOL),
	LIST_OF("imagePullSecrets", &mesh_schema_local_object_reference),
	LIST_OF("secrets", &mesh_schema_object_reference, .merge_key = "name"),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_service_account = {.name = "io.k8s.api.core.v1.ServiceAccount",
							.fields = service_account_fields};

static const struct mesh_field config_map_fields[] = {
	MAP("binaryData", BYTES),
	MAP("data", STRING),
	FIELD("immutable", BOOL),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_config_map = {.name = "io.k8s.api.core.v1.ConfigMap", .fields = config_map_fields};

static const struct mesh_field secret_fields[] = {
	MAP("data", BYTES), FIELD("immutable", BOOL), MAP("stringData", STRING), FIELD("type", STRING), {.name = NULL},
};

const struct mesh_schema mesh_schema_secret = {.name = "io.k8s.api.core.v1.Secret", .fields = secret_fields};

static const struct mesh_field event_series_fields[] = {
	FIELD("count", INT32),
	FIELD("lastObservedTime", TIME),
	{.name = NULL},
};

static const struct mesh_schema event_series_schema = {.name = "io.k8s.api.core.v1.EventSeries",
						       .fields = event_series_fields};

static const struct mesh_field event_source_fields[] = {
	FIELD("component", STRING),
	FIELD("host", STRING),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_event_source = {.name = "io.k8s.api.core.v1.EventSource",
						     .fields = event_source_fields};

static const struct mesh_field core_event_fields[] = {
	FIELD("action", STRING),
	FIELD("count", INT32),
	FIELD("eventTime", TIME),
	FIELD("firstTimestamp", TIME),
	OBJECT("involvedObject", &mesh_schema_object_reference),
	FIELD("lastTimestamp", TIME),
	FIELD("message", STRING),
	FIELD("reason", STRING),
	OBJECT("related", &mesh_schema_object_reference),
	FIELD("reportingComponent", STRING),
	FIELD("reportingInstance", STRING),
	OBJECT("series", &event_series_schema),
	OBJECT("source", &mesh_schema_event_source),
	FIELD("type", STRING),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_core_event = {.name = "io.k8s.api.core.v1.Event", .fields = core_event_fields};
