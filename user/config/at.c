/* SPDX-License-Identifier: Apache-2.0 */
#include "config/at.h"

#include "config/check.h"
#include "config/decode.h"
#include "config/names.h"
#include "core/addr.h"
#include "core/mem.h"

#include <ctype.h>
#include <regex.h>

static void add(struct mesh_errs *errs, const struct mesh_at *at, const char *key, const char *fmt, va_list ap)
{
	struct mesh_buf text = {0};
	struct mesh_err *e;

	mesh_buf_vprintf(&text, fmt, ap);
	e = mesh_errs_add(errs, "%s", text.data ? text.data : "");
	mesh_buf_free(&text);
	if (!e)
		return;
	if (key)
		e->path = mesh_xasprintf("%s%s%s", at->path.data ? at->path.data : "", at->path.len ? "." : "", key);
	else
		e->path = mesh_xstrdup(at->path.data ? at->path.data : "");
}

void mesh_at_err(struct mesh_at *at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(at->errs, at, NULL, fmt, ap);
	va_end(ap);
}

void mesh_at_warn(struct mesh_at *at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(at->warnings, at, NULL, fmt, ap);
	va_end(ap);
}

void mesh_at_err_key(struct mesh_at *at, const char *key, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(at->errs, at, key, fmt, ap);
	va_end(ap);
}

void mesh_at_warn_key(struct mesh_at *at, const char *key, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(at->warnings, at, key, fmt, ap);
	va_end(ap);
}

static size_t enter(struct mesh_at *at, const char *key)
{
	size_t len = at->path.len;

	mesh_buf_printf(&at->path, "%s%s", len ? "." : "", key);
	return len;
}

static void leave(struct mesh_at *at, size_t len)
{
	at->path.len = len;
	at->path.data[len] = '\0';
}

bool mesh_is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

bool mesh_at_in(struct mesh_at *at, const json_t *obj, const char *key, mesh_at_fn *fn, void *arg)
{
	size_t len;

	if (!mesh_has(obj, key))
		return false;
	len = enter(at, key);
	fn(at, json_object_get(obj, key), arg);
	leave(at, len);
	return true;
}

size_t mesh_at_each(struct mesh_at *at, const json_t *obj, const char *key, mesh_at_fn *fn, void *arg)
{
	const json_t *list = json_object_get(obj, key);
	size_t i;
	json_t *v;

	json_array_foreach(list, i, v)
	{
		size_t len = enter(at, key);

		mesh_buf_printf(&at->path, "[%zu]", i);
		fn(at, v, arg);
		leave(at, len);
	}
	return json_array_size(list);
}

size_t mesh_at_members(struct mesh_at *at, const json_t *obj, const char *key,
		       void (*fn)(struct mesh_at *at, const char *name, const json_t *v, void *arg), void *arg)
{
	const json_t *map = json_object_get(obj, key);
	const char *name;
	json_t *v;

	json_object_foreach((json_t *)map, name, v)
	{
		size_t len = enter(at, key);

		mesh_buf_printf(&at->path, ".%s", name);
		fn(at, name, v, arg);
		leave(at, len);
	}
	return json_object_size(map);
}

/* ---- texts ---- */

bool mesh_text_is_ip(const char *text)
{
	struct mesh_addr a;

	return mesh_addr_parse(mesh_slice_str(text), 0, &a) == 0;
}

bool mesh_text_is_subnet(const char *text)
{
	struct mesh_slice rest = mesh_slice_str(text), ip;
	struct mesh_addr a;
	uint64_t bits;

	if (!strchr(text, '/'))
		return mesh_text_is_ip(text);
	if (!mesh_slice_split(&rest, '/', &ip) || mesh_addr_parse(ip, 0, &a) < 0)
		return false;
	return mesh_slice_to_u64(rest, memchr(ip.ptr, ':', ip.len) ? 128 : 32, &bits) == 0;
}

/* Letters of both cases, digits and inner "-": at most 63. */
static bool is_host_label(struct mesh_slice s)
{
	if (s.len == 0 || s.len > 63 || !isalnum((unsigned char)s.ptr[0]) || !isalnum((unsigned char)s.ptr[s.len - 1]))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!isalnum((unsigned char)s.ptr[i]) && s.ptr[i] != '-')
			return false;
	return true;
}

bool mesh_text_is_label(const char *text)
{
	return is_host_label(mesh_slice_str(text));
}

static bool has_length(const char *text, const char **why)
{
	size_t len = strlen(text);

	*why = len == 0 ? "is empty" : "is longer than 255 characters";
	return len > 0 && len <= 255;
}

