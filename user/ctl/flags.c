/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/flags.h"

#include "core/mem.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>

#define AT(field) offsetof(struct mesh_flags, field)

/* clang-format off */
static const struct mesh_flag rows[] = {
	{"all", 0, MESH_FLAG_BOOL, AT(all), NULL, NULL, "every object of the type in the namespace"},
	{"all-containers", 0, MESH_FLAG_BOOL, AT(all_containers), NULL, NULL, "the logs of every container of the pod"},
	{"all-namespaces", 'A', MESH_FLAG_BOOL, AT(all_namespaces), NULL, NULL, "objects of all namespaces"},
	{"allow-downgrade", 0, MESH_FLAG_BOOL, AT(allow_downgrade), NULL, NULL, "go back to an older version although it may not be able to"},
	{"cascade", 0, MESH_FLAG_STRING, AT(cascade), "HOW", "background|foreground|orphan", "what becomes of dependents"},
	{"chunk-size", 0, MESH_FLAG_INT, AT(chunk), "N", NULL, "objects a request (0: all at once)"},
	{"client", 0, MESH_FLAG_BOOL, AT(client), NULL, NULL, "the client's version only, without asking a server"},
	{"container", 'c', MESH_FLAG_STRING, AT(container), "NAME", NULL, "the container of the pod"},
	{"context", 0, MESH_FLAG_STRING, AT(context), "NAME", NULL, "the kubeconfig's context to use"},
	{"current-replicas", 0, MESH_FLAG_STRING, AT(replicas_now), "N", NULL, "scale only if it has so many now"},
	{"dry-run", 0, MESH_FLAG_MAYBE, AT(dry_run), "WHERE", "none|server|client", "check, but do not change anything"},
	{"field-selector", 0, MESH_FLAG_STRING, AT(field_selector), "QUERY", NULL, "objects whose fields match"},
	{"filename", 'f', MESH_FLAG_LIST, AT(files), "FILE", NULL, "a file, a directory, or - for standard input"},
	{"follow", 'f', MESH_FLAG_BOOL, AT(follow), NULL, NULL, "go on printing what is logged"},
	{"for", 0, MESH_FLAG_STRING, AT(condition), "WHAT", NULL, "delete, create, condition=NAME[=VALUE] or jsonpath={PATH}[=VALUE]"},
	{"grace-period", 0, MESH_FLAG_INT, AT(grace), "SECONDS", NULL, "time for the object to end by itself"},
	{"help", 'h', MESH_FLAG_BOOL, AT(help), NULL, NULL, "this text"},
	{"ignore-not-found", 0, MESH_FLAG_BOOL, AT(ignore_not_found), NULL, NULL, "an object that is not there is no error"},
	{"kubeconfig", 0, MESH_FLAG_STRING, AT(kubeconfig), "FILE", NULL, "the file that names the API server"},
	{"image", 0, MESH_FLAG_STRING, AT(image), "IMAGE", NULL, "the image of agents, control and gateways"},
	{"keep-crds", 0, MESH_FLAG_BOOL, AT(keep_crds), NULL, NULL, "leave the CustomResourceDefinitions and their objects"},
	{"keep-namespaces", 0, MESH_FLAG_BOOL, AT(keep_namespaces), NULL, NULL, "leave the namespaces that install made"},
	{"label-columns", 'L', MESH_FLAG_LIST, AT(label_columns), "NAMES", NULL, "labels to print as columns"},
	{"limit-bytes", 0, MESH_FLAG_INT, AT(limit_bytes), "N", NULL, "bytes of log at most"},
	{"list", 0, MESH_FLAG_BOOL, AT(list), NULL, NULL, "print what there is"},
	{"namespace", 'n', MESH_FLAG_STRING, AT(namespace), "NAME", NULL, "the namespace to work in"},
	{"node", 0, MESH_FLAG_STRING, AT(node), "NAME", NULL, "this node only"},
	{"no-headers", 0, MESH_FLAG_BOOL, AT(no_headers), NULL, NULL, "tables without their first line"},
	{"now", 0, MESH_FLAG_BOOL, AT(now), NULL, NULL, "a grace period of one second"},
	{"output", 'o', MESH_FLAG_STRING, AT(output), "FORMAT", NULL, "wide, yaml, json, name, jsonpath=TEMPLATE, custom-columns=SPEC"},
	{"output-watch-events", 0, MESH_FLAG_BOOL, AT(output_watch_events), NULL, NULL, "print each event's type"},
	{"overwrite", 0, MESH_FLAG_BOOL, AT(overwrite), NULL, NULL, "change values that are there"},
	{"patch", 'p', MESH_FLAG_STRING, AT(patch), "TEXT", NULL, "the patch, as JSON or YAML"},
	{"pre", 0, MESH_FLAG_BOOL, AT(pre), NULL, NULL, "before an installation: can this cluster run the mesh"},
	{"prefix", 0, MESH_FLAG_BOOL, AT(prefix), NULL, NULL, "begin each line with its source"},
	{"previous", 'p', MESH_FLAG_BOOL, AT(previous), NULL, NULL, "of the container before its last restart"},
	{"quiet", 'q', MESH_FLAG_BOOL, AT(quiet), NULL, NULL, "only the remote program's output"},
	{"raw", 0, MESH_FLAG_STRING, AT(raw), "PATH", NULL, "what the server answers to this path"},
	{"recursive", 'R', MESH_FLAG_BOOL, AT(recursive), NULL, NULL, "directories within directories, too"},
	{"replicas", 0, MESH_FLAG_INT, AT(replicas), "N", NULL, "how many there shall be"},
	{"request-timeout", 0, MESH_FLAG_SECONDS, AT(request_timeout), "TIME", NULL, "for one request (0: for ever)"},
	{"resource-version", 0, MESH_FLAG_STRING, AT(resource_version), "RV", NULL, "only if it is at this version"},
	{"save-config", 0, MESH_FLAG_BOOL, AT(save_config), NULL, NULL, "note the object for a later apply"},
	{"selector", 'l', MESH_FLAG_STRING, AT(selector), "QUERY", NULL, "objects whose labels match"},
	{"set", 0, MESH_FLAG_LIST, AT(set), "KEY=VALUE", NULL, "a setting of the installation (docs/install.md lists them)"},
	{"show-events", 0, MESH_FLAG_BOOL, AT(show_events), NULL, NULL, "the events of an object"},
	{"show-kind", 0, MESH_FLAG_BOOL, AT(show_kind), NULL, NULL, "names with their kind"},
	{"show-labels", 0, MESH_FLAG_BOOL, AT(show_labels), NULL, NULL, "labels as last column"},
	{"show-managed-fields", 0, MESH_FLAG_BOOL, AT(show_managed), NULL, NULL, "managedFields in yaml and json"},
	{"since", 0, MESH_FLAG_SECONDS, AT(since_seconds), "TIME", NULL, "newer log lines only"},
	{"since-time", 0, MESH_FLAG_STRING, AT(since), "DATE", NULL, "log lines after this (RFC 3339)"},
	{"socket", 0, MESH_FLAG_STRING, AT(socket), "PATH", NULL, "the agent's socket (default /run/sockmesh/agent.sock)"},
	{"stdin", 'i', MESH_FLAG_BOOL, AT(stdin_open), NULL, NULL, "pass standard input on"},
	{"tail", 0, MESH_FLAG_INT, AT(tail), "LINES", NULL, "the last lines of the log only"},
	{"timeout", 0, MESH_FLAG_SECONDS, AT(timeout), "TIME", NULL, "how long to wait"},
	{"timestamps", 0, MESH_FLAG_BOOL, AT(timestamps), NULL, NULL, "begin each log line with its time"},
	{"tty", 't', MESH_FLAG_BOOL, AT(tty), NULL, NULL, "standard input is a terminal"},
	{"type", 0, MESH_FLAG_STRING, AT(type), "KIND", "json|merge|strategic", "the kind of patch"},
	{"validate", 0, MESH_FLAG_STRING, AT(validate), "HOW", "strict|warn|ignore|true|false", "unknown fields: refuse, warn or drop"},
	{"wait", 0, MESH_FLAG_BOOL, AT(wait), NULL, NULL, "return when the change is in force on every node (default true)"},
	{"watch", 'w', MESH_FLAG_BOOL, AT(watch), NULL, NULL, "go on printing changes"},
	{"watch-only", 0, MESH_FLAG_BOOL, AT(watch_only), NULL, NULL, "print changes only"},
};
/* clang-format on */

