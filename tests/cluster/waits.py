#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""waits.py IP PORT: asks (a POST, which is not to be sent twice) and waits for what never comes; says how that ends, and when by
CLOCK_MONOTONIC in ms."""
import socket
import sys
import time

try:
    s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10)
    s.settimeout(60)
    s.sendall(b"POST /wait HTTP/1.1\r\nHost: vanish\r\nContent-Length: 3\r\n\r\nabc")
    what = s.recv(4096).split(b"\r\n")[0].decode() or "closed"
except OSError as e:
    what = type(e).__name__
print(f"{what} at {time.monotonic() * 1000:.0f}")
