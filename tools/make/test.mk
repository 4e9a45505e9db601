# SPDX-License-Identifier: Apache-2.0
# Tests, demo, bench, checks, installation. Scripts find the programs under test in $MESH_BUILD.
export MESH_BUILD := $(B)
ifeq ($(SAN),1)
export ASAN_OPTIONS  ?= detect_leaks=1:abort_on_error=0
export UBSAN_OPTIONS ?= print_stacktrace=1
endif

# Other rooms add programs and scripts to run to TEST_EXTRA, and what must be built before to TEST_DEPS.
TEST_ALL = $(UNIT) $(BPFT) $(CONF) $(CONF_SH) $(E2E) $(TEST_EXTRA)
# A real API server to compare with, where both variables name one.
ifneq ($(and $(HYPER),$(KUBERNETES)),)
TEST_ALL += tests/e2e/kubernetes-compare.py
endif

.PHONY: unit bpf e2e conf test test-programs test-kernel run-tests demo run-demo bench run-bench check format install uninstall

# BPF programs that are tests' alone: as an older version had them (test_migrate.c), and what they are measured by
# (test_connect_cost.c).
TEST_BPF := older floor

$(TEST_BPF:%=$(B)/obj/tests/bpf/%.bpf.o): $(B)/obj/tests/bpf/%.bpf.o: tests/bpf/%.bpf.c $(wildcard include/mesh/*.h vmlinux/*.h) | $(B)/.tools
	@mkdir -p $(@D)
	$(call say,BPF)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c $< -o $@.tmp && llvm-strip -g $@.tmp && mv $@.tmp $@

$(TEST_BPF:%=$(B)/gen/%.skel.h): $(B)/gen/%.skel.h: $(B)/obj/tests/bpf/%.bpf.o
	@mkdir -p $(@D)
	$(call say,SKEL)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@.tmp && mv $@.tmp $@

$(BPFT_SRC:%.c=$(B)/obj/%.o): | $(TEST_BPF:%=$(B)/gen/%.skel.h)

unit: $(UNIT) ## build and run the unit tests (no root needed)
	@tests/run $(UNIT)

bpf: $(BPFT) ## the tests of the BPF programs (root)
	@tests/run $(BPFT)

e2e: all $(TEST_DEPS) ## the end-to-end tests, on labs of their own (root)
	@tests/run $(E2E)

conf: all $(CONF) $(TEST_DEPS) ## the conformance tests; CONFORMANCE=DIR names their data
	@tests/run $(CONF) $(CONF_SH)

test-programs: all $(UNIT) $(BPFT) $(CONF) $(TEST_DEPS)

run-tests:
	@tests/run $(TEST_ALL)

# Nothing above needs a compiler to be read, so the set-up can run first, in a make of its own.
test: ## set up (root), build, then every test; the last line is the count
	@if [ "$$(id -u)" -eq 0 ]; then tools/setup; fi
	@$(SUBMAKE) test-programs
	@$(MAKE) --no-print-directory run-tests

demo: ## set up (root), build, then the tutorial on a lab, every command checked
	@if [ "$$(id -u)" -eq 0 ]; then tools/setup; else echo "the demo makes network namespaces: run sudo make demo" >&2; exit 1; fi
	@$(SUBMAKE) all
	@tools/demo

bench: ## set up (root), build, then CPU per request beside HAProxy and no mesh (about 8 minutes)
	@if [ "$$(id -u)" -eq 0 ]; then tools/setup; else echo "the bench makes network namespaces: run sudo make bench" >&2; exit 1; fi
	@$(SUBMAKE) all bench-programs
	@tools/bench/run

build/check/verify: tools/check/verify.c | $(B)/.tools
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE $(CFLAGS) $(WARN) $(PKG_CFLAGS) -o $@ $< -lbpf -lelf -lz

check: ## style, layers, static analysis, verifier budgets (root), README's walks
	@$(SUBMAKE) all build/check/verify
	@tools/check/run

format: ## clang-format every C file in place
	@tools/check/format --write

# What is installed, below $(DESTDIR)$(PREFIX): directory, then the programs in it. One list for both ways.
INSTALL_DIRS := bin lib/sockmesh libexec/sockmesh/apps
INSTALL_bin                   = $(B)/meshd $(B)/meshctl
INSTALL_lib/sockmesh          = $(IMAGE_CNI)
INSTALL_libexec/sockmesh/apps = $(APPS)

install: all $(IMAGE_CNI) ## install under $(DESTDIR)$(PREFIX)
	$(foreach d,$(INSTALL_DIRS),$(if $(INSTALL_$d),install -D -m 755 -t $(DESTDIR)$(PREFIX)/$d $(INSTALL_$d) && )):

uninstall: ## remove what install put under $(DESTDIR)$(PREFIX)
	$(foreach d,$(INSTALL_DIRS),rm -f $(addprefix $(DESTDIR)$(PREFIX)/$d/,$(notdir $(INSTALL_$d))) && )rmdir $(addprefix $(DESTDIR)$(PREFIX)/,libexec/sockmesh/apps libexec/sockmesh lib/sockmesh) 2> /dev/null || :

test-kernel: test-programs ## tests/bpf on other kernels, in virtual machines (KERNELS="linux-image-cloud-amd64 ...")
	@TEST_TIMEOUT=3600 tests/run tests/vm/kernels.sh
