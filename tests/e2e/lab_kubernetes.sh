#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The lab's nodes and controllers on a real kube-apiserver in place of the embedded API: they must not tell the two
# apart. Needs HYPER (a binary with kube-apiserver in it) and etcd.
. "$(dirname "$0")/lib.sh"
if [ -z "${HYPER:-}" ] || [ ! -x "${HYPER:-}" ] || ! command -v etcd > /dev/null; then
	echo "skip lab on a real kube-apiserver: HYPER names no binary with kube-apiserver, or etcd is missing"
	exit 0
fi
# A meshd whose control role is that API server.
mkdir -p "$T/bin/apps"
cp "$BUILD/meshctl" "$T/bin/"
cp "$BUILD"/apps/* "$T/bin/apps/"
cat > "$T/bin/meshd" <<'S'
#!/bin/bash
[ "$1" != --help ] || { echo "  control  a real kube-apiserver"; exit 0; }
while [ $# -gt 0 ]; do
	case "$1" in
	--data) data=$2 ;; --listen) ip=${2%:*} ;; --kubeconfig-out) out=$2 ;; --kubeconfig-server) url=$2 ;; --service-cidr) cidr=$2 ;;
	esac
	shift
done
cd "$data" || exit 1
[ -f sa.key ] || openssl genrsa -out sa.key 2048 2> /dev/null
echo "tok,admin,admin,system:masters" > tokens.csv
etcd --data-dir "$data/etcd" --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
	--listen-peer-urls http://127.0.0.1:2380 > etcd.log 2>&1 &
cat > "$out" <<K
apiVersion: v1
kind: Config
clusters: [{name: real, cluster: {server: "$url", insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: "tok"}}]
contexts: [{name: real, context: {cluster: real, user: admin}}]
current-context: real
K
exec "$HYPER" kube-apiserver --etcd-servers=http://127.0.0.1:2379 --bind-address="$ip" --advertise-address="$ip" --secure-port=6443 \
	--cert-dir="$data/certs" --service-account-key-file=sa.key --service-account-signing-key-file=sa.key \
	--service-account-issuer=https://kubernetes.default.svc --service-cluster-ip-range="$cidr" --token-auth-file=tokens.csv \
	--authorization-mode=Node,RBAC --allow-privileged=true --disable-admission-plugins=ServiceAccount
S
chmod +x "$T/bin/meshd"
PATH=$T/bin:$PATH
export HYPER
lab_up real$$
K="kubectl --request-timeout=20s"
$K create serviceaccount default > /dev/null 2>&1
$K apply -f - > "$T/apply" 2>&1 <<'Y' || fail "apply" "$(cat "$T/apply")"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 3
      containers: [{name: main, image: echo, ports: [{name: web, containerPort: 8080}], readinessProbe: {httpGet: {path: /, port: web}}}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: web}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client}
spec: {terminationGracePeriodSeconds: 1, containers: [{name: main, image: client}]}
Y
check "rollout" timeout 30 $K rollout status deploy/web
check "the client is ready" timeout 10 $K wait --for=condition=Ready pod/client --timeout=8s
answers() { [ -n "$(in_pod default client curl -s --max-time 3 http://web.default/)" ]; }
check "a Service answers by name" eventually 5 answers
has_pods() { [ "$($K get pods -l app=web -o name | wc -l)" = "$1" ]; }
$K scale deploy/web --replicas=4 > /dev/null
check "scaled up" timeout 20 $K rollout status deploy/web
$K scale deploy/web --replicas=1 > /dev/null
check "scaled down" eventually 10 has_pods 1
$K set env deploy/web V=2 > /dev/null
check "rolling update" timeout 30 $K rollout status deploy/web
check "rollout undo" $K rollout undo deploy/web
check "back" timeout 30 $K rollout status deploy/web
$K delete deploy web > /dev/null
check "pods go with their Deployment" eventually 10 has_pods 0
exit $failed
