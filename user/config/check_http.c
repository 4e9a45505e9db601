/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of a VirtualService's HTTP route that have no effect in this mesh yet, but must be well-formed.
 */
#include "config/check_http.h"

#include "config/at_istio.h"
#include "core/mem.h"

#include <ctype.h>

static void header_name(struct mesh_at *at, const char *name)
{
	if (!*name)
		mesh_at_err(at, "the name of a header field is empty");
	else if (!mesh_text_is_token(*name == ':' ? name + 1 : name))
		mesh_at_err(at, "\"%s\" is not the name of a header field", name);
}

/* Envoy reads %NAME% in values; a lone "%" must be written "%%". */
static bool percents_are_paired(const char *s)
{
	const char *end;

	for (; *s; s++) {
		if (*s != '%')
			continue;
		if (s[1] == '%') {
			s++;
			continue;
		}
		if (!isupper((unsigned char)s[1]))
			return false;
		end = s + 1;
		while (isalnum((unsigned char)*end) || *end == '_')
			end++;
		if (*end == '(') {
			end = strchr(end, ')');
			if (!end)
				return false;
			end++;
		}
		if (*end == ':')
			end += 1 + strspn(end + 1, "0123456789");
		if (*end != '%')
			return false;
		s = end;
	}
	return true;
}

static void header_value(struct mesh_at *at, const char *name, const json_t *v, void *arg)
{
	(void)arg;
	header_name(at, name);
	if (json_is_string(v) && !percents_are_paired(json_string_value(v)))
		mesh_at_err(at, "\"%s\": a lone \"%%\" is written \"%%%%\"", json_string_value(v));
}

static void header_removed(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	header_name(at, json_string_value(v) ? json_string_value(v) : "");
}

static void header_operations(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	mesh_at_members(at, v, "add", header_value, NULL);
	mesh_at_members(at, v, "set", header_value, NULL);
	mesh_at_each(at, v, "remove", header_removed, NULL);
}

void mesh_at_headers(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	mesh_at_in(at, v, "request", header_operations, NULL);
	mesh_at_in(at, v, "response", header_operations, NULL);
}

static void redirect(struct mesh_at *at, const json_t *v, void *arg)
{
	const json_t *rule = arg, *m;
	json_int_t code = mesh_number(v, "redirectCode");
	size_t i;

	if (!*mesh_text(v, "uri") && !*mesh_text(v, "prefixRewrite") && !*mesh_text(v, "authority") &&
	    !*mesh_text(v, "scheme") && !mesh_has(v, "port") && !mesh_has(v, "derivePort") && !code)
		mesh_at_err(at, "it must say what to change");
	if (*mesh_text(v, "uri") && *mesh_text(v, "prefixRewrite"))
		mesh_at_err(at, "only one of uri and prefixRewrite may be set");
	if (code && (code < 300 || code > 399))
		mesh_at_err_key(at, "redirectCode", "%" JSON_INTEGER_FORMAT " is out of range 300..399", code);
	if (*mesh_text(v, "scheme") && !mesh_is(mesh_text(v, "scheme"), "http") &&
	    !mesh_is(mesh_text(v, "scheme"), "https"))
		mesh_at_err_key(at, "scheme", "\"%s\" is neither http nor https", mesh_text(v, "scheme"));
	if (*mesh_text(v, "prefixRewrite"))
		json_array_foreach(json_object_get(rule, "match"), i, m)
		{
			const json_t *uri = json_object_get(m, "uri");

			if (uri && !json_object_get(uri, "prefix")) {
				mesh_at_err_key(at, "prefixRewrite", "needs a match on a prefix of uri");
				break;
			}
		}
}

