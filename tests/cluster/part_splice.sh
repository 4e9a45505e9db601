# SPDX-License-Identifier: Apache-2.0
# Read by run.sh. Two pods of one node that ask for it are spliced by an agent with the privileges of deploy/: their messages
# go past TCP and past the network plugin's devices, byte-exact while it is switched and while the agent is killed.
for role in echo client; do
	kubectl -n coolapp run "spl-$role" --labels="app=spl-$role" --annotations=sockmesh.io/splice=enabled \
		--image="localhost/sockmesh-$([ $role = echo ] && echo tcp-echo || echo client):dev" \
		--image-pull-policy=IfNotPresent --overrides='{"spec":{"nodeName":"n1","terminationGracePeriodSeconds":1}}' \
		$([ $role = echo ] && echo -- 7000) > /dev/null
done
kubectl -n coolapp expose pod spl-echo --port=7000 --name=spl-echo > /dev/null
kubectl -n coolapp patch service spl-echo --type=json -p '[{"op":"add","path":"/spec/ports/0/name","value":"tcp"}]' > /dev/null
kubectl -n coolapp wait pod/spl-echo pod/spl-client --for=condition=Ready --timeout=60s > /dev/null || fail "two pods on a node are Ready"
spl_ip=$(kubectl -n coolapp get service spl-echo -o jsonpath='{.spec.clusterIP}')
spl_stream() { in_pod_run coolapp spl-client python3 tests/cluster/streams.py --l4 "$spl_ip:7000" --streams 4 --seconds "$1"; }
spl_says() { meshctl status -o json --node n1 | jq -r "[.members[] | select(.component == \"agent\")][0].agent.dataplane.splice$1"; }
spl_way() { spl_says ".ways | map(select(.way == \"redirected\"))[0].messages"; }
spl_exact="l4 4 streams, 0 broken, 0 wrong bytes"
eventually 20 spl_stream 0.1 || fail "a pod reaches another of its node" "$OUT"

same "splice: both pods are, and no other" "$(spl_says '.pods | map(select(.spliced) | .name) | sort | join(" ")')" "spl-client spl-echo"
spl_before=$(spl_way)
spl_stream 6 > "$T/spl" 2>&1 &
spl=$!
spl_moves() { [ "$(($(spl_way) - spl_before))" -ge 50 ]; }
check "splice: messages go past TCP" eventually 5 spl_moves
meshctl dataplane set splice=off --node n1 > "$T/set" 2>&1 || fail "splice: switched off" "$(cat "$T/set")"
spl_no_ends() { [ "$(spl_says .ends)" = 0 ]; }
check "splice: flows leave when it is off" eventually 5 spl_no_ends
meshctl dataplane set splice=auto --node n1 > "$T/set" 2>&1 || fail "splice: switched on" "$(cat "$T/set")"
wait "$spl"
same "splice: streams are exact all the while" "$(head -1 "$T/spl")" "$spl_exact"
spl_pid=$(agent_pid 1)
spl_stream 5 > "$T/spl" 2>&1 &
spl=$!
sleep 1.5
kill -KILL "$spl_pid"
wait "$spl"
same "splice: streams are exact with the agent killed" "$(head -1 "$T/spl")" "$spl_exact"
meshctl check > "$T/check" 2>&1
check "splice: check says whose flows are, on the node with them" sh -c "grep -q 'ok *splice: in use for 2 of ' $T/check || { cat $T/check; false; }"
same "splice: and has a verdict of each probe on each node" "$(grep -c ': splice: \(as over TCP\|differs\): ' "$T/check")" $((node_count * 23))
kubectl -n coolapp delete pod/spl-echo pod/spl-client service/spl-echo > /dev/null
