# SPDX-License-Identifier: Apache-2.0
# Read by run.sh. What happens to a node: kubelet and runtime that are killed, a node that starts anew with nothing of the mesh
# left in its kernel, and an API server that is away (AWAY seconds) while agents end and the mesh's objects change.
cat > "$T/fault.py" << 'PY'
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, "tests/cluster")
from faults import Faults
kill = Faults(sys.argv[1])
getattr(kill, "kill_" + sys.argv[2])(int(sys.argv[3]))
PY
# keeper_on_node N: without the API
keeper_on_node() { python3 -c 'import sys
sys.dont_write_bytecode = True
sys.path.insert(0, "tests/cluster")
from faults import Faults
print(*Faults(sys.argv[1]).agents(int(sys.argv[2]))[0])' "$cluster" "$1"; }
kill_of() { python3 "$T/fault.py" "$cluster" "$@"; } # kill_of containerd|kubelet|agent N
node_is_ready() { kubectl wait --for=condition=Ready "node/$1" --timeout=1s > /dev/null 2>&1; }
renewed() { kubectl -n kube-node-lease get lease "$1" -o jsonpath='{.spec.renewTime}'; }
. tests/cluster/streams.sh
other_node=n$((3 - ${client_node#n}))

# Kubelet and runtime.
for what in kubelet containerd; do
	before=$(renewed "$client_node")
	streams 14
	kill_of $what "${client_node#n}"
	streams_are "$what killed and started again"
	within "$what killed and started again: L7 requests that failed" "$(l7_failed)" 0 0
	again() { [[ "$(renewed "$client_node")" > "$before" ]] && node_is_ready "$client_node" && agents_in_force; }
	eventually 60 again || fail "the node is Ready after its $what was killed" "$OUT"
done
kubectl -n coolapp run after-restarts --image=localhost/sockmesh-client:dev --image-pull-policy=IfNotPresent \
	--overrides="{\"spec\":{\"nodeName\":\"$client_node\",\"terminationGracePeriodSeconds\":1}}" > /dev/null
check "a pod that starts after that is in the mesh" eventually 60 eval \
	'kubectl -n coolapp exec after-restarts -- curl -s -i -m 3 http://echo:8080/ 2> /dev/null | grep -qi x-envoy-upstream-service-time'
kubectl -n coolapp delete pod after-restarts --wait=false > /dev/null

# A node that starts anew: its processes, mounts (so the pins) and containers are gone; what is on its disk is not.
node_pid() { awk -v n="$1" '$3 == n { p = $1 } END { print p }' "$D/pids"; }
reboot_node() { # reboot_node N
	local pid cgroups g k command=()
	pid=$(node_pid "n$1")
	mapfile -d '' command < "/proc/$pid/cmdline"
	mapfile -t cgroups < <(grep "/$NAME-n$1\$" "$D/cgroups")
	kill -KILL "$pid"
	for k in $(seq 100); do grep -q '^State:.[^Z]' "/proc/$pid/status" 2> /dev/null && sleep 0.1 || break; done
	for g in "${cgroups[@]}"; do # a kernel that starts has no cgroups
		for k in $(seq 50); do
			find "$g" -mindepth 1 -depth -type d -exec rmdir {} + 2> /dev/null && break
			sleep 0.1
		done
	done
	ip -n "$NAME-n$1" link del cni0 2> /dev/null
	same "node n$1 is down, and nothing of the mesh is pinned or attached" \
		"$(bpftool cgroup tree "$(grep "unified.*/$NAME-n$1\$" "$D/cgroups")" 2> /dev/null | grep -vc '^CgroupPath\|^ID')" 0
	setsid bash -c 'for g in "${@:3:$2}"; do echo $$ > "$g/cgroup.procs"; done; exec nsenter --net="/run/netns/$1" "${@:$2 + 3}"' _ \
		"$NAME-n$1" "${#cgroups[@]}" "${cgroups[@]}" "${command[@]}" < /dev/null > "$D/log/n$1-again.log" 2>&1 {alive_fd}>&- &
	echo "$! $(sed 's/.*) //' "/proc/$!/stat" | cut -d' ' -f20) n$1" > "$T/pid.new"
	grep -v " n$1\$" "$D/pids" > "$T/pids" && cat "$T/pids" "$T/pid.new" > "$D/pids"
}
n=${other_node#n}
kubectl -n coolapp run on-it --image=localhost/sockmesh-client:dev --image-pull-policy=IfNotPresent \
	--overrides="{\"spec\":{\"nodeName\":\"$other_node\",\"terminationGracePeriodSeconds\":1}}" > /dev/null
kubectl -n coolapp wait pod/on-it --for=condition=Ready --timeout=60s > /dev/null || fail "a pod runs on $other_node"
began=$(now_ms)
reboot_node "$n"
rebooted() { [ "$(on_node "$n" curl -s -m 1 http://127.0.0.1:9445/readyz)" = ok ]; } # what is in /run is new, so the agent is
check "its agent is in force after a reboot" eventually 90 rebooted
echo "   $(($(now_ms) - began)) ms after it went down"
check "node $other_node is Ready" eventually 90 node_is_ready "$other_node"
check "and both agents are in force" eventually 90 agents_in_force
same "its programs are attached again, and its tables pinned" "$(on_node "$n" bash -c 'find /sys/fs/bpf/sockmesh -path "*/links/*" | grep -q . && ls /sys/fs/bpf/sockmesh/*/pods | wc -l')" 1
check "a pod that was there before is in the mesh again" eventually 90 eval \
	'kubectl -n coolapp exec on-it -- curl -s -i -m 3 http://echo:8080/ 2> /dev/null | grep -qi x-envoy-upstream-service-time'
kubectl -n coolapp delete pod on-it --wait=false > /dev/null
# Its pods come back one by one.
whole() { kubectl get pods -A -o json | holds '[.items[] | select(.metadata.deletionTimestamp == null and .status.phase != "Succeeded") | select(any(.status.conditions[]?; .type == "Ready" and .status == "False"))] | length == 0' > /dev/null; }
eventually 90 whole || fail "every pod is Ready again" "$(kubectl get pods -A)"

# An API server that is away. Of two rules that only make sense together both change meanwhile.
sed 's/first-echo/away/g' tests/cluster/first_connect.yaml > "$T/away.yaml"
kubectl apply -f "$T/away.yaml" > /dev/null
for v in v1 v2; do rollout coolapp deployment/away-$v > /dev/null || fail "away-$v is available"; done
kubectl -n coolapp delete virtualservice,destinationrule --all > /dev/null
subset_rules coolapp away one v1 | kubectl apply -f - > /dev/null
away_vip=$(kubectl -n coolapp get service away -o jsonpath='{.spec.clusterIP}')
by_v1() { [ "$(in_pod_run coolapp "$client" curl -s -m 2 "http://$away_vip:8080/" | grep -c '"pod": "away-v1')" = 1 ]; }
check "a rule before" eventually 20 by_v1
in_pod_run coolapp "$client" "$BUILD/bench/load" -c 4 -r 200 -d 100000 -u "$T/away.stop" -o "$T/away.log" -k pod "$away_vip:8080/" > "$T/away.out" 2>&1 &
away_load=$!
streams $((${AWAY:-40} + 40))
cat > "$T/away.py" << 'PY'
# away.py CLUSTER PORT DIR: API server and controller-manager are killed; an API server of the same state answers at another port, which
# nobody knows.
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, "tests/cluster")
from faults import Faults
kill = Faults(sys.argv[1])
for name in ("controller-manager", "apiserver"):
    command = kill.kill(name)
    open(f"{sys.argv[3]}/{name}", "w").write("\0".join(command))
print(kill.start([c if not c.startswith("--secure-port=") else "--secure-port=" + sys.argv[2] for c in command], "elsewhere"))
PY
elsewhere_port=${PORT%443}444
mkdir "$T/commands"
before=("$(renewed n1)" "$(renewed n2)")
elsewhere_pid=$(python3 "$T/away.py" "$cluster" "$elsewhere_port" "$T/commands")
elsewhere() { kubectl --server="https://$NET.1:$elsewhere_port" "$@"; }
answers_elsewhere() { elsewhere get --raw /readyz > /dev/null 2>&1; }
eventually 60 answers_elsewhere || fail "the API server answers elsewhere"
began=$(now_ms)
kill_of agent "${client_node#n}"
from_snapshot() { on_node "${client_node#n}" "$BUILD/meshd" agent --status --socket /run/sockmesh/agent.sock | holds '.published and .api.fromSnapshot'; }
check "an agent that starts meanwhile is in force from its snapshot" eventually 20 from_snapshot
echo "   $(($(now_ms) - began)) ms after the one before was killed"
subset_rules coolapp away two v2 | elsewhere apply -f - > "$T/away.apply" 2>&1 || fail "rules change while agents do not see it" "$(cat "$T/away.apply")"
# And one whose container the kubelet has to start again: nothing of that needs the API.
began_container=$(now_ms)
kill -KILL "$(keeper_on_node "$n")" 2> "$T/kill" || fail "the other node's keeper is killed" "$(cat "$T/kill")"
other_from_snapshot() { on_node "$n" "$BUILD/meshd" agent --status --socket /run/sockmesh/agent.sock | holds '.published and .api.fromSnapshot'; }
check "so is one whose container starts anew" eventually 30 other_from_snapshot
echo "   $(($(now_ms) - began_container)) ms after it was killed"
while [ $(($(now_ms) - began)) -lt $((${AWAY:-40} * 1000)) ]; do sleep 0.2; done
kill -KILL "$elsewhere_pid"
cat > "$T/back.py" << 'PY'
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, "tests/cluster")
from faults import Faults
Faults(sys.argv[1]).start(open(f"{sys.argv[2]}/{sys.argv[3]}").read().split("\0"), sys.argv[3] + "-again", lives_s=4)
PY
python3 "$T/back.py" "$cluster" "$T/commands" apiserver
api_is_back() { kubectl get --raw /readyz > /dev/null 2>&1; }
eventually 60 api_is_back || fail "the API server is back"
in_step() { for i in $(nodes); do on_node "$i" "$BUILD/meshd" agent --status --socket /run/sockmesh/agent.sock | holds '.api.inStep and (.api.fromSnapshot | not)' > /dev/null || return 1; done; }
check "agents are in step again" eventually 30 in_step
# Else nodes that had no time to say that they live would be taken for dead: that is the cluster's affair, not the mesh's.
nodes_live() { kubectl get --raw /healthz > /dev/null 2>&1 && [[ "$(renewed n1)" > "${before[0]}" && "$(renewed n2)" > "${before[1]}" ]]; }
eventually 60 nodes_live || fail "nodes say that they live"
python3 "$T/back.py" "$cluster" "$T/commands" controller-manager
streams_are "API server away"
within "API server away and an agent killed: L7 requests that failed" "$(l7_failed)" 0 1
sleep 1
: > "$T/away.stop"
wait "$away_load"
cat > "$T/away_judge.py" << 'PY'
# Every answer by v1, then every one by v2, but for those under way together; what failed.
import struct, sys
MOMENT = 20_000_000
fnv = lambda t: __import__("functools").reduce(lambda h, b: ((h ^ b) * 16777619) & 0xFFFFFFFF, t.encode(), 2166136261)
pods = {fnv(p): p for p in sys.argv[2:]}
raw = open(sys.argv[1], "rb").read()
failed, order, since, first = [], [], 0, None
for start, done, status, who in sorted(struct.iter_unpack("<QQII", raw[: len(raw) // 24 * 24])):
    first = first or start
    failed += [f"{status} at {(start - first) / 1e9:.2f} s"] if status != 200 else []
    v = "v1" if "-v1-" in pods.get(who, "") else "v2" if "-v2-" in pods.get(who, "") else "?"
    if status != 200 or order and (order[-1] == v or v in order and start < since + MOMENT):
        continue
    order.append(v)
    since = start
print(f"{len(raw) // 24} requests, {len(failed)} failed, answered by {' then '.join(order)}")
print(*failed[:3], *failed[-3:], sep="; ")
PY
# shellcheck disable=SC2046
python3 "$T/away_judge.py" "$T/away.log" $(kubectl -n coolapp get pods -o jsonpath='{.items[*].metadata.name}') > "$T/away.judged"
sed 's/^/   /' "$T/away.judged"
same "what changed while the API was away comes in force as one change" "$(sed -n 's/.*answered by //p' "$T/away.judged")" "v1 then v2"
within "requests that failed meanwhile (an agent was killed)" "$(sed -n 's/.* \([0-9]*\) failed.*/\1/p' "$T/away.judged")" 0 8
check "agents are in force" eventually 40 agents_in_force
kubectl delete -f "$T/away.yaml" --wait=false > /dev/null
kubectl -n coolapp delete -f tests/cluster/streams.yaml --wait=false > /dev/null
