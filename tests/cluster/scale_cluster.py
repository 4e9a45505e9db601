#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""For scale_cluster.sh. scale_cluster.py fill KUBECONFIG NAMESPACE FROM TO ENDPOINTS: makes services svc-FROM to svc-TO.
scale_cluster.py burst COUNT < ADDRESSES: connects to them, at random, and waits for none.
scale_cluster.py changes KUBECONFIG NAMESPACE ENDPOINTS SOCKET...: how soon agents have a change in force, ms after the API's answer."""
import errno
import json
import random
import socket
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, "tests/cluster")
from scale import Api, fill, slice_of  # noqa: E402


def burst(count):
    to, refused = [line.strip() for line in sys.stdin], 0
    for _ in range(count):
        with socket.socket() as s:
            s.setblocking(False)
            e = s.connect_ex((random.choice(to), 8080))
            refused += e not in (0, errno.EINPROGRESS)
    print(f"{count} connects, {refused} refused at once")


def told(path, after):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        s.connect(path)
        s.sendall(json.dumps({"cmd": "in-force", "resource": "endpointslices.discovery.k8s.io", "after": after}).encode() + b"\n")
        return json.loads(s.makefile().readline())["atNs"]


def changes(api, ns, endpoints, sockets, n=100):
    took = []
    for k in range(n):
        obj = slice_of(ns, 7, endpoints)
        obj["endpoints"][0]["conditions"]["ready"] = k % 2 == 1
        status, answer = api.send("PATCH", f"/apis/discovery.k8s.io/v1/namespaces/{ns}/endpointslices/svc-7-abcde", {"endpoints": obj["endpoints"]},
                                  "application/merge-patch+json")
        answered = time.monotonic_ns()
        if status != 200:
            sys.exit(f"the change is refused: {status} {answer}")
        took += [max(0, told(s, int(answer["metadata"]["resourceVersion"]) - 1) - answered) / 1e6 for s in sockets]
        time.sleep(0.03)
    took.sort()
    print(f"p50 {took[len(took) // 2]:.2f}, p99 {took[len(took) * 99 // 100]:.2f}, most {took[-1]:.2f} ({len(took)} of them)")


if sys.argv[1] == "fill":
    fill(Api(sys.argv[2]), sys.argv[3], int(sys.argv[5]), int(sys.argv[6]), since=int(sys.argv[4]))
elif sys.argv[1] == "burst":
    burst(int(sys.argv[2]))
else:
    changes(Api(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5:])
