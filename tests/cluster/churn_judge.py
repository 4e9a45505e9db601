#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""churn_judge.py EVENTS SERVICE:NODE:LOG...: holds every request of the logs (of a client on NODE) against what the API said, and
says for each that failed which fault explains it."""
import collections
import json
import struct
import sys

MS = 1_000_000
AFTER = 100 * MS  # a pod may still get requests this long after its EndpointSlice said that it is not ready
BEFORE = 100 * MS  # our own watch may be later than the agents' by so much
SETTLED = 1_000 * MS  # what was under way when the fault was over
events = json.load(open(sys.argv[1]))
changes, faults = events["changes"], events["faults"]
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
at = lambda t: f"{(t - begin) / 1e9:.2f} s"  # noqa: E731
for f in faults:
    f["failed"], f["statuses"] = [], collections.Counter()
# While the API server is away nobody can say who is ready; after, its controllers need a moment.
away = [(f["from"], (f["until"] or end) + 5_000 * MS) for f in faults if "kube-apiserver" in f["what"]]


def explains(f, node, start, done):
    """An agent takes with it what is under way on its node, until it serves again; all else that may die costs no request. Without
    the API server it cannot be told that a pod has gone."""
    over = (f["until"] or end) + SETTLED
    if "agent" in f["what"]:
        return f["node"] == node and start <= over and done >= f["from"]
    return "kube-apiserver" in f["what"] and start <= over + 5_000 * MS and done >= f["from"]


total, statuses, unknown, late, rest = 0, collections.Counter(), [], [], []
for argument in sys.argv[2:]:
    service, node, path = argument.split(":")
    raw = open(path, "rb").read()
    for start, done, status, who in struct.iter_unpack("<QQII", raw[: len(raw) // 24 * 24]):
        if start < begin or done > end:
            continue
        total += 1
        statuses[status] += 1
        if status != 200:
            f = next((f for f in faults if explains(f, node, start, done)), None)
            if f:
                f["failed"].append((start, done))
                f["statuses"][status] += 1
            else:
                rest.append((start, done, status, service, node))
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
result(total > 0, f"requests: {total}, by status {dict(statuses)} (0: connection refused, reset or closed)")
result(not unknown, "every answer came from a pod of that service", [(at(t), n) for t, n in unknown[:5]] or "")
result(not late, f"every answer came from a pod that was ready, or not for longer than 100 ms not ({len(late)} did not)",
       [(at(t), n, [(at(x), y and at(y)) for x, y in events["pods"][n]["ready"]]) for t, n in late[:5]] or "")
kinds = collections.defaultdict(list)
for f in faults:
    kinds[f["what"].split(" (for")[0]].append(f)
for what, list_ in sorted(kinds.items()):
    took = sorted(((f["until"] or end) - f["from"]) / 1e9 for f in list_)
    print(f"   {what}: {len(list_)} times, served again after {took[0]:.2f} to {took[-1]:.2f} s, {sum(len(f['failed']) for f in list_)} requests failed for it")
    for f in list_:
        if f["failed"]:
            print(f"      {at(f['from'])} {f['node'] or ''}, served again after {((f['until'] or end) - f['from']) / 1e9:.2f} s: {len(f['failed'])} failed, "
                  f"by status {dict(f['statuses'])}, begun from {(min(s for s, _ in f['failed']) - f['from']) / 1e9:+.2f} to "
                  f"{(max(s for s, _ in f['failed']) - f['from']) / 1e9:+.2f} s")
result(all(f["until"] for f in faults), "everything that was killed serves again", [(f["what"], at(f["from"])) for f in faults if not f["until"]] or "")


def nearest(t):
    before = [(x, what, where) for x, what, where in changes if x <= t]
    return f"{(t - before[-1][0]) / MS:.0f} ms after {before[-1][1]} {before[-1][2]}" if before else ""


result(not rest, f"no request failed that no fault explains ({len(rest)})",
       [(at(s), f"{(d - s) / MS:.0f} ms", st, sv, n, nearest(d)) for s, d, st, sv, n in rest[:12]] or "")
sys.exit(bad)
