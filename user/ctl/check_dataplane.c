/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent says of its data plane's short ways, and of what keeps them safe. */
#include "ctl/check.h"

#include "config/get.h"
#include "core/mem.h"

/* Whose devices are not like the others, each with why; a few are enough to see what it is. */
static void check_devices(json_t *rows, const json_t *devices)
{
	enum { SHOWN = 3 };
	mesh_auto(mesh_buf_free) struct mesh_buf out = {0};
	const json_t *d;
	size_t n = 0, i;

	json_array_foreach(devices, i, d)
	{
		if (json_is_true(json_object_get(d, "bypass")))
			continue;
		if (n++ < SHOWN)
			mesh_buf_printf(&out, "%s%s (%s): %s", out.len ? "; " : "", mesh_text(d, "pod"),
					mesh_text(d, "device"), mesh_text(d, "why"));
	}
	if (n > SHOWN)
		mesh_buf_printf(&out, "; and %zu more", n - SHOWN);
	if (n)
		mesh_verdict_add(rows, MESH_VERDICT_WARN, "bypass of pods",
				 "flows of these pods take the node's own path; what others have put on their devices "
				 "stays",
				 "nothing has to be done: all works, at the price of that path", "%s", out.data);
}

static void check_bypass(json_t *rows, const json_t *bypass)
{
	static const char why[] = "flows between pods of one node go from device to device, past its bridge and stack";
	const json_t *devices = json_object_get(bypass, "devices");
	const char *not = mesh_text(bypass, "why");

	if (!bypass)
		return;
	if (json_is_true(json_object_get(bypass, "inUse")))
		mesh_verdict_add(
			rows, MESH_VERDICT_OK, "bypass", why, NULL,
			"in use (probe passed), %zu pods, by %s, %lld packets so far; they are in no counter of "
			"the node's own rules",
			json_array_size(devices),
			strcmp(mesh_text(bypass, "attached"), "tcx") == 0
				? "tcx"
				: "filters of clsact, which cost a packet more than tcx (kernel 6.6) does",
			(long long)json_integer_value(json_object_get(bypass, "packets")));
	else if (strstr(not, "switched off"))
		mesh_verdict_add(rows, MESH_VERDICT_OK, "bypass", why, NULL, "not in use: %s", not );
	else
		mesh_verdict_add(rows, MESH_VERDICT_WARN, "bypass", why,
				 "nothing has to be done: all works, at the price of the node's own path",
				 "not in use: %s", not );
	check_devices(rows, devices);
}

static void check_xdp(json_t *rows, const json_t *xdp)
{
	static const char why[] =
		"what the uplink brings from impossible addresses ends there, before it costs a buffer";
	const char *not = mesh_text(xdp, "why"), *driver = mesh_text(xdp, "driver");
	long long unreached = json_integer_value(json_object_get(xdp, "unreached"));

	if (!json_is_object(xdp)) /* nobody asked for it */
		return;
	if (not [0])
		mesh_verdict_add(
			rows, strstr(not, "switched off") ? MESH_VERDICT_OK : MESH_VERDICT_WARN, "xdp", why,
			"another device or mode (meshctl install --set xdp=), or none: what it would have ended the "
			"node drops later, or lets pass",
			"not in use: %s", not );
	else
		mesh_verdict_add(
			rows, MESH_VERDICT_OK, "xdp", why, NULL,
			"in use on %s, %s mode, driver %s, %lld addresses of pods; ended %lld spoofed, %lld martian",
			mesh_text(xdp, "device"), mesh_text(xdp, "mode"), driver[0] ? driver : "unknown",
			(long long)json_integer_value(json_object_get(xdp, "addresses")),
			(long long)json_integer_value(json_object_get(xdp, "spoofed")),
			(long long)json_integer_value(json_object_get(xdp, "martian")));
	if (unreached)
		mesh_verdict_add(
			rows, MESH_VERDICT_WARN, "xdp addresses", why,
			"see that the network plugin routes to its pods by devices of their own",
			"the node's routes lead to %lld addresses of its pods by no device, or by the uplink: whoever "
			"sends from these is not noticed",
			unreached);
}

static void check_splice(json_t *rows, const json_t *splice)
{
	static const char why[] = "messages between sockets of a node go past TCP";
	const char *trouble = mesh_text(splice, "trouble");
	size_t spliced = 0, i;
	const json_t *pod;

	if (!json_is_object(splice))
		return;
	json_array_foreach(json_object_get(splice, "pods"), i, pod) spliced +=
		json_is_true(json_object_get(pod, "spliced"));
	if (trouble[0])
		mesh_verdict_add(rows, MESH_VERDICT_WARN, "splice", why,
				 "nothing has to be done: all works, at the price of TCP", "not in use: %s", trouble);
	else if (json_is_true(json_object_get(splice, "inUse")))
		mesh_verdict_add(rows, MESH_VERDICT_OK, "splice", why, NULL,
				 "in use for %zu of %zu pods (%s), %lld ends now, %lld flows turned to bulk and left",
				 spliced, json_array_size(json_object_get(splice, "pods")), mesh_text(splice, "mode"),
				 (long long)json_integer_value(json_object_get(splice, "ends")),
				 (long long)json_integer_value(json_object_get(splice, "left")));
	else
		mesh_verdict_add(rows, MESH_VERDICT_OK, "splice", why, NULL, "not in use: %s",
				 mesh_text(splice, "why"));
}

void mesh_check_dataplane(json_t *rows, const json_t *dataplane)
{
	check_bypass(rows, json_object_get(dataplane, "bypass"));
	check_xdp(rows, json_object_get(dataplane, "xdp"));
	check_splice(rows, json_object_get(dataplane, "splice"));
}
