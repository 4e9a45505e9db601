#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The lab as a cluster: a kubelet's and the controllers' jobs, services for pods outside the mesh, and that nothing
# stays behind, whatever was killed.
. "$(dirname "$0")/lib.sh"
NAME=lab$$
OTHER=labx$$
trap 'meshctl lab down --name $OTHER > /dev/null 2>&1; lab_down; rm -rf "$T"' EXIT
lab_up $NAME
trap 'meshctl lab down --name $OTHER > /dev/null 2>&1; lab_down; rm -rf "$T"' EXIT
K="kubectl --request-timeout=20s"

echo_app() { # echo_app NAME REPLICAS [CONTAINER FIELDS AS YAML FLOW]
	cat <<-Y
	apiVersion: apps/v1
	kind: Deployment
	metadata: {name: $1}
	spec:
	  replicas: $2
	  selector: {matchLabels: {app: $1}}
	  template:
	    metadata: {labels: {app: $1}}
	    spec:
	      terminationGracePeriodSeconds: 5
	      containers: [{name: main, image: "docker.io/sockmesh/echo:dev", ports: [{name: web, containerPort: 8080}]${3:+, $3}}]
	---
	apiVersion: v1
	kind: Service
	metadata: {name: $1}
	spec: {selector: {app: $1}, ports: [{name: http, port: 80, targetPort: web}]}
	Y
}
one_pod() { # one_pod NAME CONTAINER FIELDS
	printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: %s, labels: {app: %s}}\n' "$1" "$1"
	echo "spec: {terminationGracePeriodSeconds: 2, containers: [{name: main, $2}]${3:+, $3}}"
}
apply() { $K apply --validate=false -f - > "$T/apply" 2>&1 || fail "apply" "$(cat "$T/apply")"; }
ready_count() { $K get pods -l "app=$1" -o json | jq '[.items[] | select(.metadata.deletionTimestamp == null) | select(any(.status.conditions[]?; .type == "Ready" and .status == "True"))] | length'; }
has_ready() { [ "$(ready_count "$1")" = "$2" ]; }
endpoints() { $K get endpointslices -l "kubernetes.io/service-name=$1" -o json | jq '[.items[].endpoints[]? | select(.conditions.ready)] | length'; }
has_endpoints() { [ "$(endpoints "$1")" = "$2" ]; }
field() { $K get "$1" "$2" -o jsonpath="$3"; }
field_is() { [ "$(field "$1" "$2" "$3")" = "$4" ]; }
pod_names() { $K get pods -l "app=$1" -o jsonpath='{.items[*].metadata.name}'; }
curl_from() { in_pod default "$1" curl -s --max-time 5 "$2"; }
answers() { [ -n "$(curl_from "$1" "$2")" ]; }
pid_of() { cut -d' ' -f1 "/run/sockmesh/labs/$1/pids/$2"; }
lab_processes() { cat $(find "$CGROUP2/sockmesh-lab-$1" -name cgroup.procs 2> /dev/null) 2> /dev/null | wc -l; }

# ---- Deployments
echo_app web 2 'readinessProbe: {httpGet: {path: /, port: web}}' | apply
start=$(now_ms)
check "rollout status waits for the pods" timeout 20 $K rollout status deploy/web
within "two pods are ready within two seconds (ms)" $(($(now_ms) - start)) 0 2000
same "pods are spread over the nodes" "$($K get pods -l app=web -o jsonpath='{.items[*].spec.nodeName}' | tr ' ' '\n' | sort | tr '\n' ' ')" "node-1 node-2 "
if pod_names web | tr ' ' '\n' | grep -qvE '^web-[bcdf4-9]{6,10}-[bcdfghjklmnpqrstvwxz2456789]{5}$'; then fail "pod names as Kubernetes makes them" "$(pod_names web)"; else ok "pod names as Kubernetes makes them"; fi
first=$(pod_names web | cut -d' ' -f1)
same "the host name is the pod's" "$(in_pod default "$first" hostname)" "$first"
$K scale deploy/web --replicas=4 > /dev/null
check "scaled up" eventually 10 has_ready web 4
check "endpoints follow" eventually 5 has_endpoints web 4
$K scale deploy/web --replicas=1 > /dev/null
check "endpoints go at once when scaled down" eventually 3 has_endpoints web 1
gone() { [ "$(pod_names web | wc -w)" = 1 ]; }
check "scaled down" eventually 10 gone

