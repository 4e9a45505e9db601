/* SPDX-License-Identifier: Apache-2.0 */
/* Who is let in by the embedded API, as whom, and what it may do. */
#include "store_client.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

static struct server srv;

#define CM    "/api/v1/namespaces/default/configmaps"
#define PODS  "/api/v1/namespaces/default/pods"
#define TOKEN "/api/v1/namespaces/default/serviceaccounts/robot/token"
#define RBAC  "/apis/rbac.authorization.k8s.io/v1"
#define SELF  "/apis/authentication.k8s.io/v1/selfsubjectreviews"

TEST(server_starts)
{
	server_start(&srv);
	CHECK_STATUS(&srv, "GET", "/readyz", NULL, 200);
	CHECK_STATUS(&srv, "POST", "/api/v1/namespaces/default/serviceaccounts", "{\"metadata\":{\"name\":\"robot\"}}",
		     201);
	CHECK_STATUS(
		&srv, "POST", RBAC "/namespaces/default/rolebindings",
		"{\"metadata\":{\"name\":\"robot\"},\"roleRef\":{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":"
		"\"ClusterRole\",\"name\":\"admin\"},\"subjects\":[{\"kind\":\"ServiceAccount\",\"name\":\"robot\","
		"\"namespace\":\"default\"}]}",
		201);
}

/* --- client certificates --- */

enum flaw { NONE, EXPIRED, EARLY, FOREIGN, FOR_SERVERS, ZERO_IN_NAME };

static EVP_PKEY *ca_key(void)
{
	mesh_auto_free char *path = mesh_xasprintf("%s/pki/ca.key", srv.dir);
	FILE *f = fopen(path, "r");
	EVP_PKEY *key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;

	if (f)
		fclose(f);
	return key;
}

static X509 *ca_cert(void)
{
	mesh_auto_free char *path = mesh_xasprintf("%s/pki/ca.crt", srv.dir);
	FILE *f = fopen(path, "r");
	X509 *cert = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;

	if (f)
		fclose(f);
	return cert;
}

static void make_cert(SSL_CTX *ctx, enum flaw flaw)
{
	static const unsigned char zero[] = "kubernetes-admin\0.evil";
	EVP_PKEY *key = EVP_EC_gen("P-256"), *issuer_key = flaw == FOREIGN ? EVP_EC_gen("P-256") : ca_key();
	X509 *cert = X509_new(), *issuer = ca_cert();
	X509_NAME *name = X509_get_subject_name(cert);
	X509_EXTENSION *use =
		X509V3_EXT_conf_nid(NULL, NULL, NID_ext_key_usage, flaw == FOR_SERVERS ? "serverAuth" : "clientAuth");

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 77);
	X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"crew", -1, -1, 0);
	X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"second", -1, -1, 0);
	if (flaw == ZERO_IN_NAME)
		X509_NAME_add_entry_by_txt(name, "CN", V_ASN1_UTF8STRING, zero, sizeof(zero) - 1, -1, 0);
	else
		X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)"jane", -1, -1, 0);
	X509_gmtime_adj(X509_getm_notBefore(cert), flaw == EARLY ? 3600 : -7200);
	X509_gmtime_adj(X509_getm_notAfter(cert), flaw == EXPIRED ? -3600 : 7200);
	X509_set_pubkey(cert, key);
	X509_set_issuer_name(cert, X509_get_subject_name(issuer));
	X509_add_ext(cert, use, -1);
	X509_sign(cert, issuer_key, EVP_sha256());
	SSL_CTX_use_certificate(ctx, cert);
	SSL_CTX_use_PrivateKey(ctx, key);
	X509_EXTENSION_free(use);
	X509_free(cert);
	X509_free(issuer);
	EVP_PKEY_free(key);
	EVP_PKEY_free(issuer_key);
}

/* Who a client with such a certificate is: "NAME GROUP,...", the status, or "refused" when TLS ends it. Caller frees.
 */
