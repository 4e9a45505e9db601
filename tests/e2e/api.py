# SPDX-License-Identifier: Apache-2.0
"""A small client of a Kubernetes API for tests: one kept connection, the credentials of $KUBECONFIG."""
import base64
import http.client
import json
import os
import random
import re
import socket
import ssl
import tempfile


class Api:
    def __init__(self, kubeconfig=None):
        text = open(kubeconfig or os.environ["KUBECONFIG"]).read()

        def field(name):
            m = re.search(r"^\s*\"?%s\"?:\s*\"?([^\s\",]+)" % name, text, re.M)
            return m.group(1) if m else None

        server = field("server")
        self.host, self.port = re.match(r"https://\[?([^\]/]+?)\]?:(\d+)", server).groups()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        with tempfile.TemporaryDirectory() as d:
            for key in ("certificate-authority", "client-certificate", "client-key"):
                data, path = field(key + "-data"), os.path.join(d, key)
                if data:
                    with open(path, "wb") as f:
                        f.write(base64.b64decode(data))
                else:
                    with open(path, "wb") as f, open(field(key), "rb") as g:
                        f.write(g.read())
            self.context.load_verify_locations(os.path.join(d, "certificate-authority"))
            self.context.load_cert_chain(os.path.join(d, "client-certificate"), os.path.join(d, "client-key"))
        self.connection = None

    def call(self, method, path, body=None, kind="application/json"):
        """(status, raw body). Raises OSError or HTTPException when the connection breaks; the next call makes a new one."""
        if not self.connection:
            self.connection = http.client.HTTPSConnection(self.host, int(self.port), context=self.context, timeout=20)
        try:
            data = None if body is None else body if isinstance(body, (bytes, str)) else json.dumps(body)
            self.connection.request(method, path, data, {"Content-Type": kind} if data is not None else {})
            r = self.connection.getresponse()
            return r.status, r.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            self.connection = None
            raise

    def get(self, path):
        status, raw = self.call("GET", path)
        return json.loads(raw) if status == 200 else None

    def replace(self, path, obj, attempts=20):
        """A PUT that takes the resourceVersion of the moment; (status, answer)."""
        for _ in range(attempts):
            now = self.get(path)
            obj = dict(obj, metadata=dict(obj["metadata"], resourceVersion=now["metadata"]["resourceVersion"]))
            status, raw = self.call("PUT", path, obj)
            if status != 409:
                break
        return status, json.loads(raw)


def free_ports(count):
    """The first of several free ports in a row, below those that the kernel gives out."""
    while True:
        port = random.randrange(15000, 30000)
        socks = []
        try:
            for p in range(port, port + count):
                s = socket.socket()
                socks.append(s)
                s.bind(("127.0.0.1", p))
            return port
        except OSError:
            pass
        finally:
            for s in socks:
                s.close()
