#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two nodes and the wire between them. Flows of one node's pods to the other's take a short way on the client's node, and
# nobody can tell but by a counter: forward chains, policies and clients outside the mesh are as before. What the wire
# brings from a local pod's address, or nobody's, ends at the uplink, also while no agent runs; and it can be switched.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lib_flows.sh
. "$(dirname "$0")/lib_flows.sh"
files=tests/e2e/tutorial

export SOCKMESH_UPLINK=up0 SOCKMESH_XDP=up0,veth=allow
lab_up "upl$$" --nodes 2
unset SOCKMESH_UPLINK SOCKMESH_XDP
onto() { sed "s|^\( *\)containers:|\1nodeSelector: {kubernetes.io/hostname: $1}\n&|"; }
echo_yaml 1 | onto node-2 > "$T/echo.yaml"
onto node-1 < $files/client.yaml > "$T/client.yaml"
{
	kubectl create namespace coolapp
	kubectl create namespace outside
	kubectl apply -n istio-system -f $files/smcp.yaml -f $files/smmr.yaml
	kubectl apply -n coolapp -f "$T/client.yaml" -f "$T/echo.yaml"
	kubectl apply -n outside -f "$T/client.yaml"
	kubectl -n coolapp wait --for=condition=Available deployment --all --timeout=60s
	kubectl -n outside wait --for=condition=Available deployment --all --timeout=60s
} > "$T/setup" 2>&1 || { fail "the application is up" "$(tail "$T/setup")"; finish; }
client=$(pod_of coolapp app=client)
stranger=$(pod_of outside app=client)
ip_of() { kubectl -n "$1" get pod "$2" -o jsonpath='{.status.podIP}'; }
echo_ip=$(ip_of coolapp "$(pod_of coolapp app=echo)")
client_ip=$(ip_of coolapp "$client")
stranger_ip=$(ip_of outside "$stranger")
same "client and server are on two nodes" "$(kubectl get pods -A -o json | jq -r '[.items[] | select(.metadata.labels.app == "client" or .metadata.labels.app == "echo") | "\(.metadata.labels.app)=\(.spec.nodeName)"] | unique | join(" ")')" "client=node-1 echo=node-2"
agent_cgroup() { echo "$CGROUP2/sockmesh-lab-$LAB/$1/agent"; }
on_node() { # on_node NODE COMMAND...; of an agent that is dead it is known from before
	local node=$1
	shift
	nsenter --net="/proc/${anchor[$node]}/ns/net" "$@"
}
declare -A anchor
for n in node-1 node-2; do
	nsenter --net="/proc/$(head -1 "$(agent_cgroup $n)/cgroup.procs")/ns/net" sleep 3600 &
	anchor[$n]=$!
done
trap 'kill "${anchor[@]}" 2> /dev/null; lab_down; rm -rf "$T"' EXIT
agent_says() { meshctl status -o json | jq -r "[.members[] | select(.component == \"agent\" and .holder == \"$1\")][0].agent.dataplane.$2"; }
count() { agent_says node-1 "bypass.$1"; }
reason() { agent_says node-1 "reasons | map(select(.reason == \"$1\"))[0].count"; }
eventually 10 stream 0.1 || fail "the client reaches echo" "$OUT"

# Flows between the nodes.
before=$(count packets)
same "streams to the other node are exact" "$(stream 3 | head -1)" "$exact"
within "and their packets took the short way" "$(($(count packets) - before))" 200 100000000
before=$(count packets)
same "a client outside the mesh reaches the ClusterIP" "$(hello outside "$stranger" echo.coolapp)" hello
same "and a member the pod itself" "$(hello coolapp "$client" "$echo_ip")" hello
in_pod outside "$stranger" python3 "$PWD/tests/cluster/streams.py" --l4 echo.coolapp:9000 --streams 2 --seconds 1 > "$T/out" 2>&1
same "and its streams are exact" "$(head -1 "$T/out")" "l4 2 streams, 0 broken, 0 wrong bytes"
same "none of that is bypassed" "$(($(count packets) - before))" 0

# Rules of either node.
for n in node-1 node-2; do
	policy_closed upl | on_node $n nft -f -
	same "a port that $n drops stays closed" "$(hello coolapp "$client" echo)" ""
	policy upl | on_node $n nft -f -
	same "a policy on $n lets the one in" "$(hello coolapp "$client" echo)" hello
	same "and the other not" "$(hello outside "$stranger" echo.coolapp)" ""
