/* SPDX-License-Identifier: Apache-2.0 */
/* Service account tokens: JWTs signed with HMAC-SHA256 (RFC 7515, HS256) by the store's own secret. */
#include "store/auth.h"

#include "core/mem.h"
#include "store/meta.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <time.h>

enum { TOKEN_MAX = 8192, MAC = 32 };

#define ISSUER MESH_TOKEN_AUDIENCE

static char *base64url(const void *data, size_t len)
{
	char *out = mesh_xcalloc(1, len / 3 * 4 + 8);

	EVP_EncodeBlock((unsigned char *)out, data, (int)len);
	for (char *p = out; *p; p++)
		*p = (char)(*p == '+' ? '-' : *p == '/' ? '_' : *p);
	out[strcspn(out, "=")] = '\0';
	return out;
}

/* Decodes into the arena; NULL if it is not base64url. */
static const char *unbase64url(struct mesh_arena *arena, struct mesh_slice s, size_t *len)
{
	size_t padded = (s.len + 3) / 4 * 4;
	char *in = mesh_arena_zalloc(arena, padded + 1), *out = mesh_arena_zalloc(arena, padded + 1);
	int n;

	memset(in, '=', padded);
	for (size_t i = 0; i < s.len; i++)
		in[i] = (char)(s.ptr[i] == '-' ? '+' : s.ptr[i] == '_' ? '/' : s.ptr[i]);
	n = EVP_DecodeBlock((unsigned char *)out, (unsigned char *)in, (int)padded);
	if (n < 0 || (size_t)n < padded - s.len)
		return NULL;
	*len = (size_t)n - (padded - s.len);
	return out;
}

static void sign(const struct mesh_store *store, struct mesh_slice text, unsigned char *mac)
{
	unsigned n = MAC;

	if (!HMAC(EVP_sha256(), store->pki->secret, MESH_PKI_SECRET, (const unsigned char *)text.ptr, text.len, mac,
		  &n))
		abort();
}

char *mesh_token_new(struct mesh_store *store, const json_t *account, const json_t *audiences, int64_t seconds,
		     const json_t *pod)
{
	static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
	const char *ns = mesh_js_str(account, "metadata.namespace"), *name = mesh_js_str(account, "metadata.name");
	mesh_auto_free char *subject = mesh_xasprintf("system:serviceaccount:%s:%s", ns, name);
	mesh_auto_free char *head = base64url(header, sizeof(header) - 1), *body = NULL, *mac64 = NULL, *text = NULL;
	json_t *own = json_pack("{s:s,s:{s:s,s:s}}", "namespace", ns, "serviceaccount", "name", name, "uid",
				mesh_js_str(account, "metadata.uid"));
	json_t *claims;
	struct mesh_buf json = {0};
	unsigned char mac[MAC];
	char uuid[40];

	if (pod)
		json_object_set_new(own, "pod",
				    json_pack("{s:s,s:s}", "name", mesh_js_str(pod, "metadata.name"), "uid",
					      mesh_js_str(pod, "metadata.uid")));
	claims = json_pack("{s:O,s:I,s:I,s:s,s:s,s:o,s:I,s:s}", "aud", (json_t *)audiences, "exp",
			   (json_int_t)time(NULL) + seconds, "iat", (json_int_t)time(NULL), "iss", ISSUER, "jti",
			   mesh_uuid(uuid), "kubernetes.io", own, "nbf", (json_int_t)time(NULL), "sub", subject);
	mesh_js_write(&json, claims);
	json_decref(claims);
	body = base64url(json.data, json.len);
	mesh_buf_free(&json);
	text = mesh_xasprintf("%s.%s", head, body);
	sign(store, mesh_slice_str(text), mac);
	mac64 = base64url(mac, MAC);
	return mesh_xasprintf("%s.%s", text, mac64);
}

/* Is it our token, and its time? */
static bool is_current(const json_t *claims)
{
	int64_t now = time(NULL);

	return strcmp(mesh_js_str(claims, "iss"), ISSUER) == 0 && mesh_js_int(claims, "exp", 0) > now &&
	       mesh_js_int(claims, "nbf", INT64_MAX) <= now;
}

/* Signature and time are good: the claims (new), else NULL. */
static json_t *claims_of(struct mesh_store *store, struct mesh_arena *arena, const char *token)
{
	const char *dot = strrchr(token, '.'), *first = strchr(token, '.'), *mac, *body;
	mesh_auto_free char *error = NULL;
	unsigned char want[MAC];
	size_t len;
	json_t *claims;

	if (!first || first == dot || strlen(token) > TOKEN_MAX)
		return NULL;
	mac = unbase64url(arena, mesh_slice_str(dot + 1), &len);
	sign(store, mesh_slice_of(token, (size_t)(dot - token)), want);
	if (!mac || len != MAC || CRYPTO_memcmp(mac, want, MAC) != 0)
		return NULL;
	body = unbase64url(arena, mesh_slice_of(first + 1, (size_t)(dot - first - 1)), &len);
	claims = body ? mesh_js_load(mesh_slice_of(body, len), &error) : NULL;
	if (claims && !is_current(claims)) {
		json_decref(claims);
		return NULL;
	}
	return claims;
}

/* What claims and wanted (NULL: this API) have in common (new). */
static json_t *common_audiences(const json_t *claims, const json_t *wanted)
{
	const json_t *has = json_object_get(claims, "aud");
	json_t *out = json_array(), *item;
	size_t i;

	json_array_foreach((json_t *)has, i, item)
	{
		const char *text = json_string_value(item);

		if (text &&
		    (json_array_size(wanted) ? mesh_js_has(wanted, text) : strcmp(text, MESH_TOKEN_AUDIENCE) == 0))
			json_array_append(out, item);
	}
	return out;
}

/* A token that is bound to a pod ends with it. */
static bool pod_is_there(struct mesh_store *store, const json_t *own, const char *ns)
{
	struct mesh_resource *pods = mesh_state_resource(store->state, "", "pods");
	struct mesh_entry *e;

	if (!json_object_get(own, "pod"))
		return true;
	e = pods ? mesh_state_get(pods, ns, mesh_js_str(own, "pod.name")) : NULL;
	return e && strcmp(e->uid, mesh_js_str(own, "pod.uid")) == 0;
}

bool mesh_token_check(struct mesh_store *store, struct mesh_arena *arena, const char *token, const json_t *audiences,
		      struct mesh_token *ret)
{
	json_t *claims = claims_of(store, arena, token);
	const json_t *own = json_object_get(claims, "kubernetes.io");
	struct mesh_resource *accounts = mesh_state_resource(store->state, "", "serviceaccounts");
	struct mesh_entry *e;
	bool ok;

	ret->ns = mesh_arena_strdup(arena, mesh_js_str(own, "namespace"));
	ret->name = mesh_arena_strdup(arena, mesh_js_str(own, "serviceaccount.name"));
	ret->uid = mesh_arena_strdup(arena, mesh_js_str(own, "serviceaccount.uid"));
	ret->audiences = common_audiences(claims, audiences);
	e = claims && accounts ? mesh_state_get(accounts, ret->ns, ret->name) : NULL;
	ok = e && strcmp(e->uid, ret->uid) == 0 && pod_is_there(store, own, ret->ns) &&
	     json_array_size(ret->audiences) > 0;
	json_decref(claims);
	if (!ok) {
		json_decref(ret->audiences);
		ret->audiences = NULL;
	}
	return ok;
}
