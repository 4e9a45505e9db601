# SPDX-License-Identifier: Apache-2.0
"""The place of the socket suite: a lab of one node with a client and a server pod inside the mesh, and another two
outside it. Whatever the suite starts is gone with the lab."""
import json
import os
import signal
import subprocess
import sys
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
BUILD = os.path.realpath(os.path.join(ROOT, os.environ.get("MESH_BUILD", "build")))
MESHCTL = BUILD + "/meshctl"
PROGRAM = BUILD + "/sockets/sockets"
os.environ["PATH"] = BUILD + ":" + os.environ["PATH"] + ":/usr/sbin:/sbin"
os.environ["LC_ALL"] = "C"
PORTS = 12  # of one run: two for each case at a time
JOBS = PORTS // 2
INSIDE, OUTSIDE = "sockets", "outside"
# Port ranges, one for each run that may be under way at the same time. Those of an L7 Service are named http-*.
L4_RUNS, L7_RUNS = 6, 4
L4_BASE, L7_BASE = 7000, 7200
PROGRAM_PORTS = {"nginx": 7400, "node": 7401, "python": 7402, "redis": 7403, "postgres": 7404, "iperf3": 7405, "openssl": 7406}

POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {ns}, labels: {{app: {name}}}}}
spec: {{containers: [{{name: c, image: "docker.io/sockmesh/client:dev"}}]}}
---
"""


def service(name, annotations, ports, prefix):
    rows = "".join(f"  - {{name: {prefix}-{p}, port: {p}, targetPort: {p}}}\n" for p in ports)
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {INSIDE}, annotations: {annotations}}}
spec:
  selector: {{app: server}}
  ports:
{rows}---
"""


class Failed(Exception):
    pass


