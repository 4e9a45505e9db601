# SPDX-License-Identifier: Apache-2.0
# Programs that measure the proxy by itself: the engine as one hop, and a bare forwarder as the floor of any hop.
PROXY_BENCH := $(B)/bench/hop $(B)/bench/forwarder

bench-programs: $(PROXY_BENCH)

$(PROXY_BENCH): $(B)/bench/%: $(B)/obj/tools/bench/%.o $(B)/libmesh.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(SANFLAGS) -o $@ $^ $(ALL_LDLIBS)
