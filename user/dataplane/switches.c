/* SPDX-License-Identifier: Apache-2.0 */
/* The switches of include/mesh/switches.h: set and told. A word is all that changes; programs stay where they are. */
#include "dataplane/bypass.h"
#include "dataplane/splice.h"
#include "dataplane/xdp.h"

#include <errno.h>

static const char *const words[MESH_WORD_COUNT] = {
	[MESH_WORD_UNSET] = "", [MESH_WORD_OFF] = "off", [MESH_WORD_ON] = "on", [MESH_WORD_AUTO] = "auto"};

static const struct {
	enum mesh_switch id;
	const char *name, *words, *help;
	enum mesh_word unset;
} rows[] = {
#define ROW(index, id, name, unset, words, help) {MESH_SWITCH_##id, name, words, help, MESH_WORD_##unset},
	MESH_SWITCHES(ROW)
#undef ROW
};

/* Whether what a switch stands for is done now: on, and possible. *why: if not. */
static bool in_use(const struct mesh_dp *dp, enum mesh_switch id, const char **why)
{
	if (dp->off && id != MESH_SWITCH_MESH) {
		*why = "the mesh is switched off";
		return false;
	}
	switch (id) {
	case MESH_SWITCH_BYPASS:
		return mesh_dp_bypass_in_use(dp, why);
	case MESH_SWITCH_ANTISPOOF:
		return mesh_dp_antispoof_in_use(dp, why);
	case MESH_SWITCH_SPLICE:
		return mesh_splice_in_use(dp, why);
	case MESH_SWITCH_XDP:
		return mesh_dp_xdp_in_use(dp, why);
	case MESH_SWITCH_MESH:
		*why = dp->off ? "it is switched off" : NULL;
		return !dp->off;
	default:
		*why = "this version does not have it";
		return false;
	}
}

enum mesh_word mesh_dp_switch_word(const struct mesh_dp *dp, enum mesh_switch id)
{
	uint32_t which = id, word = MESH_WORD_UNSET;

	if (id == MESH_SWITCH_MESH) /* has a place of its own, in map node */
		return dp->off ? MESH_WORD_OFF : MESH_WORD_ON;
	bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_SWITCHES], &which, &word);
	if (word != MESH_WORD_UNSET && word < MESH_WORD_COUNT)
		return word;
	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++)
		if (rows[i].id == id)
			return rows[i].unset;
	return MESH_WORD_UNSET;
}

/* Whether one of "a|b|c" is word. */
static bool is_among(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = list; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
		if (len && strncmp(at, word, len) == 0 && (at[len] == '|' || at[len] == '\0'))
			return true;
	return false;
}

static int unknown_switch(const char *name, struct mesh_errs *errs)
{
	mesh_auto(mesh_buf_free) struct mesh_buf all = {0};
	struct mesh_err *e = mesh_errs_add(errs, "there is no switch \"%s\"", name);

	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++)
		mesh_buf_printf(&all, "%s%s=%s", i ? ", " : "there are ", rows[i].name, rows[i].words);
	if (e)
		e->hint = mesh_buf_steal(&all);
	return -ENOENT;
}

/* Of one that is among a row's. */
static enum mesh_word word_of(const char *text)
{
	enum mesh_word word = MESH_WORD_UNSET;

	while (strcmp(words[word], text) != 0)
		word++;
	return word;
}

static int find(const char *name, const char *word, size_t *row, uint32_t *value, struct mesh_errs *errs)
{
	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		if (strcmp(rows[i].name, name) != 0)
			continue;
		if (!is_among(rows[i].words, word)) {
			mesh_errs_add(errs, "%s=%s: it may be %s", name, word, rows[i].words);
			return -EINVAL;
		}
		*row = i;
		*value = word_of(word);
		return 0;
	}
	return unknown_switch(name, errs);
}

/* What a switch is to be, once set is in force; its words were found good. */
static enum mesh_word wanted(const struct mesh_dp *dp, const json_t *set, enum mesh_switch id)
{
	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		const char *text = json_string_value(json_object_get(set, rows[i].name));

		if (rows[i].id == id && text)
			return word_of(text);
	}
	return mesh_dp_switch_word(dp, id);
}

/* Its programs read a word of their own, which goes with what sockets keep. */
static int set_splice(struct mesh_dp *dp, const json_t *set, struct mesh_errs *errs)
{
	enum mesh_word mesh = wanted(dp, set, MESH_SWITCH_MESH);
	enum mesh_word word = mesh == MESH_WORD_OFF ? MESH_WORD_OFF : wanted(dp, set, MESH_SWITCH_SPLICE);
	enum mesh_splice_mode mode = MESH_SPLICE_MODE_AUTO;

	if (!json_object_get(set, "splice") && mesh == mesh_dp_switch_word(dp, MESH_SWITCH_MESH))
		return 0;
	mesh_splice_mode_parse(words[word], &mode);
	return mesh_dp_splice_set(dp, mode, errs);
}

static int set_one(struct mesh_dp *dp, const char *name, const char *word, bool write, struct mesh_errs *errs)
{
	uint32_t value = 0, which;
	size_t row = 0;
	int r = find(name, word, &row, &value, errs);

	if (r < 0 || !write)
		return r;
	which = rows[row].id;
	if (which == MESH_SWITCH_MESH)
		r = mesh_dp_set_off(dp, value == MESH_WORD_OFF);
	else if (bpf_map_update_elem(dp->maps[MESH_DP_MAP_SWITCHES], &which, &value, BPF_ANY) < 0)
		r = -errno;
	if (r < 0)
		mesh_errs_add(errs, "switching %s: %s", name, strerror(-r));
	return r;
}

static int set_each(struct mesh_dp *dp, const json_t *set, bool write, struct mesh_errs *errs)
{
	const char *name;
	json_t *word;
	int r = 0;

	json_object_foreach((json_t *)set, name, word)
	{
		int one = set_one(dp, name, json_is_string(word) ? json_string_value(word) : "", write, errs);

		r = r < 0 ? r : one;
	}
	return r;
}

/* All or nothing: what is wrong, or cannot be, is found before anything is written. */
int mesh_dp_switch_set(struct mesh_dp *dp, const json_t *set, struct mesh_errs *errs)
{
	int r = set_each(dp, set, false, errs);

	if (r == 0)
		r = set_splice(dp, set, errs);
	return r < 0 ? r : set_each(dp, set, true, errs);
}

json_t *mesh_dp_switches(const struct mesh_dp *dp)
{
	json_t *list = json_array();

	mesh_splice_lock(dp->splice); /* why may be its own */
	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		const char *why = NULL;
		bool used = in_use(dp, rows[i].id, &why);
		mesh_auto_free char *what = rows[i].id == MESH_SWITCH_XDP ? mesh_dp_xdp_what(dp) : NULL;

		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s, s:b, s:s?, s:s?, s:s}", "name", rows[i].name, "word",
						words[mesh_dp_switch_word(dp, rows[i].id)], "words", rows[i].words,
						"inUse", used, "why", why, "what", what, "help", rows[i].help));
	}
	mesh_splice_unlock(dp->splice);
	return list;
}
