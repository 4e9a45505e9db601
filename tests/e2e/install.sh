#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# meshctl install, upgrade, uninstall and check with a real kube-apiserver that has no nodes: what is made, what stays,
# what is refused, and why nothing comes into force. No root needed. What runs on nodes is in tests/cluster.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
if [ -z "${KUBERNETES:-}" ] || [ ! -x "$KUBERNETES/up" ] || [ ! -x "${HYPER:-}" ] || ! command -v etcd kubectl > /dev/null; then
	echo "skip install: HYPER and KUBERNETES name no kube-apiserver, or etcd or kubectl is missing"
	exit 0
fi
BUILD=$(realpath "${MESH_BUILD:-build}")
PATH=$BUILD:$PATH
T=$(mktemp -d)
export LC_ALL=C HOME=$T
failed=0
stop() {
	[ ! -f "$T/real/apiserver.pid" ] || "$KUBERNETES/down" "$T/real" > /dev/null 2>&1
	rm -rf "$T"
}
trap stop EXIT
trap 'exit 143' INT TERM HUP
ok() { echo "ok $*"; }
fail() { echo "FAIL $1"; [ $# -lt 2 ] || printf '%s\n' "$2" | head -30 | sed 's/^/    /'; failed=1; }
same() { if [ "$2" = "$3" ]; then ok "$1"; else fail "$1" "is:     $2"$'\n'"not:    $3"; fi; }
has() { if grep -qF -- "$3" <<< "$2"; then ok "$1"; else fail "$1" "not there: $3"$'\n'"$2"; fi; }
status() { "$@" > "$T/out" 2>&1; echo $?; }
out() { cat "$T/out"; }

# What needs no server.
meshctl install --dry-run -o yaml --image r/i:1 --set control.replicas=5 > "$T/yaml"
same "dry run: image" "$(grep -c 'image: r/i:1$' "$T/yaml")" 3
same "dry run: setting" "$(grep -c 'replicas: 5$' "$T/yaml")" 1
same "an unknown setting" "$(status meshctl install --dry-run -o yaml --set agent.logLevl=info)" 1
has "its near match" "$(out)" "error: --set agent.logLevl: no setting is named so (did you mean agent.logLevel?)"
same "two errors at once" "$(meshctl install --dry-run -o yaml --set a --set b 2>&1 | grep -c '^error: ')" 2
same "-o without --dry-run" "$(status meshctl install -o yaml)" 1
has "is refused" "$(out)" "error: -o is for --dry-run"
same "a word too many" "$(status meshctl uninstall all)" 1
has "help lists the settings" "$(meshctl install --help)" "webhook.failurePolicy=Fail|Ignore"
same "nobody there" "$(status env KUBECONFIG=/dev/null meshctl --kubeconfig "$T/none" install)" 1

port=$((20000 + $$ % 10000))
kubeconfig=$("$KUBERNETES/up" "$T/real" $port 2> "$T/up") || { fail "kube-apiserver" "$(cat "$T/up")"; exit 1; }
export KUBECONFIG=$kubeconfig
of_mesh() { kubectl get ns,crd,clusterroles,clusterrolebindings,validatingwebhookconfigurations -l app.kubernetes.io/name=sockmesh -o name; }

same "check --pre" "$(status meshctl check --pre)" 1
has "says that there are no nodes" "$(out)" "fail  nodes: there are none"
has "and what is allowed" "$(out)" "ok    permissions: everything is allowed"
same "check as json" "$(meshctl check --pre -o json | jq -r '.groups[0].name')" cluster
same "upgrade of nothing" "$(status meshctl upgrade)" 1
has "says so" "$(out)" "error: nothing is installed here that could be upgraded: meshctl install"
same "uninstall of nothing" "$(status meshctl uninstall)" 0
same "changes nothing" "$(grep -c 'unchanged: nothing there' "$T/out")" 10

same "dry run with a server" "$(status meshctl install --dry-run)" 0
has "creates all" "$(tail -1 "$T/out")" "to create, 0 to change, 0 unchanged (dry run)"
same "and makes nothing" "$(of_mesh)" ""

same "the kustomization's objects" "$(meshctl install --dry-run -o name | sort)" "$(kubectl apply -k deploy --dry-run=client -o name | sort)"

# A definition and a namespace that are another's.
theirs() {
	kubectl label ns istio-system app.kubernetes.io/name- app.kubernetes.io/managed-by- > /dev/null
	kubectl label crd telemetries.telemetry.istio.io app.kubernetes.io/name- app.kubernetes.io/managed-by- > /dev/null
}
kubectl create namespace istio-system > /dev/null
meshctl crds telemetry -o yaml | kubectl create -f - > /dev/null
theirs
same "install" "$(status meshctl install --wait=false)" 0
same "a verdict for each step" "$(awk '{ print $NF != "" }' "$T/out" | sort -u)" 1
has "others' definitions stay" "$(out)" "1 are another's and stay as they are"
same "that one has no label of ours" "$(kubectl get crd telemetries.telemetry.istio.io -o jsonpath='{.metadata.labels}')" ""
same "nor has that namespace" "$(kubectl get ns istio-system -o jsonpath='{.metadata.labels.app\.kubernetes\.io/name}')" ""
has "but its level of pod security is set" "$(kubectl get ns istio-system -o jsonpath='{.metadata.labels}')" "pod-security.kubernetes.io/enforce"
same "again" "$(status meshctl install --wait=false)" 0
same "changes nothing" "$(grep -vc unchanged "$T/out")" 0
kubectl apply -k deploy > "$T/out" 2>&1 || fail "kubectl apply -k after install" "$(out)"
theirs # kubectl does not ask whose they are
same "kubectl apply -k, then install" "$(status meshctl install --wait=false)" 0
same "dry run finds no difference" "$(meshctl install --dry-run | tail -1)" "0 to create, 0 to change, $(($(meshctl install --dry-run -o name | wc -l) - 1)) unchanged, 1 of others (dry run)"

# What control writes stays.
kubectl patch validatingwebhookconfiguration sockmesh --type=json \
	-p '[{"op":"add","path":"/webhooks/0/clientConfig/caBundle","value":"Q0E="}]' > /dev/null 2>&1
meshctl install --wait=false --set webhook.failurePolicy=Ignore > /dev/null
same "caBundle stays, the policy changes" \
	"$(kubectl get validatingwebhookconfiguration sockmesh -o jsonpath='{.webhooks[0].clientConfig.caBundle} {.webhooks[0].failurePolicy}')" "Q0E= Ignore"

# Upgrade remembers.
meshctl install --wait=false --image example.com/mesh:1 --set control.replicas=3 > /dev/null
meshctl upgrade --dry-run --set logLevel=debug > "$T/out" 2>&1
has "upgrade: dry run shows the field" "$(out)" 'data.logLevel: "info" -> "debug"'
same "and no other image" "$(grep -c 'image' "$T/out" | grep -v '^0$' || grep -c 'example.com/mesh:1' "$T/out")" 1
same "upgrade" "$(status meshctl upgrade --wait=false --set logLevel=debug)" 0
same "image and settings are kept" \
	"$(kubectl -n sockmesh-system get deploy sockmesh-control -o jsonpath='{.spec.replicas} {.spec.template.spec.containers[0].image}')" "3 example.com/mesh:1"
kubectl -n sockmesh-system annotate ds sockmesh-agent sockmesh.io/abi=1000 --overwrite > /dev/null
same "a downgrade that agents cannot do" "$(status meshctl upgrade --wait=false)" 1
has "is refused" "$(out)" "keep tables of layout 1000 on the nodes"
same "unless it is meant" "$(status meshctl upgrade --wait=false --allow-downgrade)" 0
kubectl -n sockmesh-system annotate --overwrite daemonset sockmesh-agent sockmesh.io/version-time=9999999999 > /dev/null
kubectl -n sockmesh-system patch daemonset sockmesh-agent --type=merge \
	-p '{"spec":{"template":{"metadata":{"annotations":{"sockmesh.io/version":"abcdef012345"}}}}}' > /dev/null
same "a downgrade to what was made before, where versions have no numbers" "$(status meshctl upgrade --wait=false)" 1
has "is refused" "$(out)" "is older than abcdef012345, which is installed: --allow-downgrade if that is meant"
same "unless it is meant" "$(status meshctl upgrade --wait=false --allow-downgrade)" 0

# No controller makes pods here: the time runs out, and what is missing is named.
same "install without nodes" "$(status meshctl install --timeout=2s)" 1
has "control is missing" "$(out)" "control                            failed: not all of its pods are there"
same "check" "$(status meshctl check)" 1
has "says that control is not there" "$(out)" "fail  control: 0 of"
same "status" "$(status meshctl status)" 0
has "says that nothing is in force" "$(out)" "no mesh is in force here"

# On the hosts' network there is room for one control pod on each node.
node() { printf '{"apiVersion":"v1","kind":"Node","metadata":{"name":"%s","labels":{"kubernetes.io/os":"linux"}},"spec":{%s}}' "$1" "${2:-}" | kubectl create -f - > /dev/null; }
replicas() { kubectl -n sockmesh-system get deploy sockmesh-control -o jsonpath='{.spec.replicas}'; }
node only
node reserved '"taints":[{"key":"for","value":"others","effect":"NoSchedule"}]'
same "dry run on a cluster with one node for control" "$(status meshctl install --dry-run)" 0
has "says so" "$(out)" "note      control: 1 replica, not 2: each needs a node of its own"
meshctl install --wait=false > "$T/out" 2>&1
has "install says so" "$(out)" "control                            note: 1 replica, not 2"
same "one replica there" "$(replicas)" 1
node second
meshctl install --wait=false > "$T/out" 2>&1
same "and two with a second node" "$(replicas)" 2
meshctl install --wait=false --set control.replicas=4 > /dev/null 2>&1
same "or what is said" "$(replicas)" 4
meshctl install --wait=false > /dev/null 2>&1
kubectl delete node only reserved second > /dev/null

# Not allowed.
kubectl create serviceaccount nobody > /dev/null
kubectl create clusterrole reader --verb=get,list,watch --resource='*.*' > /dev/null
kubectl create clusterrolebinding reader --clusterrole=reader --serviceaccount=default:nobody > /dev/null
token=$(kubectl create token nobody)
sed "s/token: .*}/token: \"$token\"}}/" "$kubeconfig" > "$T/nobody"
same "install by one who may not" "$(KUBECONFIG=$T/nobody status meshctl install --wait=false --set logLevel=error)" 1
has "names what is forbidden" "$(out)" "forbidden"
same "check --pre by one who may not" "$(KUBECONFIG=$T/nobody status meshctl check --pre)" 1
has "lists it" "$(out)" "not allowed: create namespaces, patch namespaces, delete namespaces"

# Uninstall. There is no controller that empties namespaces: that is done by hand here.
meshctl uninstall --dry-run > "$T/out" 2>&1
has "uninstall: dry run" "$(out)" "delete    /apis/apps/v1/namespaces/sockmesh-system/daemonsets/sockmesh-agent"
has "keeps what was there before" "$(out)" "keep      /api/v1/namespaces/istio-system: it was there before the mesh"
same "and deletes nothing" "$(kubectl -n sockmesh-system get ds -o name)" daemonset.apps/sockmesh-agent
begin=$(date +%s)
same "uninstall" "$(status meshctl uninstall --keep-namespaces)" 0
echo "   took $(($(date +%s) - begin)) s"
same "nothing is left but the namespace" "$(of_mesh)" "namespace/sockmesh-system"
same "and what is another's" "$(kubectl get crd -o name; kubectl get ns istio-system -o name)" \
	"customresourcedefinition.apiextensions.k8s.io/telemetries.telemetry.istio.io"$'\n'"namespace/istio-system"
same "uninstall again" "$(status meshctl uninstall --keep-namespaces)" 0
same "--keep-crds" "$(meshctl install --wait=false > /dev/null; meshctl uninstall --keep-crds --keep-namespaces > /dev/null; kubectl get crd -l app.kubernetes.io/name=sockmesh -o name | wc -l)" 17
exit $failed
