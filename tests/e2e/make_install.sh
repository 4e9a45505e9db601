#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# make install below another root: just these files, of which a lab runs as it does from the build; make uninstall
# takes away what install brought and nothing else.
. "$(dirname "$0")/lib.sh"
root=$T/root/usr/local
san=
[[ $BUILD == */san ]] && san=SAN=1
in_tree() { env -u MAKEFLAGS -u MAKELEVEL make -s --no-print-directory $san "$@"; }

mkdir -p "$root/bin" "$root/lib"
echo other > "$root/bin/other"
check "make install" in_tree install "DESTDIR=$T/root"
want="bin/meshctl bin/meshd bin/other $(cd "$BUILD" && find apps -maxdepth 1 -type f -perm -u+x | sed 's|^|libexec/sockmesh/|')"
[ ! -x "$BUILD/sockmesh-cni" ] || want+=" lib/sockmesh/sockmesh-cni"
same "what is installed" "$(cd "$root" && find . -type f | sed 's|^\./||' | sort | xargs)" "$(printf '%s\n' $want | sort | xargs)"
[ -z "$(find "$root" -type f ! -name other ! -perm 755)" ] && ok "programs may be run by all" || fail "programs may be run by all" "$(ls -lR "$root")"
same "the version" "$("$root/bin/meshd" --version)" "$("$BUILD/meshd" --version)"

# Programs are found beside the one that runs, not in the tree: from another directory, with only the new root's in PATH.
LAB="ins$$"
trap 'PATH=$root/bin:$PATH lab_down; rm -rf "$T"' EXIT
trap 'exit 143' INT TERM HUP
new() { (cd / && PATH=$root/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"); }
check "a lab" new meshctl lab up --name "$LAB" --nodes 1
new meshctl lab kubeconfig --name "$LAB" > "$T/kubeconfig"
export KUBECONFIG=$T/kubeconfig
runs=$(for p in $(cat "$CGROUP2/sockmesh-lab-$LAB"/control/cgroup.procs "$CGROUP2/sockmesh-lab-$LAB"/node-1/agent/cgroup.procs); do readlink "/proc/$p/exe"; done | sort -u)
same "its daemons are the installed ones" "$runs" "$root/bin/meshd"
check "meshctl talks to it" new meshctl get namespaces
new meshctl apply -f - > "$T/apply" 2>&1 << 'YAML'
apiVersion: v1
kind: Pod
metadata: {name: echo, namespace: default}
spec:
  containers: [{name: echo, image: echo, ports: [{containerPort: 8080}]}]
YAML
if eventually 20 new meshctl -n default wait --for=condition=Ready pod/echo --timeout=20s; then ok "a sample app runs"; else fail "a sample app runs" "$(cat "$T/apply"; new meshctl get pods -o yaml)"; fi
PATH=$root/bin:$PATH lab_down
check "make uninstall" in_tree uninstall "DESTDIR=$T/root"
same "what is left" "$(cd "$T/root" && find . -type f | xargs)" "./usr/local/bin/other"
same "directories that are left" "$(cd "$root" && find . -mindepth 1 -type d | sort | xargs)" "./bin ./lib ./libexec"
finish
