/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields of the other kinds of networking.istio.io. But for ServiceEntry the mesh does not act on them yet: their
 * spec is flagged UNSUPPORTED.
 */
#include "config/schema.h"
#include "config/schema_rows.h"

static const char *const values_mesh_external_mesh_internal[] = {"MESH_EXTERNAL", "MESH_INTERNAL", NULL};
static const char *const values_none_static_dns[] = {"NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS", NULL};
static const char *const values_unknown_error_warning[] = {"UNKNOWN", "ERROR", "WARNING", "INFO", NULL};
static const char *const values_default_iptables_none[] = {"DEFAULT", "IPTABLES", "NONE", NULL};
static const char *const values_default_do_not_upgrade_upgrade[] = {"DEFAULT", "DO_NOT_UPGRADE", "UPGRADE", NULL};
static const char *const values_tls_auto_tlsv1_0_tlsv1_1[] = {"TLS_AUTO", "TLSV1_0", "TLSV1_1",
							      "TLSV1_2",  "TLSV1_3", NULL};
static const char *const values_passthrough_simple_mutual[] = {
	"PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL", NULL};
static const char *const values_registry_only_allow_any[] = {"REGISTRY_ONLY", "ALLOW_ANY", NULL};
static const char *const values_any_route_redirect[] = {"ANY", "ROUTE", "REDIRECT", "DIRECT_RESPONSE", NULL};
static const char *const values_any_sidecar_inbound_sidecar_outbound[] = {
	"ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY", "WAYPOINT", NULL};
static const char *const values_unspecified_authn_authz[] = {"UNSPECIFIED", "AUTHN", "AUTHZ", "STATS", NULL};
static const char *const values_invalid_merge_add[] = {"INVALID",
						       "MERGE",
						       "ADD",
						       "REMOVE",
						       "INSERT_BEFORE",
						       "INSERT_AFTER",
						       "INSERT_FIRST",
						       "REPLACE",
						       "MERGE_AND_REPLACE_LIST",
						       NULL};
static const char *const values_invalid_listener_filter_chain[] = {"INVALID",
								   "LISTENER",
								   "FILTER_CHAIN",
								   "NETWORK_FILTER",
								   "HTTP_FILTER",
								   "ROUTE_CONFIGURATION",
								   "VIRTUAL_HOST",
								   "HTTP_ROUTE",
								   "CLUSTER",
								   "EXTENSION_CONFIG",
								   "BOOTSTRAP",
								   "LISTENER_FILTER",
								   NULL};

static const struct mesh_field endpoints_fields[] = {
	FIELD("address", STRING, .flags = RANGE, .min = INT64_MIN, .max = 256),
	MAP("labels", STRING, .flags = RANGE, .min = INT64_MIN, .max = 256),
	FIELD("locality", STRING, .flags = UNSUPPORTED | RANGE, .min = INT64_MIN, .max = 2048),
	FIELD("network", STRING, .flags = UNSUPPORTED | RANGE, .min = INT64_MIN, .max = 2048),
	MAP("ports", INT64, .flags = RANGE, .min = INT64_MIN, .max = 128),
	FIELD("serviceAccount", STRING, .flags = UNSUPPORTED | RANGE, .min = INT64_MIN, .max = 253),
	FIELD("weight", INT64, .flags = UNSUPPORTED | RANGE, .min = 0, .max = 4294967295),
	{.name = NULL},
};

static const struct mesh_schema endpoints_schema = {.name = "Endpoints", .fields = endpoints_fields};

static const struct mesh_field ports_fields[] = {
	FIELD("name", STRING, .flags = REQUIRED | RANGE, .min = INT64_MIN, .max = 256),
	FIELD("number", INT64, .flags = REQUIRED | RANGE, .min = 1, .max = 65535),
	FIELD("protocol", STRING, .flags = RANGE, .min = INT64_MIN, .max = 256),
	FIELD("targetPort", INT64, .flags = RANGE, .min = 1, .max = 65535),
	{.name = NULL},
};

static const struct mesh_schema ports_schema = {.name = "Ports", .fields = ports_fields};

static const struct mesh_field workload_selector_fields[] = {
	MAP("labels", STRING, .flags = RANGE, .min = INT64_MIN, .max = 256),
	{.name = NULL},
};

static const struct mesh_schema workload_selector_schema = {.name = "WorkloadSelector",
							    .fields = workload_selector_fields};

