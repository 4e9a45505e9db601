#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What meshctl does with a running mesh: projects, logs, exec, wait, watches, status, and that a change has come into
# force on every node when the command returns.
. "$(dirname "$0")/lib.sh"
lab_up "ctl$$" --nodes 2

same "new-project switches" "$(meshctl new-project coolapp; meshctl project)" \
	"Now using project \"coolapp\" on server \"$(kubectl config view -o jsonpath='{.clusters[0].cluster.server}')\".
Using project \"coolapp\" on server \"$(kubectl config view -o jsonpath='{.clusters[0].cluster.server}')\"."
same "kubectl sees the project" "$(kubectl config view --minify -o jsonpath='{..namespace}')" coolapp
cat > "$T/app.yaml" <<- Y
	apiVersion: v1
	kind: Service
	metadata: {name: catalog}
	spec: {selector: {app: catalog}, ports: [{name: http, port: 8080}]}
	---
	apiVersion: apps/v1
	kind: Deployment
	metadata: {name: catalog-v1}
	spec:
	  replicas: 2
	  selector: {matchLabels: {app: catalog}}
	  template:
	    metadata: {labels: {app: catalog, version: version-v1}}
	    spec: {containers: [{name: catalog, image: "docker.io/rhtgptetraining/foundation-catalog-service:1.0"}]}
Y
meshctl get pods -w --request-timeout=20s > "$T/watch" 2>&1 &
watch=$!
check "apply" meshctl apply -f "$T/app.yaml"
same "wait for the deployment" "$(meshctl wait deploy/catalog-v1 --for=condition=available --timeout=30s)" \
	"deployment.apps/catalog-v1 condition met"
pod=$(meshctl get pods -o jsonpath='{.items[0].metadata.name}')
same "both programs list the same pods" "$(meshctl get pods -o wide --no-headers | awk '{print $1, $2, $3, $6, $7}')" \
	"$(kubectl get pods -o wide --no-headers | awk '{print $1, $2, $3, $6, $7}')"

same "exec" "$(meshctl exec "$pod" -- hostname)" "$pod"
meshctl exec "$pod" -- sh -c 'echo out; echo err >&2; exit 7' > "$T/out" 2> "$T/err"
same "exec: exit status" $? 7
same "exec: standard output" "$(cat "$T/out")" out
same "exec: standard error" "$(cat "$T/err")" "err
command terminated with exit code 7"
head -c 1000000 /dev/urandom > "$T/big"
meshctl exec -i "$pod" -- cat < "$T/big" > "$T/back"
check "exec -i: a megabyte there and back" cmp "$T/big" "$T/back"
same "exec: a terminal" "$(script -qec "meshctl exec -it $pod -- sh -c 'stty size > /dev/null && echo tty'" /dev/null < /dev/null | tr -d '\r')" tty
same "exec: no such pod" "$(meshctl exec nope -- true 2>&1)" 'Error from server (NotFound): pods "nope" not found'
same "logs" "$(meshctl logs "$pod")" "$(kubectl logs "$pod")"
check "logs of a deployment" grep -q "catalog listens" <(meshctl logs deploy/catalog-v1 2> /dev/null)
same "logs: tail" "$(meshctl logs "$pod" --tail=1 | wc -l)" 1

check "scale" meshctl scale deploy catalog-v1 --replicas=1
check "wait for what is scaled away" eventually 20 sh -c '[ $(meshctl get pods -o name | wc -l) = 1 ]'
kill $watch 2> /dev/null
wait $watch 2> /dev/null
check "get -w: one header, then changes" awk 'NR == 1 { if ($1 != "NAME") exit 1; next } $1 == "NAME" { exit 1 } $3 == "Running" { up++ } $3 == "Terminating" { down++ } END { exit !(up && down) }' "$T/watch"

# In force: when the command returns, each agent's Lease has reached the object's version.
versions() { kubectl get lease -n istio-system -l sockmesh.io/component=agent \
	-o go-template='{{range .items}}{{index .metadata.annotations "sockmesh.io/in-force"}}{{"\n"}}{{end}}' | jq -r '.["virtualservices.networking.istio.io"]'; }
rule() { # rule WEIGHT
	cat <<- Y
		apiVersion: networking.istio.io/v1
		kind: VirtualService
		metadata: {name: catalog}
		spec: {hosts: [catalog], http: [{route: [{destination: {host: catalog, subset: a}, weight: $1}, {destination: {host: catalog, subset: b}, weight: $((100 - $1))}]}]}
	Y
}
late=
for i in 10 20 30 40 50; do
	rule $i | meshctl apply -f - > /dev/null || late="$late apply failed;"
	rv=$(kubectl get vs catalog -o jsonpath='{.metadata.resourceVersion}')
	for v in $(versions); do [ "$v" -ge "$rv" ] || late="$late $v<$rv"; done
done
same "apply returns when it is in force on every node" "$late" ""
rv=$(kubectl get vs catalog -o jsonpath='{.metadata.resourceVersion}')
meshctl delete vs catalog > /dev/null
for v in $(versions); do [ "$v" -gt "$rv" ] || late="$late $v<=$rv"; done
same "delete returns when it is in force on every node" "$late" ""

agent=$(cat "$(findmnt -nt cgroup2 -o TARGET | head -1)/sockmesh-lab-$LAB/node-2/agent/cgroup.procs" | head -1)
kill -STOP "$agent"
out=$(rule 70 | meshctl apply --timeout=2s -f - 2>&1)
same "a node that lags: exit status" $? 1
same "a node that lags is named" "$out" "virtualservice.networking.istio.io/catalog created
error: stored, but not in force after 2 s on: sockmesh-agent-node-2 (virtualservices.networking.istio.io)"
begin=$(now_ms)
rule 71 | meshctl apply --wait=false -f - > /dev/null
within "--wait=false does not wait" $(($(now_ms) - begin)) 0 1500
kill -CONT "$agent"
check "in force again" eventually 10 meshctl apply --timeout=2s -f <(rule 72)

meshctl status > "$T/status"
same "status: agents" "$(awk '$1 == "agent" { print $2, $3 }' "$T/status")" "node-1 yes
node-2 yes"
same "status: nodes" "$(awk '/^NODE/ { on = 1; next } on && NF == 0 { exit } on { print $1, $3 }' "$T/status")" "node-1 yes
node-2 yes"
meshctl status -o wide > "$T/wide"
check "status: programs and maps" sh -c "grep -q connect4 '$T/wide' && grep -q maxEntries '$T/wide'"
same "status -o json" "$(meshctl status -o json | jq -r '[.members[] | select(.component == "agent") | .agent.node] | sort | join(" ")')" "node-1 node-2"
exit $failed
