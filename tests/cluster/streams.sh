# SPDX-License-Identifier: Apache-2.0
# Read by parts of run.sh: 20 L4 streams and a client of the L7 tier that go on while something happens.
kubectl apply -f tests/cluster/streams.yaml > /dev/null
for d in tcp-echo echo; do kubectl -n coolapp rollout status deployment/$d --timeout=60s > /dev/null || fail "the $d deployment is available"; done
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
l7_failed() { sed -n 's/^l7 .* answers, \([0-9]*\) failures.*/\1/p' "$T/streams"; }
