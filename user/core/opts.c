/* SPDX-License-Identifier: Apache-2.0 */
#include "core/opts.h"

#include "core/mem.h"
#include "core/slice.h"

#include <errno.h>
#include <stdio.h>

static const struct mesh_opt *by_name(const struct mesh_opts *o, struct mesh_slice name)
{
	for (size_t i = 0; i < o->count; i++)
		if (mesh_slice_eq(name, mesh_slice_str(o->rows[i].name)))
			return &o->rows[i];
	return NULL;
}

static const struct mesh_opt *by_letter(const struct mesh_opts *o, char letter)
{
	for (size_t i = 0; i < o->count; i++)
		if (letter && o->rows[i].letter == letter)
			return &o->rows[i];
	return NULL;
}

static int unknown(const struct mesh_opts *o, const char *given, struct mesh_slice name, struct mesh_errs *errs)
{
	mesh_auto_free const char **names = mesh_xcalloc(o->count + 1, sizeof(*names));
	mesh_auto_free char *wanted = mesh_xasprintf("%.*s", (int)name.len, name.ptr);
	struct mesh_err *e = mesh_errs_add(errs, "unknown option %.*s", (int)strcspn(given, "="), given);
	const char *near;

	for (size_t i = 0; i < o->count; i++)
		names[i] = o->rows[i].name;
	names[o->count] = "help";
	near = mesh_nearest(wanted, names, o->count + 1);
	if (e && near)
		e->hint = mesh_xasprintf("did you mean --%s?", near);
	return -EINVAL;
}

/* Who gave a value, for errors: "--workers", or the variable of the environment. */
struct source {
	const char *dashes, *name;
};

static int bad(const struct source *from, const char *value, struct mesh_errs *errs, const char *want)
{
	mesh_errs_add(errs, "%s%s %s: %s", from->dashes, from->name, value, want);
	return -EINVAL;
}

static int take_number(const struct mesh_opt *row, const struct source *from, const char *value, void *to,
		       struct mesh_errs *errs)
{
	uint64_t max = row->max ? row->max : row->type == MESH_OPT_PORT ? UINT16_MAX : UINT32_MAX, n;

	if (mesh_slice_to_u64(mesh_slice_str(value), max, &n) < 0 || n < row->min) {
		mesh_auto_free char *want = mesh_xasprintf("not a number from %llu to %llu",
							   (unsigned long long)row->min, (unsigned long long)max);

		return bad(from, value, errs, want);
	}
	if (row->type == MESH_OPT_PORT)
		*(uint16_t *)to = (uint16_t)n;
	else
		*(unsigned *)to = (unsigned)n;
	return 0;
}

static int take_choice(const struct mesh_opt *row, const struct source *from, const char *value, int *to,
		       struct mesh_errs *errs)
{
	struct mesh_slice rest = mesh_slice_str(row->values), part;
	mesh_auto_free char *want = NULL;

	for (int i = 0; mesh_slice_split(&rest, '|', &part); i++)
		if (mesh_slice_eq(part, mesh_slice_str(value))) {
			*to = i;
			return 0;
		}
	want = mesh_xasprintf("not one of %s", row->values);
	return bad(from, value, errs, want);
}

static int take(const struct mesh_opt *row, const struct source *from, const char *value, void *base,
		struct mesh_errs *errs)
{
	void *to = (char *)base + row->at;

	switch (row->type) {
	case MESH_OPT_FLAG:
		*(bool *)to = true;
		return 0;
	case MESH_OPT_STRING:
		*(const char **)to = value;
		return 0;
	case MESH_OPT_UNSIGNED:
	case MESH_OPT_PORT:
		return take_number(row, from, value, to, errs);
	case MESH_OPT_CHOICE:
		return take_choice(row, from, value, to, errs);
	case MESH_OPT_LIST:
		mesh_vec_push(&((struct mesh_opt_list *)to)->list, value);
		return 0;
	}
	return -EINVAL;
}

static const char *env_of(const struct mesh_opt *row)
{
	const char *value = row->env ? getenv(row->env) : NULL;

	return value && value[0] ? value : NULL;
}

/* The value of an option that was found, in its own argument or in the next. */
static int take_arg(const struct mesh_opt *row, const struct source *from, const char *inside, const char *next,
		    void *base, int *used, struct mesh_errs *errs)
{
	if (row->type == MESH_OPT_FLAG)
		return inside ? bad(from, inside, errs, "it takes no value") : take(row, from, NULL, base, errs);
	if (!inside && !next) {
		mesh_errs_add(errs, "%s%s needs a value: %s", from->dashes, from->name, row->arg);
		return -EINVAL;
	}
	*used = inside ? 1 : 2;
	return take(row, from, inside ? inside : next, base, errs);
}

/* One option at argv[0]. Returns 0, -ECANCELED for --help, or -EINVAL; *used: how many arguments it took. */
static int one_option(const struct mesh_opts *o, char **argv, void *base, const struct mesh_opt **row, int *used,
		      struct mesh_errs *errs)
{
	const char *text = argv[0], *eq = strchr(text, '=');
	bool is_long = text[1] == '-';
	struct mesh_slice name = mesh_slice_str(text + 1);

