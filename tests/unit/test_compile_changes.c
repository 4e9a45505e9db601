/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiling by what changed gives what compiling everything gives: after each of thousands of random changes to a small
 * world in which names, addresses and hosts clash all the time. TEST_SEED and TEST_STEPS set seed and length.
 */
#include "test.h"

#include "compile/compiler.h"
#include "compile/refs.h"
#include "compile_whole.h"
#include "mesh_yaml.h"
#include "proxy/router.h"

enum { OLD = 8 };

static uint64_t seed;

static unsigned pick(unsigned n)
{
	return (unsigned)(mesh_random_next(&seed) >> 33) % n;
}

#define ONE_OF(...)                                                                                                    \
	({                                                                                                             \
		static const char *const _of[] = {__VA_ARGS__};                                                        \
		_of[pick(MESH_ARRAY_SIZE(_of))];                                                                       \
	})

struct world {
	struct mesh_snapshot snap;
	struct mesh_changes changes;
	struct mesh_slices *slices;
	struct mesh_l7_states states, full_states;
	struct mesh_compiler *compiler;
	struct mesh_map l4; /* name -> line, as told by deltas */
	struct mesh_buf nodes;
	const char *clients[3];
	size_t client_count;
	struct {
		struct mesh_l7_config *cfg;
		char *text;
	} old[OLD];
	unsigned last; /* of old: the newest */
	size_t units, updates, wholes;
};

/* Texts */

static int by_text(const void *pa, const void *pb)
{
	return strcmp(*(const char *const *)pa, *(const char *const *)pb);
}

struct lines {
	MESH_VEC(char *) list;
};

static char *lines_end(struct lines *l)
{
	struct mesh_buf b = {0};

	if (l->list.count)
		qsort(l->list.items, l->list.count, sizeof(char *), by_text);
	mesh_vec_each (line, &l->list) {
		mesh_buf_printf(&b, "%s\n", *line);
		free(*line);
	}
	mesh_vec_free(&l->list);
	return mesh_buf_steal(&b);
}

static void cluster_line(struct mesh_buf *b, const struct mesh_l7_cluster *c)
{
	char addr[MESH_ADDR_TEXT];

	if (!c) {
		mesh_buf_str(b, "none");
		return;
	}
	mesh_buf_printf(b, "{%s lb%d %d%d%d turn %s", c->name, c->lb, c->prefer_original, c->by_client, c->passthrough,
			c->state ? c->state->name : "-");
	for (size_t i = 0; i < c->endpoint_count; i++)
		mesh_buf_printf(b, " %s=%s%s", mesh_addr_text(&c->endpoints[i].addr, addr),
				c->endpoints[i].pod ? c->endpoints[i].pod : "", c->endpoints[i].active ? "+" : "");
	mesh_buf_char(b, '}');
}

static void string_line(struct mesh_buf *b, const char *what, const struct mesh_l7_string *s)
{
	if (s)
		mesh_buf_printf(b, " %s%d:%s", what, s->type, s->value);
}

static void vhost_line(struct mesh_buf *b, const struct mesh_l7_vhost *v)
{
	mesh_buf_str(b, v->name);
	for (size_t i = 0; i < v->route_count; i++) {
		const struct mesh_l7_route *r = &v->routes[i];

		mesh_buf_printf(b, " [%s %llu %d of %u turn %s", r->name ? r->name : "",
				(unsigned long long)r->timeout_ns, r->simple, r->total_weight,
				r->state ? r->state->name : "-");
		for (size_t k = 0; k < r->match_count; k++) {
			string_line(b, "uri", r->matches[k].uri);
			string_line(b, "method", r->matches[k].method);
			for (size_t h = 0; h < r->matches[k].header_count; h++)
				string_line(b, r->matches[k].headers[h].name, &r->matches[k].headers[h].value);
		}
		for (size_t k = 0; k < r->dest_count; k++) {
			mesh_buf_printf(b, " %u*%s ", r->dests[k].weight, r->dests[k].name);
			cluster_line(b, r->dests[k].cluster);
		}
		mesh_buf_char(b, ']');
	}
}

static void config_line(struct lines *l, const char *table, char kind, const char *name, const struct mesh_l7_vhost *v)
{
	struct mesh_buf b = {0};

	mesh_buf_printf(&b, "%s %c %s -> ", table, kind, name);
	vhost_line(&b, v);
	mesh_vec_push(&l->list, mesh_buf_steal(&b));
}

