# SPDX-License-Identifier: Apache-2.0
# The fuzz target of config/: YAML and JSON through parsing, checks, defaults, printing, decoding and patches.
FUZZ_ALL          += document
FUZZ_SRC_document := $(filter-out user/config/openapi%.c user/config/crd.c,$(wildcard user/config/*.c)) \
                     $(wildcard user/core/*.c user/model/*.c)
FUZZ_LIBS_document := -ljansson -lyaml -lm -pthread