static const char common_flags[] = "kubeconfig context namespace request-timeout help";

/* Kubectl's own, for a clear refusal. */
static const char *const foreign[] = {
	"allow-missing-template-keys",
	"all-pods",
	"annotations",
	"as",
	"as-group",
	"as-uid",
	"cache-dir",
	"certificate-authority",
	"client-certificate",
	"client-key",
	"cluster",
	"copy-to",
	"disable-compression",
	"edit",
	"edit-last-applied",
	"field-manager",
	"force",
	"force-conflicts",
	"ignore-errors",
	"insecure-skip-tls-verify",
	"insecure-skip-tls-verify-backend",
	"interactive",
	"kustomize",
	"labels",
	"local",
	"log-flush-frequency",
	"match-server-version",
	"max-log-requests",
	"openapi-patch",
	"output-patch",
	"password",
	"pod-running-timeout",
	"profile",
	"profile-output",
	"prune",
	"prune-allowlist",
	"record",
	"server",
	"server-print",
	"server-side",
	"sort-by",
	"subresource",
	"template",
	"tls-server-name",
	"token",
	"user",
	"username",
	"v",
	"vmodule",
	"warnings-as-errors",
	"windows-line-endings",
};

static bool listed(const char *names, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = names; p && (p = strstr(p, name)); p += len)
		if ((p == names || p[-1] == ' ') && (p[len] == ' ' || p[len] == '\0'))
			return true;
	return false;
}

