#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The soak: MINUTES (10) or MESSAGES, whichever is reached first, of numbered messages with checksums, over the L4 tier
and in a tunnel of the L7 tier at the same time, while bypass and splice are switched on and off and (KILLS) the agent is
killed. None may be lost, doubled, changed or out of order; a tunnel may end with the agent that it goes through, and
nothing else may. SEED (of the time) decides what is done when.

KILLS=S       an agent is killed about every S seconds (90; 0: never)
SWITCH=0      nothing is switched
NICE=N        what sends and receives is so much nicer than the mesh (0)
LOG=FILE      a line each minute is added there, and the results
UNTIL=FILE    it ends, with true counts, when that file is there (LOG.stop if LOG is set); SIGTERM does the same"""
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab import INSIDE, L4_BASE, L7_BASE, PROGRAM, Failed, Lab, wait_for  # noqa: E402

SECONDS = int(float(os.environ.get("MINUTES", "10")) * 60)
MESSAGES = int(float(os.environ.get("MESSAGES", "1e18")))
SEED = int(os.environ.get("SEED", time.time()))
SWITCH = os.environ.get("SWITCH", "1") == "1"
KILLS = float(os.environ.get("KILLS", "90"))
NICE = os.environ.get("NICE", "0")
LOG = os.environ.get("LOG")
UNTIL = os.environ.get("UNTIL", LOG + ".stop" if LOG else "")
CONNECTIONS = {"tcp": 8, "upgrade": 4}
LAST = 600  # seconds for what is under way at the end
BACK = 600  # for the next agent, on however busy a machine
AROUND_A_KILL = 75  # seconds after the next agent is there; one that could not connect meanwhile gives up after 60


def say(text):
    print(text, flush=True)
    if LOG:
        with open(LOG, "a") as f:
            f.write(text + "\n")


def counts(line):
    """A report of the program."""
    return {w.rsplit(" ", 1)[0]: int(w.rsplit(" ", 1)[1]) for w in line.split("\t")[1:]}


class Soak:
    def __init__(self, lab, rng):
        self.lab, self.rng, self.children = lab, rng, {}
        self.begin = time.time()
        self.end = self.begin + SECONDS
        self.until = UNTIL or lab.dir + "/stop"
        self.kills, self.switched, self.refused, self.known = [], 0, 0, set()
        self.next_kill = self.begin + self.pause() if KILLS else float("inf")

    def pause(self):
        return self.rng.uniform(0.5, 1.5) * KILLS

    def start(self):
        lab = self.lab
        for via, n in CONNECTIONS.items():
            l4 = via == "tcp"
            argv = lab.argv(INSIDE, "client", PROGRAM, "soak", "--via", via, "--to", lab.vips["l4" if l4 else "l7"],
                            "--port", str(L4_BASE if l4 else L7_BASE), "--helper", lab.helper(INSIDE), "--host", "l4" if l4 else "l7",
                            "--jobs", str(n), "--seconds", str(SECONDS), "--messages", str(MESSAGES), "--seed", str(SEED), "--until", self.until)
            self.children[via] = subprocess.Popen(["nice", "-n", NICE, *argv], env=lab.env, stdin=subprocess.DEVNULL, stdout=open(f"{lab.dir}/soak-{via}", "w"), stderr=subprocess.STDOUT)
            lab.children.append(self.children[via])

    def lines(self, via):
        with open(f"{self.lab.dir}/soak-{via}") as f:
            return f.read().splitlines()

    def last(self, via, kinds=("so far\t", "end\t")):
        return next((counts(line) for line in reversed(self.lines(via)) if line.startswith(kinds)), {})

    def progress(self):
        now, last = time.time() - self.begin, {via: self.last(via) for via in self.children}
        total = sum(c.get("messages", 0) for c in last.values())
        bad = {k: sum(c.get(k, 0) for c in last.values()) for k in ("wrong", "broken", "woken")}
        say(f"   {time.strftime('%H:%M:%S')} {now / 60:.1f} min: {total} messages ({total / max(now, 1):.0f}/s), "
            f"{sum(c.get('sends', 0) for c in last.values())} sends, {sum(c.get('bytes', 0) for c in last.values())} bytes, "
            f"{sum(c.get('connections', 0) for c in last.values())} connections; wrong {bad['wrong']}, over L4 broken {last['tcp'].get('broken', 0)}, "
            f"tunnels broken {last['upgrade'].get('broken', 0)}, woken {bad['woken']}; switched {self.switched} times, agent killed {len(self.kills)} times")

    def switch(self, name, word):
        """A word of the data plane; it may be that no agent is there to hear it."""
        try:
            if self.lab.switch(**{name: word}) is None:
                self.known.add(name)
                self.switched += 1
                return
        except (Failed, subprocess.TimeoutExpired):
            pass
        self.refused += 1

    def kill(self):
        begin = time.time()
        before = self.lab.kill_agent()
        wait_for(lambda: self.lab.agent() not in (None, before), BACK, "another agent after one was killed")
        self.kills.append((begin, time.time()))
        self.next_kill = time.time() + self.pause()

    def run(self):
        for name in ("bypass", "splice") if SWITCH else ():
            self.switch(name, "on")
        self.start()
        minute = self.begin
        while any(p.poll() is None for p in self.children.values()):
            if time.time() > self.end + LAST:
                raise Failed("the soak does not end")
            if time.time() > minute + 60:
                minute += 60
                self.progress()
            time.sleep(self.rng.uniform(1, 10))
            if os.path.exists(self.until):
                self.end = min(self.end, time.time())
            elif time.time() > self.next_kill and time.time() < self.end - 5:
                self.kill()
            elif self.known:
                self.switch(self.rng.choice(sorted(self.known)), self.rng.choice(["on", "off"]))
        self.progress()

    def give_up(self):
        """What was counted counts all the same."""
        open(self.until, "w").close()
        for p in self.children.values():
            try:
                p.wait(LAST)
            except subprocess.TimeoutExpired:
                say("    and a program of it does not end")

    def excused(self, via, line):
        """A tunnel goes through the agent, and ends with it."""
        if via == "tcp":
            return False
        at = line.split("\t")[1]
        return at.isdigit() and any(begin - 1 <= int(at) <= end + AROUND_A_KILL for begin, end in self.kills)

    def judge(self, via):
        """Returns whether nothing was wrong."""
        lines, last = self.lines(via), self.last(via, ("end\t",))
        bad = [line for line in lines if line.startswith("wrong\t")]
        wrong = [line.replace("\t", " ") for line in bad if not self.excused(via, line)]
        wrong += [f"{last.get('wrong')} messages are wrong"] if last.get("wrong") else []
        # Only the splice tier may wake a recv() for nothing; its probe "two threads" announces it.
        if last.get("woken") and "splice" not in self.known:
            wrong.append(f"recv() said EAGAIN {last['woken']} times where it should have waited")
        text = f"soak over {via}: " + (", ".join(f"{v} {k}" for k, v in last.items()) or "no report")
        text += f"; {len(bad)} ended with one of {len(self.kills)} killed agents" if bad and not wrong else ""
        if last.get("messages", 0) > 0 and not wrong:
            say("ok " + text)
            return True
        said = [line.replace("\t", " ") for line in lines if line.startswith("soak\tmust\t")]
        say("\n    ".join(["FAIL " + text, *wrong[:20], *said[:10], *([] if wrong else lines[-3:])]))
        return False

    def ways(self):
        """How many messages took which way at the splice program."""
        try:
            rows = self.lab.agent_status()["dataplane"]["splice"]["ways"]
            return ", ".join(f"{r['way']} {r['messages']}" for r in rows if r["messages"])
        except (Failed, subprocess.TimeoutExpired, KeyError, TypeError, ValueError) as e:
            return f"unknown: {e}"


def run(directory):
    lab = Lab(directory, keep=bool(KILLS))
    try:
        lab.up()
        say(f"   seed {SEED}, {SECONDS} s; ends sooner when {UNTIL or 'SIGTERM'} is there")
        soak = Soak(lab, random.Random(SEED))
        signal.signal(signal.SIGTERM, lambda *_: open(soak.until, "w").close())
        try:
            soak.run()
            good = []
        except (Failed, subprocess.TimeoutExpired) as e:
            say("\n    ".join([f"FAIL soak: {e}", *lab.agent_log(30)]))
            good = [False]
            soak.give_up()
        good += [soak.judge(via) for via in CONNECTIONS]
        say(f"   splice's ways: {soak.ways()}")
        say(f"   switched {soak.switched} times ({soak.refused} times nobody listened), {len(soak.kills)} agents killed, in {time.time() - soak.begin:.0f} s")
        for w in ("bypass", "splice"):
            if w not in soak.known and SWITCH:
                say(f"skip soak with {w} switched: this build does not know it")
        return 0 if all(good) else 1
    except (Failed, subprocess.TimeoutExpired) as e:
        say(f"FAIL soak: {e}")
        return 1
    finally:
        lab.down()


def main():
    if os.geteuid() != 0:
        print("skip soak: a lab is made of network namespaces, so only root can run it")
        return 0
    if UNTIL and os.path.exists(UNTIL):
        print(f"FAIL soak: {UNTIL} is there already: it would end at once")
        return 1
    with tempfile.TemporaryDirectory() as directory:
        return run(directory)


sys.exit(main())
