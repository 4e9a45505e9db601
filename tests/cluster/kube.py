# SPDX-License-Identifier: Apache-2.0
"""A small client of the Kubernetes API for the tests: list, watch, merge-patch, by a kubeconfig with a token."""
import base64
import http.client
import json
import ssl
import subprocess
import threading
import time


class Kube:
    def __init__(self, kubeconfig):
        text = subprocess.run(["kubectl", "--kubeconfig", kubeconfig, "config", "view", "--raw", "-o", "json"], capture_output=True, text=True, check=True).stdout
        config = json.loads(text)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.host = cluster["server"].split("//")[1]
        self.token = user["token"]
        self.ssl = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())

    def open(self, timeout):
        return http.client.HTTPSConnection(self.host, context=self.ssl, timeout=timeout)

    def call(self, method, path, body=None, content="application/json"):
        c = self.open(30)
        try:
            c.request(method, path, json.dumps(body) if body is not None else None, {"Authorization": "Bearer " + self.token, "Content-Type": content})
            r = c.getresponse()
            return r.status, json.loads(r.read() or b"{}")
        finally:
            c.close()

    def healthy(self):
        c = self.open(5)
        try:
            c.request("GET", "/healthz", headers={"Authorization": "Bearer " + self.token})
            return c.getresponse().status == 200
        finally:
            c.close()

    def get(self, path):
        return self.call("GET", path)[1]

    def merge(self, path, patch):
        return self.call("PATCH", path, patch, "application/merge-patch+json")

    def watch(self, path, on_event, stop, query=""):
        """Calls on_event(type, object, time.monotonic()) for the list and what follows; survives an API server that goes away."""

        def run():
            rv, seen = None, {}
            while not stop.is_set():
                try:
                    if rv is None:
                        got = self.get(path + "?" + query)
                        if "items" not in got:
                            time.sleep(0.2)
                            continue
                        now, there = time.monotonic(), {}
                        for o in got["items"]:
                            there[o["metadata"]["namespace"] + "/" + o["metadata"]["name"]] = o
                            on_event("ADDED", o, now)
                        for k in seen.keys() - there.keys():
                            on_event("DELETED", seen[k], now)
                        rv, seen = got["metadata"]["resourceVersion"], there
                    c = self.open(30)
                    c.request("GET", f"{path}?{query}&watch=1&resourceVersion={rv}&timeoutSeconds=25", headers={"Authorization": "Bearer " + self.token})
                    r = c.getresponse()
                    for line in r:
                        e = json.loads(line)
                        if e["type"] == "ERROR":
                            rv = None
                            break
                        o = e["object"]
                        rv = o["metadata"]["resourceVersion"]
                        key = o["metadata"]["namespace"] + "/" + o["metadata"]["name"]
                        if e["type"] == "DELETED":
                            seen.pop(key, None)
                        else:
                            seen[key] = o
                        on_event(e["type"], o, time.monotonic())
                        if stop.is_set():
                            break
                    c.close()
                except (OSError, http.client.HTTPException, ValueError):
                    time.sleep(0.1)

        t = threading.Thread(target=run, daemon=True)
        t.start()
        return t
