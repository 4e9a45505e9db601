# SPDX-License-Identifier: Apache-2.0
"""What a pod reaches: run in its network namespace and cgroup. Each argument is KIND:ADDRESS:PORT:COUNT; for each, one line:
who answered, sorted, with a space between (COUNT tries, a socket each), or refused, timeout, unreachable, wrong-source.

KIND: tcp, udp (connect and send), udpu (sendto, recvfrom: the answer must come from where it was sent), http (GET / on a
connection each), https-like kinds there are none; keep: COUNT datagrams 0.1 s apart on one unconnected UDP socket, what
answered each in order, "-" for no answer."""
import errno
import http.client
import socket
import sys
import time

PATIENCE = 1.5


def ask_tcp(ip, port):
    with socket.create_connection((ip, port), PATIENCE) as s:
        if s.getpeername()[:2] != (ip, port):
            return "wrong-peer"
        return s.recv(100).decode().strip()


def ask_udp(ip, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(PATIENCE)
        s.connect((ip, port))
        s.send(b"?\n")
        return s.recv(100).decode().strip()


def ask_udpu(ip, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(PATIENCE)
        s.sendto(b"?\n", (ip, port))
        data, source = s.recvfrom(100)
        return data.decode().strip() if source == (ip, port) else "wrong-source"


def ask_http(ip, port, host=None, path="/"):
    c = http.client.HTTPConnection(ip, port, timeout=PATIENCE)
    try:
        c.request("GET", path, headers={"Host": host} if host else {})
        answer = c.getresponse()
        body = answer.read().decode().strip()
        return body if answer.status == 200 else str(answer.status)
    finally:
        c.close()


def keep(ip, port, count):
    answers = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(0.3)
        for _ in range(count):
            try:
                s.sendto(b"?\n", (ip, port))
                answers.append(s.recv(100).decode().strip())
            except OSError:
                answers.append("-")
            time.sleep(0.1)
    return " ".join(answers)


def attempt(ask, *args):
    try:
        return ask(*args)
    except ConnectionRefusedError:
        return "refused"
    except (TimeoutError, socket.timeout):
        return "timeout"
    except OSError as e:
        return "unreachable" if e.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH) else str(e)


ASK = {"tcp": ask_tcp, "udp": ask_udp, "udpu": ask_udpu, "http": ask_http}

for argument in sys.argv[1:]:
    # http may have "@HOST" behind the kind.
    kind, ip, port, count = argument.split(":")
    kind, _, host = kind.partition("@")
    if kind == "keep":
        print(keep(ip, int(port), int(count)), flush=True)
        continue
    answers = set()
    for _ in range(int(count)):
        answers.add(attempt(ASK[kind], ip, int(port), *([host] if host else [])))
        if answers & {"refused", "timeout", "unreachable"} and len(answers) == 1:
            break
    print(" ".join(sorted(answers)), flush=True)