static char *who(SSL_CTX *ctx)
{
	static const char request[] =
		"POST " SELF " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
	struct sockaddr_in sa = {
		.sin_family = AF_INET, .sin_port = htons(srv.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), n;
	SSL *ssl = SSL_new(ctx);
	struct mesh_buf in = {0}, out = {0};
	mesh_auto_free char *error = NULL;
	json_t *body = NULL;
	const char *at;

	SSL_set_fd(ssl, fd);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 && SSL_connect(ssl) == 1 &&
	    SSL_write(ssl, request, sizeof(request) - 1) > 0)
		while ((n = SSL_read(ssl, mesh_buf_room(&in, 8192), 8192)) > 0)
			in.len += (size_t)n;
	mesh_buf_char(&in, '\0');
	if ((at = strstr(in.data, "\r\n\r\n")))
		body = mesh_js_load(mesh_slice_str(at + 4), &error);
	if (mesh_js_text(body, "status.userInfo.username")) {
		size_t i;
		json_t *g;

		mesh_buf_printf(&out, "%s ", mesh_js_str(body, "status.userInfo.username"));
		json_array_foreach(mesh_js_at(body, "status.userInfo.groups"), i, g)
			mesh_buf_printf(&out, "%s%s", i ? "," : "", json_string_value(g));
	} else {
		mesh_buf_str(&out, at ? mesh_js_str(body, "reason") : "refused");
	}
	json_decref(body);
	mesh_buf_free(&in);
	SSL_free(ssl);
	close(fd);
	ERR_clear_error();
	return mesh_buf_steal(&out);
}

#define CHECK_WHO(flaw, want)                                                                                          \
	do {                                                                                                           \
		SSL_CTX *_c = SSL_CTX_new(TLS_client_method());                                                        \
		make_cert(_c, flaw);                                                                                   \
		mesh_auto_free char *_who = who(_c);                                                                   \
		SSL_CTX_free(_c);                                                                                      \
		CHECK_STR(_who, want);                                                                                 \
	} while (0)

TEST(certificates)
{
	CHECK_WHO(NONE, "jane crew,second,system:authenticated");
	CHECK_WHO(EXPIRED, "refused");
	CHECK_WHO(EARLY, "refused");
	CHECK_WHO(FOREIGN, "refused");
	CHECK_WHO(FOR_SERVERS, "refused");
	CHECK_WHO(ZERO_IN_NAME, "Forbidden"); /* nobody */
}

TEST(old_tls_is_refused)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	mesh_auto_free char *text = NULL, *now = NULL;

	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(ctx, TLS1_1_VERSION);
	text = who(ctx);
	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	now = who(ctx);
	SSL_CTX_free(ctx);
	CHECK_STR(text, "refused");
	CHECK_STR(now, "Forbidden");
}

/* --- tokens --- */

static char *token_for(const char *spec)
{
	mesh_auto_free char *body = mesh_xasprintf("{\"spec\":%s}", spec);
	struct answer a = call(&srv, "POST", TOKEN, body);
	char *token = mesh_xstrdup(mesh_js_str(a.body, "status.token"));

	answer_free(&a);
	return token;
}

static long status_with(const char *token)
{
	struct answer a = request_send(&srv, &(struct request){.path = CM, .token = token});
	long status = a.status;

	answer_free(&a);
	return status;
}

