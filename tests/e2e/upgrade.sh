#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A node's agent is replaced TIMES times by another process, each with a cgroup of its own as in a DaemonSet, under RATE
# requests a second on CONNECTIONS kept connections and STREAMS long-lived L4 streams: no request fails, no connection
# is reset or even closed, every byte is the right one. Then it is killed (KILLS times), and what cannot move is cut when its time is
# over. MESHD=FILE is the program that takes over in every second turn: another version.
. "$(dirname "$0")/lib.sh"
TIMES=${TIMES:-4} RATE=${RATE:-400} CONNECTIONS=${CONNECTIONS:-100} STREAMS=${STREAMS:-20}
DRAIN=${DRAIN:-3} # seconds that what is under way gets; a machine that cannot do RATE needs more
export SOCKMESH_KEEP=1 SOCKMESH_DRAIN_TIME=$DRAIN
files=tests/e2e/tutorial
SHOW=${SHOW:-} # lines of the logs, also when all is well
YOUNGER=()
LOADS=()
end_all() {
	local p
	touch "$T/stop"
	for p in "${YOUNGER[@]}"; do kill "$p" 2> /dev/null && wait "$p" 2> /dev/null; done
	[ "$failed$SHOW" = 0 ] || [ -z "$LAB" ] || tail -n "${SHOW:-15}" "$T/younger.log" "/run/sockmesh/labs/$LAB/logs/node-1-agent.log"
	[ ${#LOADS[@]} = 0 ] || kill "${LOADS[@]}" 2> /dev/null
	rmdir "$CGROUP2/sockmesh-lab-$LAB"/node-1/younger-* 2> /dev/null
	lab_down
	rm -rf "$T"
}
lab_up "upg$$" --nodes 1
trap end_all EXIT
: > "$T/younger.log"
{
	kubectl create namespace coolapp
	kubectl apply -n istio-system -f $files/smcp.yaml -f $files/smmr.yaml
	kubectl apply -n coolapp -f $files/catalog-v1.yaml -f $files/client.yaml -f tests/e2e/upgrade.yaml
	kubectl -n coolapp wait --for=condition=Available deployment --all --timeout=60s
} > "$T/setup" 2>&1 || { fail "the application is up" "$(tail "$T/setup")"; finish; }
client=$(pod_of coolapp app=client)
vip_of() { kubectl -n coolapp get service "$1" -o jsonpath='{.spec.clusterIP}'; }
CATALOG=$(vip_of catalog):8080 ECHO=$(vip_of tcp-echo):7000 SLOW=$(vip_of slow):8090
eventually 5 in_pod coolapp "$client" curl -sf --max-time 2 "http://$CATALOG/" || fail "the client reaches the catalog" "$OUT"

sock=/run/sockmesh/labs/$LAB/node-1.sock
first=$(cut -d' ' -f1 "/run/sockmesh/labs/$LAB/pids/node-1-agent")
keeper=$first
child() { cut -d' ' -f1 "/proc/$1/task/$1/children"; }
status() { meshd agent --status --socket "$sock" 2> /dev/null | jq -r "$@"; }
# serves KEEPER: its agent is in force, and alone
serves() {
	[ "$(status 'if .published and (.handover.older | not) then .pid else 0 end')" = "$(child "$1")" ]
}
# start_younger: another process, which takes over from the one that serves
start_younger() {
	local args cg=$CGROUP2/sockmesh-lab-$LAB/node-1/younger-$((${#YOUNGER[@]} % 2)) program
	mapfile -d '' args < "/proc/$first/cmdline"
	program=$BUILD/meshd
	[ $((${#YOUNGER[@]} % 2)) = 1 ] || program=${MESHD:-$program}
	mkdir -p "$cg"
	bash -c 'echo $$ > "$0/cgroup.procs" && exec "$@"' "$cg" nsenter --net="/proc/$first/ns/net" "$program" "${args[@]:1}" \
		>> "$T/younger.log" 2>&1 &
	keeper=$!
	YOUNGER+=("$keeper")
}
replace() {
	local older=$keeper
	start_younger
	if ! eventually 20 serves "$keeper"; then
		fail "agent ${#YOUNGER[@]} takes over" "$(status .handover) $(tail -5 "$T/younger.log")"
		return 1
	fi
	if [ "$older" != "$first" ]; then
		kill "$older" && wait "$older"
	fi
}

# In the pod's namespaces, by the program itself: curl's and python's own start are no part of it.
eventually 5 serves "$first" || fail "the lab's agent serves" "$(status .handover)"
in_pod coolapp "$client" "$BUILD/bench/load" -c "$CONNECTIONS" -r "$RATE" -d 3600 -u "$T/stop" "$CATALOG/" > "$T/load" 2>&1 &
LOADS+=($!)
in_pod coolapp "$client" python3 "$PWD/tests/e2e/upgrade.py" streams "$ECHO" "$STREAMS" "$T/stop" > "$T/streams" 2>&1 &
LOADS+=($!)
eventually 10 grep -q up "$T/streams" || fail "the streams are up" "$(cat "$T/streams")"
sleep 1
begin=$(now_ms)
for ((i = 0; i < TIMES; i++)); do replace || break; done
took=$(($(now_ms) - begin))
sleep 0.5
touch "$T/stop"
wait "${LOADS[@]}"
LOADS=()
echo "   $TIMES times in $took ms; $(cat "$T/load")"
echo "   $(tail -1 "$T/streams")"
same "replaced $TIMES times: no request failed" "$(jq .failed "$T/load")" 0
same "no connection was closed or reset" "$(jq .reconnects "$T/load")" 0
requests=$(jq .requests "$T/load") busy=$(cut -d' ' -f1 /proc/loadavg | cut -d. -f1)
if [ "$requests" -lt $((RATE * took / 2000)) ] && [ "$busy" -gt "${BUSY_MAX:-$(nproc)}" ]; then
	echo "skip requests meanwhile: $((requests * 1000 / took)) a second of $RATE, but $busy others want the machine's CPUs"
else
	within "requests meanwhile" "$requests" $((RATE * took / 2000)) 100000000
fi
same "streams: none broken, no byte wrong" "$(tail -1 "$T/streams" | jq -c '[.streams, .brokenCount]')" "[$STREAMS,0]"
within "streams: the least exchanges of one" "$(tail -1 "$T/streams" | jq .turns)" $((took / 1000)) 100000000
moved=$(grep -c 'of its connections go on here' "$T/younger.log")
same "each said what it took over" "$moved" "$TIMES"
same "the first only waits for its end" "$(child "$first")" ""

# Killed: what is new waits for the next process and is answered; L4 is as before. KILLS times; each agent that comes is
# the same build as the one before and goes on with its programs.
rm -f "$T/stop"
in_pod coolapp "$client" python3 "$PWD/tests/e2e/upgrade.py" streams "$ECHO" "$STREAMS" "$T/stop" > "$T/streams" 2>&1 &
LOADS+=($!)
eventually 10 grep -q up "$T/streams"
BACK=()
most_busy=0
# kill_once: the agent; adds to BACK the milliseconds until the last of what waited was answered
kill_once() {
	local probe busy victim
	sleep "${HEALTHY:-10}" # after that long a keeper starts an agent anew without a pause
	in_pod coolapp "$client" python3 "$PWD/tests/e2e/upgrade.py" probe "$CATALOG" 2 > "$T/probe" 2>&1 &
	probe=$!
	sleep 0.7
	busy=$(cut -d' ' -f1 /proc/loadavg | cut -d. -f1)
	[ "$busy" -le "$most_busy" ] || most_busy=$busy
	victim=$(child "$keeper")
	kill -KILL "$victim"
	wait "$probe"
	eventually 5 serves "$keeper"
	check "killed: another is there" [ "$(child "$keeper")" != "$victim" ]
	echo "   killed: $(cat "$T/probe")"
	same "killed: new connections are never refused" "$(jq .refused "$T/probe")" 0
	BACK+=("$(jq .worstMs "$T/probe")")
}
programs() { status -c '[.dataplane.programs[] | [.name, .programId]] | sort'; }
status_programs=$(programs)
for ((i = 0; i < ${KILLS:-1}; i++)); do kill_once; done
same "killed: the next ones go on with the programs that are pinned" "$(programs) $(status .dataplane.programsKept)" "$status_programs true"
mapfile -t BACK < <(printf '%s\n' "${BACK[@]}" | sort -n)
worst=${BACK[-1]}
echo "   killed ${#BACK[@]} times: back after ${BACK[0]} (least), ${BACK[$((${#BACK[@]} / 2))]} (median), $worst (most) ms"
if [ "$most_busy" -le "${BUSY_MAX:-$(nproc)}" ]; then
	within "killed: ms until one is answered" "$worst" 0 "${BACK_MS:-200}"
else
	echo "skip killed: ms until one is answered: it took $worst ms, but $most_busy others want the machine's CPUs"
	within "killed: ms until one is answered, on a busy machine" "$worst" 0 10000
fi
touch "$T/stop"
wait "${LOADS[@]}"
LOADS=()
same "killed: streams go on" "$(tail -1 "$T/streams" | jq -c '[.streams, .brokenCount]')" "[$STREAMS,0]"
eventually 5 serves "$keeper"

# What cannot move: a long answer ends in the old process, a tunnel is cut after the drain time, and that is said.
slow=$(pod_of coolapp app=slow)
in_pod coolapp "$slow" python3 "$PWD/tests/e2e/upgrade.py" serve 8090 > "$T/serve" 2>&1 &
LOADS+=($!)
eventually 5 in_pod coolapp "$client" curl -sf "http://$SLOW/" || fail "the slow server answers" "$OUT$(cat "$T/serve")"
in_pod coolapp "$client" python3 "$PWD/tests/e2e/upgrade.py" ask "$SLOW" /stream/15 > "$T/stream" 2>&1 &
stream=$!
in_pod coolapp "$client" python3 "$PWD/tests/e2e/upgrade.py" ask "$SLOW" /tunnel 100 $((DRAIN + 7)) > "$T/tunnel" 2>&1 &
tunnel=$!
eventually 5 grep -q begun "$T/stream" && eventually 5 grep -q begun "$T/tunnel" || fail "stream and tunnel begin" "$(cat "$T/stream" "$T/tunnel")"
begin=$(now_ms)
start_younger
wait "$stream"
same "a long answer is whole" "$(tail -1 "$T/stream")" "whole 15"
wait "$tunnel"
took=$(($(now_ms) - begin))
read -r how echoed < <(tail -1 "$T/tunnel")
check "a tunnel goes on until it is cut" [ "$echoed" -ge 20 ]
same "then it ends" "$([ "$how" != open ] && echo ended)" ended
within "after the drain time of $DRAIN s, in ms" "$took" $((DRAIN * 1000 - 100)) $((DRAIN * 1000 + 5000))
check "and the old process says so" grep -q "cut: tunnel of coolapp/$client to " "$T/younger.log"
check "the next one serves" eventually 5 serves "$keeper"

# Away: nothing of the mesh is left in the kernel, whatever hangs where, and pods keep their network.
in_node() { nsenter --net="/proc/$first/ns/net" "$@"; }
filters() { { in_node bpftool net show | grep 'pod_out\|pod_in'; in_node python3 tests/cluster/tcx.py; } 2> /dev/null | wc -l; }
pins=/sys/fs/bpf/sockmesh/$LAB-node-1
target=$(kubectl -n coolapp get pod -l app=catalog -o jsonpath='{.items[0].status.podIP}')
placed() { bpftool cgroup show "$CGROUP2/sockmesh-lab-$LAB/node-1/pods" | grep -c connect4; }
same "before: programs at the pods' cgroup" "$(placed)" 1
if [ "$(filters)" -gt 0 ]; then
	ok "before: filters on the pods' devices ($(filters))"
else
	echo "skip filters on the pods' devices: there are none on this kernel ($(status -c .dataplane.bypass))"
fi
check "a container that is stopped: nobody asked for more" meshd agent --pre-stop --socket "$sock"
same "programs stay" "$(placed)" 1
check "a container whose place another has taken is stopped" unshare -m env SOCKMESH_ON_STOP=detach meshd agent --pre-stop --socket "$sock"
same "the programs of that one stay" "$(placed)" 1
check "a container is stopped that is to take its programs with it" env SOCKMESH_ON_STOP=detach meshd agent --pre-stop --socket "$sock"
check "an agent that has left is asked to leave" meshd agent --leave --socket "$sock"
same "after: programs at the pods' cgroup" "$(bpftool cgroup show "$CGROUP2/sockmesh-lab-$LAB/node-1/pods" | grep -c '[a-z]4')" 0
same "after: filters on the pods' devices" "$(filters)" 0
check "after: nothing is pinned" test ! -e "$pins"
check "and pods keep their network" in_pod coolapp "$client" curl -sf --max-time 2 "http://$target:8080/"
finish
