/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields of networking.istio.io VirtualService, DestinationRule and Gateway. What has the flag UNSUPPORTED is
 * accepted with a warning.
 */
#include "config/schema.h"
#include "config/schema_rows.h"

static const char *const values_unspecified_forward_ignore[] = {"UNSPECIFIED", "FORWARD", "IGNORE", NULL};
static const char *const values_from_protocol_default_from_request_port[] = {"FROM_PROTOCOL_DEFAULT",
									     "FROM_REQUEST_PORT", NULL};
static const char *const values_unknown_error_warning[] = {"UNKNOWN", "ERROR", "WARNING", "INFO", NULL};
static const char *const values_default_do_not_upgrade_upgrade[] = {"DEFAULT", "DO_NOT_UPGRADE", "UPGRADE", NULL};
static const char *const values_unspecified_least_conn_random[] = {
	"UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST", NULL};
static const char *const values_disable_simple_mutual[] = {"DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL", NULL};
static const char *const values_v1_v2[] = {"V1", "V2", NULL};
static const char *const values_tls_auto_tlsv1_0_tlsv1_1[] = {"TLS_AUTO", "TLSV1_0", "TLSV1_1",
							      "TLSV1_2",  "TLSV1_3", NULL};
static const char *const values_passthrough_simple_mutual[] = {
	"PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL", NULL};