static char *config_text(const struct mesh_l7_config *cfg)
{
	struct lines l = {0};

	mesh_pmap_each(e, &cfg->outbound)
	{
		const struct mesh_l7_table *t = e->value;

		mesh_pmap_each(v, &t->exact) config_line(&l, e->key, 'e', v->key, v->value);
		mesh_pmap_each(v, &t->suffix) config_line(&l, e->key, 's', v->key, v->value);
		if (t->any)
			config_line(&l, e->key, 'a', "*", t->any);
		mesh_vec_push(&l.list, mesh_xasprintf("%s table %d", e->key, t->fallback));
	}
	mesh_pmap_each(e, &cfg->by_vip)
	{
		struct mesh_buf b = {0};

		mesh_buf_printf(&b, "vip %s -> ", e->key);
		cluster_line(&b, e->value);
		mesh_vec_push(&l.list, mesh_buf_steal(&b));
	}
	return lines_end(&l);
}

static char *l4_name(const struct mesh_l4_service *s)
{
	char addr[MESH_ADDR_TEXT];

	return mesh_xasprintf("%d %s/%u", s->kind, mesh_addr_text(&s->vip, addr), s->ip_proto);
}

static char *l4_line(const struct mesh_l4_service *s)
{
	mesh_auto_free char *name = l4_name(s);
	struct mesh_buf b = {0};

	mesh_buf_printf(&b, "%s %s tier%d %u %u", name, s->name, s->tier, s->refuse_reason, s->affinity_s);
	mesh_vec_each (d, &s->dests) {
		mesh_buf_printf(&b, " %u:", d->weight);
		for (size_t i = 0; i < d->endpoint_count; i++)
			for (size_t k = 0; k < sizeof(d->endpoints[i]); k++)
				mesh_buf_printf(&b, "%02x", ((const uint8_t *)&d->endpoints[i])[k]);
	}
	return mesh_buf_steal(&b);
}

static void ips_text(const struct mesh_addr *ips, size_t count, struct mesh_buf *ret)
{
	struct lines l = {0};
	mesh_auto_free char *text = NULL;

	for (size_t i = 0; i < count; i++) {
		char addr[MESH_ADDR_TEXT];

		mesh_vec_push(&l.list, mesh_xstrdup(mesh_addr_ip_text(&ips[i], addr)));
	}
	text = lines_end(&l);
	mesh_buf_clear(ret);
	mesh_buf_str(ret, text);
}

static char *image_text(const struct mesh_l4_image *image)
{
	mesh_auto(mesh_buf_free) struct mesh_buf nodes = {0};
	struct lines l = {0};
	char *text, *ret;

	mesh_vec_each (s, &image->services)
		mesh_vec_push(&l.list, l4_line(s));
	ips_text(image->node_ips.items, image->node_ips.count, &nodes);
	text = lines_end(&l);
	ret = mesh_xasprintf("%s%s", text, nodes.data ? nodes.data : "");
	free(text);
	return ret;
}

static void l4_clear(struct world *w)
{
	mesh_map_each (e, &w->l4)
		free(e->value);
	mesh_map_free(&w->l4);
}

/* As the data plane does it. Returns whether it could be. */
static bool take_delta(struct world *w, const struct mesh_l4_delta *d)
{
	bool ok = true;

	if (d->whole)
		l4_clear(w);
	mesh_vec_each (s, &d->gone) {
		mesh_auto_free char *name = l4_name(s), *line = mesh_map_remove_str(&w->l4, name);
	}
	mesh_vec_each (s, &d->set) {
		mesh_auto_free char *name = l4_name(s);
		char *old = mesh_map_put_str(&w->l4, name, l4_line(s));

		ok &= !(d->whole && old);
		free(old);
	}
	if (d->nodes)
		ips_text(d->node_ips.items, d->node_ips.count, &w->nodes);
	return ok;
}

static char *told_text(const struct world *w)
{
	struct lines l = {0};
	char *text, *ret;

	mesh_map_each (e, &w->l4)
		mesh_vec_push(&l.list, mesh_xstrdup(e->value));
	text = lines_end(&l);
	ret = mesh_xasprintf("%s%s", text, w->nodes.data ? w->nodes.data : "");
	free(text);
	return ret;
}

static char *warnings_text(const struct mesh_map *keys)
{
	struct lines l = {0};

	mesh_map_each (e, keys)
		mesh_vec_push(&l.list, mesh_xstrdup(e->key));
	return lines_end(&l);
}

/* The world's events */

static const char *service_name(void)
{
	return ONE_OF("s0", "s1", "s2", "s3", "s4");
}

