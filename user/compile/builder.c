/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/builder.h"

#include "core/mem.h"

/* What a part has at least, and for each endpoint: most parts are then one block without much left over. MORE: what one
 * has that clients here route by. */
enum { PART_BLOCK = 128, PART_ENDPOINT = 72, PART_MORE = 480 };

static void compiled_destroy(struct mesh_l7_part *part)
{
	struct mesh_compiled *c = (struct mesh_compiled *)part;

	for (size_t i = 0; i < c->turn_count; i++)
		mesh_l7_states_turn_unref(c->states, c->turns[i]);
	for (size_t i = 0; i < c->active_count; i++)
		mesh_l7_states_active_unref(c->states, c->actives[i]);
	for (size_t i = 0; i < c->regex_count; i++)
		regfree(c->regexes[i]); /* the struct is in the arena */
	mesh_arena_free(&c->arena);
	free(c);
}

void mesh_builder_init(struct mesh_builder *b, const struct mesh_snapshot *snap, const struct mesh_index *index,
		       struct mesh_l7_states *states, struct mesh_errs *warnings)
{
	*b = (struct mesh_builder){.snap = snap, .states = states, .index = index, .warnings = warnings};
	b->arena = &b->scratch;
	if (index)
		return;
	mesh_index_make(&b->own, snap, warnings);
	b->index = &b->own;
}

static void part_maps_free(struct mesh_builder *b)
{
	mesh_map_free(&b->clusters);
	mesh_map_free(&b->turns);
	mesh_map_free(&b->actives);
	mesh_map_free(&b->regexes);
	b->defaults.count = 0;
}

void mesh_builder_free(struct mesh_builder *b)
{
	part_maps_free(b);
	mesh_vec_free(&b->defaults);
	mesh_vec_free(&b->claims.list);
	mesh_arena_free(&b->scratch);
	mesh_index_free(&b->own);
}

void mesh_builder_part_begin(struct mesh_builder *b, size_t endpoints)
{
	mesh_arena_reset(&b->scratch);
	b->claims.list.count = 0;
	b->out = mesh_xcalloc(1, sizeof(*b->out));
	b->out->part.refs = 1;
	b->out->part.destroy = compiled_destroy;
	b->out->states = b->states;
	b->out->arena.block = PART_BLOCK + PART_ENDPOINT * endpoints;
	mesh_arena_alloc(&b->out->arena, 0);
	b->out->arena.block = PART_MORE;
	b->arena = &b->out->arena;
}

static void *values_of(struct mesh_builder *b, const struct mesh_map *map, size_t *count)
{
	void **ret = map->count ? mesh_arena_alloc(b->arena, map->count * sizeof(*ret)) : NULL;

	*count = 0;
	mesh_map_each (e, map)
		ret[(*count)++] = e->value;
	return ret;
}

struct mesh_compiled *mesh_builder_part_end(struct mesh_builder *b)
{
	struct mesh_compiled *c = b->out;

	c->turns = values_of(b, &b->turns, &c->turn_count);
	c->actives = values_of(b, &b->actives, &c->active_count);
	c->regexes = values_of(b, &b->regexes, &c->regex_count);
	c->clusters = values_of(b, &b->clusters, &c->cluster_count);
	part_maps_free(b);
	b->out = NULL;
	b->arena = &b->scratch;
	return c;
}

struct mesh_l7_state *mesh_builder_turn(struct mesh_builder *b, const char *name)
{
	struct mesh_l7_state *turn = mesh_map_get_str(&b->turns, name);

	if (!turn) {
		turn = mesh_l7_states_turn(b->states, name);
		mesh_map_put_str(&b->turns, name, turn);
	}
	return turn;
}

void mesh_builder_claim(struct mesh_builder *b, enum mesh_claim_kind kind, const char *table, const char *name,
			void *value)
{
	struct mesh_claim c = {.kind = kind,
			       .table = mesh_arena_strdup(&b->scratch, table),
			       .name = mesh_arena_strdup(&b->scratch, name),
			       .value = value};

	mesh_vec_push(&b->claims.list, c);
}

void mesh_compile_warn(struct mesh_errs *warnings, const char *kind, const char *ns, const char *name, const char *path,
		       const char *text)
{
	struct mesh_err *e = mesh_errs_add(warnings, "%s", text);

	if (!e)
		return;
	e->object = mesh_xasprintf("%s %s/%s", kind, ns, name);
	e->path = path ? mesh_xstrdup(path) : NULL;
}

void mesh_builder_warn(struct mesh_builder *b, const char *kind, const char *ns, const char *name, const char *path,
		       const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (!b->warnings)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	mesh_compile_warn(b->warnings, kind, ns, name, path, text);
}
