# SPDX-License-Identifier: Apache-2.0
# Read by run.sh. An agent that is killed, a runtime and a kubelet that restart, a DaemonSet that rolls: no L4 flow is broken,
# and the L7 tier loses only what was under way on the old process's connections.
. tests/cluster/streams.sh

streams 12
kill -KILL "$(agent_pid "${client_node#n}")"
streams_are "agent killed"
within "agent killed: L7 requests that failed" "$(l7_failed)" 0 1
eventually 40 agents_in_force || fail "agents are in force again" "$OUT"

# Both at once: the other container of the pod holds the listeners until the kubelet has started theirs again.
streams 12
began=$(now_ms)
kill -KILL "$(keeper_pid "${client_node#n}")" "$(agent_pid "${client_node#n}")"
ready_again() { [ "$(on_node "${client_node#n}" curl -s -m 1 http://127.0.0.1:9445/readyz)" = ok ]; }
eventually 40 ready_again || fail "an agent is in force again"
echo "   in force $(($(now_ms) - began)) ms after both were killed"
streams_are "agent and keeper killed"
within "agent and keeper killed: L7 requests that failed" "$(l7_failed)" 0 1
eventually 40 agents_in_force || fail "agents are in force again" "$OUT"

# A pod of the other node that is deleted by force while clients wait for it, and says no goodbye: what waits by request and by TCP
# ends soon after the API says so, not by TCP's own patience.
kubectl -n coolapp apply -f tests/cluster/vanish.yaml > /dev/null
kubectl -n coolapp run vanish --labels=app=vanish --image=localhost/sockmesh-client:dev --image-pull-policy=IfNotPresent \
	--overrides="{\"spec\":{\"nodeName\":\"n$((3 - ${client_node#n}))\",\"terminationGracePeriodSeconds\":30}}" > /dev/null
kubectl -n coolapp wait pod/vanish --for=condition=Ready --timeout=60s > /dev/null || fail "the pod that vanishes is Ready"
# It is in the pod's network alone, so it outlives the pod, which takes its wire with it.
in_pod_run coolapp vanish python3 tests/cluster/deaf.py 8080 9090 > "$T/deaf" 2>&1 &
deaf=$!
sleep 1
vanish_ip=$(kubectl -n coolapp get service vanish -o jsonpath='{.spec.clusterIP}')
waits=()
for port in 8080 9090; do
	in_pod_run coolapp "$client" python3 tests/cluster/waits.py "$vanish_ip" $port > "$T/vanish.$port" 2>&1 &
	waits+=($!)
done
sleep 2
vanish_at=$(kubectl -n coolapp get pod vanish -o jsonpath='{.status.podIP}')
on_node $((3 - ${client_node#n})) iptables -I FORWARD -s "$vanish_at" -j DROP # also of what the kernel would say for it
vanished=$(python3 -c 'import time; print(int(time.monotonic() * 1000))')
kubectl -n coolapp delete pod vanish --force --grace-period=0 > /dev/null 2>&1
wait "${waits[@]}"
kill -KILL $deaf 2> /dev/null
on_node $((3 - ${client_node#n})) iptables -D FORWARD -s "$vanish_at" -j DROP
same "a request to a pod that is deleted by force is answered" "$(sed 's/ at .*//' "$T/vanish.8080")" "HTTP/1.1 503 Service Unavailable"
within "after ms" "$(($(sed 's/.* at //' "$T/vanish.8080") - vanished))" 0 6000
same "and a TCP flow to it is ended" "$(sed 's/ at .*//' "$T/vanish.9090")" ConnectionAbortedError
within "after ms" "$(($(sed 's/.* at //' "$T/vanish.9090") - vanished))" 0 6000
kubectl -n coolapp delete service vanish > /dev/null

streams 25
kubectl -n sockmesh-system rollout restart daemonset/sockmesh-agent > /dev/null
check "the DaemonSet rolls" kubectl -n sockmesh-system rollout status daemonset/sockmesh-agent --timeout=60s
streams_are "agents rolled"
within "agents rolled: L7 requests that failed" "$(l7_failed)" 0 2
eventually 40 agents_in_force || fail "agents are in force again" "$OUT"
kubectl -n coolapp delete -f tests/cluster/streams.yaml --wait=false > /dev/null
