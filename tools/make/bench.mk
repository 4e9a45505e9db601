# SPDX-License-Identifier: Apache-2.0
# Programs that measure. They use libc alone.
BENCH_SRC  := $(addprefix tools/bench/,client.c forwarder.c load.c)
BENCH_PROG := $(BENCH_SRC:tools/bench/%.c=$(B)/bench/%)
TEST_DEPS  += $(BENCH_PROG)

.PHONY: bench-programs
bench-programs: $(BENCH_PROG)

$(B)/bench/%: tools/bench/%.c | $(B)/.tools
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE $(CFLAGS) $(WARN) $(SANFLAGS) -o $@ $< -pthread -lm
