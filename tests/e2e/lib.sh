# SPDX-License-Identifier: Apache-2.0
# Read by the end-to-end tests: results, waiting, and a lab of one's own that is gone afterwards.
# One line per check: "ok NAME" or "FAIL NAME"; what was seen is shown under a failure.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
BUILD=$(realpath "${MESH_BUILD:-build}")
PATH=$BUILD:$PATH:/usr/sbin:/sbin
export LC_ALL=C
T=${T:-$(mktemp -d)}
failed=0

if [ "$(id -u)" -ne 0 ]; then
	echo "skip $(basename "$0" .sh): a lab is made of network namespaces, so only root can run it"
	exit 0
fi

ok() { echo "ok $*"; }
fail() { # fail NAME [WHAT WAS SEEN]
	echo "FAIL $1"
	[ $# -lt 2 ] || printf '%s\n' "$2" | head -"${SHOW_LINES:-30}" | sed 's/^/    /'
	failed=1
}
# check NAME COMMAND...: ok if the command succeeds; else its output is shown.
check() {
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then ok "$name"; else fail "$name" "$*: $out"; fi
}
# same NAME GOT WANT
same() { if [ "$2" = "$3" ]; then ok "$1"; else fail "$1" "is:     $2"$'\n'"not:    $3"; fi; }
# within NAME GOT LOW HIGH
within() {
	if [ -n "$2" ] && [ "$2" -ge "$3" ] 2> /dev/null && [ "$2" -le "$4" ]; then ok "$1 ($2)"; else fail "$1" "${2:-nothing} is not within $3..$4"; fi
}
# eventually SECONDS COMMAND...: runs it until it succeeds. Its last output is in $OUT.
eventually() {
	local end=$(($(date +%s%N) + $1 * 1000000000))
	shift
	while :; do
		if OUT=$("$@" 2>&1); then return 0; fi
		[ "$(date +%s%N)" -lt $end ] || return 1
		sleep 0.1
	done
}
# holds [OPTIONS OF jq] FILTER: whether it is true of the JSON at stdin, which is shown if not. Of nothing it is not: jq -e of some
# versions succeeds then.
holds() {
	local doc
	doc=$(cat)
	jq -se "${@:1:$#-1}" "length > 0 and (last | (${!#}))" <<< "$doc" > /dev/null && return 0
	printf '%.3000s\n' "$doc"
	return 1
}
export -f holds
now_ms() { echo $(($(date +%s%N) / 1000000)); }

# lab_up NAME [OPTIONS]: a lab, with KUBECONFIG set for kubectl and meshctl; it goes when the script ends.
LAB=
lab_up() {
	LAB=$1
	shift
	trap 'lab_down; rm -rf "$T"' EXIT
	trap 'exit 143' INT TERM HUP
	if ! meshctl lab up --name "$LAB" "$@" > "$T/up" 2>&1; then
		fail "lab up" "$(tail -30 "$T/up")"
		exit 1
	fi
	meshctl lab kubeconfig --name "$LAB" > "$T/kubeconfig" || exit 1
	export KUBECONFIG=$T/kubeconfig
}
lab_down() {
	[ -n "$LAB" ] || return 0
	[ "$failed" -eq 0 ] || [ -z "${KEEP_LOGS:-}" ] || cp -r "/run/sockmesh/labs/$LAB" "$KEEP_LOGS" 2> /dev/null
	meshctl lab down --name "$LAB" > "$T/down" 2>&1 || { cat "$T/down"; echo "FAIL lab down"; failed=1; }
	LAB=
}
# in_pod NAMESPACE POD COMMAND...: without the API
in_pod() {
	local ns=$1 pod=$2
	shift 2
	meshctl lab exec --name "$LAB" -n "$ns" "$pod" -- "$@"
}
# pod_of NAMESPACE SELECTOR: the name of the first pod that is ready
pod_of() {
	kubectl -n "$1" get pods -l "$2" -o json |
		jq -r '[.items[] | select(.metadata.deletionTimestamp == null) | select(any(.status.conditions[]?; .type == "Ready" and .status == "True"))][0].metadata.name // empty'
}
# echo_yaml REPLICAS [PORT]: a Deployment and Service named echo, which answer lines at TCP port 9000; more of its ports
echo_yaml() {
	cat << EOF
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo}
spec:
  replicas: $1
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo}}
    spec:
      containers:
      - name: echo
        image: docker.io/sockmesh/tcp-echo:dev
        env: [{name: PORT, value: "9000"}]
        readinessProbe: {tcpSocket: {port: 9000}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: echo}
spec: {selector: {app: echo}, ports: [{name: tcp, port: 9000}${2:+, $2}]}
EOF
}
# cpu_us CGROUP...: CPU time that these cgroups of the lab have used, in microseconds
CGROUP2=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
cpu_us() {
	local c sum=0 n
	for c in "$@"; do
		n=$(awk '/^usage_usec/ { print $2 }' "$CGROUP2/sockmesh-lab-$LAB/$c/cpu.stat")
		sum=$((sum + n))
	done
	echo "$sum"
}
finish() { exit $failed; }