static const struct mesh_field service_entry_spec_fields[] = {
	LIST("addresses", STRING, .flags = RANGE, .min = INT64_MIN, .max = 256),
	LIST_OF("endpoints", &endpoints_schema, .flags = RANGE, .min = INT64_MIN, .max = 4096),
	LIST("exportTo", STRING),
	LIST("hosts", STRING, .flags = REQUIRED | RANGE, .min = 1, .max = 256),
	FIELD("location", STRING, .values = values_mesh_external_mesh_internal),
	LIST_OF("ports", &ports_schema, .flags = RANGE, .min = INT64_MIN, .max = 256),
	FIELD("resolution", STRING, .values = values_none_static_dns),
	LIST("subjectAltNames", STRING, .flags = UNSUPPORTED),
	OBJECT("workloadSelector", &workload_selector_schema),
	{.name = NULL},
};

static const struct mesh_schema service_entry_spec_schema = {.name = "ServiceEntrySpec",
							     .fields = service_entry_spec_fields};

static const struct mesh_field conditions_fields[] = {
	FIELD("lastProbeTime", TIME), FIELD("lastTransitionTime", TIME),
	FIELD("message", STRING),     FIELD("observedGeneration", INT_OR_STRING),
	FIELD("reason", STRING),      FIELD("status", STRING),
	FIELD("type", STRING),        {.name = NULL},
};

static const struct mesh_schema conditions_schema = {.name = "Conditions", .fields = conditions_fields};

static const struct mesh_field type_fields[] = {
	FIELD("code", STRING),
	FIELD("name", STRING),
	{.name = NULL},
};

static const struct mesh_schema type_schema = {.name = "Type", .fields = type_fields};

static const struct mesh_field validation_messages_fields[] = {
	FIELD("documentationUrl", STRING),
	FIELD("level", STRING, .values = values_unknown_error_warning),
	OBJECT("type", &type_schema),
	{.name = NULL},
};

static const struct mesh_schema validation_messages_schema = {.name = "ValidationMessages",
							      .fields = validation_messages_fields};

static const struct mesh_field status_fields[] = {
	LIST_OF("conditions", &conditions_schema),
	FIELD("observedGeneration", INT_OR_STRING),
	LIST_OF("validationMessages", &validation_messages_schema),
	{.name = NULL},
};

static const struct mesh_schema status_schema = {.name = "Status", .fields = status_fields, .open = true};

