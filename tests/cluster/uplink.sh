#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What is asked for at the uplink of a cluster's nodes, by meshctl install --set: flows between nodes take the short way on
# the client's, what the wire brings from a local pod's address ends there, the agents' rollout does not interrupt that, and
# meshctl uninstall leaves nothing.
. "$(dirname "$0")/lib.sh"
cluster_up
import build/images/sockmesh.tar && import build/images/samples.tar || { fail "images are imported"; finish; }
check "install" meshctl install --set uplink=eth0 --set xdp=eth0,veth=allow
kubectl create namespace coolapp > /dev/null
kubectl apply -n istio-system -f tests/e2e/tutorial/smcp.yaml -f tests/e2e/tutorial/smmr.yaml > /dev/null
check "the control plane is in force" kubectl -n istio-system wait smcp/service-mesh-installation --for=condition=InForce --timeout=90s
pod_pair upl "" n2
client_ip=$(kubectl -n coolapp get pod upl-client -o jsonpath='{.status.podIP}')
echo_ip=$(kubectl -n coolapp get pod upl-echo -o jsonpath='{.status.podIP}')
says() { dataplane_says 1 "$1"; }
spoofed() { says 'reasons | map(select(.reason == "uplink_spoofed"))[0].count'; }
stream() { pod_pair_stream upl "$1"; }
forge() { on_node 2 python3 "$PWD/tests/cluster/spoof.py" "$1" "$client_ip" "$2"; } # forge SOURCE TIMES: to the client's pod
eventually 20 stream 0.1 || fail "a pod reaches another node's" "$OUT"

check "it is in use on every node" sh -c "meshctl dataplane get | tee $T/get | grep -c ' xdp *on *yes *eth0, native (veth)' | grep -qx $node_count || { cat $T/get; false; }"
check "check says so" sh -c "meshctl check | tee $T/check | grep -c 'ok *xdp: in use on eth0, native mode, driver veth' | grep -qx $node_count || { cat $T/check; false; }"
check "and what the uplink is" grep -q 'ok *uplink: eth0 (driver veth)' "$T/check"
before=$(says bypass.packets)
same "streams between nodes are exact" "$(stream 3 | head -1)" "$pair_exact"
within "and took the short way" "$(($(says bypass.packets) - before))" 100 100000000
before=$(spoofed)
forge "$client_ip" 20
same "what the wire brings in the name of the node's own pod ends there" "$(($(spoofed) - before))" 20
forge "$echo_ip" 20
same "what it brings from other pods does not" "$(($(spoofed) - before))" 20
link=$(says 'programs | map(select(.name == "uplink_in"))[0].linkId')
stream 20 > "$T/stream" 2>&1 &
streaming=$!
check "agents are rolled" sh -c "kubectl -n sockmesh-system rollout restart daemonset/sockmesh-agent && kubectl -n sockmesh-system rollout status daemonset/sockmesh-agent --timeout=120s"
wait "$streaming"
same "streams are exact all the while" "$(head -1 "$T/stream")" "$pair_exact"
in_use() { meshctl dataplane get --node n1 | grep -q ' xdp *on *yes'; }
check "the new agent goes on with it" eventually 20 in_use
same "by the same link" "$(says 'programs | map(select(.name == "uplink_in"))[0].linkId')" "$link"
before=$(spoofed)
forge "$client_ip" 20
same "packets end as before" "$(($(spoofed) - before))" 20
check "uninstall" meshctl uninstall
for i in $(nodes); do same "no program is on node $i's uplink" "$(on_node "$i" ip -d link show eth0 | grep -c xdp)" 0; done
finish
