#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A large cluster as objects in a real API server (KUBERNETES=DIR with up and down, HYPER=BINARY): services and
endpoints, no nodes. How long an agent takes from its start to being in force, what it holds and uses, what two of them
cost the API server, how soon a change is in force. scale.py [--services 10000] [--endpoints 10] [--mesh] [--limits]"""
import argparse
import concurrent.futures
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.realpath(os.environ.get("MESH_BUILD", os.path.join(HERE, "../../build")))
KUBERNETES, HYPER = os.environ.get("KUBERNETES"), os.environ.get("HYPER")
failed = False


def check(name, good, seen=""):
    global failed
    failed |= not good
    print(f"{'ok' if good else 'FAIL'} {name}" + (f" ({seen})" if seen != "" else ""), flush=True)


class Api:
    def __init__(self, kubeconfig):
        text = open(kubeconfig).read()
        self.host, self.port = re.search(r"https://([^:]+):(\d+)", text).groups()
        self.token = re.search(r'token: "?([^"}]+)', text).group(1)
        self.local = threading.local()

    def send(self, method, path, obj=None, kind="application/json"):
        for last in (False, True):
            if not getattr(self.local, "c", None):
                self.local.c = http.client.HTTPSConnection(self.host, int(self.port), context=ssl._create_unverified_context())
            try:
                self.local.c.request(method, path, json.dumps(obj) if obj is not None else None,
                                     {"Authorization": f"Bearer {self.token}", "Content-Type": kind})
                r = self.local.c.getresponse()
                body = r.read()
                if r.status == 429 and not last:
                    time.sleep(1)
                    continue
                return r.status, json.loads(body) if "json" in r.headers.get("Content-Type", "") else body.decode()
            except (http.client.HTTPException, OSError):
                self.local.c = None
                if last:
                    raise


def service(ns, i):
    """Without a selector: where there are controllers, they make nothing for it."""
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"svc-{i}", "namespace": ns, "labels": {"app": f"svc-{i}"}},
            "spec": {"ports": [{"name": "http", "port": 8080, "targetPort": 8080}]}}


def slice_of(ns, i, count, nodes=100):
    items = []
    for k in range(count):
        n = i * count + k
        items.append({"addresses": [f"10.{128 + (n >> 16)}.{(n >> 8) & 255}.{n & 255}"], "conditions": {"ready": True, "serving": True, "terminating": False},
                      "nodeName": f"node-{n % nodes}",
                      "targetRef": {"kind": "Pod", "namespace": ns, "name": f"svc-{i}-6d6b478456-{n:05x}", "uid": f"00000000-0000-4000-8000-{n:012x}"}})
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "endpoints": items,
            "metadata": {"name": f"svc-{i}-abcde", "namespace": ns,
                         "labels": {"kubernetes.io/service-name": f"svc-{i}", "endpointslice.kubernetes.io/managed-by": "scale"}},
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]}


def fill(api, ns, services, endpoints, since=0):
    def one(i):
        for path, obj in ((f"/api/v1/namespaces/{ns}/services", service(ns, i)),
                          (f"/apis/discovery.k8s.io/v1/namespaces/{ns}/endpointslices", slice_of(ns, i, endpoints))):
            status, body = api.send("POST", path, obj)
            if status not in (201, 409):
                raise RuntimeError(f"{path}: {status} {body}")

    start = time.time()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        try:
            for f in [pool.submit(one, i) for i in range(since, services)]:
                f.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    print(f"   {services} services and {services * endpoints} endpoints written in {time.time() - start:.0f} s", flush=True)


def cpu_s(pid):
    total = 0
    for t in os.listdir(f"/proc/{pid}/task"):
        total += int(open(f"/proc/{pid}/task/{t}/schedstat").read().split()[0])
    return total / 1e9


def memory(pid, key):
    return int(re.search(rf"{key}:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1)) / 1024


class Agent:
    def __init__(self, world, name):
        self.cgroup = f"{world.cgroup}/{name}"
        self.pin = f"/sys/fs/bpf/{world.name}-{name}"
        self.socket = f"{world.dir}/{name}.sock"
        self.log = f"{world.dir}/{name}.log"
        self.saved = f"{world.dir}/{name}.saved"
        os.makedirs(self.cgroup, exist_ok=True)
        self.args = [f"{BUILD}/meshd", "agent", "--node", name, "--cgroup-root", world.cgroup + "/pods", "--pin-dir", self.pin, "--socket", self.socket,
                     "--kubeconfig", world.kubeconfig, "--snapshot-dir", self.saved]

    def start(self):
        self.began = time.time()
        self.p = subprocess.Popen(self.args, stderr=open(self.log, "a"),
                                  preexec_fn=lambda: open(self.cgroup + "/cgroup.procs", "w").write(str(os.getpid())))

    def ask(self, cmd, **more):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(60)
            s.connect(self.socket)
            s.sendall(json.dumps({"cmd": cmd, **more}).encode() + b"\n")
            return json.loads(s.makefile().readline())

    def until_in_force(self, limit=120):
        while time.time() - self.began < limit:
            try:
                if self.ask("health")["ok"]:
                    return time.time() - self.began
            except (OSError, ValueError):
                pass
            if self.p.poll() is not None:
                break
            time.sleep(0.02)
        print(open(self.log).read()[-2000:])
        return None

    def stop(self):
        if self.p.poll() is None:
            self.p.terminate()
            self.p.wait(30)

    def detach(self):
        subprocess.run([f"{BUILD}/meshd", "agent", "--detach", "--pin-dir", self.pin], check=False)


class World:
    def __init__(self, args):
        self.args = args
        self.name = f"scale{os.getpid()}"
        # In memory where there is such a place: etcd writes every object to disk at once.
        self.dir = tempfile.mkdtemp(prefix=f"{self.name}-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        mount = next(line.split()[1] for line in open("/proc/mounts") if line.split()[2] == "cgroup2")
        self.cgroup = f"{mount}/{self.name}"
        os.makedirs(self.cgroup + "/pods")
        port = args.port
        subprocess.run([f"{KUBERNETES}/up", f"{self.dir}/api", str(port)], check=True, stdout=subprocess.DEVNULL)
        self.kubeconfig = f"{self.dir}/api/kubeconfig"
        self.api = Api(self.kubeconfig)
        self.api_pid = int(open(f"{self.dir}/api/apiserver.pid").read())
        self.agents = []

    def close(self):
        for a in self.agents:
            a.stop()
            a.detach()
        subprocess.run([f"{KUBERNETES}/down", f"{self.dir}/api"], check=False)
        for d, _, _ in os.walk(self.cgroup, topdown=False):
            os.rmdir(d)
        shutil.rmtree(self.dir, ignore_errors=True)

    def prepare(self):
        crds = subprocess.run([f"{BUILD}/meshctl", "crds"], check=True, capture_output=True).stdout
        subprocess.run(["kubectl", "--kubeconfig", self.kubeconfig, "apply", "--server-side", "-f", "-"], input=crds, check=True, stdout=subprocess.DEVNULL)
        for ns in ("istio-system", "scale"):
            self.api.send("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ns}})
        rolls = "/apis/maistra.io/v1/namespaces/istio-system/servicemeshmemberrolls"
        for _ in range(50):
            if self.api.send("GET", rolls)[0] == 200:
                break
            time.sleep(0.2)
        members = ["scale"] if self.args.mesh else []
        self.api.send("POST", rolls, {"apiVersion": "maistra.io/v1", "kind": "ServiceMeshMemberRoll", "metadata": {"name": "default"}, "spec": {"members": members}})
        self.api.send("PATCH", rolls + "/default/status", {"status": {"observedGeneration": 1, "configuredMembers": members}}, "application/merge-patch+json")


def change_in_force(world, agents, n=50):
    """Milliseconds from the API's answer to the moment an agent has the change in force, as it says itself; before the answer: 0."""
    took, path = [], "/apis/discovery.k8s.io/v1/namespaces/scale/endpointslices/svc-7-abcde"
    for k in range(n):
        obj = slice_of("scale", 7, world.args.endpoints)
        obj["endpoints"][0]["conditions"]["ready"] = k % 2 == 1
        status, answer = world.api.send("PATCH", path, {"endpoints": obj["endpoints"]}, "application/merge-patch+json")
        answered = time.monotonic_ns()
        if status != 200:
            raise RuntimeError(f"{path}: {status} {answer}")
        after = int(answer["metadata"]["resourceVersion"]) - 1
        for a in agents:
            told = a.ask("in-force", resource="endpointslices.discovery.k8s.io", after=after)
            took.append(max(0, told["atNs"] - answered) / 1e6)
        time.sleep(0.05)
    return sorted(took)


