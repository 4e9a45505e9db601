/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields of OpenShift's Project, ProjectRequest and Route, and the two schemas without fields.
 */
#include "config/schema.h"
#include "config/schema_rows.h"

static const struct mesh_field no_fields[] = {{.name = NULL}};

const struct mesh_schema mesh_schema_open = {.name = "Object", .fields = no_fields, .open = true};
const struct mesh_schema mesh_schema_empty = {.name = "Empty", .fields = no_fields};

static const struct mesh_field project_spec_fields[] = {
	LIST("finalizers", STRING, .help = "What must be done before the project is gone."),
	{.name = NULL},
};
static const struct mesh_schema project_spec = {.name = "ProjectSpec", .fields = project_spec_fields};

static const struct mesh_field project_status_fields[] = {
	FIELD("phase", STRING, .help = "Active or Terminating."),
	LIST_OF("conditions", &mesh_schema_open, .help = "What is known about its removal."),
	{.name = NULL},
};
static const struct mesh_schema project_status = {.name = "ProjectStatus", .fields = project_status_fields};

static const struct mesh_field project_fields[] = {
	OBJECT("spec", &project_spec, .help = "What is wanted."),
	OBJECT("status", &project_status, .help = "What is."),
	{.name = NULL},
};
const struct mesh_schema mesh_schema_project = {.name = "Project", .fields = project_fields};

static const struct mesh_field project_request_fields[] = {
	FIELD("displayName", STRING, .help = "A name for people."),
	FIELD("description", STRING, .help = "What the project is for."),
	{.name = NULL},
};
const struct mesh_schema mesh_schema_project_request = {.name = "ProjectRequest", .fields = project_request_fields};

static const char *const route_kinds[] = {"Service", "", NULL};
static const struct mesh_field route_target_fields[] = {
	FIELD("kind", STRING, .values = route_kinds, .help = "Service."),
	FIELD("name", STRING, .flags = REQUIRED, .help = "Name of the service."),
	FIELD("weight", INT32, .flags = RANGE, .min = 0, .max = 256, .help = "Its share of the requests."),
	{.name = NULL},
};
static const struct mesh_schema route_target = {.name = "RouteTargetReference", .fields = route_target_fields};

static const struct mesh_field route_port_fields[] = {
	FIELD("targetPort", INT_OR_STRING, .flags = REQUIRED, .help = "Port of the pods, by number or name."),
	{.name = NULL},
};
static const struct mesh_schema route_port = {.name = "RoutePort", .fields = route_port_fields};

static const char *const tls_terminations[] = {"edge", "passthrough", "reencrypt", NULL};
static const struct mesh_field route_tls_fields[] = {
	FIELD("termination", STRING, .flags = REQUIRED, .values = tls_terminations, .help = "Where TLS ends."),
	FIELD("certificate", STRING, .help = "Certificate to show, PEM."),
	FIELD("key", STRING, .help = "Its key, PEM."),
	FIELD("caCertificate", STRING, .help = "Chain of the certificate, PEM."),
	FIELD("destinationCACertificate", STRING, .help = "What the pod's certificate is checked with, PEM."),
	FIELD("insecureEdgeTerminationPolicy", STRING, .help = "What is done with plain HTTP."),
	{.name = NULL},
};
static const struct mesh_schema route_tls = {.name = "TLSConfig", .fields = route_tls_fields};

static const struct mesh_field route_spec_fields[] = {
	FIELD("host", STRING, .help = "Host name under which it is reached from outside."),
	FIELD("subdomain", STRING, .help = "First part of the host, when the router chooses the rest."),
	FIELD("path", STRING, .help = "How the path must begin."),
	OBJECT("to", &route_target, .flags = REQUIRED, .help = "Where requests go."),
	LIST_OF("alternateBackends", &route_target, .flags = UNSUPPORTED, .help = "More places, by weight."),
	OBJECT("port", &route_port, .help = "Port of the service, if it has several."),
	OBJECT("tls", &route_tls, .flags = UNSUPPORTED, .help = "How TLS is ended."),
	FIELD("wildcardPolicy", STRING, .help = "None or Subdomain."),
	{.name = NULL},
};
static const struct mesh_schema route_spec = {.name = "RouteSpec", .fields = route_spec_fields};

static const struct mesh_field route_status_fields[] = {
	LIST_OF("ingress", &mesh_schema_open, .help = "Routers that have admitted it."),
	{.name = NULL},
};
static const struct mesh_schema route_status = {.name = "RouteStatus", .fields = route_status_fields};

static const struct mesh_field route_fields[] = {
	OBJECT("spec", &route_spec, .flags = REQUIRED, .help = "What is wanted."),
	OBJECT("status", &route_status, .help = "What is."),
	{.name = NULL},
};
const struct mesh_schema mesh_schema_route = {.name = "Route", .fields = route_fields};
