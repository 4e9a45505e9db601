# SPDX-License-Identifier: Apache-2.0
# Read by the tutorial: where it takes place. This one is a lab of its own; tests/cluster/lib_place.sh is the other.
place_name="A lab of two nodes"
place_node='node-[12]'
# The command that tells where the way in is.
place_way_in="kubectl -n istio-system get route istio-ingressgateway -o jsonpath='{.spec.host}{\"\\n\"}'"
place_way_in_is='^[0-9a-z.-]+$'
place_up() { lab_up "${LAB_NAME:-tut$$}" --nodes 2; }
place_shown() { printf '%s$ meshctl lab up --nodes 2%s\n' "$bold" "$plain"; cat "$T/up"; }
place_down() { lab_down; }
place_logs() {
	[ -n "$LAB" ] || return 0
	tail -n 8 /run/sockmesh/labs/"$LAB"/logs/* 2> /dev/null
}
# place_agents_us: CPU time that the agents have used, in microseconds
place_agents_us() { cpu_us node-1/agent node-2/agent; }
# place_dump NODE MAP: the command that dumps a map of a node's agent
place_dump() { echo "bpftool map dump pinned /sys/fs/bpf/sockmesh/$LAB-$1/$2"; }