# ---- Services of pods outside the mesh
one_pod client 'image: client' | apply
check "the client is ready" timeout 10 $K wait --for=condition=Ready pod/client --timeout=8s
check "ClusterIP by short name" eventually 3 answers client http://web/
check "by name and namespace" answers client http://web.default/
check "by full name" answers client http://web.default.svc.cluster.local/
same "an unknown name is not found at once" "$(in_pod default client sh -c 'getent hosts nothing.default || echo none')" none
same "pods have both families" "$(field pod client '{.status.podIPs[*].ip}' | wc -w)" 2
ip6=$($K get pods -l app=web -o jsonpath='{.items[0].status.podIPs[1].ip}')
check "a pod is reached by IPv6" answers client "http://[$ip6]:8080/"
$K scale deploy/web --replicas=3 > /dev/null
eventually 10 has_endpoints web 3
sleep 0.2
for _ in $(seq 40); do curl_from client http://web/ | jq -r .pod; done | sort -u > "$T/seen"
same "all endpoints are used" "$(wc -l < "$T/seen")" 3
server=$(sed -n 1p "$T/seen")
check "a pod reaches itself through its Service" eventually 5 answers "$server" http://web/

# ---- Rolling update, without a lost request
: > "$T/lost"
(while [ ! -e "$T/stop" ]; do curl_from client http://web/ > /dev/null || echo lost; done) > "$T/lost" 2>&1 &
loop=$!
$K patch deploy web --type=strategic -p '{"spec":{"template":{"spec":{"containers":[{"name":"main","env":[{"name":"V","value":"2"}]}]}}}}' > /dev/null
check "rolling update" timeout 30 $K rollout status deploy/web
touch "$T/stop"
wait $loop
same "no request was lost in it" "$(wc -l < "$T/lost")" 0
same "the old set is empty, the new one full" "$($K get rs -l app=web -o json | jq -c '[.items[] | .spec.replicas] | sort')" "[0,3]"
same "revision 2" "$(field deploy web '{.metadata.annotations.deployment\.kubernetes\.io/revision}')" 2
check "rollout undo" $K rollout undo deploy/web
check "goes back" timeout 30 $K rollout status deploy/web
same "revision 3 on the first template" "$($K get rs -l app=web -o json | jq '[.items[]] | length')" 2
$K patch deploy web -p '{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null},"template":{"metadata":{"labels":{"turn":"3"}}}}}' > /dev/null
check "Recreate" timeout 30 $K rollout status deploy/web

# ---- Probes
echo_app gated 1 'readinessProbe: {exec: {command: [test, -e, '"$T"'/open]}, periodSeconds: 1}' | apply
sleep 1
same "not ready: no endpoint" "$(endpoints gated)" 0
touch "$T/open"
check "ready when the probe says so" eventually 5 has_endpoints gated 1
rm "$T/open"
check "and not when it does not" eventually 8 has_endpoints gated 0
check "the event is there" sh -c "$K get events | grep -q 'Readiness probe failed'"
one_pod sick 'image: echo, livenessProbe: {tcpSocket: {port: 9999}, periodSeconds: 1, failureThreshold: 2}' | apply
check "liveness restarts, and counts" eventually 12 field_is pod sick '{.status.containerStatuses[0].restartCount}' 1
$K delete pod sick --wait=false > /dev/null
one_pod slow 'image: echo, startupProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}' | apply
check "a start-up probe gates" timeout 10 $K wait --for=condition=Ready pod/slow --timeout=8s

# ---- Restarts
one_pod crash 'image: client, command: [sh, -c, "echo dying; exit 3"]' | apply
check "restart with back-off" eventually 10 field_is pod crash '{.status.containerStatuses[0].state.waiting.reason}' CrashLoopBackOff
same "its last state tells the exit code" "$(field pod crash '{.status.containerStatuses[0].lastState.terminated.exitCode}')" 3
same "restarts are counted" "$(field pod crash '{.status.containerStatuses[0].restartCount}')" 2
same "logs of the last run" "$($K logs crash)" dying
same "and of the one before" "$($K logs -p crash)" dying
one_pod once 'image: client, command: [sh, -c, "exit 0"]' 'restartPolicy: Never' | apply
check "a pod that is done" eventually 5 field_is pod once '{.status.phase}' Succeeded
one_pod ghost 'image: "example.com/no/such:1"' | apply
check "an unknown image" eventually 5 field_is pod ghost '{.status.containerStatuses[0].state.waiting.reason}' ImagePullBackOff
one_pod staged 'image: client' "initContainers: [{name: first, image: client, command: [sh, -c, \"sleep 0.3; echo first > $T/first\"]}]" | apply
check "init containers run first" timeout 10 $K wait --for=condition=Ready pod/staged --timeout=8s
same "and to their end" "$(cat "$T/first" 2> /dev/null)" first

# ---- Environment, exec, logs
$K create configmap conf --from-literal=key=value > /dev/null
one_pod env 'image: client, env: [{name: SELF, valueFrom: {fieldRef: {fieldPath: metadata.name}}}, {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}, {name: L, valueFrom: {fieldRef: {fieldPath: "metadata.labels['"'app'"']"}}}, {name: C, valueFrom: {configMapKeyRef: {name: conf, key: key}}}, {name: BOTH, value: "$(SELF)-$(L)"}]' | apply
check "env pod" timeout 10 $K wait --for=condition=Ready pod/env --timeout=8s
same "environment" "$(in_pod default env sh -c 'echo $HOSTNAME $SELF $L $C $BOTH')" "env env env value env-env"
same "the pod's own address" "$(in_pod default env sh -c 'echo $IP')" "$(field pod env '{.status.podIP}')"
same "kubectl exec" "$(timeout 10 $K exec env -- hostname)" env
same "kubectl exec with input" "$(echo text | timeout 10 $K exec -i env -- cat)" text
timeout 10 $K exec env -- sh -c 'exit 7' > /dev/null 2>&1
same "kubectl exec gives the status" $? 7
check "kubectl logs" sh -c "$K logs deploy/web | grep -q listening"
same "kubectl logs of a run that was not" "$($K logs -p deploy/web 2>&1 | grep -v ^Found | sed 's/".*" not/"" not/')" \
	'Error from server (BadRequest): previous terminated container "" not found'
same "kubectl logs with times, which a lab does not keep" "$($K logs --timestamps deploy/web 2>&1 | grep -v ^Found)" \
	"Error from server (BadRequest): the lab keeps no times of log lines: timestamps is not served"
same "kubectl port-forward is refused by name" \
	"$(timeout 20 $K port-forward deploy/web 18080:8080 2>&1 | grep -o 'port-forward is not served by the embedded API of Sockmesh')" \
	"port-forward is not served by the embedded API of Sockmesh"
check "a service account's token is there" in_pod default env test -s /var/run/secrets/kubernetes.io/serviceaccount/token
token_works() { # 200 or 403: the API knows whose it is
	in_pod default env sh -c 'S=/var/run/secrets/kubernetes.io/serviceaccount; curl -s -o /dev/null -w "%{http_code}" --cacert $S/ca.crt -H "Authorization: Bearer $(cat $S/token)" https://$KUBERNETES_SERVICE_HOST/api/v1/namespaces/default/pods' | grep -qE '200|403'
}
check "the API takes it" token_works

# ---- Volumes
$K create secret generic hidden --from-literal=word=swordfish > /dev/null
one_pod vols 'image: client, volumeMounts: [{name: c, mountPath: /var/run/conf}, {name: s, mountPath: /run/hidden, readOnly: true}, {name: e, mountPath: /mnt}]' 'volumes: [{name: c, configMap: {name: conf, items: [{key: key, path: sub/renamed}]}}, {name: s, secret: {secretName: hidden}}, {name: e, emptyDir: {}}]' | apply
check "volumes pod" timeout 10 $K wait --for=condition=Ready pod/vols --timeout=8s
same "configMap and secret volumes" "$(in_pod default vols cat /run/conf/sub/renamed /run/hidden/word)" valueswordfish
check "an emptyDir is the pod's own" sh -c "meshctl lab exec --name $NAME vols -- touch /mnt/x-$$ && [ ! -e /mnt/x-$$ ]"
same "a readOnly mount cannot be written" "$(in_pod default vols sh -c 'touch /run/hidden/x 2> /dev/null || echo refused')" refused
same "kubectl exec sees them" "$(timeout 10 $K exec vols -- cat /run/hidden/word)" swordfish
one_pod nowhere 'image: client, volumeMounts: [{name: e, mountPath: /no/such/place}]' 'volumes: [{name: e, emptyDir: {}}]' | apply
check "a mountPath that cannot be is said" eventually 5 field_is pod nowhere '{.status.containerStatuses[0].state.waiting.reason}' CreateContainerConfigError

# ---- UDP
one_pod udp 'image: tcp-echo' | apply
printf '%s\n' 'apiVersion: v1' 'kind: Service' 'metadata: {name: udp}' \
	'spec: {selector: {app: udp}, ports: [{name: u, protocol: UDP, port: 53, targetPort: 9000}]}' | apply
check "udp pod" timeout 10 $K wait --for=condition=Ready pod/udp --timeout=8s
ask_udp() { in_pod default client python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1); s.connect(("udp", 53)); s.send(b"hello"); print(s.recv(99).decode())' | grep -qx hello; }
check "a UDP Service" eventually 5 ask_udp

# ---- The sample applications, without a mesh
coolapp() { # coolapp NAME IMAGE
	cat <<-Y
	apiVersion: apps/v1
	kind: Deployment
	metadata: {name: $1}
	spec:
	  selector: {matchLabels: {app: $1}}
	  template:
	    metadata: {labels: {app: $1}}
	    spec:
	      terminationGracePeriodSeconds: 3
	      containers:
	      - name: main
	        image: "$2"
	        readinessProbe: {exec: {command: [curl, -sf, "localhost:8080/health"]}}
	---
	apiVersion: v1
	kind: Service
	metadata: {name: ${1%-v1}}
	spec: {selector: {app: $1}, ports: [{name: http, port: 8080}]}
	Y
}
status_of() { in_pod default client curl -s -o /dev/null -w '%{http_code}' --max-time 5 "$1"; }
image=docker.io/rhtgptetraining/foundation
{ coolapp catalog-v1 $image-catalog-service:latest; echo ---; coolapp partner $image-partner; echo ---; coolapp gateway $image-gateway-service:1.0; } | apply
for app in catalog-v1 partner gateway; do timeout 15 $K rollout status deploy/$app > /dev/null || fail "$app is available"; done
eventually 5 answers client http://gateway:8080/health
catalog=$($K get pods -l app=catalog-v1 -o jsonpath='{.items[0].metadata.name}')
id=${catalog#catalog-v1-}
same "gateway, partner, catalog" "$(curl_from client http://gateway:8080/)" "gateway => partner => catalog v1 from '$id': 1"
same "and again" "$(curl_from client http://gateway:8080/)" "gateway => partner => catalog v1 from '$id': 2"
same "another path is not there" "$(status_of http://gateway:8080/other)" 404
curl_from client http://catalog:8080/misbehave > /dev/null
same "misbehaving" "$(curl_from client http://gateway:8080/)" "gateway => 503 partner => 503 catalog misbehavior from '$id'"
same "is a 503" "$(status_of http://gateway:8080/)" 503
same "but healthy" "$(status_of http://catalog:8080/health)" 200
curl_from client http://catalog:8080/behave > /dev/null
same "behaving again" "$(curl_from client http://gateway:8080/)" "gateway => partner => catalog v1 from '$id': 3"
partner=$($K get pods -l app=partner -o jsonpath='{.items[0].metadata.name}')
connections() { in_pod default "$partner" ss -Htn state established dport = 8080 | wc -l; }
for _ in $(seq 50); do curl_from client http://gateway:8080/ > /dev/null; done
within "connections to the next service are kept and used again" "$(connections)" 1 2
$K delete pod "$catalog" > /dev/null
eventually 10 has_endpoints catalog 1
sleep 0.2
if out=$(curl_from client http://gateway:8080/) && [[ $out == "gateway => partner => catalog v1 from "*": 1" ]]; then
	ok "a kept connection that has gone is replaced"
else
	fail "a kept connection that has gone is replaced" "$out"
fi

# ---- Flows between nodes cross a wire
other=$($K get pods -l app=web -o json | jq -r --arg n "$(field pod client '{.spec.nodeName}')" '[.items[] | select(.spec.nodeName != $n and .metadata.deletionTimestamp == null)][0].status.podIP')
fabric=$(meshctl lab status --name $NAME -o json | jq -r .fabricNetns)
if command -v tcpdump > /dev/null; then
	timeout 5 ip netns exec "$fabric" tcpdump -c 1 -ni n1 "tcp and host $other and port 8080" > "$T/dump" 2> /dev/null &
	dump=$!
	sleep 0.5
	curl_from client "http://$other:8080/" > /dev/null
	wait $dump
	same "tcpdump sees a flow between nodes" $? 0
else
	echo "skip tcpdump sees a flow between nodes: tcpdump is not installed"
fi

# ---- Kills: the lab repairs itself
before=$(field pod client '{.status.containerStatuses[0].containerID}')
for role in node-1 node-2 controllers router dns; do kill -9 "$(pid_of $NAME $role)"; done
sleep 1
all_running() { meshctl lab status --name $NAME -o json | holds 'all(.processes[]; .running)' > /dev/null; }
check "who was killed is started again" eventually 8 all_running
same "running pods were not touched" "$(field pod client '{.status.containerStatuses[0].containerID}')" "$before"
$K scale deploy/web --replicas=4 > /dev/null
victim=$(meshctl lab status --name $NAME -o json | jq -r '[.pods[] | select(.name == "env")][0].pid')
was=$(field pod env '{.status.podIP}')
kill -9 "$victim"
new_sandbox() { [ "$(field pod env '{.status.podIP}')" != "$was" ] && has_ready env 1; }
check "a pod whose sandbox is lost gets another" eventually 8 new_sandbox
same "and it works" "$(in_pod default env hostname)" env
check "and work goes on" eventually 10 has_endpoints web 4
kill -9 "$(pid_of $NAME supervisor)"
kill -9 "$(pid_of $NAME node-1)"
check "a second up repairs" meshctl lab up --name $NAME
check "all run again" eventually 8 all_running
same "pods still are the same" "$(field pod client '{.status.containerStatuses[0].containerID}')" "$before"
same "another size is refused" "$(meshctl lab up --name $NAME --nodes 3 2>&1 > /dev/null)" "lab '$NAME' is there with 2 nodes (meshctl lab down --name $NAME, then up again)"

# ---- Two at once
check "another lab beside it" meshctl lab up --name $OTHER --nodes 1
same "it has its own API" "$(kubectl --kubeconfig "/run/sockmesh/labs/$OTHER/kubeconfig" get nodes -o name)" "node/node-1"
check "the first is not disturbed" answers client http://web/

# ---- Two `up` of one name at the same time
for n in 1 2; do meshctl lab up --name $OTHER --nodes 1 > "$T/up$n" 2>&1 & ups="${ups:-} $!"; done
for p in $ups; do wait "$p" || fail "two at the same time" "$(cat "$T"/up[12])"; done

meshctl lab up --name bad$$ --image nothing > "$T/bad" 2>&1
same "a bad --image makes nothing" "$?$(ls -d /run/sockmesh/labs/bad$$ 2> /dev/null)" 1
same "and says why" "$(cat "$T/bad")" "--image nothing: not of the form NAME=PATH"

# ---- Down leaves nothing
index=$(jq .index "/run/sockmesh/labs/$OTHER/lab.json")
kill -9 "$(pid_of $OTHER supervisor)" "$(pid_of $OTHER node-1)" "$(pid_of $OTHER control)"
check "down after kills" meshctl lab down --name $OTHER
same "no namespace" "$(ip netns list | grep -c "^sml$index-")" 0
same "no process" "$(lab_processes $OTHER)" 0
check "no cgroup" test ! -e "$CGROUP2/sockmesh-lab-$OTHER"
check "no state" test ! -e "/run/sockmesh/labs/$OTHER"
same "no pin" "$(ls /sys/fs/bpf/sockmesh 2> /dev/null | grep -c "^$OTHER-node-")" 0
mkdir "/run/sockmesh/labs/$OTHER"
check "down of what an unfinished up left" meshctl lab down --name $OTHER
check "that is gone" test ! -e "/run/sockmesh/labs/$OTHER"
check "the other lab is still there" answers client http://web/
index=$(jq .index "/run/sockmesh/labs/$NAME/lab.json")
check "down" meshctl lab down --name $NAME
LAB=
same "no namespace of the first" "$(ip netns list | grep -c "^sml$index-")" 0
check "no cgroup of the first" test ! -e "$CGROUP2/sockmesh-lab-$NAME"
same "down of no lab fails" "$(meshctl lab down --name $NAME 2>&1; echo $?)" "no lab is named '$NAME' (meshctl lab list)"$'\n'1
exit $failed
