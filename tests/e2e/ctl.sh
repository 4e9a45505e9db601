#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# meshctl beside kubectl: each command is run by both on the same server in the same state, and must print the same on
# both outputs and end with the same status. On the embedded API, and where HYPER and KUBERNETES name a real
# kube-apiserver and its scripts, on that too. No root needed.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
BUILD=$(realpath "${MESH_BUILD:-build}")
PATH=$BUILD:$PATH:/usr/sbin:/sbin
export LC_ALL=C
T=$(mktemp -d)
failed=0 control=
stop() {
	[ -z "$control" ] || { kill "$control"; wait "$control"; } 2> /dev/null
	[ ! -f "$T/real/apiserver.pid" ] || "$KUBERNETES/down" "$T/real" > /dev/null 2>&1
	rm -rf "$T"
}
trap stop EXIT
trap 'exit 143' INT TERM HUP
command -v kubectl > /dev/null || { echo "skip ctl: no kubectl to compare with"; exit 0; }

cat > "$T/vs.yaml" <<- Y
	apiVersion: networking.istio.io/v1beta1
	kind: VirtualService
	metadata:
	  creationTimestamp: null
	  name: catalog
	spec:
	  hosts: [catalog]
	  http:
	  - match:
	    - uri: {exact: "/a & <b>"}
	    route:
	    - destination: {host: catalog, subset: version-v1}
	      weight: 70
	    - destination: {host: catalog, subset: version-v2}
	      weight: 30
	---
Y
sed 's/weight: 70/weight: 60/; s/weight: 30/weight: 40/' "$T/vs.yaml" > "$T/vs2.yaml"
sed 's/name: catalog/name: other/' "$T/vs.yaml" > "$T/other.yaml"
sed 's/hosts:/hostz:/' "$T/vs.yaml" > "$T/unknown.yaml"
sed 's/kind: VirtualService/kind: VirtualServant/' "$T/vs.yaml" > "$T/nokind.yaml"
sed 's/  name: catalog/  name: catalog\n  namespace: elsewhere/' "$T/vs.yaml" > "$T/elsewhere.yaml"
sed 's/weight: 70/weight: much/' "$T/vs.yaml" > "$T/badtype.yaml"
cat "$T/vs.yaml" "$T/other.yaml" > "$T/two.yaml"
mkdir "$T/dir" "$T/empty"; cp "$T/vs.yaml" "$T/dir/a.yaml"; cp "$T/other.yaml" "$T/dir/b.yml"; echo x > "$T/dir/readme.txt"
printf -- '---\n' > "$T/nothing.yaml"
cat > "$T/words.yaml" <<- 'Y'
	apiVersion: v1
	kind: ConfigMap
	metadata: {name: words, labels: {x: z1}}
	data:
	  a: "true"
	  b: "12"
	  c: "0x1f"
	  d: "1e3"
	  e: "2026-11-22"
	  f: "190:20:30"
	  g: "a: b"
	  h: "* x"
	  i: "- x"
	  j: |
	    several
	    lines
	  k: "no"
	  l: ""
	  m: "~"
	  n: " lead"
	  o: "tail "
	  p: "tab\there"
	  q: "a long line that goes on and on and on until it is much longer than what fits into eighty columns of text"
	  r: "é ü 漢字"
	  s: "1_000"
	  t: ".5"
	  u: "=x"
	  v: "'single'"
	  w: "\"double\""
	  x: "a # b"
	  y: "trailing newline\n\n"
	  z: "\x01"
	  v9: "1"
	  v10: "2"
