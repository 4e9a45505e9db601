# SPDX-License-Identifier: Apache-2.0
# Read by run.sh. How soon a pod that the API calls Ready gets its first request (p99 <= 50 ms), and what the mesh adds to
# the start of a pod (<= 20 ms).
kubectl apply -f tests/cluster/echo.yaml > /dev/null
rollout coolapp deployment/echo > /dev/null || fail "the echo deployment is available"
client=$(client_pod coolapp)
in_pod_run coolapp "$client" tests/cluster/first_requests.py --kubeconfig "$KUBECONFIG" --namespace coolapp --service echo \
	--url "http://$(kubectl -n coolapp get service echo -o jsonpath='{.spec.clusterIP}'):8080/" --rounds "${READY_ROUNDS:-12}" > "$T/first" 2>&1
status=$?
cat "$T/first" | sed 's/^/   /'
[ $status -eq 0 ] || fail "first requests are measured" "$(tail -5 "$T/first")"
within "from Ready in the API to the first request, p99, ms" "$(sed -n 's/^p99 \([0-9]*\).*/\1/p' "$T/first")" 0 50
kubectl -n coolapp delete deployment/echo service/echo --wait=false > /dev/null
