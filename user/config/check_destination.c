/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DestinationRule, as Istio's webhook sees it.
 */
#include "config/at.h"
#include "config/at_istio.h"
#include "config/check.h"
#include "config/names.h"

static void not_negative(struct mesh_at *at, const json_t *v, const char *const *keys, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (mesh_number(v, keys[i]) < 0)
			mesh_at_err_key(at, keys[i], "%" JSON_INTEGER_FORMAT " is less than 0",
					mesh_number(v, keys[i]));
}

static void keepalive(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	if (!mesh_has(v, "interval") || !mesh_has(v, "timeout"))
		mesh_at_err(at, "interval and timeout must both be set");
	mesh_at_duration(at, v, "interval");
	mesh_at_duration(at, v, "timeout");
}

static void http_pool(struct mesh_at *at, const json_t *v, void *arg)
{
	static const char *const counts[] = {"http1MaxPendingRequests", "http2MaxRequests", "maxRequestsPerConnection",
					     "maxRetries", "maxConcurrentStreams"};

	(void)arg;
	not_negative(at, v, counts, MESH_ARRAY_SIZE(counts));
	mesh_at_duration(at, v, "idleTimeout");
	mesh_at_in(at, v, "http2KeepAlive", keepalive, NULL);
	if (mesh_is(mesh_text(v, "h2UpgradePolicy"), "UPGRADE") &&
	    json_is_true(json_object_get(v, "useClientProtocol")))
		mesh_at_err(at, "h2UpgradePolicy UPGRADE and useClientProtocol contradict each other");
}

static void tcp_pool(struct mesh_at *at, const json_t *v, void *arg)
{
	static const char *const counts[] = {"maxConnections"};

	(void)arg;
	not_negative(at, v, counts, MESH_ARRAY_SIZE(counts));
	mesh_at_duration(at, v, "connectTimeout");
	mesh_at_duration(at, v, "maxConnectionDuration");
	if (!mesh_is(mesh_text(v, "idleTimeout"), "0s")) /* never */
		mesh_at_duration(at, v, "idleTimeout");
}

static void pool(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	if (!mesh_has(v, "http") && !mesh_has(v, "tcp"))
		mesh_at_err(at, "one of http, tcp must be set");
	mesh_at_in(at, v, "http", http_pool, NULL);
	mesh_at_in(at, v, "tcp", tcp_pool, NULL);
}

void mesh_at_connection_pool(struct mesh_at *at, const json_t *spec, const char *key)
{
	mesh_at_in(at, spec, key, pool, NULL);
}

/* ---- load balancing ---- */

static void cookie_attribute(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	if (!*mesh_text(v, "name"))
		mesh_at_err_key(at, "name", "is empty");
}

static void cookie(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	if (!*mesh_text(v, "name"))
		mesh_at_err_key(at, "name", "is empty");
	mesh_at_each(at, v, "attributes", cookie_attribute, NULL);
}

static void consistent_hash(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	mesh_at_in(at, v, "httpCookie", cookie, NULL);
}

struct shares {
	json_int_t total;
	bool any;
};

static void share(struct mesh_at *at, const char *name, const json_t *v, void *arg)
{
	struct shares *s = arg;
	json_int_t n = json_integer_value(v);

	(void)name;
	s->any = true;
	s->total += n;
	if (n <= 0)
		mesh_at_err(at, "%" JSON_INTEGER_FORMAT " is not more than 0", n);
}

static void distribute(struct mesh_at *at, const json_t *v, void *arg)
{
	struct shares s = {0};

	(void)arg;
	mesh_at_members(at, v, "to", share, &s);
	if (s.any && s.total != 100)
		mesh_at_err_key(at, "to", "the weights add up to %" JSON_INTEGER_FORMAT ", not 100", s.total);
}

static void failover(struct mesh_at *at, const json_t *v, void *arg)
{
	static const char *const ends[] = {"from", "to"};

	(void)arg;
	if (mesh_is(mesh_text(v, "from"), mesh_text(v, "to")))
		mesh_at_err(at, "from and to are the same region");
	for (size_t i = 0; i < MESH_ARRAY_SIZE(ends); i++)
		if (strpbrk(mesh_text(v, ends[i]), "*/"))
			mesh_at_err_key(at, ends[i], "\"%s\" is not a region: neither '*' nor '/' is allowed",
					mesh_text(v, ends[i]));
}

