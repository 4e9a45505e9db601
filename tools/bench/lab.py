# SPDX-License-Identifier: Apache-2.0
"""The lab that the bench makes: its pods, and the ways from a client pod to a server pod that are the bench's rows."""
import concurrent.futures
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/e2e"))
from api import Api  # noqa: E402
import peers
from measure import BODY, NGINX

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
BUILD = os.path.realpath(os.path.join(ROOT, os.environ.get("MESH_BUILD", "build")))
MESHCTL = BUILD + "/meshctl"
# What stands between a client pod and a server pod.
ROWS = [
    ("direct", "no mesh"),
    ("direct2", "no mesh, again (A/A control)"),
    ("l4", "Sockmesh, L4 tier"),
    ("l4-bypass", "Sockmesh, L4 tier, bypass"),
    ("l4-splice", "Sockmesh, L4 tier, spliced"),
    ("l7", "Sockmesh, L7 tier"),
    ("l7-bypass", "Sockmesh, L7 tier, bypass"),
    ("l7-splice", "Sockmesh, L7 tier, spliced"),
    ("forwarder", "bare epoll forwarder, one hop"),
    ("haproxy", "HAProxy, one hop"),
    ("pair", "HAProxy, a sidecar pair"),
    ("nginx", "nginx, one hop"),
    ("envoy", "Envoy, one hop"),
    ("envoy-pair", "Envoy, a sidecar pair"),
    ("envoy-mtls", "Envoy, a sidecar pair, mTLS"),
    ("ztunnel-pair", "ztunnel, a pair, mTLS (no HTTP routing)"),
]
OURS = [n for n, _ in ROWS if n.startswith(("l4", "l7"))]
MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}, annotations: {annotations}}}
    spec: {{nodeSelector: {{kubernetes.io/hostname: {node}}}, containers: [{{name: c, image: "docker.io/sockmesh/client:dev"}}]}}
---
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: {name}, annotations: {annotations}}}
spec:
  selector: {{app: {app}}}
  ports: [{{name: http, port: 8080, targetPort: 8080}}]
