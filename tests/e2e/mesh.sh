#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The mesh on a lab of two nodes: nothing fails while pods come and go under load, at either tier; names and UDP work in
# captured pods; an agent that is killed is started again and takes over, and what is the kernel's goes on meanwhile.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
files=tests/e2e/tutorial

lab_up "msh$$" --nodes 2
echo_yaml 2 "{name: udp, port: 9000, protocol: UDP}" > "$T/echo.yaml"
{
	kubectl create namespace coolapp
	kubectl apply -n istio-system -f $files/smcp.yaml -f $files/smmr.yaml
	kubectl apply -n coolapp -f $files/catalog-v1.yaml -f $files/client.yaml -f "$T/echo.yaml"
	kubectl -n coolapp scale deployment catalog-v1 --replicas=2
	kubectl -n coolapp wait --for=condition=Available deployment --all --timeout=60s
} > "$T/setup" 2>&1 || { fail "the application is up" "$(tail "$T/setup")"; finish; }
client=$(pod_of coolapp app=client)
node=$(kubectl -n coolapp get pod "$client" -o jsonpath='{.spec.nodeName}')
eventually 5 in_pod coolapp "$client" curl -sf --max-time 2 http://catalog:8080/ || fail "the client reaches the catalog" "$OUT"
pods_ready() { # SELECTOR COUNT: so many ready and no other
	[ "$(kubectl -n coolapp get pods -l "$1" --no-headers | wc -l)" -eq "$2" ] &&
		[ "$(kubectl -n coolapp get pods -l "$1" --no-headers | grep -c '1/1 *Running')" -eq "$2" ]
}

# Requests while pods come and go.
in_pod coolapp "$client" "$BUILD/bench/load" -c 16 -r 300 -d 120 -u "$T/stop" catalog:8080/ > "$T/load" 2> "$T/load.err" &
load=$!
sleep 1
kubectl -n coolapp scale deployment catalog-v1 --replicas=4 > "$T/out" 2>&1
check "two more pods come" eventually 30 pods_ready app=catalog 4
kubectl -n coolapp rollout restart deployment/catalog-v1 > "$T/out" 2>&1
check "all are replaced" kubectl -n coolapp rollout status deployment/catalog-v1 --timeout=60s
kubectl -n coolapp scale deployment catalog-v1 --replicas=1 > "$T/out" 2>&1
check "all but one go" eventually 40 pods_ready app=catalog 1
touch "$T/stop"
wait "$load"
check "and no request failed" bash -c "cat $T/load $T/load.err; tail -1 $T/load | holds '.requests > 1000 and .failed == 0'"

# Names, and UDP, in a captured pod.
for name in catalog catalog.coolapp catalog.coolapp.svc catalog.coolapp.svc.cluster.local; do
	check "http://$name" in_pod coolapp "$client" curl -sf -o /dev/null --max-time 2 "http://$name:8080/"
done
same "UDP through a Service" "$(in_pod coolapp "$client" bash -c 'exec 3<>/dev/udp/echo/9000; echo hello >&3; timeout 3 head -1 <&3' | tail -c 6)" hello

# An agent that dies.
agent_cgroup=$CGROUP2/sockmesh-lab-$LAB/$node/agent
in_pod coolapp "$client" timeout 20 python3 -c "
import socket, time
s = socket.create_connection(('echo', 9000)); s.settimeout(5); f = s.makefile('rwb', 0)
for i in range(150):
    f.write(b'%d\n' % i)
    assert f.readline().rstrip().endswith(b'%d' % i)
    time.sleep(0.02)
print('all', i + 1)" > "$T/flow" 2>&1 &
flow=$!
sleep 1
was=$(cat "$agent_cgroup/cgroup.procs")
# shellcheck disable=SC2086
kill -KILL $was
same "a new L4 connection with the agent dead" "$(in_pod coolapp "$client" bash -c 'exec 3<>/dev/tcp/echo/9000; echo hello >&3; timeout 3 head -1 <&3' | tail -c 6)" hello
new_agent() { local now; now=$(cat "$agent_cgroup/cgroup.procs"); [ -n "$now" ] && [ "$now" != "$was" ]; }
check "it is started again" eventually 10 new_agent
check "and routes requests" eventually 5 in_pod coolapp "$client" curl -sf --max-time 2 http://catalog:8080/
wait "$flow"
same "an L4 flow went on all the while" "$(tail -1 "$T/flow")" "all 150"
kubectl -n coolapp apply -f $files/destination-rule-catalog.yaml -f $files/virtual-service-catalog-v2.yaml > "$T/out" 2>&1
check "and follows rules" eventually 3 sh -c "meshctl lab exec --name $LAB -n coolapp $client -- curl -s -o /dev/null -w '%{http_code}' http://catalog:8080/ | grep -q 503"
kubectl -n coolapp apply -f $files/virtual-service-catalog-v1.yaml > "$T/out" 2>&1

# The gateways' Leases are those of pods that run.
kubectl -n istio-system delete pod -l app=istio-ingressgateway --wait=true > "$T/out" 2>&1
leases() {
	[ "$(kubectl -n istio-system get leases -l sockmesh.io/component=gateway -o name | sed 's/.*gateway-istio/istio/' | sort)" = \
		"$(kubectl -n istio-system get pods --no-headers -o custom-columns=N:.metadata.name | sort)" ]
}
check "a gateway's Lease goes with its pod" eventually 15 leases
finish
