#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The random changes of churn.sh, and what the API said meanwhile: events.json has the changes, the faults (what was killed,
when, and when it served again), every pod's times of being ready, and when each agent had which version of the EndpointSlices
in force, by CLOCK_MONOTONIC in ns."""
import argparse
import http.client
import json
import random
import socket
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
from faults import Faults  # noqa: E402
from kube import Kube  # noqa: E402

ap = argparse.ArgumentParser()
ap.add_argument("--kubeconfig", required=True)
ap.add_argument("--minutes", type=float, required=True)
ap.add_argument("--seed", type=int, required=True)
ap.add_argument("--cluster", required=True)
ap.add_argument("--events", required=True)
ap.add_argument("--only", help="faults to choose from, by commas")
a = ap.parse_args()
random.seed(a.seed)
print(f"seed {a.seed}", flush=True)
kube, stop, kill = Kube(a.kubeconfig), threading.Event(), Faults(a.cluster)
# pod -> {"service", "ready": [[from, until]], "left": [version that ended each], "alive": [[from, until]], "ip", "node"};
# [ns, what, where]; dicts; node -> [[ns, version]]
pods, changes, faults, in_force = {}, [], [], {"n1": [], "n2": []}
slices, alive, lock = {}, {}, threading.Lock()


def on_slice(kind, obj, now):
    service = obj["metadata"]["labels"].get("kubernetes.io/service-name")
    if not service or not service.startswith("echo-"):
        return
    name, now = obj["metadata"]["name"], int(now * 1e9)
    ready = {}
    for e in obj.get("endpoints") or [] if kind != "DELETED" else []:
        if e.get("conditions", {}).get("ready") and e.get("targetRef"):
            ready[e["targetRef"]["name"]] = (e["addresses"][0], e.get("nodeName"))
    with lock:
        before = slices.get(name, {})
        slices[name] = ready
        for p in ready.keys() - before.keys():
            x = pod_of(p, service)
            x["ip"], x["node"] = ready[p]
            x["ready"].append([now, None])
        for p in before.keys() - ready.keys():
            pods[p]["ready"][-1][1] = now
            pods[p]["left"].append(int(obj["metadata"]["resourceVersion"]))


def pod_of(name, service):
    return pods.setdefault(name, {"service": service, "ready": [], "left": [], "alive": []})


def on_pod(kind, obj, now):
    """A pod's own word comes before its EndpointSlice's: an agent of the same node goes by it."""
    service, name, now = obj["metadata"]["labels"].get("app", ""), obj["metadata"]["name"], int(now * 1e9)
    if not service.startswith("echo-"):
        return
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in obj["status"].get("conditions", []))
    good = kind != "DELETED" and ready and "deletionTimestamp" not in obj["metadata"]
    with lock:
        if good and not alive.get(name):
            pod_of(name, service)["alive"].append([now, None])
        elif not good and alive.get(name):
            pods[name]["alive"][-1][1] = now
        alive[name] = good


def follow_agent(node):
    """What a node's agent has in force, as it says itself; it may be killed meanwhile."""
    resource, after = "endpointslices.discovery.k8s.io", 0
    while not stop.is_set():
        try:
            root = f"/proc/{kill.pid_of(f'n{node}')}/root"
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(30)
                s.connect(root + "/run/sockmesh/agent.sock")
                s.sendall(json.dumps({"cmd": "in-force", "resource": resource, "after": after}).encode() + b"\n")
                answer = json.loads(s.makefile().readline())
                after = answer["version"]
                in_force[f"n{node}"].append([answer["atNs"], after])
        except (OSError, ValueError, KeyError):
            time.sleep(0.02)


def note(what, where=""):
    changes.append([time.monotonic_ns(), what, where])
    print(f"  {(changes[-1][0] - changes[0][0]) / 1e9:7.1f} s  {what} {where}", flush=True)


def until(seconds, good):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if good():
                return True
        except (OSError, KeyError, ValueError, http.client.HTTPException, subprocess.SubprocessError):
            pass
        time.sleep(0.05)
    return False


def fault(what, node, do, back):
    """Does it, and notes when what was killed serves again."""
    f = {"what": what, "node": node and f"n{node}", "from": time.monotonic_ns(), "until": None}
    faults.append(f)
    note(what, f["node"] or "")
    do()
    if until(180, back):
        f["until"] = time.monotonic_ns()
        note(f"{what}: serves again", f"after {(f['until'] - f['from']) / 1e9:.2f} s")
    else:
        note(f"{what}: does NOT serve again")


# Changes.
def path(service):
    return f"/apis/apps/v1/namespaces/churn/deployments/{service}"


def scale():
    s, n = "echo-" + random.choice("abc"), random.randint(2, 5)
    note("scale", f"{s} to {n}")
    kube.merge(path(s), {"spec": {"replicas": n}})


def delete():
    items = [i for i in kube.get("/api/v1/namespaces/churn/pods").get("items", []) if i["metadata"]["name"].startswith("echo-")]
    pod = random.choice(items)["metadata"]["name"]
    note("delete", pod)
    kube.call("DELETE", f"/api/v1/namespaces/churn/pods/{pod}")


