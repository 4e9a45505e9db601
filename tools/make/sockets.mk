# SPDX-License-Identifier: Apache-2.0
# The socket conformance suite: the same cases over plain TCP and over the mesh, and what was seen compared.
SOCKETS_SRC := $(wildcard tests/sockets/*.c)
SOCKETS_OBJ := $(SOCKETS_SRC:%.c=$(B)/obj/%.o)
TEST_DEPS   += $(B)/sockets/sockets
TEST_EXTRA  += tests/sockets/run.py

.PHONY: sockets-program sockets-table test-sockets soak-sockets
sockets-program: $(B)/sockets/sockets

# libc alone.
$(B)/sockets/sockets: $(SOCKETS_OBJ)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(SANFLAGS) -o $@ $^ -pthread

test-sockets: all sockets-program ## every socket case over plain TCP and each way of the mesh, and real programs (root)
	@SOCKETS=full TEST_TIMEOUT=3600 tests/run tests/sockets/run.py tests/sockets/programs.py

sockets-table: sockets-program ## write the table of docs/sockets.md from tests/sockets/differences.txt
	@tests/sockets/run.py --table

soak-sockets: all sockets-program ## MINUTES (10) of numbered messages over the mesh, while its switches change (root)
	@TEST_TIMEOUT=$$(($${MINUTES:-10} * 60 + 900)) tests/run tests/sockets/soak.py