static bool takes(const struct mesh_verb *verb, const struct mesh_flag *row)
{
	return listed(common_flags, row->name) || listed(verb->flags, row->name);
}

static const struct mesh_flag *by_name(const struct mesh_verb *verb, struct mesh_slice name)
{
	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++)
		if (mesh_slice_eq(name, mesh_slice_str(rows[i].name)) && takes(verb, &rows[i]))
			return &rows[i];
	return NULL;
}

static const struct mesh_flag *by_letter(const struct mesh_verb *verb, char letter)
{
	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++)
		if (rows[i].letter == letter && takes(verb, &rows[i]))
			return &rows[i];
	return NULL;
}

static int unknown(const struct mesh_verb *verb, struct mesh_slice name, struct mesh_errs *errs)
{
	struct mesh_err *e;

	for (size_t i = 0; i < MESH_ARRAY_SIZE(foreign); i++) {
		if (!mesh_slice_eq(name, mesh_slice_str(foreign[i])))
			continue;
		mesh_errs_add(errs, "flag --%s is not supported by meshctl %s: use kubectl", foreign[i], verb->name);
		return -EINVAL;
	}
	e = mesh_errs_add(errs, "unknown flag: --%.*s", (int)name.len, name.ptr);
	if (e)
		e->hint = mesh_xasprintf("See 'meshctl %s --help' for usage.", verb->name);
	return -EINVAL;
}

