# SPDX-License-Identifier: Apache-2.0
# Read by the tests on a real Kubernetes: a cluster of one's own (KUBERNETES=DIR with cluster/up.sh, HYPER=BINARY), made in a
# slot that no other run has, gone when the script ends, also when it is killed.
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"

if [ -z "${KUBERNETES:-}" ] || [ -z "${HYPER:-}" ] || [ ! -x "$HYPER" ] || [ ! -x "$KUBERNETES/cluster/up.sh" ]; then
	echo "skip $(basename "$0" .sh): it needs a real Kubernetes: KUBERNETES=DIR (with cluster/up.sh) and HYPER=BINARY"
	exit 0
fi
for tool in kubectl etcd containerd runc ctr conntrack ipset iptables bc busybox openssl; do
	command -v "$tool" > /dev/null && continue
	echo "skip $(basename "$0" .sh): a real Kubernetes needs $tool (etcd-server containerd runc containernetworking-plugins busybox conntrack ipset iptables bc)"
	exit 0
done
export HYPER
cluster=$KUBERNETES/cluster
node_count=2

# slot: a number 0..9 that is ours while this shell runs; sets what cluster/env.sh reads
cluster_slot() {
	local i
	mkdir -p /run/sockmesh
	for i in 0 1 2 3 4 5 6 7 8 9; do
		exec {slot_fd}> "/run/sockmesh/test-cluster.$i.lock"
		if flock -n "$slot_fd"; then
			export NAME=smt$i D=/tmp/sockmesh-test-cluster-$i IMAGES=${CLUSTER_IMAGES:-/tmp/sockmesh-test-images} NODES=$node_count
			export NET=10.20$i.0 PODNET=10.21$i SVCNET=10.22$i PORT=3${i}443
			export ETCD_PORT=3${i}379 ETCD_PEER_PORT=3${i}380 CM_PORT=3${i}257 SCHED_PORT=3${i}259
			return 0
		fi
		exec {slot_fd}>&-
	done
	fail "a free slot for a cluster"
	exit 1
}
# cluster_up: the cluster, with KUBECONFIG set
cluster_up() {
	cluster_slot
	trap cluster_end EXIT
	trap 'exit 143' INT TERM HUP
	# Who is killed cannot clean up: a process that outlives us does, when our end of the pipe closes.
	mkfifo "$T/alive"
	# What we put into pods is in the nodes' cgroups, and ends with them.
	setsid bash -c 'read -r line < "$1"; [ "$line" = done ] || { for c in "$4/$NAME"-n*; do echo 1 > "$c/cgroup.kill"; done
		"$2/down.sh"; } > /dev/null 2>&1; rm -rf "$3"' _ "$T/alive" "$cluster" "$T" "$CGROUP2" \
		< /dev/null > /dev/null 2>&1 {slot_fd}>&- &
	exec {alive_fd}> "$T/alive"
	if ! setsid "$cluster/up.sh" > "$T/up" 2>&1 < /dev/null {alive_fd}>&-; then
		fail "cluster up" "$(tail -30 "$T/up")"
		exit 1
	fi
	export KUBECONFIG=$D/admin.kubeconfig
	sed 's/^/   /' "$T/up"
}
cluster_end() {
	local c
	for c in "$CGROUP2/$NAME"-n*; do [ ! -d "$c" ] || echo 1 > "$c/cgroup.kill"; done
	"$cluster/down.sh" > "$T/down" 2>&1 || cat "$T/down"
	[ -z "${alive_fd:-}" ] || echo done >&"$alive_fd"
}
# on_node N COMMAND...: inside node N (1..), in all its namespaces
on_node() { "$cluster/enter.sh" "$@"; }
nodes() { seq "$node_count"; }
# import FILE: an image archive, on every node
import() {
	local i
	for i in $(nodes); do
		on_node "$i" ctr -n k8s.io images import "$(realpath "$1")" > "$T/import" 2>&1 || { cat "$T/import"; return 1; }
	done
}
node_ip() { echo "$NET.1$1"; }
# agent_pid N: the process of node N's agent, as this machine counts; the one that its keeper started
agent_pid() {
	local pod p parent
	pod=$(kubectl -n sockmesh-system get pods -l app.kubernetes.io/component=agent --field-selector "spec.nodeName=n$1" -o json |
		jq -r '[.items[] | select(.metadata.deletionTimestamp == null)][0].metadata.uid // empty')
	[ -n "$pod" ] || return 1
	for f in $(find "$CGROUP2" -path "*/$NAME-n$1/kubepods/*pod$pod/*" -name cgroup.procs 2> /dev/null); do
		while read -r p; do
			parent=$(awk '/^PPid/ { print $2 }' "/proc/$p/status") || continue
			[ "$(readlink "/proc/$p/exe")" = "$(readlink "/proc/$parent/exe")" ] && { echo "$p"; return 0; }
		done < "$f"
	done
	return 1
}
keeper_pid() { awk '/^PPid/ { print $2 }' "/proc/$(agent_pid "$1")/status"; }
rss_kb() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }
# own_kb PID: what of its memory it shares with nobody, and its part of the rest
own_kb() { awk '/^Pss:/ { print $2 }' "/proc/$1/smaps_rollup"; }
# threads_us PID: CPU time of all its threads, in microseconds
threads_us() {
	local sum=0 f n
	for f in /proc/"$1"/task/*/schedstat; do
		read -r n _ < "$f" && sum=$((sum + n / 1000))
	done
	echo "$sum"
}
# subset_rules NAMESPACE HOST SUBSET VERSION: all of it to that subset, by two objects of which neither is right without
# the other
subset_rules() {
	cat <<- YAML
	apiVersion: networking.istio.io/v1beta1
	kind: DestinationRule
	metadata: {name: $2, namespace: $1}
	spec: {host: $2, subsets: [{name: $3, labels: {version: $4}}]}
	---
	apiVersion: networking.istio.io/v1beta1
	kind: VirtualService
	metadata: {name: $2, namespace: $1}
	spec: {hosts: [$2], http: [{route: [{destination: {host: $2, subset: $3}}]}]}
	YAML
}
# What an uninstall must put back as it was: printed, one thing a line, for comparison.
cluster_state() {
	local i
	kubectl get crd,clusterrole,clusterrolebinding,validatingwebhookconfiguration,mutatingwebhookconfiguration,namespace,priorityclass -o name | sort
	kubectl get all,cm,secret,sa,role,rolebinding,pdb,lease,endpointslice -A -o json |
		jq -r '.items[] | select(.metadata.namespace != "kube-node-lease" and .kind != "Event" and .kind != "Pod" and .kind != "EndpointSlice") | "\(.metadata.namespace) \(.kind) \(.metadata.name)"' | sort
	for i in $(nodes); do
		echo "-- node $i"
		on_node "$i" bash -c '
			bpftool cgroup tree /sys/fs/cgroup/unified 2>&1 | grep -v "^CgroupPath\|^ID" | awk "NF > 1 { print \$2, \$3, \$4 }" | sort
			find /sys/fs/bpf -mindepth 1 | sort
			for f in /opt/cni/bin/* /etc/cni/net.d/*; do sha256sum "$f"; done
			find /run/sockmesh /var/lib/sockmesh ! -type d 2> /dev/null | sort
			iptables-save 2> /dev/null | grep -v "^#" | sed "s/\[[0-9:]*\]//" | grep -i sockmesh
			nft list tables 2> /dev/null | grep -i sockmesh
			tc filter show 2> /dev/null; python3 "$1"' sh "$PWD/tests/cluster/tcx.py"
	done
	ip netns list | grep "^$NAME-" | sort
}
agents_in_force() { meshctl status > /dev/null 2>&1 && [ "$(kubectl -n sockmesh-system get daemonset sockmesh-agent -o jsonpath='{.status.numberReady}')" = "$node_count" ]; }
# pod_pid NAMESPACE POD: a process of the pod's, as this machine counts; its cgroup in $POD_CGROUP
pod_pid() {
	local uid f p
	uid=$(kubectl -n "$1" get pod "$2" -o jsonpath='{.metadata.uid}') || return 1
	for f in $(find "$CGROUP2" -path "*/$NAME-n*/kubepods/*pod$uid/*" -name cgroup.procs 2> /dev/null); do
		read -r p < "$f" || continue
		echo "$p ${f%/cgroup.procs}"
		return 0
	done
	return 1
}
# in_pod_run NAMESPACE POD COMMAND...: a program of this machine in the pod's network namespace and cgroup
in_pod_run() {
	local pid cgroup
	read -r pid cgroup < <(pod_pid "$1" "$2") || { echo "no process of pod $1/$2" >&2; return 1; }
	shift 2
	# shellcheck disable=SC2016
	bash -c 'echo $$ > "$1/cgroup.procs" && pid=$2 && shift 2 && exec nsenter --net="/proc/$pid/ns/net" -- "$@"' _ "$cgroup" "$pid" "$@"
}
# pod_pair NAME [ANNOTATION [NODE]]: pods NAME-echo (on that node, else on n1) and NAME-client (on n1) of coolapp, and a
# Service of the first at port 7000
pod_pair() {
	local role node
	for role in echo client; do
		node=$([ $role = echo ] && echo "${3:-n1}" || echo n1)
		kubectl -n coolapp run "$1-$role" --labels="app=$1-$role" ${2:+--annotations="$2"} \
			--image="localhost/sockmesh-$([ $role = echo ] && echo tcp-echo || echo client):dev" --image-pull-policy=IfNotPresent \
			--overrides='{"spec":{"nodeName":"'"$node"'","terminationGracePeriodSeconds":1}}' $([ $role = echo ] && echo -- 7000)
	done > /dev/null
	kubectl -n coolapp expose pod "$1-echo" --port=7000 > /dev/null
	kubectl -n coolapp patch service "$1-echo" --type=json -p '[{"op":"add","path":"/spec/ports/0/name","value":"tcp"}]' > /dev/null
	kubectl -n coolapp wait "pod/$1-echo" "pod/$1-client" --for=condition=Ready --timeout=60s > /dev/null || fail "two pods are Ready"
}
# pod_pair_stream NAME SECONDS: streams from the client to the Service, each byte compared
pair_exact="l4 4 streams, 0 broken, 0 wrong bytes"
pod_pair_stream() {
	in_pod_run coolapp "$1-client" python3 tests/cluster/streams.py --l4 "$(service_ip "$1-echo"):7000" --streams 4 --seconds "$2"
}
pod_pair_gone() { kubectl -n coolapp delete "pod/$1-echo" "pod/$1-client" "service/$1-echo" > /dev/null; }
service_ip() { kubectl -n coolapp get service "$1" -o jsonpath='{.spec.clusterIP}'; }
# dataplane_says N PATH: of what node N's agent says of its data plane, by jq
dataplane_says() { meshctl status -o json --node "n$1" | jq -r "[.members[] | select(.component == \"agent\")][0].agent.dataplane.$2"; }
