# SPDX-License-Identifier: Apache-2.0
# Read by the checks: which files are ours. vmlinux/ is generated and not judged.

# need PROGRAM PACKAGE: ends the check with a one-line remedy if it is missing.
need() {
	command -v "$1" > /dev/null && return
	echo "$1 is missing; run: sudo apt-get install -y --no-install-recommends $2"
	exit 77
}

c_files() { git ls-files -co --exclude-standard -- '*.c' '*.h' | grep -v '^vmlinux/' | while read -r f; do [ -e "$f" ] && echo "$f"; done; }
text_files() { git ls-files -co --exclude-standard | grep -vE '^(vmlinux/|tests/fuzz/corpus)' | while read -r f; do [ -f "$f" ] && grep -Iq . "$f" && echo "$f"; done; }
