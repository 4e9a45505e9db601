#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a pod reaches by a Service: a pod of the mesh the same as any other pod, whatever carries the others
# (MODES: kube-proxy in iptables mode, in nftables mode, or none at all, then without the others). And that what comes
# to pods of the mesh is as it was: probes, port-forward, exec, logs, hostPort.
if [ -z "${MODE:-}" ]; then
	status=0
	for mode in ${MODES:-iptables nftables none}; do MODE=$mode bash "$0" || status=1; done
	exit $status
fi
. "$(dirname "$0")/lib.sh"
mode=$MODE
asked=$T/asked
client=$PWD/tests/cluster/services_client.py

ip_of() { kubectl -n shop get service "$1" -o jsonpath='{.spec.clusterIP}'; }
pod_ip() { kubectl -n shop get pod "$1" -o jsonpath='{.status.podIP}'; }

# backend POD: the part of it that busybox has not
backend() { in_pod_run shop "$1" setsid python3 "$PWD/tests/cluster/services_backend.py" "$1" > "$T/backend.$1" 2>&1 < /dev/null {alive_fd}>&- & }
# start_agent N: by hand, on the node, in a cgroup of its own there
start_agent() {
	# shellcheck disable=SC2016
	on_node "$1" bash -c 'd=/sys/fs/cgroup/unified/mesh-agent; mkdir -p $d && echo $$ > $d/cgroup.procs && mkdir -p /run/sockmesh && exec "$@"' _ \
		"$PWD/build/meshd" agent --node "n$1" --kubeconfig "$D/admin.kubeconfig" --cgroup-root /sys/fs/cgroup/unified \
		--pin-dir "/sys/fs/bpf/sockmesh/$NAME-n$1" --socket /run/sockmesh/agent.sock > "$T/agent.$1" 2>&1 < /dev/null {alive_fd}>&- &
}
stop_agent() {
	# shellcheck disable=SC2016
	on_node "$1" bash -c 'for i in 1 2 3 4 5 6 7 8 9 10; do p=$(cat /sys/fs/cgroup/unified/mesh-agent/cgroup.procs 2> /dev/null); [ -n "$p" ] || break; kill $p; sleep .5; done
		"$@" agent --detach --pin-dir "/sys/fs/bpf/sockmesh/$0"' "$NAME-n$1" "$PWD/build/meshd"
}
in_force() { [ "$(kubectl -n istio-system get lease "sockmesh-agent-n$1" -o jsonpath='{.metadata.annotations.sockmesh\.io/in-force}' 2> /dev/null)" != "" ]; }
# agent_says N PYTHON: an expression over what the agent of node N says of its data plane, d
agent_says() {
	on_node "$1" python3 -c '
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect("/run/sockmesh/agent.sock")
s.sendall(b"{\"cmd\":\"status\"}\n")
d = json.loads(s.makefile().readline())["dataplane"]
print(eval(sys.argv[1]))' "$2" 2> /dev/null
}
captured() { [ "$(agent_says "$1" "any(p['name'] == 'client-$1' for p in d['pods'])")" = True ]; }
refusals() { agent_says "$1" "sum(r['count'] for r in d['refused'] if (r['reason'], r['pod']) == ('$2', '$3'))"; }

mesh_up() {
	local i
	build/meshctl crds | kubectl apply --server-side -f - > "$T/crds" 2>&1 || { fail "CRDs" "$(cat "$T/crds")"; exit 1; }
	kubectl wait --for=condition=Established crd --all --timeout=30s > /dev/null
	kubectl create namespace istio-system > /dev/null
	kubectl apply -f - > /dev/null <<- Y
		apiVersion: maistra.io/v1
		kind: ServiceMeshMemberRoll
		metadata: {name: default, namespace: istio-system}
		spec: {members: [shop]}
	Y
	# Control would say so.
	kubectl -n istio-system patch smmr default --subresource=status --type=merge \
		-p '{"status":{"configuredMembers":["shop"],"observedGeneration":1}}' > /dev/null
	for i in $(nodes); do start_agent "$i"; done
	for i in $(nodes); do
		within_s 20 "agent of node $i is in force" in_force "$i"
		within_s 20 "the client on node $i is captured" captured "$i"
	done
}
# within_s SECONDS NAME COMMAND...
within_s() {
	local s=$1 name=$2 end
	shift 2
	end=$(($(now_ms) + s * 1000))
	until "$@"; do
		[ "$(now_ms)" -lt "$end" ] || { fail "$name" "not in $s s; $(tail -n 3 "$T"/agent.[12] 2> /dev/null)"; return; }
		sleep 0.1
	done
	ok "$name"
}

