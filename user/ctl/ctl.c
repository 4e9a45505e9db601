/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/ctl.h"

#include "core/mem.h"
#include "ctl/find_api.h"
#include "ctl/inforce.h"
#include "ctl/resource.h"
#include "ctl/settings.h"
#include "kube/kubeconfig.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

void mesh_answer_free(struct mesh_answer *a)
{
	json_decref(a->body);
	mesh_buf_free(&a->raw);
	free(a->error);
	free(a->reason);
	*a = (struct mesh_answer){0};
}

void mesh_ctl_warn(struct mesh_ctl *ctl, const char *text)
{
	if (mesh_map_get_str(&ctl->warned, text))
		return;
	mesh_map_put_str(&ctl->warned, text, ctl);
	fprintf(stderr, "Warning: %s\n", text);
}

struct pending {
	struct mesh_ctl *ctl;
	struct mesh_answer *answer;
	bool over;
};

static void answered(void *arg, const struct mesh_kube_response *r)
{
	struct pending *p = arg;

	for (size_t i = 0; r->warnings && r->warnings[i]; i++)
		mesh_ctl_warn(p->ctl, r->warnings[i]);
	p->answer->status = r->status;
	p->answer->date = r->date;
	p->answer->body = json_incref(r->body);
	mesh_buf_slice(&p->answer->raw, r->raw);
	p->answer->error = mesh_xstrdup(r->error);
	p->answer->reason = mesh_xstrdup(r->reason);
	p->over = true;
}

int mesh_ctl_request(struct mesh_ctl *ctl, const char *method, const char *path, const json_t *body,
		     const char *content_type, const char *accept, struct mesh_answer *a)
{
	struct pending p = {.ctl = ctl, .answer = a};

	*a = (struct mesh_answer){0};
	mesh_kube_send(ctl->kube, method, path, body, content_type, accept, answered, &p);
	while (!p.over)
		if (mesh_loop_once(ctl->loop, -1) < 0)
			abort();
	return a->error ? -EIO : 0;
}

int mesh_ctl_get(struct mesh_ctl *ctl, const char *path, struct mesh_answer *a)
{
	return mesh_ctl_request(ctl, "GET", path, NULL, NULL, NULL, a);
}

static void fail_transport(struct mesh_ctl *ctl, const char *error)
{
	const char *server = mesh_kube_config(ctl->kube)->server, *host = strstr(server, "://");

	host = host ? host + 3 : server;
	if (strstr(error, "onnection refused") || strstr(error, "Couldn't connect") ||
	    strstr(error, "Failed to connect"))
		fprintf(stderr,
			"The connection to the server %s was refused - did you specify the right host or port?\n",
			host);
	else
		fprintf(stderr, "Unable to connect to the server: %s\n", error);
}

/* The causes of a refusal as "field: message", each once. */
static json_t *causes_of(const json_t *details)
{
	json_t *all = json_array(), *cause, *before;
	size_t i, j;

	json_array_foreach(json_object_get(details, "causes"), i, cause)
	{
		const char *field = json_string_value(json_object_get(cause, "field"));
		const char *message = json_string_value(json_object_get(cause, "message"));
		json_t *text = json_sprintf("%s: %s", field ? field : "", message ? message : "");
		bool said = false;

		json_array_foreach(all, j, before) said |= json_equal(before, text);
		if (!said)
			json_array_append(all, text);
		json_decref(text);
	}
	return all;
}

/* An object that failed validation. */
static void fail_invalid(const struct mesh_answer *a)
{
	const json_t *details = json_object_get(a->body, "details"), *cause;
	const char *kind = json_string_value(json_object_get(details, "kind"));
	const char *name = json_string_value(json_object_get(details, "name"));
	json_t *causes = causes_of(details);
	size_t n = json_array_size(causes), i;

	if (kind || name)
		fprintf(stderr, "The %s \"%s\" is invalid", kind ? kind : "", name ? name : "");
	else
		fprintf(stderr, "The request is invalid");
	if (!kind && !name && n == 0)
		fprintf(stderr, ": %s", a->error);
	if (n > 0)
		fprintf(stderr, n > 1 ? ": \n" : ": ");
	json_array_foreach(causes, i, cause)
		fprintf(stderr, "%s%s%s", n > 1 ? "* " : "", json_string_value(cause), i + 1 < n ? "\n" : "");
	fputc('\n', stderr);
	json_decref(causes);
}

void mesh_ctl_fail(struct mesh_ctl *ctl, const struct mesh_answer *a, const char *doing)
{
	const char *when = doing ? "error when " : "", *colon = doing ? ": " : "";

	ctl->failed = true;
	doing = doing ? doing : "";
	fflush(stdout);
	if (a->status == 0)
		fail_transport(ctl, a->error);
	else if (a->reason && strcmp(a->reason, "Invalid") == 0 && json_object_get(a->body, "details"))
		fail_invalid(a);
	else if (a->reason && strcmp(a->reason, "Unauthorized") == 0)
		fprintf(stderr, "error: You must be logged in to the server (%s)\n", a->error);
	else if (a->reason && a->reason[0])
		fprintf(stderr, "Error from server (%s): %s%s%s%s\n", a->reason, when, doing, colon, a->error);
	else
		fprintf(stderr, "Error from server: %s%s%s%s\n", when, doing, colon, a->error);
}