static const char *a_namespace(void)
{
	return ONE_OF("a", "a", "b", "c");
}

static const char *pod_name(void)
{
	return ONE_OF("p0", "p1", "p2", "p3", "p4", "p5");
}

static const char *a_host(void)
{
	return ONE_OF("s0", "s1", "s2", "s3", "s0.a.svc.cluster.local", "s1.b.svc.cluster.local",
		      "S2.b.svc.cluster.local", "s4.c.svc.cluster.local", "x.example.com", "y.example.com", "s1.b",
		      "nobody");
}

static const char *wild_host(void)
{
	return pick(40) ? a_host() : ONE_OF("'*.example.com'", "'*'", "'*.b.svc.cluster.local'");
}

static void say(struct mesh_buf *b, const char *kind, const char *version, const char *ns, const char *name)
{
	mesh_buf_printf(b,
			"apiVersion: %s\nkind: %s\nmetadata: {namespace: %s, name: %s, creationTimestamp: "
			"'2026-01-0%uT00:00:00Z'",
			version, kind, ns, name, 1 + pick(3));
}

static void set_service(struct mesh_buf *b)
{
	unsigned ports = 1 + pick(2), type = pick(10);

	say(b, "Service", "v1", a_namespace(), service_name());
	mesh_buf_printf(b, "%s}\nspec: {", pick(5) ? "" : ", annotations: {sockmesh.io/balance: connection}");
	if (type == 0)
		mesh_buf_str(b, "type: ExternalName, externalName: out.example.com, ");
	else if (type < 3)
		mesh_buf_str(b, "clusterIP: None, clusterIPs: [None], ");
	else if (type < 5)
		mesh_buf_printf(b, "clusterIP: 10.0.0.%u, clusterIPs: [10.0.0.%u, 'fd00::%u'], ", pick(12), pick(12),
				pick(6));
	else
		mesh_buf_printf(b, "clusterIP: 10.0.0.%u, clusterIPs: [10.0.0.%u], ", pick(12), pick(12));
	mesh_buf_str(b, pick(4) ? "" : "sessionAffinity: ClientIP, ");
	mesh_buf_str(b, pick(6) ? "" : "internalTrafficPolicy: Local, ");
	mesh_buf_str(b, pick(6) ? "" : "publishNotReadyAddresses: true, ");
	mesh_buf_str(b, type == 0 || pick(6) ? "" : "type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/8], ");
	if (!pick(5))
		mesh_buf_printf(b, "externalIPs: [192.0.2.%u], ", pick(3));
	mesh_buf_str(b, "ports: [");
	for (unsigned i = 0; i < ports; i++)
		mesh_buf_printf(b, "%s{name: %s, port: %u%s, nodePort: %u}", i ? ", " : "",
				i ? ONE_OF("tcp", "dns", "grpc") : ONE_OF("http", "http-x", "tcp-y"),
				i ? 90 : (pick(3) ? 80 : 8080), pick(4) ? "" : ", protocol: UDP",
				pick(6) ? 0 : 30000 + pick(3));
	mesh_buf_str(b, "]}\n");
}

static void set_slice(struct mesh_buf *b)
{
	const char *ns = a_namespace(), *service = service_name();
	mesh_auto_free char *name = mesh_xasprintf("%s-%u", service, pick(3));
	unsigned count = pick(4), v6 = !pick(5);

	say(b, "EndpointSlice", "discovery.k8s.io/v1", ns, name);
	mesh_buf_printf(b,
			", labels: {kubernetes.io/service-name: %s}}\naddressType: %s\nports: [{name: %s, port: %u}, "
			"{name: %s, port: 90}]\nendpoints: [",
			service, v6 ? "IPv6" : "IPv4", ONE_OF("http", "http", "http-x", "tcp-y"), pick(4) ? 8080 : 8081,
			ONE_OF("tcp", "dns", "grpc"));
	for (unsigned i = 0; i < count; i++) {
		mesh_buf_printf(b, "%s{addresses: ['%s%u'], conditions: {ready: %s, serving: %s, terminating: %s}, ",
				i ? ", " : "", v6 ? "fd01::" : "10.1.0.", pick(9), pick(4) ? "true" : "false",
				pick(3) ? "true" : "false", pick(6) ? "false" : "true");
		mesh_buf_printf(b, "%snodeName: n%u", pick(4) ? "" : "hints: {forZones: [{name: z1}]}, ", 1 + pick(2));
		if (pick(5))
			mesh_buf_printf(b, ", targetRef: {kind: Pod, name: %s}", pod_name());
		mesh_buf_char(b, '}');
	}
	mesh_buf_str(b, "]\n");
}

