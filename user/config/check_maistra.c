/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ServiceMeshControlPlane, ServiceMeshMemberRoll and ServiceMeshMember, as Maistra's webhook sees them.
 */
#include "config/at.h"
#include "config/check.h"
#include "config/columns.h"
#include "config/names.h"

static void members(struct mesh_at *at, const json_t *v, void *arg)
{
	const char *s = json_string_value(v) ? json_string_value(v) : "";
	const size_t *count = arg;

	if (mesh_is(s, "*")) {
		if (*count > 1)
			mesh_at_err(at,
				    "when .spec.members contains an asterisk ('*'), it must contain no other entries");
		return;
	}
	if (!mesh_name_is_label(mesh_slice_str(s)))
		mesh_at_err(at, ".spec.members contains invalid value '%s'. Must be a valid namespace name.", s);
	else if (mesh_is(s, at->ns))
		mesh_at_err(at, "mesh project/namespace cannot be listed as a member");
}

static void member_roll(struct mesh_at *at, const json_t *spec, void *arg)
{
	size_t count = json_array_size(json_object_get(spec, "members"));

	(void)arg;
	if (!mesh_is(mesh_text(json_object_get(at->object, "metadata"), "name"), "default"))
		mesh_at_err(at, "the ServiceMeshMemberRoll resource must be named \"default\"");
	mesh_at_each(at, spec, "members", members, &count);
	if (count && json_array_size(json_object_get(spec, "memberSelectors")))
		mesh_at_err(at, "combining .spec.members and .spec.memberSelectors is not allowed");
}

MESH_CHECK(member_roll)
{
	(void)kind;
	(void)old;
	mesh_check_spec(obj, errs, warnings, member_roll);
}

static void member(struct mesh_at *at, const json_t *spec, void *arg)
{
	const json_t *before = arg ? mesh_json_at(arg, "spec", "controlPlaneRef", NULL) : NULL;

	if (!mesh_is(mesh_text(json_object_get(at->object, "metadata"), "name"), "default"))
		mesh_at_err(at, "the ServiceMeshMember resource must be named \"default\"");
	if (before && !json_equal(before, json_object_get(spec, "controlPlaneRef")))
		mesh_at_err_key(at, "controlPlaneRef", "mutation of .spec.controlPlaneRef isn't allowed");
}

MESH_CHECK(member)
{
	struct mesh_at at = {.errs = errs,
			     .warnings = warnings,
			     .ns = mesh_text(json_object_get(obj, "metadata"), "namespace"),
			     .object = obj};

	(void)kind;
	mesh_at_in(&at, obj, "spec", member, (void *)old);
	mesh_buf_free(&at.path);
}

/* "mtls: false" and "mtls: {enabled: false}" are the same. */
static void mtls(struct mesh_at *at, const json_t *v, void *arg)
{
	const json_t *enabled = json_object_get(v, "enabled");

	(void)arg;
	if (!json_is_boolean(v) && !json_is_object(v))
		mesh_at_err(at, "is neither true, false nor {enabled: ...}");
	else if (enabled && !json_is_boolean(enabled))
		mesh_at_err_key(at, "enabled", "is neither true nor false");
	else if (json_is_true(v) || json_is_true(enabled))
		mesh_at_warn(at, "accepted, but not supported yet: it has no effect");
}

static void global(struct mesh_at *at, const json_t *v, void *arg)
{
	mesh_at_in(at, v, "mtls", mtls, arg);
}

static void istio(struct mesh_at *at, const json_t *v, void *arg)
{
	mesh_at_in(at, v, "global", global, arg);
}

static void control_plane(struct mesh_at *at, const json_t *spec, void *arg)
{
	mesh_at_in(at, spec, "istio", istio, arg);
}

MESH_CHECK(control_plane)
{
	(void)kind;
	(void)old;
	mesh_check_spec(obj, errs, warnings, control_plane);
}
