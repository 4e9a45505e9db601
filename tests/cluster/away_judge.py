#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""away_judge.py LOG CONNECTIONS KILLS POD...: every answer by v1, then every one by v2, but for those under way together; what failed,
and whether it was under way when an agent was killed (KILLS: a file of a line each, CLOCK_MONOTONIC ns and what)."""
import collections
import functools
import struct
import sys

MOMENT, BEGIN_AGAIN = 20_000_000, 10_000_000_000
log, connections, kills, names = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:]


def fnv(text):
    return functools.reduce(lambda h, b: ((h ^ b) * 16777619) & 0xFFFFFFFF, text.encode(), 2166136261)


pods = {fnv(p): p for p in names}
raw = open(log, "rb").read()
killed = [(int(line.split(" ", 1)[0]), line.split(" ", 1)[1].strip()) for line in open(kills)]
said = {tuple(map(int, line.split(" ")[:2])): line.split(" ", 3)[3].strip() for line in open(log + ".failed")}
total, failed, order, since, slowest = 0, [], [], 0, (0, 0)
for start, done, status, who in sorted(struct.iter_unpack("<QQII", raw[: len(raw) // 24 * 24])):
    total += 1
    slowest = max(slowest, (done - start, start))
    if status != 200:
        failed.append((start, done, status, said.get((start, done), "")))
        continue
    v = "v1" if "-v1-" in pods.get(who, "") else "v2" if "-v2-" in pods.get(who, "") else "?"
    if order and (order[-1] == v or v in order and start < since + MOMENT):
        continue
    order.append(v)
    since = start
first = struct.unpack_from("<Q", raw)[0]
print(f"   {total} requests, slowest {slowest[0] / 1e6:.0f} ms at {(slowest[1] - first) / 1e9:.0f} s")
by_kill, rest = collections.Counter(), []
for start, done, status, text in failed:
    k = next((f"{what} at {(t - first) / 1e9:.0f} s" for t, what in killed if done >= t and start <= t + BEGIN_AGAIN), None)
    if k:
        by_kill[f"{k}: {status} {text}"] += 1
    else:
        rest.append(f"at {(start - first) / 1e9:.2f} s: {status} {text}")
for what, n in by_kill.items():
    print(f"   {n} failed: {what}")
alone = sum(n for what, n in by_kill.items() if what.startswith("agent "))
print(("ok " if order == ["v1", "v2"] else "FAIL ") + f"what changed while the API was away comes in force as one change ({' then '.join(order)})")
print(("ok " if not rest else "FAIL ") + f"no request failed but for a kill of an agent ({len(rest)}) {rest[:5] or ''}")
print(("ok " if alone <= connections else "FAIL ") + f"an agent that is killed takes with it what was under way at most ({alone})")
sys.exit(order != ["v1", "v2"] or bool(rest) or alone > connections)
