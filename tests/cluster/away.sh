#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The API server is away for MINUTES (60), controllers too, while requests go on: after a third of the time an agent is killed, after
# half of it an agent with its keeper, and shortly before the end two rules that only make sense together change. Tokens of
# ServiceAccounts are not honoured beyond their hour (--service-account-extend-token-expiration=false), so what was away for
# longer than that comes back with one that has expired. What agents hold and log is compared.
. "$(dirname "$0")/lib.sh"
minutes=${MINUTES:-60}
away() { python3 tests/cluster/api_away.py "$cluster" "$T" "$@"; }
status_of() { on_node "$1" "$BUILD/meshd" agent --status --socket /run/sockmesh/agent.sock; }
api_answers() { kubectl get --raw /readyz > /dev/null 2>&1; }
mono_ns() { python3 -c 'import time; print(time.monotonic_ns())'; }
ms() { echo $(($(mono_ns) / 1000000)); }
renewed() { kubectl -n kube-node-lease get lease "$1" -o jsonpath='{.spec.renewTime}'; }

cluster_up
away again --service-account-extend-token-expiration=false
eventually 60 api_answers || { fail "the API server answers with its new flag"; finish; }
import build/images/sockmesh.tar && import build/images/samples.tar || { fail "images are imported"; finish; }
check "install" meshctl install
kubectl apply -n istio-system -f tests/e2e/tutorial/smcp.yaml > /dev/null
sed 's/coolapp/away/' tests/e2e/tutorial/smmr.yaml | kubectl apply -n istio-system -f - > /dev/null
kubectl create namespace away > /dev/null
kubectl -n away apply -f tests/cluster/away.yaml > /dev/null
check "the services are available" kubectl -n away wait --for=condition=Available deployment --all --timeout=90s
subset_rules away echo one v1 | kubectl apply -f - > /dev/null
client=$(kubectl -n away get pods -l app=client -o jsonpath='{.items[0].metadata.name}')
node=$(kubectl -n away get pod "$client" -o jsonpath='{.spec.nodeName}')
n=${node#n}
vip=$(kubectl -n away get service echo -o jsonpath='{.spec.clusterIP}')
plain=$(kubectl -n away get service plain -o jsonpath='{.spec.clusterIP}')
read -r client_pid client_cgroup < <(pod_pid away "$client")
by_v1() { [ "$(in_pod_run away "$client" curl -s -m 2 "http://$vip:8080/" | grep -c '"pod": "echo-v1')" = 1 ]; }
check "a rule before" eventually 20 by_v1
[ "$failed" = 0 ] || finish
pods=$(kubectl -n away get pods -o jsonpath='{.items[*].metadata.name}')

: > "$T/kills"
in_pod_run away "$client" "$BUILD/bench/load" -c 4 -r 5 -d 100000 -u "$T/stop" -o "$T/load" -f "$T/load.failed" -k pod "$vip:8080/" > "$T/load.out" 2>&1 &
load=$!
# New connections that the kernel alone balances, one a second: no agent is needed for them.
bash -c 'echo $$ > "$1/cgroup.procs"; while [ ! -e "$3" ]; do
	nsenter --net="/proc/$2/ns/net" -- curl -s -m 3 -o /dev/null -w "%{http_code}\n" "http://$4:8080/"; sleep 1; done' \
	_ "$client_cgroup" "$client_pid" "$T/stop" "$plain" > "$T/plain" 2>&1 &
plain_load=$!

# held WHEN: what each agent holds and has logged, on the nodes themselves since nobody else can say
held() {
	local i pid
	for i in $(nodes); do
		pid=$(status_of "$i" 2> /dev/null | jq -r '.pid // empty')
		[ -n "$pid" ] || { fail "$1: node $i has an agent"; continue; }
		on_node "$i" bash -c 'pid=$1; echo "RSS $(awk "/^VmRSS/ { print \$2 }" /proc/$pid/status) KiB, $(ls /proc/$pid/fd | wc -l) descriptors,"\
			"CPU $(awk "{ print \$14 + \$15 }" /proc/$pid/stat) ticks, of pid $pid; log of agents"\
			"$(cat /var/log/pods/sockmesh-system_sockmesh-agent-*/agent/*.log | wc -lc | awk "{ print \$1 \" lines, \" \$2 \" bytes\" }"),"\
			"of control $(cat /var/log/pods/sockmesh-system_sockmesh-control-*/*/*.log 2> /dev/null | wc -lc | awk "{ print \$1 \" lines, \" \$2 \" bytes\" }")"' \
			_ "$pid" > "$T/held.$1.$i" 2>&1
		echo "   $1, node $i: $(cat "$T/held.$1.$i")"
	done
}
number() { sed -n "s/.*$3.*/\1/p" "$T/held.$1.$2"; } # number WHEN NODE PATTERN
sleep 5
before=("$(renewed n1)" "$(renewed n2)")
held before
away away
began=$(ms)
at() { # at PER_MILLE: sleeps until so much of the time is over
	local left=$((began + minutes * 60 * $1 - $(ms)))
	[ "$left" -le 0 ] || sleep "$((left / 1000)).$(printf %03d $((left % 1000)))"
}
from_snapshot() { status_of "$n" | holds --argjson old "${old:-0}" '.pid != $old and .published and .api.fromSnapshot'; }
kill_one() { # kill_one agent|container
	local t
	old=$(status_of "$n" | jq .pid)
	t=$(ms)
	echo "$(mono_ns) $1 of node $n" >> "$T/kills"
	away "$1" "$n"
	sleep 0.5
	check "after $(((t - began) / 60000)) min: $1 killed: an agent is in force from its snapshot" eventually 120 from_snapshot
	echo "   $(($(ms) - t)) ms after it was killed"
}
at 100; held 10%
at 333; kill_one agent; sleep 6; held third
at 500; kill_one container; sleep 6; held half
at 750; held 75%
at 900
port=${PORT%443}444
elsewhere() { kubectl --server="https://$NET.1:$port" "$@"; }
elsewhere_answers() { elsewhere get --raw /readyz > /dev/null 2>&1; }
pid=$(away elsewhere "$port")
eventually 60 elsewhere_answers || fail "the API server answers elsewhere"
subset_rules away echo two v2 | elsewhere apply -f - > "$T/apply" 2>&1 || fail "rules change while agents do not see it" "$(cat "$T/apply")"
kill -KILL "$pid"
at 1000
held end
away back apiserver
eventually 60 api_answers || fail "the API server is back"
back=$(ms)
echo "   it was away for $(((back - began) / 1000)) s"
in_step() { local i; for i in $(nodes); do status_of "$i" | holds '.api.inStep and (.api.fromSnapshot | not)' > /dev/null || return 1; done; }
# A token that has expired is the kubelet's to make anew: it looks every minute or so.
check "agents are in step again" eventually 180 in_step
echo "   $(($(ms) - back)) ms after the API server answered"
nodes_live() { [[ "$(renewed n1)" > "${before[0]}" && "$(renewed n2)" > "${before[1]}" ]]; }
eventually 60 nodes_live || fail "nodes say that they live"
away back controller-manager
in_force() { meshctl status > "$T/status" 2>&1; }
check "meshctl status says that all is in force" eventually 120 in_force
leader() { kubectl -n sockmesh-system get lease sockmesh-control -o json | holds '(.spec.renewTime | sub("\\.[0-9]+"; "") | fromdateiso8601) > now - 15'; }
check "control has a leader again" eventually 120 leader
sleep 5
held after
: > "$T/stop"
wait "$load" "$plain_load"
# shellcheck disable=SC2086
python3 tests/cluster/away_judge.py "$T/load" 4 "$T/kills" $pods || failed=1
same "new connections that the kernel balances: answers that are not 200" "$(grep -vc '^200$' "$T/plain")" 0
echo "   $(wc -l < "$T/plain") of them"
for i in $(nodes); do
	within "node $i: lines that agents and control logged in that time" \
		"$(($(number end "$i" 'agents \([0-9]*\) lines') - $(number before "$i" 'agents \([0-9]*\) lines') +
			$(number end "$i" 'control \([0-9]*\) lines') - $(number before "$i" 'control \([0-9]*\) lines')))" 0 400
	within "node $i: RSS at the end, KiB" "$(number end "$i" 'RSS \([0-9]*\) KiB')" 1 20480
done
echo "   restarts: $(kubectl -n sockmesh-system get pods -o json | jq -r '[.items[] | "\(.metadata.name) \([.status.containerStatuses[].restartCount] | add)"] | join(", ")')"
kubectl -n away run later --image=localhost/sockmesh-client:dev --image-pull-policy=IfNotPresent > /dev/null
later_is_routed() { kubectl -n away exec later -- curl -sS -i -m 3 http://echo:8080/ 2>&1 | tee "$T/later" | grep -qi x-envoy-upstream-service-time; }
if eventually 60 later_is_routed; then
	ok "a pod that starts after that is in the mesh"
else
	fail "a pod that starts after that is in the mesh" "$(cat "$T/later"; kubectl -n away describe pod later | sed -n '/^Node:/p; /^IP:/p; /^Conditions:/,/^Volumes:/p; /^Events:/,$p')"
fi
[ -z "${KEEP_LOGS:-}" ] || { for i in $(nodes); do on_node "$i" tar -C /var/log/pods -cf - . > "$T/logs.$i.tar" 2> /dev/null; done; cp -r "$T" "$KEEP_LOGS"; }
finish