---
"""
CONNECTION = "{sockmesh.io/balance: connection}"
SPLICED = "{sockmesh.io/splice: enabled}"


def service(name):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "annotations": {"sockmesh.io/balance": "connection"}},
            "spec": {"ports": [{"name": "http", "port": 8080}]}}


def slice_of(name, ip):
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name + "-1", "labels": {"kubernetes.io/service-name": name}},
            "ports": [{"name": "http", "port": 8080}], "endpoints": [{"addresses": [ip], "conditions": {"ready": True}}]}


SYSCTLS = "echo 1024 65000 > /proc/sys/net/ipv4/ip_local_port_range; echo 64 > /proc/sys/net/ipv4/tcp_max_tw_buckets; ulimit -n 8192 || :"


class Lab:
    def __init__(self, name, directory, nodes=1):
        """nodes: with 2, servers are on the second, and agents are told the device between the nodes."""
        self.name, self.dir, self.children, self.nodes = name, directory, [], nodes
        self.env = dict(os.environ, KUBECONFIG=directory + "/kubeconfig")
        if nodes > 1:
            self.env["SOCKMESH_UPLINK"] = "up0"

    def sh(self, *args, **kw):
        r = subprocess.run(args, capture_output=True, text=True, env=self.env, **kw)
        if r.returncode != 0:
            raise RuntimeError(f"{' '.join(args)}: {r.stderr.strip() or r.stdout.strip()}")
        return r.stdout

    def up(self):
        self.sh(MESHCTL, "lab", "up", "--name", self.name, "--nodes", str(self.nodes))
        with open(self.dir + "/kubeconfig", "w", encoding="utf-8") as f:
            f.write(self.sh(MESHCTL, "lab", "kubeconfig", "--name", self.name))

    def down(self):
        for p in self.children:
            p.kill()
        subprocess.run([MESHCTL, "lab", "down", "--name", self.name], capture_output=True)
        for p in self.children:
            p.wait()

    def kubectl(self, *args, stdin=None):
        return self.sh("kubectl", *args, input=stdin)

    def pod(self, ns, app):
        """((namespace, name), address)"""
        items = json.loads(self.kubectl("-n", ns, "get", "pods", "-l", "app=" + app, "-o", "json"))["items"]
        return (ns, items[0]["metadata"]["name"]), items[0]["status"]["podIP"]

    def argv(self, where, *args):
        ns, pod = where
        return [MESHCTL, "lab", "exec", "--name", self.name, "-n", ns, pod, "--", *args]

    def inside(self, where, *args, stdin=None):
        return self.sh(*self.argv(where, *args), input=stdin)

    def start(self, where, port, *args):
        """Runs a server in a pod until the bench ends, and waits until it listens."""
        log = f"{self.dir}/{len(self.children)}.log"
        with open(log, "w", encoding="utf-8") as f:
            p = subprocess.Popen(self.argv(where, *args), env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=f)
        self.children.append(p)
        for _ in range(200):
            if f":{port} " in self.inside(where, "ss", "-ltn"):
                return
            if p.poll() is not None:
                break
            time.sleep(0.1)
        with open(log, encoding="utf-8") as f:
            raise RuntimeError(f"{' '.join(args)}: does not listen on port {port}: {f.read()[-500:]}")

    def start_proxy(self, where, port, *args):
        """As start(), as the user whose own connections are not redirected."""
        self.start(where, port, "setpriv", "--reuid=1337", "--regid=1337", "--clear-groups", *args)

    def write(self, name, text):
        path = f"{self.dir}/{name}"
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, 0o644)
        return path

    def redirect(self, where, hook, port):
        """What goes out (output) or comes in (prerouting) for port 8080 goes to the proxy, as sidecars have it."""
        keep = "meta skuid 1337 return\n " if hook == "output" else ""
        rules = f"table ip bench {{\n chain c {{\n type nat hook {hook} priority -100\n {keep}tcp dport 8080 redirect to :{port}\n }}\n}}\n"
        self.inside(where, "nft", "-f", "-", stdin=rules)

    def post(self, objects):
        """As fast as the API takes them: [(path, object)]. Returns its answers."""
        local = threading.local()

        def one(path, obj):
            if not hasattr(local, "api"):
                local.api = Api(self.env["KUBECONFIG"])
            status, raw = local.api.call("POST", path, obj)
            if status != 201:
                raise RuntimeError(f"POST {path}: {status} {raw[:300]}")
            return json.loads(raw)

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            return list(pool.map(one, *zip(*objects)))

    def node_of(self, name):
        return f"node-{self.nodes if 'server' in name else 1}"

    def manifest(self, name, annotations="{}"):
        return MANIFEST.format(name=name, annotations=annotations, node=self.node_of(name))

    def cgroup(self):
        mount = next(line.split()[1] for line in open("/proc/self/mounts", encoding="utf-8") if line.split()[2] == "cgroup2")
        return f"{mount}/sockmesh-lab-{self.name}"

    def processes(self):
        for directory, _, _ in os.walk(self.cgroup()):
            with open(directory + "/cgroup.procs", encoding="utf-8") as f:
                yield from f.read().split()

    def bind(self, cpus):
        """Every process of the lab, and those that the bench starts from now on, to these CPUs."""
        os.sched_setaffinity(0, cpus)
        for pid in self.processes():
            for tid in os.listdir(f"/proc/{pid}/task"):
                os.sched_setaffinity(int(tid), cpus)

    def set_congestion(self, name):
        """TCP's congestion control in every network namespace that a process of the lab is in, but this one; whether all may have it."""
        spaces = {os.readlink(f"/proc/{pid}/ns/net"): pid for pid in self.processes()}
        spaces.pop(os.readlink("/proc/self/ns/net"), None)
        word = f"echo {name} > /proc/sys/net/ipv4/tcp_congestion_control"
        return all([subprocess.run(["nsenter", "-t", pid, "-n", "sh", "-c", word], capture_output=True).returncode == 0 for pid in spaces.values()])

    def agent_us(self):
        """CPU time of the agent of the clients' node so far."""
        with open(f"{self.cgroup()}/node-1/agent/cpu.stat", encoding="utf-8") as f:
            return int(re.search(r"usage_usec (\d+)", f.read()).group(1))

    def has_switch(self, name):
        r = subprocess.run([MESHCTL, "dataplane", "get", "-o", "json"], capture_output=True, text=True, env=self.env)
        return r.returncode == 0 and f'"{name}"' in r.stdout

    def set_switch(self, name, word):
        """By the agent's socket: a process for it would cost as much as a slice."""
        with socket.socket(socket.AF_UNIX) as c:
            c.connect(f"/run/sockmesh/labs/{self.name}/node-1.sock")
            c.sendall(json.dumps({"cmd": "dataplane-set", "set": {name: word}}).encode() + b"\n")
            answer = json.loads(c.makefile().readline())
        if not answer.get("ok"):
            raise RuntimeError(f"{name}={word}: {answer}")