static void set_pod(struct mesh_buf *b)
{
	say(b, "Pod", "v1", a_namespace(), pod_name());
	mesh_buf_printf(b,
			", uid: u%u, labels: {version: v%u}%s}\nspec: {nodeName: n%u}\nstatus: {phase: %s, podIP: "
			"10.1.0.%u, podIPs: [{ip: 10.1.0.%u}], conditions: [{type: Ready, status: \"%s\"}]}\n",
			pick(3), 1 + pick(2), pick(6) ? "" : ", deletionTimestamp: '2026-01-01T00:00:00Z'", 1 + pick(2),
			pick(8) ? "Running" : "Succeeded", pick(9), pick(9), pick(5) ? "True" : "False");
}

static void say_dests(struct mesh_buf *b)
{
	unsigned count = 1 + pick(2);

	mesh_buf_str(b, "route: [");
	for (unsigned i = 0; i < count; i++) {
		mesh_buf_printf(b, "%s{destination: {host: %s", i ? ", " : "", a_host());
		mesh_buf_str(b, pick(3) ? "" : ONE_OF(", port: {number: 80}", ", port: {number: 90}"));
		mesh_buf_str(b, pick(3) ? "" : ONE_OF(", subset: v1", ", subset: v2"));
		mesh_buf_printf(b, "}%s}", count > 1 ? (i ? ", weight: 30" : ", weight: 70") : "");
	}
	mesh_buf_char(b, ']');
}

static void set_virtual_service(struct mesh_buf *b)
{
	unsigned routes = 1 + pick(2);

	say(b, "VirtualService", "networking.istio.io/v1", a_namespace(), ONE_OF("r0", "r1", "r2"));
	mesh_buf_printf(b, "}\nspec: {hosts: [%s%s], ", wild_host(), pick(3) ? "" : ", x.example.com");
	mesh_buf_str(b, pick(5) ? "" : ONE_OF("gateways: [gw], ", "gateways: [gw, mesh], "));
	mesh_buf_str(b, pick(5) ? "" : ONE_OF("exportTo: ['.'], ", "exportTo: [b], "));
	mesh_buf_str(b, "http: [");
	for (unsigned i = 0; i < routes; i++) {
		mesh_buf_printf(b, "%s{", i ? ", " : "");
		mesh_buf_str(b, i || pick(2)
					? ""
					: ONE_OF("match: [{uri: {prefix: /a}}], ", "match: [{uri: {regex: '/a.*'}}], ",
						 "match: [{port: 80}], ", "match: [{headers: {h: {exact: v}}}], ",
						 "match: [{sourceNamespace: b}], "));
		say_dests(b);
		mesh_buf_char(b, '}');
	}
	mesh_buf_str(b, "]");
	if (!pick(3)) {
		mesh_buf_str(b, ", tcp: [{");
		mesh_buf_str(
			b, pick(2) ? ""
				   : ONE_OF("match: [{port: 90}], ", "match: [{destinationSubnets: [10.0.0.0/8]}], "));
		say_dests(b);
		mesh_buf_str(b, "}]");
	}
	mesh_buf_str(b, "}\n");
}

static void set_destination_rule(struct mesh_buf *b)
{
	say(b, "DestinationRule", "networking.istio.io/v1", pick(6) ? a_namespace() : "istio-system",
	    ONE_OF("d0", "d1"));
	mesh_buf_printf(b,
			"}\nspec: {host: %s, %s%s%ssubsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: "
			"{version: v2}, trafficPolicy: {loadBalancer: {simple: RANDOM}}}]}\n",
			wild_host(), pick(8) ? "" : "workloadSelector: {matchLabels: {app: x}}, ",
			pick(6) ? "" : "exportTo: ['.'], ",
			pick(3) ? "" : "trafficPolicy: {loadBalancer: {simple: LEAST_REQUEST}}, ");
}

static void set_entry(struct mesh_buf *b)
{
	say(b, "ServiceEntry", "networking.istio.io/v1", a_namespace(), ONE_OF("e0", "e1"));
	mesh_buf_printf(b,
			"}\nspec: {hosts: [%s], %sresolution: %s, endpoints: [{address: 203.0.113.%u, labels: "
			"{version: v1}}], ports: [{number: %u, name: %s}]}\n",
			ONE_OF("x.example.com", "y.example.com, z.example.com", "s1.b.svc.cluster.local"),
			pick(2) ? "" : "addresses: [10.0.0.3], ", ONE_OF("STATIC", "DNS"), pick(3), pick(2) ? 80 : 90,
			ONE_OF("http, protocol: HTTP", "tcp, protocol: TCP"));
}

