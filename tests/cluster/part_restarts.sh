# SPDX-License-Identifier: Apache-2.0
# Read by run.sh. An agent that is killed, a runtime and a kubelet that restart, a DaemonSet that rolls: no L4 flow is broken,
# and the L7 tier loses only what was under way on the old process's connections.
kubectl apply -f tests/cluster/streams.yaml > /dev/null
kubectl -n coolapp rollout status deployment/tcp-echo --timeout=60s > /dev/null || fail "the tcp-echo deployment is available"
kubectl -n coolapp rollout status deployment/echo --timeout=60s > /dev/null || fail "the echo deployment is available"
client=$(client_pod coolapp)
client_node=$(kubectl -n coolapp get pod "$client" -o jsonpath='{.spec.nodeName}')
streams() { # streams SECONDS: 20 L4 streams and a keep-alive L7 client meanwhile
	in_pod_run coolapp "$client" tests/cluster/streams.py --seconds "$1" \
		--l4 "$(kubectl -n coolapp get service tcp-echo -o jsonpath='{.spec.clusterIP}'):7000" \
		--l7 "$(kubectl -n coolapp get service echo -o jsonpath='{.spec.clusterIP}'):8080" > "$T/streams" 2>&1 &
	streams=$!
	sleep 2
}
streams_are() { # streams_are WHAT: what the streams saw while WHAT happened
	wait "$streams"
	same "$1: L4 streams go on, byte for byte" "$(sed -n 's/^l4 //p' "$T/streams")" "20 streams, 0 broken, 0 wrong bytes"
	sed 's/^/   /' "$T/streams"
}
agents_in_force() { meshctl status > /dev/null 2>&1 && [ "$(kubectl -n sockmesh-system get daemonset sockmesh-agent -o jsonpath='{.status.numberReady}')" = "$node_count" ]; }

streams 12
kill -KILL "$(agent_pid "${client_node#n}")"
streams_are "agent killed"
within "agent killed: L7 requests that failed" "$(sed -n 's/^l7 .* answers, \([0-9]*\) failures.*/\1/p' "$T/streams")" 0 1
eventually 40 agents_in_force || fail "agents are in force again" "$OUT"

streams 12
kill -KILL "$(keeper_pid "${client_node#n}")"
streams_are "agent and keeper killed"
eventually 40 agents_in_force || fail "agents are in force again" "$OUT"

streams 25
kubectl -n sockmesh-system rollout restart daemonset/sockmesh-agent > /dev/null
check "the DaemonSet rolls" kubectl -n sockmesh-system rollout status daemonset/sockmesh-agent --timeout=60s
streams_are "agents rolled"
within "agents rolled: L7 requests that failed" "$(sed -n 's/^l7 .* answers, \([0-9]*\) failures.*/\1/p' "$T/streams")" 0 2
eventually 40 agents_in_force || fail "agents are in force again" "$OUT"
kubectl -n coolapp delete -f tests/cluster/streams.yaml --wait=false > /dev/null