def requests_of(world):
    """What the API server has been asked so far, watches included, without what it asks itself."""
    c = http.client.HTTPSConnection(world.api.host, int(world.api.port), context=ssl._create_unverified_context())
    c.request("GET", "/metrics", headers={"Authorization": f"Bearer {world.api.token}"})
    text = c.getresponse().read().decode()
    c.close()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
               if line.startswith("apiserver_request_total{") and re.search(r'verb="(LIST|WATCH|GET|PATCH|POST|PUT|DELETE)"', line))


def load_of_api(world, seconds, idle=None):
    """Requests a second and the percent of a core that the API server uses; less those of idle, which had no agents."""
    asked, cpu, begin = requests_of(world), cpu_s(world.api_pid), time.time()
    time.sleep(seconds)
    spent = time.time() - begin
    rate, core = (requests_of(world) - asked - 1) / spent, (cpu_s(world.api_pid) - cpu) / spent * 100
    return (rate - idle[0], core - idle[1]) if idle else (rate, core)


def measure(world):
    args = world.args
    one, two = Agent(world, "nx"), Agent(world, "ny")
    world.agents += [one, two]
    idle = load_of_api(world, 10)
    print(f"   the API server without agents: {idle[0]:.1f} requests/s, {idle[1]:.1f} % of a core")
    api_cpu = cpu_s(world.api_pid)
    one.start()
    took = one.until_in_force()
    check("an agent starts and is in force, s", took is not None and (not args.limits or took <= 5), "never" if took is None else f"{took:.2f}")
    if took is None:
        return
    cpu = cpu_s(one.p.pid)
    time.sleep(4)
    check("its RSS, MiB", not args.limits or memory(one.p.pid, "VmRSS") <= 60, f"{memory(one.p.pid, 'VmRSS'):.1f}, at most so far {memory(one.p.pid, 'VmHWM'):.1f}")
    print(f"   its CPU until then {cpu:.2f} s, the API server's {cpu_s(world.api_pid) - api_cpu:.2f} s")
    status = one.ask("status")
    print(f"   services in the kernel {status['dataplane']['services']}, last publish {status['config']['publishUs'] / 1000:.1f} ms")
    begin, cpu = time.time(), cpu_s(one.p.pid)
    time.sleep(10)
    used = (cpu_s(one.p.pid) - cpu) / (time.time() - begin) * 100
    check("its idle CPU, % of a core", not args.limits or used <= 0.2, f"{used:.3f}")
    two.start()
    took = two.until_in_force()
    check("a second one", took is not None, "never" if took is None else f"{took:.2f}")
    time.sleep(3)
    rate, core = load_of_api(world, 30, idle)
    print(f"   the API server for two agents that watch: {rate:.2f} requests/s, {core:.2f} % of a core more")
    took = change_in_force(world, [one, two])
    print(f"   an endpoint's change, ms from the API's answer to in force on each of two: p50 {took[len(took) // 2]:.2f}, "
          f"p99 {took[len(took) * 99 // 100]:.2f}, most {took[-1]:.2f}; publish {one.ask('status')['config']['publishUs'] / 1000:.2f} ms")
    one.stop()
    one.start()
    took = one.until_in_force()
    check("a restarted agent, s", took is not None, "never" if took is None else f"{took:.2f}")
    one.stop()
    subprocess.run(["kill", "-STOP", str(world.api_pid)], check=True)
    try:
        one.start()
        took = one.until_in_force()
        check("with the API hanging it starts from its snapshot, s", took is not None and one.ask("health")["fromSnapshot"], "never" if took is None else f"{took:.2f}")
    finally:
        subprocess.run(["kill", "-CONT", str(world.api_pid)], check=True)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--services", type=int, default=10000)
    p.add_argument("--endpoints", type=int, default=10, help="of each service")
    p.add_argument("--mesh", action="store_true", help="the services are in the mesh (HTTP routing), else only the kernel knows them")
    p.add_argument("--limits", action="store_true", help="fail beyond 5 s, 60 MiB, 0.2 %%")
    p.add_argument("--port", type=int, default=36700 + os.getpid() % 500 * 4, help="of the API server; the next two are etcd's")
    args = p.parse_args()
    if not KUBERNETES or not HYPER or os.geteuid() != 0:
        print("skip scale: it needs root and a real API server: KUBERNETES=DIR (with up and down) and HYPER=BINARY")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    world = World(args)
    try:
        world.prepare()
        fill(world.api, "scale", args.services, args.endpoints)
        measure(world)
    finally:
        world.close()
    return failed


if __name__ == "__main__":
    sys.exit(main())