static void set_node(struct mesh_buf *b)
{
	mesh_buf_printf(
		b,
		"apiVersion: v1\nkind: Node\nmetadata: {name: n%u, labels: {topology.kubernetes.io/zone: z%u}}\n"
		"status: {addresses: [{type: InternalIP, address: 172.16.0.%u}]}\n",
		1 + pick(4), 1 + pick(2), pick(5));
}

static void remove_something(struct world *w)
{
	const char *ns = a_namespace();
	mesh_auto_free char *slice = mesh_xasprintf("%s-%u", service_name(), pick(3));

	switch (pick(7)) {
	case 0:
		mesh_snapshot_set_service(&w->snap, ns, service_name(), NULL);
		break;
	case 1:
	case 2:
		mesh_slices_remove(w->slices, &w->snap, ns, slice);
		break;
	case 3:
		mesh_snapshot_set_workload(&w->snap, ns, pod_name(), NULL);
		break;
	case 4:
		mesh_snapshot_set_virtual_service(&w->snap, ns, ONE_OF("r0", "r1", "r2"), NULL);
		break;
	case 5:
		mesh_snapshot_set_destination_rule(&w->snap, ns, ONE_OF("d0", "d1"), NULL);
		break;
	case 6:
		if (!pick(4))
			mesh_snapshot_set_service_entry(&w->snap, ns, ONE_OF("e0", "e1"), NULL);
		break;
	}
}

static void rare_event(struct world *w, struct mesh_buf *b)
{
	static const char *const all[] = {"a", "b", "c"};

	switch (pick(4)) {
	case 0:
		mesh_snapshot_set_member(&w->snap, a_namespace(), pick(3) > 0);
		break;
	case 1:
		w->client_count = pick(4);
		for (size_t i = 0; i < w->client_count; i++)
			w->clients[i] = all[i];
		break;
	case 2:
		set_node(b);
		break;
	case 3:
		set_entry(b);
		break;
	}
}

/* Returns false if what was made up cannot be read. */
static bool happen(struct world *w)
{
	mesh_auto(mesh_buf_free) struct mesh_buf b = {0};
	unsigned what = pick(100);

	if (what < 15)
		set_service(&b);
	else if (what < 45)
		set_slice(&b);
	else if (what < 58)
		set_pod(&b);
	else if (what < 70)
		set_virtual_service(&b);
	else if (what < 78)
		set_destination_rule(&b);
	else if (what < 97)
		remove_something(w);
	else
		rare_event(w, &b);
	if (b.len && yaml_load(&w->snap, w->slices, b.data, "a") != 0) {
		printf("  cannot be read:\n%s\n", b.data);
		return false;
	}
	return true;
}

/* Comparing */

static bool same(const char *what, const char *got, const char *want)
{
	size_t at = 0;

	if (strcmp(got, want) == 0)
		return true;
	while (got[at] == want[at])
		at++;
	while (at && got[at - 1] != '\n')
		at--;
	printf("  %s: by changes:\n%.*s\n  by all:\n%.*s\n", what, (int)strcspn(got + at, "\n"), got + at,
	       (int)strcspn(want + at, "\n"), want + at);
	return false;
}

static void note_warnings(const struct mesh_errs *errs, struct mesh_map *ret)
{
	mesh_vec_each (e, &errs->list) {
		mesh_auto_free char *text = mesh_xasprintf("%s: %s", e->object, e->text);

		mesh_map_put_str(ret, text, ret);
	}
}

static bool compare(struct world *w)
{
	mesh_auto(mesh_l4_image_free) struct mesh_l4_image image = {0};
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	mesh_auto(mesh_map_free) struct mesh_map warnings = {0};
	mesh_auto_free char *l4_full = NULL, *l4_told = told_text(w), *full = NULL, *said = NULL, *full_said = NULL;
	struct mesh_l7_config *cfg;

	compile_l4(&w->snap, &image, &errs);
	compile_outbound(&w->snap, w->clients, w->client_count, &w->full_states, &cfg, &errs);
	note_warnings(&errs, &warnings);
	l4_full = image_text(&image);
	full = config_text(cfg);
	mesh_l7_unref(cfg);
	full_said = warnings_text(&warnings);
	said = warnings_text(mesh_compiler_warnings(w->compiler));
	return same("kernel", l4_told, l4_full) & same("HTTP", w->old[w->last].text, full) &
	       same("warnings", said, full_said);
}

