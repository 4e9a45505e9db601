#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How soon a pod gets its first request once the API calls it Ready. Runs in a client pod's network namespace: sends
requests over connections kept alive, a few milliseconds apart, adds pods to the Service's Deployment two at a time, and takes
the time from the EndpointSlice's event that says ready to when the first request was sent that the pod answered. Ready pods
are taken away again in between, so that a round-robin of N pods adds N - 1 requests at most. There are several connections, as
one alone would send nothing while another pod takes its time to answer."""
import argparse
import http.client
import json
import sys
import threading
import time

from kube import Kube

ap = argparse.ArgumentParser()
ap.add_argument("--kubeconfig", required=True)
ap.add_argument("--namespace", required=True)
ap.add_argument("--service", required=True)
ap.add_argument("--url", required=True)
ap.add_argument("--rounds", type=int, default=12)
a = ap.parse_args()
kube, stop = Kube(a.kubeconfig), threading.Event()
ready, first = {}, {}  # pod name -> time
CONNECTIONS, PAUSE = 4, 0.005
lock = threading.Lock()


def slices(kind, obj, now):
    if obj["metadata"]["labels"].get("kubernetes.io/service-name") != a.service:
        return
    with lock:
        for e in obj.get("endpoints") or []:
            if e.get("conditions", {}).get("ready") and e.get("targetRef"):
                ready.setdefault(e["targetRef"]["name"], now)


def load():
    host = a.url.split("//")[1].rstrip("/")
    c = http.client.HTTPConnection(host, timeout=5)
    while not stop.is_set():
        began = time.monotonic()
        try:
            c.request("GET", "/")
            r = c.getresponse()
            body = r.read()
            if r.status == 200:
                with lock:
                    name = json.loads(body)["pod"]
                    first[name] = min(began, first.get(name, began))
        except (OSError, http.client.HTTPException):
            c.close()
        time.sleep(PAUSE)


kube.watch(f"/apis/discovery.k8s.io/v1/namespaces/{a.namespace}/endpointslices", slices, stop)
for _ in range(CONNECTIONS):
    threading.Thread(target=load, daemon=True).start()
path = f"/apis/apps/v1/namespaces/{a.namespace}/deployments/{a.service}"
delays = []
end = time.monotonic() + 20
while not first and time.monotonic() < end:
    time.sleep(0.05)
for i in range(a.rounds):
    known = set(ready)
    kube.merge(path, {"spec": {"replicas": 3}})
    end = time.monotonic() + 30
    while time.monotonic() < end:
        new = set(ready) - known
        if len(new) >= 2 - (i == 0 and len(known) > 1) and all(n in first for n in new):
            break
        time.sleep(0.01)
    for n in set(ready) - known:
        if n not in first:
            sys.exit(f"pod {n} is ready but got no request in 30 s")
        delays.append((first[n] - ready[n]) * 1000)
    kube.merge(path, {"spec": {"replicas": 1}})
    time.sleep(1)
stop.set()
delays.sort()
at = lambda p: delays[min(len(delays) - 1, int(len(delays) * p))]  # noqa: E731
print(f"{len(delays)} pods: min {delays[0]:.1f} p50 {at(0.5):.1f} max {delays[-1]:.1f} ms")
print(f"p99 {max(0, at(0.99)):.0f} ms")
