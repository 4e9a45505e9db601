/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that config/ does with a text, for the mutation test and the fuzzer: parse, check, default, prune, print,
 * decode, patch. Returns NULL, or what went wrong.
 */
#ifndef MESH_TEST_CONFIG_EXERCISE_H
#define MESH_TEST_CONFIG_EXERCISE_H

#include "config/decode.h"
#include "config/document.h"

static const struct mesh_kind *exercise_kind(const json_t *obj)
{
	const char *version = json_string_value(json_object_get(obj, "apiVersion"));
	const char *kind = json_string_value(json_object_get(obj, "kind")), *slash;
	char group[256] = "";

	if (!version || !kind)
		return NULL;
	slash = strchr(version, '/');
	if (slash && (size_t)(slash - version) < sizeof(group))
		memcpy(group, version, (size_t)(slash - version));
	return mesh_kind_by_name(group, kind);
}

static void exercise_decoders(const json_t *obj)
{
	struct mesh_virtual_service *vs = NULL;
	struct mesh_destination_rule *dr = NULL;
	struct mesh_gateway *gw = NULL;
	struct mesh_member_roll *roll = NULL;
	struct mesh_workload *w = NULL;
	struct mesh_service *s = NULL;
	struct mesh_endpoint_pieces *p = NULL;

	mesh_decode_virtual_service(obj, &vs);
	mesh_decode_destination_rule(obj, &dr);
	mesh_decode_gateway(obj, &gw);
	mesh_decode_member_roll(obj, &roll);
	mesh_decode_pod(obj, &w);
	mesh_decode_service(obj, &s);
	mesh_decode_endpoint_slice(obj, &p);
	mesh_virtual_service_free(vs);
	mesh_destination_rule_free(dr);
	mesh_gateway_free(gw);
	mesh_member_roll_free(roll);
	mesh_workload_free(w);
	mesh_service_free(s);
	mesh_endpoint_pieces_free(p);
}

static void exercise_patches(const struct mesh_kind *kind, const json_t *obj)
{
	json_t *work = json_deep_copy(obj), *list = json_object_get(obj, "spec");
	struct mesh_errs errs = {0};

	mesh_patch_merge(&work, obj);
	mesh_patch_strategic(kind, &work, obj, &errs);
	mesh_patch_json(&work, json_is_array(list) ? list : obj, &errs);
	json_decref(work);
	mesh_errs_free(&errs);
}

static const char *exercise_object(const struct mesh_kind *kind, const struct mesh_document *d)
{
	struct mesh_errs errs = {0}, warnings = {0}, unknown = {0};
	json_t *obj = json_deep_copy(d->value), *items = json_pack("[O]", obj), *table;
	struct mesh_buf text = {0};
	const char *fault = NULL;
	int r;

	mesh_object_decodable(kind, obj, &text);
	r = mesh_object_check(kind, obj, NULL, &errs, &warnings, &unknown);
	if ((r == 0) != (errs.list.count == 0))
		fault = "the result of a check is not that of its errors";
	mesh_errs_locate(&errs, d);
	mesh_errs_locate(&warnings, d);
	mesh_errs_locate(&unknown, d);
	mesh_errs_format(&errs, &text);
	mesh_errs_format(&unknown, &text);
	mesh_errs_format(&warnings, &text);
	table = mesh_table(kind, items, "Metadata", true);
	json_decref(table);
	if (kind->fill)
		kind->fill(kind, obj, NULL);
	mesh_object_prune(kind, obj);
	exercise_decoders(obj);
	exercise_patches(kind, obj);
	/* What was accepted and pruned has no unknown field left. */
	mesh_errs_free(&errs);
	mesh_errs_free(&unknown);
	mesh_object_check(kind, obj, NULL, &errs, NULL, &unknown);
	if (unknown.list.count)
		fault = "an unknown field is left after pruning";
	if (r == 0 && errs.list.count)
		fault = "what was accepted is refused with its defaults";
	mesh_errs_free(&errs);
	mesh_errs_free(&warnings);
	mesh_errs_free(&unknown);
	mesh_buf_free(&text);
	json_decref(items);
	json_decref(obj);
	return fault;
}

static const char *exercise_text(struct mesh_slice text)
{
	struct mesh_documents docs = {0};
	struct mesh_errs errs = {0};
	const char *fault = NULL;
	json_t *body = NULL;
	int r = mesh_documents_parse("x.yaml", text, &docs, &errs);

	if (r < 0 && (errs.list.count == 0 || docs.list.count))
		fault = "a refused text has no error, or has documents";
	if (r == 0 && errs.list.count)
		fault = "an accepted text has errors";
	mesh_vec_each (d, &docs.list) {
		const struct mesh_kind *kind = exercise_kind(d->value);
		const char *f = kind ? exercise_object(kind, d) : NULL;

		if (!json_is_object(d->value))
			fault = "a document is not an object";
		fault = f ? f : fault;
	}
	mesh_errs_free(&errs);
	mesh_documents_free(&docs);
	if ((mesh_json_parse(text, &body, &errs, NULL) < 0) != (body == NULL))
		fault = "a refused body was given out";
	json_decref(body);
	mesh_errs_free(&errs);
	return fault;
}

#endif
