#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deaf.py PORT...: takes what is sent there, and never answers."""
import selectors
import socket
import sys

poll = selectors.DefaultSelector()
for port in sys.argv[1:]:
    s = socket.create_server(("", int(port)))
    poll.register(s, selectors.EVENT_READ, True)
while True:
    for key, _ in poll.select():
        if key.data:
            poll.register(key.fileobj.accept()[0], selectors.EVENT_READ, False)
        elif not key.fileobj.recv(65536):
            poll.unregister(key.fileobj)
            key.fileobj.close()
