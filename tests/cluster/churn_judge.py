#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""churn_judge.py EVENTS SERVICE:NODE:LOG...: holds every request of the logs (of a client on NODE; LOG.failed has what was answered
to those that failed) against what the API said, and says for each that failed what explains it: a fault, or that the API itself
says that no pod of the service was ready. What nothing explains fails the run, with what happened around it."""
import collections
import json
import re
import struct
import sys

MS = 1_000_000
AFTER = 100 * MS  # a pod may still get requests this long after its EndpointSlice said that it is not ready
BEFORE = 100 * MS  # our own watch may be later than the agents' by so much
SETTLED = 1_000 * MS  # what was under way when the fault was over
events = json.load(open(sys.argv[1]))
changes, faults, pods = events["changes"], events["faults"], events["pods"]
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


by_hash = {fnv(name): (name, p) for name, p in pods.items()}
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


def within(spans, t):
    return any(x <= t and (y is None or t < y) for x, y in spans)


def usable(service, t):
    """The pods that the API calls ready then: by their EndpointSlice and by themselves, and not being deleted."""
    return [n for n, p in pods.items() if p["service"] == service and within(p["ready"], t) and within(p["alive"], t)]


def edges(service, x, y):
    """The moments within [x, y] at which what is usable changes, and x."""
    return [x] + [t for p in pods.values() if p["service"] == service for span in p["ready"] + p["alive"] for t in span if t and x <= t <= y]


def nobody(service, start, done):
    """Whether at some moment around the request no pod of the service was ready."""
    return any(not usable(service, t) for t in edges(service, start - BEFORE, done + BEFORE))


def nearest(t, kinds=""):
    before = [(x, what, where) for x, what, where in changes if x <= t and kinds in what]
    return f"{(t - before[-1][0]) / MS:.0f} ms after {before[-1][1]} {before[-1][2]}" if before else ""


def when_told(node, version):
    """When that node's agent had that version of the EndpointSlices in force."""
    return next((t for t, v in events["inForce"].get(node, []) if v >= version), None)


def leaving(service, t):
    """Who of the service left, or was going, within the last 3 s."""
    out = []
    for n, p in pods.items():
        if p["service"] == service:
            out += [f"{n} ({p.get('ip')}) {what} {(t - y) / MS:.0f} ms before"
                    for what, spans in (("left its slice", p["ready"]), ("ended", p["alive"])) for _, y in spans if y and -100 * MS < t - y < 3_000 * MS]
    return out


total, ending, statuses, unknown, late, none_ready, rest = 0, 0, collections.Counter(), [], [], [], []
for argument in sys.argv[2:]:
    service, node, path = argument.split(":")
    raw = open(path, "rb").read()
    said = {}
    for line in open(path + ".failed"):
        start, done, status, text = line.rstrip("\n").split(" ", 3)
        said[(int(start), int(done))] = text
    for start, done, status, who in struct.iter_unpack("<QQII", raw[: len(raw) // 24 * 24]):
        if start < begin or done > end:
            continue
        total += 1
        statuses[status] += 1
        if status != 200:
            f = next((f for f in faults if explains(f, node, start, done)), None)
            text = said.get((start, done), "")
            if f:
                f["failed"].append((start, done))
                f["statuses"][status] += 1
            elif status == 503 and nobody(service, start, done):
                none_ready.append((start, done, service, "no healthy upstream" in text))
            else:
                rest.append((start, done, status, service, node, text))
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
        if nobody(service, start, done) and p["ready"]:
            ending += 1
            continue
        late.append((start, done, name, node))
result(total > 0, f"requests: {total}, by status {dict(statuses)} (0: connection refused, reset or closed)")
result(not unknown, "every answer came from a pod of that service", [(at(t), n) for t, n in unknown[:5]] or "")
result(not late, f"every answer came from a pod that was ready, or not for longer than 100 ms not ({len(late)} did not)")
for start, done, name, node in late[:20]:
    p = pods[name]
    ends = [y for _, y in p["ready"]]
    k = max((i for i, y in enumerate(ends) if y and y <= start), default=None)
    if k is None:
        print(f"      {at(start)} {name} on {p.get('node')}, never ready before: {[(at(x), y and at(y)) for x, y in p['ready']]}")
        continue
    told = when_told(node, p["left"][k])
    print(f"      {at(start)} {name} on {p['node']}, asked from {node}: due {(start - ends[k]) / MS:.0f} ms after it left its slice, answered after "
          f"{(done - start) / MS:.0f} ms; the agent had it in force {f'{(told - ends[k]) / MS:.0f} ms after' if told else 'never'}; {nearest(start)}; {nearest(start, 'kill')}")
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
# What an agent takes with it when it is killed, its keeper or not: what was under way on its connections, of which each client has CONNS.
CONNS = 16
clients = collections.Counter(a.split(":")[1] for a in sys.argv[2:])
over = [(f["what"], at(f["from"]), f["node"], len(f["failed"])) for f in faults if "agent" in f["what"] and len(f["failed"]) > CONNS * clients[f["node"]]]
result(not over, f"an agent that is killed takes with it what was under way, at most ({CONNS} requests of each client on its node)", over or "")
lost = [len(f["failed"]) for f in faults if "agent" not in f["what"] and f["failed"]]
result(not lost, "nothing else that is killed costs a request", lost or "")
result(all(f["until"] for f in faults), "everything that was killed serves again", [(f["what"], at(f["from"])) for f in faults if not f["until"]] or "")
print(f"   answered 503 while no pod of the service was ready, as the API's watches say: {len(none_ready)}, of them "
      f"{sum(not plain for _, _, _, plain in none_ready)} that were sent to one that was ending")
print(f"   answered by a pod that was ending, and served, while none was ready, as kube-proxy has it: {ending}")
for service in sorted({s for _, _, s, _ in none_ready}):
    times = sorted(t for t, _, s, _ in none_ready if s == service)
    print(f"      {service}: {len(times)} from {at(times[0])} to {at(times[-1])}; {nearest(times[0])}; {leaving(service, times[0])}")
# How soon agents have in force what the API says of endpoints: the version that ended a pod's being ready.
delays = []
for p in pods.values():
    for (_, y), version in zip(p["ready"], p["left"]):
        if not y or not begin <= y <= end or any(x <= y <= z for x, z in away):
            continue
        for node in events["inForce"]:
            dead = any("agent" in f["what"] and f["node"] == node and f["from"] <= y + 1000 * MS and y <= (f["until"] or end) + SETTLED for f in faults)
            told = when_told(node, version)
            if told and not dead:
                delays.append((told - y) / MS)
if delays:
    delays.sort()
    print(f"   a pod that leaves its slice: in force on an agent that lives, ms after our own watch saw it: p50 {delays[len(delays) // 2]:.1f}, "
          f"p99 {delays[len(delays) * 99 // 100]:.1f}, most {delays[-1]:.1f} ({len(delays)} of them)")
result(not rest, f"no request failed that nothing explains ({len(rest)})")
for start, done, status, service, node, text in rest[:20]:
    text = re.sub(r"date: [^|]*\|", "", text)
    print(f"      {at(start)} {service} from {node}, after {(done - start) / MS:.0f} ms: {status} {text}; {nearest(done)}; {nearest(done, 'kill')}; "
          f"{len(usable(service, start))} ready; {leaving(service, done)}")
sys.exit(bad)
