/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a walk through the mesh, mutated some thousand times with a fixed seed: whatever comes, it is accepted
 * whole or refused with an error, and nothing crashes (run with SAN=1 for the rest).
 */
#include "config_exercise.h"
#include "test.h"

static const char *const seeds[] = {
	"apiVersion: maistra.io/v1\nkind: ServiceMeshControlPlane\nmetadata: {name: service-mesh-installation}\nspec:\n"
	"  threeScale: {enabled: false}\n  istio:\n    global:\n      mtls: false\n      disablePolicyChecks: false\n"
	"      proxy: {resources: {requests: {cpu: 100m, memory: 128Mi}, limits: {cpu: 500m, memory: 128Mi}}}\n"
	"    gateways:\n      istio-egressgateway: {autoscaleEnabled: false}\n"
	"      istio-ingressgateway: {autoscaleEnabled: false, ior_enabled: false}\n"
	"    pilot: {autoscaleEnabled: false, traceSampling: 100.0}\n    tracing: {enabled: true}\n",
	"apiVersion: maistra.io/v1\nkind: ServiceMeshMemberRoll\nmetadata:\n  name: default\n  namespace: "
	"istio-system\n"
	"spec:\n  members:\n  - coolapp\n",
	"apiVersion: networking.istio.io/v1alpha3\nkind: Gateway\nmetadata:\n  name: ingress-gateway\nspec:\n  "
	"selector:\n"
	"    istio: ingressgateway\n  servers:\n  - port:\n      number: 80\n      name: http\n      protocol: HTTP\n"
	"    hosts:\n    - \"*\"\n---\napiVersion: networking.istio.io/v1alpha3\nkind: VirtualService\nmetadata:\n"
	"  name: gateway\nspec:\n  hosts:\n  - \"*\"\n  gateways:\n  - ingress-gateway\n  http:\n  - match:\n    - "
	"uri:\n"
	"        exact: /\n    route:\n    - destination:\n        host: gateway\n        port:\n          number: "
	"8080\n---\n",
	"apiVersion: networking.istio.io/v1beta1\nkind: VirtualService\nmetadata:\n  creationTimestamp: null\n  name: "
	"catalog\n"
	"  namespace: coolapp\nspec:\n  hosts:\n  - catalog\n  http:\n  - route:\n    - destination:\n        host: "
	"catalog\n"
	"        subset: version-v1\n      weight: 70\n    - destination:\n        host: catalog\n        subset: "
	"version-v2\n"
	"      weight: 30\n---\n",
	"apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: catalog, namespace: "
	"coolapp}\nspec:\n"
	"  host: catalog\n  trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}\n  subsets:\n  - {name: version-v1, "
	"labels: &l "
	"{version: v1}}\n  - name: version-v2\n    labels: {<<: *l, version: v2}\n",
	"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: catalog-v1\n  namespace: coolapp\nspec:\n  "
	"replicas: 1\n"
	"  selector:\n    matchLabels: {app: catalog, version: v1}\n  template:\n    metadata:\n"
	"      labels: {app: catalog, version: v1}\n    spec:\n      containers:\n      - name: catalog\n        "
	"image: x/y:v1\n"
	"        env: [{name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]\n        ports: "
	"[{containerPort: 8080}]\n"
	"        livenessProbe: {exec: {command: [curl, localhost:8080/health]}, initialDelaySeconds: 20}\n",
	"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: catalog, labels: "
	"{app: catalog}}\n"
	"  spec:\n    ports: [{name: http, port: 8080}]\n    selector: {app: catalog}\n- apiVersion: v1\n  kind: "
	"ConfigMap\n"
	"  metadata: {name: c}\n  data:\n    text: |\n      a: 1\n",
	"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"namespace\":\"n\"},\"spec\":{"
	"\"containers\":[{\"name\":\"c\","
	"\"image\":\"i\",\"resources\":{\"limits\":{\"cpu\":\"100m\"}}}]},\"status\":{\"phase\":\"Running\",\"podIPs\":"
	"[{\"ip\":\"10.0.0.1\"}],"
	"\"containerStatuses\":[{\"name\":\"c\",\"restartCount\":2,\"state\":{\"running\":{}}}]}}",
};

