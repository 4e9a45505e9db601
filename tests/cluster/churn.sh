#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# MINUTES (20) of random scaling, deletion, rolling restarts and SIGKILLs of agents, containerd and the API server, under
# 500 requests/s for each service, on a real cluster of two nodes. SEED repeats a run's order of events.
. "$(dirname "$0")/lib.sh"
cluster_up
import build/images/sockmesh.tar && import build/images/samples.tar || { fail "images are imported"; finish; }
check "install" meshctl install
kubectl apply -n istio-system -f tests/e2e/tutorial/smcp.yaml > /dev/null
sed 's/coolapp/churn/' tests/e2e/tutorial/smmr.yaml | kubectl apply -n istio-system -f - > /dev/null
kubectl create namespace churn > /dev/null
kubectl -n churn apply -f tests/cluster/churn.yaml > /dev/null
check "the services are available" kubectl -n churn wait --for=condition=Available deployment --all --timeout=90s
[ "$failed" = 0 ] || finish

# figures: of each agent, one a line
figures() {
	local i p
	for i in $(nodes); do
		p=$(agent_pid "$i")
		echo "node $i: RSS $(rss_kb "$p") KiB, $(ls "/proc/$p/fd" | wc -l) descriptors, $(on_node "$i" find /sys/fs/bpf -type f | wc -l) pins, entries: $(on_node "$i" bash -c '
			for m in $(find /sys/fs/bpf/sockmesh -type f); do
				n=$(bpftool -j map dump pinned "$m" 2> /dev/null | jq "if type == \"array\" then length else 0 end" 2> /dev/null)
				[ "${n:-0}" -eq 0 ] || echo "$(basename "$m") $n"
			done' | sort | tr '\n' ' ')"
	done
}
echo "== before"
figures | tee "$T/figures.before"
loads=()
for s in a b c; do
	client=$(kubectl -n churn get pods -l app=client-$s -o jsonpath='{.items[0].metadata.name}')
	ip=$(kubectl -n churn get service echo-$s -o jsonpath='{.spec.clusterIP}')
	in_pod_run churn "$client" build/bench/load -c 16 -r "${RATE:-500}" -d 100000 -u "$T/stop" -o "$T/load-$s" -k pod "$ip:8080/" > "$T/load-$s.out" 2>&1 &
	loads+=($!)
done
sleep 1
python3 tests/cluster/churn.py --kubeconfig "$KUBECONFIG" --minutes "${MINUTES:-20}" --seed "${SEED:-$RANDOM}" --cluster "$cluster" --events "$T/events.json"
: > "$T/stop"
wait "${loads[@]}"
for s in a b c; do echo "   load $s: $(cat "$T/load-$s.out")"; done
python3 tests/cluster/churn_judge.py "$T/events.json" "$T/load-a" "$T/load-b" "$T/load-c" || failed=1
eventually 60 kubectl -n churn wait --for=condition=Available deployment --all --timeout=5s > /dev/null
sleep 15
echo "== after"
figures | tee "$T/figures.after"
[ -z "${KEEP_LOGS:-}" ] || cp -r "$T" "$KEEP_LOGS"
finish
