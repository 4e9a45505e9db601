# SPDX-License-Identifier: Apache-2.0
# The CNI plugin runs on nodes as they are: static, from core and jansson alone.
CNI_STATIC := $(if $(SANFLAGS),,-static)

all: $(B)/sockmesh-cni

$(B)/sockmesh-cni: $(B)/obj/user/sockmesh-cni.o $(B)/libmesh.a
	$(call say,LD)
	$(Q)$(CC) $(SANFLAGS) $(CNI_STATIC) -Wl,--gc-sections -s -o $@ $^ -ljansson -pthread
