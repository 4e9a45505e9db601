# SPDX-License-Identifier: Apache-2.0
# Sockmesh. `make help` lists the targets; every room's sources are found by wildcard.
MAKEFLAGS += --no-builtin-rules
SHELL     := /bin/bash
CC        ?= gcc
ifeq ($(origin CC),default)
CC        := gcc
endif
CLANG     ?= clang
BPFTOOL   := $(shell command -v bpftool || echo /usr/sbin/bpftool)
PREFIX    ?= /usr/local
VERSION   := $(shell git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)
# When that commit was made, in seconds since 1970: an order of versions that have no numbers. 0: unknown.
VERSION_TIME := $(shell git log -1 --format=%ct 2>/dev/null || echo 0)

# SAN=1 builds everything with the address and undefined-behaviour sanitizers, in a directory of its own.
ifeq ($(SAN),1)
B         := build/san
SANFLAGS  := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
else
B         := build
SANFLAGS  :=
endif

LIBS      := libbpf libelf zlib jansson yaml-0.1 sqlite3 openssl libcurl libnl-3.0 libnl-route-3.0
# Asked once, and only when something is compiled: `make setup`, `help` and `test` start without pkg-config.
PKG_CFLAGS = $(eval PKG_CFLAGS := $$(shell pkg-config --cflags $(LIBS)))$(PKG_CFLAGS)
PKG_LIBS   = $(eval PKG_LIBS := $$(shell pkg-config --libs $(LIBS)) -lwslay)$(PKG_LIBS)

CFLAGS    ?= -O2 -g
WARN      := -Wall -Wextra -Werror -Wshadow -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -pthread $(CFLAGS) $(WARN) $(SANFLAGS) \
             -Iinclude -Iuser -Itools -I$(B)/gen $(PKG_CFLAGS) -MMD -MP
ALL_LDLIBS = $(PKG_LIBS) -lm -pthread

BPF_CFLAGS := -O2 -g -target bpf -D__TARGET_ARCH_x86 -mcpu=v3 -Wall -Werror -Ivmlinux -Iinclude -Ibpf -Ibpf/lib

