#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A rule is replaced again and again while 2,000 requests a second go by it on kept connections, between nodes and on
# one: no request fails, none is routed by a rule that was neither the old nor the new one, and the time from the API's
# answer to the last request on the old rule stays within 20 ms (p99). REPLACES=1000 in a full run.
. "$(dirname "$0")/lib.sh"
REPLACES=${REPLACES:-200}
RATE=${RATE:-2000}
files=tests/e2e/tutorial

lab_up "rep$$" --nodes 2
{
	kubectl create namespace coolapp
	kubectl apply -n istio-system -f $files/smcp.yaml -f $files/smmr.yaml
	kubectl apply -n coolapp -f $files/catalog-v1.yaml -f $files/catalog-v2.yaml -f $files/client.yaml
	kubectl apply -n coolapp -f $files/destination-rule-catalog.yaml -f $files/virtual-service-catalog-v1.yaml
	kubectl -n coolapp wait --for=condition=Available deployment --all --timeout=60s
} > "$T/setup" 2>&1 || { fail "the application is up" "$(tail "$T/setup")"; finish; }
client=$(pod_of coolapp app=client)
eventually 5 in_pod coolapp "$client" curl -sf --max-time 2 http://catalog:8080/ || fail "the client reaches the catalog" "$OUT"
sleep 0.5

in_pod coolapp "$client" "$BUILD/bench/load" -c 32 -r "$RATE" -d 600 -u "$T/stop" -o "$T/log" catalog:8080/ > "$T/load" 2>&1 &
load=$!
sleep 1
before=$(cpu_us node-1/agent node-2/agent)
python3 tests/e2e/replaces.py write "$T/changes" "$REPLACES" > "$T/writes" 2>&1 || fail "the rule can be replaced" "$(tail "$T/writes")"
after=$(cpu_us node-1/agent node-2/agent)
sleep 0.5
touch "$T/stop"
wait "$load"
echo "   $(cat "$T/load")"
echo "   agents: $(((after - before) / 1000)) ms of CPU meanwhile"
python3 tests/e2e/replaces.py judge "$T/changes" "$T/log" "$REPLACES" || failed=1
finish
