# SPDX-License-Identifier: Apache-2.0
"""services_backend.py NAME: says NAME to everyone, by TCP on 5432 and by UDP on 5353, until it is killed."""
import socket
import sys
import threading

name = sys.argv[1].encode() + b"\n"


def tcp(port):
    s = socket.create_server(("0.0.0.0", port), backlog=128)
    while True:
        c, _ = s.accept()
        with c:
            try:
                c.sendall(name)
            except OSError:
                pass


def udp(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("0.0.0.0", port))
    while True:
        _, source = s.recvfrom(100)
        s.sendto(name, source)


threading.Thread(target=tcp, args=[5432], daemon=True).start()
udp(5353)
