#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The mesh on a cluster whose nodes, pods and Services have IPv4 and IPv6 addresses: rules, weights, gateway, TCP over IPv6 ClusterIPs,
# Services of one family only, an agent that is killed. The yardstick's cluster is IPv4 only: a copy of its scripts is
# changed line by line, and each change must have found its place.
. "$(dirname "$0")/lib.sh"
[ "$(cat /proc/sys/net/ipv6/conf/all/disable_ipv6 2> /dev/null)" = 0 ] || { echo "skip dual_stack: this machine has no IPv6"; exit 0; }
command -v ip6tables > /dev/null || { echo "skip dual_stack: it needs ip6tables"; exit 0; }

mkdir "$T/cluster"
cp "$cluster"/*.sh "$cluster"/*.py "$cluster"/*.yaml "$T/cluster/"
cluster=$T/cluster
# change FILE FROM TO: plain text, once or more
change() {
	grep -qF -- "$2" "$cluster/$1" || { fail "the cluster's $1 has: $2"; return; }
	python3 -c 'import sys; f, a, b = sys.argv[1:]; s = open(f).read(); open(f, "w").write(s.replace(a, b))' "$cluster/$1" "$2" "$3"
}
# shellcheck disable=SC2016
{
	change up.sh 'ip link set "$NAME-br" up' 'ip link set "$NAME-br" up; ip addr add "$NET6::1/64" dev "$NAME-br" nodad'
	change up.sh '$in route add default via "$NET.1"' '$in route add default via "$NET.1"; $in addr add "$NET6::1$i/64" dev eth0 nodad; $in -6 route add default via "$NET6::1"'
	change up.sh '$in route add "$PODNET.$j.0/24" via "$NET.1$j"; done' \
		'$in route add "$PODNET.$j.0/24" via "$NET.1$j"; [ "$j" = "$i" ] || $in -6 route add "$POD6$j::/64" via "$NET6::1$j"; done'
	change up.sh 'sysctl -qw net.ipv4.ip_forward=1' 'sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1; ip -6 route add "$POD6$i::/64" via "$NET6::1$i"'
	change up.sh '="$SVCNET.0.0/16"' '="$SVCNET.0.0/16,$SVC6"'
	change up.sh '\"podCIDRs\":[\"$PODNET.$i.0/24\"]' '\"podCIDRs\":[\"$PODNET.$i.0/24\",\"$POD6$i::/64\"]'
	change node.sh '[[{"subnet": "$PODNET.$i.0/24"}]]' '[[{"subnet": "$PODNET.$i.0/24"}], [{"subnet": "$POD6$i::/64"}]]'
	change node.sh '[{"dst": "0.0.0.0/0"}]' '[{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]'
	change node.sh 'clusterCIDR: $PODNET.0.0/16' 'clusterCIDR: $PODNET.0.0/16,${POD6}0::/60'
	change node.sh '--node-ip="$NET.1$i"' '--node-ip="$NET.1$i,$NET6::1$i"'
}
[ "$failed" = 0 ] || finish
net6="fd5c:$(($$ % 9999))"
export NET6=$net6:0:1 POD6=$net6:0:10 SVC6=$net6:0:ff::/112
cluster_up
import build/images/sockmesh.tar && import build/images/samples.tar || { fail "images are imported"; finish; }
check "install" meshctl install
rollout() { kubectl -n "$1" rollout status "$2" --timeout=90s; }
client_pod() { kubectl -n "$1" get pods -l app=client -o json | jq -r '[.items[] | select(.metadata.deletionTimestamp == null)][0].metadata.name'; }
kubectl create namespace coolapp > /dev/null
kubectl create namespace outside > /dev/null
kubectl apply -n istio-system -f tests/e2e/tutorial/smcp.yaml -f tests/e2e/tutorial/smmr.yaml > /dev/null
check "the control plane is in force" kubectl -n istio-system wait smcp/service-mesh-installation --for=condition=InForce --timeout=90s
kubectl -n coolapp apply -f tests/e2e/tutorial/catalog-v1.yaml -f tests/e2e/tutorial/catalog-v2.yaml -f tests/e2e/tutorial/partner.yaml \
	-f tests/e2e/tutorial/gateway.yaml -f tests/e2e/tutorial/client.yaml > /dev/null
kubectl -n outside apply -f tests/e2e/tutorial/client.yaml > /dev/null
kubectl apply -f tests/cluster/streams.yaml > /dev/null
for s in catalog partner gateway tcp-echo; do
	kubectl -n coolapp patch service $s --type=merge -p '{"spec":{"ipFamilyPolicy":"RequireDualStack"}}' > /dev/null || fail "$s gets both families"
done
for ns in coolapp outside; do
	check "pods of $ns" kubectl -n $ns wait --for=condition=Available deployment --all --timeout=90s
done
kubectl -n coolapp create -f - > /dev/null <<- Y
	apiVersion: v1
	kind: Service
	metadata: {name: six}
	spec: {ipFamilies: [IPv6], selector: {app: echo}, ports: [{name: http, port: 8080}]}
Y
client=$(client_pod coolapp)
client_node=$(kubectl -n coolapp get pod "$client" -o jsonpath='{.spec.nodeName}')
six() { kubectl -n coolapp get service "$1" -o json | jq -r '.spec.clusterIPs[] | select(contains(":"))'; }
same "a pod has an address of each family" "$(kubectl -n coolapp get pod "$client" -o json | jq '.status.podIPs | length')" 2
in_client() { kubectl -n coolapp exec "$client" -- "$@"; }
routed() { in_client curl -s -i -m 5 "$@" | tr -d '\r' | grep -ci '^x-envoy-upstream-service-time'; }

check "a name, over IPv6, is routed by request" eventually 20 eval '[ "$(routed -6 http://catalog:8080/)" = 1 ]'
same "an IPv6 ClusterIP is" "$(routed -g "http://[$(six catalog)]:8080/")" 1
same "and the same Service over IPv4" "$(routed -4 http://catalog:8080/)" 1
same "and a Service of IPv6 alone" "$(routed -6 http://six:8080/)" 1
same "a pod outside of the mesh has kube-proxy's IPv6" \
	"$(kubectl -n outside exec "$(client_pod outside)" -- curl -s -m 5 -o /dev/null -w '%{http_code}' -g "http://[$(six catalog)]:8080/")" 200

kubectl -n coolapp apply -f tests/e2e/tutorial/destination-rule-catalog.yaml -f tests/e2e/tutorial/virtual-service-catalog-70-30.yaml > /dev/null
meshctl -n coolapp wait virtualservice/catalog --for=condition=InForce --timeout=10s > /dev/null 2>&1 || sleep 2
in_client sh -c 'for i in $(seq 200); do curl -s -6 -m 5 http://catalog:8080/; done' > "$T/seventy" 2>&1
same "weights, over IPv6: answers" "$(grep -c '^catalog v[12]' "$T/seventy")" 200
within "of them by the version that gets 70 %" "$(sort "$T/seventy" | grep -o '^catalog v[12]' | uniq -c | sort -rn | awk 'NR == 1 { print $1 }')" 115 165
kubectl -n coolapp apply -f tests/e2e/tutorial/virtual-service-catalog-v2.yaml > /dev/null
meshctl -n coolapp wait virtualservice/catalog --for=condition=InForce --timeout=10s > /dev/null 2>&1 || sleep 2
in_client sh -c 'for i in $(seq 30); do curl -s -6 -m 5 http://catalog:8080/; done' > "$T/v2" 2>&1
same "a rule, over IPv6: all by v2" "$(grep -c '^catalog v2' "$T/v2")" 30

kubectl -n coolapp apply -f tests/e2e/tutorial/ingress-gateway.yaml > /dev/null
gateway() { kubectl -n istio-system get service istio-ingressgateway -o json; }
same "the gateway's Service has both families" "$(gateway | jq '.spec.clusterIPs | length')" 2
port=$(gateway | jq '.spec.ports[] | select(.port == 80) | .nodePort')
enters() { [ "$(curl -s -g -m 5 -o /dev/null -w '%{http_code}' "http://$1:$port/")" = 200 ]; }
check "the way in, over IPv4" eventually 20 enters "$NET.11"
check "and over IPv6" eventually 20 enters "[$NET6::11]"
check "and at the other node" eventually 20 enters "[$NET6::12]"

in_pod_run coolapp "$client" tests/cluster/streams.py --seconds 10 --l4 "[$(six tcp-echo)]:7000" --l7 "[$(six six)]:8080" > "$T/streams" 2>&1 &
streams=$!
sleep 3
kill -KILL "$(agent_pid "${client_node#n}")"
wait $streams
sed 's/^/   /' "$T/streams"
same "TCP over IPv6 goes on when the agent is killed" "$(sed -n 's/^l4 //p' "$T/streams")" "20 streams, 0 broken, 0 wrong bytes"
within "and of requests over IPv6 fail" "$(sed -n 's/^l7 .* answers, \([0-9]*\) failures.*/\1/p' "$T/streams")" 0 1
for i in $(nodes); do
	on_node "$i" "$BUILD/meshd" agent --status --socket /run/sockmesh/agent.sock > "$T/status.$i" 2>&1
	same "node $i: no pod is in trouble" "$(jq '[.pods[] | select(.trouble)] | length' "$T/status.$i")" 0
done
check "uninstall" meshctl uninstall
same "a running pod keeps its network, over IPv6 too" "$(in_client curl -s -6 -m 5 -o /dev/null -w '%{http_code}' http://catalog:8080/)" 200
finish
