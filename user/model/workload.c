/* SPDX-License-Identifier: Apache-2.0 */
#include "model/workload.h"

#include "core/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const wishes[] = {
	[MESH_SPLICE_AUTO] = "auto", [MESH_SPLICE_ENABLED] = "enabled", [MESH_SPLICE_DISABLED] = "disabled"};

int mesh_splice_wish_parse(const char *text, enum mesh_splice_wish *ret)
{
	for (size_t i = 0; text && i < MESH_ARRAY_SIZE(wishes); i++)
		if (strcmp(text, wishes[i]) == 0) {
			*ret = (enum mesh_splice_wish)i;
			return 0;
		}
	return -EINVAL;
}

const char *mesh_splice_wish_text(enum mesh_splice_wish wish)
{
	return wishes[wish];
}

const char *mesh_labels_get(const struct mesh_labels *labels, const char *key)
{
	size_t low = 0, high = labels->count;

	while (low < high) {
		size_t mid = (low + high) / 2;
		int c = strcmp(key, labels->items[mid].key);

		if (c == 0)
			return labels->items[mid].value;
		if (c < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

bool mesh_labels_match(const struct mesh_labels *labels, const struct mesh_labels *selector)
{
	for (size_t i = 0; i < selector->count; i++) {
		const char *v = mesh_labels_get(labels, selector->items[i].key);

		if (!v || strcmp(v, selector->items[i].value) != 0)
			return false;
	}
	return true;
}

void mesh_labels_free(struct mesh_labels *labels)
{
	for (size_t i = 0; i < labels->count; i++) {
		free(labels->items[i].key);
		free(labels->items[i].value);
	}
	free(labels->items);
	*labels = (struct mesh_labels){0};
}

void mesh_workload_free(struct mesh_workload *w)
{
	if (!w)
		return;
	free(w->ns);
	free(w->name);
	free(w->uid);
	free(w->node);
	free(w->service_account);
	mesh_labels_free(&w->labels);
	mesh_labels_free(&w->annotations);
	free(w->ips);
	free(w);
}

void mesh_service_free(struct mesh_service *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->port_count; i++) {
		free(s->ports[i].name);
		free(s->ports[i].target);
	}
	free(s->ports);
	free(s->ns);
	free(s->name);
	mesh_labels_free(&s->labels);
	mesh_labels_free(&s->annotations);
	mesh_labels_free(&s->selector);
	free(s->cluster_ips);
	free(s->external_ips);
	free(s->external_name);
	free(s);
}

void mesh_endpoint_clear(struct mesh_endpoint *e)
{
	free(e->pod);
	free(e->node);
	free(e->hints);
}

bool mesh_hint_has(const char *hints, const char *kind, const char *name)
{
	size_t kind_len = strlen(kind), len = name ? strlen(name) : 0;

	while (len && hints && *hints) {
		size_t word = strcspn(hints, " ");
		const char *value = hints + kind_len + 1;

		if (word > kind_len && hints[kind_len] == ':' && memcmp(hints, kind, kind_len) == 0 &&
		    (strcmp(name, "*") == 0 || (word == kind_len + 1 + len && memcmp(value, name, len) == 0)))
			return true;
		hints += word + (hints[word] == ' ');
	}
	return false;
}

void mesh_endpoints_free(struct mesh_endpoints *e)
{
	if (!e)
		return;
	if (!e->borrowed && !e->packed) {
		for (size_t i = 0; i < e->count; i++)
			mesh_endpoint_clear(&e->items[i]);
		free(e->ns);
		free(e->service);
		free(e->port_name);
	}
	if (!e->borrowed)
		free(e->items);
	free(e);
}

static size_t text_size(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

/* The text at *at, which moves on; NULL stays NULL. */
static char *put_text(char **at, const char *text)
{
	char *ret = *at;

	if (!text)
		return NULL;
	memcpy(ret, text, strlen(text) + 1);
	*at += strlen(text) + 1;
	return ret;
}

/* Of nodes there are few: the name that one of the last items has too, or NULL. */
static char *known_node(const struct mesh_endpoint *items, size_t i, const char *node)
{
	for (size_t back = 1; node && back <= i && back <= 16; back++)
		if (items[i - back].node && strcmp(items[i - back].node, node) == 0)
			return items[i - back].node;
	return NULL;
}

void mesh_endpoints_pack(struct mesh_endpoints *e)
{
	size_t size = sizeof(*e->items) * e->count + text_size(e->ns) + text_size(e->service) + text_size(e->port_name);
	char **names[] = {&e->ns, &e->service, &e->port_name};
	struct mesh_endpoint *items;
	char *at;

	if (e->packed || e->borrowed)
		return;
	for (size_t i = 0; i < e->count; i++) {
		const struct mesh_endpoint *x = &e->items[i];

		size += text_size(x->pod) + text_size(x->hints);
		size += known_node(e->items, i, x->node) ? 0 : text_size(x->node);
	}
	items = mesh_xmalloc(size + 1);
	at = (char *)(items + e->count);
	for (size_t i = 0; i < e->count; i++) {
		char *node = known_node(items, i, e->items[i].node);

		items[i] = e->items[i];
		items[i].pod = put_text(&at, e->items[i].pod);
		items[i].hints = put_text(&at, e->items[i].hints);
		items[i].node = node ? node : put_text(&at, e->items[i].node);
	}
	for (size_t i = 0; i < e->count; i++)
		mesh_endpoint_clear(&e->items[i]);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(names); i++) {
		char *text = put_text(&at, *names[i]);

		free(*names[i]);
		*names[i] = text;
	}
	free(e->items);
	e->items = items;
	e->packed = true;
}

void mesh_machine_free(struct mesh_machine *m)
{
	if (!m)
		return;
	free(m->name);
	free(m->zone);
	free(m->ips);
	free(m);
}
