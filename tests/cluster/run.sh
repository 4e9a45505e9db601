#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The mesh on a real Kubernetes, as its users would have it: images, meshctl install, the tutorial, what a node does to
# an agent and an agent to a node, meshctl uninstall; then the cluster is as it was.
. "$(dirname "$0")/lib.sh"

# timed NAME COMMAND...: as check, and says how long it took
timed() {
	local name=$1 begin
	begin=$(now_ms)
	shift
	if OUT=$("$@" 2>&1); then ok "$name ($(($(now_ms) - begin)) ms)"; else fail "$name" "$*: $OUT"; fi
}
rollout() { kubectl -n "$1" rollout status "$2" --timeout=90s; }
way_in() { echo "$NET.1$1:$(kubectl -n istio-system get service istio-ingressgateway -o jsonpath='{.spec.ports[?(@.port==80)].nodePort}')"; }
client_pod() { kubectl -n "$1" get pods -l app=client -o json | jq -r '[.items[] | select(.metadata.deletionTimestamp == null)][0].metadata.name'; }

cluster_up
timed "images are imported" import build/images/sockmesh.tar
timed "sample images are imported" import build/images/samples.tar
[ "$failed" = 0 ] || finish
kubectl create namespace stranger > /dev/null
kubectl -n stranger apply -f tests/e2e/tutorial/client.yaml > /dev/null
kubectl -n stranger wait --for=condition=Available deployment --all --timeout=60s > /dev/null
cluster_state > "$T/state.before"

timed "check --pre says that this cluster can run it" meshctl check --pre
timed "install" meshctl install
printf '%s\n' "$OUT" | tail -40 | sed 's/^/   /'
if grep -q "^FAIL\|not in force\|failed:" <<< "$OUT"; then
	kubectl get pods -A -o wide
	kubectl -n sockmesh-system describe pods | tail -60
	for p in $(kubectl -n sockmesh-system get pods -o name); do echo "-- $p"; kubectl -n sockmesh-system logs --tail=20 "$p"; done
	finish
fi
timed "a second install changes nothing" meshctl install
timed "check" meshctl check
timed "status" meshctl status
for i in $(nodes); do within "agent of node $i: RSS in KiB" "$(rss_kb "$(agent_pid "$i")")" 1 20480; done

# PARTS="FILE..." runs these parts only
echo "== the tutorial"
PLACE=tests/cluster/lib_place.sh KCTL=kubectl tests/e2e/tutorial.sh > "$T/tutorial" 2>&1 || failed=1
cat "$T/tutorial"
for i in $(nodes); do echo "   node $i: proportional share of memory, KiB: agent $(own_kb "$(agent_pid "$i")"), keeper $(own_kb "$(keeper_pid "$i")")"; done
for i in $(nodes); do within "agent of node $i, after the tutorial: RSS in KiB" "$(rss_kb "$(agent_pid "$i")")" 1 20480; done

for part in ${PARTS:-tests/cluster/part_*.sh}; do
	echo "== $(basename "$part" .sh)"
	. "$part"
done

echo "== uninstall"
client=$(client_pod coolapp)
same "before: a member's request passes the mesh" "$(kubectl exec -n coolapp "$client" -- curl -s -i -m 5 http://catalog:8080/ | grep -ci x-envoy-upstream-service-time)" 1
timed "uninstall" meshctl uninstall
printf '%s\n' "$OUT" | tail -40 | sed 's/^/   /'
answer=$(kubectl exec -n coolapp "$client" -- curl -s -i -m 5 http://catalog:8080/ 2>&1)
same "a running pod keeps its network" "$(grep -c '^catalog v' <<< "$answer")" 1
same "and is out of the mesh" "$(grep -ci x-envoy-upstream-service-time <<< "$answer")" 0
kubectl delete namespace coolapp outside --wait > /dev/null
cluster_state > "$T/state.after"
same "the cluster is as before" "$(diff "$T/state.before" "$T/state.after")" ""
finish
