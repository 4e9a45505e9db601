/* SPDX-License-Identifier: Apache-2.0 */
#include "model/xdp.h"

#include "core/mem.h"
#include "core/slice.h"

#include <errno.h>

static const char *const modes[] = {[MESH_XDP_NATIVE] = "native", [MESH_XDP_GENERIC] = "generic"};

const char *mesh_xdp_mode_text(enum mesh_xdp_mode mode)
{
	return modes[mode];
}

/* What a device may be named (dev_valid_name() of the kernel). */
static bool is_device(struct mesh_slice s)
{
	if (s.len == 0 || s.len >= MESH_XDP_DEVICE || mesh_slice_eq(s, MESH_SLICE(".")) ||
	    mesh_slice_eq(s, MESH_SLICE("..")))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] <= ' ' || s.ptr[i] == '/' || s.ptr[i] == ':' || s.ptr[i] == '=' || s.ptr[i] == 0x7f)
			return false;
	return true;
}

static const char *take_option(struct mesh_slice option, struct mesh_xdp *x)
{
	struct mesh_slice key = {0};

	mesh_slice_split(&option, '=', &key);
	if (mesh_slice_eq(key, MESH_SLICE("mode"))) {
		for (size_t i = 0; i < MESH_ARRAY_SIZE(modes); i++)
			if (mesh_slice_eq(option, mesh_slice_str(modes[i]))) {
				x->mode = (enum mesh_xdp_mode)i;
				return NULL;
			}
		return "must have mode=native or mode=generic";
	}
	if (!mesh_slice_eq(key, MESH_SLICE("veth")))
		return "may have mode=native|generic and veth=allow behind the device, nothing else";
	x->veth = mesh_slice_eq(option, MESH_SLICE("allow"));
	return x->veth ? NULL : "may have veth=allow, nothing else of veth";
}

int mesh_xdp_parse(const char *text, struct mesh_xdp *ret, const char **why)
{
	struct mesh_slice rest = mesh_slice_str(text), part = {0};
	struct mesh_xdp x = {0};

	mesh_slice_split(&rest, ',', &part);
	*why = is_device(part) ? NULL : "must begin with the name of a network device";
	if (!*why)
		memcpy(x.device, part.ptr, part.len);
	while (!*why && mesh_slice_split(&rest, ',', &part))
		*why = take_option(part, &x);
	if (*why)
		return -EINVAL;
	*ret = x;
	return 0;
}
