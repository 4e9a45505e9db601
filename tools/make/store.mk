# SPDX-License-Identifier: Apache-2.0
# The fuzz target of store/: requests to the embedded API, all but its connections (serve.c, tls.c).
FUZZ_ALL       += api
FUZZ_SRC_api   := $(filter-out user/store/serve.c user/store/tls.c,$(wildcard user/store/*.c)) \
                  $(wildcard user/config/*.c user/core/*.c user/model/*.c user/identity/cert*.c user/proxy/http1*.c user/compile/regex.c)
FUZZ_LIBS_api   = -ljansson -lyaml -lsqlite3 -lssl -lcrypto -lm
FUZZ_LEN_api   := 16384
FUZZ_DICT_api  := tests/fuzz/api.dict
