#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an agent holds: figures.py take PID STATUS ENTRIES > FILE; figures.py compare BEFORE AFTER [SETTLED].
STATUS: what `meshd agent --status` says; ENTRIES: "MAP COUNT" lines of what is pinned, and "pins N"."""
import collections
import ctypes
import json
import os
import re
import socket
import sys

SYS_pidfd_open, SYS_pidfd_getfd = 434, 438
NSFS = os.stat("/proc/self/ns/net").st_dev
libc = ctypes.CDLL(None, use_errno=True)


def socket_kind(pidfd, fd):
    """A socket is known by what the kernel says of a duplicate."""
    dup = libc.syscall(SYS_pidfd_getfd, pidfd, fd, 0)
    if dup < 0:
        return "socket"
    with socket.socket(fileno=dup) as s:
        try:
            family, kind = s.getsockopt(socket.SOL_SOCKET, 39), s.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)
            if family == socket.AF_UNIX:
                return "unix socket"
            if family == 16:
                return "netlink socket"
            if kind == socket.SOCK_STREAM:
                return "listener" if s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) else "TCP connection"
        except OSError:
            pass
    return "socket"


def kind_of(pid, pidfd, fd):
    to = os.readlink(f"/proc/{pid}/fd/{fd}")
    if to.startswith("socket:"):
        return socket_kind(pidfd, fd)
    if os.stat(f"/proc/{pid}/fd/{fd}").st_dev == NSFS:
        return "network namespace"
    if to.startswith("anon_inode:"):
        return to[11:].strip("[]")
    return "pipe" if to.startswith("pipe:") else "file"


def take(pid, status, entries):
    pidfd = libc.syscall(SYS_pidfd_open, pid, 0)
    kinds = collections.Counter()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            kinds[kind_of(pid, pidfd, int(fd))] += 1
        except OSError:
            pass
    status = json.load(open(status))
    rollup, text = open(f"/proc/{pid}/smaps_rollup").read(), open(f"/proc/{pid}/stat").read()
    started = int(text.rsplit(") ", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")
    counts = {w[0]: int(w[1]) for w in (line.split() for line in open(entries)) if len(w) == 2}
    return {"pid": pid, "age": float(open("/proc/uptime").read().split()[0]) - started, "kinds": kinds, "fds": sum(kinds.values()),
            "rss": int(re.search(r"Rss:\s+(\d+)", rollup).group(1)), "pods": sum(p["captured"] for p in status["pods"]),
            "upstream": status["proxy"]["upstreamConnectionsActive"], "clients": status["proxy"]["connectionsActive"], "entries": counts}


def show(name, f):
    kinds = ", ".join(f"{n} {k}" for k, n in sorted(f["kinds"].items(), key=lambda i: -i[1]))
    print(f"   {name}: {f['pods']} pods, RSS {f['rss']} KiB, {f['fds']} descriptors ({kinds}), of them {f['upstream']} to endpoints and "
          f"{f['clients']} from clients; agent of {f['age']:.0f} s")
    print(f"   {name}: entries " + " ".join(f"{k} {v}" for k, v in sorted(f["entries"].items())))


def result(good, name, seen=""):
    print(("ok " if good else "FAIL ") + name + (f": {seen}" if seen and not good else f" ({seen})" if seen else ""))
    return good


def held(f):
    """What is held for the pods and what for itself, without the connections that the proxy counts."""
    kinds = collections.Counter(f["kinds"])
    kinds["TCP connection"] -= f["upstream"] + f["clients"]
    return {k: kinds[k] for k in kinds}


def compare(before, after, settled):
    a, b = held(before), held(settled)
    good = True
    for kind in sorted(a.keys() | b.keys()):
        was, now = a.get(kind, 0), b.get(kind, 0)
        if kind in ("network namespace", "listener"):
            each = round(was / before["pods"])  # and one listener that is the agent's own
            good &= result(abs(now - each * settled["pods"]) <= 1, f"{kind}s: as many for each pod", f"{was} for {before['pods']} pods, {now} for {settled['pods']}")
        else:
            # Of the API's streams one may just be made anew; the socket that veths are looked up with is made when it is needed.
            # Fewer: links are held by the agent that made them, not by those that adopt what is pinned.
            more = {"TCP connection": 3, "netlink socket": 1}.get(kind, 0)
            good &= result(now <= was + more, f"{kind}: no more", f"{was}, {now}")
    up = settled["kinds"]["TCP connection"] if isinstance(settled["kinds"], dict) else 0
    good &= result(up <= before["kinds"].get("TCP connection", 0) + settled["upstream"] + settled["clients"] + 3, "every connection is one that the proxy knows")
    for name in sorted(before["entries"].keys() | settled["entries"].keys()):
        was, now = before["entries"].get(name, 0), settled["entries"].get(name, 0)
        if name in ("pods", "pins", "svc4", "svc6", "dest", "ep4", "ep6", "member"):
            good &= result(now == was or name == "pods" and now == settled["pods"], f"{name}: as many", f"{was}, {now}")
        else:
            good &= result(now <= was + 16, f"{name}: no more than what is under way", f"{was}, {now}")
    good &= result(settled["rss"] <= 20480, "RSS in KiB stays below 20 MiB", f"{before['rss']}, under load {after['rss']}, {settled['rss']}")
    return good


if sys.argv[1] == "take":
    print(json.dumps(take(int(sys.argv[2]), sys.argv[3], sys.argv[4])))
elif sys.argv[1] == "show":
    show(sys.argv[2], json.load(open(sys.argv[3])))
else:
    sys.exit(not compare(*(json.load(open(f)) for f in sys.argv[2:5])))
