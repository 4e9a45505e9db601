#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# MINUTES (20) of random scaling, deletion and rolling restarts, and of SIGKILLs of agents, agents with their keeper, containerd,
# kubelets, control and the API server (ONLY=agent,containerd,...: these), under RATE (500) requests/s for each service, on a real
# cluster of two nodes. SEED repeats a run's order of events. What failed is put down to the fault that explains it, or is a
# failure of the run; what agents hold is compared before, after, and after everything was made anew.
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

# figures NAME: of each agent
figures() {
	local i
	for i in $(nodes); do
		on_node "$i" "$BUILD/meshd" agent --status --socket /run/sockmesh/agent.sock > "$T/status" 2>&1
		{
			echo "pins $(on_node "$i" find /sys/fs/bpf -type f | wc -l)"
			on_node "$i" bash -c 'for m in $(find /sys/fs/bpf/sockmesh -maxdepth 2 -type f); do
				n=$(bpftool -j map dump pinned "$m" 2> /dev/null | jq "if type == \"array\" then length else 0 end" 2> /dev/null)
				[ "${n:-0}" -eq 0 ] || echo "$(basename "$m") $n"
			done'
		} > "$T/entries"
		python3 tests/cluster/figures.py take "$(agent_pid "$i")" "$T/status" "$T/entries" > "$T/figures.$1.$i" || fail "figures of node $i are taken"
		python3 tests/cluster/figures.py show "node $i" "$T/figures.$1.$i"
	done
	echo "   memory of API server and control, KiB: $(rss_kb "$(awk '$3 ~ /^apiserver/ { p = $1 } END { print p }' "$D/pids")")" \
		"$(for p in $(pgrep -f 'meshd control'); do [[ "$(cat "/proc/$p/cgroup")" != *"$NAME-n"* ]] || rss_kb "$p"; done | tr '\n' ' ')"
}
# Each pod is looked at for a while before: agents let namespaces that nobody claims go after 5 s.
sleep 6
echo "== before"
figures before
loads=() logs=()
for s in a b c; do
	client=$(kubectl -n churn get pods -l app=client-$s -o jsonpath='{.items[0].metadata.name}')
	node=$(kubectl -n churn get pod "$client" -o jsonpath='{.spec.nodeName}')
	ip=$(kubectl -n churn get service echo-$s -o jsonpath='{.spec.clusterIP}')
	in_pod_run churn "$client" "$BUILD/bench/load" -c 16 -r "${RATE:-500}" -d 100000 -u "$T/stop" -o "$T/load-$s" -f "$T/load-$s.failed" -k pod "$ip:8080/" > "$T/load-$s.out" 2>&1 &
	loads+=($!)
	logs+=("echo-$s:$node:$T/load-$s")
done
sleep 1
python3 tests/cluster/churn.py --kubeconfig "$KUBECONFIG" --minutes "${MINUTES:-20}" --seed "${SEED:-$RANDOM}" --cluster "$cluster" \
	${ONLY:+--only "$ONLY"} --events "$T/events.json" || fail "the changes are made"
echo "== after, under load"
figures after
: > "$T/stop"
wait "${loads[@]}"
for s in a b c; do echo "   load $s: $(cat "$T/load-$s.out")"; done
python3 tests/cluster/churn_judge.py "$T/events.json" "${logs[@]}" || failed=1

echo "== after, with every pod made anew"
check "the services are available" eventually 90 kubectl -n churn wait --for=condition=Available deployment --all --timeout=5s
kubectl -n churn rollout restart deployment > /dev/null
for s in a b c; do for d in echo client; do kubectl -n churn rollout status deployment/$d-$s --timeout=120s > /dev/null || fail "$d-$s is made anew"; done; done
only_them() { [ "$(kubectl -n churn get pods -o name | wc -l)" = 12 ]; }
eventually 60 only_them || fail "what was before is gone" "$(kubectl -n churn get pods)"
sleep 20
figures settled
for i in $(nodes); do
	echo "== node $i"
	python3 tests/cluster/figures.py compare "$T/figures.before.$i" "$T/figures.after.$i" "$T/figures.settled.$i" || failed=1
done
if [ "$failed" != 0 ]; then
	for p in $(kubectl -n sockmesh-system get pods -o name); do echo "-- $p"; kubectl -n sockmesh-system logs --tail=20 "$p"; done
fi
[ -z "${KEEP_LOGS:-}" ] || cp -r "$T" "$KEEP_LOGS"
finish