# case NAME CLIENT PROBE EXPECTED: collected, then asked in one go for each pod. EXPECTED: who answers; or "one" (any
# one and the same); a word for how it fails; "as outside" (nothing of ours); "refused, not timeout": the node drops
# what we refuse at once.
case_names=() case_clients=() case_probes=() case_expected=()
a_case() {
	case_names+=("$1") case_clients+=("$2") case_probes+=("$3") case_expected+=("$4")
}
# ask_all NAMESPACE: all cases, from the pods of that namespace; answers in $asked.NAMESPACE, one a line, in order
ask_all() {
	local c i n=0
	for c in 1 2; do
		local probes=()
		for i in "${!case_names[@]}"; do [ "${case_clients[i]}" != "$c" ] || probes+=("${case_probes[i]}"); done
		in_pod_run "$1" "client-$c" python3 "$client" "${probes[@]}" > "$asked.$1.$c" 2>&1
	done
	: > "$asked.$1"
	local -A at=([1]=0 [2]=0)
	for i in "${!case_names[@]}"; do
		c=${case_clients[i]}
		at[$c]=$((at[$c] + 1))
		n=${at[$c]}
		sed -n "${n}p" "$asked.$1.$c" >> "$asked.$1"
	done
}
judge() { # WHO NAME GOT EXPECTED OTHER
	case $4 in
	one) if [[ "$3" =~ ^be-[123]$ ]]; then ok "$1: $2"; else fail "$1: $2" "one endpoint, not: $3"; fi ;;
	"as outside") [ -z "$5" ] || same "$1: $2" "$3" "$5" ;;
	"refused, not timeout") if [ "$1" = outside ]; then [ "$3" = timeout ] || [ "$3" = refused ]; else [ "$3" = refused ]; fi &&
		ok "$1: $2" || fail "$1: $2" "got $3" ;;
	*) same "$1: $2" "$3" "$4" ;;
	esac
}
compare() {
	local i got other
	ask_all shop
	[ "$mode" = none ] || ask_all outside
	for i in "${!case_names[@]}"; do
		got=$(sed -n "$((i + 1))p" "$asked.shop")
		other=
		[ "$mode" = none ] || {
			other=$(sed -n "$((i + 1))p" "$asked.outside")
			judge outside "${case_names[i]}" "$other" "${case_expected[i]}" ""
		}
		judge mesh "${case_names[i]}" "$got" "${case_expected[i]}" "$other"
	done
	case_names=() case_clients=() case_probes=() case_expected=()
}

