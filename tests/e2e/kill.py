# SPDX-License-Identifier: Apache-2.0
"""kill.py MESHD DIRECTORY: see kill.sh. Its own process, port and data; nothing else is touched."""
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from api import Api  # noqa: E402

MESHD, DIR = sys.argv[1:3]
KILLS = int(os.environ.get("KILLS", "50"))
KUBECONFIG = DIR + "/kubeconfig-kill"
WRITERS = 4
random.seed(int(os.environ.get("SEED", "1")))

with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    PORT = s.getsockname()[1]

CM = "/api/v1/namespaces/default/configmaps"
VS = "/apis/networking.istio.io/v1beta1/namespaces/default/virtualservices"


def start():
    log = open(DIR + "/control.log", "ab")
    p = subprocess.Popen(
        [MESHD, "control", "--embedded", "--data", DIR + "/data", "--listen", f"127.0.0.1:{PORT}", "--san", "127.0.0.1",
         "--kubeconfig-out", KUBECONFIG, "--kubeconfig-server", f"https://127.0.0.1:{PORT}"],
        stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    end = time.time() + 20
    while time.time() < end:
        if p.poll() is not None:
            break
        try:
            api = Api(KUBECONFIG)
            if api.call("GET", "/api/v1/namespaces/default")[0] == 200:
                return p, api
        except (OSError, http.client.HTTPException, AttributeError, TypeError):
            pass
        time.sleep(0.02)
    if p.poll() is None:
        p.kill()
        p.wait()
    print("FAIL control serves after a start")
    print("\n".join("    " + line for line in open(DIR + "/control.log", errors="replace").read().splitlines()[-20:]))
    sys.exit(1)


class Writer(threading.Thread):
    """Creates, replaces and deletes objects of its own. acked: name -> the answer's bytes, or None once deleted.
    pending: name -> what an unanswered write would have made of it."""

    def __init__(self, number, acked):
        super().__init__(daemon=True)
        self.number, self.acked, self.pending, self.stop, self.writes, self.odd = number, acked, {}, False, 0, []
        self.random = random.Random(random.random())

    def run(self):
        api = Api(KUBECONFIG)
        while not self.stop:
            name = f"w{self.number}-{self.random.randrange(12)}"
            path, body = self.body(name)
            old = self.acked.get((path, name))
            if old is None:
                method, url = "POST", path
            elif self.random.random() < 0.2:
                method, url, body = "DELETE", f"{path}/{name}", None
            else:
                method, url = "PUT", f"{path}/{name}"
                body["metadata"]["resourceVersion"] = json.loads(old)["metadata"]["resourceVersion"]
            self.pending = {(path, name): body}
            try:
                status, raw = api.call(method, url, body)
            except (OSError, http.client.HTTPException):
                return
            self.pending = {}
            if status == 409 and path == VS and method == "PUT":  # its status was written meanwhile
                try:
                    s2, raw2 = api.call("GET", url)
                except (OSError, http.client.HTTPException):
                    return
                if s2 == 200:
                    self.acked[(path, name)] = raw2
                continue
            if status not in (200, 201):
                self.odd.append(f"{method} {url}: {status} {raw[:200]!r}")
                return
            self.acked[(path, name)] = None if method == "DELETE" else raw
            self.writes += 1

    def body(self, name):
        if self.random.random() < 0.5:
            name_seed = self.random.randrange(1 << 30)
            return CM, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
                        "data": {"n": str(name_seed), "text": "x" * self.random.randrange(2000)}}
        w = self.random.randrange(101)
        return VS, {"apiVersion": "networking.istio.io/v1beta1", "kind": "VirtualService", "metadata": {"name": name},
                    "spec": {"hosts": [f"{name}.example.com"], "http": [{"route": [
                        {"destination": {"host": "a"}, "weight": w}, {"destination": {"host": "b"}, "weight": 100 - w}]}]}}


def essence(path, obj):
    """What must be the same: all of a ConfigMap; of a VirtualService all but what its status's writer changes."""
    if path == CM:
        return obj
    m = obj["metadata"]
    return obj["spec"], m["uid"], m["generation"], m["creationTimestamp"], m["name"]


def verify(api, acked, pendings):
    bad = []
    for (path, name), raw in acked.items():
        status, now = api.call("GET", f"{path}/{name}")
        if (path, name) in pendings:
            want = pendings[(path, name)]
            # A write under way: done or not done, nothing between.
            done = status == 404 if want is None else status == 200 and all(json.loads(now).get(k) == want[k] for k in ("spec", "data") if k in want)
            undone = status == 404 if raw is None else status == 200 and essence(path, json.loads(now)) == essence(path, json.loads(raw))
            if not done and not undone:
                bad.append(f"{path}/{name}: neither before nor after the write under way")
            acked[(path, name)] = now if status == 200 else None
            continue
        if raw is None:
            if status != 404:
                bad.append(f"{path}/{name}: deleted, and there again")
        elif status != 200:
            bad.append(f"{path}/{name}: acknowledged, and gone ({status})")
        elif path == CM and now != raw:
            bad.append(f"{path}/{name}: not the bytes that were acknowledged:\n  {raw!r}\n  {now!r}")
        elif essence(path, json.loads(now)) != essence(path, json.loads(raw)):
            bad.append(f"{path}/{name}: not what was acknowledged")
        else:
            acked[(path, name)] = now if status == 200 else None
    for key, want in pendings.items():
        if key in acked:
            continue
        status, now = api.call("GET", f"{key[0]}/{key[1]}")
        acked[key] = now if status == 200 else None
    return bad


acked = [dict() for _ in range(WRITERS)]
writes, bad, slow = 0, [], 0.0
process, api = start()
try:
    for n in range(KILLS):
        writers = [Writer(i, acked[i]) for i in range(WRITERS)]
        for w in writers:
            w.start()
        # In the middle of writing, however slow the machine is at the moment.
        end = time.time() + 60
        while time.time() < end and sum(w.writes for w in writers) < 8 and any(w.is_alive() for w in writers):
            time.sleep(0.005)
        time.sleep(random.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        process.wait()
        for w in writers:
            w.stop = True
        for w in writers:
            w.join(25)
            writes += w.writes
            bad += w.odd
        begin = time.time()
        process, api = start()
        slow = max(slow, time.time() - begin)
        for i, w in enumerate(writers):
            bad += verify(api, acked[i], w.pending)
        if bad:
            break
finally:
    process.kill()
    process.wait()
if bad:
    print(f"FAIL after SIGKILL {n + 1} every acknowledged write is there, byte for byte")
    print("\n".join("    " + b for b in bad[:10]))
    sys.exit(1)
print(f"ok {KILLS} times SIGKILL of control during {writes} acknowledged writes: every one is there, byte for byte")
if writes < KILLS * 5:
    print(f"FAIL the writers had something to do: {writes} writes")
    sys.exit(1)
if slow > 5 and os.getloadavg()[0] <= 2 * os.cpu_count():
    print(f"FAIL control is back soon after a SIGKILL: {slow:.1f} s")
    sys.exit(1)
print(f"ok control was back within {slow:.2f} s each time")
