#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A real kube-apiserver takes the definitions that `meshctl crds` prints, and with them the samples.
# KUBERNETES=DIR has up and down, HYPER=BINARY is the server, CONFORMANCE=DIR the samples.
set -u
cd "$(dirname "$0")/../.." || exit 2
if [ -z "${KUBERNETES:-}" ] || [ -z "${HYPER:-}" ] || [ ! -x "${HYPER:-}" ]; then
	echo "skip crds: KUBERNETES and HYPER do not name a kube-apiserver to start"
	exit 0
fi
dir=$(mktemp -d /tmp/sockmesh-crds-XXXXXX)
port=$((20000 + $$ % 10000))
trap '"$KUBERNETES/down" "$dir" > /dev/null 2>&1; rm -rf "$dir"' EXIT
failed=0
say() { # STATUS NAME
	if [ "$1" -eq 0 ]; then echo "ok $2"; else
		failed=1
		sed 's/^/  /' "$dir/out" | head -40
		echo "FAIL $2"
	fi
}
k() { kubectl --kubeconfig "$dir/kubeconfig" "$@"; }

"$KUBERNETES/up" "$dir" "$port" > "$dir/out" 2>&1 || { say 1 crds_server_starts; exit 1; }
"${MESH_BUILD:-build}/meshctl" crds > "$dir/crds.yaml" 2> "$dir/out"
say $? crds_are_printed
k create -f "$dir/crds.yaml" > "$dir/out" 2>&1
say $? crds_are_accepted
k wait --for=condition=Established crd --all --timeout=30s > "$dir/out" 2>&1
say $? crds_are_established
# A condition NonStructuralSchema is there only when it is true.
k get crd -o jsonpath='{range .items[*]}{.metadata.name}{" "}{range .status.conditions[?(@.type=="NonStructuralSchema")]}{.message}{end}{"\n"}{end}' |
	awk 'NF > 1' > "$dir/out"
[ ! -s "$dir/out" ]
say $? crds_are_structural

if [ -z "${CONFORMANCE:-}" ]; then
	echo "skip crds_take_samples: CONFORMANCE is not set"
	exit $failed
fi
for ns in istio-system bookinfo; do k create namespace $ns > /dev/null 2>&1; done
find "$CONFORMANCE/samples" "$CONFORMANCE/maistra" -name '*.yaml' | while read -r f; do
	grep -qE '^apiVersion: (networking|security|telemetry|extensions)\.istio\.io|^apiVersion: maistra\.io' "$f" || continue
	k create --dry-run=server --validate=strict -f "$f" > "$dir/one" 2>&1 && continue
	# Kinds of others (Gateway API, ...) are not there; all that is ours must be.
	grep -vE 'no matches for kind|ensure CRDs are installed|created \(server dry run\)|namespaces? ".*" not found' "$dir/one" | sed "s|^|${f##*/}: |"
done > "$dir/out"
[ ! -s "$dir/out" ]
say $? crds_take_samples
exit $failed