int mesh_seconds_parse(const char *text, double *ret)
{
	static const struct {
		const char *unit;
		double seconds;
	} units[] = {{"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}, {"s", 1}, {"m", 60}, {"h", 3600}};
	double sum = 0;
	const char *p = text;
	bool minus = *p == '-';

	p += minus;
	while (*p) {
		char *end = NULL;
		double v = strtod(p, &end);
		size_t i;

		if (!end || end == p || strspn(p, "0123456789.") != (size_t)(end - p))
			return -EINVAL;
		if (*end == '\0' && p == text + minus) { /* a bare number */
			*ret = minus ? -v : v;
			return 0;
		}
		for (i = 0; i < MESH_ARRAY_SIZE(units); i++)
			if (strncmp(end, units[i].unit, strlen(units[i].unit)) == 0)
				break;
		if (i == MESH_ARRAY_SIZE(units))
			return -EINVAL;
		sum += v * units[i].seconds;
		p = end + strlen(units[i].unit);
	}
	if (p == text + minus)
		return -EINVAL;
	*ret = minus ? -sum : sum;
	return 0;
}

static bool one_of(const char *values, const char *value)
{
	struct mesh_slice rest = mesh_slice_str(values), part;

	while (mesh_slice_split(&rest, '|', &part))
		if (mesh_slice_eq(part, mesh_slice_str(value)))
			return true;
	return false;
}

static int bad_value(const struct mesh_flag *row, const char *value, const char *why, struct mesh_errs *errs)
{
	mesh_errs_add(errs, "invalid argument \"%s\" for \"%s%.1s%s--%s\" flag: %s", value, row->letter ? "-" : "",
		      row->letter ? &row->letter : "", row->letter ? ", " : "", row->name, why);
	return -EINVAL;
}

static int set_bool(const struct mesh_flag *row, const char *value, bool *to, struct mesh_errs *errs)
{
	if (!value || one_of("true|1|t|T|TRUE|True", value))
		*to = true;
	else if (one_of("false|0|f|F|FALSE|False", value))
		*to = false;
	else
		return bad_value(row, value, "must be true or false", errs);
	return 0;
}

static int set_value(const struct mesh_flag *row, const char *value, struct mesh_flags *f, struct mesh_errs *errs)
{
	void *to = (char *)f + row->offset;
	char *end;

	if (!value && row->type != MESH_FLAG_BOOL && row->type != MESH_FLAG_MAYBE)
		return -EINVAL;
	if (row->values && value && !one_of(row->values, value)) {
		mesh_errs_add(errs, "Invalid %s value (%s). Must be one of %s.", row->name, value, row->values);
		return -EINVAL;
	}
	switch (row->type) {
	case MESH_FLAG_BOOL:
		f->all_said |= to == &f->all;
		return set_bool(row, value, to, errs);
	case MESH_FLAG_STRING:
	case MESH_FLAG_MAYBE:
		*(const char **)to = value ? value : "client";
		return 0;
	case MESH_FLAG_LIST:
		mesh_vec_push(&((struct mesh_texts *)to)->list, value);
		return 0;
	case MESH_FLAG_INT:
		errno = 0;
		*(long *)to = strtol(value, &end, 10);
		return end == value || *end || errno ? bad_value(row, value, "must be a whole number", errs) : 0;
	case MESH_FLAG_SECONDS:
		return mesh_seconds_parse(value, to) < 0
			       ? bad_value(row, value, "must be a time such as 30s or 5m", errs)
			       : 0;
	}
	return -EINVAL;
}

/* --name, --name=value, --name value. Returns how many arguments were used, or -EINVAL. */
static int long_flag(const struct mesh_verb *verb, char **argv, struct mesh_flags *f, struct mesh_errs *errs)
{
	const char *text = argv[0] + 2, *eq = strchr(text, '=');
	struct mesh_slice name = eq ? mesh_slice_of(text, (size_t)(eq - text)) : mesh_slice_str(text);
	const struct mesh_flag *row = by_name(verb, name);
	const char *value = eq ? eq + 1 : NULL;
	int r;

	if (!row)
		return unknown(verb, name, errs);
	if (!value && row->type == MESH_FLAG_MAYBE && !listed(verb->flags, "bare-dry-run")) {
		mesh_errs_add(errs,
			      "--%s flag without a value was specified. A value must be set: \"none\", \"server\", or "
			      "\"client\".",
			      row->name);
		return -EINVAL;
	}
	if (!value && row->type != MESH_FLAG_BOOL && row->type != MESH_FLAG_MAYBE) {
		if (!argv[1]) {
			mesh_errs_add(errs, "flag needs an argument: --%s", row->name);
			return -EINVAL;
		}
		value = argv[1];
	}
	r = set_value(row, value, f, errs);
	return r < 0 ? r : value && !eq ? 2 : 1;
}

/* -it, -o yaml, -oyaml, -o=yaml. */
static int short_flags(const struct mesh_verb *verb, char **argv, struct mesh_flags *f, struct mesh_errs *errs)
{
	for (const char *p = argv[0] + 1; *p; p++) {
		const struct mesh_flag *row = by_letter(verb, *p);
		const char *value = p + 1;
		struct mesh_err *e;
		int r;

		if (!row) {
			e = mesh_errs_add(errs, "unknown shorthand flag: '%c' in %s", *p, argv[0]);
			if (e)
				e->hint = mesh_xasprintf("See 'meshctl %s --help' for usage.", verb->name);
			return -EINVAL;
		}
		if (row->type == MESH_FLAG_BOOL) {
			r = set_value(row, *value == '=' ? value + 1 : NULL, f, errs);
			if (r < 0 || *value == '=')
				return r < 0 ? r : 1;
			continue;
		}
		if (*value == '=')
			value++;
		if (*value == '\0' && !argv[1]) {
			mesh_errs_add(errs, "flag needs an argument: '%c' in %s", *p, argv[0]);
			return -EINVAL;
		}
		r = set_value(row, *value ? value : argv[1], f, errs);
		return r < 0 ? r : *value ? 1 : 2;
	}
	return 1;
}

void mesh_flags_free(struct mesh_flags *f)
{
	mesh_vec_free(&f->files.list);
	mesh_vec_free(&f->label_columns.list);
	mesh_vec_free(&f->set.list);
	mesh_vec_free(&f->args.list);
}

int mesh_flags_parse(const struct mesh_verb *verb, int argc, char **argv, struct mesh_flags *ret,
		     struct mesh_errs *errs)
{
	struct mesh_flags f = {.replicas = -1,
			       .tail = -1,
			       .grace = -1,
			       .chunk = 500,
			       .limit_bytes = -1,
			       .timeout = -1,
			       .request_timeout = -1,
			       .since_seconds = -1,
			       .wait = true,
			       .show_events = true};
	int r = 1;

	for (int i = 1; i < argc && r >= 0; i += r) {
		const char *arg = argv[i];

		if (strcmp(arg, "--") == 0) {
			f.command = argv + i + 1;
			break;
		}
		r = 1;
		if (strncmp(arg, "--", 2) == 0)
			r = long_flag(verb, argv + i, &f, errs);
		else if (arg[0] == '-' && arg[1] != '\0')
			r = short_flags(verb, argv + i, &f, errs);
		else
			mesh_vec_push(&f.args.list, arg);
	}
	if (r < 0) {
		mesh_flags_free(&f);
		return -EINVAL;
	}
	*ret = f;
	return 0;
}

void mesh_flags_help(const struct mesh_verb *verb, struct mesh_buf *out)
{
	mesh_buf_printf(out, "%s\n\nusage: meshctl %s %s\n\n", verb->help, verb->name, verb->usage);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		const struct mesh_flag *row = &rows[i];
		char left[64];

		if (!takes(verb, row))
			continue;
		snprintf(left, sizeof(left), "%s%.1s%s--%s%s%s", row->letter ? "-" : "",
			 row->letter ? &row->letter : "", row->letter ? ", " : "    ", row->name,
			 row->value_name ? "=" : "", row->value_name ? row->value_name : "");
		mesh_buf_printf(out, "  %-30s %s\n", left, row->help);
		if (row->values)
			mesh_buf_printf(out, "  %-30s   one of %s\n", "", row->values);
	}
}
