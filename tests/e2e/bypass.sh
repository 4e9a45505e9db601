#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Flows between pods of one node go from device to device, and nobody can tell but by a counter: the node's forward
# chain, policies as network plugins write them and clients outside the mesh are as before; streams stay byte-exact
# when it is switched, and when the agent is killed; a pod cannot send from an address that is not its own.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lib_flows.sh
. "$(dirname "$0")/lib_flows.sh"
files=tests/e2e/tutorial

lab_up "byp$$" --nodes 1
echo_yaml 1 > "$T/echo.yaml"
{
	kubectl create namespace coolapp
	kubectl create namespace outside
	kubectl apply -n istio-system -f $files/smcp.yaml -f $files/smmr.yaml
	kubectl apply -n coolapp -f $files/catalog-v1.yaml -f $files/client.yaml -f "$T/echo.yaml"
	kubectl apply -n outside -f $files/client.yaml
	kubectl -n coolapp wait --for=condition=Available deployment --all --timeout=60s
	kubectl -n outside wait --for=condition=Available deployment --all --timeout=60s
} > "$T/setup" 2>&1 || { fail "the application is up" "$(tail "$T/setup")"; finish; }
client=$(pod_of coolapp app=client)
stranger=$(pod_of outside app=client)
echo_ip=$(kubectl -n coolapp get pod "$(pod_of coolapp app=echo)" -o jsonpath='{.status.podIP}')
client_ip=$(kubectl -n coolapp get pod "$client" -o jsonpath='{.status.podIP}')
stranger_ip=$(kubectl -n outside get pod "$stranger" -o jsonpath='{.status.podIP}')
agent_cgroup=$CGROUP2/sockmesh-lab-$LAB/node-1/agent
on_node() { nsenter --net="/proc/$(head -1 "$agent_cgroup/cgroup.procs")/ns/net" "$@"; }
agent_says() { meshctl status -o json | jq -r "[.members[] | select(.component == \"agent\")][0].agent.dataplane.$1"; }
count() { agent_says "bypass.$1"; }
spoofed() { agent_says 'reasons | map(select(.reason == "spoofed"))[0].count'; }
flows() { agent_says 'maps | map(select(.name == "flows"))[0].entries'; }
no_flows() { [ "$(flows)" = 0 ]; }
eventually 10 stream 0.1 || fail "the client reaches echo" "$OUT"

check "it is in use" sh -c "meshctl dataplane get | tee $T/get | grep -q '^node-1 *bypass *on *yes'"
before=$(count packets)
same "streams are exact" "$(stream 3 | head -1)" "$exact"
within "and their packets went from device to device" "$(($(count packets) - before))" 200 100000000
check "flows are forgotten when they end" eventually 3 no_flows

# Who is outside the mesh, and what is no Service's.
before=$(count packets)
same "a client outside the mesh reaches the ClusterIP" "$(hello outside "$stranger" echo.coolapp)" hello
same "and a member the pod itself" "$(hello coolapp "$client" "$echo_ip")" hello
in_pod outside "$stranger" python3 "$PWD/tests/cluster/streams.py" --l4 echo.coolapp:9000 --streams 2 --seconds 1 > "$T/out" 2>&1
same "and its streams are exact" "$(head -1 "$T/out")" "l4 2 streams, 0 broken, 0 wrong bytes"
same "none of that is bypassed" "$(($(count packets) - before))" 0

# The node's own rules.
policy_closed byp | on_node nft -f -
same "a port that the node drops stays closed" "$(hello coolapp "$client" echo)" ""
policy byp | on_node nft -f -
same "a policy lets the one in" "$(hello coolapp "$client" echo)" hello
same "and the other not" "$(hello outside "$stranger" echo.coolapp)" ""
before=$(count packets)
stream 8 > "$T/stream" 2>&1 &
streaming=$!
sleep 1.5
within "under it, packets are bypassed" "$(($(count packets) - before))" 100 100000000
check "switched off" sh -c "meshctl dataplane set bypass=off | grep -q '^node-1 *bypass *off *no *it is switched off'"
sleep 0.2
before=$(count packets)
sleep 1
same "none is any more" "$(($(count packets) - before))" 0
check "switched on" sh -c "meshctl dataplane set bypass=on --node node-1 | grep -q '^node-1 *bypass *on *yes'"
sleep 1
within "they are again" "$(($(count packets) - before))" 50 100000000
was=$(cat "$agent_cgroup/cgroup.procs")
# shellcheck disable=SC2086
kill -KILL $was
wait "$streaming"
same "streams went on all the while, the agent killed meanwhile" "$(head -1 "$T/stream")" "$exact"
new_agent() { local now; now=$(cat "$agent_cgroup/cgroup.procs"); [ -n "$now" ] && [ "$now" != "$was" ]; }
check "the agent is there again" eventually 10 new_agent
same "connection tracking took nothing for invalid" "$(on_node nft list counter ip byp invalid | grep -o 'packets [0-9]*')" "packets 0"
in_use() { meshctl dataplane get | grep -q '^node-1 *bypass *on *yes'; }
check "and answers" eventually 10 in_use
before=$(count packets)
same "streams of a second agent are exact" "$(stream 2 | head -1)" "$exact"
within "and bypassed" "$(($(count packets) - before))" 100 100000000
stream 3 > "$T/stream" 2>&1 &
streaming=$!
sleep 1
policy_cut byp | on_node nft -f -
sleep 1
before=$(count packets)
sleep 0.5
same "a flow that the node does not let pass any more stands still" "$(($(count packets) - before))" 0
on_node nft delete table ip byp
wait "$streaming"
same "and goes on where it stood" "$(head -1 "$T/stream")" "$exact"

