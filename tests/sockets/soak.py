#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The soak: MINUTES (10) or MESSAGES, whichever is reached first, of numbered messages with checksums, over the L4 tier
and in a tunnel of the L7 tier at the same time, while bypass and splice are switched on and off. None may be lost,
doubled, changed or out of order. SEED (of the time) decides what is switched when."""
import os
import random
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab import INSIDE, L4_BASE, L7_BASE, PROGRAM, Failed, Lab  # noqa: E402

SECONDS = int(float(os.environ.get("MINUTES", "10")) * 60)
MESSAGES = int(float(os.environ.get("MESSAGES", "1e18")))
SEED = int(os.environ.get("SEED", time.time()))
SWITCH = os.environ.get("SWITCH", "1") == "1"
CONNECTIONS = {"tcp": 8, "upgrade": 4}


def counts(line):
    """The last report of the program."""
    return {w.split()[0]: int(w.split()[1]) for w in line.split("\t")[1:]}


def soak(lab, rng):
    children = {}
    for via, n in CONNECTIONS.items():
        l4 = via == "tcp"
        argv = lab.argv(INSIDE, "client", PROGRAM, "soak", "--via", via, "--to", lab.vips["l4" if l4 else "l7"],
                        "--port", str(L4_BASE if l4 else L7_BASE), "--helper", lab.helper(INSIDE), "--host", "l4" if l4 else "l7",
                        "--jobs", str(n), "--seconds", str(SECONDS), "--messages", str(MESSAGES), "--seed", str(SEED))
        children[via] = subprocess.Popen(argv, env=lab.env, stdin=subprocess.DEVNULL, stdout=open(f"{lab.dir}/soak-{via}", "w"), stderr=subprocess.STDOUT)
        lab.children.append(children[via])
    known = [w for w in ("bypass", "splice") if SWITCH and lab.switch(**{w: "on"}) is None]
    switched = 0
    end = time.monotonic() + SECONDS + 120
    while any(p.poll() is None for p in children.values()):
        if time.monotonic() > end:
            raise Failed("the soak does not end")
        time.sleep(rng.uniform(1, 6))
        if known:
            lab.switch(**{rng.choice(known): rng.choice(["on", "off"])})
            switched += 1
    return {via: p.returncode for via, p in children.items()}, known, switched


def main():
    if os.geteuid() != 0:
        print("skip soak: a lab is made of network namespaces, so only root can run it")
        return 0
    failed = 0
    with tempfile.TemporaryDirectory() as directory:
        lab = Lab(directory)
        try:
            lab.up()
            print(f"   seed {SEED}, {SECONDS} s", flush=True)
            results, known, switched = soak(lab, random.Random(SEED))
            for via, status in results.items():
                lines = open(f"{directory}/soak-{via}").read().splitlines()
                last = counts(lines[-1]) if lines and lines[-1].startswith("end\t") else {}
                wrong = [line for line in lines if line.startswith("wrong")]
                text = f"soak over {via}: " + (", ".join(f"{v} {k}" for k, v in last.items()) or "no report")
                # Only the splice tier may wake a recv() for nothing; its probe "two threads" announces it.
                if last.get("woken", 0) and "splice" not in known:
                    wrong.append(f"recv() said EAGAIN {last['woken']} times where it should have waited")
                if status == 0 and last.get("messages", 0) > 0 and not wrong:
                    print("ok " + text)
                else:
                    failed = 1
                    print("\n    ".join(["FAIL " + text, *wrong[:10], *([] if wrong else lines[-3:])]))
            for w in ("bypass", "splice"):
                if w not in known and SWITCH:
                    print(f"skip soak with {w} switched: this build does not know it")
            print(f"   switched {switched} times")
        except (Failed, subprocess.TimeoutExpired) as e:
            failed = 1
            print(f"FAIL soak: {e}")
        finally:
            lab.down()
    return failed


sys.exit(main())
