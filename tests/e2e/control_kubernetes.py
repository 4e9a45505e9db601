#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`meshd control` on a real kube-apiserver: two replicas, the webhook that the API server really calls, its CA, and what
control makes of a ServiceMeshControlPlane. There are no other controllers: the tests play their part where needed.

usage: control_kubernetes.py [TEST...]   (tests build on each other: those named are run after the set-up)"""
import base64, http.client, json, os, shutil, signal, ssl, subprocess, sys, tempfile, threading, time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from api import free_ports  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("MESH_BUILD", "build"))
KUBERNETES, HYPER = os.environ["KUBERNETES"], os.environ["HYPER"]
DIR = tempfile.mkdtemp(prefix="mesh-control-%d-" % os.getpid())
OVERLAP = 4  # seconds
failed = False


def ok(name):
    print("ok " + name, flush=True)


def fail(name, seen=""):
    global failed
    failed = True
    print("FAIL " + name, flush=True)
    for line in str(seen).split("\n")[:30]:
        print("    " + line, flush=True)


def check(name, good, seen=""):
    ok(name) if good else fail(name, seen)
    return good


def until(seconds, fn):
    """What fn() returns once that is true, or its last value."""
    end = time.monotonic() + seconds
    while True:
        value = fn()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.1)


PORT = free_ports(9)
REAL = os.path.join(DIR, "real")
KUBECONFIG = os.path.join(REAL, "kubeconfig")


class Api:
    """A client with a bearer token or a certificate, from a kubeconfig."""

    def __init__(self, kubeconfig):
        raw = subprocess.run(["kubectl", "--kubeconfig", kubeconfig, "config", "view", "--raw", "-o", "json"],
                             capture_output=True, text=True, check=True).stdout
        c = json.loads(raw)
        user = c["users"][0]["user"]
        self.host = c["clusters"][0]["cluster"]["server"].split("//")[1]
        self.token = user.get("token")
        self.ctx = ssl._create_unverified_context()
        if "client-certificate-data" in user:
            pem = os.path.join(DIR, "client.pem")
            with open(pem, "wb") as f:
                f.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
            self.ctx.load_cert_chain(pem)

    def call(self, method, path, body=None, kind="application/json"):
        """(status, object, [warnings])"""
        conn = http.client.HTTPSConnection(self.host, context=self.ctx, timeout=20)
        headers = {"Content-Type": kind, "Accept": "application/json"}
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        try:
            conn.request(method, path, None if body is None else json.dumps(body), headers)
            r = conn.getresponse()
            text = r.read()
            warnings = [w.split('"', 1)[1].rsplit('"', 1)[0].replace('\\"', '"').replace("\\\\", "\\")
                        for w in r.headers.get_all("Warning") or []]
        finally:
            conn.close()
        try:
            return r.status, json.loads(text), warnings
        except ValueError:
            return r.status, text.decode(errors="replace"), warnings

    def get(self, path):
        status, obj, _ = self.call("GET", path)
        return obj if status == 200 else None

    def make(self, path, obj):
        status, seen, _ = self.call("POST", path, obj)
        if status not in (200, 201):
            raise RuntimeError("POST %s: %s %s" % (path, status, seen))
        return seen

    def merge(self, path, patch):
        status, seen, _ = self.call("PATCH", path, patch, "application/merge-patch+json")
        if status != 200:
            raise RuntimeError("PATCH %s: %s %s" % (path, status, seen))
        return seen


class Control:
    """A replica."""
    made = 0

    def __init__(self):
        n = Control.made
        Control.made += 1
        self.name = "control-%d" % n
        self.webhook, self.health = PORT + 3 + 2 * (n % 2), PORT + 4 + 2 * (n % 2)
        self.log = os.path.join(DIR, self.name + ".log")
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "meshd"), "control", "--kubeconfig", KUBECONFIG, "--leader-elect", "--namespace",
             "sockmesh-system", "--pod", self.name, "--webhook-listen", "127.0.0.1:%d" % self.webhook, "--san", "127.0.0.1",
             "--health-listen", "127.0.0.1:%d" % self.health, "--webhook-cert-seconds", "6",
             "--webhook-ca-overlap-seconds", str(OVERLAP), "--image", "img:1"],
            stderr=open(self.log, "a"), stdout=subprocess.DEVNULL)

    def get(self, path):
        """(status, text) of its probes"""
        try:
            with urllib.request.urlopen("http://127.0.0.1:%d%s" % (self.health, path), timeout=3) as r:
                return r.status, r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()
        except OSError as e:
            return 0, str(e)

    def said(self, text):
        with open(self.log) as f:
            return text in f.read()

    def serial(self):
        pem = ssl.get_server_certificate(("127.0.0.1", self.webhook))
        return subprocess.run(["openssl", "x509", "-noout", "-serial"], input=pem, capture_output=True, text=True).stdout

    def end(self, sig):
        self.process.send_signal(sig)
        return self.process.wait(20)


def holder(api):
    lease = api.get("/apis/coordination.k8s.io/v1/namespaces/sockmesh-system/leases/sockmesh-control") or {}
    return lease.get("spec", {}).get("holderIdentity", "").split("_")[0]


def namespace(api, name):
    api.make("/api/v1/namespaces", {"metadata": {"name": name}})


VS = "/apis/networking.istio.io/v1beta1/namespaces/default/virtualservices"
DR = "/apis/networking.istio.io/v1beta1/namespaces/default/destinationrules"
GW = "/apis/networking.istio.io/v1beta1/namespaces/default/gateways"
CONFIG = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/sockmesh"
SECRET = "/api/v1/namespaces/sockmesh-system/secrets/sockmesh-webhook-ca"
ROOT_NS = "/namespaces/istio-system"
SMCP = "/apis/maistra.io/v1" + ROOT_NS + "/servicemeshcontrolplanes"
SMMR = "/apis/maistra.io/v1" + ROOT_NS + "/servicemeshmemberrolls"
DEPLOY = "/apis/apps/v1" + ROOT_NS + "/deployments"


def rule(name, spec):
    return {"apiVersion": "networking.istio.io/v1beta1", "kind": "VirtualService", "metadata": {"name": name}, "spec": spec}


def route(*weights):
    return [{"destination": {"host": "h%d" % i}, "weight": w} for i, w in enumerate(weights)]


GOOD = rule("good", {"hosts": ["h"], "http": [{"route": route(100)}]})
# Each passes the CRD's schema, or not: either way both servers say the same of it.
BAD = [
    (VS, rule("two-hosts", {"hosts": ["h", "h"], "http": [{"route": route(100)}]})),
    (VS, rule("no-route", {"hosts": ["h"], "http": [{"match": [{"uri": {"exact": "/"}}]}]})),
    (VS, rule("zero", {"hosts": ["h"], "http": [{"route": route(0, 0)}]})),
    (VS, rule("both", {"hosts": ["h"], "http": [{"route": route(1), "redirect": {"uri": "/x"}}]})),
    (VS, rule("regex", {"hosts": ["h"], "http": [{"match": [{"uri": {"regex": "(("}}], "route": route(1)}]})),
    (VS, rule("no-host", {"hosts": [""], "http": [{"route": route(1)}]})),
    (VS, rule("weight", {"hosts": ["h"], "http": [{"route": route(-1, 101)}]})),
    (VS, rule("gateway", {"hosts": ["*"], "gateways": ["mesh"], "http": [{"route": route(1)}]})),
    (DR, {"apiVersion": "networking.istio.io/v1beta1", "kind": "DestinationRule", "metadata": {"name": "subsets"},
          "spec": {"host": "h", "subsets": [{"name": "a"}, {"name": "a"}, {"name": ""}]}}),
    (GW, {"apiVersion": "networking.istio.io/v1beta1", "kind": "Gateway", "metadata": {"name": "gw"},
          "spec": {"servers": [{"port": {"number": 0, "name": "x", "protocol": "HTTP"}, "hosts": []}]}}),
    ("/apis/maistra.io/v1/namespaces/default/servicemeshmemberrolls",
     {"apiVersion": "maistra.io/v1", "kind": "ServiceMeshMemberRoll", "metadata": {"name": "other"},
      "spec": {"members": ["*", "x"]}}),
]
WARNED = rule("warned", {"hosts": ["h"], "http": [{"retries": {"attempts": 2}, "timeout": "1s", "route": route(1)}]})


# ---- the tests, in order


def test_waits(api, a, b):
    check("without its namespace it tries on", until(5, lambda: a.said("not found")), open(a.log).read())
    check("it is alive meanwhile", a.get("/healthz")[0] == 200, a.get("/healthz"))
    check("and not ready, and says why", a.get("/readyz") == (503, "webhook: there is no CA for its certificate\n"),
          a.get("/readyz"))
    namespace(api, "sockmesh-system")
    namespace(api, "istio-system")
    check("then one leads", until(8, lambda: holder(api) in (a.name, b.name)), holder(api))
    check("what kinds it waits for is said",
          until(12, lambda: a.said("waiting for the API to have: ServiceMeshControlPlane") or
                b.said("waiting for the API to have: ServiceMeshControlPlane")), open(a.log).read())
    check("both are ready", until(5, lambda: a.get("/readyz")[0] == 200 and b.get("/readyz")[0] == 200),
          (a.get("/readyz"), b.get("/readyz")))
    crds = subprocess.run([os.path.join(BUILD, "meshctl"), "crds"], capture_output=True, check=True).stdout
    subprocess.run(["kubectl", "--kubeconfig", KUBECONFIG, "create", "-f", "-"], input=crds, stdout=subprocess.DEVNULL,
                   check=True)
    check("the kinds are seen when they come",
          until(25, lambda: a.said("the API has every kind") or b.said("the API has every kind")), open(a.log).read())


def configuration(port):
    return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "sockmesh"},
            "webhooks": [{"name": "validate.sockmesh.io", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                          "failurePolicy": "Fail", "timeoutSeconds": 5,
                          "clientConfig": {"url": "https://127.0.0.1:%d/validate" % port},
                          "rules": [{"apiGroups": ["networking.istio.io", "maistra.io"], "apiVersions": ["*"],
                                     "operations": ["CREATE", "UPDATE"], "resources": ["*"], "scope": "Namespaced"}]}]}


def bundle(api):
    """The certificates in caBundle."""
    text = (api.get(CONFIG) or {"webhooks": [{"clientConfig": {}}]})["webhooks"][0]["clientConfig"].get("caBundle", "")
    return [p for p in base64.b64decode(text).decode(errors="replace").split("-----BEGIN CERTIFICATE-----\n")[1:]]


def test_webhook(api, a, b):
    api.make(os.path.dirname(CONFIG), configuration(a.webhook))
    check("caBundle is set", until(5, lambda: len(bundle(api)) == 1), api.get(CONFIG))
    check("the API server calls it", until(5, lambda: api.call("POST", VS + "?dryRun=All", GOOD)[0] == 201),
          api.call("POST", VS + "?dryRun=All", GOOD))
    check("a dry run stores nothing", api.get(VS + "/good") is None)
    data = os.path.join(DIR, "embedded")
    own = os.path.join(DIR, "embedded.kubeconfig")
    embedded = subprocess.Popen([os.path.join(BUILD, "meshd"), "control", "--embedded", "--no-reconcile", "--data", data,
                                 "--listen", "127.0.0.1:%d" % (PORT + 7), "--kubeconfig-out", own, "--log-level", "error"])
    try:
        until(5, lambda: os.path.exists(own))
        other = Api(own)
        said = 0
        for path, obj in BAD:
            name = "the same is said of %s" % obj["metadata"]["name"]
            s1, o1, _ = api.call("POST", path, obj)
            s2, o2, _ = other.call("POST", path, obj)
            m1, m2 = o1.get("message", ""), o2.get("message", "")
            denied = 'admission webhook "validate.sockmesh.io" denied the request: '
            said += m1.startswith(denied)
            check(name, (s1, m1.replace(denied, "")) == (s2, m2) and s1 == 422 and
                  (o1.get("details") or {}).get("causes") == (o2.get("details") or {}).get("causes"),
                  "real:     %s %s\nembedded: %s %s" % (s1, json.dumps(o1), s2, json.dumps(o2)))
        check("it was the webhook that said %d of them" % said, said >= 4, said)
        s1, _, w1 = api.call("POST", VS + "?dryRun=All", WARNED)
        s2, _, w2 = other.call("POST", VS + "?dryRun=All", WARNED)
        check("the same warnings (%d)" % len(w1), s1 == s2 == 201 and w1 and w1 == w2, "%s\n%s" % (w1, w2))
    finally:
        embedded.terminate()
        embedded.wait()
    api.make(VS, GOOD)
    bad = rule("good", dict(BAD[3][1]["spec"]))
    bad["metadata"]["resourceVersion"] = api.get(VS + "/good")["metadata"]["resourceVersion"]
    check("a change for the worse is refused", api.call("PUT", VS + "/good", bad)[0] == 422)
    check("a deletion asks nobody", api.call("DELETE", VS + "/good")[0] == 200)


def https(port, method, path, body, kind="application/json"):
    conn = http.client.HTTPSConnection("127.0.0.1", port, context=ssl._create_unverified_context(), timeout=10)
    try:
        conn.request(method, path, body, {"Content-Type": kind} if kind else {})
        r = conn.getresponse()
        return r.status, r.read().decode().strip()
    finally:
        conn.close()


def review(**changes):
    request = {"uid": "u", "kind": {"group": "networking.istio.io", "version": "v1beta1", "kind": "VirtualService"},
               "operation": "CREATE", "object": GOOD}
    request.update(changes)
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def test_bad_requests(api, a, b):
    good = json.dumps(review())
    rows = [
        ("another path", ("POST", "/", good), (404, "only /validate is served here")),
        ("another method", ("GET", "/validate", None), (405, "only POST is served here")),
        ("another type", ("POST", "/validate", good, "text/plain"), (415, "the body must be application/json")),
        ("no type", ("POST", "/validate", good, None), (415, "the body must be application/json")),
        ("no JSON", ("POST", "/validate", "{"), (400, "the body is not JSON: line 1: ")),
        ("nothing", ("POST", "/validate", ""), (400, "the body is not JSON: line 1: ")),
        ("another kind", ("POST", "/validate", '{"kind": "Pod"}'), (400, "kind: must be AdmissionReview")),
        ("an old version", ("POST", "/validate", good.replace("k8s.io/v1\"", "k8s.io/v1beta1\"")),
         (400, "apiVersion: must be admission.k8s.io/v1")),
        ("no uid", ("POST", "/validate", json.dumps(review(uid=""))), (400, "request.uid: must be a string that is not empty")),
        ("no object", ("POST", "/validate", json.dumps(review(object=None))), (400, "request.object: must be an object")),
        ("deep nesting", ("POST", "/validate", '{"a":' * 500 + "1" + "}" * 500), (400, "the body is nested deeper than 100")),
    ]
    for name, request, want in rows:
        got = https(a.webhook, *request)
        check("%s is refused with %d" % (name, want[0]), got[0] == want[0] and got[1].startswith(want[1]), got)
    conn = http.client.HTTPSConnection("127.0.0.1", a.webhook, context=ssl._create_unverified_context(), timeout=10)
    conn.putrequest("POST", "/validate")
    conn.putheader("Content-Length", str(8 << 20))
    conn.endheaders()
    r = conn.getresponse()
    check("8 MiB are refused with 413 before they are sent", r.status == 413, r.status)
    conn.close()
    status, text = https(a.webhook, "POST", "/validate", good)
    check("a good one is answered", status == 200 and json.loads(text)["response"] == {"uid": "u", "allowed": True}, text)
    unknown = https(a.webhook, "POST", "/validate", json.dumps(review(kind={"group": "x", "version": "v1", "kind": "New"})))
    check("an unknown kind passes with a warning", unknown[0] == 200 and "was not checked" in unknown[1], unknown)


def test_bundle_is_kept(api, a, b):
    before = bundle(api)
    api.call("PATCH", CONFIG, [{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": ""}],
             "application/json-patch+json")
    check("a caBundle that is taken away comes back", until(5, lambda: bundle(api) == before), api.get(CONFIG))
    api.call("DELETE", SECRET)
    check("a Secret that is deleted comes back, with the same CA",
          until(6, lambda: api.get(SECRET) is not None) and bundle(api) == before, api.get(SECRET))
    obj = api.get(SECRET)
    obj["data"]["ca.key"] = base64.b64encode(b"garbage").decode()
    api.call("PUT", SECRET, obj)
    check("one that is damaged is mended", until(6, lambda: api.get(SECRET)["data"]["ca.key"] != obj["data"]["ca.key"]),
          api.get(SECRET))


def test_certificates(api, a, b):
    first = a.serial()
    check("a server certificate is renewed before it ends, without a restart", until(8, lambda: a.serial() != first))
    stop, seen = threading.Event(), []

    def ask():
        while not stop.is_set():
            seen.append(api.call("POST", VS + "?dryRun=All", GOOD))
            time.sleep(0.05)

    old, before = bundle(api), api.get(SECRET)["data"]["ca.crt"]
    thread = threading.Thread(target=ask)
    thread.start()
    api.merge(SECRET, {"metadata": {"annotations": {"sockmesh.io/rotate": "now"}}})
    check("a rotation begins with both CAs in caBundle", until(5, lambda: len(bundle(api)) == 2), api.get(CONFIG))
    both = bundle(api)
    check("one of them is the old one", old[0] in both and api.get(SECRET)["data"]["previous.crt"] == before)
    check("it ends with the new one alone", until(4 * OVERLAP, lambda: len(bundle(api)) == 1), api.get(CONFIG))
    check("which is new", bundle(api) != old and "previous.crt" not in api.get(SECRET)["data"], api.get(SECRET))
    check("and the annotation is gone", "sockmesh.io/rotate" not in api.get(SECRET)["metadata"].get("annotations", {}))
    time.sleep(1)
    stop.set()
    thread.join()
    bad = [s for s in seen if s[0] != 201]
    check("of %d requests meanwhile none failed" % len(seen), not bad and len(seen) > 50, bad[:2])


def condition(obj, kind):
    for c in (obj or {}).get("status", {}).get("conditions", []):
        if c["type"] == kind:
            return c
    return {}


def play_deployment(api, name):
    """What a deployment controller would say when all is well."""
    d = api.get(DEPLOY + "/" + name)
    n = d["spec"]["replicas"]
    api.merge(DEPLOY + "/" + name + "/status",
              {"status": {"observedGeneration": d["metadata"]["generation"], "replicas": n, "readyReplicas": n,
                          "availableReplicas": n, "updatedReplicas": n}})


def test_gateways(api, a, b):
    theirs = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "istio-egressgateway"},
              "spec": {"selector": {"matchLabels": {"app": "theirs"}}, "replicas": 0,
                       "template": {"metadata": {"labels": {"app": "theirs"}},
                                    "spec": {"containers": [{"name": "c", "image": "theirs"}]}}}}
    api.make(DEPLOY, theirs)
    gateway = {"replicaCount": 2, "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}}, "nodeSelector": {"a": "b"},
               "ior_enabled": True, "loadBalancerIP": "1.2.3.4"}
    smcp = {"apiVersion": "maistra.io/v1", "kind": "ServiceMeshControlPlane", "metadata": {"name": "m"},
            "spec": {"istio": {"kiali": {"enabled": True}, "gateways": {"istio-ingressgateway": gateway}}}}
    api.make(SMCP, smcp)
    d = until(5, lambda: api.get(DEPLOY + "/istio-ingressgateway"))
    if not check("the ingress gateway's Deployment is made", d, api.get(SMCP + "/m")):
        return
    spec = d["spec"]["template"]["spec"]
    c = spec["containers"][0]
    check("as the control plane says", d["spec"]["replicas"] == 2 and spec["nodeSelector"] == {"a": "b"} and
          c["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"} and c["image"] == "img:1", d)
    check("without any right that it does not need",
          spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] == 65532 and
          spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault" and
          c["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                   "capabilities": {"drop": ["ALL"]}}, spec)
    svc = until(5, lambda: api.get("/api/v1" + ROOT_NS + "/services/istio-ingressgateway"))
    ports = {p["port"]: p for p in svc["spec"]["ports"]}
    check("its Service has node ports", svc["spec"]["type"] == "LoadBalancer" and ports[80]["targetPort"] == 8080 and
          ports[443]["targetPort"] == 8443 and ports[80].get("nodePort", 0) >= 30000, svc)
    check("its ServiceAccount and Role are there",
          until(5, lambda: api.get("/api/v1" + ROOT_NS + "/serviceaccounts/istio-ingressgateway") and
                api.get("/apis/rbac.authorization.k8s.io/v1" + ROOT_NS + "/rolebindings/istio-ingressgateway") and
                api.get("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/sockmesh-istio-ingressgateway-istio-system")))
    status = lambda: condition(api.get(SMCP + "/m"), "Reconciled")
    check("a name that is taken is said", until(5, lambda: "Deployment istio-egressgateway: there is one of that name that "
                                                "the mesh did not make" in status().get("message", "")), status())
    check("and left alone", api.get(DEPLOY + "/istio-egressgateway")["spec"]["template"]["spec"]["containers"][0]["image"]
          == "theirs")
    check("what has no effect is named", "spec.istio.kiali, istio.gateways.istio-ingressgateway.ior_enabled, "
          "istio.gateways.istio-ingressgateway.loadBalancerIP" in status().get("message", ""), status())
    api.call("DELETE", DEPLOY + "/istio-egressgateway?propagationPolicy=Background")
    check("when it goes, ours comes", until(35, lambda: (api.get(DEPLOY + "/istio-egressgateway") or theirs)["spec"]
                                            ["template"]["spec"]["containers"][0]["image"] == "img:1"))
    for name in ("istio-ingressgateway", "istio-egressgateway"):
        play_deployment(api, name)
    check("ready, reconciled and in force",
          until(5, lambda: all(condition(api.get(SMCP + "/m"), c).get("status") == "True"
                               for c in ("Ready", "Reconciled", "InForce"))), api.get(SMCP + "/m"))
    version = lambda: [api.get(p)["metadata"]["resourceVersion"] for p in
                       (DEPLOY + "/istio-ingressgateway", DEPLOY + "/istio-egressgateway", SMCP + "/m")]
    time.sleep(1)
    before = version()
    time.sleep(3)
    check("then nothing is written any more", version() == before, (before, version()))


def replicas(api):
    return api.get(DEPLOY + "/istio-ingressgateway")["spec"]["replicas"]


def test_scaling(api, a, b):
    path = DEPLOY + "/istio-ingressgateway"
    api.merge(path, {"spec": {"replicas": 5}})
    api.merge(SMCP + "/m", {"spec": {"istio": {"gateways": {"istio-ingressgateway": {"resources": {"limits": None}}}}}})
    check("a setting taken out of the control plane goes",
          until(5, lambda: "limits" not in api.get(path)["spec"]["template"]["spec"]["containers"][0]["resources"]))
    check("who scaled it keeps what they chose", replicas(api) == 5)
    api.merge(SMCP + "/m", {"spec": {"istio": {"gateways": {"istio-ingressgateway": {"replicaCount": 3}}}}})
    check("until the control plane's number changes", until(5, lambda: replicas(api) == 3), replicas(api))
    hpas = "/apis/autoscaling/v2" + ROOT_NS + "/horizontalpodautoscalers"
    api.make(hpas, {"metadata": {"name": "theirs"}, "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "istio-ingressgateway"}, "maxReplicas": 9}})
    time.sleep(1)
    api.merge(path, {"spec": {"replicas": 7}})
    api.merge(SMCP + "/m", {"spec": {"istio": {"gateways": {"istio-ingressgateway": {"replicaCount": 4,
                                                                                   "autoscaleEnabled": True}}}}})
    time.sleep(2)
    check("where an autoscaler has it, never", replicas(api) == 7 and api.get(hpas + "/istio-ingressgateway") is None)
    api.call("DELETE", hpas + "/theirs")
    check("autoscaleEnabled makes one", until(5, lambda: api.get(hpas + "/istio-ingressgateway")))
    check("and leaves the number to it", replicas(api) == 7, replicas(api))
    api.merge(SMCP + "/m", {"spec": {"istio": {"gateways": {"istio-ingressgateway": {"autoscaleEnabled": False}}}}})
    check("which goes when it is switched off", until(5, lambda: api.get(hpas + "/istio-ingressgateway") is None))


def test_members(api, a, b):
    roll = {"apiVersion": "maistra.io/v1", "kind": "ServiceMeshMemberRoll", "metadata": {"name": "default"},
            "spec": {"members": ["shop"]}}
    api.make(SMMR, roll)
    status = lambda: (api.get(SMMR + "/default") or {}).get("status", {})
    check("a member without namespace is pending", until(5, lambda: status().get("pendingMembers") == ["shop"]), status())
    for turn in ("made", "made again"):
        namespace(api, "shop")
        check("a namespace that is %s is in the mesh" % turn,
              until(5, lambda: status().get("configuredMembers") == ["shop"] and
                    api.get("/api/v1/namespaces/shop")["metadata"]["labels"].get("maistra.io/member-of") == "istio-system"),
              status())
        if turn == "made again":
            break
        api.call("DELETE", "/api/v1/namespaces/shop")
        check("one that is being deleted is not", until(5, lambda: status().get("configuredMembers") == []), status())
        api.call("PUT", "/api/v1/namespaces/shop/finalize",
                 {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}, "spec": {"finalizers": []}})
        until(5, lambda: api.get("/api/v1/namespaces/shop") is None)
    elsewhere = "/apis/maistra.io/v1/namespaces/default/servicemeshcontrolplanes"
    api.make(elsewhere, {"apiVersion": "maistra.io/v1", "kind": "ServiceMeshControlPlane", "metadata": {"name": "x"},
                         "spec": {}})
    check("a control plane elsewhere is refused by name",
          until(5, lambda: condition(api.get(elsewhere + "/x"), "Reconciled").get("reason") == "UnsupportedNamespace"),
          api.get(elsewhere + "/x"))


def test_leaders(api, a, b):
    first, second = (a, b) if holder(api) == a.name else (b, a)
    api.merge(CONFIG, {"webhooks": configuration(second.webhook)["webhooks"]})
    lease = "/apis/coordination.k8s.io/v1/namespaces/sockmesh-system/leases/sockmesh-control"
    spec = api.get(lease)["spec"]
    check("the Lease reads as others' do", spec["leaseDurationSeconds"] == 15 and
          {"acquireTime", "renewTime", "leaseTransitions", "holderIdentity"} <= set(spec), spec)
    check("the other serves the webhook as well", until(8, lambda: api.call("POST", VS + "?dryRun=All", GOOD)[0] == 201),
          api.call("POST", VS + "?dryRun=All", GOOD))
    first.process.kill()
    first.process.wait()
    killed = time.monotonic()
    check("a leader that is killed is followed", until(25, lambda: holder(api) == second.name), holder(api))
    took = time.monotonic() - killed
    check("when its 15 s are over, and not before (%.1f s)" % took, 12.5 < took < 17, took)
    first.start()
    check("what is not wanted any more goes under the new one",
          api.merge(SMCP + "/m", {"spec": {"istio": {"gateways": {"istio-egressgateway": {"enabled": False}}}}}) and
          until(8, lambda: api.get(DEPLOY + "/istio-egressgateway") is None and
                api.get("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/sockmesh-istio-egressgateway-istio-system")
                is None))
    until(5, lambda: first.get("/readyz")[0] == 200)
    check("who does not lead is ready, and says so", first.get("/readyz") == (200, "ok, not leading\n"), first.get("/readyz"))
    began = time.monotonic()
    second.process.send_signal(signal.SIGTERM)
    check("one that is told to end gives the Lease up", until(1.5, lambda: holder(api) == "" or holder(api) == first.name),
          holder(api))
    check("and is followed at once", until(2, lambda: holder(api) == first.name), holder(api))
    print("     after %.2f s" % (time.monotonic() - began))
    check("it serves on for three seconds, and then ends well", second.process.wait(10) == 0 and
          2.5 < time.monotonic() - began < 6, time.monotonic() - began)
    second.start()
    before = api.get(lease)["spec"]["holderIdentity"]
    first.process.kill()
    first.process.wait()
    began = time.monotonic()
    first.start()
    check("one that is killed and starts again in its pod leads on at once",
          until(5, lambda: holder(api) == first.name and api.get(lease)["spec"]["holderIdentity"] != before and
                first.get("/readyz") == (200, "ok\n")), (holder(api), first.get("/readyz")))
    print("     after %.2f s" % (time.monotonic() - began))


def restart_apiserver(down_for):
    """The same one, with the same state, after a while."""
    pid = int(open(os.path.join(REAL, "apiserver.pid")).read())
    with open("/proc/%d/cmdline" % pid, "rb") as f:
        args = [p.decode() for p in f.read().split(b"\0")[:-1]]
    os.kill(pid, signal.SIGKILL)
    time.sleep(down_for)
    log = open(os.path.join(REAL, "apiserver.log"), "a")
    again = subprocess.Popen(args, cwd=REAL, stdout=log, stderr=log)
    threading.Thread(target=again.wait, daemon=True).start()
    with open(os.path.join(REAL, "apiserver.pid"), "w") as f:
        f.write(str(again.pid))


def cpu(process):
    with open("/proc/%d/stat" % process.pid) as f:
        parts = f.read().rsplit(") ", 1)[1].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def test_away(api, a, b):
    leader = a if holder(api) == a.name else b
    before = cpu(a.process) + cpu(b.process)
    restart_apiserver(12)
    check("a leader without an API stops leading", leader.said("could not be renewed in time"), open(leader.log).read()[-2000:])
    check("and one leads again when it is back", until(25, lambda: (200, "ok\n") in (a.get("/readyz"), b.get("/readyz"))),
          (a.get("/readyz"), b.get("/readyz")))
    api.merge(SMCP + "/m", {"spec": {"istio": {"gateways": {"istio-egressgateway": {"enabled": True}}}}})
    check("and goes on", until(8, lambda: api.get(DEPLOY + "/istio-egressgateway")))
    used = cpu(a.process) + cpu(b.process) - before
    check("both used %.2f s of CPU meanwhile" % used, used < 2, used)
    check("both live", a.process.poll() is None and b.process.poll() is None)


TESTS = [test_waits, test_webhook, test_bad_requests, test_bundle_is_kept, test_certificates, test_gateways, test_scaling,
         test_members, test_leaders, test_away]


def main():
    replicas_ = []
    env = dict(os.environ)
    up = subprocess.run([os.path.join(KUBERNETES, "up"), REAL, str(PORT)], capture_output=True, text=True, env=env)
    try:
        if up.returncode != 0:
            fail("kube-apiserver", up.stderr)
            return
        api = Api(KUBECONFIG)
        replicas_ += [Control(), Control()]
        for test in TESTS:
            if len(sys.argv) > 1 and test.__name__ not in sys.argv[1:] and test not in TESTS[:2]:
                continue
            try:
                test(api, *replicas_)
            except Exception as e:
                fail(test.__name__, repr(e))
    finally:
        for c in replicas_:
            c.process.kill()
            c.process.wait()
        subprocess.run([os.path.join(KUBERNETES, "down"), REAL], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if os.environ.get("KEEP_LOGS"):
            for c in replicas_:
                shutil.copy(c.log, os.environ["KEEP_LOGS"])
        shutil.rmtree(DIR, ignore_errors=True)


signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
main()
sys.exit(failed)