class Ways:
    """rows: name -> (client pod, host to ask); skipped: name -> why it cannot be measured here."""

    def __init__(self, lab, wanted, services=0, congestion=None):
        """
        services: that many more of the server pod, so that each connection of the L4 rows is to one of them.
        congestion: TCP's congestion control; None: cubic where pods may have it.
        """
        self.lab, self.wanted, self.rows, self.skipped, self.bypass, self.congestion = lab, wanted, {}, {}, None, congestion
        self.services, self.lists = services, {}
        self.envoy, self.ztunnel = os.environ.get("ENVOY"), os.environ.get("ZTUNNEL")
        for n, what, there in (("forwarder", "build/bench/forwarder", os.path.exists(BUILD + "/bench/forwarder")),
                               ("envoy", "ENVOY= is not set to its binary", self.envoy),
                               ("ztunnel", "ZTUNNEL= is not set to its binary", self.ztunnel)):
            for row in wanted:
                if row.split("-")[0] == n and not there:
                    self.skipped[row] = what

    def wants(self, *names):
        return any(n in self.wanted and n not in self.skipped for n in names)

    def make(self):
        lab = self.lab
        lab.up()
        os.makedirs(lab.dir + "/tmp", exist_ok=True)
        os.makedirs(lab.dir + "/www", exist_ok=True)
        for d in ("", "/tmp", "/www"):
            os.chmod(lab.dir + d, 0o777)
        for name, size in (("0", 0), ("16k", 16 << 10), ("1m", 1 << 20), ("16m", 16 << 20)):
            lab.write("www/" + name, "x" * size)
        self.find_switches()
        self.make_pods()
        self.choose_congestion()
        self.start_servers()
        self.start_proxies()
        self.add_services()
        for name, (where, host) in self.rows.items():
            self.wait_for(name, where, host)
        if "ztunnel-pair" in self.rows:
            self.see_tunnel("ztunnel-pair")

    def find_switches(self):
        self.switches = [kind for kind in ("bypass", "splice") if self.lab.has_switch(kind)]
        for kind in ("bypass", "splice"):
            if kind not in self.switches:
                for row in self.wanted:
                    if row.endswith("-" + kind):
                        self.skipped[row] = f"this build has no {kind}"

    def make_pods(self):
        lab, files = self.lab, ROOT + "/tests/e2e/tutorial/"
        subprocess.run(["kubectl", "create", "namespace", "istio-system"], env=lab.env, capture_output=True)
        for ns in ("bench", "outside"):
            lab.kubectl("create", "namespace", ns)
        with open(files + "smmr.yaml", encoding="utf-8") as f:
            roll = f.read().replace("coolapp", "bench")
        lab.kubectl("apply", "-n", "istio-system", "-f", files + "smcp.yaml")
        lab.kubectl("apply", "-n", "istio-system", "-f", "-", stdin=roll)
        text = "".join(lab.manifest(n) for n in ("server", "client"))
        text += SERVICE.format(name="l7", app="server", annotations="{}") + SERVICE.format(name="l4", app="server", annotations=CONNECTION)
        if self.wants("l4-splice", "l7-splice"):
            text += "".join(lab.manifest(n, SPLICED) for n in ("server-splice", "client-splice"))
            text += SERVICE.format(name="l7-splice", app="server-splice", annotations="{}")
            text += SERVICE.format(name="l4-splice", app="server-splice", annotations=CONNECTION)
        lab.kubectl("apply", "-n", "bench", "-f", "-", stdin=text)
        self.outside = [n for n in self.wanted if n not in OURS and n != "direct2" and n not in self.skipped]
        self.paired = [n for n in ("pair", "envoy-pair", "envoy-mtls", "ztunnel-pair") if self.wants(n)]
        names = self.outside + ["outside-server"] + [n + "-server" for n in self.paired]
        lab.kubectl("apply", "-n", "outside", "-f", "-", stdin="".join(lab.manifest(n) for n in names))
        for ns in ("bench", "outside"):
            lab.kubectl("-n", ns, "wait", "--for=condition=Available", "deployment", "--all", "--timeout=60s")

    def choose_congestion(self):
        """
        The same for every row, and one that does not pace: how fast BBR, which may be this machine's own, lets one stream be is
        its model of the path, and its timers cost CPU. Namespaces may be kept from cubic; none is from reno.
        """
        wanted = [self.congestion] if self.congestion else ["cubic", "reno"]
        self.congestion = next((name for name in wanted if self.lab.set_congestion(name)), None)
        if not self.congestion:
            raise RuntimeError(f"pods may not have the congestion control {' or '.join(wanted)}: see net.ipv4.tcp_allowed_congestion_control")

    def start_servers(self):
        lab = self.lab
        members = ["server", "client"] + (["server-splice", "client-splice"] if self.wants("l4-splice", "l7-splice") else [])
        self.pods = {n: lab.pod("bench", n) for n in members}
        self.pods.update({n: lab.pod("outside", n) for n in self.outside + ["outside-server"] + [n + "-server" for n in self.paired]})
        for where, _ in self.pods.values():
            lab.inside(where, "sh", "-c", SYSCTLS)
        for n in [n for n in self.pods if "server" in n]:
            conf = lab.write(f"nginx-{n}.conf", NGINX.format(dir=lab.dir, name=n, body=BODY))
            lab.start(self.pods[n][0], 8080, "nginx", "-c", conf)
        server = self.pods["outside-server"][1]
        for n in self.outside:
            self.rows[n] = (self.pods[n][0], self.pods[n + "-server"][1] if n in self.paired else server)
        if "direct" in self.rows and "direct2" in self.wanted:
            self.rows["direct2"] = self.rows["direct"]
        for n in OURS:
            if self.wants(n):
                spliced = n.endswith("-splice")
                self.rows[n] = (self.pods["client-splice" if spliced else "client"][0], n if spliced else n.split("-")[0])

    def start_proxies(self):
        lab, server = self.lab, self.pods["outside-server"][1] + ":8080"
        mutual = self.wants("envoy-mtls")
        if mutual:
            peers.certificates(lab.dir)
        for n in self.outside:
            where, host = self.rows[n]
            port = 16001
            if n == "forwarder":
                lab.start_proxy(where, port, BUILD + "/bench/forwarder", str(port), server)
            elif n in ("haproxy", "pair"):
                lab.start_proxy(where, port, "haproxy", "-db", "-f", lab.write(n + ".cfg", peers.HAPROXY.format(port=port, up=host + ":8080")))
            elif n == "nginx":
                lab.start_proxy(where, port, "nginx", "-c", lab.write("nginx-hop.conf", peers.NGINX_HOP.format(dir=lab.dir, port=port, up=server)))
            elif n.startswith("envoy"):
                self.start_envoy(where, n, port, host + ":8080", "client" if n == "envoy-mtls" else None)
            elif n == "ztunnel-pair":
                port = 15001
                self.start_ztunnel(where, port, n)
            else:
                continue
            lab.redirect(where, "output", port)
        for n in self.paired:
            where, port = self.pods[n + "-server"][0], 16006
            if n == "pair":
                conf = lab.write("pair-in.cfg", peers.HAPROXY.format(port=port, up="127.0.0.1:8080"))
                lab.start_proxy(where, port, "haproxy", "-db", "-f", conf)
            elif n == "ztunnel-pair":
                port = 15006  # what comes in plain; the tunnel's own port is not redirected
                self.start_ztunnel(where, peers.HBONE, n)
            else:
                self.start_envoy(where, n + "-in", port, "127.0.0.1:8080", "server" if n == "envoy-mtls" else None)
            lab.redirect(where, "prerouting", port)

    def add_services(self):
        """The L4 rows' clients have a list of them."""
        lab, api = self.lab, "/apis/discovery.k8s.io/v1/namespaces/bench/endpointslices"
        for app in ("server", "server-splice") if self.services else ():
            if app not in self.pods:
                continue
            names = [f"{app}-{i}" for i in range(self.services)]
            made = lab.post([("/api/v1/namespaces/bench/services", service(n)) for n in names])
            lab.post([(api, slice_of(n, self.pods[app][1])) for n in names])
            ips = [s["spec"]["clusterIP"] for s in made]
            path = lab.write(app + ".list", "\n".join(ips))
            for row in OURS:
                if row in self.rows and row.startswith("l4") and row.endswith("-splice") == app.endswith("-splice"):
                    self.lists[row] = path
                    for ip in ips[-8:]:  # several at a time are written
                        self.wait_for(row, self.rows[row][0], ip)

    def client(self, row, *args):
        """What runs a client of this row: argv."""
        where, host = self.rows[row]
        drawn = ["-t", self.lists[row]] if row in self.lists else []
        return self.lab.argv(where, BUILD + "/bench/client", *drawn, *args[:-1], f"{host}:8080{args[-1]}")

    def start_envoy(self, where, name, port, up, tls):
        conf = self.lab.write(name + ".json", peers.envoy(port, up, 15000, tls, self.lab.dir))
        self.lab.start_proxy(where, port, self.envoy, "-c", conf, "--concurrency", "2", "--disable-hot-restart", "-l", "error")

    def start_ztunnel(self, where, port, row):
        conf = self.lab.write(row + ".json", peers.ztunnel(dict(self.pods[n] for n in (row, row + "-server"))))
        self.lab.start_proxy(where, port, "env", *peers.ztunnel_env(where, conf), self.ztunnel)

    def see_tunnel(self, row):
        """After an answer: it came by a connection between the two pods' ztunnels, which the server's one counts as mTLS."""
        client, (server, _) = self.pods[row][1], self.pods[row + "-server"]
        peer = f"state established sport = :{peers.HBONE} and dst {client}"
        if not self.lab.inside(server, "ss", "-Htn", *peer.split()):
            raise RuntimeError(f"row {row}: its answer did not come by port {peers.HBONE}: {server[1]} has no connection there from {client}")
        counters = self.lab.inside(server, "curl", "-s", "-m", "2", f"http://127.0.0.1:{peers.ZTUNNEL_STATS}/metrics")
        if not peers.ztunnel_mutual(counters):
            raise RuntimeError(f"row {row}: its answer did not come by mTLS: ztunnel in {server[1]} counts no such connection")

    def wait_for(self, name, where, host):
        for _ in range(50):
            r = subprocess.run(self.lab.argv(where, "curl", "-s", "-m", "2", f"http://{host}:8080/"), env=self.lab.env, capture_output=True, text=True)
            if BODY in r.stdout:
                return
            time.sleep(0.1)
        raise RuntimeError(f"row {name}: no answer: {r.stdout} {r.stderr}")

    def turn(self, name):
        """Before a slice of that row: the node's switches are as the row wants them."""
        if name not in OURS or "bypass" not in self.switches:
            return
        word = "off" if name in ("l4", "l7") else "on"
        if word != self.bypass:
            self.lab.set_switch("bypass", word)
            self.bypass = word