static void direct_response(struct mesh_at *at, const json_t *v, void *arg)
{
	json_int_t status = mesh_number(v, "status");
	const json_t *body = json_object_get(v, "body");
	size_t len = strlen(mesh_text(body, "string")), bytes = strlen(mesh_text(body, "bytes")) / 4 * 3;

	(void)arg;
	if (status < 200 || status > 599)
		mesh_at_err_key(at, "status", "%" JSON_INTEGER_FORMAT " is out of range 200..599", status);
	if (json_is_object(body) && !json_object_get(body, "string") && !json_object_get(body, "bytes"))
		mesh_at_err_key(at, "body", "one of string, bytes must be set");
	if (len > 1 << 20 || bytes > 1 << 20)
		mesh_at_err_key(at, "body", "is longer than 1 MiB");
	else if (len > 100 << 10 || bytes > 100 << 10)
		mesh_at_warn_key(at, "body", "is longer than 100 KiB: every client's configuration grows by it");
}

static void abort_fault(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	if (!json_object_get(v, "httpStatus") && !json_object_get(v, "grpcStatus") && !json_object_get(v, "http2Error"))
		mesh_at_err(at, "it must say which status to answer");
	if (json_object_get(v, "httpStatus") &&
	    (mesh_number(v, "httpStatus") < 200 || mesh_number(v, "httpStatus") > 600))
		mesh_at_err_key(at, "httpStatus", "%" JSON_INTEGER_FORMAT " is out of range 200..600",
				mesh_number(v, "httpStatus"));
	mesh_at_in(at, v, "percentage", mesh_at_percent, NULL);
}

static void delay_fault(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	mesh_at_in(at, v, "percentage", mesh_at_percent, NULL);
	mesh_at_in(at, v, "percent", mesh_at_percent, NULL);
	mesh_at_duration(at, v, "fixedDelay");
	mesh_at_duration(at, v, "exponentialDelay");
}

static void fault(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	if (!mesh_has(v, "abort") && !mesh_has(v, "delay"))
		mesh_at_err(at, "one of abort, delay must be set");
	mesh_at_in(at, v, "abort", abort_fault, NULL);
	mesh_at_in(at, v, "delay", delay_fault, NULL);
}

static void cors_method(struct mesh_at *at, const json_t *v, void *arg)
{
	static const char *const methods[] = {"GET",    "HEAD",    "POST",    "PUT",   "PATCH",
					      "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"};

	(void)arg;
	for (size_t i = 0; i < MESH_ARRAY_SIZE(methods); i++)
		if (json_is_string(v) && mesh_is(json_string_value(v), methods[i]))
			return;
	mesh_at_err(at, "\"%s\" is not a method", json_string_value(v) ? json_string_value(v) : "");
}

static void cors_origin(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	if (!*mesh_text(v, "exact") && !*mesh_text(v, "prefix") && !*mesh_text(v, "regex"))
		mesh_at_err(at, "the origin is empty");
	else
		mesh_at_string_match(at, v, NULL);
}

static void cors(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	mesh_at_each(at, v, "allowOrigins", cors_origin, NULL);
	mesh_at_each(at, v, "allowMethods", cors_method, NULL);
	mesh_at_each(at, v, "allowHeaders", header_removed, NULL);
	mesh_at_each(at, v, "exposeHeaders", header_removed, NULL);
	mesh_at_duration(at, v, "maxAge");
}

static const char *const retry_words[] = {
	"5xx",
	"gateway-error",
	"reset",
	"reset-before-request",
	"connect-failure",
	"envoy-ratelimited",
	"retriable-4xx",
	"refused-stream",
	"retriable-status-codes",
	"retriable-headers",
	"http3-post-connect-failure",
	"cancelled",
	"deadline-exceeded",
	"internal",
	"resource-exhausted",
	"unavailable",
};

