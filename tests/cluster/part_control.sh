# SPDX-License-Identifier: Apache-2.0
# Read by run.sh. Gateways and control that are restarted while they are used: no request fails, and what the API takes is valid
# all the time. Members, gateways and what belongs to them follow the API.
leader() { kubectl -n sockmesh-system get lease sockmesh-control -o jsonpath='{.spec.holderIdentity}' | cut -d_ -f1; }
gateway_replicas() { [ "$(kubectl -n istio-system get deployment istio-ingressgateway -o jsonpath='{.spec.replicas}/{.status.readyReplicas}')" = "$1/$1" ]; }
condition() { kubectl -n istio-system get "$1" -o json | jq -r --arg t "$2" '.status.conditions[] | select(.type == $t) | .status'; }
good_rule() {
	printf '%s\n' 'apiVersion: networking.istio.io/v1beta1' 'kind: VirtualService' "metadata: {name: $1, namespace: default}" \
		'spec: {hosts: [h], http: [{route: [{destination: {host: h}}]}]}'
}
# asking SECONDS: dry runs of a good rule, which the webhook is asked about; says how many failed
asking() {
	local end=$((SECONDS + $1)) all=0 bad=0
	good_rule asked > "$T/asked.yaml"
	while [ $SECONDS -lt $end ]; do
		all=$((all + 1))
		kubectl create --dry-run=server -f "$T/asked.yaml" > "$T/asked.out" 2>&1 || { bad=$((bad + 1)) && cp "$T/asked.out" "$T/asked.bad"; }
	done
	echo "$bad of $all failed"
}

same "the control plane is in force" "$(condition smcp/service-mesh-installation InForce)" True
same "the roll is in force" "$(condition smmr/default InForce)" True

kubectl -n istio-system scale deployment istio-ingressgateway --replicas=2 > /dev/null
check "a gateway that is scaled" eventually 60 gateway_replicas 2
"$BUILD/bench/load" -c 16 -r 500 -d 30 "$(way_in 1)/" > "$T/load.json" 2> "$T/load.err" &
load=$!
sleep 2
kubectl -n istio-system rollout restart deployment istio-ingressgateway > /dev/null
check "the gateway rolls" rollout istio-system deployment/istio-ingressgateway
kubectl -n istio-system delete --wait=false "$(kubectl -n istio-system get pods -l istio=ingressgateway -o name | head -1)" > /dev/null
wait "$load"
same "gateways rolled and one deleted under 500 requests a second: failed" "$(jq '.failed + ."4xx" + ."5xx"' "$T/load.json")" 0
sed 's/^/   /' "$T/load.json"
check "it has the number of pods that it was scaled to" eventually 60 gateway_replicas 2
kubectl -n istio-system scale deployment istio-ingressgateway --replicas=1 > /dev/null

asking 20 > "$T/asking" &
asking=$!
sleep 1
kubectl -n sockmesh-system rollout restart deployment sockmesh-control > /dev/null
check "control rolls" rollout sockmesh-system deployment/sockmesh-control
wait "$asking"
same "rules that were written while control rolled" "$(sed 's/ of [0-9]* / /' "$T/asking")" "0 failed"
sed 's/^/   /' "$T/asking"
[ ! -f "$T/asked.bad" ] || sed 's/^/   /' "$T/asked.bad"

before=$(leader)
kubectl -n sockmesh-system delete pod "$before" --force --grace-period=0 > /dev/null 2>&1
other_leads() { local l; l=$(leader) && [ -n "$l" ] && [ "$l" != "$before" ]; }
check "a leader that is killed is followed" eventually 25 other_leads
check "and replaced" rollout sockmesh-system deployment/sockmesh-control

good_rule bad | sed 's/hosts: \[h\]/hosts: [h, h]/' > "$T/bad.yaml"
kubectl create -f "$T/bad.yaml" > "$T/bad.out" 2>&1
same "a bad rule is refused, in the words of the embedded API" "$(cat "$T/bad.out")" \
	'The VirtualService "bad" is invalid: spec.hosts: "h" and "h" overlap'
bundle() { kubectl get validatingwebhookconfiguration sockmesh -o jsonpath='{.webhooks[0].clientConfig.caBundle}'; }
before=$(bundle)
kubectl patch validatingwebhookconfiguration sockmesh --type=json -p '[{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]' > /dev/null
bundle_is_back() { [ "$(bundle)" = "$before" ]; }
check "a caBundle that is taken away comes back" eventually 10 bundle_is_back

mine() { kubectl -n istio-system get deployment,service,serviceaccount,role,rolebinding -l app.kubernetes.io/managed-by=sockmesh-control -o name | wc -l; }
kubectl -n istio-system get smcp service-mesh-installation -o json | jq '{apiVersion, kind, metadata: {name: .metadata.name, namespace: .metadata.namespace}, spec}' > "$T/smcp.json"
kubectl -n istio-system delete smcp service-mesh-installation > /dev/null
nothing_is_left() {
	[ "$(mine)" = 0 ] && [ "$(kubectl get clusterrolebinding -l app.kubernetes.io/managed-by=sockmesh-control -o name | wc -l)" = 0 ]
}
check "a control plane's gateways go with it" eventually 60 nothing_is_left
kubectl create -f "$T/smcp.json" > /dev/null
check "and come with it" kubectl -n istio-system wait smcp/service-mesh-installation --for=condition=InForce --timeout=90s
roll_is_in_force() { [ "$(condition smmr/default Ready)$(condition smmr/default InForce)" = TrueTrue ]; }
check "and its members are in the mesh again" eventually 30 roll_is_in_force
answers() { [ "$(curl -s -o "$T/answer" -w '%{http_code}' -m 5 "http://$(way_in 2)/")" = 200 ]; }
check "and the way in leads to them" eventually 20 answers
