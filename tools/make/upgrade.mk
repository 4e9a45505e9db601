# SPDX-License-Identifier: Apache-2.0
# What is put in the place of what runs, under load.
.PHONY: test-upgrade
test-upgrade: all $(TEST_DEPS) ## agents replaced TIMES (50) times under RATE (5000) requests/s on CONNECTIONS (1000) and STREAMS (100) (root)
	@TIMES=$${TIMES:-50} RATE=$${RATE:-5000} CONNECTIONS=$${CONNECTIONS:-1000} STREAMS=$${STREAMS:-100} TEST_TIMEOUT=3600 tests/run tests/e2e/upgrade.sh

# A program as an older version had it, for tests/bpf/test_migrate.c alone.
$(B)/obj/tests/bpf/older.bpf.o: tests/bpf/older.bpf.c $(wildcard include/mesh/*.h vmlinux/*.h) | $(B)/.tools
	@mkdir -p $(@D)
	$(call say,BPF)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c $< -o $@.tmp && llvm-strip -g $@.tmp && mv $@.tmp $@

$(B)/gen/older.skel.h: $(B)/obj/tests/bpf/older.bpf.o
	@mkdir -p $(@D)
	$(call say,SKEL)
	$(Q)$(BPFTOOL) gen skeleton $< name older_bpf > $@.tmp && mv $@.tmp $@

$(B)/obj/tests/bpf/test_migrate.o: | $(B)/gen/older.skel.h