int mesh_ctl_error(struct mesh_ctl *ctl, const char *fmt, ...)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	va_list ap;

	va_start(ap, fmt);
	mesh_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	fflush(stdout);
	fprintf(stderr, "error: %s\n", text.data ? text.data : "");
	ctl->failed = true;
	return 1;
}

int mesh_ctl_errors(struct mesh_ctl *ctl, struct mesh_errs *errs)
{
	mesh_vec_each (e, &errs->list) {
		mesh_auto(mesh_buf_free) struct mesh_buf text = {0};

		mesh_err_format(e, &text);
		mesh_ctl_error(ctl, "%s", text.data);
	}
	mesh_errs_free(errs);
	ctl->failed = true;
	return 1;
}

bool mesh_ctl_dry_client(const struct mesh_ctl *ctl)
{
	return ctl->flags->dry_run && strcmp(ctl->flags->dry_run, "client") == 0;
}

bool mesh_ctl_dry_server(const struct mesh_ctl *ctl)
{
	return ctl->flags->dry_run && strcmp(ctl->flags->dry_run, "server") == 0;
}

const char *mesh_ctl_dry_suffix(const struct mesh_ctl *ctl)
{
	return mesh_ctl_dry_client(ctl) ? " (dry run)" : mesh_ctl_dry_server(ctl) ? " (server dry run)" : "";
}

int mesh_ctl_connect(struct mesh_ctl *ctl)
{
	mesh_auto_free char *file = NULL;
	struct mesh_errs errs = {0};
	struct mesh_kube_opts opts = {.context = ctl->flags->context, .program = "meshctl", .netns_fd = -1};

	if (mesh_find_api(ctl->flags->kubeconfig, &file, &errs) < 0)
		return mesh_ctl_errors(ctl, &errs);
	opts.kubeconfig = file;
	if (mesh_loop_new(&ctl->loop) < 0)
		return mesh_ctl_error(ctl, "cannot make an event loop: %s", strerror(errno));
	if (mesh_kube_new(&ctl->kube, ctl->loop, &opts, &errs) < 0)
		return mesh_ctl_errors(ctl, &errs);
	ctl->namespace = ctl->flags->namespace ? ctl->flags->namespace : mesh_kube_namespace(ctl->kube);
	ctl->namespace_said = ctl->flags->namespace != NULL;
	return 0;
}

static int usage_error(struct mesh_errs *errs)
{
	const struct mesh_err *e = &errs->list.items[0];

	fprintf(stderr, "%s: %s\n", e->hint ? "Error" : "error", e->text);
	if (e->hint)
		fprintf(stderr, "%s\n", e->hint);
	mesh_errs_free(errs);
	return 1;
}

static int run(struct mesh_ctl *ctl, const struct mesh_verb *verb)
{
	int r = 0;

	if (!verb->offline)
		r = mesh_ctl_connect(ctl);
	else
		ctl->namespace = ctl->flags->namespace ? ctl->flags->namespace : "default";
	if (r == 0)
		r = verb->run(ctl, ctl->flags);
	if (ctl->inforce && mesh_inforce_wait(ctl->inforce, ctl) != 0)
		r = r ? r : 1;
	if (fflush(stdout) != 0 && errno != EPIPE)
		r = r ? r : 1;
	return r ? r : ctl->failed;
}

int mesh_ctl_main(const struct mesh_verb *verb, int argc, char **argv)
{
	mesh_auto(mesh_flags_free) struct mesh_flags flags = {0};
	struct mesh_ctl ctl = {.flags = &flags};
	struct mesh_errs errs = {0};
	int r;

	if (mesh_flags_parse(verb, argc, argv, &flags, &errs) < 0)
		return usage_error(&errs);
	if (flags.help) {
		mesh_auto(mesh_buf_free) struct mesh_buf text = {0};

		mesh_flags_help(verb, &text);
		if (verb->run == mesh_ctl_run_install || verb->run == mesh_ctl_run_upgrade) {
			mesh_buf_str(&text, "\nsettings (--set):\n\n");
			mesh_settings_help(&text);
		}
		fputs(text.data, stdout);
		return 0;
	}
	r = run(&ctl, verb);
	mesh_inforce_free(ctl.inforce);
	mesh_resources_free(ctl.resources);
	mesh_kube_free(ctl.kube);
	mesh_loop_free(ctl.loop);
	mesh_map_free(&ctl.warned);
	return r;
}
