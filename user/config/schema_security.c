/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields of the kinds of security.istio.io, telemetry.istio.io and extensions.istio.io. The mesh does not act on them
 * yet: their spec is flagged UNSUPPORTED.
 */
#include "config/schema.h"
#include "config/schema_rows.h"

static const char *const values_allow_deny_audit[] = {"ALLOW", "DENY", "AUDIT", "CUSTOM", NULL};
static const char *const values_unknown_error_warning[] = {"UNKNOWN", "ERROR", "WARNING", "INFO", NULL};
static const char *const values_unset_disable_permissive[] = {"UNSET", "DISABLE", "PERMISSIVE", "STRICT", NULL};
static const char *const values_optional_required[] = {"OPTIONAL", "REQUIRED", NULL};
static const char *const values_client_and_server_client_server[] = {"CLIENT_AND_SERVER", "CLIENT", "SERVER", NULL};
static const char *const values_all_metrics_request_count_request_duratio[] = {
	"ALL_METRICS",        "REQUEST_COUNT",          "REQUEST_DURATION",       "REQUEST_SIZE",
	"RESPONSE_SIZE",      "TCP_OPENED_CONNECTIONS", "TCP_CLOSED_CONNECTIONS", "TCP_SENT_BYTES",
	"TCP_RECEIVED_BYTES", "GRPC_REQUEST_MESSAGES",  "GRPC_RESPONSE_MESSAGES", NULL};
static const char *const values_upsert_remove[] = {"UPSERT", "REMOVE", NULL};
static const char *const values_undefined_client_server[] = {"UNDEFINED", "CLIENT", "SERVER", "CLIENT_AND_SERVER",
							     NULL};
static const char *const values_inline_host[] = {"INLINE", "HOST", NULL};
static const char *const values_fail_close_fail_open_fail_reload[] = {"FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD", NULL};
static const char *const values_unspecified_policy_if_not_present_always[] = {"UNSPECIFIED_POLICY", "IfNotPresent",
									      "Always", NULL};
static const char *const values_unspecified_phase_authn_authz[] = {"UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS",
								   NULL};
static const char *const values_unspecified_plugin_type_http_network[] = {"UNSPECIFIED_PLUGIN_TYPE", "HTTP", "NETWORK",
									  NULL};
static const char *const values_unspecified_authn_authz[] = {"UNSPECIFIED", "AUTHN", "AUTHZ", "STATS", NULL};

static const struct mesh_field provider_fields[] = {
	FIELD("name", STRING),
	{.name = NULL},
};

static const struct mesh_schema provider_schema = {.name = "Provider", .fields = provider_fields};

static const struct mesh_field source_fields[] = {
	LIST("ipBlocks", STRING),
	LIST("namespaces", STRING),
	LIST("notIpBlocks", STRING),
	LIST("notNamespaces", STRING),
	LIST("notPrincipals", STRING),
	LIST("notRemoteIpBlocks", STRING),
	LIST("notRequestPrincipals", STRING),
	LIST("notServiceAccounts", STRING, .flags = RANGE, .min = INT64_MIN, .max = 16),
	LIST("notTrustDomains", STRING),
	LIST("principals", STRING),
	LIST("remoteIpBlocks", STRING),
	LIST("requestPrincipals", STRING),
	LIST("serviceAccounts", STRING, .flags = RANGE, .min = INT64_MIN, .max = 16),
	LIST("trustDomains", STRING),
	{.name = NULL},
};

static const struct mesh_schema source_schema = {.name = "Source", .fields = source_fields};

static const struct mesh_field from_fields[] = {
	OBJECT("source", &source_schema),
	{.name = NULL},
};

static const struct mesh_schema from_schema = {.name = "From", .fields = from_fields};

static const struct mesh_field operation_fields[] = {
	LIST("hosts", STRING),      LIST("methods", STRING),  LIST("notHosts", STRING),
	LIST("notMethods", STRING), LIST("notPaths", STRING), LIST("notPorts", STRING),
	LIST("paths", STRING),      LIST("ports", STRING),    {.name = NULL},
};

static const struct mesh_schema operation_schema = {.name = "Operation", .fields = operation_fields};

static const struct mesh_field to_fields[] = {
	OBJECT("operation", &operation_schema),
	{.name = NULL},
};

static const struct mesh_schema to_schema = {.name = "To", .fields = to_fields};

static const struct mesh_field when_fields[] = {
	FIELD("key", STRING, .flags = REQUIRED),
	LIST("notValues", STRING),
	LIST("values", STRING),
	{.name = NULL},
};

