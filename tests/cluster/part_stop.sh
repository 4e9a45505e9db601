# SPDX-License-Identifier: Apache-2.0
# Read by run.sh. Agents that are stopped leave the kernel as it is, or their node (onStop: detach); not for one that follows.
meshed() { kubectl exec -n coolapp "$(client_pod coolapp)" -- curl -s -i -m 5 http://catalog:8080/ 2> /dev/null | grep -ci x-envoy-upstream-service-time; }
pins_of() { on_node "$1" find /sys/fs/bpf/sockmesh -type f 2> /dev/null | wc -l; }
elsewhere() { kubectl -n sockmesh-system patch daemonset sockmesh-agent --type=merge -p "{\"spec\":{\"template\":{\"spec\":{\"nodeSelector\":{\"sockmesh.io/nowhere\":$1}}}}}" > /dev/null; }
no_agent() { [ -z "$(kubectl -n sockmesh-system get pods -l app.kubernetes.io/component=agent -o name)" ]; }
stopped() { elsewhere '"1"' && eventually 60 no_agent; }
back() { elsewhere null && eventually 60 agents_in_force; }

check "agents are stopped" stopped
for i in $(nodes); do within "node $i: pins stay" "$(pins_of "$i")" 10 1000; done
check "and are back" back
check "onStop=detach" meshctl upgrade --set onStop=detach
same "agents that are followed stay in force" "$(meshed)" 1
for p in $(kubectl -n sockmesh-system get pods -l app.kubernetes.io/component=agent -o name); do
	kubectl -n sockmesh-system logs -f --all-containers "$p" > "$T/stop-${p##*-}" 2>&1 &
done
check "agents are stopped that are to leave" stopped
for i in $(nodes); do
	same "node $i: pins" "$(pins_of "$i")" 0
	[ "$(pins_of "$i")" = 0 ] || {
		tail -n 15 "$T"/stop-*
		kubectl -n sockmesh-system get events --sort-by=.lastTimestamp | tail -n 15
	}
done
same "a running pod keeps its network" "$(kubectl exec -n coolapp "$(client_pod coolapp)" -- curl -s -o /dev/null -w '%{http_code}' -m 5 http://catalog:8080/)" 200
same "and is out of the mesh" "$(meshed)" 0
check "agents are there again" back
is_meshed() { [ "$(meshed)" = 1 ]; }
check "and their pods in the mesh" eventually 10 is_meshed
check "onStop=keep" meshctl upgrade --set onStop=keep
