# SPDX-License-Identifier: Apache-2.0
# Fuzzing with libFuzzer (clang): make fuzz [FUZZ="http1 ..."] [FUZZ_SECONDS=60] [FUZZ_RUNS=-1] [FUZZ_SAN=].
# A room adds its target: FUZZ_ALL += NAME, FUZZ_SRC_NAME := what tests/fuzz/NAME.c is linked with, FUZZ_LIBS_NAME,
# FUZZ_LEN_NAME and FUZZ_DICT_NAME, and seeds in tests/fuzz/corpus/NAME (or FUZZ_CORPUS_NAME). What is found on the way stays in build/fuzz.
FUZZ_ALL     += http1 http1_diff
FUZZ_SECONDS ?= 60
FUZZ_RUNS    ?= -1
FUZZ_SAN     ?= ,address,undefined
FUZZ_LEN     ?= 256
FUZZ         ?= $(FUZZ_ALL)

FUZZ_SRC_http1          := user/proxy/http1.c user/proxy/http1_body.c user/proxy/http1_tables.c user/core/slice.c user/core/mem.c
FUZZ_SRC_http1_diff     := $(FUZZ_SRC_http1)
FUZZ_LIBS_http1_diff    := -lhttp_parser
FUZZ_CORPUS_http1_diff  := tests/fuzz/corpus/http1

fuzz_corpus   = $(or $(FUZZ_CORPUS_$(1)),tests/fuzz/corpus/$(1))
FUZZ_CFLAGS  := -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Iinclude -Iuser -Itests/fuzz

.PHONY: fuzz fuzz-programs fuzz-cover
fuzz: $(addprefix run-fuzz-,$(FUZZ)) ## fuzz the parsers: FUZZ="NAME..." FUZZ_SECONDS=60 FUZZ_RUNS=-1 each

fuzz-programs: $(FUZZ_ALL:%=build/fuzz/%)

.SECONDEXPANSION:
build/fuzz/%: tests/fuzz/%.c $$(FUZZ_SRC_$$*) $(wildcard user/proxy/http1*.h)
	@mkdir -p $(@D)
	$(call say,FUZZ)
	$(Q)$(CLANG) $(FUZZ_CFLAGS) -fsanitize=fuzzer$(FUZZ_SAN) -fno-sanitize-recover=all -o $@ $(filter %.c,$^) $(FUZZ_LIBS_$*)

run-fuzz-%: build/fuzz/%
	@mkdir -p build/fuzz/work/$*
	@echo "== $*: $(FUZZ_SECONDS) s, $(FUZZ_RUNS) runs"
	@cd build/fuzz && ./$* -max_total_time=$(FUZZ_SECONDS) -runs=$(FUZZ_RUNS) -max_len=$(or $(FUZZ_LEN_$*),$(FUZZ_LEN)) -timeout=60 \
		$(if $(FUZZ_DICT_$*),-dict=$(CURDIR)/$(FUZZ_DICT_$*)) \
		-print_final_stats=1 work/$* $(CURDIR)/$(call fuzz_corpus,$*) 2>&1 | grep -vE '^#|^INFO|NEW_FUNC'; \
		exit $${PIPESTATUS[0]}

# Lines of the parser that the committed seeds and what was found reach; fewer than FUZZ_COVER percent is a failure.
FUZZ_COVER   ?= 95
fuzz-cover: tests/fuzz/http1.c $(FUZZ_SRC_http1) ## line coverage of the HTTP/1 parser by its fuzz corpus, at least FUZZ_COVER=95 %
	@mkdir -p build/fuzz/work/http1
	@$(CLANG) $(FUZZ_CFLAGS) -fsanitize=fuzzer -fprofile-instr-generate -fcoverage-mapping -o build/fuzz/http1-cover $^
	@LLVM_PROFILE_FILE=build/fuzz/http1.profraw build/fuzz/http1-cover -runs=0 build/fuzz/work/http1 tests/fuzz/corpus/http1 2>/dev/null
	@llvm-profdata merge -o build/fuzz/http1.profdata build/fuzz/http1.profraw
	@llvm-cov report build/fuzz/http1-cover -instr-profile=build/fuzz/http1.profdata user/proxy/http1.c user/proxy/http1_body.c > build/fuzz/http1.cover
	@cat build/fuzz/http1.cover
	@awk '$$1 == "TOTAL" { seen = 1; if ($$10 + 0 < $(FUZZ_COVER)) { print "FAIL lines covered: " $$10 ", not $(FUZZ_COVER) %"; exit 1 } print "ok lines covered: " $$10 } \
		END { exit !seen }' build/fuzz/http1.cover