static const struct mesh_schema when_schema = {.name = "When", .fields = when_fields};

static const struct mesh_field rules_fields[] = {
	LIST_OF("from", &from_schema, .flags = RANGE, .min = INT64_MIN, .max = 512),
	LIST_OF("to", &to_schema),
	LIST_OF("when", &when_schema),
	{.name = NULL},
};

static const struct mesh_schema rules_schema = {.name = "Rules", .fields = rules_fields};

static const struct mesh_field selector_fields[] = {
	MAP("matchLabels", STRING, .flags = RANGE, .min = INT64_MIN, .max = 4096),
	{.name = NULL},
};

static const struct mesh_schema selector_schema = {.name = "Selector", .fields = selector_fields};

static const struct mesh_field target_ref_fields[] = {
	FIELD("group", STRING, .flags = RANGE, .min = INT64_MIN, .max = 253),
	FIELD("kind", STRING, .flags = REQUIRED | RANGE, .min = 1, .max = 63),
	FIELD("name", STRING, .flags = REQUIRED | RANGE, .min = 1, .max = 253),
	FIELD("namespace", STRING),
	{.name = NULL},
};

static const struct mesh_schema target_ref_schema = {.name = "TargetRef", .fields = target_ref_fields};

static const struct mesh_field authorization_policy_spec_fields[] = {
	FIELD("action", STRING, .values = values_allow_deny_audit),
	OBJECT("provider", &provider_schema),
	LIST_OF("rules", &rules_schema, .flags = RANGE, .min = INT64_MIN, .max = 512),
	OBJECT("selector", &selector_schema, .help = "Which pods it is for."),
	OBJECT("targetRef", &target_ref_schema),
	LIST_OF("targetRefs", &target_ref_schema, .flags = RANGE, .min = INT64_MIN, .max = 16),
	{.name = NULL},
};

static const char *const authorization_policy_spec_one_of[] = {"provider", NULL};

static const struct mesh_schema authorization_policy_spec_schema = {.name = "AuthorizationPolicySpec",
								    .fields = authorization_policy_spec_fields,
								    .one_of = authorization_policy_spec_one_of};

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

