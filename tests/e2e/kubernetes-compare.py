#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs one list of kubectl commands against the embedded API and against a real kube-apiserver, and compares what they
print, with ages, uids, versions, times and addresses made alike.

Needs KUBERNETES (a directory with `up`, `down` and crds/) and HYPER (its binary); says that it was skipped where they are
missing. usage: kubernetes-compare.py [-v] [FIRST[-LAST]]   KUBECTL: which kubectl."""
import os, re, subprocess, sys, tempfile, time, difflib, shutil

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from api import free_ports  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FILES = os.path.join(HERE, "kubernetes-compare.d")

RULES = [
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "TIME"),
    (r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "TIME"),
    (r'(resourceVersion"?: ?"?|Resource Version: +)\d+', r"\1RV"),
    (r"\b10\.96\.\d+\.\d+\b", "CLUSTERIP"),
    (r"https://127\.0\.0\.1:\d+", "SERVER"),
    (r"/tmp/[\w.-]+/", "DIR/"),
    (r"(LIVE|MERGED)-\d+", r"\1-N"),
    (r"(?m)^(diff|---|\+\+\+|@@).*$", r"\1"),
    (r"\b\d+(ms|[smhd])(\d+[smhd])?(?= |$)", "AGE"),
    (r"<invalid>", "AGE"),
    (r"[ \t]+", " "),
]


def without_managed_fields(text):
    out, indent = [], -1
    for line in text.split("\n"):
        depth = len(line) - len(line.lstrip())
        if indent >= 0 and (depth > indent or (depth == indent and line.lstrip().startswith("-"))):
            continue
        indent = depth if line.strip() in ("managedFields:", "Managed Fields:") else -1
        if indent < 0:
            out.append(line)
    return "\n".join(out)


def normal(text):
    text = without_managed_fields(text)
    for pattern, to in RULES:
        text = re.sub(pattern, to, text, flags=re.M)
    # klog lines and the header of a table are not the server's words
    lines = [l.rstrip() for l in text.split("\n") if not re.match(r"^[EWI]\d{4} ", l)]
    return "\n".join(lines).strip()


class Side:
    def __init__(self, name, kubeconfig):
        self.name = name
        self.dir = tempfile.mkdtemp(prefix="compare-%d-%s-" % (os.getpid(), name))
        self.work = os.path.join(self.dir, "work")
        shutil.copytree(FILES, self.work)
        shutil.copy(kubeconfig, os.path.join(self.dir, "kubeconfig"))
        bin_dir = os.path.join(self.dir, "bin")
        os.mkdir(bin_dir)
        os.symlink(shutil.which(os.environ.get("KUBECTL", "kubectl")), os.path.join(bin_dir, "kubectl"))
        self.env = dict(os.environ, KUBECONFIG=os.path.join(self.dir, "kubeconfig"), HOME=self.dir, TMPDIR=self.dir,
                        PATH=bin_dir + ":" + os.environ["PATH"])

    def run(self, command):
        try:
            r = subprocess.run(["bash", "-c", command], cwd=self.work, env=self.env, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
            return normal(r.stdout) + "\n-- stderr\n" + normal(r.stderr.replace(self.dir, "DIR")) + "\n-- exit %d" % r.returncode
        except subprocess.TimeoutExpired:
            return "timed out"

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def start_ours(work):
    port = free_ports(3)
    config = os.path.join(work, "ours.kubeconfig")
    meshd = os.environ.get("MESHD", os.path.join(ROOT, os.environ.get("MESH_BUILD", "build"), "meshd"))
    p = subprocess.Popen([meshd, "control", "--embedded", "--no-reconcile", "--data", os.path.join(work, "data"), "--listen",
                          "127.0.0.1:%d" % port, "--kubeconfig-out", config], stderr=open(os.path.join(work, "ours.log"), "w"))
    for _ in range(100):
        if os.path.exists(config):
            return p, config
        if p.poll() is not None:
            break
        time.sleep(0.1)
    sys.exit("FAIL kubernetes_compare: meshd control did not start: " + open(os.path.join(work, "ours.log")).read())


def main():
    verbose = "-v" in sys.argv
    span = [a for a in sys.argv[1:] if a != "-v"]
    kubernetes, hyper = os.environ.get("KUBERNETES"), os.environ.get("HYPER")
    if not kubernetes or not hyper or not os.path.exists(hyper) or not shutil.which("etcd"):
        print("skip kubernetes_compare: set KUBERNETES and HYPER to a real kube-apiserver's up and binary, and install "
              "etcd-server, to compare with it")
        return 0
    work = tempfile.mkdtemp(prefix="compare-%d-" % os.getpid())
    real_dir = os.path.join(work, "real")
    failed = passed = 0
    ours = None
    try:
        ours, config = start_ours(work)
        up = subprocess.run([os.path.join(kubernetes, "up"), real_dir, str(free_ports(3))], env=dict(os.environ, HYPER=hyper),
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if up.returncode != 0:
            print("FAIL kubernetes_compare: the real API server did not start: " + up.stderr)
            return 1
        real_config = os.path.join(real_dir, "kubeconfig")
        for crds in ("istio.yaml", "maistra.yaml"):
            subprocess.run(["kubectl", "--kubeconfig", real_config, "create", "-f", os.path.join(kubernetes, "crds", crds)],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        subprocess.run(["kubectl", "--kubeconfig", real_config, "wait", "--for=condition=Established", "crd", "--all",
                        "--timeout=30s"], stdout=subprocess.DEVNULL)
        sides = [Side("ours", config), Side("real", real_config)]
        number = 0
        lo, hi = 1, 10 ** 6
        if span:
            a = span[0].split("-")
            lo, hi = int(a[0]), int(a[-1])
        for line in open(os.path.join(FILES, "commands")):
            line = line.rstrip("\n")
            if not line or line.startswith("#"):
                continue
            number += 1
            kind = line[0] if line[0] in "!~" else ""
            command = line[len(kind):]
            got, want = [s.run(command) for s in sides]
            if kind == "!" or not lo <= number <= hi:
                continue
            name = "kubernetes_compare %d: %s" % (number, command.replace("\n", " "))
            if kind == "~":
                print("skip %s (differs by design)" % name)
            elif got == want:
                passed += 1
                print("ok " + name)
                if verbose:
                    print(got)
            else:
                failed += 1
                print("FAIL " + name)
                for d in list(difflib.unified_diff(want.split("\n"), got.split("\n"), "real", "ours", lineterm="", n=1))[2:]:
                    print("    " + d)
        for s in sides:
            s.close()
    finally:
        if ours:
            ours.terminate()
            ours.wait()
        subprocess.run([os.path.join(kubernetes, "down"), real_dir], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(work, ignore_errors=True)
    return 1 if failed else 0


sys.exit(main())
