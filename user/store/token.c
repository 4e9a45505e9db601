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

#define ISSUER "https://kubernetes.default.svc.cluster.local"

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
	if (claims && mesh_js_int(claims, "exp", 0) <= (int64_t)time(NULL)) {
		json_decref(claims);
		return NULL;
	}
	return claims;
}

bool mesh_token_check(struct mesh_store *store, struct mesh_arena *arena, const char *token, const char **ns,
		      const char **name, const char **uid)
{
	json_t *claims = claims_of(store, arena, token);
	const json_t *own = json_object_get(claims, "kubernetes.io");
	struct mesh_resource *accounts = mesh_state_resource(store->state, "", "serviceaccounts");
	struct mesh_entry *e;
	bool ok;

	*ns = mesh_arena_strdup(arena, mesh_js_str(own, "namespace"));
	*name = mesh_arena_strdup(arena, mesh_js_str(own, "serviceaccount.name"));
	*uid = mesh_arena_strdup(arena, mesh_js_str(own, "serviceaccount.uid"));
	e = claims && accounts ? mesh_state_get(accounts, *ns, *name) : NULL;
	ok = e && strcmp(e->uid, *uid) == 0; /* a token ends with its account, or with its pod */
	if (ok && mesh_js_text(own, "pod.uid"))
		ok = mesh_state_by_uid(store->state, mesh_js_text(own, "pod.uid"));
	json_decref(claims);
	return ok;
}
