#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# CPU per request on a real cluster: the L4 and L7 tiers beside pods outside the mesh with kube-proxy in iptables mode.
. "$(dirname "$0")/lib.sh"
if [ "${1:-}" = --run-in-pod ]; then
	shift
	in_pod_run "$@"
	exit
fi
cluster_up
import build/images/sockmesh.tar && import build/images/samples.tar || { fail "images are imported"; finish; }
check "install" meshctl install
kubectl apply -n istio-system -f tests/e2e/tutorial/smcp.yaml > /dev/null
sed 's/coolapp/bench/' tests/e2e/tutorial/smmr.yaml | kubectl apply -n istio-system -f - > /dev/null
kubectl create namespace bench > /dev/null
kubectl create namespace outside > /dev/null
pod() { # pod NAMESPACE NAME NODE
	sed "s/client/$2/; s/app: client/app: $2/g; s/name: client/name: $2/g" tests/e2e/tutorial/client.yaml |
		sed "s#image: localhost/sockmesh-.*#image: localhost/sockmesh-client:dev#; s/^      containers:/      nodeName: $3\n      containers:/" |
		kubectl -n "$1" apply -f - > /dev/null
}
pod bench server n1
for ns in bench outside; do pod $ns client-1 n1; pod $ns client-2 n2; done
for s in l4 l7; do
	kubectl -n bench create service clusterip $s --tcp=8080:8080 --dry-run=client -o json |
		jq --arg s $s '.spec.selector = {app: "server"} | .spec.ports[0].name = "http" | if $s == "l4" then .metadata.annotations = {"sockmesh.io/balance": "connection"} else . end' |
		kubectl -n bench apply -f - > /dev/null
done
for ns in bench outside; do check "pods of $ns" kubectl -n $ns wait --for=condition=Available deployment --all --timeout=60s; done
[ "$failed" = 0 ] || finish
cat > "$T/run" << SCRIPT
#!/bin/bash
exec "$PWD/tests/cluster/bench.sh" --run-in-pod "\$@"
SCRIPT
chmod +x "$T/run"
tools/bench/cluster --run "$T/run" --rounds "${ROUNDS:-60}" --slice "${SLICE:-50}" --client "${MESH_BUILD:-$PWD/build}/bench/client" ${JSON:+--json "$JSON"} || failed=1
finish