static const struct mesh_field authorization_policy_fields[] = {
	OBJECT("spec", &authorization_policy_spec_schema, .flags = UNSUPPORTED, .help = "What is wanted."),
	OBJECT("status", &status_schema, .help = "What the mesh says about this object."),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_authorization_policy = {.name = "AuthorizationPolicy",
							     .fields = authorization_policy_fields};

static const struct mesh_field mtls_fields[] = {
	FIELD("mode", STRING, .values = values_unset_disable_permissive),
	{.name = NULL},
};

static const struct mesh_schema mtls_schema = {.name = "Mtls", .fields = mtls_fields};

static const struct mesh_field peer_authentication_spec_fields[] = {
	OBJECT("mtls", &mtls_schema),
	MAP_OF("portLevelMtls", &mtls_schema, .flags = RANGE, .min = 1, .max = INT64_MAX),
	OBJECT("selector", &selector_schema, .help = "Which pods it is for."),
	{.name = NULL},
};

static const struct mesh_schema peer_authentication_spec_schema = {.name = "PeerAuthenticationSpec",
								   .fields = peer_authentication_spec_fields};

static const struct mesh_field peer_authentication_fields[] = {
	OBJECT("spec", &peer_authentication_spec_schema, .flags = UNSUPPORTED, .help = "What is wanted."),
	OBJECT("status", &status_schema, .help = "What the mesh says about this object."),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_peer_authentication = {.name = "PeerAuthentication",
							    .fields = peer_authentication_fields};

static const struct mesh_field from_headers_fields[] = {
	FIELD("name", STRING, .flags = REQUIRED | RANGE, .min = 1, .max = INT64_MAX),
	FIELD("prefix", STRING),
	{.name = NULL},
};

static const struct mesh_schema from_headers_schema = {.name = "FromHeaders", .fields = from_headers_fields};

static const struct mesh_field output_claim_to_headers_fields[] = {
	FIELD("claim", STRING, .flags = REQUIRED | RANGE, .min = 1, .max = INT64_MAX),
	FIELD("header", STRING, .flags = REQUIRED | RANGE, .min = 1, .max = INT64_MAX),
	{.name = NULL},
};

static const struct mesh_schema output_claim_to_headers_schema = {.name = "OutputClaimToHeaders",
								  .fields = output_claim_to_headers_fields};

static const struct mesh_field jwt_rules_fields[] = {
	LIST("audiences", STRING),
	FIELD("forwardOriginalToken", BOOL),
	LIST("fromCookies", STRING),
	LIST_OF("fromHeaders", &from_headers_schema),
	LIST("fromParams", STRING),
	FIELD("issuer", STRING, .flags = RANGE, .min = 1, .max = INT64_MAX),
	FIELD("jwks", STRING),
	FIELD("jwksUri", STRING, .flags = RANGE, .min = 1, .max = 2048),
	FIELD("jwks_uri", STRING, .flags = RANGE, .min = 1, .max = 2048),
	LIST_OF("outputClaimToHeaders", &output_claim_to_headers_schema),
	FIELD("outputPayloadToHeader", STRING),
	FIELD("presence", STRING, .values = values_optional_required),
	LIST("spaceDelimitedClaims", STRING, .flags = RANGE, .min = INT64_MIN, .max = 64),
	FIELD("timeout", DURATION, .flags = RANGE, .min = 1000000, .max = INT64_MAX),
	{.name = NULL},
};

static const struct mesh_schema jwt_rules_schema = {.name = "JwtRules", .fields = jwt_rules_fields};

static const struct mesh_field request_authentication_spec_fields[] = {
	LIST_OF("jwtRules", &jwt_rules_schema, .flags = RANGE, .min = INT64_MIN, .max = 4096),
	OBJECT("selector", &selector_schema, .help = "Which pods it is for."),
	OBJECT("targetRef", &target_ref_schema),
	LIST_OF("targetRefs", &target_ref_schema, .flags = RANGE, .min = INT64_MIN, .max = 16),
	{.name = NULL},
};

static const struct mesh_schema request_authentication_spec_schema = {.name = "RequestAuthenticationSpec",
								      .fields = request_authentication_spec_fields};

static const struct mesh_field request_authentication_fields[] = {
	OBJECT("spec", &request_authentication_spec_schema, .flags = UNSUPPORTED, .help = "What is wanted."),
	OBJECT("status", &status_schema, .help = "What the mesh says about this object."),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_request_authentication = {.name = "RequestAuthentication",
							       .fields = request_authentication_fields};

static const struct mesh_field filter_fields[] = {
	FIELD("expression", STRING),
	{.name = NULL},
};

static const struct mesh_schema filter_schema = {.name = "Filter", .fields = filter_fields};

static const struct mesh_field match_fields[] = {
	FIELD("mode", STRING, .values = values_client_and_server_client_server),
	{.name = NULL},
};

static const struct mesh_schema match_schema = {.name = "Match", .fields = match_fields};

static const struct mesh_field providers_fields[] = {
	FIELD("name", STRING, .flags = REQUIRED | RANGE, .min = 1, .max = INT64_MAX),
	{.name = NULL},
};

static const struct mesh_schema providers_schema = {.name = "Providers", .fields = providers_fields};

static const struct mesh_field access_logging_fields[] = {
	FIELD("disabled", BOOL, .flags = NULLABLE),
	OBJECT("filter", &filter_schema),
	OBJECT("match", &match_schema),
	LIST_OF("providers", &providers_schema),
	{.name = NULL},
};

static const struct mesh_schema access_logging_schema = {.name = "AccessLogging", .fields = access_logging_fields};

static const struct mesh_field overrides_match_fields[] = {
	FIELD("customMetric", STRING, .flags = RANGE, .min = 1, .max = INT64_MAX),
	FIELD("metric", STRING, .values = values_all_metrics_request_count_request_duratio),
	FIELD("mode", STRING, .values = values_client_and_server_client_server),
	{.name = NULL},
};

static const char *const overrides_match_one_of[] = {"metric|customMetric", NULL};

static const struct mesh_schema overrides_match_schema = {
	.name = "OverridesMatch", .fields = overrides_match_fields, .one_of = overrides_match_one_of};

static const struct mesh_field tag_overrides_fields[] = {
	FIELD("operation", STRING, .values = values_upsert_remove),
	FIELD("value", STRING),
	{.name = NULL},
};

static const struct mesh_schema tag_overrides_schema = {.name = "TagOverrides", .fields = tag_overrides_fields};

static const struct mesh_field overrides_fields[] = {
	FIELD("disabled", BOOL, .flags = NULLABLE),
	OBJECT("match", &overrides_match_schema),
	MAP_OF("tagOverrides", &tag_overrides_schema),
	{.name = NULL},
};

static const struct mesh_schema overrides_schema = {.name = "Overrides", .fields = overrides_fields};

static const struct mesh_field metrics_fields[] = {
	LIST_OF("overrides", &overrides_schema),
	LIST_OF("providers", &providers_schema),
	FIELD("reportingInterval", DURATION, .flags = RANGE, .min = 1000000, .max = INT64_MAX),
	{.name = NULL},
};

static const struct mesh_schema metrics_schema = {.name = "Metrics", .fields = metrics_fields};

static const struct mesh_field environment_fields[] = {
	FIELD("defaultValue", STRING),
	FIELD("name", STRING, .flags = REQUIRED | RANGE, .min = 1, .max = INT64_MAX),
	{.name = NULL},
};

static const struct mesh_schema environment_schema = {.name = "Environment", .fields = environment_fields};

static const struct mesh_field formatter_fields[] = {
	FIELD("value", STRING, .flags = REQUIRED | RANGE, .min = 1, .max = INT64_MAX),
	{.name = NULL},
};

static const struct mesh_schema formatter_schema = {.name = "Formatter", .fields = formatter_fields};

static const struct mesh_field custom_tags_fields[] = {
	OBJECT("environment", &environment_schema),
	OBJECT("formatter", &formatter_schema),
	OBJECT("header", &environment_schema),
	OBJECT("literal", &formatter_schema),
	{.name = NULL},
};

static const char *const custom_tags_one_of[] = {"literal|environment|header|formatter", NULL};

static const struct mesh_schema custom_tags_schema = {
	.name = "CustomTags", .fields = custom_tags_fields, .one_of = custom_tags_one_of};

static const struct mesh_field tracing_fields[] = {
	MAP_OF("customTags", &custom_tags_schema),
	FIELD("disableContextPropagation", BOOL, .flags = NULLABLE),
	FIELD("disableSpanReporting", BOOL, .flags = NULLABLE),
	FIELD("enableIstioTags", BOOL, .flags = NULLABLE),
	OBJECT("match", &match_schema),
	LIST_OF("providers", &providers_schema),
	FIELD("randomSamplingPercentage", NUMBER, .flags = NULLABLE | RANGE, .min = 0, .max = 100),
	FIELD("useRequestIdForTraceSampling", BOOL, .flags = NULLABLE),
	{.name = NULL},
};

static const struct mesh_schema tracing_schema = {.name = "Tracing", .fields = tracing_fields};

static const struct mesh_field telemetry_spec_fields[] = {
	LIST_OF("accessLogging", &access_logging_schema),
	LIST_OF("metrics", &metrics_schema),
	OBJECT("selector", &selector_schema, .help = "Which pods it is for."),
	OBJECT("targetRef", &target_ref_schema),
	LIST_OF("targetRefs", &target_ref_schema, .flags = RANGE, .min = INT64_MIN, .max = 16),
	LIST_OF("tracing", &tracing_schema),
	{.name = NULL},
};

static const struct mesh_schema telemetry_spec_schema = {.name = "TelemetrySpec", .fields = telemetry_spec_fields};

static const struct mesh_field telemetry_fields[] = {
	OBJECT("spec", &telemetry_spec_schema, .flags = UNSUPPORTED, .help = "What is wanted."),
	OBJECT("status", &status_schema, .help = "What the mesh says about this object."),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_telemetry = {.name = "Telemetry", .fields = telemetry_fields};

static const struct mesh_field ports_fields[] = {
	FIELD("number", INT64, .flags = REQUIRED | RANGE, .min = 1, .max = 65535),
	{.name = NULL},
};

static const struct mesh_schema ports_schema = {.name = "Ports", .fields = ports_fields};

static const struct mesh_field spec_match_fields[] = {
	FIELD("mode", STRING, .values = values_undefined_client_server),
	LIST_OF("ports", &ports_schema),
	{.name = NULL},
};

static const struct mesh_schema spec_match_schema = {.name = "SpecMatch", .fields = spec_match_fields};

static const struct mesh_field env_fields[] = {
	FIELD("name", STRING, .flags = REQUIRED | RANGE, .min = 1, .max = 256),
	FIELD("value", STRING, .flags = RANGE, .min = INT64_MIN, .max = 2048),
	FIELD("valueFrom", STRING, .values = values_inline_host),
	{.name = NULL},
};

static const struct mesh_schema env_schema = {.name = "Env", .fields = env_fields};

static const struct mesh_field vm_config_fields[] = {
	LIST_OF("env", &env_schema, .flags = RANGE, .min = INT64_MIN, .max = 256),
	{.name = NULL},
};

static const struct mesh_schema vm_config_schema = {.name = "VmConfig", .fields = vm_config_fields};

static const struct mesh_field wasm_plugin_spec_fields[] = {
	FIELD("failStrategy", STRING, .values = values_fail_close_fail_open_fail_reload),
	FIELD("imagePullPolicy", STRING, .values = values_unspecified_policy_if_not_present_always),
	FIELD("imagePullSecret", STRING, .flags = RANGE, .min = 1, .max = 253),
	LIST_OF("match", &spec_match_schema),
	FIELD("phase", STRING, .values = values_unspecified_phase_authn_authz),
	OBJECT("pluginConfig", &mesh_schema_open),
	FIELD("pluginName", STRING, .flags = RANGE, .min = 1, .max = 256),
	FIELD("priority", INT32, .flags = NULLABLE),
	OBJECT("selector", &selector_schema, .help = "Which pods it is for."),
	FIELD("sha256", STRING),
	OBJECT("targetRef", &target_ref_schema),
	LIST_OF("targetRefs", &target_ref_schema, .flags = RANGE, .min = INT64_MIN, .max = 16),
	FIELD("type", STRING, .values = values_unspecified_plugin_type_http_network),
	FIELD("url", STRING, .flags = REQUIRED | RANGE, .min = 1, .max = INT64_MAX),
	FIELD("verificationKey", STRING),
	OBJECT("vmConfig", &vm_config_schema),
	{.name = NULL},
};

static const struct mesh_schema wasm_plugin_spec_schema = {.name = "WasmPluginSpec", .fields = wasm_plugin_spec_fields};

static const struct mesh_field wasm_plugin_fields[] = {
	OBJECT("spec", &wasm_plugin_spec_schema, .flags = REQUIRED | UNSUPPORTED, .help = "What is wanted."),
	OBJECT("status", &status_schema, .help = "What the mesh says about this object."),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_wasm_plugin = {.name = "WasmPlugin", .fields = wasm_plugin_fields};

static const struct mesh_field lua_fields[] = {
	FIELD("inlineCode", STRING, .flags = REQUIRED | RANGE, .min = 1, .max = 65536),
	{.name = NULL},
};

static const struct mesh_schema lua_schema = {.name = "Lua", .fields = lua_fields};

static const struct mesh_field wasm_fields[] = {
	FIELD("failStrategy", STRING, .values = values_fail_close_fail_open_fail_reload),
	FIELD("imagePullPolicy", STRING, .values = values_unspecified_policy_if_not_present_always),
	FIELD("imagePullSecret", STRING, .flags = RANGE, .min = 1, .max = 253),
	OBJECT("pluginConfig", &mesh_schema_open),
	FIELD("pluginName", STRING, .flags = RANGE, .min = 1, .max = 256),
	FIELD("sha256", STRING),
	FIELD("type", STRING, .values = values_unspecified_plugin_type_http_network),
	FIELD("url", STRING, .flags = REQUIRED | RANGE, .min = 1, .max = INT64_MAX),
	FIELD("verificationKey", STRING),
	OBJECT("vmConfig", &vm_config_schema),
	{.name = NULL},
};

static const struct mesh_schema wasm_schema = {.name = "Wasm", .fields = wasm_fields};

static const struct mesh_field traffic_extension_spec_fields[] = {
	OBJECT("lua", &lua_schema),
	LIST_OF("match", &spec_match_schema),
	FIELD("phase", STRING, .values = values_unspecified_authn_authz),
	FIELD("priority", INT32, .flags = NULLABLE),
	OBJECT("selector", &selector_schema, .help = "Which pods it is for."),
	LIST_OF("targetRefs", &target_ref_schema, .flags = RANGE, .min = INT64_MIN, .max = 16),
	OBJECT("wasm", &wasm_schema),
	{.name = NULL},
};

static const char *const traffic_extension_spec_one_of[] = {"wasm|lua", NULL};

static const struct mesh_schema traffic_extension_spec_schema = {.name = "TrafficExtensionSpec",
								 .fields = traffic_extension_spec_fields,
								 .one_of = traffic_extension_spec_one_of};

static const struct mesh_field traffic_extension_fields[] = {
	OBJECT("spec", &traffic_extension_spec_schema, .flags = REQUIRED | UNSUPPORTED, .help = "What is wanted."),
	OBJECT("status", &status_schema, .help = "What the mesh says about this object."),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_traffic_extension = {.name = "TrafficExtension",
							  .fields = traffic_extension_fields};