def restart():
    s = "echo-" + random.choice("abc")
    note("rolling restart", s)
    kube.merge(path(s), {"spec": {"template": {"metadata": {"annotations": {"restartedAt": str(time.time())}}}}})


# Faults.
def node_ready(node):
    status = kube.get(f"/api/v1/nodes/n{node}")["status"]
    return any(c["type"] == "Ready" and c["status"] == "True" for c in status["conditions"])


def agent():
    node = random.choice([1, 2])
    old = kill.agents(node)[1]
    fault("kill -9 agent", node, lambda: kill.kill_agent(node), lambda: kill.agents(node)[1] not in ([], old) and kill.agent_ready(node))


containers = {1: 0, 2: 0}


def container():
    # A kubelet makes longer and longer pauses before it starts a container again that has ended more than once in 10 minutes.
    nodes = [n for n in (1, 2) if containers[n] + 660 < time.monotonic() or not containers[n]]
    if not nodes:
        agent()
        return
    node = random.choice(nodes)
    containers[node] = time.monotonic()
    old = kill.agents(node)[1]
    fault("kill -9 agent and keeper", node, lambda: kill.kill_agent(node, keeper=True),
          lambda: kill.agents(node)[1] not in ([], old) and kill.agent_ready(node))


def containerd():
    node = random.choice([1, 2])
    fault("kill -9 containerd", node, lambda: kill.kill_containerd(node),
          lambda: kill.on_node(node, "ctr", "version", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).wait(5) == 0 and node_ready(node))


def kubelet():
    node = random.choice([1, 2])
    name = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n{node}"
    before = kube.get(name)["spec"]["renewTime"]
    fault("kill -9 kubelet", node, lambda: kill.kill_kubelet(node), lambda: kube.get(name)["spec"]["renewTime"] > before and node_ready(node))


def control():
    name = "/apis/coordination.k8s.io/v1/namespaces/sockmesh-system/leases/sockmesh-control"
    items = kube.get("/api/v1/namespaces/sockmesh-system/pods?labelSelector=app.kubernetes.io%2Fcomponent%3Dcontrol")["items"]
    before = kube.get(name)["spec"]["holderIdentity"]
    node = next((int(i["spec"]["nodeName"][1:]) for i in items if i["metadata"]["name"] == before.split("_")[0]), None)
    if node:
        fault("kill -9 control (the leader)", node, lambda: kill.kill_control(node), lambda: kube.get(name)["spec"]["holderIdentity"] not in (before, ""))


def renewed(node):
    return kube.get(f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n{node}")["spec"]["renewTime"]


def apiserver():
    """With the controllers: they start again when the nodes have said that they live, else they would take them for dead."""
    away, before = random.uniform(1, 15), [renewed(1), renewed(2)]
    controllers = []

    def do():
        controllers.append(kill.kill("controller-manager"))
        command = kill.kill("apiserver")
        time.sleep(away)
        kill.start(command, "apiserver-again")

    def back():
        if not kube.healthy() or renewed(1) <= before[0] or renewed(2) <= before[1]:
            return False
        kill.start(controllers.pop(), "controller-manager-again", lives_s=4)
        return True

    fault(f"kill -9 kube-apiserver (for {away:.0f} s)", None, do, back)


kube.watch("/apis/discovery.k8s.io/v1/namespaces/churn/endpointslices", on_slice, stop)
kube.watch("/api/v1/namespaces/churn/pods", on_pod, stop)
for n in (1, 2):
    threading.Thread(target=follow_agent, args=(n,), daemon=True).start()
time.sleep(1)
note("begin")
all_faults = {f.__name__: f for f in (agent, container, containerd, kubelet, control, apiserver)}
chosen = [all_faults[n] for n in (a.only.split(",") if a.only else all_faults)]
seconds = a.minutes * 60
begin = time.monotonic()
next_fault, bag = begin + min(20, seconds / 6), []
while time.monotonic() < begin + seconds:
    try:
        # In the last third agents live on, so that a leak shows. Every fault comes before one comes again.
        if time.monotonic() >= next_fault:
            bag = bag or random.sample(chosen, len(chosen))
            f = bag.pop()
            if time.monotonic() < begin + seconds * 2 / 3 or f not in (agent, container):
                f()
            next_fault = time.monotonic() + random.uniform(10, 25)
        else:
            random.choice([scale, scale, delete, delete, restart])()
    except (OSError, IndexError, KeyError, ValueError, StopIteration, http.client.HTTPException) as e:
        print(f"  not done: {type(e).__name__} {e}", flush=True)
    time.sleep(random.uniform(1, 6))
note("end")
time.sleep(5)
stop.set()
for s in "abc":
    kube.merge(path("echo-" + s), {"spec": {"replicas": 3}})
with lock:
    json.dump({"pods": pods, "changes": changes, "faults": faults, "inForce": in_force}, open(a.events, "w"))
