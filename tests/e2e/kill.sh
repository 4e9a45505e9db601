#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SIGKILL of `meshd control --embedded` during writes, again and again: every acknowledged write is there afterwards,
# byte for byte; what was under way is there wholly or not at all. KILLS=50 in a full run.
. "$(dirname "$0")/lib.sh"
trap 'rm -rf "$T"' EXIT
KILLS=${KILLS:-50} python3 tests/e2e/kill.py "$BUILD/meshd" "$T" || failed=1
finish
