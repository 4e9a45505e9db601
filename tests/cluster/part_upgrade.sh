# SPDX-License-Identifier: Apache-2.0
# Read by run.sh. The agents' DaemonSet rolls under load, again and again: old and new agent meet on the node, and no request
# and no connection is lost. ROLL_REQUESTS (20000) at ROLL_RATE (1000) a second on ROLL_CONNECTIONS (100) kept connections.
ROLL_REQUESTS=${ROLL_REQUESTS:-20000} ROLL_RATE=${ROLL_RATE:-1000} ROLL_CONNECTIONS=${ROLL_CONNECTIONS:-100}
. tests/cluster/streams.sh
service_of() { kubectl -n coolapp get service "$1" -o jsonpath='{.spec.clusterIP}'; }
rm -f "$T/rolled"
in_pod_run coolapp "$client" "$BUILD/bench/load" -c "$ROLL_CONNECTIONS" -r "$ROLL_RATE" -d $((ROLL_REQUESTS / ROLL_RATE + 1)) \
	"$(service_of echo):8080/" > "$T/roll.load" 2>&1 &
roll_load=$!
in_pod_run coolapp "$client" python3 "$PWD/tests/e2e/upgrade.py" streams "$(service_of tcp-echo):7000" 100 "$T/rolled" > "$T/roll.streams" 2>&1 &
roll_streams=$!
rolls=0
sleep 1
while kill -0 "$roll_load" 2> /dev/null; do
	kubectl -n sockmesh-system rollout restart daemonset/sockmesh-agent > /dev/null
	kubectl -n sockmesh-system rollout status daemonset/sockmesh-agent --timeout=90s > "$T/roll.status" 2>&1 || { fail "the DaemonSet rolls" "$(cat "$T/roll.status")"; break; }
	rolls=$((rolls + 1))
done
wait "$roll_load"
touch "$T/rolled"
wait "$roll_streams"
echo "   $rolls times; $(cat "$T/roll.load")"
echo "   $(tail -1 "$T/roll.streams")"
within "rolled while requests went on" "$rolls" 1 1000
within "requests under them" "$(jq .requests "$T/roll.load")" $((ROLL_REQUESTS * 8 / 10)) 100000000
same "none failed" "$(jq .failed "$T/roll.load")" 0
same "no connection was closed or reset" "$(jq .reconnects "$T/roll.load")" 0
same "100 L4 streams: none broken, no byte wrong" "$(tail -1 "$T/roll.streams" | jq -c '[.streams, .brokenCount]')" "[100,0]"
eventually 40 agents_in_force || fail "agents are in force again" "$OUT"
kubectl -n coolapp delete -f tests/cluster/streams.yaml --wait=false > /dev/null