Y
cat > "$T/app.yaml" <<- Y
	apiVersion: v1
	kind: Service
	metadata: {name: catalog, labels: {app: catalog}}
	spec:
	  selector: {application: catalog}
	  ports: [{name: http, port: 8080, targetPort: 8080}]
	---
	apiVersion: apps/v1
	kind: Deployment
	metadata: {name: catalog-v1, labels: {app: catalog, version: version-v1}, annotations: {foo: bar}}
	spec:
	  replicas: 1
	  selector: {matchLabels: {app: catalog, version: version-v1}}
	  template:
	    metadata: {labels: {app: catalog, application: catalog, version: version-v1}}
	    spec:
	      containers:
	      - name: catalog
	        image: docker.io/rhtgptetraining/foundation-catalog-service:1.0
	        env: [{name: JAVA_OPTIONS, value: -Xms15m}, {name: H, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}]
	        ports: [{name: http, containerPort: 8080}, {name: jolokia, containerPort: 8778}]
	        resources: {limits: {memory: 40Mi, cpu: 500m}, requests: {memory: 20Mi, cpu: 200m}}
	        livenessProbe: {exec: {command: [curl, "localhost:8080/health"]}, initialDelaySeconds: 5}
	        readinessProbe: {httpGet: {path: /health, port: 8080}}
Y
cat > "$T/ready.yaml" <<- Y
	apiVersion: discovery.k8s.io/v1
	kind: EndpointSlice
	metadata: {name: catalog-x, labels: {kubernetes.io/service-name: catalog}}
	addressType: IPv4
	endpoints: [{addresses: [10.0.0.1]},{addresses: [10.0.0.2]}]
	ports: [{name: http, port: 8080}]
Y
sed 's/replicas: 1/replicas: 2/; s/JAVA_OPTIONS, value: -Xms15m/JAVA_OPTIONS, value: -Xms99m/' "$T/app.yaml" > "$T/app2.yaml"

