#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""20 long-lived TCP streams to an echo service (every byte is compared) and one keep-alive HTTP client; says what broke."""
import argparse
import hashlib
import socket
import threading
import time

ap = argparse.ArgumentParser()
ap.add_argument("--l4", required=True)
ap.add_argument("--l7")
ap.add_argument("--seconds", type=float, required=True)
ap.add_argument("--streams", type=int, default=20)
a = ap.parse_args()
until = time.monotonic() + a.seconds
begin = time.monotonic()
broken, wrong, moved = [], [0], [0]


def address(text):
    host, port = text.rsplit(":", 1)
    return host.strip("[]"), int(port)


def stream(n):
    try:
        s = socket.create_connection(address(a.l4), timeout=10)
        i = 0
        while time.monotonic() < until:
            block = hashlib.sha256(b"%d %d" % (n, i)).hexdigest().encode() * 16 + b"\n"
            s.sendall(block)
            got = b""
            while len(got) < len(block):
                piece = s.recv(len(block) - len(got))
                if not piece:
                    raise OSError("closed by the other side")
                got += piece
            wrong[0] += got != block
            moved[0] += len(block)
            i += 1
            time.sleep(0.01)
    except OSError as e:
        broken.append(f"stream {n} at {time.monotonic() - begin:.2f} s: {e}")


requests, failures = [0], []


def http():
    import http.client

    c = None
    while time.monotonic() < until:
        try:
            if c is None:
                c = http.client.HTTPConnection(*address(a.l7), timeout=5)
            c.request("GET", "/")
            r = c.getresponse()
            r.read()
            requests[0] += 1
            if r.status != 200:
                failures.append((time.monotonic() - begin, str(r.status)))
        except (OSError, http.client.HTTPException) as e:
            failures.append((time.monotonic() - begin, type(e).__name__))
            c.close()
            c = None
        time.sleep(0.005)


threads = [threading.Thread(target=stream, args=(n,)) for n in range(a.streams)] + ([threading.Thread(target=http)] if a.l7 else [])
for t in threads:
    t.start()
for t in threads:
    t.join()
print(f"l4 {a.streams} streams, {len(broken)} broken, {wrong[0]} wrong bytes")
print(f"moved {moved[0]} bytes")
for b in broken[:5]:
    print(b)
if a.l7:
    print(f"l7 {requests[0]} answers, {len(failures)} failures" + (f", between {failures[0][0]:.2f} and {failures[-1][0]:.2f} s: {failures[0][1]}" if failures else ""))
