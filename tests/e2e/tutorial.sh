#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The tutorial, step by step, on a lab of its own: KCTL=kubectl (default) or meshctl gives the commands. PLACE=FILE is
# read for another place, such as a real cluster (tests/cluster).
# Each check prints ok or FAIL. With SHOW=1 (the demo) every command is printed with its real output and one
# line of what to see in it, and the checks print only what differs.
. "$(dirname "$0")/lib.sh"
. "${PLACE:-tests/e2e/lib_lab.sh}"
KCTL=${KCTL:-kubectl}
SHOW=${SHOW:-0}
files=tests/e2e/tutorial
step_number=0
status=0
checks=0 bad=0
[ -t 1 ] && [ "$SHOW" = 1 ] && bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' plain=$'\e[0m' || bold='' dim='' red='' plain=''

step() { # step NUMBER TITLE
	step_number=$1
	[ "$SHOW" = 0 ] || printf '\n%s== %s. %s%s\n' "$bold" "$1" "$2" "$plain"
}
# run COMMAND: as it would be typed; "kubectl" stands for the tool in use. Output in $OUT, status in $status.
run() {
	local text=${1//kubectl/$KCTL}
	[ "$SHOW" = 0 ] || printf '%s$ %s%s\n' "$bold" "$text" "$plain"
	OUT=$(eval "$text" 2>&1)
	status=$?
	[ "$SHOW" = 0 ] || [ -z "$OUT" ] || printf '%s\n' "$OUT"
	RAN=$text
}
see() { [ "$SHOW" = 0 ] || printf '%s   # %s%s\n' "$dim" "$1" "$plain"; }
verdict() { # verdict NAME STATUS
	checks=$((checks + 1))
	if [ "$2" -eq 0 ]; then
		[ "$SHOW" = 1 ] || ok "$step_number $1"
		return
	fi
	bad=$((bad + 1))
	failed=1
	if [ "$SHOW" = 1 ]; then
		printf '%s   DIFFERS: %s%s\n' "$red" "$1" "$plain"
	else
		fail "$step_number $1" "\$ $RAN"$'\n'"$OUT"$'\n'"(status $status)"
	fi
}
matches() { [[ $OUT =~ $2 ]]; verdict "$1" $?; }  # matches NAME REGEX: in the output of the last command
is() { [ "$OUT" = "$2" ]; verdict "$1" $?; }      # is NAME TEXT
succeeds() { [ $status -eq 0 ]; verdict "$1" $?; } # succeeds NAME
# soon SECONDS NAME REGEX COMMAND: repeats the command, quietly, until its output matches; then shows it.
soon() {
	local end=$(($(date +%s) + $1)) show=$SHOW
	SHOW=0
	while run "$4"; do
		[[ $OUT =~ $3 ]] && break
		[ "$(date +%s)" -lt $end ] || break
		sleep 0.1
	done
	SHOW=$show
	[ "$SHOW" = 0 ] || printf '%s$ %s%s\n%s\n' "$bold" "$RAN" "$plain" "$OUT"
	matches "$2" "$3"
}
# stand: what follows would only repeat the failures of this step.
stand() {
	[ $failed -ne 0 ] || return 0
	echo "the rest is left out: step $step_number failed"
	logs
	finish
}
logs() {
	echo "   logs:"
	place_logs | cut -c1-300 | sed 's/^/    /' | tail -60
}
# A rule is in force 20 ms after the API's answer; meshctl waits for that itself.
in_force() { [ "$KCTL" = meshctl ] || sleep 0.02; }
get() { curl -s --max-time 10 "$GATEWAY_URL"; }
ready() { # ready NAMESPACE: every Deployment is available
	run "kubectl -n $1 wait --for=condition=Available deployment --all --timeout=60s"
	succeeds "the deployments of $1 are available"
}

begin=$(now_ms)
[ "$SHOW" = 0 ] || printf '%s%s, each with an agent; %s gives the commands.%s\n' "$bold" "$place_name" "$KCTL" "$plain"
place_up
[ "$SHOW" = 0 ] || place_shown

step 1 "The control plane"
run "kubectl create -n istio-system -f $files/smcp.yaml"
matches "the control plane is accepted" 'servicemeshcontrolplane.*service-mesh-installation.* created'
see "one object says what the mesh consists of; nothing else is installed by hand"
soon 30 "get smcp becomes ready" 'service-mesh-installation +(True|2/2)' "kubectl get smcp -n istio-system"
soon 30 "the gateway pods run" 'istio-egressgateway-[a-z0-9]+-[a-z0-9]+ +1/1 +Running.*istio-ingressgateway-[a-z0-9]+-[a-z0-9]+ +1/1 +Running' "kubectl get pods -n istio-system"
see "the two gateways are pods of their own; no other pod belongs to the mesh"
stand

step 2 "The member roll, before its member exists"
run "kubectl apply -n istio-system -f $files/smmr.yaml"
matches "the roll is accepted" 'servicemeshmemberroll.*default.* (created|configured)'
soon 5 "coolapp is pending" '"coolapp"' "kubectl get smmr default -n istio-system -o jsonpath='{.status.pendingMembers}{\"\\n\"}'"
soon 5 "get smmr shows it pending" 'default +0/1' "kubectl get smmr -n istio-system"
see "the namespace does not exist yet: it is pending, and joins when it is made"

step 3 "The application"
if [ "$KCTL" = meshctl ]; then
	run "meshctl new-project coolapp"
	matches "new-project makes the namespace" 'coolapp'
else
	run "kubectl create namespace coolapp"
	matches "the namespace is made" 'namespace/coolapp created'
fi
soon 5 "coolapp is configured" 'coolapp' "kubectl get smmr default -n istio-system -o jsonpath='{.status.configuredMembers}{\"\\n\"}'"
soon 5 "get smmr shows it configured" 'default +1/1 .*"?coolapp' "kubectl get smmr -n istio-system -o wide"
run "kubectl get smmr default -n istio-system -o yaml"
matches "the status has meshGeneration" 'meshGeneration: [0-9]+'
matches "the status has observedGeneration" 'observedGeneration: [0-9]+'
timeout 60 "$KCTL" get pods -n coolapp -w > "$T/watch" 2>&1 < /dev/null &
watcher=$!
for f in catalog-v1 partner gateway; do
	run "kubectl create -n coolapp -f $files/$f.yaml"
	matches "$f: deployment and service" "deployment.apps/$f created.*service/${f%-v1} created"
done
see "the files are as the application's authors wrote them: labels, probes, environment, a bare --- at the end"
ready coolapp
run "kubectl get all -n coolapp"
matches "get all: pods" 'pod/catalog-v1-[a-z0-9]+-[a-z0-9]{5} +1/1 +Running +0'
matches "get all: services" 'service/gateway +ClusterIP +10\.[0-9.]+ +<none> +8080/TCP'
matches "get all: deployments" 'deployment.apps/partner +1/1 +1 +1'
matches "get all: replica sets" 'replicaset.apps/partner-[a-z0-9]+ +1 +1 +1'
see "1/1: each pod has one container, its own. There is no sidecar"
sleep 0.2
kill "$watcher"
wait "$watcher" 2> /dev/null
RAN="$KCTL get pods -n coolapp -w" OUT=$(cat "$T/watch") status=0
matches "get pods -w saw them come" 'catalog-v1-[a-z0-9]+-[a-z0-9]+ +0/1 .*catalog-v1-[a-z0-9]+-[a-z0-9]+ +1/1 +Running'
stand

step 4 "The way in"
run "kubectl create -n coolapp -f $files/ingress-gateway.yaml"
matches "gateway and virtual service" 'gateway.networking.istio.io/ingress-gateway created.*virtualservice.networking.istio.io/ingress-gateway created'
in_force
run "GATEWAY_URL=\$($place_way_in); echo \$GATEWAY_URL"
GATEWAY_URL=$OUT
matches "the way in has an address" "$place_way_in_is"
pod=$(pod_of coolapp application=catalog,version=v1)
for n in 1 2 3; do
	run 'curl -s $GATEWAY_URL'
	is "curl $n" "gateway => partner => catalog v1 from '${pod#catalog-v1-}': $n"
done
see "through the ingress gateway to three services, each called by the one before it"
run "curl -s -o /dev/null -w '%{http_code}\n' \$GATEWAY_URL/other"
is "/other is not routed" 404
see "the virtual service routes exactly /"

step 5 "catalog v2 joins"
run "kubectl create -n coolapp -f $files/catalog-v2.yaml"
matches "the deployment is made" 'deployment.apps/catalog-v2 created'
ready coolapp
run "kubectl get pods -n coolapp -o wide --show-labels"
matches "the pods with their labels" 'catalog-v2-[a-z0-9]+-[a-z0-9]+ +1/1 +Running +0 .* 10\.[0-9.]+ +'"$place_node"' .*application=catalog.*version=v2'
soon 5 "two endpoints" 'Endpoints: +10\.[0-9.]+:8080,10\.[0-9.]+:8080' "kubectl describe service catalog -n coolapp"
in_force
order=
for n in 1 2 3 4 5 6 7 8; do
	run 'curl -s $GATEWAY_URL'
	[[ $OUT =~ "catalog "(v[12])" from" ]] && order+="${BASH_REMATCH[1]} "
done
RAN="curl, 8 times" OUT=$order
matches "strictly in turn" '^(v2 v1 v2 v1 v2 v1 v2 v1 |v1 v2 v1 v2 v1 v2 v1 v2 )$'
see "no rule yet: requests go to the two endpoints in turn, although partner keeps its connections open"

step 6 "A route to a subset that nobody has defined"
run "kubectl create -n coolapp -f $files/virtual-service-catalog-v2.yaml"
matches "the virtual service is made" 'virtualservice.networking.istio.io/catalog created'
in_force
run 'curl -s -i $GATEWAY_URL'
OUT=${OUT//$'\r'/}
matches "503" '^HTTP/1.1 503 '
matches "the body" $'\n\ngateway => 503 partner => 503$'
matches "Content-Length 30" $'\n[Cc]ontent-[Ll]ength: 30\n'
matches "server is the mesh" $'\n[Ss]erver: (sockmesh|istio-envoy)'
matches "the time that the upstream took" $'\n[Xx]-[Ee]nvoy-[Uu]pstream-[Ss]ervice-[Tt]ime: [0-9]+'
see "the mesh answers partner 503 with an empty body: the subset version-v2 is in no DestinationRule"

step 7 "The subsets"
run "kubectl create -n coolapp -f $files/destination-rule-catalog.yaml"
matches "the destination rule is made" 'destinationrule.networking.istio.io/catalog created'
in_force
all=
for n in 1 2 3 4 5 6 7 8 9 10; do
	run 'curl -s $GATEWAY_URL'
	[ $n -gt 1 ] || matches "the very next request is v2" 'catalog v2 from'
	[[ $OUT =~ "catalog "(v[12])" from" ]] && all+="${BASH_REMATCH[1]} "
	[ $n -ge 2 ] && [ "$SHOW" = 1 ] && { SHOW=0; quiet=1; }
done
[ -z "${quiet:-}" ] || SHOW=1
RAN="curl, 10 times" OUT=$all
is "and so are all that follow" "v2 v2 v2 v2 v2 v2 v2 v2 v2 v2 "
see "10 of 10 are v2, from the very first, on connections that were open before"

step 8 "Another subset"
run "kubectl replace -n coolapp -f $files/virtual-service-catalog-v1.yaml"
matches "replaced" 'virtualservice.networking.istio.io/catalog replaced'
in_force
run 'curl -s $GATEWAY_URL'
matches "the very next request is v1" 'catalog v1 from'
see "requests are routed, not connections: the next one is v1"
run "kubectl create -n coolapp -f $files/virtual-service-catalog-v1.yaml"
matches "create instead says AlreadyExists" 'AlreadyExists.*virtualservices.networking.istio.io "catalog" already exists'
[ $status -eq 1 ]; verdict "and fails with status 1" $?

# count N: N requests one after another, through the gateway; prints "V1 V2"
count() {
	for ((i = 0; i < $1; i++)); do echo "url = \"http://$GATEWAY_URL/\""; done > "$T/urls"
	curl -s --max-time 60 -K "$T/urls" > "$T/answers"
	echo "$(grep -c 'catalog v1 ' "$T/answers") $(grep -c 'catalog v2 ' "$T/answers")"
}
step 9 "70 of 100"
run "kubectl replace -n coolapp -f $files/virtual-service-catalog-70-30.yaml"
matches "replaced" 'virtualservice.networking.istio.io/catalog replaced'
in_force
run "count 2000"
OUT=$(awk '{ print ($1 + $2 == 2000 && $1 >= 1400 - 61 && $1 <= 1400 + 61) ? "within" : "not within", $0 }' <<< "$OUT")
matches "2,000 requests are within 3 sigma of 1,400 to 600" '^within'
see "v1 and v2 of 2,000 requests; 3 sigma is 61"
run "kubectl describe VirtualService catalog -n coolapp"
matches "describe: name" 'Name: +catalog'
matches "describe: generation 3" 'Generation: +3'
matches "describe: the weights" 'Subset: +version-v1.*Weight: +70.*Subset: +version-v2.*Weight: +30'

run "kubectl create -n coolapp -f $files/client.yaml"
matches "a client with curl" 'deployment.apps/client created'
ready coolapp
client=$(pod_of coolapp app=client)
# connections N: N connections from the client's pod to the service, a request on each; prints "V1 V2"
connections() {
	{
		printf 'header = "Connection: close"\n'
		for ((i = 0; i < $1; i++)); do echo 'url = "http://catalog:8080/"'; done
	} > "$T/urls"
	{ cat "$T/urls"; sleep 0.5; } | in_pod coolapp "$client" curl -s --max-time 60 -K - > "$T/answers"
	echo "$(grep -c 'catalog v1 ' "$T/answers") $(grep -c 'catalog v2 ' "$T/answers")"
}
run "kubectl annotate service catalog sockmesh.io/balance=connection -n coolapp"
matches "the service is annotated" 'service/catalog annotated'
in_force
connections 20 > /dev/null
before=$(place_agents_us)
run "connections 2000"
after=$(place_agents_us)
OUT=$(awk '{ print ($1 + $2 == 2000 && $1 >= 1400 - 61 && $1 <= 1400 + 61) ? "within" : "not within", $0 }' <<< "$OUT")
matches "2,000 connections are within 3 sigma of 1,400 to 600" '^within'
RAN="CPU time of both agents meanwhile" OUT="$((after - before)) us"
[ $((after - before)) -lt 100000 ]; verdict "the agents' CPU stayed flat" $?
[ "$SHOW" = 0 ] || echo "$RAN: $OUT"
see "one draw per connection, made in the kernel at connect(): the agents used $(((after - before) / 1000)) ms of CPU meanwhile, which is their own housekeeping"
node=$(kubectl get pod -n coolapp "$client" -o jsonpath='{.spec.nodeName}')
run "$(place_dump "$node" dest) | grep -w weight | sort | uniq -c"
matches "the weights are in the kernel" '"weight": 70.*"weight": 30|"weight": 30.*"weight": 70'
see "the same weights in the map that the kernel draws from"
run "kubectl annotate service catalog sockmesh.io/balance- -n coolapp"
matches "the annotation is taken back" 'service/catalog (annotated|unannotated)'

step 10 "In the roll and out of it"
run "kubectl create namespace outside"
run "kubectl create -n outside -f $files/client.yaml"
ready outside
stranger=$(pod_of outside app=client)
in_force
# through NAMESPACE POD: "mesh" if the answer to a request from there has passed the mesh, else "direct"
through() {
	local out
	out=$(in_pod "$1" "$2" curl -s -i --max-time 5 http://catalog.coolapp:8080/ < /dev/null) || { echo "no answer"; return; }
	[[ $out =~ "catalog v" ]] || { echo "not the catalog: $out"; return; }
	if [[ ${out,,} =~ x-envoy-upstream-service-time ]]; then echo mesh; else echo direct; fi
}
run "through coolapp $client"
is "a member's request passes the mesh" mesh
run "through outside $stranger"
is "a stranger's does not" direct
see "same service, same node's programs: only pods of the roll are captured"
restarts() { kubectl get pods -n coolapp -o json | jq -r '.items[] | "\(.metadata.uid) \(.status.containerStatuses[0].restartCount)"' | sort; }
restarts > "$T/before"
run "kubectl replace -n istio-system -f $files/smmr-empty.yaml"
matches "coolapp leaves the roll" 'servicemeshmemberroll.*default.* replaced'
soon 5 "its running pods are released" '^direct$' "through coolapp $client"
run "kubectl replace -n istio-system -f $files/smmr.yaml"
matches "coolapp is back in the roll" 'servicemeshmemberroll.*default.* replaced'
soon 5 "its running pods are captured" '^mesh$' "through coolapp $client"
restarts > "$T/after"
RAN="pods and restarts, before and after" OUT=$(diff "$T/before" "$T/after") status=0
is "no pod was restarted" ""
see "nothing was restarted: capture is a word in a map of the kernel"
soon 5 "and the application works as before" '^gateway => partner => catalog v' 'curl -s $GATEWAY_URL'

took=$((($(now_ms) - begin) / 1000))
if [ "$SHOW" = 1 ]; then
	place_down
	printf '\n%s%d checks, %d differed, %d s%s\n' "$bold" "$checks" "$bad" "$took" "$plain"
elif [ $failed -ne 0 ]; then
	logs
fi
finish