static const struct mesh_field allow_origins_fields[] = {
	FIELD("exact", STRING, .flags = UNSUPPORTED),
	FIELD("prefix", STRING, .flags = UNSUPPORTED),
	FIELD("regex", STRING, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const char *const allow_origins_one_of[] = {"exact|prefix|regex", NULL};

static const struct mesh_schema allow_origins_schema = {
	.name = "AllowOrigins", .fields = allow_origins_fields, .one_of = allow_origins_one_of};

static const struct mesh_field cors_policy_fields[] = {
	FIELD("allowCredentials", BOOL, .flags = NULLABLE | UNSUPPORTED),
	LIST("allowHeaders", STRING, .flags = UNSUPPORTED),
	LIST("allowMethods", STRING, .flags = UNSUPPORTED),
	LIST("allowOrigin", STRING, .flags = UNSUPPORTED),
	LIST_OF("allowOrigins", &allow_origins_schema, .flags = UNSUPPORTED),
	LIST("exposeHeaders", STRING, .flags = UNSUPPORTED),
	FIELD("maxAge", DURATION, .flags = UNSUPPORTED | RANGE, .min = 1000000, .max = INT64_MAX),
	FIELD("unmatchedPreflights", STRING, .flags = UNSUPPORTED, .values = values_unspecified_forward_ignore),
	{.name = NULL},
};

static const struct mesh_schema cors_policy_schema = {.name = "CorsPolicy", .fields = cors_policy_fields};

static const struct mesh_field delegate_fields[] = {
	FIELD("name", STRING, .flags = UNSUPPORTED),
	FIELD("namespace", STRING, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema delegate_schema = {.name = "Delegate", .fields = delegate_fields};

static const struct mesh_field body_fields[] = {
	FIELD("bytes", BYTES, .flags = UNSUPPORTED),
	FIELD("string", STRING, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const char *const body_one_of[] = {"string|bytes", NULL};

static const struct mesh_schema body_schema = {.name = "Body", .fields = body_fields, .one_of = body_one_of};

static const struct mesh_field direct_response_fields[] = {
	OBJECT("body", &body_schema, .flags = UNSUPPORTED),
	FIELD("status", INT64, .flags = REQUIRED | UNSUPPORTED | RANGE, .min = 0, .max = 4294967295),
	{.name = NULL},
};

static const struct mesh_schema direct_response_schema = {.name = "DirectResponse", .fields = direct_response_fields};

static const struct mesh_field percentage_fields[] = {
	FIELD("value", NUMBER, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema percentage_schema = {.name = "Percentage", .fields = percentage_fields};

static const struct mesh_field abort_fields[] = {
	FIELD("grpcStatus", STRING, .flags = UNSUPPORTED),
	FIELD("http2Error", STRING, .flags = UNSUPPORTED),
	FIELD("httpStatus", INT32, .flags = UNSUPPORTED),
	OBJECT("percentage", &percentage_schema, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const char *const abort_one_of[] = {"httpStatus|grpcStatus|http2Error", NULL};

static const struct mesh_schema abort_schema = {.name = "Abort", .fields = abort_fields, .one_of = abort_one_of};

static const struct mesh_field delay_fields[] = {
	FIELD("exponentialDelay", DURATION, .flags = UNSUPPORTED | RANGE, .min = 1000000, .max = INT64_MAX),
	FIELD("fixedDelay", DURATION, .flags = UNSUPPORTED | RANGE, .min = 1000000, .max = INT64_MAX),
	FIELD("percent", INT32, .flags = UNSUPPORTED),
	OBJECT("percentage", &percentage_schema, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const char *const delay_one_of[] = {"fixedDelay|exponentialDelay", NULL};

static const struct mesh_schema delay_schema = {.name = "Delay", .fields = delay_fields, .one_of = delay_one_of};

static const struct mesh_field fault_fields[] = {
	OBJECT("abort", &abort_schema, .flags = UNSUPPORTED),
	OBJECT("delay", &delay_schema, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema fault_schema = {.name = "Fault", .fields = fault_fields};

static const struct mesh_field request_fields[] = {
	MAP("add", STRING, .flags = UNSUPPORTED),
	LIST("remove", STRING, .flags = UNSUPPORTED),
	MAP("set", STRING, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema request_schema = {.name = "Request", .fields = request_fields};

static const struct mesh_field headers_fields[] = {
	OBJECT("request", &request_schema, .flags = UNSUPPORTED),
	OBJECT("response", &request_schema, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema headers_schema = {.name = "Headers", .fields = headers_fields};

static const struct mesh_field string_match_fields[] = {
	FIELD("exact", STRING),
	FIELD("prefix", STRING),
	FIELD("regex", STRING),
	{.name = NULL},
};

static const char *const string_match_one_of[] = {"exact|prefix|regex", NULL};

static const struct mesh_schema string_match_schema = {
	.name = "StringMatch", .fields = string_match_fields, .one_of = string_match_one_of};

static const struct mesh_field virtual_service_string_match_fields[] = {
	FIELD("exact", STRING, .help = "The whole value."),
	FIELD("prefix", STRING, .help = "How the value begins."),
	FIELD("regex", STRING, .help = "A regular expression for the whole value."),
	{.name = NULL},
};

static const char *const virtual_service_string_match_one_of[] = {"exact|prefix|regex", NULL};

static const struct mesh_schema virtual_service_string_match_schema = {.name = "StringMatch",
								       .fields = virtual_service_string_match_fields,
								       .one_of = virtual_service_string_match_one_of};

static const struct mesh_field http_match_request_fields[] = {
	OBJECT("authority", &string_match_schema, .help = "What the Host or :authority must be."),
	LIST("gateways", STRING, .help = "Only for requests that come through these gateways."),
	MAP_OF("headers", &string_match_schema, .help = "What header fields must be, by lower-case name."),
	FIELD("ignoreUriCase", BOOL, .help = "Compare exact and prefix of uri without regard to case."),
	OBJECT("method", &string_match_schema, .help = "What the method must be."),
	FIELD("name", STRING),
	FIELD("port", INT64, .flags = RANGE, .min = 0, .max = 4294967295, .help = "The port that the request is for."),
	MAP_OF("queryParams", &string_match_schema, .help = "What query parameters must be."),
	OBJECT("scheme", &string_match_schema, .help = "What the scheme must be."),
	MAP("sourceLabels", STRING, .help = "Only for clients with these labels."),
	FIELD("sourceNamespace", STRING, .help = "Only for clients in this namespace."),
	FIELD("statPrefix", STRING, .flags = UNSUPPORTED),
	OBJECT("uri", &virtual_service_string_match_schema, .help = "What the path must be."),
	MAP_OF("withoutHeaders", &string_match_schema, .help = "What header fields must not be."),
	{.name = NULL},
};

static const struct mesh_schema http_match_request_schema = {.name = "HTTPMatchRequest",
							     .fields = http_match_request_fields};

static const struct mesh_field port_fields[] = {
	FIELD("number", INT64, .flags = UNSUPPORTED | RANGE, .min = 0, .max = 4294967295),
	{.name = NULL},
};

static const struct mesh_schema port_schema = {.name = "Port", .fields = port_fields};

static const struct mesh_field mirror_fields[] = {
	FIELD("host", STRING, .flags = REQUIRED | UNSUPPORTED),
	OBJECT("port", &port_schema, .flags = UNSUPPORTED),
	FIELD("subset", STRING, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema mirror_schema = {.name = "Mirror", .fields = mirror_fields};

static const struct mesh_field mirrors_fields[] = {
	OBJECT("destination", &mirror_schema, .flags = REQUIRED | UNSUPPORTED),
	OBJECT("percentage", &percentage_schema, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema mirrors_schema = {.name = "Mirrors", .fields = mirrors_fields};

static const struct mesh_field redirect_fields[] = {
	FIELD("authority", STRING, .flags = UNSUPPORTED),
	FIELD("derivePort", STRING, .flags = UNSUPPORTED, .values = values_from_protocol_default_from_request_port),
	FIELD("port", INT64, .flags = UNSUPPORTED | RANGE, .min = 0, .max = 4294967295),
	FIELD("prefixRewrite", STRING, .flags = UNSUPPORTED),
	FIELD("redirectCode", INT64, .flags = UNSUPPORTED | RANGE, .min = 0, .max = 4294967295),
	FIELD("scheme", STRING, .flags = UNSUPPORTED),
	FIELD("uri", STRING, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const char *const redirect_one_of[] = {"port|derivePort", NULL};

static const struct mesh_schema redirect_schema = {
	.name = "Redirect", .fields = redirect_fields, .one_of = redirect_one_of};

static const struct mesh_field retries_fields[] = {
	FIELD("attempts", INT32, .flags = UNSUPPORTED),
	FIELD("backoff", DURATION, .flags = UNSUPPORTED | RANGE, .min = 1000000, .max = INT64_MAX),
	FIELD("perTryTimeout", DURATION, .flags = UNSUPPORTED | RANGE, .min = 1000000, .max = INT64_MAX),
	FIELD("retryIgnorePreviousHosts", BOOL, .flags = NULLABLE | UNSUPPORTED),
	FIELD("retryOn", STRING, .flags = UNSUPPORTED),
	FIELD("retryRemoteLocalities", BOOL, .flags = NULLABLE | UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema retries_schema = {.name = "Retries", .fields = retries_fields};

static const struct mesh_field uri_regex_rewrite_fields[] = {
	FIELD("match", STRING, .flags = UNSUPPORTED),
	FIELD("rewrite", STRING, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema uri_regex_rewrite_schema = {.name = "UriRegexRewrite",
							    .fields = uri_regex_rewrite_fields};

static const struct mesh_field rewrite_fields[] = {
	FIELD("authority", STRING, .flags = UNSUPPORTED),
	FIELD("uri", STRING, .flags = UNSUPPORTED),
	OBJECT("uriRegexRewrite", &uri_regex_rewrite_schema, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema rewrite_schema = {.name = "Rewrite", .fields = rewrite_fields};

static const struct mesh_field port_selector_fields[] = {
	FIELD("number", INT64, .flags = RANGE, .min = 0, .max = 4294967295),
	{.name = NULL},
};

static const struct mesh_schema port_selector_schema = {.name = "PortSelector", .fields = port_selector_fields};

static const struct mesh_field destination_fields[] = {
	FIELD("host", STRING, .flags = REQUIRED, .help = "Name of the service."),
	OBJECT("port", &port_selector_schema, .help = "Port of the service, if it has several."),
	FIELD("subset", STRING, .help = "Name of a subset in a DestinationRule."),
	{.name = NULL},
};

static const struct mesh_schema destination_schema = {.name = "Destination", .fields = destination_fields};

static const struct mesh_field http_route_destination_fields[] = {
	OBJECT("destination", &destination_schema, .flags = REQUIRED,
	       .help = "A service, and optionally one of its subsets."),
	OBJECT("headers", &headers_schema, .flags = UNSUPPORTED),
	FIELD("weight", INT32, .help = "Its share of the requests; all weights of a rule are summed."),
	{.name = NULL},
};

static const struct mesh_schema http_route_destination_schema = {.name = "HTTPRouteDestination",
								 .fields = http_route_destination_fields};

static const struct mesh_field http_route_fields[] = {
	OBJECT("corsPolicy", &cors_policy_schema, .flags = UNSUPPORTED, .help = "Cross-origin rules."),
	OBJECT("delegate", &delegate_schema, .flags = UNSUPPORTED, .help = "Another VirtualService with the rules."),
	OBJECT("directResponse", &direct_response_schema, .flags = UNSUPPORTED, .help = "Answer with this."),
	OBJECT("fault", &fault_schema, .flags = UNSUPPORTED, .help = "Failures to inject."),
	OBJECT("headers", &headers_schema, .flags = UNSUPPORTED, .help = "Header fields to add, set or remove."),
	LIST_OF("match", &http_match_request_schema,
		.help = "Conditions; the rule holds if any of them holds, or if there is none."),
	OBJECT("mirror", &mirror_schema, .flags = UNSUPPORTED, .help = "Where a copy of each request goes."),
	FIELD("mirrorPercent", INT64, .flags = NULLABLE | UNSUPPORTED | RANGE, .min = 0, .max = 4294967295),
	OBJECT("mirrorPercentage", &percentage_schema, .flags = UNSUPPORTED),
	FIELD("mirror_percent", INT64, .flags = NULLABLE | UNSUPPORTED | RANGE, .min = 0, .max = 4294967295),
	LIST_OF("mirrors", &mirrors_schema, .flags = UNSUPPORTED),
	FIELD("name", STRING, .help = "A name for logs and traces."),
	OBJECT("redirect", &redirect_schema, .flags = UNSUPPORTED, .help = "Answer with a redirect."),
	OBJECT("retries", &retries_schema, .flags = UNSUPPORTED, .help = "When a failed request is sent again."),
	OBJECT("rewrite", &rewrite_schema, .flags = UNSUPPORTED, .help = "Change path or host before forwarding."),
	LIST_OF("route", &http_route_destination_schema,
		.help = "Destinations among which each request is drawn by weight."),
	FIELD("timeout", DURATION, .flags = RANGE, .min = 1000000, .max = INT64_MAX,
	      .help = "How long a request may take."),
	{.name = NULL},
};

static const struct mesh_schema http_route_schema = {.name = "HTTPRoute", .fields = http_route_fields};

static const struct mesh_field l4_match_attributes_fields[] = {
	LIST("destinationSubnets", STRING, .flags = UNSUPPORTED),
	LIST("gateways", STRING),
	FIELD("port", INT64, .flags = RANGE, .min = 0, .max = 4294967295,
	      .help = "The port that the connection is for."),
	MAP("sourceLabels", STRING, .flags = UNSUPPORTED),
	FIELD("sourceNamespace", STRING, .flags = UNSUPPORTED),
	FIELD("sourceSubnet", STRING, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema l4_match_attributes_schema = {.name = "L4MatchAttributes",
							      .fields = l4_match_attributes_fields};

static const struct mesh_field route_destination_fields[] = {
	FIELD("host", STRING, .flags = REQUIRED),
	OBJECT("port", &port_selector_schema),
	FIELD("subset", STRING),
	{.name = NULL},
};

static const struct mesh_schema route_destination_schema = {.name = "RouteDestination",
							    .fields = route_destination_fields};

static const struct mesh_field virtual_service_route_destination_fields[] = {
	OBJECT("destination", &route_destination_schema, .flags = REQUIRED),
	FIELD("weight", INT32),
	{.name = NULL},
};

static const struct mesh_schema virtual_service_route_destination_schema = {
	.name = "RouteDestination", .fields = virtual_service_route_destination_fields};

static const struct mesh_field tcp_route_fields[] = {
	LIST_OF("match", &l4_match_attributes_schema, .help = "Conditions on the connection."),
	LIST_OF("route", &virtual_service_route_destination_schema,
		.help = "Destinations among which each connection is drawn by weight."),
	{.name = NULL},
};

static const struct mesh_schema tcp_route_schema = {.name = "TCPRoute", .fields = tcp_route_fields};

static const struct mesh_field tls_match_attributes_fields[] = {
	LIST("destinationSubnets", STRING, .flags = UNSUPPORTED),
	LIST("gateways", STRING, .flags = UNSUPPORTED),
	FIELD("port", INT64, .flags = UNSUPPORTED | RANGE, .min = 0, .max = 4294967295),
	LIST("sniHosts", STRING, .flags = REQUIRED | UNSUPPORTED),
	MAP("sourceLabels", STRING, .flags = UNSUPPORTED),
	FIELD("sourceNamespace", STRING, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema tls_match_attributes_schema = {.name = "TLSMatchAttributes",
							       .fields = tls_match_attributes_fields};

static const struct mesh_field route_fields[] = {
	OBJECT("destination", &mirror_schema, .flags = REQUIRED | UNSUPPORTED),
	FIELD("weight", INT32, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema route_schema = {.name = "Route", .fields = route_fields};

static const struct mesh_field tls_route_fields[] = {
	LIST_OF("match", &tls_match_attributes_schema, .flags = REQUIRED | UNSUPPORTED),
	LIST_OF("route", &route_schema, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema tls_route_schema = {.name = "TLSRoute", .fields = tls_route_fields};

static const struct mesh_field virtual_service_spec_fields[] = {
	LIST("exportTo", STRING, .help = "Namespaces that see this object; \".\" is its own, \"*\" is all."),
	LIST("gateways", STRING,
	     .help = "Gateways that serve the rules, and \"mesh\" for all clients inside; only \"mesh\" if empty."),
	LIST("hosts", STRING,
	     .help = "Host names that the rules are for: short, qualified, or with a leading wildcard."),
	LIST_OF("http", &http_route_schema, .help = "Rules for HTTP, in order: the first that matches is used."),
	LIST_OF("tcp", &tcp_route_schema, .help = "Rules for TCP ports, in order."),
	LIST_OF("tls", &tls_route_schema, .flags = UNSUPPORTED,
		.help = "Rules for TLS that is passed through, by server name."),
	{.name = NULL},
};

static const struct mesh_schema virtual_service_spec_schema = {.name = "VirtualServiceSpec",
							       .fields = virtual_service_spec_fields};

static const struct mesh_field istio_condition_fields[] = {
	FIELD("lastProbeTime", TIME), FIELD("lastTransitionTime", TIME),
	FIELD("message", STRING),     FIELD("observedGeneration", INT_OR_STRING),
	FIELD("reason", STRING),      FIELD("status", STRING),
	FIELD("type", STRING),        {.name = NULL},
};

static const struct mesh_schema istio_condition_schema = {.name = "IstioCondition", .fields = istio_condition_fields};

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

static const struct mesh_field istio_status_fields[] = {
	LIST_OF("conditions", &istio_condition_schema),
	FIELD("observedGeneration", INT_OR_STRING),
	LIST_OF("validationMessages", &validation_messages_schema),
	{.name = NULL},
};

static const struct mesh_schema istio_status_schema = {
	.name = "IstioStatus", .fields = istio_status_fields, .open = true};

static const struct mesh_field virtual_service_fields[] = {
	OBJECT("spec", &virtual_service_spec_schema, .help = "Where requests for the hosts go."),
	OBJECT("status", &istio_status_schema, .help = "What the mesh says about this object."),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_virtual_service = {.name = "VirtualService", .fields = virtual_service_fields};

static const struct mesh_field http2_keep_alive_fields[] = {
	FIELD("interval", DURATION, .flags = UNSUPPORTED | RANGE, .min = 1000000, .max = INT64_MAX),
	FIELD("timeout", DURATION, .flags = UNSUPPORTED | RANGE, .min = 1000000, .max = INT64_MAX),
	{.name = NULL},
};

static const struct mesh_schema http2_keep_alive_schema = {.name = "Http2KeepAlive", .fields = http2_keep_alive_fields};

static const struct mesh_field http_fields[] = {
	FIELD("h2UpgradePolicy", STRING, .flags = UNSUPPORTED, .values = values_default_do_not_upgrade_upgrade),
	FIELD("http1MaxPendingRequests", INT32, .flags = UNSUPPORTED),
	OBJECT("http2KeepAlive", &http2_keep_alive_schema, .flags = UNSUPPORTED),
	FIELD("http2MaxRequests", INT32, .flags = UNSUPPORTED),
	FIELD("idleTimeout", DURATION, .flags = UNSUPPORTED | RANGE, .min = 1000000, .max = INT64_MAX),
	FIELD("maxConcurrentStreams", INT32, .flags = UNSUPPORTED),
	FIELD("maxRequestsPerConnection", INT32, .flags = UNSUPPORTED),
	FIELD("maxRetries", INT32, .flags = UNSUPPORTED),
	FIELD("useClientProtocol", BOOL, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema http_schema = {.name = "Http", .fields = http_fields};

static const struct mesh_field tcp_keepalive_fields[] = {
	FIELD("interval", DURATION, .flags = UNSUPPORTED | RANGE, .min = 1000000, .max = INT64_MAX),
	FIELD("probes", INT64, .flags = UNSUPPORTED | RANGE, .min = 0, .max = 4294967295),
	FIELD("time", DURATION, .flags = UNSUPPORTED | RANGE, .min = 1000000, .max = INT64_MAX),
	{.name = NULL},
};

static const struct mesh_schema tcp_keepalive_schema = {.name = "TcpKeepalive", .fields = tcp_keepalive_fields};

static const struct mesh_field tcp_fields[] = {
	FIELD("connectTimeout", DURATION, .flags = UNSUPPORTED | RANGE, .min = 1000000, .max = INT64_MAX),
	FIELD("idleTimeout", STRING, .flags = UNSUPPORTED),
	FIELD("maxConnectionDuration", DURATION, .flags = UNSUPPORTED | RANGE, .min = 1000000, .max = INT64_MAX),
	FIELD("maxConnections", INT32, .flags = UNSUPPORTED),
	OBJECT("tcpKeepalive", &tcp_keepalive_schema, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema tcp_schema = {.name = "Tcp", .fields = tcp_fields};

static const struct mesh_field connection_pool_fields[] = {
	OBJECT("http", &http_schema, .flags = UNSUPPORTED),
	OBJECT("tcp", &tcp_schema, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema connection_pool_schema = {.name = "ConnectionPool", .fields = connection_pool_fields};

static const struct mesh_field backend_utilization_fields[] = {
	FIELD("errorUtilizationPenaltyPercent", INT64, .flags = UNSUPPORTED | RANGE, .min = 0, .max = 4294967295),
	LIST("metricNamesForComputingUtilization", STRING, .flags = UNSUPPORTED),
	FIELD("weightExpirationPeriod", STRING, .flags = UNSUPPORTED),
	FIELD("weightStabilizationPeriod", STRING, .flags = UNSUPPORTED),
	FIELD("weightUpdatePeriod", STRING, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema backend_utilization_schema = {.name = "BackendUtilization",
							      .fields = backend_utilization_fields};

static const struct mesh_field attributes_fields[] = {
	FIELD("name", STRING, .flags = REQUIRED | UNSUPPORTED),
	FIELD("value", STRING, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema attributes_schema = {.name = "Attributes", .fields = attributes_fields};

static const struct mesh_field http_cookie_fields[] = {
	LIST_OF("attributes", &attributes_schema, .flags = UNSUPPORTED),
	FIELD("name", STRING, .flags = REQUIRED | UNSUPPORTED),
	FIELD("path", STRING, .flags = UNSUPPORTED),
	FIELD("ttl", STRING, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema http_cookie_schema = {.name = "HttpCookie", .fields = http_cookie_fields};

static const struct mesh_field maglev_fields[] = {
	FIELD("tableSize", INT64, .flags = UNSUPPORTED | RANGE, .min = 0, .max = INT64_MAX),
	{.name = NULL},
};

static const struct mesh_schema maglev_schema = {.name = "Maglev", .fields = maglev_fields};

static const struct mesh_field ring_hash_fields[] = {
	FIELD("minimumRingSize", INT64, .flags = UNSUPPORTED | RANGE, .min = 0, .max = INT64_MAX),
	{.name = NULL},
};

static const struct mesh_schema ring_hash_schema = {.name = "RingHash", .fields = ring_hash_fields};

static const struct mesh_field consistent_hash_fields[] = {
	OBJECT("httpCookie", &http_cookie_schema, .flags = UNSUPPORTED),
	FIELD("httpHeaderName", STRING, .flags = UNSUPPORTED),
	FIELD("httpQueryParameterName", STRING, .flags = UNSUPPORTED),
	OBJECT("maglev", &maglev_schema, .flags = UNSUPPORTED),
	FIELD("minimumRingSize", INT64, .flags = UNSUPPORTED | RANGE, .min = 0, .max = INT64_MAX),
	OBJECT("ringHash", &ring_hash_schema, .flags = UNSUPPORTED),
	FIELD("useSourceIp", BOOL, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const char *const consistent_hash_one_of[] = {"httpHeaderName|httpCookie|useSourceIp|httpQueryParameterName",
						     "ringHash|maglev", NULL};

static const struct mesh_schema consistent_hash_schema = {
	.name = "ConsistentHash", .fields = consistent_hash_fields, .one_of = consistent_hash_one_of};

static const struct mesh_field distribute_fields[] = {
	FIELD("from", STRING, .flags = UNSUPPORTED),
	MAP("to", INT64, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema distribute_schema = {.name = "Distribute", .fields = distribute_fields};

static const struct mesh_field failover_fields[] = {
	FIELD("from", STRING, .flags = UNSUPPORTED),
	FIELD("to", STRING, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema failover_schema = {.name = "Failover", .fields = failover_fields};

static const struct mesh_field locality_lb_setting_fields[] = {
	LIST_OF("distribute", &distribute_schema, .flags = UNSUPPORTED),
	FIELD("enabled", BOOL, .flags = NULLABLE | UNSUPPORTED),
	LIST_OF("failover", &failover_schema, .flags = UNSUPPORTED),
	LIST("failoverPriority", STRING, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema locality_lb_setting_schema = {.name = "LocalityLbSetting",
							      .fields = locality_lb_setting_fields};

static const struct mesh_field warmup_fields[] = {
	FIELD("aggression", NUMBER, .flags = NULLABLE | UNSUPPORTED | RANGE, .min = 0, .max = INT64_MAX),
	FIELD("duration", DURATION, .flags = REQUIRED | UNSUPPORTED | RANGE, .min = 1000000, .max = INT64_MAX),
	FIELD("minimumPercent", NUMBER, .flags = NULLABLE | UNSUPPORTED | RANGE, .min = 0, .max = 100),
	{.name = NULL},
};

static const struct mesh_schema warmup_schema = {.name = "Warmup", .fields = warmup_fields};

static const struct mesh_field zone_aware_lb_setting_fields[] = {
	FIELD("enabled", BOOL, .flags = NULLABLE | UNSUPPORTED),
	LIST_OF("failover", &failover_schema, .flags = UNSUPPORTED),
	LIST("failoverPriority", STRING, .flags = UNSUPPORTED),
	FIELD("minClusterSize", INT64, .flags = NULLABLE | UNSUPPORTED | RANGE, .min = 1, .max = 4294967295),
	{.name = NULL},
};

static const struct mesh_schema zone_aware_lb_setting_schema = {.name = "ZoneAwareLbSetting",
								.fields = zone_aware_lb_setting_fields};

static const struct mesh_field load_balancer_fields[] = {
	OBJECT("backendUtilization", &backend_utilization_schema, .flags = UNSUPPORTED),
	OBJECT("consistentHash", &consistent_hash_schema, .flags = UNSUPPORTED),
	OBJECT("localityLbSetting", &locality_lb_setting_schema, .flags = UNSUPPORTED),
	FIELD("simple", STRING, .values = values_unspecified_least_conn_random),
	OBJECT("warmup", &warmup_schema, .flags = UNSUPPORTED),
	FIELD("warmupDurationSecs", DURATION, .flags = UNSUPPORTED | RANGE, .min = 1000000, .max = INT64_MAX),
	OBJECT("zoneAwareLbSetting", &zone_aware_lb_setting_schema, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const char *const load_balancer_one_of[] = {"simple|consistentHash|backendUtilization", NULL};

static const struct mesh_schema load_balancer_schema = {
	.name = "LoadBalancer", .fields = load_balancer_fields, .one_of = load_balancer_one_of};

static const struct mesh_field outlier_detection_fields[] = {
	FIELD("baseEjectionTime", DURATION, .flags = UNSUPPORTED | RANGE, .min = 1000000, .max = INT64_MAX),
	FIELD("consecutive5xxErrors", INT64, .flags = NULLABLE | UNSUPPORTED | RANGE, .min = 0, .max = 4294967295),
	FIELD("consecutiveErrors", INT32, .flags = UNSUPPORTED),
	FIELD("consecutiveGatewayErrors", INT64, .flags = NULLABLE | UNSUPPORTED | RANGE, .min = 0, .max = 4294967295),
	FIELD("consecutiveLocalOriginFailures", INT64, .flags = NULLABLE | UNSUPPORTED | RANGE, .min = 0,
	      .max = 4294967295),
	FIELD("interval", DURATION, .flags = UNSUPPORTED | RANGE, .min = 1000000, .max = INT64_MAX),
	FIELD("maxEjectionPercent", INT32, .flags = UNSUPPORTED),
	FIELD("minHealthPercent", INT32, .flags = UNSUPPORTED),
	LIST("outlierDetectionHttpErrorCodes", INT64, .flags = UNSUPPORTED),
	FIELD("splitExternalLocalOriginErrors", BOOL, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema outlier_detection_schema = {.name = "OutlierDetection",
							    .fields = outlier_detection_fields};

static const struct mesh_field port_level_settings_load_balancer_fields[] = {
	OBJECT("backendUtilization", &backend_utilization_schema, .flags = UNSUPPORTED),
	OBJECT("consistentHash", &consistent_hash_schema, .flags = UNSUPPORTED),
	OBJECT("localityLbSetting", &locality_lb_setting_schema, .flags = UNSUPPORTED),
	FIELD("simple", STRING, .flags = UNSUPPORTED, .values = values_unspecified_least_conn_random),
	OBJECT("warmup", &warmup_schema, .flags = UNSUPPORTED),
	FIELD("warmupDurationSecs", DURATION, .flags = UNSUPPORTED | RANGE, .min = 1000000, .max = INT64_MAX),
	OBJECT("zoneAwareLbSetting", &zone_aware_lb_setting_schema, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const char *const port_level_settings_load_balancer_one_of[] = {"simple|consistentHash|backendUtilization",
								       NULL};

static const struct mesh_schema port_level_settings_load_balancer_schema = {
	.name = "PortLevelSettingsLoadBalancer",
	.fields = port_level_settings_load_balancer_fields,
	.one_of = port_level_settings_load_balancer_one_of};

static const struct mesh_field tls_fields[] = {
	FIELD("caCertificates", STRING, .flags = UNSUPPORTED),
	FIELD("caCrl", STRING, .flags = UNSUPPORTED),
	FIELD("clientCertificate", STRING, .flags = UNSUPPORTED),
	FIELD("credentialName", STRING, .flags = UNSUPPORTED),
	FIELD("insecureSkipVerify", BOOL, .flags = NULLABLE | UNSUPPORTED),
	FIELD("mode", STRING, .flags = UNSUPPORTED, .values = values_disable_simple_mutual),
	FIELD("privateKey", STRING, .flags = UNSUPPORTED),
	FIELD("sni", STRING, .flags = UNSUPPORTED),
	LIST("subjectAltNames", STRING, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema tls_schema = {.name = "Tls", .fields = tls_fields};

static const struct mesh_field port_level_settings_fields[] = {
	OBJECT("connectionPool", &connection_pool_schema, .flags = UNSUPPORTED),
	OBJECT("loadBalancer", &port_level_settings_load_balancer_schema, .flags = UNSUPPORTED),
	OBJECT("outlierDetection", &outlier_detection_schema, .flags = UNSUPPORTED),
	OBJECT("port", &port_schema, .flags = UNSUPPORTED),
	OBJECT("tls", &tls_schema, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema port_level_settings_schema = {.name = "PortLevelSettings",
							      .fields = port_level_settings_fields};

static const struct mesh_field proxy_protocol_fields[] = {
	FIELD("version", STRING, .flags = UNSUPPORTED, .values = values_v1_v2),
	{.name = NULL},
};

static const struct mesh_schema proxy_protocol_schema = {.name = "ProxyProtocol", .fields = proxy_protocol_fields};

static const struct mesh_field retry_budget_fields[] = {
	FIELD("budgetInterval", STRING, .flags = UNSUPPORTED),
	FIELD("minRetryConcurrency", INT64, .flags = UNSUPPORTED | RANGE, .min = 0, .max = 4294967295),
	FIELD("percent", NUMBER, .flags = NULLABLE | UNSUPPORTED | RANGE, .min = 0, .max = 100),
	{.name = NULL},
};

static const struct mesh_schema retry_budget_schema = {.name = "RetryBudget", .fields = retry_budget_fields};

static const struct mesh_field tunnel_fields[] = {
	FIELD("protocol", STRING, .flags = UNSUPPORTED),
	FIELD("targetHost", STRING, .flags = REQUIRED | UNSUPPORTED),
	FIELD("targetPort", INT64, .flags = REQUIRED | UNSUPPORTED | RANGE, .min = 0, .max = 4294967295),
	{.name = NULL},
};

static const struct mesh_schema tunnel_schema = {.name = "Tunnel", .fields = tunnel_fields};

static const struct mesh_field traffic_policy_fields[] = {
	OBJECT("connectionPool", &connection_pool_schema, .flags = UNSUPPORTED),
	OBJECT("loadBalancer", &load_balancer_schema),
	OBJECT("outlierDetection", &outlier_detection_schema, .flags = UNSUPPORTED),
	LIST_OF("portLevelSettings", &port_level_settings_schema, .flags = UNSUPPORTED | RANGE, .min = INT64_MIN,
		.max = 4096),
	OBJECT("proxyProtocol", &proxy_protocol_schema, .flags = UNSUPPORTED),
	OBJECT("retryBudget", &retry_budget_schema, .flags = UNSUPPORTED),
	OBJECT("tls", &tls_schema, .flags = UNSUPPORTED),
	OBJECT("tunnel", &tunnel_schema, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema traffic_policy_schema = {.name = "TrafficPolicy", .fields = traffic_policy_fields};

static const struct mesh_field subset_fields[] = {
	MAP("labels", STRING, .help = "Labels of the pods in the group."),
	FIELD("name", STRING, .flags = REQUIRED, .help = "Name that routes use."),
	OBJECT("trafficPolicy", &traffic_policy_schema, .help = "What differs for this group."),
	{.name = NULL},
};

static const struct mesh_schema subset_schema = {.name = "Subset", .fields = subset_fields};

static const struct mesh_field traffic_policy_load_balancer_fields[] = {
	OBJECT("backendUtilization", &backend_utilization_schema, .flags = UNSUPPORTED),
	OBJECT("consistentHash", &consistent_hash_schema, .flags = UNSUPPORTED),
	OBJECT("localityLbSetting", &locality_lb_setting_schema, .flags = UNSUPPORTED),
	FIELD("simple", STRING, .values = values_unspecified_least_conn_random, .help = "One of the plain algorithms."),
	OBJECT("warmup", &warmup_schema, .flags = UNSUPPORTED),
	FIELD("warmupDurationSecs", DURATION, .flags = UNSUPPORTED | RANGE, .min = 1000000, .max = INT64_MAX),
	OBJECT("zoneAwareLbSetting", &zone_aware_lb_setting_schema, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const char *const traffic_policy_load_balancer_one_of[] = {"simple|consistentHash|backendUtilization", NULL};

static const struct mesh_schema traffic_policy_load_balancer_schema = {.name = "TrafficPolicyLoadBalancer",
								       .fields = traffic_policy_load_balancer_fields,
								       .one_of = traffic_policy_load_balancer_one_of};

static const struct mesh_field spec_traffic_policy_fields[] = {
	OBJECT("connectionPool", &connection_pool_schema, .flags = UNSUPPORTED,
	       .help = "Limits on connections and requests."),
	OBJECT("loadBalancer", &traffic_policy_load_balancer_schema, .help = "How an endpoint is chosen."),
	OBJECT("outlierDetection", &outlier_detection_schema, .flags = UNSUPPORTED,
	       .help = "When an endpoint is left out for a while."),
	LIST_OF("portLevelSettings", &port_level_settings_schema, .flags = UNSUPPORTED | RANGE, .min = INT64_MIN,
		.max = 4096),
	OBJECT("proxyProtocol", &proxy_protocol_schema, .flags = UNSUPPORTED),
	OBJECT("retryBudget", &retry_budget_schema, .flags = UNSUPPORTED),
	OBJECT("tls", &tls_schema, .flags = UNSUPPORTED, .help = "TLS to the endpoints."),
	OBJECT("tunnel", &tunnel_schema, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema spec_traffic_policy_schema = {.name = "SpecTrafficPolicy",
							      .fields = spec_traffic_policy_fields};

static const struct mesh_field workload_selector_fields[] = {
	MAP("matchLabels", STRING, .flags = UNSUPPORTED | RANGE, .min = INT64_MIN, .max = 4096),
	{.name = NULL},
};

static const struct mesh_schema workload_selector_schema = {.name = "WorkloadSelector",
							    .fields = workload_selector_fields};

static const struct mesh_field destination_rule_spec_fields[] = {
	LIST("exportTo", STRING, .help = "Namespaces that see this object; \".\" is its own, \"*\" is all."),
	FIELD("host", STRING, .flags = REQUIRED, .help = "Name of the service."),
	LIST_OF("subsets", &subset_schema, .help = "Named groups of its endpoints."),
	OBJECT("trafficPolicy", &spec_traffic_policy_schema, .help = "How endpoints are used."),
	OBJECT("workloadSelector", &workload_selector_schema, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema destination_rule_spec_schema = {.name = "DestinationRuleSpec",
								.fields = destination_rule_spec_fields};

static const struct mesh_field destination_rule_fields[] = {
	OBJECT("spec", &destination_rule_spec_schema, .help = "What holds for requests to the host once it is chosen."),
	OBJECT("status", &istio_status_schema, .help = "What the mesh says about this object."),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_destination_rule = {.name = "DestinationRule", .fields = destination_rule_fields};

static const struct mesh_field gateway_port_fields[] = {
	FIELD("name", STRING, .flags = REQUIRED, .help = "Its name."),
	FIELD("number", INT64, .flags = REQUIRED | RANGE, .min = 0, .max = 4294967295, .help = "Its number."),
	FIELD("protocol", STRING, .flags = REQUIRED, .help = "HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP or TLS."),
	FIELD("targetPort", INT64, .flags = UNSUPPORTED | RANGE, .min = 0, .max = 4294967295),
	{.name = NULL},
};

static const struct mesh_schema gateway_port_schema = {.name = "Port", .fields = gateway_port_fields};

static const struct mesh_field tls_certificates_fields[] = {
	FIELD("caCertificates", STRING, .flags = UNSUPPORTED),
	FIELD("privateKey", STRING, .flags = UNSUPPORTED),
	FIELD("serverCertificate", STRING, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema tls_certificates_schema = {.name = "TlsCertificates",
							   .fields = tls_certificates_fields};

static const struct mesh_field server_tls_settings_fields[] = {
	FIELD("caCertCredentialName", STRING, .flags = UNSUPPORTED),
	FIELD("caCertificates", STRING, .flags = UNSUPPORTED),
	FIELD("caCrl", STRING, .flags = UNSUPPORTED),
	LIST("cipherSuites", STRING, .flags = UNSUPPORTED),
	FIELD("credentialName", STRING, .flags = UNSUPPORTED),
	LIST("credentialNames", STRING, .flags = UNSUPPORTED | RANGE, .min = 1, .max = 2),
	LIST("ecdhCurves", STRING, .flags = UNSUPPORTED),
	FIELD("httpsRedirect", BOOL, .flags = UNSUPPORTED),
	FIELD("insecureSkipVerify", BOOL, .flags = NULLABLE | UNSUPPORTED),
	FIELD("maxProtocolVersion", STRING, .flags = UNSUPPORTED, .values = values_tls_auto_tlsv1_0_tlsv1_1),
	FIELD("minProtocolVersion", STRING, .flags = UNSUPPORTED, .values = values_tls_auto_tlsv1_0_tlsv1_1),
	FIELD("mode", STRING, .flags = UNSUPPORTED, .values = values_passthrough_simple_mutual),
	FIELD("privateKey", STRING, .flags = UNSUPPORTED),
	FIELD("serverCertificate", STRING, .flags = UNSUPPORTED),
	LIST("subjectAltNames", STRING, .flags = UNSUPPORTED),
	LIST_OF("tlsCertificates", &tls_certificates_schema, .flags = UNSUPPORTED | RANGE, .min = 1, .max = 2),
	LIST("verifyCertificateHash", STRING, .flags = UNSUPPORTED),
	LIST("verifyCertificateSpki", STRING, .flags = UNSUPPORTED),
	{.name = NULL},
};

static const struct mesh_schema server_tls_settings_schema = {.name = "ServerTLSSettings",
							      .fields = server_tls_settings_fields};

static const struct mesh_field server_fields[] = {
	FIELD("bind", STRING, .flags = UNSUPPORTED),
	FIELD("defaultEndpoint", STRING, .flags = UNSUPPORTED),
	LIST("hosts", STRING, .flags = REQUIRED,
	     .help = "Host names served, optionally with a namespace before a slash."),
	FIELD("name", STRING, .help = "A name of the server."),
	OBJECT("port", &gateway_port_schema, .flags = REQUIRED, .help = "The port."),
	OBJECT("tls", &server_tls_settings_schema, .flags = UNSUPPORTED, .help = "How TLS is ended."),
	{.name = NULL},
};

static const struct mesh_schema server_schema = {.name = "Server", .fields = server_fields};

static const struct mesh_field gateway_spec_fields[] = {
	MAP("selector", STRING, .help = "Labels of the gateway pods."),
	LIST_OF("servers", &server_schema, .help = "Ports and hosts to serve."),
	{.name = NULL},
};

static const struct mesh_schema gateway_spec_schema = {.name = "GatewaySpec", .fields = gateway_spec_fields};

static const struct mesh_field gateway_fields[] = {
	OBJECT("spec", &gateway_spec_schema, .help = "What a gateway at the edge of the mesh listens for."),
	OBJECT("status", &istio_status_schema, .help = "What the mesh says about this object."),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_gateway = {.name = "Gateway", .fields = gateway_fields};
