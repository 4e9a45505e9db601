# SPDX-License-Identifier: Apache-2.0
# What is put in the place of what runs, under load.
.PHONY: test-upgrade
test-upgrade: all $(TEST_DEPS) ## agents replaced TIMES (50) times under RATE (5000) requests/s on CONNECTIONS (1000) and STREAMS (100) (root)
	@TIMES=$${TIMES:-50} RATE=$${RATE:-5000} CONNECTIONS=$${CONNECTIONS:-1000} STREAMS=$${STREAMS:-100} TEST_TIMEOUT=3600 tests/run tests/e2e/upgrade.sh
