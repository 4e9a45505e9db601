#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# CPU per request on a real cluster: the L4 and L7 tiers beside pods outside the mesh with kube-proxy in iptables mode, client and
# server on one node and on two. ROUNDS, SLICE, JSON: see tools/bench/cluster. Figures count on a quiet machine only.
. "$(dirname "$0")/lib.sh"
command -v nginx > /dev/null || { echo "skip bench: it needs nginx"; exit 0; }
cluster_up
import build/images/sockmesh.tar && import build/images/samples.tar || { fail "images are imported"; finish; }
check "install" meshctl install
kubectl apply -n istio-system -f tests/e2e/tutorial/smcp.yaml > /dev/null
sed 's/coolapp/bench/' tests/e2e/tutorial/smmr.yaml | kubectl apply -n istio-system -f - > /dev/null
kubectl create namespace bench > /dev/null
kubectl create namespace outside > /dev/null
pod() { # pod NAMESPACE NAME NODE: what sleeps there; programs of this machine are put into it
	kubectl -n "$1" apply -f - > /dev/null <<- YAML
	apiVersion: v1
	kind: Pod
	metadata: {name: $2, labels: {app: $2}}
	spec: {nodeName: $3, terminationGracePeriodSeconds: 1, containers: [{name: sleeps, image: localhost/sockmesh-client:dev, imagePullPolicy: IfNotPresent}]}
	YAML
}
pod bench server n1
for ns in bench outside; do pod $ns client-1 n1 && pod $ns client-2 n2; done
for s in l4 l7; do
	kubectl -n bench create service clusterip $s --tcp=8080:8080 --dry-run=client -o json |
		jq --arg s $s '.spec.selector = {app: "server"} | .spec.ports[0].name = "http" | if $s == "l4" then .metadata.annotations = {"sockmesh.io/balance": "connection"} else . end' |
		kubectl -n bench apply -f - > /dev/null
done
for p in bench/server bench/client-1 bench/client-2 outside/client-1 outside/client-2; do
	kubectl -n "${p%/*}" wait "pod/${p#*/}" --for=condition=Ready --timeout=60s > /dev/null || fail "pod $p is Ready"
	pod_pid "${p%/*}" "${p#*/}" > "$T/pod.${p%/*}.${p#*/}" || fail "pod $p has a process"
done
[ "$failed" = 0 ] || finish
captured() { for i in $(nodes); do on_node "$i" "$BUILD/meshd" agent --status --socket /run/sockmesh/agent.sock | holds '[.pods[] | select(.namespace == "bench" and .captured)] | length > 0' > /dev/null || return 1; done; }
check "pods of the mesh are captured" eventually 20 captured
# Found once: what looks for the pod each time would be part of what is measured.
cat > "$T/run" << SCRIPT
#!/bin/bash
read -r pid cgroup < "$T/pod.\$1.\$2"
shift 2
echo \$\$ > "\$cgroup/cgroup.procs"
exec nsenter --net="/proc/\$pid/ns/net" -- "\$@"
SCRIPT
chmod +x "$T/run"
tools/bench/cluster --run "$T/run" --rounds "${ROUNDS:-60}" --slice "${SLICE:-50}" --client "$BUILD/bench/client" ${JSON:+--json "$JSON"} || failed=1
finish
