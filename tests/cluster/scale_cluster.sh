#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SERVICES (10000) of ENDPOINTS (10) each as objects in a real cluster's API, with the mesh installed on its two nodes: how long an
# agent that starts takes to be in force, what it holds, what connect() costs in the program by the kernel's own count, how soon a
# change is in force. kube-proxy is stopped meanwhile: it would write rules for all of them. LIMITS=1: fail beyond 5 s and 60 MiB.
. "$(dirname "$0")/lib.sh"
services=${SERVICES:-10000} endpoints=${ENDPOINTS:-10}
scale() { python3 tests/cluster/scale_cluster.py "$@"; }
status_of() { on_node "$1" "$BUILD/meshd" agent --status --socket /run/sockmesh/agent.sock; }
mono_ms() { python3 -c 'import time; print(time.monotonic_ns() // 1000000)'; }

cluster_up
import build/images/sockmesh.tar && import build/images/samples.tar || { fail "images are imported"; finish; }
check "install" meshctl install
kubectl apply -n istio-system -f tests/e2e/tutorial/smcp.yaml > /dev/null
sed 's/coolapp/clients/' tests/e2e/tutorial/smmr.yaml | kubectl apply -n istio-system -f - > /dev/null
kubectl create namespace clients > /dev/null
kubectl create namespace scale > /dev/null
kubectl -n clients apply -f tests/e2e/tutorial/client.yaml > /dev/null
check "the client is available" kubectl -n clients wait --for=condition=Available deployment --all --timeout=90s
[ "$failed" = 0 ] || finish
client=$(kubectl -n clients get pods -l app=client -o jsonpath='{.items[0].metadata.name}')
node=$(kubectl -n clients get pod "$client" -o jsonpath='{.spec.nodeName}')
for i in $(nodes); do on_node "$i" bash -c 'for p in /proc/[0-9]*; do
	tr "\0" " " < $p/cmdline 2> /dev/null | grep -q "kube-prox[y] --config" && kill -STOP ${p#/proc/}; done; true'; done

connect_program() { # the id of the one that is attached on the client's node
	# shellcheck disable=SC2016
	on_node "${node#n}" bash -c 'for l in $(find /sys/fs/bpf/sockmesh -path "*/links/*"); do bpftool -j link show pinned "$l" 2> /dev/null; done' |
		jq -r 'if type == "array" then .[] else . end | .prog_id' | while read -r id; do
		[ "$(bpftool -j prog show id "$id" | jq -r .name)" != connect4 ] || echo "$id"; done | head -1
}
counted() { bpftool -j prog show id "$1" | jq -r '"\(.run_time_ns // 0) \(.run_cnt // 0)"'; }
stats_before=$(sysctl -n kernel.bpf_stats_enabled)
connects() { # connects WHAT: the mean of 8,000, the least of three times
	local id best=999999 t0 n0 t1 n1 _
	kubectl -n scale get services -o jsonpath='{range .items[*]}{.spec.clusterIP}{"\n"}{end}' > "$T/addresses"
	id=$(connect_program)
	sysctl -qw kernel.bpf_stats_enabled=1
	for _ in 1 2 3; do
		read -r t0 n0 < <(counted "$id")
		in_pod_run clients "$client" python3 tests/cluster/scale_cluster.py burst 8000 < "$T/addresses" > "$T/burst" || fail "connects" "$(cat "$T/burst")"
		read -r t1 n1 < <(counted "$id")
		[ "$n1" -gt "$n0" ] && [ $(((t1 - t0) / (n1 - n0))) -lt $best ] && best=$(((t1 - t0) / (n1 - n0)))
	done
	sysctl -qw kernel.bpf_stats_enabled="$stats_before"
	echo "   connect4 with $1 services: $best ns ($(cat "$T/burst"))"
}
held() { for i in $(nodes); do echo "   $1, agent of node $i: RSS $(($(rss_kb "$(agent_pid "$i")") / 1024)) MiB, $(status_of "$i" | jq -c '{services: .dataplane.services, publishUs: .config.publishUs}')"; done; }
scale fill "$KUBECONFIG" scale 0 10 "$endpoints"
sleep 2
connects 10
held "10 services"
scale fill "$KUBECONFIG" scale 10 "$services" "$endpoints"
# all_there N: that node's agent has every slice in force
all_there() { [ "$(status_of "$1" | jq -r '.config.versions["endpointslices.discovery.k8s.io"] // 0')" -ge "$last" ]; }
last=$(kubectl -n scale get endpointslice "svc-$((services - 1))-abcde" -o jsonpath='{.metadata.resourceVersion}')
for i in $(nodes); do check "node $i's agent has them all in force" eventually 60 all_there "$i"; done
sleep 5
held "$services services"
connects "$services"
sockets=()
for i in $(nodes); do
	inside=/proc/$(awk -v n="n$i" '$3 == n { p = $1 } END { print p }' "$D/pids")/root
	sockets+=("$inside/run/sockmesh/agent.sock")
done
echo "   a change, in force on both agents, ms after the API's answer: $(scale changes "$KUBECONFIG" scale "$endpoints" "${sockets[@]}")"
# Another process, that has them all, from the API. Its status counts entries of maps, which costs more than to ask for its health.
again() { on_node "$i" "$BUILD/meshd" agent --health --socket /run/sockmesh/agent.sock && status_of "$i" | holds --argjson old "$old" '.pid != $old and .published and (.api.fromSnapshot | not)' && all_there "$i"; }
for i in $(nodes); do
	took=()
	for _ in 1 2 3; do
		sleep 6
		old=$(status_of "$i" | jq .pid) target=$(agent_pid "$i")
		began=$(mono_ms)
		kill -KILL "$target"
		check "node $i's agent is in force again" eventually 60 again
		took+=($(($(mono_ms) - began)))
	done
	echo "   node $i, another agent: $(status_of "$i" | jq -c '{services: .dataplane.services, config: (.config | {publishes, publishUs, publishUnits})}')"
	within "node $i: ms from the start of an agent to in force, median of ${took[*]}" "$(printf '%s\n' "${took[@]}" | sort -n | sed -n 2p)" \
		1 "$([ -n "${LIMITS:-}" ] && echo 5000 || echo 60000)"
	sleep 6
	within "node $i: its RSS, KiB" "$(rss_kb "$(agent_pid "$i")")" 1 "$([ -n "${LIMITS:-}" ] && echo 61440 || echo 122880)"
done
finish