struct priority {
	const char *seen[64];
	size_t count;
	bool region;
};

static void priority(struct mesh_at *at, const json_t *v, void *arg)
{
	struct priority *p = arg;
	const char *s = json_string_value(v) ? json_string_value(v) : "";

	for (size_t i = 0; i < p->count; i++)
		if (mesh_is(p->seen[i], s))
			mesh_at_err(at, "\"%s\" is there twice", s);
	if (p->count < MESH_ARRAY_SIZE(p->seen))
		p->seen[p->count++] = s;
	p->region |= mesh_is(s, "topology.kubernetes.io/region");
}

struct locality {
	bool outlier, zone_aware;
};

static void locality(struct mesh_at *at, const json_t *v, void *arg)
{
	const struct locality *l = arg;
	struct priority p = {0};
	size_t failovers, distributes;

	distributes = mesh_at_each(at, v, "distribute", distribute, NULL);
	failovers = mesh_at_each(at, v, "failover", failover, NULL);
	mesh_at_each(at, v, "failoverPriority", priority, &p);
	if (distributes && (failovers || p.count))
		mesh_at_err(at, "distribute allows neither failover nor failoverPriority beside it");
	if (failovers && p.count && (p.region || l->zone_aware))
		mesh_at_err(at, "failover already orders by region: failoverPriority must not");
	else if (l->zone_aware && p.region)
		mesh_at_err_key(at, "failoverPriority", "topology.kubernetes.io/region is not allowed here");
	if ((failovers || p.count) && !l->outlier)
		mesh_at_warn(at, "without outlierDetection nothing ever fails over");
}

static void load_balancer(struct mesh_at *at, const json_t *v, void *arg)
{
	struct locality l = {.outlier = *(const bool *)arg}, zone = {.outlier = l.outlier, .zone_aware = true};

	if (mesh_is(mesh_text(v, "simple"), "PASSTHROUGH"))
		mesh_at_warn_key(at, "simple", "PASSTHROUGH is not supported yet: ROUND_ROBIN is used");
	mesh_at_in(at, v, "consistentHash", consistent_hash, NULL);
	mesh_at_in(at, v, "localityLbSetting", locality, &l);
	mesh_at_in(at, v, "zoneAwareLbSetting", locality, &zone);
	if (mesh_has(v, "localityLbSetting") && mesh_has(v, "zoneAwareLbSetting"))
		mesh_at_err(at, "only one of localityLbSetting and zoneAwareLbSetting may be set");
	mesh_at_duration(at, v, "warmupDurationSecs");
}

/* ---- the rest of a traffic policy ---- */

static void outlier(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	mesh_at_in(at, v, "maxEjectionPercent", mesh_at_percent, NULL);
	mesh_at_in(at, v, "minHealthPercent", mesh_at_percent, NULL);
	mesh_at_duration(at, v, "interval");
	mesh_at_duration(at, v, "baseEjectionTime");
	if (mesh_has(v, "consecutiveErrors"))
		mesh_at_warn_key(at, "consecutiveErrors", "is the old form: write consecutive5xxErrors");
	if (mesh_number(v, "consecutiveLocalOriginFailures") > 0 &&
	    !json_is_true(json_object_get(v, "splitExternalLocalOriginErrors")))
		mesh_at_err_key(at, "consecutiveLocalOriginFailures", "needs splitExternalLocalOriginErrors");
}

static void client_tls(struct mesh_at *at, const json_t *v, void *arg)
{
	const char *mode = mesh_text(v, "mode");
	bool files =
		*mesh_text(v, "clientCertificate") || *mesh_text(v, "privateKey") || *mesh_text(v, "caCertificates");

	(void)arg;
	if (json_is_true(json_object_get(v, "insecureSkipVerify")) &&
	    (*mesh_text(v, "caCertificates") || json_array_size(json_object_get(v, "subjectAltNames"))))
		mesh_at_err_key(at, "insecureSkipVerify",
				"allows neither caCertificates nor subjectAltNames beside it");
	if (!mesh_is(mode, "SIMPLE") && !mesh_is(mode, "MUTUAL"))
		return;
	if (*mesh_text(v, "credentialName") && files)
		mesh_at_err_key(at, "credentialName", "allows no files of certificates or keys beside it");
	if (!mesh_is(mode, "MUTUAL") || *mesh_text(v, "credentialName"))
		return;
	if (!*mesh_text(v, "clientCertificate"))
		mesh_at_err_key(at, "clientCertificate", "Required value");
	if (!*mesh_text(v, "privateKey"))
		mesh_at_err_key(at, "privateKey", "Required value");
}