	*used = 1;
	if (is_long)
		name = mesh_slice_of(text + 2, eq ? (size_t)(eq - text - 2) : strlen(text + 2));
	if (is_long ? mesh_slice_eq(name, MESH_SLICE("help")) : strcmp(text, "-h") == 0)
		return -ECANCELED;
	*row = is_long ? by_name(o, name) : by_letter(o, text[1]);
	if (*row && !is_long && (*row)->type == MESH_OPT_FLAG && text[2])
		*row = NULL;
	if (!*row) {
		/* What follows is more likely its value than an operand. */
		*used = !eq && argv[1] && argv[1][0] != '-' ? 2 : 1;
		return unknown(o, text, name, errs);
	}
	if (!is_long)
		eq = text[2] ? text + 1 : NULL;
	return take_arg(*row, &(struct source){"--", (*row)->name}, eq ? eq + 1 : NULL, argv[1], base, used, errs);
}

/* The environment and the defaults, for what was not given. */
static int fill_rest(const struct mesh_opts *o, const bool *given, void *base, struct mesh_errs *errs)
{
	int r = 0;

	for (size_t i = 0; i < o->count; i++) {
		const struct mesh_opt *row = &o->rows[i];
		const char *env = env_of(row);
		struct source from = {env ? "" : "--", env ? row->env : row->name};

		if (given[i])
			continue;
		if (env || row->initial) {
			if (take(row, &from, env ? env : row->initial, base, errs) < 0)
				r = -EINVAL;
		} else if (row->required) {
			mesh_errs_add(errs, "--%s %s is required%s%s", row->name, row->arg ? row->arg : "",
				      row->env ? ", or in the environment as " : "", row->env ? row->env : "");
			r = -EINVAL;
		}
	}
	return r;
}

int mesh_opts_parse(const struct mesh_opts *o, int argc, char **argv, void *to, struct mesh_errs *errs)
{
	mesh_auto_free bool *given = mesh_xcalloc(o->count + 1, sizeof(*given));
	int i = 1, r = 0;

	while (i < argc && argv[i][0] == '-' && argv[i][1]) {
		const struct mesh_opt *row;
		int one, used;

		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		one = one_option(o, argv + i, to, &row, &used, errs);
		if (one == -ECANCELED)
			return one;
		r = one < 0 ? one : r;
		if (row)
			given[row - o->rows] = true;
		i += used;
	}
	if (fill_rest(o, given, to, errs) < 0)
		r = -EINVAL;
	if (i < argc && !o->operands) {
		mesh_errs_add(errs, "'%s' is one too many", argv[i]);
		r = -EINVAL;
	}
	return r < 0 ? r : i;
}

static void help_row(const struct mesh_opt *row, struct mesh_buf *out)
{
	char left[64];
	const char *sep = " (";

	snprintf(left, sizeof(left), "%s%.1s%s--%s%s%s", row->letter ? "-" : "", row->letter ? &row->letter : "",
		 row->letter ? ", " : "", row->name, row->arg ? " " : "", row->arg ? row->arg : "");
	mesh_buf_printf(out, "  %-26s %s", left, row->help);
	if (row->type == MESH_OPT_LIST)
		mesh_buf_printf(out, "; may be repeated");
	if (row->values) {
		mesh_buf_printf(out, "%s%s", sep, row->values);
		sep = "; ";
	}
	if (row->env || row->initial) {
		mesh_buf_printf(out, "%sdefault: %s%s%s", sep, row->env ? "$" : "", row->env ? row->env : row->initial,
				row->env && row->initial ? ", then " : "");
		if (row->env && row->initial)
			mesh_buf_printf(out, "%s", row->initial);
		sep = "; ";
	}
	mesh_buf_printf(out, "%s\n", sep[0] == ';' ? ")" : "");
}

void mesh_opts_help(const struct mesh_opts *o, struct mesh_buf *out)
{
	bool optional = false;

	mesh_buf_printf(out, "usage: %s", o->command);
	for (size_t i = 0; i < o->count; i++) {
		if (o->rows[i].required)
			mesh_buf_printf(out, " --%s %s", o->rows[i].name, o->rows[i].arg);
		optional |= !o->rows[i].required;
	}
	mesh_buf_printf(out, "%s%s%s\n", optional ? " [OPTIONS]" : "", o->operands ? " " : "",
			o->operands ? o->operands : "");
	if (o->about)
		mesh_buf_printf(out, "\n%s\n", o->about);
	mesh_buf_printf(out, "\n");
	for (size_t i = 0; i < o->count; i++)
		help_row(&o->rows[i], out);
	mesh_buf_printf(out, "  %-26s %s\n", "-h, --help", "this text");
}

int mesh_opts_refuse(const struct mesh_opts *o, const struct mesh_errs *errs)
{
	mesh_vec_each (e, &errs->list)
		fprintf(stderr, "%s: %s%s%s%s\n", o->command, e->text, e->hint ? " (" : "", e->hint ? e->hint : "",
			e->hint ? ")" : "");
	fprintf(stderr, "%s --help lists the options\n", o->command);
	return 2;
}

int mesh_opts_main(const struct mesh_opts *o, int argc, char **argv, void *to, int *operand)
{
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	int r = mesh_opts_parse(o, argc, argv, to, &errs);

	if (r == -ECANCELED) {
		mesh_opts_help(o, &text);
		fwrite(text.data, 1, text.len, stdout);
		return 0;
	}
	if (r < 0)
		return mesh_opts_refuse(o, &errs);
	if (operand)
		*operand = r;
	return -1;
}