# Each command that may have changed it starts from this state.
sed 's/  name: catalog$/  name: catalog\n  labels: {a: b}\n  annotations: {x: "y"}/' "$T/vs.yaml" > "$T/state.yaml"
dirty=1
reset() {
	[ $dirty = 1 ] || return
	meshctl delete vs --all > /dev/null 2>&1
	meshctl delete cm words > /dev/null 2>&1
	meshctl create -f "$T/state.yaml" > /dev/null 2>&1
	[ "$server" = embedded ] || return
	# control writes the status a moment later: what prints or replaces the object waits for that
	case $1 in create* | delete* | label* | annotate* | wait*) return ;; esac
	for _ in {1..100}; do
		[[ $(meshctl get vs catalog -o jsonpath='{.status.conditions[*].type}' 2> /dev/null) != *InForce* ]] || return
		sleep 0.02
	done
}
# What differs from run to run, or by the programs' own names, is made the same.
norm() {
	sed -E 's/kubectl\.kubernetes\.io/K/g; s/kubectl/meshctl/g
		s/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/UID/g
		s/(resourceVersion: |"resourceVersion": |Resource Version:  *)"?[0-9]+"?/\1RV/; s/(resourceVersion\\":\\")[0-9]+/\1RV/
		s/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]+Z/TIME/g; s/[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]+ \+0000/TIME/
		s/^(namespace|virtualservice.networking.istio.io|configmap|service|deployment.apps)(\/[^ ]+ .*[^ ]) +[0-9]+[smh]([0-9]+s)?/\1\2 AGE/
		s/ +([0-9]+m)?[0-9]+s$/ AGE/; s/ +([0-9]+m)?[0-9]+s   / AGE   /; s/ +[0-9]+m$/ AGE/; s/ +[0-9]+m   / AGE   /; s/AGE +([A-Z])/AGE \1/
		s/10\.[0-9]+\.[0-9]+\.[0-9]+/IP/g; s/IP +/IP /g'
}
compare() { # compare SERVER COMMAND: as a shell line, without the program's name
	local line=$2 server=$1 k m
	reset "$line"
	case $line in get* | describe*) dirty=0 ;; *) dirty=1 ;; esac
	(cd "$T" && eval "kubectl $line" > k.out 2> k.err < /dev/null) &
	if [ $dirty = 1 ]; then # one after the other, each from the same state
		wait $!
		k=$?
		reset "$line"
	fi
	(cd "$T" && eval "meshctl $line" > m.out 2> m.err < /dev/null)
	m=$?
	if [ $dirty = 0 ]; then
		wait $!
		k=$?
	fi
	for f in k.out k.err m.out m.err; do norm < "$T/$f" > "$T/$f.n"; done
	if [ $k = $m ] && cmp -s "$T/k.out.n" "$T/m.out.n" && cmp -s "$T/k.err.n" "$T/m.err.n"; then
		echo "ok $1: $line"
		return
	fi
	echo "FAIL $1: $line"
	echo "    exit status $k of kubectl, $m of meshctl"
	{ diff "$T/k.out.n" "$T/m.out.n"; diff "$T/k.err.n" "$T/m.err.n"; } | head -20 | sed 's/^/    /'
	failed=1
}
each() { # each SERVER: commands on standard input
	local line
	while IFS= read -r line; do
		[ -z "$line" ] || compare "$1" "$line"
	done
}
commands() {
	cat <<- 'C'
		get vs
		get virtualservices.networking.istio.io catalog
		get VirtualService/catalog
		get vs catalog -o yaml
		get vs catalog -o json
		get vs -o yaml
		get vs -o json
		get vs -o name
		get vs -A
		get vs -o wide --show-labels
		get vs -L a,zz --no-headers
		get vs -l a=b
		get vs -l a=c
		get vs -l 'a in (b,c)' -o name
		get vs --field-selector metadata.name=catalog
		get vs,ns
		get vs/catalog ns/default -o name
		get vs catalog nope
		get vs nope
		get vs nope --ignore-not-found
		get nope
		get vs -n nowhere
		get vs -A -l none=such
		get -f vs.yaml
		get vs catalog -o jsonpath='{.spec.http[0].route[*].weight}{"\n"}'
		get vs -o jsonpath='{range .items[*]}{.metadata.name}{"\t"}{.spec.hosts}{"\n"}{end}'
		get vs catalog -o jsonpath='{.spec.http[0].route[?(@.weight>50)].destination.subset}'
		get vs -o custom-columns=NAME:.metadata.name,HOSTS:.spec.hosts,W:.spec.http[*].route[*].weight,NONE:.x
		get vs catalog -A
		get --foo
		get vs -Z
		create -f vs.yaml
		create -f other.yaml
		create -f other.yaml -o name
		create -f other.yaml --dry-run=server
		create -f two.yaml
		create -f dir
		create -f unknown.yaml
		create -f nokind.yaml
		create -f elsewhere.yaml -n default
		create -f missing.yaml
		create -f words.yaml -o yaml
		create namespace default
		create ns new-one --dry-run=client
		create
		replace -f vs2.yaml
		replace -f vs2.yaml -o yaml
		replace -f other.yaml
		replace -f two.yaml
		replace -f unknown.yaml
		apply -f other.yaml
		apply -f two.yaml
		apply -f vs2.yaml
		apply -f vs2.yaml --dry-run=server
		apply -f unknown.yaml
		apply -f nothing.yaml
		delete vs catalog
		delete vs/catalog
		delete vs catalog -o name
		delete -f vs.yaml
		delete -f two.yaml
		delete -f two.yaml --ignore-not-found
		delete vs nope
		delete vs catalog nope
		delete vs --all
		delete vs -l a=b
		delete vs -l a=c
		delete vs
		delete vs catalog --dry-run=server
		label vs catalog c=d
		label vs catalog a=b
		label vs catalog a=c
		label vs catalog a=c --overwrite
		label vs catalog a-
		label vs catalog zz-
		label vs catalog c=d e=f a-
		label vs --all q=r
		label vs catalog --list
		label vs catalog
		label vs nope a=b
		label -f vs.yaml n=m
		label vs catalog 'bad key=x'
		annotate vs catalog x=z
		annotate vs catalog x=z --overwrite
		annotate vs catalog x-
		annotate vs catalog n=m -o jsonpath={.metadata.annotations}
		patch vs catalog --type=merge -p '{"spec":{"hosts":["x"]}}'
		patch vs catalog --type=merge -p '{"spec":{"hosts":["catalog"]}}'
		patch vs catalog --type=json -p '[{"op":"add","path":"/spec/hosts/-","value":"x"}]'
		patch vs nope --type=merge -p '{}'
		patch vs catalog
		describe vs catalog
		describe vs
		describe vs cata
		describe vs nope
		describe virtualservice/catalog
		describe svc kubernetes
		scale vs catalog --replicas=3
		wait vs catalog --for=jsonpath='{.spec.hosts[0]}'=catalog
		wait vs nope --for=jsonpath='{.spec.hosts[0]}'=catalog
		wait vs catalog --for=jsonpath='{.spec.hosts[0]}'=other --timeout=1s
		wait vs catalog --for=create
		wait vs nope --for=delete
		get --raw /readyz
	C
}
# Objects that both programs change in turn: what one applied the other leaves alone, or changes as the first would.
mixed() {
	local a=$1 b=$2 out want
	reset apply
	kubectl delete -f "$T/app.yaml" --ignore-not-found --wait=false > /dev/null 2>&1
	out=$({ "$a" apply -f "$T/app.yaml"; "$b" apply -f "$T/app.yaml"; "$b" apply -f "$T/app2.yaml"; "$a" apply -f "$T/app2.yaml"; } 2>&1)
	want="service/catalog created
deployment.apps/catalog-v1 created
service/catalog unchanged
deployment.apps/catalog-v1 unchanged
service/catalog unchanged
deployment.apps/catalog-v1 configured
service/catalog unchanged
deployment.apps/catalog-v1 unchanged"
	if [ "$out" = "$want" ]; then echo "ok $3: apply by $a, then by $b"; else
		echo "FAIL $3: apply by $a, then by $b"
		diff <(echo "$want") <(echo "$out") | sed 's/^/    /'
		failed=1
	fi
}
on_server() {
	each "$1" < <(commands)
	mixed kubectl meshctl "$1"
	mixed meshctl kubectl "$1"
	kubectl apply -f "$T/ready.yaml" > /dev/null 2>&1
	each "$1" <<- 'C'
		describe svc catalog
		describe deploy catalog-v1
		describe svc,deploy
		scale deploy catalog-v1 --replicas=3
		scale --replicas=2 deployment/catalog-v1 --current-replicas=9
		get deploy catalog-v1 -o jsonpath='{.spec.replicas}'
		delete svc,deploy -l app=catalog --dry-run=server
	C
}