static void keep(struct world *w, struct mesh_l7_config *cfg)
{
	w->last = (w->last + 1) % OLD;
	mesh_l7_unref(w->old[w->last].cfg);
	free(w->old[w->last].text);
	w->old[w->last].cfg = cfg;
	w->old[w->last].text = config_text(cfg);
}

/* A version that somebody still has is what it was. */
static bool old_ones_stay(const struct world *w)
{
	for (int i = 0; i < OLD; i++) {
		mesh_auto_free char *now = w->old[i].cfg ? config_text(w->old[i].cfg) : NULL;

		if (now && !same("an old version", now, w->old[i].text))
			return false;
	}
	return true;
}

static bool update(struct world *w)
{
	mesh_auto(mesh_compilation_free) struct mesh_compilation done = {0};

	mesh_compiler_clients(w->compiler, w->clients, w->client_count);
	mesh_compiler_update(w->compiler, &w->changes, &done);
	w->updates++;
	w->wholes += done.l4.whole;
	w->units += done.l4.whole ? 0 : done.units;
	if (done.cfg)
		keep(w, mesh_steal(done.cfg));
	return take_delta(w, &done.l4);
}

static void world_init(struct world *w)
{
	*w = (struct world){.slices = mesh_slices_new(), .clients = {"a", "b"}, .client_count = 2};
	w->snap.node = "n1";
	w->snap.changes = &w->changes;
	w->compiler = mesh_compiler_new(&w->snap, &w->states);
	mesh_snapshot_set_member(&w->snap, "a", true);
	mesh_snapshot_set_member(&w->snap, "b", true);
}

static void world_free(struct world *w)
{
	mesh_compiler_free(w->compiler);
	for (int i = 0; i < OLD; i++) {
		mesh_l7_unref(w->old[i].cfg);
		free(w->old[i].text);
	}
	l4_clear(w);
	mesh_buf_free(&w->nodes);
	mesh_changes_clear(&w->changes);
	mesh_slices_free(w->slices);
	mesh_snapshot_free(&w->snap);
	mesh_l7_states_free(&w->states);
	mesh_l7_states_free(&w->full_states);
}

static bool run(struct world *w, unsigned steps)
{
	for (unsigned step = 0; step < steps; step++) {
		for (unsigned n = 1 + (pick(4) ? 0 : pick(6)); n > 0; n--)
			if (!happen(w))
				return false;
		if (!update(w) || !compare(w) || (step % 50 == 0 && !old_ones_stay(w))) {
			printf("  at step %u\n", step);
			return false;
		}
	}
	return true;
}

TEST(changes_give_what_all_gives)
{
	const char *steps = getenv("TEST_STEPS"), *given = getenv("TEST_SEED");
	uint64_t first = given ? strtoull(given, NULL, 0) : 1, last = given ? first : 4;

	for (uint64_t s = first; s <= last; s++) {
		struct world w;
		bool ok;

		seed = s * 0x9E3779B97F4A7C15ULL;
		world_init(&w);
		ok = run(&w, steps ? (unsigned)atoi(steps) : 1000);
		printf("  seed %llu: %zu updates, %zu of them of everything, else %.1f units each\n",
		       (unsigned long long)s, w.updates, w.wholes,
		       w.updates > w.wholes ? (double)w.units / (double)(w.updates - w.wholes) : 0.);
		CHECK(w.updates > w.wholes * 4);
		world_free(&w);
		CHECK(ok);
	}
}

TEST(refs)
{
	static unsigned model[64][8];
	struct mesh_refs r = {0};

	seed = 11;
	for (int step = 0; step < 20000; step++) {
		unsigned hash = pick(64), user = 1 + pick(7);
		size_t at = 0;
		unsigned seen[8] = {0};
		uint32_t u;

		if (pick(2)) {
			mesh_refs_add(&r, hash, user);
			model[hash][user]++;
		} else {
			mesh_refs_remove(&r, hash, user);
			model[hash][user] -= model[hash][user] > 0;
		}
		while ((u = mesh_refs_next(&r, hash, &at)))
			seen[u]++;
		for (unsigned i = 1; i < 8; i++)
			CHECK_INT(seen[i], model[hash][i]);
	}
	mesh_refs_free(&r);
}

TEST_MAIN()
