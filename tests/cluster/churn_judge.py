#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""churn_judge.py EVENTS LOG...: holds every request of the logs (a, b, c for the services) against what the API said."""
import bisect
import collections
import json
import struct
import sys

MS = 1_000_000
AFTER = 100 * MS  # a pod may still get requests this long after its EndpointSlice said that it is not ready
BEFORE = 100 * MS  # our own watch may be later than the agents' by so much
events = json.load(open(sys.argv[1]))
changes = events["changes"]
bad = False


def fnv(text):
    h = 2166136261
    for b in text.encode():
        h = ((h ^ b) * 16777619) & 0xFFFFFFFF
    return h


def result(good, name, seen=""):
    global bad
    bad |= not good
    print(("ok " if good else "FAIL ") + name + (f": {seen}" if seen != "" else ""))


by_hash = {fnv(name): (name, p) for name, p in events["pods"].items()}
begin = next(t for t, what, _ in changes if what == "begin")
end = next(t for t, what, _ in changes if what == "end")
away = []  # while the API server is away nobody can say who is ready
for t, what, _ in changes:
    if what == "kill -9 kube-apiserver":
        away.append([t, end])
    elif what == "kube-apiserver is back" and away:
        away[-1][1] = t + 5_000 * MS
kills = [t for t, what, _ in changes if what == "kill -9 agent"]
total, statuses, wrong, unknown, late = 0, collections.Counter(), [], [], []
failures = []
for path in sys.argv[2:]:
    service = "echo-" + path[-1]
    raw = open(path, "rb").read()
    for start, done, status, who in struct.iter_unpack("<QQII", raw[: len(raw) // 24 * 24]):
        if start < begin or done > end:
            continue
        total += 1
        statuses[status] += 1
        if status != 200:
            failures.append((start, done, status, service))
            continue
        name, p = by_hash.get(who, (None, None))
        if p is None or p["service"] != service:
            if not any(x <= done and start <= y for x, y in away):
                unknown.append((start, name))
            continue
        if any(x - BEFORE <= done and (y is None or start <= y + AFTER) for x, y in p["ready"]):
            continue
        if any(x <= done and start <= y for x, y in away):
            continue
        late.append((start, name))
at = lambda t: f"{(t - begin) / 1e9:.2f} s"  # noqa: E731
result(total > 0, f"requests: {total}, by status {dict(statuses)}")
result(not unknown, "every answer came from a pod of that service", [(at(t), n) for t, n in unknown[:5]] or "")
result(not late, "every answer came from a pod that was ready, or not for longer than 100 ms not", [(at(t), n) for t, n in late[:5]] or "")


def nearest(t, names):
    times = sorted(x for x, what, _ in changes if what in names)
    i = bisect.bisect_right(times, t) - 1
    return (t - times[i]) / MS if i >= 0 else None


# A SIGKILLed agent takes with it what was under way on its connections, until it is back; all else must succeed.
excused, rest = 0, []
for start, done, status, service in failures:
    since = nearest(done, ("kill -9 agent",))
    if since is not None and since < 10_000:
        excused += 1
    else:
        rest.append((start, done, status, service))
print(f"   {excused} requests failed within 10 s of {len(kills)} SIGKILLs of an agent")
result(not rest, f"no other request failed ({len(rest)})", [(at(s), f"{(d - s) / MS:.0f} ms", st, sv, f"{nearest(d, {w for _, w, _ in changes}) or 0:.0f} ms after a change") for s, d, st, sv in rest[:12]] or "")
sys.exit(bad)