static const struct mesh_field service_entry_fields[] = {
	OBJECT("spec", &service_entry_spec_schema, .flags = REQUIRED, .help = "What is wanted."),
	OBJECT("status", &status_schema, .help = "What the mesh says about this object."),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_service_entry = {.name = "ServiceEntry", .fields = service_entry_fields};

static const struct mesh_field port_fields[] = {
	FIELD("name", STRING),
	FIELD("number", INT64, .flags = RANGE, .min = 0, .max = 4294967295),
	FIELD("protocol", STRING),
	FIELD("targetPort", INT64, .flags = RANGE, .min = 0, .max = 4294967295),
	{.name = NULL},
};

static const struct mesh_schema port_schema = {.name = "Port", .fields = port_fields};

static const struct mesh_field egress_fields[] = {
	FIELD("bind", STRING),
	FIELD("captureMode", STRING, .values = values_default_iptables_none),
	LIST("hosts", STRING, .flags = REQUIRED),
	OBJECT("port", &port_schema),
	{.name = NULL},
};

static const struct mesh_schema egress_schema = {.name = "Egress", .fields = egress_fields};

static const struct mesh_field http2_keep_alive_fields[] = {
	FIELD("interval", DURATION, .flags = RANGE, .min = 1000000, .max = INT64_MAX),
	FIELD("timeout", DURATION, .flags = RANGE, .min = 1000000, .max = INT64_MAX),
	{.name = NULL},
};

static const struct mesh_schema http2_keep_alive_schema = {.name = "Http2KeepAlive", .fields = http2_keep_alive_fields};

static const struct mesh_field http_fields[] = {
	FIELD("h2UpgradePolicy", STRING, .values = values_default_do_not_upgrade_upgrade),
	FIELD("http1MaxPendingRequests", INT32),
	OBJECT("http2KeepAlive", &http2_keep_alive_schema),
	FIELD("http2MaxRequests", INT32),
	FIELD("idleTimeout", DURATION, .flags = RANGE, .min = 1000000, .max = INT64_MAX),
	FIELD("maxConcurrentStreams", INT32),
	FIELD("maxRequestsPerConnection", INT32),
	FIELD("maxRetries", INT32),
	FIELD("useClientProtocol", BOOL),
	{.name = NULL},
};

static const struct mesh_schema http_schema = {.name = "Http", .fields = http_fields};

static const struct mesh_field tcp_keepalive_fields[] = {
	FIELD("interval", DURATION, .flags = RANGE, .min = 1000000, .max = INT64_MAX),
	FIELD("probes", INT64, .flags = RANGE, .min = 0, .max = 4294967295),
	FIELD("time", DURATION, .flags = RANGE, .min = 1000000, .max = INT64_MAX),
	{.name = NULL},
};

static const struct mesh_schema tcp_keepalive_schema = {.name = "TcpKeepalive", .fields = tcp_keepalive_fields};

static const struct mesh_field tcp_fields[] = {
	FIELD("connectTimeout", DURATION, .flags = RANGE, .min = 1000000, .max = INT64_MAX),
	FIELD("idleTimeout", STRING),
	FIELD("maxConnectionDuration", DURATION, .flags = RANGE, .min = 1000000, .max = INT64_MAX),
	FIELD("maxConnections", INT32),
	OBJECT("tcpKeepalive", &tcp_keepalive_schema),
	{.name = NULL},
};

static const struct mesh_schema tcp_schema = {.name = "Tcp", .fields = tcp_fields};

static const struct mesh_field inbound_connection_pool_fields[] = {
	OBJECT("http", &http_schema),
	OBJECT("tcp", &tcp_schema),
	{.name = NULL},
};

static const struct mesh_schema inbound_connection_pool_schema = {.name = "InboundConnectionPool",
								  .fields = inbound_connection_pool_fields};

static const struct mesh_field tls_certificates_fields[] = {
	FIELD("caCertificates", STRING),
	FIELD("privateKey", STRING),
	FIELD("serverCertificate", STRING),
	{.name = NULL},
};

static const struct mesh_schema tls_certificates_schema = {.name = "TlsCertificates",
							   .fields = tls_certificates_fields};

static const struct mesh_field tls_fields[] = {
	FIELD("caCertCredentialName", STRING),
	FIELD("caCertificates", STRING),
	FIELD("caCrl", STRING),
	LIST("cipherSuites", STRING),
	FIELD("credentialName", STRING),
	LIST("credentialNames", STRING, .flags = RANGE, .min = 1, .max = 2),
	LIST("ecdhCurves", STRING),
	FIELD("httpsRedirect", BOOL),
	FIELD("insecureSkipVerify", BOOL, .flags = NULLABLE),
	FIELD("maxProtocolVersion", STRING, .values = values_tls_auto_tlsv1_0_tlsv1_1),
	FIELD("minProtocolVersion", STRING, .values = values_tls_auto_tlsv1_0_tlsv1_1),
	FIELD("mode", STRING, .values = values_passthrough_simple_mutual),
	FIELD("privateKey", STRING),
	FIELD("serverCertificate", STRING),
	LIST("subjectAltNames", STRING),
	LIST_OF("tlsCertificates", &tls_certificates_schema, .flags = RANGE, .min = 1, .max = 2),
	LIST("verifyCertificateHash", STRING),
	LIST("verifyCertificateSpki", STRING),
	{.name = NULL},
};

static const struct mesh_schema tls_schema = {.name = "Tls", .fields = tls_fields};

static const struct mesh_field ingress_fields[] = {
	FIELD("bind", STRING),
	FIELD("captureMode", STRING, .values = values_default_iptables_none),
	OBJECT("connectionPool", &inbound_connection_pool_schema),
	FIELD("defaultEndpoint", STRING),
	OBJECT("port", &port_schema, .flags = REQUIRED),
	OBJECT("tls", &tls_schema),
	{.name = NULL},
};

static const struct mesh_schema ingress_schema = {.name = "Ingress", .fields = ingress_fields};

static const struct mesh_field egress_proxy_port_fields[] = {
	FIELD("number", INT64, .flags = RANGE, .min = 0, .max = 4294967295),
	{.name = NULL},
};

static const struct mesh_schema egress_proxy_port_schema = {.name = "EgressProxyPort",
							    .fields = egress_proxy_port_fields};

static const struct mesh_field egress_proxy_fields[] = {
	FIELD("host", STRING, .flags = REQUIRED),
	OBJECT("port", &egress_proxy_port_schema),
	FIELD("subset", STRING),
	{.name = NULL},
};

static const struct mesh_schema egress_proxy_schema = {.name = "EgressProxy", .fields = egress_proxy_fields};

static const struct mesh_field outbound_traffic_policy_fields[] = {
	OBJECT("egressProxy", &egress_proxy_schema),
	FIELD("mode", STRING, .values = values_registry_only_allow_any),
	{.name = NULL},
};

static const struct mesh_schema outbound_traffic_policy_schema = {.name = "OutboundTrafficPolicy",
								  .fields = outbound_traffic_policy_fields};

static const struct mesh_field sidecar_spec_fields[] = {
	LIST_OF("egress", &egress_schema),
	OBJECT("inboundConnectionPool", &inbound_connection_pool_schema),
	LIST_OF("ingress", &ingress_schema),
	OBJECT("outboundTrafficPolicy", &outbound_traffic_policy_schema),
	OBJECT("workloadSelector", &workload_selector_schema),
	{.name = NULL},
};

static const struct mesh_schema sidecar_spec_schema = {.name = "SidecarSpec", .fields = sidecar_spec_fields};

static const struct mesh_field sidecar_fields[] = {
	OBJECT("spec", &sidecar_spec_schema, .flags = UNSUPPORTED, .help = "What is wanted."),
	OBJECT("status", &status_schema, .help = "What the mesh says about this object."),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_sidecar = {.name = "Sidecar", .fields = sidecar_fields};

static const struct mesh_field workload_entry_fields[] = {
	OBJECT("spec", &endpoints_schema, .flags = REQUIRED | UNSUPPORTED, .help = "What is wanted."),
	OBJECT("status", &status_schema, .help = "What the mesh says about this object."),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_workload_entry = {.name = "WorkloadEntry", .fields = workload_entry_fields};

static const struct mesh_field metadata_fields[] = {
	MAP("annotations", STRING, .flags = RANGE, .min = INT64_MIN, .max = 256),
	MAP("labels", STRING, .flags = RANGE, .min = INT64_MIN, .max = 256),
	{.name = NULL},
};

static const struct mesh_schema metadata_schema = {.name = "Metadata", .fields = metadata_fields};

static const struct mesh_field exec_fields[] = {
	LIST("command", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema exec_schema = {.name = "Exec", .fields = exec_fields};

static const struct mesh_field grpc_fields[] = {
	FIELD("port", INT64, .flags = RANGE, .min = 1, .max = 65535),
	FIELD("service", STRING),
	{.name = NULL},
};

static const struct mesh_schema grpc_schema = {.name = "Grpc", .fields = grpc_fields};

static const struct mesh_field http_headers_fields[] = {
	FIELD("name", STRING),
	FIELD("value", STRING),
	{.name = NULL},
};

static const struct mesh_schema http_headers_schema = {.name = "HttpHeaders", .fields = http_headers_fields};

static const struct mesh_field http_get_fields[] = {
	FIELD("host", STRING),   LIST_OF("httpHeaders", &http_headers_schema),
	FIELD("path", STRING),   FIELD("port", INT64, .flags = REQUIRED | RANGE, .min = 1, .max = 65535),
	FIELD("scheme", STRING), {.name = NULL},
};

static const struct mesh_schema http_get_schema = {.name = "HttpGet", .fields = http_get_fields};

static const struct mesh_field tcp_socket_fields[] = {
	FIELD("host", STRING),
	FIELD("port", INT64, .flags = REQUIRED | RANGE, .min = 1, .max = 65535),
	{.name = NULL},
};

static const struct mesh_schema tcp_socket_schema = {.name = "TcpSocket", .fields = tcp_socket_fields};

static const struct mesh_field probe_fields[] = {
	OBJECT("exec", &exec_schema),
	FIELD("failureThreshold", INT32, .flags = RANGE, .min = 0, .max = INT64_MAX),
	OBJECT("grpc", &grpc_schema),
	OBJECT("httpGet", &http_get_schema),
	FIELD("initialDelaySeconds", INT32, .flags = RANGE, .min = 0, .max = INT64_MAX),
	FIELD("periodSeconds", INT32, .flags = RANGE, .min = 0, .max = INT64_MAX),
	FIELD("successThreshold", INT32, .flags = RANGE, .min = 0, .max = INT64_MAX),
	OBJECT("tcpSocket", &tcp_socket_schema),
	FIELD("timeoutSeconds", INT32, .flags = RANGE, .min = 0, .max = INT64_MAX),
	{.name = NULL},
};

static const char *const probe_one_of[] = {"httpGet|tcpSocket|exec|grpc", NULL};

static const struct mesh_schema probe_schema = {.name = "Probe", .fields = probe_fields, .one_of = probe_one_of};

static const struct mesh_field workload_group_spec_fields[] = {
	OBJECT("metadata", &metadata_schema),
	OBJECT("probe", &probe_schema),
	OBJECT("template", &endpoints_schema, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema workload_group_spec_schema = {.name = "WorkloadGroupSpec",
							      .fields = workload_group_spec_fields};

static const struct mesh_field workload_group_fields[] = {
	OBJECT("spec", &workload_group_spec_schema, .flags = REQUIRED | UNSUPPORTED, .help = "What is wanted."),
	OBJECT("status", &status_schema, .help = "What the mesh says about this object."),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_workload_group = {.name = "WorkloadGroup", .fields = workload_group_fields};

static const struct mesh_field image_fields[] = {
	FIELD("imageType", STRING),
	{.name = NULL},
};

static const struct mesh_schema image_schema = {.name = "Image", .fields = image_fields};

static const struct mesh_field selector_fields[] = {
	MAP("matchLabels", STRING, .flags = RANGE, .min = INT64_MIN, .max = 4096),
	{.name = NULL},
};

static const struct mesh_schema selector_schema = {.name = "Selector", .fields = selector_fields};

static const struct mesh_field proxy_config_spec_fields[] = {
	FIELD("concurrency", INT32, .flags = NULLABLE | RANGE, .min = 0, .max = INT64_MAX),
	MAP("environmentVariables", STRING),
	OBJECT("image", &image_schema),
	OBJECT("selector", &selector_schema, .help = "Which pods it is for."),
	{.name = NULL},
};

static const struct mesh_schema proxy_config_spec_schema = {.name = "ProxyConfigSpec",
							    .fields = proxy_config_spec_fields};

static const struct mesh_field proxy_config_fields[] = {
	OBJECT("spec", &proxy_config_spec_schema, .flags = UNSUPPORTED, .help = "What is wanted."),
	OBJECT("status", &status_schema, .help = "What the mesh says about this object."),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_proxy_config = {.name = "ProxyConfig", .fields = proxy_config_fields};

static const struct mesh_field cluster_fields[] = {
	FIELD("name", STRING),    FIELD("portNumber", INT64, .flags = RANGE, .min = 0, .max = 4294967295),
	FIELD("service", STRING), FIELD("subset", STRING),
	{.name = NULL},
};

static const struct mesh_schema cluster_schema = {.name = "Cluster", .fields = cluster_fields};

static const struct mesh_field sub_filter_fields[] = {
	FIELD("name", STRING),
	{.name = NULL},
};

static const struct mesh_schema sub_filter_schema = {.name = "SubFilter", .fields = sub_filter_fields};

static const struct mesh_field filter_fields[] = {
	FIELD("name", STRING),
	OBJECT("subFilter", &sub_filter_schema),
	{.name = NULL},
};

static const struct mesh_schema filter_schema = {.name = "Filter", .fields = filter_fields};

static const struct mesh_field filter_chain_fields[] = {
	FIELD("applicationProtocols", STRING),
	FIELD("destinationPort", INT64, .flags = RANGE, .min = 0, .max = 4294967295),
	OBJECT("filter", &filter_schema),
	FIELD("name", STRING),
	FIELD("sni", STRING),
	FIELD("transportProtocol", STRING),
	FIELD("transportSocket", STRING),
	{.name = NULL},
};

static const struct mesh_schema filter_chain_schema = {.name = "FilterChain", .fields = filter_chain_fields};

static const struct mesh_field listener_fields[] = {
	OBJECT("filterChain", &filter_chain_schema),
	FIELD("listenerFilter", STRING),
	FIELD("name", STRING),
	FIELD("portName", STRING),
	FIELD("portNumber", INT64, .flags = RANGE, .min = 0, .max = 4294967295),
	{.name = NULL},
};

static const struct mesh_schema listener_schema = {.name = "Listener", .fields = listener_fields};

static const struct mesh_field proxy_fields[] = {
	MAP("metadata", STRING),
	FIELD("proxyVersion", STRING),
	{.name = NULL},
};

static const struct mesh_schema proxy_schema = {.name = "Proxy", .fields = proxy_fields};

static const struct mesh_field route_fields[] = {
	FIELD("action", STRING, .values = values_any_route_redirect),
	FIELD("name", STRING),
	{.name = NULL},
};

static const struct mesh_schema route_schema = {.name = "Route", .fields = route_fields};

static const struct mesh_field vhost_fields[] = {
	FIELD("domainName", STRING),
	FIELD("name", STRING),
	OBJECT("route", &route_schema),
	{.name = NULL},
};

static const struct mesh_schema vhost_schema = {.name = "Vhost", .fields = vhost_fields};

static const struct mesh_field route_configuration_fields[] = {
	FIELD("gateway", STRING),       FIELD("name", STRING),
	FIELD("portName", STRING),      FIELD("portNumber", INT64, .flags = RANGE, .min = 0, .max = 4294967295),
	OBJECT("vhost", &vhost_schema), {.name = NULL},
};

static const struct mesh_schema route_configuration_schema = {.name = "RouteConfiguration",
							      .fields = route_configuration_fields};

static const struct mesh_field waypoint_fields[] = {
	OBJECT("filter", &filter_schema),
	FIELD("portNumber", INT64, .flags = RANGE, .min = 1, .max = 65535),
	OBJECT("route", &sub_filter_schema),
	{.name = NULL},
};

static const struct mesh_schema waypoint_schema = {.name = "Waypoint", .fields = waypoint_fields};

static const struct mesh_field match_fields[] = {
	OBJECT("cluster", &cluster_schema),
	FIELD("context", STRING, .values = values_any_sidecar_inbound_sidecar_outbound),
	OBJECT("listener", &listener_schema),
	OBJECT("proxy", &proxy_schema),
	OBJECT("routeConfiguration", &route_configuration_schema),
	OBJECT("waypoint", &waypoint_schema),
	{.name = NULL},
};

static const char *const match_one_of[] = {"listener|routeConfiguration|cluster|waypoint", NULL};

static const struct mesh_schema match_schema = {.name = "Match", .fields = match_fields, .one_of = match_one_of};

static const struct mesh_field patch_fields[] = {
	FIELD("filterClass", STRING, .values = values_unspecified_authn_authz),
	FIELD("operation", STRING, .values = values_invalid_merge_add),
	OBJECT("value", &mesh_schema_open),
	{.name = NULL},
};

static const struct mesh_schema patch_schema = {.name = "Patch", .fields = patch_fields};

static const struct mesh_field config_patches_fields[] = {
	FIELD("applyTo", STRING, .values = values_invalid_listener_filter_chain),
	OBJECT("match", &match_schema),
	OBJECT("patch", &patch_schema),
	{.name = NULL},
};

static const struct mesh_schema config_patches_schema = {.name = "ConfigPatches", .fields = config_patches_fields};

static const struct mesh_field target_refs_fields[] = {
	FIELD("group", STRING, .flags = RANGE, .min = INT64_MIN, .max = 253),
	FIELD("kind", STRING, .flags = REQUIRED | RANGE, .min = 1, .max = 63),
	FIELD("name", STRING, .flags = REQUIRED | RANGE, .min = 1, .max = 253),
	FIELD("namespace", STRING),
	{.name = NULL},
};

static const struct mesh_schema target_refs_schema = {.name = "TargetRefs", .fields = target_refs_fields};

static const struct mesh_field envoy_filter_spec_fields[] = {
	LIST_OF("configPatches", &config_patches_schema),
	FIELD("priority", INT32),
	LIST_OF("targetRefs", &target_refs_schema, .flags = RANGE, .min = INT64_MIN, .max = 16),
	OBJECT("workloadSelector", &workload_selector_schema),
	{.name = NULL},
};

static const struct mesh_schema envoy_filter_spec_schema = {.name = "EnvoyFilterSpec",
							    .fields = envoy_filter_spec_fields};

static const struct mesh_field envoy_filter_fields[] = {
	OBJECT("spec", &envoy_filter_spec_schema, .flags = UNSUPPORTED, .help = "What is wanted."),
	OBJECT("status", &status_schema, .help = "What the mesh says about this object."),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_envoy_filter = {.name = "EnvoyFilter", .fields = envoy_filter_fields};
