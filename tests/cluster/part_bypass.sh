# SPDX-License-Identifier: Apache-2.0
# Read by run.sh. Flows between two pods of one node, whose network plugin and kube-proxy are the cluster's own: they go from
# device to device, kube-proxy's rules take nothing of them for invalid, and what those rules drop stays dropped.
pod_pair byp
byp_ip=$(service_ip byp-echo)
byp_echo=$(kubectl -n coolapp get pod byp-echo -o jsonpath='{.status.podIP}')
byp_says() { dataplane_says 1 "$1"; }
invalid() { on_node 1 iptables-save -c | awk '/ctstate INVALID -j DROP/ { gsub(/[\[\]]/, "", $1); split($1, n, ":"); sum += n[1] } END { print sum + 0 }'; }
eventually 20 pod_pair_stream byp 0.1 || fail "a pod reaches another of its node" "$OUT"

check "bypass: it is in use on every node" sh -c "meshctl dataplane get | tee $T/get | grep -c ' bypass *on *yes' | grep -qx $node_count || { cat $T/get; false; }"
check "bypass: check says so" sh -c "meshctl check | grep -q 'ok *bypass: in use'"
byp_before=$(byp_says bypass.packets) invalid_before=$(invalid)
pod_pair_stream byp 6 > "$T/byp" 2>&1 &
byp=$!
sleep 2
meshctl dataplane set bypass=off --node n1 > "$T/set" 2>&1 || fail "bypass: switched off" "$(cat "$T/set")"
within "bypass: packets went from device to device" "$(($(byp_says bypass.packets) - byp_before))" 100 100000000
byp_before=$(byp_says bypass.packets)
sleep 1
same "bypass: none when it is off" "$(($(byp_says bypass.packets) - byp_before))" 0
meshctl dataplane set bypass=on --node n1 > "$T/set" 2>&1 || fail "bypass: switched on" "$(cat "$T/set")"
wait "$byp"
same "bypass: streams are exact all the while" "$(head -1 "$T/byp")" "$pair_exact"
within "bypass: and went the short way again" "$(($(byp_says bypass.packets) - byp_before))" 50 100000000
same "bypass: kube-proxy took nothing for invalid" "$(invalid)" "$invalid_before"
on_node 1 iptables -I FORWARD -p tcp -d "$byp_echo" --dport 7000 -j DROP
same "bypass: a port that the node drops stays closed" "$(in_pod_run coolapp byp-client timeout 4 python3 tests/cluster/streams.py --l4 "$byp_ip:7000" --streams 1 --seconds 1 2>&1 | head -1)" ""
on_node 1 iptables -D FORWARD -p tcp -d "$byp_echo" --dport 7000 -j DROP
byp_pid=$(agent_pid 1)
pod_pair_stream byp 5 > "$T/byp" 2>&1 &
byp=$!
sleep 1.5
kill -KILL "$byp_pid"
wait "$byp"
same "bypass: streams are exact with the agent killed" "$(head -1 "$T/byp")" "$pair_exact"
spoofed=$(byp_says 'reasons | map(select(.reason == "spoofed"))[0].count')
in_pod_run coolapp byp-client python3 tests/cluster/spoof.py "$(node_ip 2)" "$byp_echo" 20
same "bypass: what a pod sends from another's address is dropped and counted" "$(($(byp_says 'reasons | map(select(.reason == "spoofed"))[0].count') - spoofed))" 20
pod_pair_gone byp
