#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The tutorial again, with meshctl giving the commands.
KCTL=meshctl exec "$(dirname "$0")/tutorial.sh"
