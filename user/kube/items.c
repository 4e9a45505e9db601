/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/items.h"

#include <errno.h>

enum { HEAD_MAX = 1 << 20 };

void mesh_items_free(struct mesh_items *p)
{
	mesh_buf_free(&p->head);
	mesh_buf_free(&p->item);
	*p = (struct mesh_items){0};
}

/* The length of what goes on in the string that p is in, with its closing quote if that is there. */
static size_t string_run(struct mesh_items *p, struct mesh_slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (p->escaped) {
			p->escaped = false;
		} else if (s.ptr[i] == '\\') {
			p->escaped = true;
		} else if (s.ptr[i] == '"') {
			p->in_string = false;
			return i + 1;
		}
	}
	return s.len;
}

/* One byte outside of strings and of items. Returns 0 or -EINVAL. */
static int head_byte(struct mesh_items *p, char c)
{
	static const char items[] = "\"items\"";
	bool is_items = p->depth == 1 && p->after_colon && p->key_len == sizeof(items) - 1 &&
			memcmp(p->head.data + p->key_at, items, sizeof(items) - 1) == 0;

	if (c == '"') {
		p->in_string = true;
		if (!p->after_colon)
			p->key_at = p->head.len - 1;
	} else if (c == ':') {
		p->after_colon = true;
		return 0;
	} else if (c == '[' && is_items) {
		p->in_list = true;
	} else if (c == '{' || c == '[') {
		p->depth++;
	} else if (c == '}' || c == ']') {
		if (--p->depth < 0)
			return -EINVAL;
		p->whole = p->depth == 0;
	}
	if (c == ',' || c == '{' || c == '}')
		p->after_colon = false;
	return p->depth == 0 && c != '}' && c != ' ' && c != '\n' ? -EINVAL : 0;
}

/* Outside of items. Returns how many bytes were taken, or -errno. */
static ssize_t take_head(struct mesh_items *p, struct mesh_slice s)
{
	size_t i = 0;

	while (i < s.len && !p->in_list) {
		if (p->in_string) {
			size_t n = string_run(p, mesh_slice_of(s.ptr + i, s.len - i));

			mesh_buf_add(&p->head, s.ptr + i, n);
			i += n;
			if (!p->in_string && p->depth == 1 && !p->after_colon)
				p->key_len = p->head.len - p->key_at;
			continue;
		}
		mesh_buf_char(&p->head, s.ptr[i]);
		if (head_byte(p, s.ptr[i++]) < 0)
			return -EINVAL;
		if (p->head.len > HEAD_MAX)
			return -EFBIG;
	}
	return (ssize_t)i;
}

/* Within the list, from the start of an item or from where it was cut; p->depth counts from 1, the list's object. */
static ssize_t take_item(struct mesh_items *p, struct mesh_slice s, mesh_items_fn *fn, void *arg)
{
	size_t i = 0;

	while (i < s.len) {
		char c = s.ptr[i];

		if (p->in_string) {
			i += string_run(p, mesh_slice_of(s.ptr + i, s.len - i));
			continue;
		}
		i++;
		if (c == '"')
			p->in_string = true;
		else if (c == '{' || c == '[')
			p->depth++;
		else if ((c == '}' || c == ']') && --p->depth == 1)
			break;
	}
	if (p->item.len + i > MESH_ITEM_MAX)
		return -EFBIG;
	if (p->item.len || p->depth > 1 || p->in_string)
		mesh_buf_add(&p->item, s.ptr, i);
	if (p->depth > 1 || p->in_string)
		return (ssize_t)i;
	if (!fn(arg, p->item.len ? mesh_buf_view(&p->item) : mesh_slice_of(s.ptr, i)))
		return -ECANCELED;
	mesh_buf_clear(&p->item);
	return (ssize_t)i;
}

static ssize_t take_list(struct mesh_items *p, struct mesh_slice s, mesh_items_fn *fn, void *arg)
{
	if (p->item.len || s.ptr[0] == '{')
		return take_item(p, s, fn, arg);
	if (s.ptr[0] == ']') {
		mesh_buf_char(&p->head, ']');
		p->in_list = false;
		return 1;
	}
	return s.ptr[0] == ',' || s.ptr[0] == ' ' || s.ptr[0] == '\n' ? 1 : -EINVAL;
}

int mesh_items_take(struct mesh_items *p, struct mesh_slice bytes, mesh_items_fn *fn, void *arg)
{
	while (bytes.len) {
		ssize_t n = p->in_list ? take_list(p, bytes, fn, arg) : take_head(p, bytes);

		if (n < 0)
			return (int)n;
		bytes.ptr += n;
		bytes.len -= (size_t)n;
	}
	return 0;
}
