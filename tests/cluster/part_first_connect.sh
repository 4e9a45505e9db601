# SPDX-License-Identifier: Apache-2.0
# Read by run.sh. A pod whose first act is connect() is in the mesh by then: as a container, an init container, a restart, in a
# sandbox made anew, on a node where nothing ran before. Without an agent pods of the mesh are refused by name, others start.
mkdir -p "$T/first-root"
gcc -O2 -static -o "$T/first-root/first" tests/cluster/first_connect.c || fail "first_connect.c is compiled"
"$cluster/image.py" "$T/first.tar" localhost/sockmesh-first:dev "$T/first-root" /first && import "$T/first.tar"
kubectl apply -f tests/cluster/first_connect.yaml > /dev/null
for v in v1 v2; do rollout coolapp deployment/first-echo-$v > /dev/null || fail "first-echo-$v is available"; done
first_vip=$(kubectl -n coolapp get service first-echo -o jsonpath='{.spec.clusterIP}')
first_pod() { # first_pod NAMESPACE NAME RESTART NODE [INIT]
	local init=
	[ -z "${5:-}" ] || init="initContainers: [{name: init, image: localhost/sockmesh-first:dev, imagePullPolicy: Never, args: ['$first_vip', '8080']}],"
	kubectl apply -f - > /dev/null <<- YAML
	apiVersion: v1
	kind: Pod
	metadata: {name: $2, namespace: $1, labels: {app: first}}
	spec: {restartPolicy: $3, terminationGracePeriodSeconds: 1, nodeName: $4, $init
	  containers: [{name: first, image: localhost/sockmesh-first:dev, imagePullPolicy: Never, args: ['$first_vip', '8080']}]}
	YAML
}
# Answered by v2, which only the mesh does, and only for those labels; and through the mesh's hop.
first_of_v2() { # first_of_v2 FILE: how many answers are, of how many
	printf '%s of %s\n' "$(grep -c '"pod": "first-echo-v2' "$1")" "$(grep -c '^called' "$1")"
}
first_logs() { kubectl -n coolapp logs "$@" 2> /dev/null; }
succeeded() { [ "$(kubectl -n "$1" get pod "$2" -o jsonpath='{.status.phase}')" = Succeeded ]; }

n=${FIRST_PODS:-12}
for k in $(seq "$n"); do first_pod coolapp "first-$k" Never "n$((k % node_count + 1))"; done
for k in $(seq "$n"); do eventually 90 succeeded coolapp "first-$k" || fail "first-$k has run" "$(kubectl -n coolapp describe pod "first-$k" | tail -8)"; done
for k in $(seq "$n"); do first_logs "first-$k"; done > "$T/first-all"
same "the first connect() of $n new pods is the mesh's" "$(first_of_v2 "$T/first-all")" "$n of $n"
printf '   connect() was called after %s us of the process, at most\n' "$(sed -n 's/^called \([0-9]*\) .*/\1/p' "$T/first-all" | sort -n | tail -1)"

first_pod coolapp first-init Never n1 init
eventually 60 succeeded coolapp first-init || fail "first-init has run"
first_logs first-init -c init > "$T/first-init"
same "so is that of an init container" "$(first_of_v2 "$T/first-init")" "1 of 1"

# A container that starts again, then in a sandbox made anew: its pause process is killed.
kubectl apply -f - > /dev/null << YAML
apiVersion: v1
kind: Pod
metadata: {name: first-again, namespace: coolapp, labels: {app: first}}
spec: {restartPolicy: Always, terminationGracePeriodSeconds: 1, nodeName: n2,
  containers: [{name: first, image: localhost/sockmesh-first:dev, imagePullPolicy: Never, args: ['$first_vip', '8080']},
    {name: stay, image: localhost/sockmesh-client:dev, imagePullPolicy: IfNotPresent}]}
YAML
runs() { [ "$(kubectl -n coolapp get pod first-again -o jsonpath='{.status.containerStatuses[?(@.name=="first")].restartCount}')" -ge "$1" ]; }
eventually 60 runs 1 || fail "first-again has started again"
first_logs first-again -c first > "$T/first-again"
same "and of a container that starts again" "$(first_of_v2 "$T/first-again")" "1 of 1"
sandboxes() { on_node 2 ctr -n k8s.io containers ls "labels.\"io.kubernetes.pod.name\"==first-again,labels.\"io.cri-containerd.kind\"==sandbox" -q; }
old=$(sandboxes | head -1)
on_node 2 ctr -n k8s.io tasks kill -s KILL "$old" > /dev/null 2>&1
anew() { sandboxes | grep -qv "$old"; }
eventually 60 anew || fail "a sandbox is made anew"
sandbox_ran() { [ "$(first_logs first-again -c first | grep -c '^called')" -ge 1 ]; }
eventually 60 sandbox_ran
first_logs first-again -c first > "$T/first-again"
same "and in a sandbox made anew" "$(first_of_v2 "$T/first-again")" "1 of 1"

# What the agents say of it: nobody was held up.
for i in $(nodes); do
	pod=$(kubectl -n sockmesh-system get pods -l app.kubernetes.io/component=agent --field-selector "spec.nodeName=n$i" -o name | head -1)
	kubectl -n sockmesh-system exec "$pod" -- meshd agent --status --socket /run/sockmesh/agent.sock > "$T/agent-status" 2>&1
	within "node $i: CNI ADD in the agent, mean of $(jq .cni.adds "$T/agent-status"), us (longest $(jq .cni.addUsMax "$T/agent-status"))" \
		"$(jq .cni.addUsMean "$T/agent-status")" 1 20000
done

# No agent on any node.
kubectl -n sockmesh-system patch daemonset sockmesh-agent --type=merge -p '{"spec":{"template":{"spec":{"nodeSelector":{"sockmesh-test":"nowhere"}}}}}' > /dev/null
no_agents() { [ -z "$(kubectl -n sockmesh-system get pods -l app.kubernetes.io/component=agent -o name)" ]; }
eventually 60 no_agents || fail "the agents are gone"
first_pod coolapp first-refused Never n1
first_pod stranger first-stranger Never n1
refused() { kubectl -n coolapp get events --field-selector involvedObject.name=first-refused -o jsonpath='{.items[*].message}' | grep -q 'AgentNotThere: namespace coolapp is in the mesh'; }
check "without an agent a pod of the mesh is refused, and says why" eventually 60 refused
check "one outside of the mesh starts" eventually 60 succeeded stranger first-stranger
kubectl -n sockmesh-system patch daemonset sockmesh-agent --type=json -p '[{"op":"remove","path":"/spec/template/spec/nodeSelector/sockmesh-test"}]' > /dev/null
check "with the agent back it starts" eventually 120 succeeded coolapp first-refused
first_logs first-refused > "$T/first-refused"
same "and its first connect() is the mesh's" "$(first_of_v2 "$T/first-refused")" "1 of 1"
check "the DaemonSet is whole again" kubectl -n sockmesh-system rollout status daemonset/sockmesh-agent --timeout=90s
kubectl -n coolapp delete pod --wait=false -l app=first > /dev/null
kubectl -n stranger delete pod first-stranger --wait=false > /dev/null
kubectl delete -f tests/cluster/first_connect.yaml --wait=false > /dev/null