class Lab:
    def __init__(self, directory, keep=False):
        """keep: agents have a keeper, which starts the next one and holds the listeners meanwhile."""
        self.name, self.dir, self.children = f"sok{os.getpid()}", directory, []
        self.env = dict(os.environ, KUBECONFIG=directory + "/kubeconfig", **({"SOCKMESH_KEEP": "1"} if keep else {}))

    def sh(self, *args, check=True, timeout=120, stdin=None):
        r = subprocess.run(args, capture_output=True, text=True, env=self.env, timeout=timeout,
                           **({"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}))
        if check and r.returncode != 0:
            raise Failed(f"{' '.join(args)}: {(r.stderr or r.stdout).strip()[-2000:]}")
        return r if not check else r.stdout

    def kubectl(self, *args, stdin=None):
        return self.sh("kubectl", *args, stdin=stdin)

    def up(self):
        for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(sig, lambda *_: sys.exit(143))
        self.sh(MESHCTL, "lab", "up", "--name", self.name, "--nodes", "1")
        with open(self.dir + "/kubeconfig", "w") as f:
            f.write(self.sh(MESHCTL, "lab", "kubeconfig", "--name", self.name))
        files = ROOT + "/tests/e2e/tutorial/"
        with open(files + "smmr.yaml") as f:
            roll = f.read().replace("coolapp", INSIDE)
        for ns in (INSIDE, OUTSIDE):
            self.kubectl("create", "namespace", ns)
        self.kubectl("apply", "-n", "istio-system", "-f", files + "smcp.yaml")
        self.kubectl("apply", "-n", "istio-system", "-f", "-", stdin=roll)
        l4 = list(range(L4_BASE, L4_BASE + PORTS * L4_RUNS)) + list(PROGRAM_PORTS.values())
        l7 = list(range(L7_BASE, L7_BASE + PORTS * L7_RUNS)) + list(PROGRAM_PORTS.values())
        self.kubectl("apply", "-f", "-", stdin=service("l4", "{}", l4, "tcp") + service("l7", "{}", l7, "http")
                     + "".join(POD.format(name=n, ns=ns) for ns in (INSIDE, OUTSIDE) for n in ("client", "server")))
        for ns in (INSIDE, OUTSIDE):
            self.kubectl("-n", ns, "wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
        self.server_ips = {ns: self.addresses(ns, "server") for ns in (INSIDE, OUTSIDE)}
        self.vips = {n: self.kubectl("-n", INSIDE, "get", "service", n, "-o", "jsonpath={.spec.clusterIP}") for n in ("l4", "l7")}
        self.vip6 = self.six()
        for ns in (INSIDE, OUTSIDE):
            for pod in ("client", "server"):  # many short connections must not run out of source ports
                self.inside(ns, pod, "sh", "-c", "echo 1024 65000 > /proc/sys/net/ipv4/ip_local_port_range")
        self.helpers()

    def addresses(self, ns, pod):
        return [a["ip"] for a in json.loads(self.kubectl("-n", ns, "get", "pod", pod, "-o", "json"))["status"]["podIPs"]]

    def six(self):
        """An IPv6 address of the mesh: the embedded API gives Services IPv4 ones, so a ServiceEntry has it."""
        pods = [ip for ip in self.server_ips[INSIDE] if ":" in ip]
        if not pods:
            return None
        ports = "".join(f"  - {{number: {p}, name: tcp-{p}, protocol: TCP}}\n" for p in range(L4_BASE, L4_BASE + PORTS * L4_RUNS))
        self.kubectl("apply", "-f", "-", stdin=f"""
apiVersion: networking.istio.io/v1beta1
kind: ServiceEntry
metadata: {{name: six, namespace: {INSIDE}}}
spec:
  hosts: [six.example.com]
  addresses: ["fd5a:ffff::6"]
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
{ports}  endpoints: [{{address: "{pods[0]}"}}]
""")
        return "fd5a:ffff::6"

    def argv(self, ns, pod, *args):
        return [MESHCTL, "lab", "exec", "--name", self.name, "-n", ns, pod, "--", *args]

    def inside(self, ns, pod, *args, **kw):
        return self.sh(*self.argv(ns, pod, *args), **kw)

    def start(self, ns, pod, *args, log=None):
        """A process that lives until the lab goes, with an open standard input."""
        out = open(f"{self.dir}/{log or str(len(self.children))}.log", "w")
        p = subprocess.Popen(self.argv(ns, pod, *args), env=self.env, stdin=subprocess.PIPE, stdout=out, stderr=out)
        self.children.append(p)
        return p

    def helper(self, ns):
        return f"{self.dir}/{ns}.sock"

    def helpers(self):
        for ns in (INSIDE, OUTSIDE):
            self.start(ns, "server", PROGRAM, "serve", self.helper(ns), log=f"helper-{ns}")
        for ns in (INSIDE, OUTSIDE):
            wait_for(lambda ns=ns: os.path.exists(self.helper(ns)), 10, f"the helper in {ns}")

    def down(self):
        for p in self.children:
            if p.stdin:
                p.stdin.close()
            p.terminate()
        subprocess.run([MESHCTL, "lab", "down", "--name", self.name], capture_output=True, env=self.env)
        for p in self.children:
            p.kill()
            p.wait()

    def switch(self, **words):
        """Sets switches of the data plane; returns None, or why this build cannot. One that it does not know is off."""
        for name, word in words.items():
            r = self.sh(MESHCTL, "dataplane", "set", f"{name}={word}", check=False)
            if r.returncode != 0 and word != "off":
                return f"{name}={word}: " + ((r.stderr or r.stdout).strip().splitlines() or ["no reason given"])[0]
        if "splice" in words:
            word = "enabled" if words["splice"] == "on" else "disabled"
            self.kubectl("annotate", "--overwrite", "namespace", INSIDE, f"sockmesh.io/splice={word}")
        time.sleep(0.3)  # two rounds of the agent's loop
        return None

    def agent_status(self):
        """What the node's agent says of itself."""
        members = json.loads(self.sh(MESHCTL, "status", "-o", "json"))["members"]
        return next(m["agent"] for m in members if m["component"] == "agent")

    def probes(self):
        """Splice's probes on this kernel: name -> whether it is as over TCP."""
        said = json.loads(self.sh(MESHCTL, "check", "-o", "json", check=False).stdout)
        verdicts = {}
        for row in rows_of(said):
            if row["what"].startswith(("splice: as over TCP: ", "splice: differs: ")):
                verdicts[row["name"]] = row["what"].startswith("splice: as over TCP: ")
        if not verdicts:
            raise Failed("meshctl check says nothing of splice's probes")
        return verdicts

    def agent(self):
        """The process of an agent that is in force; None: there is none."""
        r = self.sh(BUILD + "/meshd", "agent", "--status", "--socket", f"/run/sockmesh/labs/{self.name}/node-1.sock", check=False, timeout=20)
        try:
            said = json.loads(r.stdout)
        except ValueError:
            return None
        return said["pid"] if said.get("published") else None

    def agent_log(self, lines):
        try:
            with open(f"/run/sockmesh/labs/{self.name}/logs/node-1-agent.log") as f:
                return [line.rstrip() for line in f.readlines()[-lines:]]
        except OSError as e:
            return [str(e)]

    def kill_agent(self):
        """SIGKILL, without a word. Returns which process it was."""
        pid = wait_for(self.agent, 600, "an agent in force")
        os.kill(pid, signal.SIGKILL)
        return pid


def rows_of(said):
    """The verdicts of meshctl check, wherever they are."""
    if isinstance(said, list):
        return [row for item in said for row in rows_of(item)]
    if isinstance(said, dict) and "verdict" in said:
        return [said]
    return rows_of(list(said.values())) if isinstance(said, dict) else []


def wait_for(fn, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = fn()
        if value:
            return value
        time.sleep(0.05)
    raise Failed(f"{what}: not there after {seconds} s")
