#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The manifests of deploy/: kubectl puts them together, the committed definitions are those of the tables, the roles are
what the code asks for, and a real API server takes all of it and lets nobody do more. KUBERNETES=DIR has up and down,
HYPER=BINARY is the server; KUBECTLS names kubectls to try besides the one in PATH."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
from checks import check, failed  # noqa: E402

TOP = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../..")
BUILD = os.path.join(TOP, os.environ.get("MESH_BUILD", "build"))
AGENT = "system:serviceaccount:sockmesh-system:sockmesh-agent"
CONTROL = "system:serviceaccount:sockmesh-system:sockmesh-control"


def run(*args, stdin=None):
    return subprocess.run(args, capture_output=True, text=True, input=stdin, cwd=TOP)


def text_of(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as f:
        return f.read()


def kustomized(what, kubectl="kubectl"):
    """The objects, as JSON by a kubectl that needs no server."""
    got = run(kubectl, "kustomize", what)
    if got.returncode:
        return got.stderr.strip(), []
    asked = run("kubectl", "patch", "--local", "--type=merge", "-p", "{}", "-o", "json", "-f", "-", stdin=got.stdout)
    values, at, decoder = [], 0, json.JSONDecoder()
    while at < len(asked.stdout):
        value, at = decoder.raw_decode(asked.stdout, at)
        values.append(value)
        while at < len(asked.stdout) and asked.stdout[at].isspace():
            at += 1
    return asked.stderr.strip(), values


def same_by_all_kubectls():
    first = run("kubectl", "kustomize", "deploy")
    if first.returncode:
        yield first.stderr
    for kubectl in os.environ.get("KUBECTLS", "").split():
        other = run(kubectl, "kustomize", "deploy")
        if other.returncode or other.stdout != first.stdout:
            yield f"{kubectl}: {other.stderr or 'makes something else of it'}"


def rules_of(objects, kinds, name):
    return [(rule, o["metadata"].get("namespace")) for o in objects if o["kind"] in kinds and o["metadata"]["name"] == name
            for rule in o["rules"]]


def allows(rules, verb, group, resource, ns=None):
    return any(group in r["apiGroups"] and verb in r["verbs"] and (resource in r["resources"] or "*" in r["resources"])
               and "resourceNames" not in r and where in (None, ns) for r, where in rules)


def roles_have_what_is_watched(objects):
    """The lists in the code are those of the roles: nothing missing, and nothing more."""
    table = re.search(r"feed_kind mesh_feed_kinds\[\] = \{(.*?)\n\};", text_of("user/agent/feed_kinds.c"), re.S).group(1)
    agent = rules_of(objects, ("ClusterRole", "Role"), "sockmesh-agent")
    gateway = rules_of(objects, ("ClusterRole",), "sockmesh-gateway")
    watched = set()
    for row in re.findall(r"\{[^{}]*\}", table):
        path = re.search(r'"(/apis?/[^,]*)"', row).group(1).replace('" MESH_ROOT_NAMESPACE "', "istio-system")
        parts = path.strip("/").split("/")
        group = parts[1] if parts[0] == "apis" else ""
        ns = parts[parts.index("namespaces") + 1] if "namespaces" in parts[:-1] else None
        for verb in ("list", "watch"):
            if "FEED_GATEWAY" not in row and not allows(agent, verb, group, parts[-1], ns):
                yield f"sockmesh-agent may not {verb} {parts[-1]}.{group}, which feed.c does"
            if "FEED_AGENT" not in row and not allows(gateway, verb, group, parts[-1], ns):
                yield f"sockmesh-gateway may not {verb} {parts[-1]}.{group}, which feed.c does"
        if "FEED_GATEWAY" not in row:
            watched.add(parts[-1])
    if len(watched) < 6:
        yield "user/agent/feed_kinds.c: its table of kinds cannot be read"
    for rule, _ in agent:
        for resource in rule["resources"]:
            if "watch" in rule["verbs"] and resource not in watched:
                yield f"sockmesh-agent may watch {resource}, which feed.c does not"
        if set(rule["verbs"]) & {"*", "escalate", "impersonate", "bind"} or "secrets" in rule["resources"]:
            yield f"sockmesh-agent: {rule}"


def pods_are_restricted(objects):
    for o in objects:
        if o["kind"] not in ("DaemonSet", "Deployment"):
            continue
        name, spec = o["metadata"]["name"], o["spec"]["template"]["spec"]
        for c in spec["containers"]:
            s = {**spec.get("securityContext", {}), **c["securityContext"]}
            if s.get("privileged") or s.get("allowPrivilegeEscalation") is not False or not s.get("readOnlyRootFilesystem"):
                yield f"{name}: privileged, may gain privileges, or may write its root file system"
            if s["capabilities"]["drop"] != ["ALL"] or s["seccompProfile"]["type"] != "RuntimeDefault":
                yield f"{name}: capabilities not dropped, or no seccomp profile"
            if o["kind"] == "Deployment" and (not s.get("runAsNonRoot") or s["capabilities"].get("add") or spec.get("hostPID")):
                yield f"{name}: root, capabilities or processes of the host"
            if c["image"] != "localhost/sockmesh:dev" or not {"requests", "limits"} <= set(c["resources"]):
                yield f"{name}: image {c['image']}, resources {c['resources']}"
            # Who holds listeners for an agent serves nobody: its keeper sees when it has ended, and the kubelet starts it again.
            if not {"startupProbe", "readinessProbe", "livenessProbe"} <= set(c) and c["args"][0] != "hold":
                yield f"{name}: a probe is missing in {c['name']}"
            if c["args"][0] == "hold" and s["capabilities"].get("add"):
                yield f"{name}: {c['name']} has capabilities"


def all_have_labels(objects):
    for o in objects:
        labels = o["metadata"].get("labels", {})
        if labels.get("app.kubernetes.io/name") != "sockmesh" or labels.get("app.kubernetes.io/managed-by") != "kustomize":
            yield f"{o['kind']} {o['metadata']['name']}: labels {labels}"


def reasons_are_given():
    """Each rule in rbac.yaml and each capability has a comment above it (a rule that goes on with the one before may not)."""
    for line_of, path in ((r"- apiGroups:", "deploy/rbac.yaml"), (r" +- (?!ALL)[A-Z]+_?[A-Z]+$", "deploy/agent.yaml")):
        lines, explained = text_of(path).split("\n"), False
        for i, line in enumerate(lines):
            if line.strip() in ("rules:", "add:"):
                explained = False
            if re.match(line_of, line):
                explained |= lines[i - 1].strip().startswith("#")
                if not explained:
                    yield f"{path}:{i + 1}: no reason for {line.strip()}"


def with_openshift():
    """The component on top of deploy/, as a kustomization of a user's own has it."""
    with tempfile.TemporaryDirectory() as d:
        base = os.path.relpath(os.path.realpath(TOP + "/deploy"), os.path.realpath(d))
        with open(d + "/kustomization.yaml", "w", encoding="utf-8") as f:
            f.write(f"resources: [{base}]\ncomponents: [{base}/openshift]\n")
        errors, objects = kustomized(d)
    yield errors
    kinds = {(o["kind"], o["metadata"]["name"]): o for o in objects}
    for name in ("agent", "control", "gateway"):
        if ("SecurityContextConstraints", "sockmesh-" + name) not in kinds:
            yield f"no SecurityContextConstraints sockmesh-{name}"
    agent = kinds[("DaemonSet", "sockmesh-agent")]["spec"]["template"]["spec"]
    allowed = kinds[("SecurityContextConstraints", "sockmesh-agent")]["allowedCapabilities"]
    if agent["containers"][0]["securityContext"]["capabilities"]["add"] != allowed:
        yield f"the agent's capabilities are not those allowed: {allowed}"
    if agent["containers"][0]["securityContext"]["seLinuxOptions"]["type"] != "spc_t":
        yield "no SELinux type"
    if {v["name"]: v["hostPath"]["path"] for v in agent["volumes"] if "hostPath" in v}["cni-bin"] != "/var/lib/cni/bin":
        yield "the CNI directories are not OpenShift's"


class Server:
    def __init__(self, directory):
        self.dir = directory
        self.kubeconfig = directory + "/kubeconfig"

    def __enter__(self):
        got = run(os.environ["KUBERNETES"] + "/up", self.dir, str(30000 + os.getpid() % 900 * 3))
        if got.returncode:
            raise SystemExit(f"FAIL deploy_server_starts: {got.stderr}")
        return self

    def __exit__(self, *_):
        run(os.environ["KUBERNETES"] + "/down", self.dir)

    def k(self, *args, stdin=None, kubectl="kubectl"):
        return run(kubectl, "--kubeconfig", self.kubeconfig, *args, stdin=stdin)

    def refused(self, got, *words):
        """"" if got was refused for a reason that has the words."""
        both = got.stdout + got.stderr
        return "" if got.returncode and all(w in both for w in words) else f"not refused as it should be: {both.strip()}"


def taken(server):
    for go in ("created", "unchanged or configured"):
        got = server.k("apply", "-k", "deploy")
        if got.returncode or "Warning" in got.stderr:
            yield f"apply ({go}): {got.stderr.strip()}"
    for kubectl in ["kubectl", *os.environ.get("KUBECTLS", "").split()]:
        got = server.k("apply", "-k", "deploy", "--dry-run=server", kubectl=kubectl)
        if got.returncode:
            yield f"{kubectl}: {got.stderr.strip()}"


def may_and_may_not(server):
    """verb, resource, in which namespace (None: in all), who may."""
    for verb, resource, ns, who in (
            ("watch", "pods", None, {AGENT}), ("get", "pods", "coolapp", {AGENT}), ("watch", "services", None, {AGENT}),
            ("delete", "pods", None, set()), ("create", "pods", "sockmesh-system", set()), ("create", "pods/exec", None, set()),
            ("list", "secrets", None, set()), ("get", "secrets", "kube-system", set()), ("list", "secrets", "sockmesh-system", set()),
            ("get", "secrets/sockmesh-webhook-ca", "sockmesh-system", {CONTROL}), ("create", "secrets", "coolapp", set()),
            ("list", "configmaps", None, set()), ("patch", "nodes", None, set()), ("watch", "virtualservices", None, {AGENT, CONTROL}),
            ("patch", "virtualservices", None, set()), ("patch", "virtualservices/status", None, {CONTROL}),
            ("create", "leases", "istio-system", {AGENT, CONTROL}), ("patch", "leases", "kube-system", set()),
            ("update", "leases/sockmesh-control", "sockmesh-system", {CONTROL}), ("create", "deployments", "istio-system", {CONTROL}),
            ("create", "deployments", "coolapp", set()), ("create", "clusterroles", None, set()), ("escalate", "clusterroles", None, set()),
            ("bind", "clusterroles/cluster-admin", None, set()), ("bind", "clusterroles/sockmesh-gateway", None, {CONTROL}),
            ("patch", "clusterrolebindings/cluster-admin", None, set()), ("delete", "customresourcedefinitions", None, set()),
            ("patch", "validatingwebhookconfigurations/sockmesh", None, {CONTROL}),
            ("patch", "validatingwebhookconfigurations/other", None, set()), ("impersonate", "users", None, set())):
        for user in (AGENT, CONTROL):
            where = ["-n", ns] if ns else ["-A"] if "/" not in resource else []
            plain = resource.split("/")
            what = ["--subresource=" + plain[1], plain[0]] if plain[1:] in (["status"], ["exec"]) else [resource]
            got = server.k("auth", "can-i", verb, *what, *where, "--as", user).stdout.strip()
            if (got == "yes") != (user in who):
                yield f"{user.split(':')[-1]} {verb} {resource} in {ns or 'all'}: {got}"


def admitted(server, objects):
    """Pods of the templates, by the namespaces' pod security levels."""
    for o in objects:
        if o["kind"] in ("DaemonSet", "Deployment"):
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": o["spec"]["template"]["spec"]}
            got = server.k("create", "-n", "sockmesh-system", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
            if got.returncode or "Warning" in got.stderr:
                yield f"{o['metadata']['name']}: {got.stderr.strip()}"
            if o["kind"] == "DaemonSet":
                got = server.k("create", "-n", "istio-system", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
                yield server.refused(got, "violates PodSecurity")


def without_control(server):
    """No control runs here: nothing but the mesh's own objects may be held up by that, and those only when they change."""
    rule = {"apiVersion": "networking.istio.io/v1beta1", "kind": "VirtualService", "metadata": {"name": "a", "namespace": "default"},
            "spec": {"hosts": ["a"], "http": [{"route": [{"destination": {"host": "a"}}]}]}}
    server.k("delete", "validatingwebhookconfiguration", "sockmesh")
    made = server.k("create", "-f", "-", stdin=json.dumps(rule))
    yield made.stderr if made.returncode else ""
    server.k("apply", "-k", "deploy")
    wanted = ("failed calling webhook", "validate.sockmesh.io")
    for _ in range(50):  # the API server learns of it by a watch
        got = server.k("annotate", "virtualservice", "a", "x=y", "--overwrite")
        if got.returncode:
            break
    yield server.refused(got, *wanted)
    yield server.refused(server.k("create", "-f", "-", stdin=json.dumps({**rule, "metadata": {"name": "b", "namespace": "default"}})), *wanted)
    for args in (("create", "namespace", "free"), ("create", "configmap", "c", "-n", "free"), ("create", "deployment", "d", "--image=x"),
                 ("create", "serviceaccount", "s", "-n", "istio-system"), ("label", "namespace", "free", "a=b"),
                 ("patch", "virtualservice", "a", "--subresource=status", "--type=merge", "-p", '{"status":{"observedGeneration":1}}'),
                 ("delete", "virtualservice", "a"), ("delete", "namespace", "free", "--wait=false")):
        got = server.k(*args)
        yield f"{' '.join(args)}: {got.stderr.strip()}" if got.returncode else ""


def main():
    made = run("tools/image/crds", BUILD + "/meshctl")
    check("deploy_definitions_are_the_tables", [
        made.stderr, "deploy/crds.yaml is not what the tables say now: make deploy-crds" if made.stdout != text_of("deploy/crds.yaml") else ""])
    check("deploy_rules_and_capabilities_have_reasons", reasons_are_given())
    if not shutil.which("kubectl") or run("kubectl", "kustomize", "deploy").returncode and "labels" in run("kubectl", "kustomize", "deploy").stderr:
        print("skip deploy: no kubectl here that knows kustomizations of today")
        return bool(failed)
    check("deploy_same_by_all_kubectls", same_by_all_kubectls())
    errors, objects = kustomized("deploy")
    check("deploy_is_read", [errors, "few objects" if len(objects) < 30 else ""])
    check("deploy_roles_are_what_is_watched", roles_have_what_is_watched(objects))
    check("deploy_pods_are_restricted", pods_are_restricted(objects))
    check("deploy_all_have_labels", all_have_labels(objects))
    check("deploy_openshift", with_openshift())
    if not os.environ.get("KUBERNETES") or not os.access(os.environ.get("HYPER", ""), os.X_OK):
        print("skip deploy_on_a_server: KUBERNETES and HYPER do not name a kube-apiserver to start")
        return bool(failed)
    with tempfile.TemporaryDirectory(prefix="sockmesh-deploy-") as d, Server(d) as server:
        check("deploy_is_taken", taken(server))
        check("deploy_may_and_may_not", may_and_may_not(server))
        check("deploy_pods_are_admitted", admitted(server, objects))
        check("deploy_holds_up_nothing_else", without_control(server))
    return bool(failed)


sys.exit(main())
