#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# One agent and hand-made pods (network namespaces on a bridge, cgroups), fed by the embedded API: capture, routing
# by request, weights by connection, rule changes on open connections, release, restart. No lab, no controllers.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
PATH=$BUILD/apps:$PATH
W=sma$$
CG=$(awk '$3 == "cgroup2" {print $2; exit}' /proc/mounts)/$W
PIN=/sys/fs/bpf/sockmesh/$W
NET=10.$((200 + RANDOM % 50)).$((RANDOM % 250))
PIDS=()

cleanup() {
	kill "${PIDS[@]}" 2> /dev/null
	wait 2> /dev/null
	for d in "$CG"/pods/* "$CG"/pods "$CG"/agent "$CG"; do
		[ -d "$d" ] || continue
		[ ! -w "$d/cgroup.kill" ] || echo 1 > "$d/cgroup.kill" 2> /dev/null
	done
	sleep 0.2
	for ns in $(ip netns list | awk '{print $1}' | grep "^$W-"); do ip netns del "$ns"; done
	rm -rf "$PIN"
	rmdir "$CG"/pods/* "$CG"/pods "$CG"/agent "$CG" 2> /dev/null
	[ -z "${KEEP:-}" ] || cp "$T"/*.log "$KEEP" 2> /dev/null
	rm -rf "$T"
}
trap cleanup EXIT
trap 'exit 143' INT TERM HUP

# MESH_KUBECONFIG: another API server, on this machine's loopback, that has the mesh's CRDs and nothing else to do.
NODE=(nsenter --net="/run/netns/$W-node")
[ -z "${MESH_KUBECONFIG:-}" ] || NODE=(env)
k() { "${NODE[@]}" kubectl --kubeconfig "$T/kubeconfig" "$@"; }
NS=coolapp
put() { k apply --validate=false -f - > "$T/out" 2>&1 || fail "apply" "$(cat "$T/out")"; }
in_pod() { # in_pod NAME COMMAND...
	local pod=$1
	shift
	bash -c 'echo $$ > "$0/cgroup.procs" && exec nsenter "$@"' "$CG/pods/$pod" --net="/run/netns/$W-$pod" "$@"
}
agent_start() { # agent_start [OPTIONS]
	bash -c 'echo $$ > "$0/cgroup.procs" && exec "$@"' "$CG/agent" "${NODE[@]}" meshd agent --node node-1 \
		--kubeconfig "$T/kubeconfig" --cgroup-root "$CG/pods" --pin-dir "$PIN" --socket "$T/agent.sock" "$@" \
		>> "$T/agent.log" 2>&1 &
	AGENT=$!
	PIDS+=("$AGENT")
}
ask() { # ask JSON: the agent's answer
	python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect(sys.argv[1]); s.sendall(sys.argv[2].encode() + b"\n")
b = b""
while not b.endswith(b"\n"):
    p = s.recv(65536)
    if not p: break
    b += p
print(b.decode().strip())' "$T/agent.sock" "$1"
}
status() { ask '{"cmd": "status"}' | python3 -c "import json, sys; s = json.load(sys.stdin); print($1)"; }
captured() { ask "{\"cmd\": \"wait-pod\", \"ip\": \"$NET.$1\", \"timeoutMs\": 3000}" | grep -q '"captured":true'; }
released() { ask "{\"cmd\": \"wait-pod\", \"ip\": \"$NET.$1\", \"timeoutMs\": 3000}" | grep -q '"captured":false'; }
# pod N NAME APP VERSION READY COMMAND...: a namespace, a cgroup, a process, and the object.
pod() {
	local n=$1 name=$2 app=$3 version=$4 ready=$5
	shift 5
	ip netns add "$W-$name"
	ip link add "v$$-$n" netns "$W-node" type veth peer name eth0 netns "$W-$name"
	ip -n "$W-node" link set "v$$-$n" master br0 up
	ip -n "$W-$name" addr add "$NET.$n/24" dev eth0
	ip -n "$W-$name" link set eth0 up
	ip -n "$W-$name" link set lo up
	ip -n "$W-$name" route add default via "$NET.254"
	mkdir "$CG/pods/$name"
	HOSTNAME=$name in_pod "$name" "$@" > "$T/$name.log" 2>&1 &
	PIDS+=($!)
	put <<- EOF
	apiVersion: v1
	kind: Pod
	metadata: {name: $name, namespace: $NS, labels: {app: $app, version: $version, istio: ${app#istio-}}}
	spec: {nodeName: node-1, containers: [{name: c, image: x}]}
	EOF
	pod_status "$n" "$name" "$ready"
}
pod_status() { # N NAME READY
	k -n "$NS" patch pod "$2" --subresource=status --type=merge -p "{\"status\": {\"phase\": \"Running\", \"podIP\":
		\"$NET.$1\", \"podIPs\": [{\"ip\": \"$NET.$1\"}], \"conditions\": [{\"type\": \"Ready\", \"status\": \"$3\"}]}}" \
		> "$T/out" 2>&1 || fail "pod status" "$(cat "$T/out")"
}
slice() { # SERVICE PORTNAME PORT "N NAME" ...
	local service=$1 name=$2 port=$3 list=
	shift 3
	while [ $# -gt 0 ]; do
		list="$list${list:+, }{addresses: [$NET.$1], conditions: {ready: true}, targetRef: {kind: Pod, name: $2, namespace: coolapp}, nodeName: node-1}"
		shift 2
	done
	put <<- EOF
	apiVersion: discovery.k8s.io/v1
	kind: EndpointSlice
	metadata: {name: $service-x, namespace: coolapp, labels: {kubernetes.io/service-name: $service}}
	addressType: IPv4
	ports: [{name: $name, port: $port, protocol: TCP}]
	endpoints: [$list]
	EOF
}
rule() { # WEIGHT1 WEIGHT2
	put <<- EOF
	apiVersion: networking.istio.io/v1beta1
	kind: VirtualService
	metadata: {name: catalog, namespace: coolapp}
	spec:
	  hosts: [catalog]
	  http:
	  - route:
	    - {destination: {host: catalog, subset: v1}, weight: $1}
	    - {destination: {host: catalog, subset: v2}, weight: $2}
	EOF
}
# In force as the Lease says: the version reached is at least that of the object.
in_force() { # RESOURCE NAME
	local want have
	want=$(k -n coolapp get "$1" "$2" -o jsonpath='{.metadata.resourceVersion}')
	have=$(status "s['config']['versions'].get('$1', 0)")
	[ "$have" -ge "$want" ]
}
# A node's agent has only that node's pods, so it does not say how far all have come: two rounds of its loop do.
settled() { sleep 0.3; }
rule_in_force() { rule "$@" && eventually 5 in_force virtualservices.networking.istio.io catalog; }
get() { in_pod client curl -s -m 5 "$@"; }

mkdir "$CG" "$CG/pods" "$CG/agent"
ip netns add "$W-node"
ip -n "$W-node" link add br0 type bridge
ip -n "$W-node" addr add "$NET.254/24" dev br0
ip -n "$W-node" link set br0 up
ip -n "$W-node" link set lo up
if [ -n "${MESH_KUBECONFIG:-}" ]; then
	cp "$MESH_KUBECONFIG" "$T/kubeconfig"
	meshd control --kubeconfig "$T/kubeconfig" > "$T/control.log" 2>&1 &
	k create ns istio-system > "$T/out" 2>&1
else
	"${NODE[@]}" meshd control --embedded --data "$T/data" --listen "$NET.254:6443" \
		--kubeconfig-out "$T/kubeconfig" > "$T/control.log" 2>&1 &
fi
PIDS+=($!)
eventually 10 test -s "$T/kubeconfig"
eventually 10 k get ns istio-system
check "the API answers" k get ns istio-system

put <<- EOF
apiVersion: v1
kind: Namespace
metadata: {name: coolapp}
---
apiVersion: maistra.io/v1
kind: ServiceMeshControlPlane
metadata: {name: m, namespace: istio-system}
spec: {istio: {}}
---
apiVersion: maistra.io/v1
kind: ServiceMeshMemberRoll
metadata: {name: default, namespace: istio-system}
spec: {members: [coolapp]}
---
apiVersion: v1
kind: Service
metadata: {name: catalog, namespace: coolapp}
spec: {selector: {app: catalog}, ports: [{name: http, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: sink, namespace: coolapp}
spec: {selector: {app: sink}, ports: [{name: tcp, port: 9000}]}
EOF
# Without controllers nobody makes a namespace's service account; a real API server wants one for each pod.
k -n coolapp create sa default > "$T/out" 2>&1
VIP=$(k -n coolapp get svc catalog -o jsonpath='{.spec.clusterIP}')
SINK=$(k -n coolapp get svc sink -o jsonpath='{.spec.clusterIP}')
agent_start
pod 1 client client v1 True sleep 600
pod 2 catalog-1 catalog v1 True coolapp catalog
pod 3 catalog-2 catalog v2 True coolapp catalog-v2
pod 4 sink sink v1 True tcp-echo 9000
slice catalog http 8080 2 catalog-1 3 catalog-2
slice sink tcp 9000 4 sink

check "the agent captures the client" captured 1
check "and every other pod of the member" captured 4
seen=$(for _ in 1 2 3 4; do get "http://$VIP:8080/" -H "Host: catalog:8080" | grep -o 'catalog v[12]'; done | tr '\n' ' ')
case $seen in
"catalog v1 catalog v2 catalog v1 catalog v2 " | "catalog v2 catalog v1 catalog v2 catalog v1 ") ok "requests alternate strictly" ;;
*) fail "requests alternate strictly" "$seen" ;;
esac

rule_in_force 100 0
same "a subset in no DestinationRule: 503, empty" "$(get -o /dev/null -w '%{http_code} %{size_download}' "http://$VIP:8080/" -H 'Host: catalog:8080')" "503 0"
put <<- EOF
apiVersion: networking.istio.io/v1beta1
kind: DestinationRule
metadata: {name: catalog, namespace: coolapp}
spec: {host: catalog, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}
EOF
eventually 5 in_force destinationrules.networking.istio.io catalog
same "all to v1" "$(for _ in 1 2 3 4; do get "http://$VIP:8080/" -H "Host: catalog:8080" | grep -o 'v[12] '; done | sort -u)" "v1 "
rule_in_force 0 100
same "the next request is on the new rule" "$(get "http://$VIP:8080/" -H 'Host: catalog:8080' | grep -o 'v[12] ')" "v2 "

# A connection that was open before the rule changed.
cat > "$T/alive.py" << 'EOF'
import http.client, sys
c = http.client.HTTPConnection(sys.argv[1], 8080)
for line in sys.stdin:
    c.request("GET", "/", headers={"Host": "catalog:8080"})
    print(c.getresponse().read().decode().split()[1], c.sock.getsockname()[1], flush=True)
EOF
mkfifo "$T/go"
in_pod client python3 "$T/alive.py" "$VIP" < "$T/go" > "$T/alive" 2>&1 &
PIDS+=($!)
exec 7> "$T/go"
echo >&7
eventually 5 grep -q . "$T/alive"
rule_in_force 100 0
echo >&7
eventually 5 awk 'END {exit NR < 2}' "$T/alive"
same "so is one on a connection kept alive since before" "$(awk '{printf "%s ", $1}' "$T/alive")" "v2 v1 "
same "which is the same connection" "$(awk '{print $2}' "$T/alive" | sort -u | wc -l)" 1
exec 7>&-

rule_in_force 70 30
n=$(get "http://$VIP:8080/?[1-200]" -H 'Host: catalog:8080' | grep -c 'v1 ')
within "70/30 over 200 requests" "$n" 120 160

# L4: the agent sees no byte of it.
before=$(status "s['proxy']['connections']")
same "a TCP service answers" "$(in_pod client timeout 5 bash -c "exec 3<>/dev/tcp/$SINK/9000; echo hello >&3; head -1 <&3" | tail -c 6)" "hello"
same "without the agent" "$(status "s['proxy']['connections']")" "$before"
k -n coolapp annotate svc catalog sockmesh.io/balance=connection > /dev/null
eventually 5 in_force services catalog
before=$(status "s['proxy']['connections']")
n=$(for _ in $(seq 60); do get "http://$VIP:8080/"; done | grep -c 'v1 ')
within "70/30 over 60 connections, drawn in the kernel" "$n" 28 56
same "without the agent" "$(status "s['proxy']['connections']")" "$before"
k -n coolapp annotate svc catalog sockmesh.io/balance- > /dev/null
eventually 5 in_force services catalog

# A pod that is not ready gets nothing more.
rule_in_force 100 0
pod_status 2 catalog-1 False
settled
same "a subset without ready pods: 503" "$(get -w '%{http_code}' "http://$VIP:8080/" -H 'Host: catalog:8080')" "no healthy upstream503"
pod_status 2 catalog-1 True
settled

# The edge of the mesh: a gateway in a pod of its own.
edge() {
	eventually 5 k -n istio-system get svc istio-ingressgateway
	NS=istio-system
	POD_NAME=gw POD_NAMESPACE=istio-system pod 5 gw istio-ingressgateway v1 True meshd gateway --kubeconfig "$T/kubeconfig"
	NS=coolapp
	put <<- EOF
	apiVersion: networking.istio.io/v1beta1
	kind: Gateway
	metadata: {name: ingress-gateway, namespace: coolapp}
	spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}
	---
	apiVersion: networking.istio.io/v1beta1
	kind: VirtualService
	metadata: {name: ingress-gateway, namespace: coolapp}
	spec:
	  hosts: ['*']
	  gateways: [ingress-gateway]
	  http: [{match: [{uri: {exact: /}}], route: [{destination: {host: catalog, port: {number: 8080}}}]}]
	EOF
	outside() { nsenter --net="/run/netns/$W-node" curl -s -m 5 "$@"; }
	check "a gateway becomes ready" eventually 5 outside -f "http://$NET.5:15021/healthz/ready"
	check "and listens on the container port of its Service" eventually 5 outside -f "http://$NET.5:8080/"
	same "what matches is routed" "$(outside "http://$NET.5:8080/" | grep -o 'catalog v[12]' | head -1 | cut -c1-7)" catalog
	same "what does not is 404" "$(outside -o /dev/null -w '%{http_code}' "http://$NET.5:8080/other")" 404
	xargs kill -TERM < "$CG/pods/gw/cgroup.procs"
	check "a gateway that ends takes its Lease with it" eventually 5 sh -c "! ${NODE[*]} kubectl --kubeconfig $T/kubeconfig -n istio-system get lease sockmesh-gateway-gw"
}
if [ -z "${MESH_KUBECONFIG:-}" ]; then
	edge
else
	echo "skip the gateway: its pod has no way to that API server"
fi

# A pod that is gone: its established connections end, they do not hang.
in_pod client python3 -c "
import socket, time
s = socket.create_connection(('$SINK', 9000)); s.settimeout(20)
s.sendall(b'x\\n'); s.recv(100); print('up', flush=True)
start = time.time()
try:
    while s.recv(100): pass
    print('closed', int(time.time() - start))
except ConnectionError as e:
    print('ended', int(time.time() - start))
except TimeoutError:
    print('hangs')" > "$T/gone" 2>&1 &
GONE=$!
PIDS+=($GONE)
eventually 5 grep -q up "$T/gone"
ip -n "$W-node" link set "v$$-4" down # so that no word of its own reaches the client
k -n coolapp delete pod sink --grace-period=0 --force > "$T/out" 2>&1
eventually 10 grep -q -v up "$T/gone"
same "an L4 flow to a pod that is gone is ended" "$(tail -1 "$T/gone" | cut -d' ' -f1)" ended
ip -n "$W-node" link set "v$$-4" up
put <<- EOF
apiVersion: v1
kind: Pod
metadata: {name: sink, namespace: coolapp, labels: {app: sink, version: v1}}
spec: {nodeName: node-1, containers: [{name: c, image: x}]}
EOF
pod_status 4 sink True
eventually 5 captured 4

# Out of the roll and in again, running pods all the while.
k -n istio-system patch smmr default --type=merge -p '{"spec": {"members": []}}' > /dev/null
check "leaving the roll releases running pods" eventually 5 released 1
same "a released pod's connects are untouched" "$(get -o /dev/null -w '%{http_code}' "http://$NET.2:8080/")" 200
k -n istio-system patch smmr default --type=merge -p '{"spec": {"members": ["coolapp"]}}' > /dev/null
check "joining again captures them" eventually 5 captured 1
same "and routes again" "$(get "http://$VIP:8080/" -H 'Host: catalog:8080' | grep -o 'v[12] ')" "v1 "

# The kernel outlives the agent.
in_pod client python3 -c "
import socket, sys, time
s = socket.create_connection(('$SINK', 9000)); s.settimeout(5); f = s.makefile('rwb', 0)
for i in range(200):
    f.write(b'%d\n' % i)
    line = f.readline()
    assert line.rstrip().endswith(b'%d' % i), line
    time.sleep(0.02)
print('all', i + 1)" > "$T/flow" 2>&1 &
FLOW=$!
PIDS+=($FLOW)
sleep 0.5
kill -KILL "$AGENT"
wait "$AGENT" 2> /dev/null
same "with the agent dead a new L4 connection works" "$(in_pod client timeout 5 bash -c "exec 3<>/dev/tcp/$SINK/9000; echo hello >&3; head -1 <&3" | tail -c 6)" "hello"
agent_start
check "a restarted agent takes over" eventually 5 captured 1
same "and routes" "$(get "http://$VIP:8080/" -H 'Host: catalog:8080' | grep -o 'v[12] ')" "v1 "
wait $FLOW
same "an L4 flow went on all the while" "$(tail -1 "$T/flow")" "all 200"

one_by_one() { # one_by_one SECONDS: requests, each on a connection of its own; how many, how many failed, the slowest in ms
	in_pod client python3 -c "
import http.client, sys, time
failed, slowest, total = 0, 0, 0
end = time.monotonic() + $1
while time.monotonic() < end:
    begin = time.monotonic()
    try:
        c = http.client.HTTPConnection('$VIP', 8080, timeout=5)
        c.request('GET', '/', headers={'Host': 'catalog:8080'})
        status = c.getresponse().status
        if status != 200:
            failed += 1
            print(status, file=sys.stderr)
    except (OSError, http.client.HTTPException) as e:
        failed += 1
        print(repr(e), file=sys.stderr)
    c.close()
    total += 1
    slowest = max(slowest, time.monotonic() - begin)
    time.sleep(0.002)
print(total, failed, int(slowest * 1000))" > "$T/kept" 2> "$T/kept.failed"
}
# Listeners outlive the agent with a keeper: one request after another, each on a connection of its own.
kill -TERM "$AGENT"
wait "$AGENT" 2> /dev/null
agent_start --keep
check "an agent with a keeper takes over" eventually 5 captured 1
one_by_one 4 &
KEPT=$!
PIDS+=($KEPT)
for _ in 1 2 3; do
	sleep 0.8
	read -r child _ < "/proc/$AGENT/task/$AGENT/children"
	kill -KILL "$child"
done
wait $KEPT
read -r total broken slowest < "$T/kept"
within "new L7 connections while the agent is killed 3 times: requests" "${total:-0}" 50 1000000
within "only what was under way failed" "${broken:-99}" 0 3
[ "${broken:-99}" -le 3 ] || cat "$T/kept.failed"
within "and none waited longer than, in ms" "${slowest:-9999}" 0 4900
same "it was killed 3 times" "$(grep -c 'ended by signal 9' "$T/agent.log")" 3
check "its keeper's agent has the pods as before" eventually 5 captured 1

# A younger agent takes over from one that runs, as in a DaemonSet's update with maxSurge.
one_by_one 4 &
KEPT=$!
PIDS+=($KEPT)
sleep 0.5
OLDER=$AGENT
agent_start --keep
wait $KEPT
read -r total broken slowest < "$T/kept"
within "new L7 connections while another agent takes over: requests" "${total:-0}" 50 1000000
within "at most what was under way failed" "${broken:-99}" 0 1
within "and none waited longer than, in ms" "${slowest:-9999}" 0 4900
check "the younger agent has the pods" eventually 5 captured 1
same "the older one only waits for its end" "$(cat "/proc/$OLDER/task/$OLDER/children")" ""
kill -TERM "$OLDER"
wait "$OLDER"
same "which is a good one" $? 0

eventually 5 k -n coolapp get vs catalog -o jsonpath='{.status.conditions[?(@.type=="InForce")].status}'
same "status says when it is in force" "$(eventually 5 sh -c "${NODE[*]} kubectl --kubeconfig $T/kubeconfig -n coolapp get vs catalog -o jsonpath='{.status.conditions[?(@.type==\"InForce\")].status}' | grep True"; echo "$OUT")" True
kill -TERM "$AGENT"
wait "$AGENT" 2> /dev/null
check "an agent that ends takes its Lease with it" sh -c "! ${NODE[*]} kubectl --kubeconfig $T/kubeconfig -n istio-system get lease sockmesh-agent-node-1"
meshd agent --detach --pin-dir "$PIN" > "$T/out" 2>&1 || fail "meshd agent --detach" "$(cat "$T/out")"
check "--detach leaves nothing pinned" test ! -e "$PIN"
same "and connects untouched" "$(get -o /dev/null -w '%{http_code}' "http://$NET.2:8080/")" 200
[ $failed -eq 0 ] || sed 's/^/    agent: /' "$T/agent.log" | tail -30
exit $failed