static bool labels_are_good(const char *text, const char **why)
{
	struct mesh_slice rest = mesh_slice_str(text), part = {0};
	const char *last = strrchr(text, '.');

	last = last ? last + 1 : text;
	*why = "has an all-numeric top level";
	if (*last && strspn(last, "0123456789") == strlen(last))
		return false;
	*why = "is no host name: each part has letters, digits and inner '-', at most 63";
	while (mesh_slice_split(&rest, '.', &part))
		if (!is_host_label(part) && !(part.len == 0 && part.ptr == text + strlen(text)))
			return false;
	return true;
}

bool mesh_text_is_fqdn(const char *text, const char **why)
{
	return has_length(text, why) && labels_are_good(text, why);
}

bool mesh_text_is_wildcard_host(const char *text, const char **why)
{
	size_t first = strcspn(text, ".");

	if (!has_length(text, why))
		return false;
	*why = "is no host name: a wildcard is allowed only as the whole first part, or at its start";
	if (text[0] == '*') {
		struct mesh_slice label = mesh_slice_of(text + 1, first - 1);

		if (label.len && label.ptr[0] == '-')
			label = mesh_slice_of(label.ptr + 1, label.len - 1);
		if (first > 1 && !is_host_label(label))
			return false;
		return !text[first] || labels_are_good(text + first + 1, why);
	}
	return labels_are_good(text, why);
}

/*
 * An expression of RE2's with the same structure as a POSIX one: groups lose their "?:" and names, "*?" its "?",
 * escapes become letters. What of RE2 this mesh cannot match is told by those who compile it.
 */
static bool simplify(const char *p, struct mesh_buf *out)
{
	bool inside = false;
	int depth = 0;

	for (; *p; p++) {
		if (p[0] == '\\' && p[1]) {
			mesh_buf_char(out, 'x');
			p++;
		} else if (inside) {
			inside = *p != ']';
			mesh_buf_char(out, *p);
		} else if (p[0] == '(' && p[1] == '?') {
			size_t flags = strcspn(p, ":)>");

			/* "(?i)" stands for no group at all. */
			if (!p[flags])
				return false;
			if (p[flags] != ')') {
				mesh_buf_char(out, '(');
				depth++;
			}
			p += flags;
		} else if (*p && strchr("*+?}", *p) && p[1] == '?') {
			mesh_buf_char(out, *p++);
		} else {
			/* POSIX takes a ")" without its "(" as itself. */
			depth += *p == '(' ? 1 : *p == ')' ? -1 : 0;
			if (depth < 0)
				return false;
			inside = *p == '[';
			mesh_buf_char(out, *p);
			if (inside && p[1] == '^')
				mesh_buf_char(out, *++p);
			if (inside && p[1] == ']')
				mesh_buf_char(out, *++p);
		}
	}
	return true;
}

bool mesh_text_is_regex(const char *text)
{
	struct mesh_buf plain = {0};
	regex_t re;
	bool good;

	good = simplify(text, &plain);
	mesh_buf_str(&plain, "");
	good = good && regcomp(&re, plain.data, REG_EXTENDED | REG_NOSUB) == 0;
	if (good)
		regfree(&re);
	mesh_buf_free(&plain);
	return good;
}

/* ---- what several kinds ask ---- */

void mesh_at_port(struct mesh_at *at, json_int_t port)
{
	if (port < 1 || port > 65535)
		mesh_at_err(at, "%" JSON_INTEGER_FORMAT " is out of range 1..65535", port);
}

void mesh_at_duration(struct mesh_at *at, const json_t *obj, const char *key)
{
	uint64_t ns;

	if (!mesh_has(obj, key))
		return;
	if (mesh_decode_duration(mesh_text(obj, key), &ns) < 0 || ns == 0)
		mesh_at_err_key(at, key, "\"%s\" is not a duration greater than 1ms", mesh_text(obj, key));
	else if (ns % 1000000)
		mesh_at_err_key(at, key, "\"%s\" is not a whole number of milliseconds", mesh_text(obj, key));
}

void mesh_at_percent(struct mesh_at *at, const json_t *v, void *arg)
{
	double d = json_number_value(json_is_object(v) ? json_object_get(v, "value") : v);

	(void)arg;
	if (d < 0 || d > 100)
		mesh_at_err(at, "%g is out of range 0..100", d);
}

struct exports {
	const char *seen[256];
	size_t count;
	bool all, none, own, service_entry, selector;
};