the_cases() {
	local plain sticky all="be-1 be-2 be-3" tries=40
	plain=$(ip_of plain)
	sticky=$(ip_of sticky)
	a_case "ClusterIP, TCP, a named target port" 1 "tcp:$plain:15432:$tries" "$all"
	a_case "ClusterIP, UDP, connected" 1 "udp:$plain:53:$tries" "$all"
	a_case "ClusterIP, UDP, unconnected" 1 "udpu:$plain:53:$tries" "$all"
	a_case "ClusterIP, the same port by TCP" 1 "tcp:$plain:53:$tries" "$all"
	a_case "ClusterIP, HTTP" 1 "http:$plain:80:$tries" "$all"
	a_case "ClusterIP, a port that nothing serves" 1 "tcp:$plain:9999:1" "as outside"
	a_case "an address that no Service has" 1 "tcp:$SVCNET.200.200:80:1" "as outside"
	a_case "no endpoint, TCP" 1 "tcp:$(ip_of empty):15432:1" refused
	a_case "no endpoint, UDP" 1 "udp:$(ip_of empty):53:1" refused
	a_case "session affinity, TCP" 1 "tcp:$sticky:15432:$tries" one
	a_case "session affinity, UDP" 1 "udp:$sticky:53:$tries" one
	a_case "session affinity, HTTP" 1 "http:$sticky:80:$tries" one
	a_case "NodePort of the own node, TCP" 1 "tcp:$(node_ip 1):30432:$tries" "$all"
	a_case "NodePort of the own node, UDP" 1 "udp:$(node_ip 1):30053:$tries" "$all"
	a_case "NodePort of another node, TCP" 1 "tcp:$(node_ip 2):30432:$tries" "$all"
	a_case "NodePort of another node, UDP, unconnected" 1 "udpu:$(node_ip 2):30053:$tries" "$all"
	a_case "NodePort, HTTP" 1 "http:$(node_ip 1):30080:$tries" "$all"
	a_case "a node's port that no Service has" 1 "tcp:$(node_ip 1):30999:1" "as outside"
	a_case "NodePort, externalTrafficPolicy Local, a node with endpoints" 1 "tcp:$(node_ip 2):30433:$tries" "be-2 be-3"
	a_case "NodePort, externalTrafficPolicy Local, a node without" 1 "tcp:$(node_ip 1):30433:$tries" "be-2 be-3"
	a_case "externalIPs, TCP" 1 "tcp:203.0.113.10:15432:$tries" "$all"
	a_case "externalIPs, UDP" 1 "udp:203.0.113.10:53:$tries" "$all"
	a_case "externalIPs, HTTP" 1 "http:203.0.113.10:80:$tries" "$all"
	a_case "LoadBalancer's address" 1 "tcp:203.0.113.20:15432:$tries" "$all"
	a_case "internalTrafficPolicy Local, one here" 1 "tcp:$(ip_of local):15432:$tries" be-1
	a_case "internalTrafficPolicy Local, two there" 2 "tcp:$(ip_of local):15432:$tries" "be-2 be-3"
	a_case "internalTrafficPolicy Local, none here" 1 "tcp:$(ip_of local-n2):15432:1" "refused, not timeout"
	a_case "trafficDistribution PreferClose, zone a" 1 "tcp:$(ip_of close):15432:$tries" be-1
	a_case "trafficDistribution PreferClose, zone b" 2 "tcp:$(ip_of close):15432:$tries" "be-2 be-3"
	a_case "trafficDistribution PreferClose, none in the zone" 1 "tcp:$(ip_of close-elsewhere):15432:$tries" "be-2 be-3"
	a_case "trafficDistribution PreferSameNode" 1 "tcp:$(ip_of same-node):15432:$tries" be-1
	a_case "publishNotReadyAddresses" 1 "tcp:$(ip_of unready):15432:3" unready
	a_case "an endpoint that is not ready" 1 "tcp:$(ip_of unready-hidden):15432:1" refused
	a_case "no selector, a slice by hand" 1 "tcp:$(ip_of manual):15432:3" be-2
	a_case "headless: a pod's own address" 1 "tcp:$(pod_ip be-3):5432:3" be-3
	a_case "headless, HTTP" 1 "http@headless:$(pod_ip be-3):8080:5" be-3
	a_case "ExternalName's Host passes" 1 "http@alias.shop:$plain:80:$tries" "$all"
}

# Once both hints are there: the controllers write them a moment after the Services.
hinted() {
	[ "$(kubectl -n shop get endpointslices -l "kubernetes.io/service-name=$1" -o json | jq '[.items[].endpoints[] | select(.hints != null)] | length')" = "$2" ]
}
apply_all() {
	kubectl label node n1 topology.kubernetes.io/zone=a --overwrite > /dev/null
	kubectl label node n2 topology.kubernetes.io/zone=b --overwrite > /dev/null
	kubectl apply -f tests/cluster/services.yaml > "$T/apply" 2>&1 || { fail "apply" "$(cat "$T/apply")"; exit 1; }
	kubectl -n shop wait --for=condition=Ready pod/be-1 pod/be-2 pod/be-3 pod/ending pod/client-1 pod/client-2 --timeout=60s > /dev/null || exit 1
	kubectl -n outside wait --for=condition=Ready pod --all --timeout=60s > /dev/null
	kubectl -n shop patch service balanced --subresource=status --type=merge \
		-p '{"status":{"loadBalancer":{"ingress":[{"ip":"203.0.113.20"}]}}}' > /dev/null
	kubectl -n shop apply -f - > /dev/null <<- Y
		apiVersion: discovery.k8s.io/v1
		kind: EndpointSlice
		metadata: {name: manual-1, labels: {kubernetes.io/service-name: manual}}
		addressType: IPv4
		ports: [{name: sql, port: 5432}]
		endpoints: [{addresses: ["$(pod_ip be-2)"], conditions: {ready: true}}]
	Y
	for p in be-1 be-2 be-3 unready ending; do backend "$p"; done
	within_s 20 "hints are written" hinted close 3
}

