#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The socket conformance suite: every case over plain TCP and over each way of the mesh, and what was seen compared.
The quick part unless SOCKETS=full. See docs/sockets.md.

usage: tests/sockets/run.py [--full] [--tiers l4,l7,...] [--table] [--keep FILE] [CASE...]"""
import argparse
import concurrent.futures
import json
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab import BUILD, INSIDE, JOBS, L4_BASE, L7_BASE, OUTSIDE, PORTS, PROGRAM, ROOT, Failed, Lab  # noqa: E402
from records import Known, Run, differences, section_of, table, write_section  # noqa: E402

DOC = ROOT + "/docs/sockets.md"
AT_A_TIME = 3
AGAIN_MOST = 12  # of all cases of a mode
AGAIN = 2  # how often a case that differs is run again, alone: a machine under load is no difference


class Tier:
    """A column of the table."""

    def __init__(self, name, title, vias, **words):
        self.name, self.title, self.vias, self.words = name, title, vias, words


HTTP = ["upgrade", "connect", "body"]
TIERS = [
    Tier("l4", "L4", ["tcp"], bypass="off", splice="off"),
    Tier("l4+bypass", "L4 + bypass", ["tcp"], bypass="on", splice="off"),
    Tier("l4+splice", "L4 + splice", ["tcp"], bypass="off", splice="on"),
    Tier("l4+bypass+splice", "L4 + both", ["tcp"], bypass="on", splice="on"),
    Tier("l7", "L7", HTTP, bypass="off", splice="off"),
    Tier("l7+splice", "L7 + splice", HTTP, bypass="off", splice="on"),
]


class Mode:
    """One run of the program."""

    def __init__(self, tier, via, base):
        self.tier, self.via, self.base = tier, via, base
        self.name = tier if via == "tcp" else f"{tier} {via}"


def modes_of(tiers, full):
    """The runs that are compared with, then those of each tier, in groups by what the switches are set to."""
    http = HTTP if full else HTTP[:1]
    vias = [v for v in ["tcp"] + http if v == "tcp" or any(v in t.vias for t in tiers)]
    plain = [Mode("plain", v, L4_BASE + PORTS * i) for i, v in enumerate(vias)]
    plain.append(Mode("again", "tcp", L4_BASE + PORTS * len(vias)))
    groups = {}
    for t in tiers:
        runs = groups.setdefault(tuple(sorted(t.words.items())), [])
        for i, v in enumerate(v for v in t.vias if v in vias):
            runs.append(Mode(t.name, v, L4_BASE if v == "tcp" else L7_BASE + PORTS * i))
    return plain, groups


QUICK = "l4,l4+bypass,l4+splice,l7,l7+splice"


class Suite:
    def __init__(self, lab, args):
        self.lab, self.args, self.failed, self.runs = lab, args, 0, {}
        self.differing = None  # the probes of splice that are not as over TCP on this kernel

    def ok(self, text):
        print("ok " + text, flush=True)

    def fail(self, text, *details):
        self.failed += 1
        print("\n    ".join(["FAIL " + text, *details]), flush=True)

    def run(self, mode, names, jobs=JOBS):
        lab = self.lab
        if mode.tier in ("plain", "again"):
            ns, to, host = OUTSIDE, lab.server_ips[OUTSIDE], "server"
        elif mode.via == "tcp":
            ns, to, host = INSIDE, [lab.vips["l4"]] + ([lab.vip6] if lab.vip6 else []), "l4"
        else:
            ns, to, host = INSIDE, [lab.vips["l7"]], "l7"
        to = ",".join([ip for ip in to if ":" not in ip][:1] + [ip for ip in to if ":" in ip][:1])
        argv = [PROGRAM, "run", "--via", mode.via, "--to", to, "--port", str(mode.base), "--helper", lab.helper(ns),
                "--host", host, "--jobs", str(jobs), *(["--full"] if self.args.full else []), *names]
        r = lab.inside(ns, "client", *argv, check=False, timeout=1500)
        if r.returncode != 0:
            raise Failed(f"{mode.name}: {r.stderr.strip()[-500:] or 'exit status ' + str(r.returncode)}")
        return Run(r.stdout)

    def run_group(self, modes):
        with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
            futures = {m: pool.submit(self.run, m, self.args.cases) for m in modes}
            for m, f in futures.items():
                self.runs[m.name] = f.result()

    def wrong(self, mode, case, known):
        """What is wrong with a case in a mode: text lines. Marks the known differences that it used."""
        run, plain = self.runs[mode.name], self.plain_of(mode)
        wrong = run.bad(case)
        if case in run.skipped or case in plain.skipped:
            return wrong if run.skipped.get(case) == plain.skipped.get(case) else wrong + [f"skipped: {run.skipped.get(case)}; plain: {plain.skipped.get(case)}"]
        rows = known.of(mode, case)
        found = differences(plain, run, case)
        used = set()
        broken = known.explains(mode, case, "(broken)") if wrong else None
        if broken and self.announced(known, broken):
            used.add(id(broken))
            wrong = []
        for key, a, b in found:
            r = known.explains(mode, case, key)
            if r and self.announced(known, r):
                used.add(id(r))
            else:
                wrong.append(f"{key}: {b}, plain TCP: {a}" + (f" (and no probe announces it: {', '.join(known.probes[r['reason']])})" if r else ""))
        for r in rows:
            r["tried"].add(mode.name)
            if id(r) in used:
                r["used"].add(mode.name)
        return wrong

    def announced(self, known, row):
        return self.differing is None or known.announced(row["reason"], self.differing)

    def plain_of(self, mode):
        return self.runs["plain"] if mode.via == "tcp" else self.runs[f"plain {mode.via}"]

    def judge(self, mode, known, plain_mode):
        """Compares a mode with plain TCP; prints its lines."""
        run, repeated, failing, again = self.runs[mode.name], [], {}, AGAIN_MOST
        cases = sorted(set(run.ended) | set(self.plain_of(mode).ended))
        for case in cases:
            wrong = self.wrong(mode, case, known)
            for _ in range(AGAIN):
                # Bytes that were wrong once are wrong, and so is what hangs; many differences are not the machine's.
                if not wrong or again == 0 or (run.bad(case) and not known.explains(mode, case, "(broken)")):
                    break
                again -= 1
                repeated.append(case)
                self.plain_of(mode).take(self.run(plain_mode, [case], 1), case)
                run.take(self.run(mode, [case], 1), case)
                wrong = self.wrong(mode, case, known)
            if wrong:
                failing[case] = wrong
        for case, wrong in failing.items():
            self.fail(f"{mode.name}: {case}", *wrong[:12])
        for case, why in sorted(run.skipped.items()):
            print(f"skip {mode.name}: {case}: {why}", flush=True)
        seen = sum(len(v) for v in run.seen.values())
        note = f"; run again: {', '.join(sorted(set(repeated)))}" if repeated else ""
        if not failing:
            self.ok(f"{mode.name}: {len(cases)} cases, {seen} observations as plain TCP has them, or as the table says{note}")


def cases_of():
    out = subprocess.run([PROGRAM, "list"], capture_output=True, text=True, check=True).stdout
    return [line.split("\t") for line in out.splitlines()]


def table_text(known):
    return table(known, [(name, what, vias.split(",")) for name, what, vias, _ in cases_of()], TIERS)


def check_table(suite, known, names):
    """The committed table is what the known differences give, which the runs have just been held to."""
    text = table_text(known)
    if not names:
        if text in (section_of(DOC) or ""):
            suite.ok("the table of docs/sockets.md is what the run gives")
        else:
            suite.fail("the table of docs/sockets.md is not what the run gives: make sockets-table")


def ask_probes(suite, known):
    """What splice changes on this kernel, by its own probes: nothing else may the cases see."""
    verdicts = suite.lab.probes()
    suite.differing = [name for name, same in verdicts.items() if not same]
    unknown = sorted({p for probes in known.probes.values() for p in probes} - set(verdicts))
    if unknown:
        suite.fail("splice's probes", *[f"tests/sockets/differences.txt names \"{p}\", and there is no such probe" for p in unknown])
    print(f"   splice's probes: {len(verdicts)}, not as over TCP: {', '.join(suite.differing) or 'none'}", flush=True)


def whole(suite, known):
    args = suite.args
    wanted = (args.tiers or ("" if args.full else QUICK)).split(",")
    tiers = [t for t in TIERS if t.name in wanted or wanted == [""]]
    plain, groups = modes_of(tiers, args.full)
    by_via = {m.via: m for m in plain if m.tier == "plain"}
    suite.run_group(plain)
    suite.judge(plain[-1], known, by_via["tcp"])
    for m in plain[:-1]:
        bad = {c: w for c in suite.runs[m.name].ended if (w := suite.runs[m.name].bad(c))}
        for case, wrong in bad.items():
            suite.fail(f"{m.name}: {case}", *wrong)
    if any("splice" in t.name for t in tiers):
        ask_probes(suite, known)
    for words, modes in groups.items():
        why = suite.lab.switch(**dict(words))
        if why:
            for m in modes:
                print(f"skip {m.name}: this build cannot: {why}", flush=True)
            continue
        suite.run_group(modes)
        for m in modes:
            suite.judge(m, known, by_via[m.via])
    if suite.differing is not None and not args.cases:
        for name in known.unseen(suite.differing):
            print(f"   splice's probe \"{name}\" announces a difference that no case has seen", flush=True)
    if not args.cases:
        for r, mode in known.stale():
            suite.fail(f"{mode}: {r['case']}: {r['key']} is as plain TCP has it; tests/sockets/differences.txt:{r['line']} says that it differs")
    check_table(suite, known, args.cases)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--full", action="store_true", default=os.environ.get("SOCKETS") == "full")
    ap.add_argument("--tiers", default=os.environ.get("TIERS", ""))
    ap.add_argument("--table", action="store_true", help="write the table of docs/sockets.md, and run nothing")
    ap.add_argument("--keep", help="write everything that was seen there, as JSON")
    ap.add_argument("cases", nargs="*")
    args = ap.parse_args()
    if args.table:
        print("docs/sockets.md: " + ("written" if write_section(DOC, table_text(Known())) else "as it was"))
        return 0
    if os.geteuid() != 0:
        print("skip sockets: a lab is made of network namespaces, so only root can run it")
        return 0
    if not os.path.exists(PROGRAM):
        print(f"FAIL sockets: {os.path.relpath(PROGRAM, ROOT)} is not there; make sockets-program builds it")
        return 1
    known = Known()
    with tempfile.TemporaryDirectory() as directory:
        lab = Lab(directory)
        suite = Suite(lab, args)
        try:
            lab.up()
            whole(suite, known)
        except (Failed, subprocess.TimeoutExpired) as e:
            suite.fail("sockets", str(e))
        finally:
            lab.down()
    if args.keep:
        with open(args.keep, "w") as f:
            json.dump({n: {"seen": r.seen, "notes": r.notes, "broken": r.broken, "ended": r.ended, "ms": r.ms} for n, r in suite.runs.items()}, f, indent=1)
    return 1 if suite.failed else 0


if __name__ == "__main__":
    assert BUILD
    sys.exit(main())