static void export_to(struct mesh_at *at, const json_t *v, void *arg)
{
	struct exports *x = arg;
	const char *s = json_string_value(v) ? json_string_value(v) : "";

	if (mesh_is(s, ".") || (*at->ns && mesh_is(s, at->ns)))
		s = *at->ns ? at->ns : ".";
	for (size_t i = 0; i < x->count; i++)
		if (mesh_is(x->seen[i], s)) {
			mesh_at_err(at, "\"%s\" is there twice", json_string_value(v));
			return;
		}
	if (x->count < MESH_ARRAY_SIZE(x->seen))
		x->seen[x->count++] = s;
	if (mesh_is(s, "*"))
		x->all = true;
	else if (mesh_is(s, "~"))
		x->none = true;
	else if (mesh_is(s, ".") || (*at->ns && mesh_is(s, at->ns)))
		x->own = true;
	else if (!mesh_name_is_label(mesh_slice_str(s)))
		mesh_at_err(at, "\"%s\" is not the name of a namespace, \".\" or \"*\"", s);
	if (mesh_is(s, "~") && !x->service_entry)
		mesh_at_err(at, "\"~\" is only for ServiceEntry");
}

void mesh_at_export_to(struct mesh_at *at, const json_t *spec, bool is_service_entry, bool has_selector)
{
	struct exports x = {.service_entry = is_service_entry};
	size_t n = mesh_at_each(at, spec, "exportTo", export_to, &x);

	if (x.all && n > 1)
		mesh_at_err_key(at, "exportTo", "\"*\" allows no others beside it");
	if (x.none && n > 1)
		mesh_at_err_key(at, "exportTo", "\"~\" allows no others beside it");
	if (has_selector && n && (n > 1 || !x.own))
		mesh_at_err_key(at, "exportTo", "only \".\" is allowed where workloadSelector is set");
}

static void selector_label(struct mesh_at *at, const char *name, const json_t *v, void *arg)
{
	const char *value = json_string_value(v) ? json_string_value(v) : "";

	(void)arg;
	if (!*name)
		mesh_at_err(at, "the key is empty");
	else if (strchr(name, '*'))
		mesh_at_err(at, "no wildcard is allowed in the key");
	else if (!mesh_name_is_label_key(mesh_slice_str(name)))
		mesh_at_err(at, "\"%s\" cannot be the key of a label", name);
	if (strchr(value, '*'))
		mesh_at_err(at, "no wildcard is allowed in the value");
	else if (!mesh_name_is_label_value(mesh_slice_str(value)))
		mesh_at_err(at, "\"%s\" cannot be the value of a label", value);
}

static void selector(struct mesh_at *at, const json_t *v, void *arg)
{
	if (mesh_at_members(at, v, arg, selector_label, NULL) == 0)
		mesh_at_warn(at, "selects every workload: it has no labels");
}

void mesh_at_selector(struct mesh_at *at, const json_t *spec, const char *key, const char *labels)
{
	mesh_at_in(at, spec, key, selector, (void *)labels);
}

struct targets {
	bool services;
};

static void target(struct mesh_at *at, const json_t *v, void *arg)
{
	const struct targets *t = arg;
	const char *group = mesh_text(v, "group"), *kind = mesh_text(v, "kind");
	bool gateway = mesh_is(group, "gateway.networking.k8s.io") &&
		       (mesh_is(kind, "Gateway") || mesh_is(kind, "GatewayClass"));
	bool service = mesh_is(group, "") && mesh_is(kind, "Service");
	bool entry = mesh_is(group, "networking.istio.io") && mesh_is(kind, "ServiceEntry");

	if (!*mesh_text(v, "name"))
		mesh_at_err_key(at, "name", "Required value");
	if (*mesh_text(v, "namespace"))
		mesh_at_err_key(at, "namespace", "must not be set: a target is in the namespace of the policy");
	if (!gateway && !(t->services && (service || entry)))
		mesh_at_err(at, "\"%s\" of group \"%s\" cannot be a target", kind, group);
}

void mesh_at_targets(struct mesh_at *at, const json_t *spec, const char *selector_key, bool services)
{
	struct targets t = {services};
	int set = mesh_at_in(at, spec, "targetRef", target, &t);

	set += mesh_at_each(at, spec, "targetRefs", target, &t) > 0;
	set += mesh_has(spec, selector_key);
	if (set > 1)
		mesh_at_err(at, "only one of targetRef, targetRefs and %s may be set", selector_key);
}

void mesh_check_spec(const json_t *obj, struct mesh_errs *errs, struct mesh_errs *warnings,
		     void (*fn)(struct mesh_at *at, const json_t *spec, void *arg))
{
	struct mesh_at at = {.errs = errs,
			     .warnings = warnings,
			     .ns = mesh_text(json_object_get(obj, "metadata"), "namespace"),
			     .object = obj};
	json_t *whole = json_object();
	const json_t *spec = json_object_get(obj, "spec");

	json_object_set_new(whole, "spec", json_is_object(spec) ? json_incref((json_t *)spec) : json_object());
	mesh_at_in(&at, whole, "spec", fn, NULL);
	json_decref(whole);
	mesh_buf_free(&at.path);
}
