# SPDX-License-Identifier: Apache-2.0
"""mutate.py COUNT DIRECTORY MESHCTL FILE...: see mutate.sh."""
import json
import os
import random
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from api import Api  # noqa: E402

COUNT, DIR, MESHCTL, FILES = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]
random.seed(int(os.environ.get("SEED", "7")))
API = Api()
BASE = "/apis/networking.istio.io/v1alpha3/namespaces/coolapp/"
KINDS = ("virtualservices", "destinationrules", "gateways")
VALUES = ["", "null", "-1", "0", "101", "4294967296", "1e9", "[]", "{}", "true", "~", "'", '"', "*", "&a", "*a", "!!binary x", "\t", "\x01", "\u00e9",
          "99999999999999999999", "0x10", "version-v9", "a" * 300, "2001-01-01", "|", ">-", "%", "@", "`", "--- x", "- ", ": ", "? "]


def mutate(text):
    lines = text.split("\n")
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        i = random.randrange(len(lines))
        line = lines[i]
        what = random.randrange(12)
        if what == 0 and len(lines) > 1:
            del lines[i]
        elif what == 1:
            lines.insert(i, line)
        elif what == 2:
            lines[i] = " " * random.randrange(8) + line.lstrip()
        elif what == 3 and ":" in line:
            lines[i] = line[: line.index(":") + 1] + " " + random.choice(VALUES)
        elif what == 4 and ":" in line:
            key = re.search(r"[\w.]+(?=:)", line)
            if key:
                lines[i] = line[: key.start()] + random.choice((key.group()[:-1], key.group() + "x", key.group().upper(), "")) + line[key.end() :]
        elif what == 5 and line:
            at = random.randrange(len(line))
            lines[i] = line[:at] + chr(random.choice((0, 9, 34, 39, 58, 91, 93, 123, 125, 38, 42, 127, 0x2028))) + line[at + 1 :]
        elif what == 6:
            j = random.randrange(len(lines))
            lines[i], lines[j] = lines[j], lines[i]
        elif what == 7:
            lines[i] = line.replace("- ", "", 1) if "- " in line else "- " + line
        elif what == 8:
            lines = lines[:i]
            if not lines:
                lines = [""]
        elif what == 9:
            lines.insert(i, random.choice(("---", "...", "# x", "%YAML 1.1", "a: &x [*x]", "<<: *y", "extra: {deep: " + "[" * 80 + "]" * 80 + "}")))
        elif what == 10 and line:
            lines[i] = line * random.randrange(2, 40)
        else:
            lines[i] = re.sub(r"\d+", lambda m: str(random.choice((0, 1, -5, 70, 30, 100, 65536, int(m.group()) + 1))), line)
    return "\n".join(lines)


def state():
    """Everything that a file could have changed, by kind and name."""
    found = {}
    for kind in KINDS:
        for item in API.get(BASE + kind)["items"]:
            found[kind, item["metadata"]["name"]] = (item["metadata"]["generation"], json.dumps(item["spec"], sort_keys=True))
    return found


texts = [open(f).read() for f in FILES]
crashed, half, unsaid, taken = [], [], [], 0
before = state()
path = os.path.join(DIR, "mutated.yaml")
for n in range(COUNT):
    text = mutate(random.choice(texts))
    with open(path, "w", errors="surrogateescape") as f:
        f.write(text)
    r = subprocess.run([MESHCTL, "apply", "-n", "coolapp", "--wait=false", "-f", path], capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
    after = state()
    if r.returncode not in (0, 1):
        crashed.append((n, r.returncode, r.stderr[-200:], text))
    said = len(re.findall(rb" (?:created|configured)\b", r.stdout))
    changed = [k for k in set(before) | set(after) if before.get(k) != after.get(k)]
    taken += r.returncode == 0
    if r.returncode != 0 and len(changed) > said:
        half.append((n, changed, r.stdout, r.stderr, text))
    if r.returncode != 0 and not r.stderr.strip():
        unsaid.append((n, text))
    before = after


def result(bad, name):
    print(("FAIL " if bad else "ok ") + name)
    for b in bad[:3]:
        print("    " + repr(b)[:1500])
    return bool(bad)


status = result(crashed, f"none of {COUNT} mutated files crashes meshctl")
status |= result(half, "what is refused changes nothing")
status |= result(unsaid, "every refusal says why")
status |= result([] if COUNT * 0.02 < taken < COUNT * 0.9 else [taken], f"the mutations are neither all good nor all bad ({taken} were taken)")
for key, (generation, spec) in before.items():  # for what follows: nothing of these stays
    if key[1] not in ("catalog", "ingress-gateway"):
        API.call("DELETE", BASE + key[0] + "/" + key[1])
sys.exit(status)
