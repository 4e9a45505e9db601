#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The data plane on other kernels: boots each of KERNELS in a virtual machine (without hardware support, so anywhere)
# and runs tests/bpf there. A kernel is a Debian package, fetched by apt-get download and kept in build/vm, or the
# directory into which one was unpacked. Names of tests get the kernel's version.
set -u
cd "$(dirname "$0")/../.." || exit 2
BUILD=$(realpath "${MESH_BUILD:-build}")
KERNELS=${KERNELS:-linux-image-cloud-amd64}
PATH=$PATH:/usr/sbin:/sbin
cache=build/vm
failed=0
skip() { echo "skip $1"; }

command -v qemu-system-x86_64 > /dev/null || { skip "other kernels: no qemu-system-x86_64 (apt-get install -y --no-install-recommends qemu-system-x86)"; exit 0; }

# image_of PACKAGE: prints the directory in which the kernel that the package stands for is unpacked
image_of() {
	local package=$1 real dir
	if [ -d "$package" ]; then echo "$package"; return; fi
	real=$(apt-cache depends "$package" 2> /dev/null | awk '/Depends: linux-image/ { print $2; exit }')
	real=${real:-$package}
	dir=$cache/$real
	if [ ! -d "$dir/boot" ]; then
		mkdir -p "$dir.tmp" && (cd "$dir.tmp" && apt-get download "$real" > /dev/null 2>&1 && dpkg-deb -x ./*.deb . && rm -f ./*.deb) || { rm -rf "$dir.tmp"; return 1; }
		rm -rf "$dir" && mv "$dir.tmp" "$dir"
	fi
	echo "$dir"
}

# judge VERSION LOG: the guest's results under the kernel's name
judge() {
	local n
	sed -n "s|^\(ok .*\)|\1 on $1|p; s|^\(FAIL .*\)|\1 on $1|p; s|^\(skip [^:]*\)\(:.*\)|\1 on $1\2|p" "$2"
	if grep -q '^FAIL ' "$2"; then failed=1; fi
	if ! grep -q '^== end' "$2"; then
		echo "FAIL the machine with $1 came to its end"
		tail -20 "$2" | sed 's/^/    /'
		failed=1
	fi
	n=$(grep -c '^== run ' "$2")
	if [ "$n" -ne ${#programs[@]} ] || grep -qE '^== (status .*: (signal|[^01])|loading|mounting)' "$2"; then
		echo "FAIL every program was run to its end on $1"
		grep '^==' "$2" | sed 's/^/    /'
		failed=1
	fi
}

# TESTS names some of them, to run these alone.
read -ra names <<< "${TESTS:-test_apply test_connect test_lifecycle test_services test_bypass test_spoof test_uplink test_splice test_core_netns}"
programs=("${names[@]/#/$BUILD/tests/}")
for p in "${programs[@]}"; do [ -x "$p" ] || { echo "FAIL $p was not built"; exit 1; }; done
mkdir -p $cache
gcc -std=gnu11 -O2 -D_GNU_SOURCE -Wall -Wextra -Werror -static -o $cache/init tests/vm/init.c || exit 1
for k in $KERNELS; do
	if ! dir=$(image_of "$k"); then
		skip "the data plane on $k: the package cannot be fetched (apt-get update first)"
		continue
	fi
	kernel=$(ls "$dir"/boot/vmlinuz-* 2> /dev/null | tail -1)
	if [ -z "$kernel" ]; then echo "FAIL $dir has no boot/vmlinuz-*"; failed=1; continue; fi
	version=${kernel##*/vmlinuz-}
	python3 tests/vm/initramfs.py "$cache/$version.cpio.gz" $cache/init "$dir/lib/modules/$version" "veth bridge inet_diag tcp_diag udp_diag sch_ingress cls_bpf sch_tbf nf_tables nft_ct nft_objref nf_conntrack_netlink" \
		/bin/sh "$(command -v ip)" "$(command -v nsenter)" "$(command -v tc)" "$(command -v nft)" "$(command -v grep)" "${programs[@]/#/tests:}" || exit 1
	timeout -k 10 "${VM_TIMEOUT:-900}" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 1536 -nodefaults -no-user-config -no-reboot \
		-display none -serial stdio -kernel "$kernel" -initrd "$cache/$version.cpio.gz" \
		-append "console=ttyS0 panic=-1 loglevel=${VM_LOGLEVEL:-4} mitigations=off" < /dev/null 2>&1 | stdbuf -oL tr -d '\r' > "$cache/$version.log"
	judge "$version" "$cache/$version.log"
done
exit $failed