KUBECONFIG=$T/kubeconfig
export KUBECONFIG
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
meshd control --embedded --data "$T/data" --listen "127.0.0.1:$port" --san localhost --kubeconfig-out "$T/kubeconfig" > "$T/log" 2>&1 &
control=$!
for _ in $(seq 100); do
	[ -s "$KUBECONFIG" ] && kubectl get ns > /dev/null 2>&1 && break
	sleep 0.1
done
if ! kubectl get ns > /dev/null 2>&1; then
	echo "FAIL embedded: the API serves"
	sed 's/^/    /' "$T/log"
	exit 1
fi
on_server embedded

if [ -x "${HYPER:-}" ] && [ -x "${KUBERNETES:-}/up" ]; then
	if "$KUBERNETES/up" "$T/real" $((port + 1)) > "$T/up" 2>&1; then
		KUBECONFIG=$T/real/kubeconfig
		meshctl crds | kubectl create -f - > /dev/null
		kubectl wait crd virtualservices.networking.istio.io --for=condition=established > /dev/null
		on_server kubernetes
	else
		echo "FAIL kubernetes: did not start: $(tail -1 "$T/up")"
		failed=1
	fi
else
	echo "skip kubernetes: HYPER and KUBERNETES name no kube-apiserver"
fi
exit $failed