# The timeout of an affinity of 2 s: the same within it, others after it.
affinity_ends() {
	local ip ns i got=
	ip=$(ip_of sticky-short)
	for ns in shop outside; do
		[ "$mode" != none ] || [ "$ns" = shop ] || continue
		got=
		for i in 1 2 3 4 5 6 7 8; do
			got="$got $(in_pod_run "$ns" client-1 python3 "$client" "tcp:$ip:15432:5")"
			sleep 2.5
		done
		if [ "$(tr ' ' '\n' <<< "$got" | sort -u | grep -c .)" -gt 1 ] && [ "$(wc -w <<< "$got")" = 8 ]; then
			ok "$ns: an affinity of 2 s holds for that long"
		else fail "$ns: an affinity of 2 s holds for that long" "answers:$got"; fi
	done
}
# An endpoint that ends and serves is better than none; its node's for Local.
ending() {
	kubectl -n shop delete pod ending --wait=false > /dev/null
	within_s 10 "the slice says that the pod ends" eval '[ "$(kubectl -n shop get endpointslices -l kubernetes.io/service-name=ending -o jsonpath="{.items[0].endpoints[0].conditions.terminating}")" = true ]'
	sleep 1.5 # kube-proxy's turn
	a_case "only an endpoint that ends" 1 "tcp:$(ip_of ending):15432:3" ending
	a_case "only an endpoint that ends, Local, here" 2 "tcp:$(ip_of ending-local):15432:3" ending
	a_case "only an endpoint that ends, Local, elsewhere" 1 "tcp:$(ip_of ending-local):15432:1" "refused, not timeout"
	compare
}
# A UDP socket goes on when its endpoint is gone.
udp_gone() {
	local first last
	in_pod_run shop client-1 python3 "$client" "keep:$(ip_of plain):53:60" > "$T/keep" 2>&1 &
	sleep 1.5
	kubectl -n shop delete pod be-2 be-3 --wait=false > /dev/null
	wait $!
	first=$(awk '{ print $1 }' "$T/keep")
	last=$(awk '{ print $NF }' "$T/keep")
	same "an unconnected UDP socket ends at the endpoint that is left" "$last" be-1
	within "datagrams lost on the way" "$(tr ' ' '\n' < "$T/keep" | grep -c '^-$')" 0 3
	same "one endpoint until then" "$(tr ' ' '\n' < "$T/keep" | head -3 | sort -u)" "$first"
}
inbound() {
	local port pid
	same "probes of kubelets: no restart" "$(kubectl -n shop get pods -o jsonpath='{.items[*].status.containerStatuses[*].restartCount}' | tr ' ' '\n' | sort -u)" 0
	same "probes of kubelets: ready" "$(kubectl -n shop get pods be-1 be-2 be-3 -o jsonpath='{.items[*].status.containerStatuses[*].ready}')" "true true true"
	same "exec" "$(kubectl -n shop exec be-1 -- hostname)" be-1
	same "logs" "$(kubectl -n shop logs be-1 | grep -c 'be-1 serves')" 1
	kubectl -n shop port-forward pod/be-1 :8080 > "$T/forward" 2>&1 < /dev/null &
	pid=$!
	within_s 10 "port-forward listens" grep -q Forwarding "$T/forward"
	port=$(sed -n 's/.*127\.0\.0\.1:\([0-9]*\) .*/\1/p' "$T/forward" | head -1)
	same "port-forward" "$(curl -s -m 5 "http://127.0.0.1:$port/")" be-1
	kill "$pid"
	same "hostPort, from the machine" "$(curl -s -m 5 "http://$(node_ip 1):18080/")" be-1
	same "hostPort, from a pod of the mesh" "$(in_pod_run shop client-2 python3 "$client" "http:$(node_ip 1):18080:1")" be-1
	same "a pod that is not of the mesh reaches one that is" "$(in_pod_run outside client-1 python3 "$client" "http:$(pod_ip be-2):8080:1")" be-2
}
# By address; by Host at every address; a rule for a host whose endpoint is what was connected to.
service_entries() {
	kubectl -n shop apply -f - > "$T/entries" 2>&1 <<- Y || fail "ServiceEntries are accepted" "$(cat "$T/entries")"
		apiVersion: networking.istio.io/v1
		kind: ServiceEntry
		metadata: {name: by-address}
		spec:
		 hosts: [api.test]
		 addresses: [203.0.113.50]
		 resolution: STATIC
		 ports: [{number: 6000, name: sql, protocol: TCP, targetPort: 5432}]
		 endpoints: [{address: $(pod_ip be-1)}]
		---
		apiVersion: networking.istio.io/v1
		kind: ServiceEntry
		metadata: {name: by-host}
		spec:
		 hosts: [web.test]
		 resolution: STATIC
		 ports: [{number: 8080, name: http, protocol: HTTP}]
		 endpoints: [{address: $(pod_ip be-2)}]
		---
		apiVersion: networking.istio.io/v1
		kind: ServiceEntry
		metadata: {name: none}
		spec: {hosts: [none.test], resolution: NONE, ports: [{number: 8080, name: http, protocol: HTTP}]}
		---
		apiVersion: networking.istio.io/v1
		kind: VirtualService
		metadata: {name: none}
		spec:
		 hosts: [none.test]
		 http:
		 - {match: [{uri: {prefix: /}}], route: [{destination: {host: none.test}}]}
	Y
	within_s 5 "ServiceEntry, TCP by address" eval '[ "$(in_pod_run shop client-1 python3 "$client" "tcp:203.0.113.50:6000:3")" = be-1 ]'
	same "ServiceEntry, HTTP by Host, at any address" "$(in_pod_run shop client-1 python3 "$client" "http@web.test:203.0.113.99:8080:3")" be-2
	same "ServiceEntry, resolution NONE, with a rule" "$(in_pod_run shop client-1 python3 "$client" "http@none.test:$(pod_ip be-3):8080:3")" be-3
	same "ServiceEntry, a host of none: passes" "$(in_pod_run shop client-1 python3 "$client" "http@other.test:$(pod_ip be-3):8080:3")" be-3
	same "ServiceEntry, a pod outside the mesh" "$(in_pod_run outside client-1 python3 "$client" "http@web.test:$(pod_ip be-3):8080:3")" be-3
	kubectl -n shop delete serviceentry --all > /dev/null
	kubectl -n shop delete virtualservice none > /dev/null
}
# Rules with a headless Service's host, by the Host of a request to one of its pods.
headless_rule() {
	kubectl -n shop apply -f - > /dev/null <<- Y
		apiVersion: networking.istio.io/v1
		kind: VirtualService
		metadata: {name: headless}
		spec:
		 hosts: [headless]
		 http:
		 - {match: [{uri: {prefix: /nowhere}}], route: [{destination: {host: empty, port: {number: 15432}}}]}
		 - {route: [{destination: {host: headless}}]}
	Y
	within_s 5 "a headless Service's pods are routed to by request" eval \
		'[ "$(in_pod_run shop client-1 python3 -c "import http.client as h; c = h.HTTPConnection(\"$(pod_ip be-3)\", 8080); c.request(\"GET\", \"/nowhere/x\", headers={\"Host\": \"headless:8080\"}); print(c.getresponse().status)")" = 503 ]'
	same "and stay with the pod that was connected to" "$(in_pod_run shop client-1 python3 "$client" "http@headless:$(pod_ip be-3):8080:10")" be-3
	kubectl -n shop delete virtualservice headless > /dev/null
}

echo "== kube-proxy: $mode"
case $mode in
none) # and no cluster DNS, which would not find the API server
	ln -s "$HYPER" "$T/hyper"
	export KUBE_PROXY=0 PROXY_MODE=iptables HYPER=$T/hyper CLUSTER_IMAGES=/tmp/sockmesh-test-images-no-dns
	;;
*) export KUBE_PROXY=1 PROXY_MODE=$mode ;;
esac
if [ -f "${D:-}/ready" ]; then # a cluster that is there, of that mode: used as it is
	exec {alive_fd}> /dev/null
	trap 'for i in $(nodes); do stop_agent "$i"; done; rm -rf "$T"' EXIT
else
	cluster_up
fi
apply_all
mesh_up
the_cases
compare
inbound
headless_rule
service_entries
affinity_ends
ending
same "refusals have names" "$([ "$(refusals 1 no_endpoint client-1)" -ge 3 ] && [ "$(refusals 1 no_local_endpoint client-1)" -ge 1 ] && echo yes)" yes
udp_gone
[ "$failed" = 0 ] || tail -n 5 "$T"/agent.[12]
finish
