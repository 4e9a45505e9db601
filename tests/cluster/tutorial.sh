#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The tutorial on the cluster that the caller has: its slot's variables are in the environment.
export PLACE=tests/cluster/lib_place.sh
exec tests/e2e/tutorial.sh
