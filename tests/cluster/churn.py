#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The random changes of churn.sh, and what the API said meanwhile: events.json has the changes and every pod's times of
being ready, by CLOCK_MONOTONIC in ns."""
import argparse
import glob
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
from kube import Kube  # noqa: E402

ap = argparse.ArgumentParser()
ap.add_argument("--kubeconfig", required=True)
ap.add_argument("--minutes", type=float, required=True)
ap.add_argument("--seed", type=int, required=True)
ap.add_argument("--cluster", required=True)
ap.add_argument("--events", required=True)
a = ap.parse_args()
random.seed(a.seed)
print(f"seed {a.seed}", flush=True)
kube, stop = Kube(a.kubeconfig), threading.Event()
D, NAME = os.environ["D"], os.environ["NAME"]
pods, changes = {}, []  # pod -> {"service", "ready": [[from, until]], "ip", "node"}; [ns, what, where]
slices, lock = {}, threading.Lock()


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
            x = pods.setdefault(p, {"service": service, "ready": [], "ip": ready[p][0], "node": ready[p][1]})
            x["ready"].append([now, None])
        for p in before.keys() - ready.keys():
            pods[p]["ready"][-1][1] = now


def note(what, where=""):
    changes.append([time.monotonic_ns(), what, where])
    print(f"  {(changes[-1][0] - changes[0][0]) / 1e9:7.1f} s  {what} {where}", flush=True)


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


def processes(node, name):
    """Processes of that program below a node's cgroup, as this machine counts."""
    mount = next(line.split()[1] for line in open("/proc/self/mounts") if line.split()[2] == "cgroup2")
    found = []
    for f in glob.glob(f"{mount}/**/{NAME}-n{node}/**/cgroup.procs", recursive=True):
        try:
            for p in open(f).read().split():
                if os.path.basename(os.readlink(f"/proc/{p}/exe").split(" ")[0]) == name:
                    found.append(int(p))
        except OSError:
            pass
    return found


def kill_agent():
    node = random.choice([1, 2])
    agents = [p for p in processes(node, "meshd") if b"agent" in open(f"/proc/{p}/cmdline", "rb").read()]
    note("kill -9 agent", f"n{node}")
    for p in agents:
        os.kill(p, signal.SIGKILL)


def again(pid, start):
    """Kills a process of the cluster and starts it as it was; the yardstick itself does not restart what dies."""
    cmd = open(f"/proc/{pid}/cmdline", "rb").read().split(b"\0")[:-1]
    cwd = os.readlink(f"/proc/{pid}/cwd")
    os.kill(pid, signal.SIGKILL)
    time.sleep(1)
    start([c.decode() for c in cmd], cwd)


def kill_containerd():
    node = random.choice([1, 2])
    found = processes(node, "containerd")
    if not found:
        return
    note("kill -9 containerd", f"n{node}")
    log = open(f"{D}/log/containerd-again-{node}.log", "a")
    again(found[0], lambda cmd, cwd: subprocess.Popen([a.cluster + "/enter.sh", str(node), "setsid", *cmd], stdin=subprocess.DEVNULL, stdout=log, stderr=log))


def kill_apiserver():
    pid = next(int(line.split()[0]) for line in open(D + "/pids") if line.split()[2] == "apiserver")
    if apiserver[0]:
        pid = apiserver[0]
    note("kill -9 kube-apiserver")
    log = open(f"{D}/log/apiserver-again.log", "a")

    def start(cmd, cwd):
        p = subprocess.Popen(cmd, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        apiserver[0] = p.pid
        ticks = open(f"/proc/{p.pid}/stat").read().rsplit(") ", 1)[1].split()[19]
        open(D + "/pids", "a").write(f"{p.pid} {ticks} apiserver-again\n")  # down.sh ends it

    again(pid, start)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if kube.get("/api/v1/namespaces/churn").get("kind") == "Namespace":
                break
        except OSError:
            pass
        time.sleep(0.2)
    note("kube-apiserver is back")


apiserver = [None]
kube.watch("/apis/discovery.k8s.io/v1/namespaces/churn/endpointslices", on_slice, stop)
time.sleep(1)
note("begin")
rare = [kill_agent, kill_agent, kill_containerd, kill_apiserver]
until, next_rare = time.monotonic() + a.minutes * 60, time.monotonic() + 20
while time.monotonic() < until:
    try:
        if time.monotonic() >= next_rare:
            random.choice(rare)()
            next_rare = time.monotonic() + random.uniform(25, 45)
        else:
            random.choice([scale, scale, delete, delete, restart])()
    except (OSError, IndexError, StopIteration) as e:
        print(f"  not done: {type(e).__name__} {e}", flush=True)
    time.sleep(random.uniform(1, 6))
note("end")
time.sleep(5)
stop.set()
with lock:
    json.dump({"pods": pods, "changes": changes}, open(a.events, "w"))