static const char *const tokens[] = {
	"null",
	"true",
	"-1",
	"99999999999999999999",
	"1e400",
	"\"",
	"'",
	"{",
	"}",
	"[",
	"]",
	": ",
	"- ",
	"\n",
	"\t",
	"---\n",
	"&a ",
	"*a",
	"<<: ",
	"!!str ",
	"!!binary ",
	"\\u0000",
	"\xff",
	"\xc3",
	"\xe2\x80\xa8",
	"|",
	">",
	"#",
	"%",
	"@",
	"~",
	"",
	"\r\n",
	"? ",
	"a: b",
	"spec:",
	"kind: ",
	"*",
	"0x",
	".inf",
	"$patch: delete\n",
	"\"\\ud800\"",
};

static uint64_t state;

static size_t draw(size_t below)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return below ? (size_t)(state >> 33) % below : 0;
}

/* Replaces len bytes at from with other text. */
static void splice(struct mesh_buf *b, size_t from, size_t len, const char *with, size_t with_len)
{
	struct mesh_buf out = {0};

	mesh_buf_add(&out, b->data, from);
	mesh_buf_add(&out, with, with_len);
	mesh_buf_add(&out, b->data + from + len, b->len - from - len);
	mesh_buf_str(&out, "");
	mesh_buf_free(b);
	*b = out;
}

static void mutate(struct mesh_buf *b)
{
	size_t at = draw(b->len + 1), len = draw(MESH_MIN(b->len - at, (size_t)40) + 1);
	const char *token = tokens[draw(MESH_ARRAY_SIZE(tokens))];
	mesh_auto_free char *piece = NULL;

	switch (draw(6)) {
	case 0:
		if (at < b->len)
			b->data[at] = (char)draw(256);
		return;
	case 1:
		splice(b, at, len, "", 0);
		return;
	case 2:
		splice(b, at, 0, token, strlen(token));
		return;
	case 3:
		splice(b, at, len, token, strlen(token));
		return;
	case 4: /* once more somewhere else */
		piece = mesh_xstrndup(b->data + at, len);
		splice(b, draw(b->len + 1), 0, piece, len);
		return;
	default: /* a piece of another file */
		token = seeds[draw(MESH_ARRAY_SIZE(seeds))];
		at = draw(strlen(token));
		splice(b, draw(b->len + 1), 0, token + at, draw(MESH_MIN(strlen(token) - at, (size_t)80)));
	}
}

TEST(seeds_are_accepted)
{
	for (size_t i = 0; i < MESH_ARRAY_SIZE(seeds); i++) {
		struct mesh_documents docs = {0};
		struct mesh_errs errs = {0};
		struct mesh_buf said = {0};
		const char *fault = exercise_text(mesh_slice_str(seeds[i]));

		CHECK_STR(fault ? fault : "", "");
		if (mesh_documents_parse("seed", mesh_slice_str(seeds[i]), &docs, &errs) == 0)
			mesh_vec_each (d, &docs.list)
				mesh_object_check(exercise_kind(d->value), d->value, NULL, &errs, NULL, &errs);
		mesh_errs_format(&errs, &said);
		mesh_buf_str(&said, "");
		CHECK_STR(said.data, "");
		mesh_buf_free(&said);
		mesh_errs_free(&errs);
		mesh_documents_free(&docs);
	}
}

TEST(mutations)
{
	for (unsigned n = 0; n < 4000; n++) {
		struct mesh_buf b = {0};
		const char *fault;

		state = n;
		mesh_buf_str(&b, seeds[draw(MESH_ARRAY_SIZE(seeds))]);
		for (size_t i = 0, times = 1 + draw(6); i < times; i++)
			mutate(&b);
		fault = exercise_text(mesh_buf_view(&b));
		if (fault)
			printf("  mutation %u: %s\n%s\n", n, fault, b.data);
		mesh_buf_free(&b);
		CHECK(!fault);
	}
}

/* Cut at every byte. */
TEST(prefixes)
{
	for (size_t i = 0; i < MESH_ARRAY_SIZE(seeds); i++)
		for (size_t len = 0; len < strlen(seeds[i]); len++) {
			const char *fault = exercise_text(mesh_slice_of(seeds[i], len));

			CHECK_STR(fault ? fault : "", "");
		}
}

TEST_MAIN()