static void retry_on(struct mesh_at *at, const char *text)
{
	struct mesh_slice rest = mesh_slice_str(text), word;

	while (mesh_slice_split(&rest, ',', &word)) {
		bool known = false;
		uint64_t status;

		word = mesh_slice_trim(word);
		for (size_t i = 0; i < MESH_ARRAY_SIZE(retry_words); i++)
			known |= mesh_slice_eq(word, mesh_slice_str(retry_words[i]));
		if (!known && mesh_slice_to_u64(word, 599, &status) == 0)
			known = status >= 100;
		if (!known)
			mesh_at_err_key(at, "retryOn", "\"%.*s\" is not a condition to retry on", (int)word.len,
					word.ptr);
	}
}

static void retries(struct mesh_at *at, const json_t *v, void *arg)
{
	json_int_t attempts = mesh_number(v, "attempts");

	(void)arg;
	if (attempts < 0)
		mesh_at_err_key(at, "attempts", "%" JSON_INTEGER_FORMAT " is less than 0", attempts);
	if (attempts == 0 &&
	    (mesh_has(v, "perTryTimeout") || *mesh_text(v, "retryOn") || mesh_has(v, "retryRemoteLocalities")))
		mesh_at_err(at, "attempts is 0, so nothing else may be set");
	mesh_at_duration(at, v, "perTryTimeout");
	mesh_at_duration(at, v, "backoff");
	if (*mesh_text(v, "retryOn"))
		retry_on(at, mesh_text(v, "retryOn"));
}

static void rewrite(struct mesh_at *at, const json_t *v, void *arg)
{
	const json_t *regex = json_object_get(v, "uriRegexRewrite");

	(void)arg;
	if (mesh_has(v, "uri") && regex)
		mesh_at_err(at, "only one of uri and uriRegexRewrite may be set");
	if (!*mesh_text(v, "uri") && !regex && !*mesh_text(v, "authority"))
		mesh_at_err(at, "one of uri, uriRegexRewrite, authority must be set");
	if (!json_is_object(regex))
		return;
	if (!*mesh_text(regex, "match") || !*mesh_text(regex, "rewrite"))
		mesh_at_err_key(at, "uriRegexRewrite", "match and rewrite must both be set");
	else if (!mesh_text_is_regex(mesh_text(regex, "match")))
		mesh_at_err_key(at, "uriRegexRewrite.match", "\"%s\" is not a regular expression",
				mesh_text(regex, "match"));
}

static void mirror(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	if (!mesh_at_in(at, v, "destination", mesh_at_destination, NULL))
		mesh_at_err_key(at, "destination", "Required value");
	mesh_at_in(at, v, "percentage", mesh_at_percent, NULL);
}

static void mirrors(struct mesh_at *at, const json_t *v)
{
	mesh_at_in(at, v, "mirror", mesh_at_destination, NULL);
	mesh_at_each(at, v, "mirrors", mirror, NULL);
	mesh_at_in(at, v, "mirrorPercentage", mesh_at_percent, NULL);
	mesh_at_in(at, v, "mirrorPercent", mesh_at_percent, NULL);
	if (mesh_has(v, "mirrorPercent"))
		mesh_at_warn_key(at, "mirrorPercent", "is the old form: write mirrorPercentage");
	if (mesh_has(v, "mirror_percent"))
		mesh_at_warn_key(at, "mirror_percent", "is the old form: write mirrorPercentage");
	if (mesh_has(v, "mirror") && json_array_size(json_object_get(v, "mirrors")))
		mesh_at_err(at, "only one of mirror and mirrors may be set");
}

void mesh_at_http_parts(struct mesh_at *at, const json_t *v)
{
	mesh_at_in(at, v, "redirect", redirect, (void *)v);
	mesh_at_in(at, v, "directResponse", direct_response, NULL);
	mesh_at_in(at, v, "headers", mesh_at_headers, NULL);
	mesh_at_in(at, v, "fault", fault, NULL);
	mesh_at_in(at, v, "corsPolicy", cors, NULL);
	mesh_at_in(at, v, "retries", retries, NULL);
	mesh_at_in(at, v, "rewrite", rewrite, NULL);
	mirrors(at, v);
}
