/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/pods.h"

#include "core/mem.h"

#include <stdio.h>

/* The log of one container. Several may be followed at once: lines never mix. */
struct stream {
	struct mesh_ctl *ctl;
	char *prefix; /* NULL: none */
	struct mesh_buf line;
	bool over;
};

struct streams {
	MESH_VEC(struct stream *) list;
};

static void put(struct stream *s, struct mesh_slice text)
{
	struct mesh_slice line;

	if (!s->prefix) {
		fwrite(text.ptr, 1, text.len, stdout);
		fflush(stdout);
		return;
	}
	mesh_buf_slice(&s->line, text);
	while (s->line.len && memchr(s->line.data, '\n', s->line.len)) {
		struct mesh_slice rest = mesh_buf_view(&s->line);

		mesh_slice_split(&rest, '\n', &line);
		printf("%s%.*s\n", s->prefix, (int)line.len, line.ptr);
		mesh_buf_consume(&s->line, line.len + 1);
	}
	fflush(stdout);
}

static void came(void *arg, struct mesh_slice piece)
{
	put(arg, piece);
}

static void ended(void *arg, const struct mesh_kube_response *r)
{
	struct stream *s = arg;
	struct mesh_answer a = {
		.status = r->status, .body = r->body, .error = (char *)r->error, .reason = (char *)r->reason};

	s->over = true;
	if (s->line.len)
		printf("%s%s\n", s->prefix, s->line.data);
	if (r->error)
		mesh_ctl_fail(s->ctl, &a, NULL);
}

static char *log_path(const struct mesh_ctl *ctl, const json_t *pod, const char *container, long tail)
{
	const struct mesh_flags *f = ctl->flags;
	mesh_auto_free char *ns = mesh_kube_escape(mesh_meta(pod, "namespace"));
	mesh_auto_free char *name = mesh_kube_escape(mesh_meta(pod, "name"));
	mesh_auto_free char *c = mesh_kube_escape(container), *since = mesh_kube_escape(f->since ? f->since : "");
	struct mesh_buf b = {0};

	mesh_buf_printf(&b, "/api/v1/namespaces/%s/pods/%s/log?container=%s", ns, name, c);
	if (f->follow)
		mesh_buf_str(&b, "&follow=true");
	if (f->previous)
		mesh_buf_str(&b, "&previous=true");
	if (f->timestamps)
		mesh_buf_str(&b, "&timestamps=true");
	if (tail >= 0)
		mesh_buf_printf(&b, "&tailLines=%ld", tail);
	if (f->limit_bytes >= 0)
		mesh_buf_printf(&b, "&limitBytes=%ld", f->limit_bytes);
	if (f->since_seconds > 0)
		mesh_buf_printf(&b, "&sinceSeconds=%.0f", f->since_seconds);
	if (f->since)
		mesh_buf_printf(&b, "&sinceTime=%s", since);
	return mesh_buf_steal(&b);
}

static void wait_for(struct mesh_ctl *ctl, const struct stream *s)
{
	while (!s->over)
		mesh_loop_once(ctl->loop, -1);
}

static void open_log(struct mesh_ctl *ctl, struct streams *all, const json_t *pod, const char *container, long tail)
{
	mesh_auto_free char *path = log_path(ctl, pod, container, tail);
	struct stream *s = mesh_xcalloc(1, sizeof(*s));

	s->ctl = ctl;
	if (ctl->flags->prefix)
		s->prefix = mesh_xasprintf("[pod/%s/%s] ", mesh_meta(pod, "name"), container);
	mesh_vec_push(&all->list, s);
	mesh_kube_stream(ctl->kube, path, NULL, came, ended, s);
	if (!ctl->flags->follow)
		wait_for(ctl, s);
}

static void open_pod(struct mesh_ctl *ctl, struct streams *all, const json_t *pod, long tail)
{
	const json_t *containers = json_object_get(json_object_get(pod, "spec"), "containers"), *c;
	const char *name;
	size_t i;

	if (!ctl->flags->all_containers) {
		name = mesh_ctl_pod_container(ctl, pod);
		if (name)
			open_log(ctl, all, pod, name, tail);
		return;
	}
	json_array_foreach(containers, i, c)
		open_log(ctl, all, pod, json_string_value(json_object_get(c, "name")), tail);
}

static void streams_free(struct streams *all)
{
	mesh_vec_each (one, &all->list) {
		free((*one)->prefix);
		mesh_buf_free(&(*one)->line);
		free(*one);
	}
	mesh_vec_free(&all->list);
}

int mesh_ctl_run_logs(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	mesh_auto(streams_free) struct streams all = {0};
	json_t *pods = NULL, *pod;
	size_t i;

	if (f->selector) {
		pods = mesh_ctl_pods_select(ctl, f->selector);
		if (pods && json_array_size(pods) == 0)
			fprintf(stderr, "No resources found in %s namespace.\n", ctl->namespace);
		json_array_foreach(pods, i, pod) open_pod(ctl, &all, pod, f->tail >= 0 ? f->tail : 10);
	} else if (f->args.list.count == 0 || f->args.list.count > 2) {
		return mesh_ctl_error(
			ctl, "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a "
			     "required argument for the logs command");
	} else {
		struct mesh_flags with = *f;

		if (f->args.list.count == 2) { /* logs POD CONTAINER */
			with.container = f->args.list.items[1];
			ctl->flags = &with;
		}
		pods = mesh_ctl_pod_find(ctl, f->args.list.items[0], true);
		if (pods)
			open_pod(ctl, &all, pods, f->tail);
		mesh_vec_each (one, &all.list)
			wait_for(ctl, *one);
		ctl->flags = f;
	}
	mesh_vec_each (one, &all.list)
		wait_for(ctl, *one);
	json_decref(pods);
	return ctl->failed;
}
