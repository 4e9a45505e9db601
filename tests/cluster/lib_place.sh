# SPDX-License-Identifier: Apache-2.0
# Read by the tutorial: a real cluster on which the mesh is installed (tests/cluster/run.sh made both).
. tests/cluster/lib.sh
place_name="A real cluster of two nodes"
place_node='n[12]'
place_way_in="echo $NET.11:\$(kubectl -n istio-system get service istio-ingressgateway -o jsonpath='{.spec.ports[?(@.port==80)].nodePort}')"
place_way_in_is='^[0-9.]+:3[0-9]{4}$'
place_up() { trap 'rm -rf "$T"' EXIT; }
place_shown() { kubectl get nodes; }
place_down() { :; }
place_logs() {
	local p
	kubectl get pods -A -o wide
	for p in $(kubectl -n sockmesh-system get pods -o name) $(kubectl -n istio-system get pods -o name); do
		echo "-- $p"
		kubectl -n sockmesh-system logs --tail=8 "$p" 2> /dev/null || kubectl -n istio-system logs --tail=8 "$p" 2> /dev/null
	done
}
in_pod() {
	local ns=$1 pod=$2
	shift 2
	kubectl exec -i -n "$ns" "$pod" -- "$@"
}
place_agents_us() {
	local i sum=0
	for i in $(nodes); do sum=$((sum + $(threads_us "$(agent_pid "$i")"))); done
	echo "$sum"
}
place_dump() { echo "on_node ${1#n} bash -c 'bpftool map dump pinned /sys/fs/bpf/sockmesh/*-$1/$2'"; }