TEST(tokens_are_for_their_audience)
{
	mesh_auto_free char *plain = token_for("{}"), *vault = token_for("{\"audiences\":[\"vault\"]}");
	mesh_auto_free char *both =
		token_for("{\"audiences\":[\"vault\",\"https://kubernetes.default.svc.cluster.local\"]}");
	mesh_auto_free char *ask =
		mesh_xasprintf("{\"spec\":{\"token\":\"%s\",\"audiences\":[\"vault\",\"x\"]}}", vault);
	mesh_auto_free char *ask_plain = mesh_xasprintf("{\"spec\":{\"token\":\"%s\"}}", vault);
	struct answer a;

	CHECK_INT(status_with(plain), 200);
	CHECK_INT(status_with(vault), 401);
	CHECK_INT(status_with(both), 200);
	a = call(&srv, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", ask);
	CHECK(json_is_true(mesh_js_at(a.body, "status.authenticated")));
	CHECK_INT(json_array_size(mesh_js_at(a.body, "status.audiences")), 1);
	CHECK_STR(mesh_js_str(a.body, "status.user.username"), "system:serviceaccount:default:robot");
	answer_free(&a);
	a = call(&srv, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", ask_plain);
	CHECK(!json_is_true(mesh_js_at(a.body, "status.authenticated")));
	answer_free(&a);
}

TEST(tokens_end_with_their_pod)
{
	static const char pod[] =
		"{\"metadata\":{\"name\":\"p\"},\"spec\":{\"serviceAccountName\":\"robot\",\"containers\":[{"
		"\"name\":\"c\",\"image\":\"i\"}]}}";
	mesh_auto_free char *token = NULL;

	CHECK_STATUS(&srv, "POST", PODS, pod, 201);
	token = token_for("{\"boundObjectRef\":{\"kind\":\"Pod\",\"name\":\"p\"}}");
	CHECK_INT(status_with(token), 200);
	CHECK_STATUS(&srv, "DELETE", PODS "/p", NULL, 200);
	CHECK_INT(status_with(token), 401);
	CHECK_STATUS(&srv, "POST", PODS, pod, 201);
	CHECK_INT(status_with(token), 401); /* of the same name, but another */
}

TEST(tokens_are_not_bound_to_what_is_not_there)
{
	static const char other[] = "{\"metadata\":{\"name\":\"other\"},\"spec\":{\"serviceAccountName\":\"default\","
				    "\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}";

	CHECK_STATUS(&srv, "POST", PODS, other, 201);
	CHECK_TEXT(&srv, "POST", TOKEN, "{\"spec\":{\"boundObjectRef\":{\"kind\":\"Pod\",\"name\":\"none\"}}}", 404,
		   "message", "pods \"none\" not found");
	CHECK_STATUS(&srv, "POST", TOKEN,
		     "{\"spec\":{\"boundObjectRef\":{\"kind\":\"Pod\",\"name\":\"p\",\"uid\":\"another\"}}}", 409);
	CHECK_STATUS(&srv, "POST", TOKEN, "{\"spec\":{\"boundObjectRef\":{\"kind\":\"Pod\",\"name\":\"other\"}}}", 400);
	CHECK_TEXT(&srv, "POST", TOKEN, "{\"spec\":{\"boundObjectRef\":{\"kind\":\"Secret\",\"name\":\"s\"}}}", 400,
		   "message", "cannot bind token to object of kind \"Secret\": this API binds to Pods only");
}

TEST(what_is_no_token_is_refused)
{
	mesh_auto_free char *token = token_for("{}"), *none = NULL;
	static const char *const texts[] = {".", "..", "...", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "x"};
	const char *dot = strchr(token, '.');

	for (size_t i = 0; i < MESH_ARRAY_SIZE(texts); i++)
		CHECK_INT(status_with(texts[i]), 401);
	/* The claims of a good one, with no signature. */
	none = mesh_xasprintf("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0%.*s.", (int)(strrchr(token, '.') - dot), dot);
	CHECK_INT(status_with(none), 401);
}

/* --- impersonation --- */

static struct answer as(const char *method, const char *path, const char *body, const char *h1, const char *h2)
{
	return request_send(&srv, &(struct request){.method = method, .path = path, .body = body, .headers = {h1, h2}});
}

#define CHECK_AS(h1, h2, want, message)                                                                                \
	do {                                                                                                           \
		struct answer _a = as("GET", CM, NULL, h1, h2);                                                        \
		mesh_auto_free char *_m = mesh_xstrdup(mesh_js_str(_a.body, "message"));                               \
		long _s = _a.status;                                                                                   \
		answer_free(&_a);                                                                                      \
		CHECK_INT(_s, want);                                                                                   \
		if (message)                                                                                           \
			CHECK_STR(_m, message);                                                                        \
	} while (0)

TEST(impersonation_never_gives_more_than_was_asked_for)
{
	CHECK_AS("Impersonate-User: system:serviceaccount:default:robot", NULL, 200, NULL);
	CHECK_AS("Impersonate-User: jane", NULL, 403, NULL);
	CHECK_AS("Impersonate-User: jane", "Impersonate-Group: system:masters", 200, NULL);
	CHECK_AS("Impersonate-Group: nobodies", NULL, 400, "Impersonate-Group is set without Impersonate-User");
	CHECK_AS("Impersonate-Uid: 1", NULL, 400, "Impersonate-Uid is set without Impersonate-User");
	CHECK_AS("Impersonate-User;", "Impersonate-Group: nobodies", 400,
		 "Impersonate-Group is set without Impersonate-User");
	CHECK_AS("Impersonate-User: jane", "Impersonate-Extra-scopes: view", 400,
		 "Impersonate-Extra-scopes: impersonation of extra fields is not served by this API");
}

TEST(an_impersonated_anonymous_is_not_authenticated)
{
	struct answer a = as("POST", SELF, "{}", "Impersonate-User: system:anonymous", NULL);

	CHECK_INT(a.status, 403);
	answer_free(&a);
	a = as("POST", SELF, "{}", "Impersonate-User: jane", "Impersonate-Group: crew");
	CHECK_STR(mesh_js_str(a.body, "status.userInfo.username"), "jane");
	answer_free(&a);
}

/* --- what one may do --- */

TEST(who_may_ask_for_projects_does_not_see_all_of_them)
{
	struct answer a =
		as("GET", "/apis/project.openshift.io/v1/projectrequests", NULL, "Impersonate-User: jane", NULL);

	CHECK_INT(a.status, 200);
	CHECK_STR(mesh_js_str(a.body, "kind"), "Status");
	answer_free(&a);
	a = request_send(&srv,
			 &(struct request){.path = "/apis/project.openshift.io/v1/projectrequests", .anonymous = true});
	CHECK_INT(a.status, 403);
	answer_free(&a);
	a = as("GET", "/api/v1/namespaces", NULL, "Impersonate-User: jane", NULL);
	CHECK_INT(a.status, 403);
	answer_free(&a);
}

static long as_robot(const char *method, const char *path, const char *body)
{
	struct answer a = as(method, path, body, "Impersonate-User: system:serviceaccount:default:robot", NULL);
	long status = a.status;

	answer_free(&a);
	return status;
}

static char *role(const char *name, const char *rules)
{
	return mesh_xasprintf("{\"metadata\":{\"name\":\"%s\"},\"rules\":[%s]}", name, rules);
}

static char *binding(const char *name, const char *to)
{
	return mesh_xasprintf(
		"{\"metadata\":{\"name\":\"%s\"},\"roleRef\":{\"apiGroup\":\"rbac.authorization.k8s.io\","
		"\"kind\":\"ClusterRole\",\"name\":\"%s\"},\"subjects\":[{\"kind\":\"User\",\"name\":\"eve\"}]}",
		name, to);
}

TEST(no_one_hands_out_more_than_it_has)
{
	static const char path[] = RBAC "/namespaces/default/rolebindings", roles[] = RBAC "/namespaces/default/roles";
	mesh_auto_free char *all = binding("all", "cluster-admin"), *edit = binding("edit", "edit");
	mesh_auto_free char *star = role("star", "{\"apiGroups\":[\"*\"],\"resources\":[\"*\"],\"verbs\":[\"*\"]}");
	mesh_auto_free char *nodes =
		role("nodes", "{\"apiGroups\":[\"\"],\"resources\":[\"nodes\"],\"verbs\":[\"get\"]}");
	mesh_auto_free char *tokens = role(
		"tokens", "{\"apiGroups\":[\"\"],\"resources\":[\"serviceaccounts/token\"],\"verbs\":[\"create\"]}");
	mesh_auto_free char *pods = role(
		"pods", "{\"apiGroups\":[\"\"],\"resources\":[\"pods\",\"pods/log\"],\"verbs\":[\"get\",\"list\"]}");
	mesh_auto_free char *grown = mesh_xstrdup(nodes);
	char *name;

	CHECK_INT(as_robot("POST", path, all), 403);
	CHECK_INT(as_robot("POST", path, edit), 201);
	CHECK_INT(as_robot("POST", roles, star), 403);
	CHECK_INT(as_robot("POST", roles, nodes), 403);
	CHECK_INT(as_robot("POST", roles, tokens), 403);
	CHECK_INT(as_robot("POST", roles, pods), 201);
	name = strstr(grown, "nodes"); /* the role that it made, made larger */
	memcpy(name, "pods\" ", 6);
	CHECK_INT(as_robot("PUT", RBAC "/namespaces/default/roles/pods", grown), 403);
	CHECK_INT(as_robot("PUT", RBAC "/namespaces/default/roles/pods", pods), 200);
	CHECK_STATUS(&srv, "POST", path, all, 201); /* the administrator may */
}

TEST(a_dry_run_binds_no_pod)
{
	CHECK_STATUS(&srv, "POST", PODS "/p/binding?dryRun=All", "{\"target\":{\"name\":\"n1\"}}", 201);
	CHECK_TEXT(&srv, "GET", PODS "/p", NULL, 200, "spec.nodeName", "");
	CHECK_STATUS(&srv, "POST", PODS "/p/binding?dryRun=Some", "{\"target\":{\"name\":\"n1\"}}", 400);
}

TEST(kubelet_paths_take_their_methods_only)
{
	CHECK_STATUS(&srv, "DELETE", PODS "/p/log", NULL, 405);
	CHECK_STATUS(&srv, "PUT", PODS "/p/exec", "{}", 405);
	CHECK_TEXT(&srv, "GET", PODS "/p/exec", NULL, 400, "message", "pod p does not have a host assigned");
}

TEST(server_ends)
{
	CHECK_INT(server_kill(&srv, SIGTERM), 0);
	server_end(&srv);
}

TEST_MAIN()
