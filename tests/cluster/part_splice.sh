# SPDX-License-Identifier: Apache-2.0
# Read by run.sh. Two pods of one node that ask for it are spliced by an agent with the privileges of deploy/: their messages
# go past TCP and past the network plugin's devices, byte-exact while it is switched and while the agent is killed.
pod_pair spl sockmesh.io/splice=enabled
spl_says() { dataplane_says 1 "splice$1"; }
spl_way() { spl_says ".ways | map(select(.way == \"redirected\"))[0].messages"; }
eventually 20 pod_pair_stream spl 0.1 || fail "a pod reaches another of its node" "$OUT"

same "splice: both pods are, and no other" "$(spl_says '.pods | map(select(.spliced) | .name) | sort | join(" ")')" "spl-client spl-echo"
spl_before=$(spl_way)
pod_pair_stream spl 6 > "$T/spl" 2>&1 &
spl=$!
spl_moves() { [ "$(($(spl_way) - spl_before))" -ge 50 ]; }
check "splice: messages go past TCP" eventually 5 spl_moves
meshctl dataplane set splice=off --node n1 > "$T/set" 2>&1 || fail "splice: switched off" "$(cat "$T/set")"
spl_no_ends() { [ "$(spl_says .ends)" = 0 ]; }
check "splice: flows leave when it is off" eventually 5 spl_no_ends
meshctl dataplane set splice=auto --node n1 > "$T/set" 2>&1 || fail "splice: switched on" "$(cat "$T/set")"
wait "$spl"
same "splice: streams are exact all the while" "$(head -1 "$T/spl")" "$pair_exact"
spl_pid=$(agent_pid 1)
pod_pair_stream spl 5 > "$T/spl" 2>&1 &
spl=$!
sleep 1.5
kill -KILL "$spl_pid"
wait "$spl"
same "splice: streams are exact with the agent killed" "$(head -1 "$T/spl")" "$pair_exact"
meshctl check > "$T/check" 2>&1
check "splice: check says whose flows are, on the node with them" sh -c "grep -q 'ok *splice: in use for 2 of ' $T/check || { cat $T/check; false; }"
same "splice: and has a verdict of each probe on each node" "$(grep -c ': splice: \(as over TCP\|differs\): ' "$T/check")" $((node_count * 23))
pod_pair_gone spl