# Mains are user/meshd.c, user/meshctl.c and each tools/apps/*.c; all else in user/ and tools/lab is one library.
LIB_SRC   := $(wildcard user/*/*.c) $(wildcard tools/lab/*.c)
LIB_OBJ   := $(LIB_SRC:%.c=$(B)/obj/%.o)
APP_SRC   := $(wildcard tools/apps/*.c)
APPS      := $(APP_SRC:tools/apps/%.c=$(B)/apps/%)
BPF_SRC   := $(wildcard bpf/*.bpf.c)
BPF_SKEL  := $(BPF_SRC:bpf/%.bpf.c=$(B)/gen/%.skel.h)
UNIT_SRC  := $(wildcard tests/unit/test_*.c)
UNIT      := $(UNIT_SRC:tests/unit/%.c=$(B)/tests/%)
BPFT_SRC  := $(wildcard tests/bpf/test_*.c)
BPFT      := $(BPFT_SRC:tests/bpf/%.c=$(B)/tests/%)
CONF_SRC  := $(wildcard tests/conf/test_*.c)
CONF      := $(CONF_SRC:tests/conf/%.c=$(B)/tests/%)
# Scripts named lib*.sh are read by others, not run.
E2E       := $(filter-out tests/e2e/lib%,$(wildcard tests/e2e/*.sh))
CONF_SH   := $(filter-out tests/conf/lib%,$(wildcard tests/conf/*.sh))

# V=1 shows whole commands; otherwise a line for each file.
ifeq ($(V),1)
Q         :=
say       :=
else
Q         := @
say       = @printf '  %-6s %s\n' $(1) $(patsubst $(B)/%,%,$@);
endif

# A recipe that builds first uses all CPUs unless -j was given.
SUBMAKE   = $(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))

.PHONY: all clean help setup tools-present FORCE
all: $(B)/meshd $(B)/meshctl $(APPS) ## build meshd, meshctl and the sample apps (no root needed)

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | sort | expand -t 18
	@echo "SAN=1 with any of them: built with the address and undefined-behaviour sanitizers, in build/san"
	@echo "V=1: whole commands; CONFORMANCE=, KUBERNETES=, PEERS=, HYPER=: yardsticks outside this tree"

setup: ## install what is missing from Debian 12's packages (root)
	@tools/setup

# A compiler or library that is missing is named with its remedy, before anything fails for want of it.
$(B)/.tools: tools/packages.txt tools/setup
	@tools/setup --check build
	@mkdir -p $(@D) && touch $@

$(B)/gen/%.skel.h: $(B)/bpf/%.bpf.o
	@mkdir -p $(@D)
	$(call say,SKEL)
	$(Q){ $(BPFTOOL) gen skeleton $< name $(subst -,_,$*)_bpf && \
	printf '\n#define $(subst -,_,$*)_bpf_digest "%s"\n' "$$(sha256sum < $< | cut -c1-64)"; } > $@.tmp && mv $@.tmp $@

$(B)/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/lib/*.h include/mesh/*.h vmlinux/*.h) | $(B)/.tools
	@mkdir -p $(@D)
	$(call say,BPF)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c $< -o $@.tmp && llvm-strip -g $@.tmp && mv $@.tmp $@

# Skeletons exist before anything that may include them is compiled.
$(filter $(B)/obj/user/dataplane/%,$(LIB_OBJ)): | $(BPF_SKEL)
$(BPFT_SRC:%.c=$(B)/obj/%.o): | $(BPF_SKEL)

$(B)/obj/%.o: %.c | $(B)/.tools
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) $(FLAGS_$*) -c $< -o $@

# One file has the version in it, and is compiled again when that changed: no two parts of a program differ in it.
FLAGS_user/core/version := -DMESH_VERSION='"$(VERSION)"' -DMESH_VERSION_TIME=$(VERSION_TIME)
$(B)/obj/user/core/version.o: $(B)/.version
$(B)/.version: FORCE
	@mkdir -p $(@D)
	@echo '$(VERSION) $(VERSION_TIME)' | cmp -s - $@ || echo '$(VERSION) $(VERSION_TIME)' > $@
FORCE:

$(B)/libmesh.a: $(LIB_OBJ)
	@rm -f $@
	$(call say,AR)
	$(Q)ar rcs $@ $^

$(B)/meshd: $(B)/obj/user/meshd.o $(B)/libmesh.a
	$(call say,LD)
	$(Q)$(CC) $(SANFLAGS) -o $@ $^ $(ALL_LDLIBS)

$(B)/meshctl: $(B)/obj/user/meshctl.o $(B)/libmesh.a
	$(call say,LD)
	$(Q)$(CC) $(SANFLAGS) -o $@ $^ $(ALL_LDLIBS)

$(B)/apps/%: $(B)/obj/tools/apps/%.o $(B)/libmesh.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(SANFLAGS) -o $@ $^ $(ALL_LDLIBS)

$(UNIT): $(B)/tests/%: $(B)/obj/tests/unit/%.o $(B)/libmesh.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(SANFLAGS) -o $@ $^ $(ALL_LDLIBS)

$(BPFT): $(B)/tests/%: $(B)/obj/tests/bpf/%.o $(B)/libmesh.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(SANFLAGS) -o $@ $^ $(ALL_LDLIBS)

$(CONF): $(B)/tests/%: $(B)/obj/tests/conf/%.o $(B)/libmesh.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(SANFLAGS) -o $@ $^ $(ALL_LDLIBS)

clean: ## remove everything that was built
	rm -rf build

.DELETE_ON_ERROR:
.SECONDARY:
-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
-include tools/make/*.mk