# The hop of a routed request is of the same kind.
eventually 5 in_pod coolapp "$client" curl -sf --max-time 2 http://catalog:8080/ > "$T/out" 2>&1
before=$(count packets)
in_pod coolapp "$client" "$BUILD/bench/load" -c 4 -d 2 catalog:8080/ > "$T/load" 2>&1
check "requests succeed" bash -c "tail -1 $T/load | holds '.requests > 100 and .failed == 0'"
within "and the agent's own connections are bypassed" "$(($(count packets) - before))" 100 100000000

# A gateway's, too, although it is not captured: it draws endpoints by itself.
{
	kubectl apply -n coolapp -f - << 'EOF'
apiVersion: networking.istio.io/v1beta1
kind: Gateway
metadata: {name: way-in}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata: {name: way-in}
spec:
  hosts: ["*"]
  gateways: [way-in]
  http: [{route: [{destination: {host: catalog, port: {number: 8080}}}]}]
EOF
	kubectl -n istio-system wait --for=condition=Available deployment/istio-ingressgateway --timeout=60s
} > "$T/out" 2>&1 || fail "there is a gateway" "$(tail "$T/out")"
way_in=$(kubectl -n istio-system get pod "$(pod_of istio-system istio=ingressgateway)" -o jsonpath='{.status.podIP}'):8080
check "requests come in by the gateway" eventually 10 in_pod outside "$stranger" curl -sf --max-time 2 "http://$way_in/"
before=$(count packets)
in_pod outside "$stranger" "$BUILD/bench/load" -c 4 -d 2 "$way_in/" > "$T/load" 2>&1
check "and succeed" bash -c "tail -1 $T/load | holds '.requests > 100 and .failed == 0'"
within "its connections to pods of the node are bypassed" "$(($(count packets) - before))" 100 100000000
check "by programs on its device" bash -c "meshctl status -o json | holds '[.members[].agent.dataplane.bypass.devices[]? | select((.pod | startswith(\"istio-ingressgateway\")) and .bypass)] | length == 1'"

# Other addresses than one's own.
before=$(spoofed)
in_pod coolapp "$client" python3 "$PWD/tests/cluster/spoof.py" "$stranger_ip" "$echo_ip" 40
same "packets from another's address are dropped and counted" "$(($(spoofed) - before))" 40
check "by pod" bash -c "meshctl status -o json | holds '[.members[].agent.dataplane.refused[]? | select(.reason == \"spoofed\" and .pod == \"$client\" and .count >= 40)] | length == 1'"
in_pod coolapp "$client" python3 "$PWD/tests/cluster/spoof.py" "$client_ip" "$echo_ip" 40
same "those from its own pass" "$(($(spoofed) - before))" 40

# All of it.
routed() { in_pod coolapp "$client" curl -si --max-time 5 http://catalog:8080/ | grep -c '^x-envoy-upstream-service-time\|^HTTP/1.1 200'; }
same "a request is routed" "$(routed)" 2
check "the mesh is switched off" bash -c "meshctl dataplane set mesh=off | grep '^node-1 *mesh *off *no *it is switched off'"
check "and with it the rest" bash -c "meshctl dataplane get | grep '^node-1 *bypass *on *no *the mesh is switched off'"
same "a request goes the node's own way" "$(routed)" 1
check "it is switched on" bash -c "meshctl dataplane set mesh=on | grep '^node-1 *mesh *on *yes'"
same "a request is routed again" "$(routed)" 2

check "an unknown switch is refused by name" sh -c "! meshctl dataplane set nonsense=on > $T/out 2>&1 && grep -q 'there is no switch \"nonsense\"' $T/out"
check "an unknown word, too" sh -c "! meshctl dataplane set bypass=maybe > $T/out 2>&1 && grep -q 'bypass=maybe: it may be on|off' $T/out"
check "check says that it is in use" sh -c "meshctl check | grep -q 'ok *bypass: in use'"
finish
