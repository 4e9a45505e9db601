#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Pods that ask for it, by their own annotation or their namespace's, exchange messages past TCP, also through the HTTP
# hop: streams stay byte-exact when it is switched, when a flow turns to bulk, and when the agent is killed; a pod that
# refuses is left alone, and another value is refused by name.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lib_flows.sh
. "$(dirname "$0")/lib_flows.sh"
files=tests/e2e/tutorial

lab_up "spl$$" --nodes 1
echo_yaml 1 > "$T/echo.yaml"
{
	kubectl create namespace coolapp
	kubectl apply -n istio-system -f $files/smcp.yaml -f $files/smmr.yaml
	kubectl apply -n coolapp -f $files/catalog-v1.yaml -f $files/client.yaml -f "$T/echo.yaml"
	kubectl -n coolapp wait --for=condition=Available deployment --all --timeout=60s
} > "$T/setup" 2>&1 || { fail "the application is up" "$(tail "$T/setup")"; finish; }
client=$(pod_of coolapp app=client)
catalog=$(pod_of coolapp app=catalog)
agent_cgroup=$CGROUP2/sockmesh-lab-$LAB/node-1/agent
splice_says() { meshctl status -o json | jq -r "[.members[] | select(.component == \"agent\")][0].agent.dataplane.splice$1"; }
way() { splice_says ".ways | map(select(.way == \"$1\"))[0].messages"; }
spliced() { splice_says ".pods | map(select(.name | endswith(\"$1\")))[0].spliced"; }
is_spliced() { [ "$(spliced "$1")" = "$2" ]; }
no_ends() { [ "$(splice_says .ends)" = 0 ]; }
load() { in_pod coolapp "$client" "$BUILD/bench/load" -c 4 -d "$1" catalog:8080/; }
eventually 10 stream 0.1 || fail "the client reaches echo" "$OUT"

# Who asks for it.
check "by itself nobody is, on a kernel that does not pass every probe" is_spliced "$client" false
same "and why is told" "$(meshctl dataplane get | awk '$2 == "splice" { print $3, $4 }')" "auto no"
check "another value on a namespace is refused by name" sh -c "! kubectl annotate namespace coolapp sockmesh.io/splice=always > $T/out 2>&1 && grep -q 'Unsupported value: \"always\": supported values: \"auto\", \"disabled\", \"enabled\"' $T/out"
kubectl annotate namespace coolapp sockmesh.io/splice=enabled > /dev/null
check "a namespace asks for its pods" eventually 3 is_spliced "$client" true
check "all of them" eventually 3 is_spliced "$catalog" true
kubectl -n coolapp annotate pod "$catalog" sockmesh.io/splice=disabled > /dev/null
check "but a pod's own word comes first" eventually 3 is_spliced "$catalog" false
kubectl -n coolapp annotate pod "$catalog" sockmesh.io/splice- > /dev/null
check "until it is gone" eventually 3 is_spliced "$catalog" true

# L4, and the HTTP hop.
before=$(way redirected)
same "streams are exact" "$(stream 3 | head -1)" "$exact"
within "and their messages went past TCP" "$(($(way redirected) - before))" 100 100000000
before=$(way redirected)
load 2 > "$T/load" 2>&1
check "requests succeed" bash -c "tail -1 $T/load | holds '.requests > 500 and .failed == 0'"
requests=$(tail -1 "$T/load" | jq .requests)
within "and four messages of each went past TCP" "$(($(way redirected) - before))" $((requests * 38 / 10)) $((requests * 4 + 100))
check "nothing stays of connections that ended" eventually 10 bash -c "meshctl status -o json | holds '[.members[] | select(.component == \"agent\")][0].agent.dataplane.splice.ends <= 64'"

# The switch, under traffic.
stream 4 > "$T/stream" 2>&1 &
streaming=$!
load 4 > "$T/load" 2>&1 &
loading=$!
sleep 1
check "it is switched off" meshctl dataplane set splice=off
check "flows leave" eventually 3 no_ends
check "and on" meshctl dataplane set splice=on
wait "$streaming"
wait "$loading"
same "streams stay exact" "$(head -1 "$T/stream")" "$exact"
check "requests succeed all the time" bash -c "tail -1 $T/load | holds '.requests > 500 and .failed == 0'"
check "the whole mesh is switched off" meshctl dataplane set mesh=off
before=$(way redirected)
check "requests go by TCP" load 1
same "and nothing past it" "$(($(way redirected) - before))" 0
check "it is switched on, splicing to another word" meshctl dataplane set splice=auto mesh=on
check "requests go" load 1
within "past TCP" "$(($(way redirected) - before))" 100 100000000
check "an unknown word is refused" sh -c "! meshctl dataplane set splice=maybe > $T/out 2>&1 && grep -q 'splice=maybe: it may be auto|on|off' $T/out"

# The agent dies: its own ends go with it, the others' do not.
stream 5 > "$T/stream" 2>&1 &
streaming=$!
sleep 1
before=$(way redirected)
kill -9 "$(head -1 "$agent_cgroup/cgroup.procs")"
wait "$streaming"
same "streams stay exact when the agent is killed" "$(head -1 "$T/stream")" "$exact"
check "and the next agent goes on with it" eventually 5 bash -c "meshctl status -o json | holds '[.members[] | select(.component == \"agent\")][0].agent.dataplane.splice.loaded'"
before=$(way redirected)
eventually 5 load 1 > "$T/load" 2>&1
within "also for requests" "$(($(way redirected) - before))" 100 100000000

meshctl check > "$T/check" 2>&1
check "check says what differs on this kernel" grep -q 'splice: not chosen by itself, for this differs: ' "$T/check"
check "each probe has a verdict" sh -c "[ \$(grep -c 'splice: .*as over TCP: \|splice: .*differs: ' $T/check) -ge 23 ]"
finish