done
before=$(count packets)
stream 6 > "$T/stream" 2>&1 &
streaming=$!
sleep 2
within "under them, packets take the short way" "$(($(count packets) - before))" 100 100000000
check "switched off" sh -c "meshctl dataplane set bypass=off --node node-1 | grep -q '^node-1 *bypass *off *no'"
sleep 0.3
before=$(count packets)
sleep 0.7
same "none does any more" "$(($(count packets) - before))" 0
check "switched on" sh -c "meshctl dataplane set bypass=on --node node-1 | grep -q '^node-1 *bypass *on *yes'"
sleep 1
within "they do again" "$(($(count packets) - before))" 20 100000000
wait "$streaming"
same "streams went on all the while" "$(head -1 "$T/stream")" "$exact"
for n in node-1 node-2; do
	same "connection tracking of $n took nothing for invalid" "$(on_node $n nft list counter ip upl invalid | grep -o 'packets [0-9]*')" "packets 0"
done
stream 5 > "$T/stream" 2>&1 &
streaming=$!
sleep 1
policy_cut upl | on_node node-1 nft -f -
sleep 1
before=$(count packets)
sleep 0.5
same "a flow that the node does not let pass any more stands still" "$(($(count packets) - before))" 0
for n in node-1 node-2; do on_node $n nft delete table ip upl; done
wait "$streaming"
same "and goes on where it stood" "$(head -1 "$T/stream")" "$exact"

# What the wire may bring: the other node speaks in the name of whom it likes.
forge() { on_node node-2 python3 "$PWD/tests/cluster/spoof.py" "$1" "$2" "$3"; }
check "get says where and how" sh -c "meshctl dataplane get --node node-1 | tee $T/get | grep -q '^node-1 *xdp *on *yes *up0, native (veth): [0-9]* spoofed, [0-9]* martian'"
before=$(reason uplink_spoofed)
forge "$client_ip" "$client_ip" 40
same "packets in the name of a pod of the mesh end at the uplink of its node" "$(($(reason uplink_spoofed) - before))" 40
check "by pod" bash -c "meshctl status -o json | holds '[.members[].agent.dataplane.refused[]? | select(.reason == \"uplink_spoofed\" and .pod == \"$client\" and .count >= 40)] | length == 1'"
before=$(reason uplink_martian)
forge 127.0.0.1 "$client_ip" 10
forge 224.0.0.9 "$client_ip" 10
same "those from nobody's, too" "$(($(reason uplink_martian) - before))" 20
before=$(($(reason uplink_spoofed) + $(reason uplink_martian)))
forge "$echo_ip" "$client_ip" 20
forge "$stranger_ip" "$client_ip" 20
same "those from pods elsewhere, or outside of the mesh, do not" "$(($(reason uplink_spoofed) + $(reason uplink_martian) - before))" 0
same "nor does what is meant" "$(hello coolapp "$client" echo)" hello
check "switched off" sh -c "meshctl dataplane set xdp=off --node node-1 | grep -q '^node-1 *xdp *off *no *it is switched off'"
before=$(reason uplink_spoofed)
forge "$client_ip" "$client_ip" 20
same "nothing is ended" "$(($(reason uplink_spoofed) - before))" 0
check "switched on" sh -c "meshctl dataplane set xdp=on --node node-1 | grep -q '^node-1 *xdp *on *yes'"
link=$(agent_says node-1 'programs | map(select(.name == "uplink_in"))[0].linkId')
was=$(cat "$(agent_cgroup node-1)/cgroup.procs")
# shellcheck disable=SC2086
kill -KILL $was
forge "$client_ip" "$client_ip" 20
new_agent() { local now; now=$(cat "$(agent_cgroup node-1)/cgroup.procs"); [ -n "$now" ] && [ "$now" != "$was" ]; }
check "the agent is there again" eventually 10 new_agent
in_use() { meshctl dataplane get | grep -q '^node-1 *xdp *on *yes'; }
check "and says that it is in use" eventually 10 in_use
same "packets were ended while there was none" "$(($(reason uplink_spoofed) - before))" 20
same "by the link that was there" "$(agent_says node-1 'programs | map(select(.name == "uplink_in"))[0].linkId')" "$link"
check "check says where it is" sh -c "meshctl check | grep -q 'ok *xdp: in use on up0, native mode, driver veth'"
finish
