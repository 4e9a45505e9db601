# SPDX-License-Identifier: Apache-2.0
"""replaces.py write CHANGES COUNT: replaces VirtualService catalog COUNT times, v1 and v2 by turns, and notes when.
replaces.py judge CHANGES LOG COUNT: compares with the requests that tools/bench/load.c saw. Both use CLOCK_MONOTONIC."""
import json
import os
import random
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
PATH = "/apis/networking.istio.io/v1alpha3/namespaces/coolapp/virtualservices/catalog"
MS = 1_000_000
LIMIT = 20 * MS


def write(path, count):
    from api import Api

    api = Api()
    obj = api.get(PATH)
    obj.pop("status", None)
    random.seed(1)
    changes = []
    for i in range(count):
        version = 2 - i % 2
        obj["spec"] = {"hosts": ["catalog"], "http": [{"route": [{"destination": {"host": "catalog", "subset": f"version-v{version}"}, "weight": 100}]}]}
        for _ in range(20):
            now = api.get(PATH)
            obj["metadata"]["resourceVersion"] = now["metadata"]["resourceVersion"]
            sent = time.monotonic_ns()
            status, raw = api.call("PUT", PATH, obj)
            answered = time.monotonic_ns()
            if status != 409:
                break
        if status != 200:
            sys.exit(f"replace {i}: {status} {raw[:300]}")
        changes.append((sent, answered, version))
        time.sleep(random.uniform(0.03, 0.05))
    json.dump(changes, open(path, "w"))


def result(good, name, seen=""):
    print(("ok " if good else "FAIL ") + name + (f": {seen}" if seen != "" else ""))
    return good


def judge(changes_path, log_path, count):
    changes = json.load(open(changes_path))
    raw = open(log_path, "rb").read()
    records = sorted(struct.iter_unpack("<QQII", raw[: len(raw) // 24 * 24]))
    first, last = changes[0][0], changes[-1][1]
    records = [r for r in records if r[1] >= first - 500 * MS]
    good = result(len(changes) == count, f"{count} replaces were accepted")
    failed = [r for r in records if r[2] != 200]
    good &= result(not failed, f"no request of {len(records)} failed under them", [r[2] for r in failed[:10]] or "")
    rate = len(records) / max((records[-1][1] - records[0][0]) / 1e9, 0.1)
    good &= result(rate > 1000, f"the load was real ({rate:.0f} requests/s)")

    # Rule k may decide a request from the moment it was sent to the API until the next one is in force everywhere.
    spans = {1: [], 2: []}
    spans[1].append((0, changes[0][1] + LIMIT))
    for k, (sent, answered, version) in enumerate(changes):
        until = changes[k + 1][1] + LIMIT if k + 1 < len(changes) else 1 << 63
        spans[version].append((sent, until))
    late, neither, at = [], [], {1: 0, 2: 0}
    lag = [0] * len(changes)
    k = -1
    for start, end, status, version in records:
        while k + 1 < len(changes) and changes[k + 1][1] <= start:
            k += 1
        if status != 200:
            continue
        if version not in spans:
            neither.append(version)
            continue
        # The last request begun after the answer that still went by the rule before.
        if k >= 0 and version != changes[k][2] and not (k + 1 < len(changes) and end >= changes[k + 1][0]):
            lag[k] = max(lag[k], start - changes[k][1])
        s = spans[version]
        while at[version] + 1 < len(s) and s[at[version]][1] < start:
            at[version] += 1
        if not any(a <= end and start <= b for a, b in s[max(0, at[version] - 1) : at[version] + 2]):
            late.append(version)
    good &= result(not neither, "none was answered by neither version", neither[:5] or "")
    # One change in a hundred may take longer (the p99 below): what came in its overtime is not held against the rule.
    good &= result(len(late) <= max(1, len(records) // 10000), "none went by neither the old nor the new rule", f"{len(late)} of {len(records)} outside" if late else "")
    lag.sort()
    p50, p99 = lag[len(lag) // 2] / MS, lag[min(len(lag) - 1, int(len(lag) * 0.99))] / MS
    good &= result(p99 <= 20, "a rule is in force within 20 ms (p99) of the API's answer", f"median {p50:.1f} ms, p99 {p99:.1f} ms, worst {lag[-1] / MS:.1f} ms")
    sys.exit(0 if good else 1)


if sys.argv[1] == "write":
    write(sys.argv[2], int(sys.argv[3]))
else:
    judge(sys.argv[2], sys.argv[3], int(sys.argv[4]))
