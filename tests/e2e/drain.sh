#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# L4 connections whose rule sends nothing new to their endpoint any more: kept while the pod lives, or ended at once, as
# sockmesh.io/drain of the Service says; and ended in any case when the pod is gone, also if no agent saw it go.
. "$(dirname "$0")/lib.sh"
files=tests/e2e/tutorial
HOLDS=()
lab_up "drn$$" --nodes 2
trap '[ ${#HOLDS[@]} = 0 ] || kill "${HOLDS[@]}" 2> /dev/null; lab_down; rm -rf "$T"' EXIT
echoes() { # echoes VERSION NODE
	cat <<- YAML
	apiVersion: v1
	kind: Pod
	metadata: {name: echo-$1, namespace: coolapp, labels: {app: echo, version: $1}}
	spec:
	  nodeName: $2
	  containers:
	  - {name: echo, image: localhost/sockmesh-tcp-echo:dev, args: ["7000", "$1"], ports: [{name: tcp, containerPort: 7000}]}
	YAML
}
route() { # route VERSION: all new connections go there
	kubectl apply -f - > "$T/out" 2>&1 <<- YAML || fail "the route is accepted" "$(cat "$T/out")"
	apiVersion: networking.istio.io/v1beta1
	kind: VirtualService
	metadata: {name: echo, namespace: coolapp}
	spec:
	  hosts: [echo]
	  tcp: [{route: [{destination: {host: echo, subset: $1}}]}]
	YAML
}
{
	kubectl create namespace coolapp
	kubectl apply -n istio-system -f $files/smcp.yaml -f $files/smmr.yaml
	# On the node whose agent is killed below: the other one's would end what goes to its own pod.
	sed 's/^    spec:/&\n      nodeSelector: {kubernetes.io\/hostname: node-1}/' $files/client.yaml | kubectl apply -n coolapp -f -
	echoes v1 node-1 | kubectl apply -f -
	echoes v2 node-2 | kubectl apply -f -
	kubectl apply -f - <<- YAML
	apiVersion: v1
	kind: Service
	metadata: {name: echo, namespace: coolapp}
	spec: {selector: {app: echo}, ports: [{name: tcp, port: 7000}]}
	---
	apiVersion: networking.istio.io/v1beta1
	kind: DestinationRule
	metadata: {name: echo, namespace: coolapp}
	spec: {host: echo, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}
	YAML
	kubectl -n coolapp wait --for=condition=Available deployment --all --timeout=60s
	kubectl -n coolapp wait --for=condition=Ready pod --all --timeout=60s
} > "$T/setup" 2>&1 || { fail "the application is up" "$(tail "$T/setup")"; finish; }
route v1
client=$(pod_of coolapp app=client)
to=$(kubectl -n coolapp get service echo -o jsonpath='{.spec.clusterIP}'):7000
hold() { # hold NAME: a connection, and what becomes of it in $T/NAME
	in_pod coolapp "$client" python3 "$PWD/tests/e2e/upgrade.py" hold "$to" > "$T/$1" 2>&1 &
	HOLDS+=($!)
	eventually 10 grep -q up "$T/$1" || fail "connection $1" "$(cat "$T/$1")"
}
goes_on() { local n; n=$(wc -l < "$T/$1"); sleep 0.7; [ "$(wc -l < "$T/$1")" -gt "$n" ] && ! grep -q ended "$T/$1"; }
ended() { grep -q 'ended Connection' "$T/$1"; }
# silence POD: no word of its end reaches anybody
silence() { in_pod coolapp "$1" ip link set eth0 down || fail "pod $1 is cut off"; }

hold first
same "it goes where the route says" "$(sed -n 's/^up //p' "$T/first")" v1
route v2
hold second
same "the next one goes to the other" "$(sed -n 's/^up //p' "$T/second")" v2
check "without an annotation the first is kept" goes_on first
kubectl -n coolapp annotate service echo sockmesh.io/drain=end > /dev/null
sleep 0.5
check "the annotation alone ends nothing" goes_on first
route v1
check "drain: end: a connection that the route does not allow any more is ended" eventually 3 ended second
check "one that it allows again is not" goes_on first
kubectl -n coolapp annotate service echo sockmesh.io/drain=keep --overwrite > /dev/null
sleep 0.5
route v2
check "drain: keep: it is kept" goes_on first
kubectl -n coolapp annotate service echo sockmesh.io/drain=soon --overwrite > /dev/null
check "another word is warned about" eventually 3 sh -c "grep -q 'sockmesh.io/drain.*neither' /run/sockmesh/labs/$LAB/logs/node-1-agent.log"
check "and changes nothing" goes_on first
kubectl -n coolapp annotate service echo sockmesh.io/drain- > /dev/null

# Pods that are gone: one that a rule had left already, and one on the other node, deleted by force.
hold third
same "a connection to the other node" "$(sed -n 's/^up //p' "$T/third")" v2
silence echo-v1
kubectl -n coolapp delete pod echo-v1 --grace-period=0 --force > /dev/null 2>&1
check "a kept connection ends with its pod" eventually 5 ended first
silence echo-v2
kubectl -n coolapp delete pod echo-v2 --grace-period=0 --force > /dev/null 2>&1
check "one to a pod elsewhere that was deleted by force ends" eventually 8 ended third

# The same while no agent runs: the next one finds it by what the one before had in force.
echoes v2 node-2 | kubectl apply -f - > /dev/null
kubectl -n coolapp wait --for=condition=Ready pod echo-v2 --timeout=30s > /dev/null
hold fourth
supervisor=$(cut -d' ' -f1 "/run/sockmesh/labs/$LAB/pids/supervisor")
silence echo-v2
kill -STOP "$supervisor"
killed=$(cut -d' ' -f1 "/run/sockmesh/labs/$LAB/pids/node-1-agent")
kill -KILL "$killed"
kubectl -n coolapp delete pod echo-v2 --grace-period=0 --force > /dev/null 2>&1
sleep 1
same "without an agent it does not" "$(grep ended "$T/fourth" && ps -o pid=,stat= -p "$supervisor,$killed" &&
	tail -5 "/run/sockmesh/labs/$LAB/logs/node-1-agent.log")" ""
kill -CONT "$supervisor"
check "one whose pod was deleted while no agent ran ends when the next is there" eventually 15 ended fourth
finish
