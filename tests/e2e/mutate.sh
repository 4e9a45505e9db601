#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Rule files with mistakes: mutations of good ones, applied one by one. None crashes anything, and each is taken
# wholly or not at all. MUTATIONS=2000 in a full run.
. "$(dirname "$0")/lib.sh"
MUTATIONS=${MUTATIONS:-300}
files=tests/e2e/tutorial
lab_up "mut$$" --nodes 1
{
	kubectl create namespace coolapp
	kubectl apply -n istio-system -f $files/smcp.yaml -f $files/smmr.yaml
	kubectl apply -n coolapp -f $files/catalog-v1.yaml -f $files/catalog-v2.yaml -f $files/client.yaml
	kubectl apply -n coolapp -f $files/destination-rule-catalog.yaml -f $files/virtual-service-catalog-v1.yaml -f $files/ingress-gateway.yaml
	kubectl -n coolapp wait --for=condition=Available deployment --all --timeout=60s
} > "$T/setup" 2>&1 || { fail "the application is up" "$(tail "$T/setup")"; finish; }
client=$(pod_of coolapp app=client)
processes() { cat "$CGROUP2/sockmesh-lab-$LAB"/{control,node-1/agent}/cgroup.procs | sort; }
processes > "$T/before"
python3 tests/e2e/mutate.py "$MUTATIONS" "$T" "$BUILD/meshctl" $files/virtual-service-catalog-70-30.yaml $files/destination-rule-catalog.yaml \
	$files/ingress-gateway.yaml || failed=1
processes > "$T/after"
check "control and agent are the same processes as before" diff "$T/before" "$T/after"
for f in destination-rule-catalog virtual-service-catalog-v1; do kubectl replace -n coolapp -f $files/$f.yaml > /dev/null 2>&1; done
eventually 3 in_pod coolapp "$client" curl -sf --max-time 2 http://catalog:8080/ && [[ $OUT == *"catalog v1 "* ]]
verdict=$?
[ $verdict -eq 0 ] && ok "the good rules work as before" || fail "the good rules work as before" "$OUT"
finish