static void policy_parts(struct mesh_at *at, const json_t *v)
{
	bool has_outlier = mesh_has(v, "outlierDetection");

	mesh_at_connection_pool(at, v, "connectionPool");
	mesh_at_in(at, v, "loadBalancer", load_balancer, &has_outlier);
	mesh_at_in(at, v, "outlierDetection", outlier, NULL);
	mesh_at_in(at, v, "tls", client_tls, NULL);
}

static void port_policy(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	if (!mesh_has(v, "port"))
		mesh_at_err_key(at, "port", "Required value");
	policy_parts(at, v);
}

static void tunnel(struct mesh_at *at, const json_t *v, void *arg)
{
	const char *protocol = mesh_text(v, "protocol");

	(void)arg;
	if (*protocol && !mesh_is(protocol, "CONNECT") && !mesh_is(protocol, "POST"))
		mesh_at_err_key(at, "protocol", "\"%s\" is neither CONNECT nor POST", protocol);
	if (mesh_number(v, "targetPort") < 1 || mesh_number(v, "targetPort") > 65535)
		mesh_at_err_key(at, "targetPort", "%" JSON_INTEGER_FORMAT " is out of range 1..65535",
				mesh_number(v, "targetPort"));
	if (!mesh_text_is_ip(mesh_text(v, "targetHost"))) {
		const char *why;

		if (!mesh_text_is_fqdn(mesh_text(v, "targetHost"), &why))
			mesh_at_err_key(at, "targetHost", "host \"%.80s\" %s", mesh_text(v, "targetHost"), why);
	}
}

static void policy(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	policy_parts(at, v);
	mesh_at_each(at, v, "portLevelSettings", port_policy, NULL);
	mesh_at_in(at, v, "tunnel", tunnel, NULL);
}

static void subset_label(struct mesh_at *at, const char *name, const json_t *v, void *arg)
{
	const char *s = json_string_value(v) ? json_string_value(v) : "";

	(void)arg;
	if (!mesh_name_is_label_key(mesh_slice_str(name)))
		mesh_at_err(at, "\"%s\" cannot be the key of a label", name);
	if (!mesh_name_is_label_value(mesh_slice_str(s)))
		mesh_at_err(at, "\"%s\" cannot be the value of a label", s);
}

static void subset(struct mesh_at *at, const json_t *v, void *arg)
{
	const json_t *list = arg, *other;
	const char *name = mesh_text(v, "name");

	if (!mesh_name_is_label(mesh_slice_str(name)))
		mesh_at_err_key(at, "name", "\"%s\" is not the name of a subset: lower-case letters, digits, inner '-'",
				name);
	for (size_t i = 0; (other = json_array_get(list, i)) && other != v; i++)
		if (mesh_is(mesh_text(other, "name"), name)) {
			mesh_at_err_key(at, "name", "\"%s\" is there twice", name);
			break;
		}
	mesh_at_members(at, v, "labels", subset_label, NULL);
	mesh_at_in(at, v, "trafficPolicy", policy, NULL);
}

static void spec_of(struct mesh_at *at, const json_t *spec, void *arg)
{
	const json_t *selector = json_object_get(spec, "workloadSelector");
	const char *why, *host = mesh_text(spec, "host");

	(void)arg;
	if (!mesh_text_is_wildcard_host(host, &why))
		mesh_at_err_key(at, "host", "host \"%.80s\" %s", host, why);
	mesh_at_in(at, spec, "trafficPolicy", policy, NULL);
	mesh_at_each(at, spec, "subsets", subset, json_object_get(spec, "subsets"));
	mesh_at_selector(at, spec, "workloadSelector", "matchLabels");
	mesh_at_export_to(at, spec, false, json_is_object(selector));
}

MESH_CHECK(destination_rule)
{
	(void)kind;
	(void)old;
	mesh_check_spec(obj, errs, warnings, spec_of);
}
