# SPDX-License-Identifier: Apache-2.0
"""What the cases saw, compared: records of two runs, and the differences that are known and why."""
import fnmatch
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
KNOWN = HERE + "/differences.txt"


class Run:
    """The records of one run of the program: case -> what it saw, what it must hold to and did not, how it ended."""

    def __init__(self, text):
        self.seen, self.notes, self.broken, self.ended, self.skipped, self.ms = {}, {}, {}, {}, {}, {}
        for line in text.splitlines():
            parts = line.split("\t")
            if len(parts) != 4:
                continue
            case, kind, key, value = parts
            if kind == "see":
                seen = self.seen.setdefault(case, {})
                n = 2
                name = key
                while name in seen:  # the same thing seen again
                    name, n = f"{key} ({n})", n + 1
                seen[name] = value
            elif kind == "note":
                self.notes.setdefault(case, {})[key] = value
            elif kind == "must":
                self.broken.setdefault(case, []).append(value)
            elif kind == "skip":
                self.skipped[case] = value
            elif kind == "end":
                self.ms[case] = int(key)
                self.ended[case] = value

    def take(self, other, case):
        """That case's records become those of another run."""
        for name in ("seen", "notes", "broken", "ended", "skipped", "ms"):
            mine, others = getattr(self, name), getattr(other, name)
            mine.pop(case, None)
            if case in others:
                mine[case] = others[case]

    def bad(self, case):
        """What is wrong with a case by itself, in whatever mode."""
        if case not in self.ended:
            return ["it did not run"]
        wrong = list(self.broken.get(case, []))
        if self.ended[case] != "done":
            wrong.append(self.ended[case])
        return wrong


def differences(plain, run, case):
    """(key, plain's value, this run's value) of what is not the same."""
    a, b = plain.seen.get(case, {}), run.seen.get(case, {})
    return [(k, a.get(k, "-"), b.get(k, "-")) for k in list(a) + [k for k in b if k not in a] if a.get(k) != b.get(k)]


class Known:
    """tests/sockets/differences.txt."""

    def __init__(self, path=KNOWN):
        self.rows, self.reasons, self.probes, self.modes = [], {}, {}, []
        for number, line in enumerate(open(path), 1):
            line = line.rstrip("\n")
            if not line or line.startswith("#"):
                continue
            parts = line.split("\t")
            if parts[0] == "reason" and len(parts) in (3, 4):
                self.reasons[parts[1]] = parts[2]
                self.probes[parts[1]] = parts[3].split("|") if len(parts) == 4 else []
            elif parts[0] == "modes" and len(parts) == 2:
                self.modes = parts[1].split()
            elif len(parts) == 6 and parts[4] in ("always", "sometimes"):
                modes, vias, case, key, how, reason = parts
                self.rows.append({"modes": modes.split(","), "vias": vias.split(","), "case": case, "key": key,
                                  "always": how == "always", "reason": reason, "line": number, "used": set(), "tried": set()})
            else:
                raise SystemExit(f"{path}:{number}: neither \"modes\", nor \"reason NAME TEXT [PROBES]\", nor \"MODES VIAS CASE KEY always|sometimes REASON\"")
        for r in self.rows:
            if r["reason"] not in self.reasons:
                raise SystemExit(f"{path}:{r['line']}: no reason is named {r['reason']}")
            if "(broken)" in r["key"] and not all("splice" in m for m in r["modes"]):
                raise SystemExit(f"{path}:{r['line']}: wrong bytes and calls without end are for splice's probes to announce, and for nothing else")
            if any(m.startswith("l4") and "splice" in m for m in r["modes"]) and not self.probes[r["reason"]]:
                raise SystemExit(f"{path}:{r['line']}: no probe announces {r['reason']}, and splice may differ in nothing else")
            for mode in ("l4", "l4+bypass"):
                if mode in r["modes"]:
                    raise SystemExit(f"{path}:{r['line']}: {mode} may not differ from plain TCP")

    def of(self, mode, case):
        return [r for r in self.rows if mode.tier in r["modes"] and case == r["case"] and (mode.via in r["vias"] or r["vias"] == ["*"])]

    def explains(self, mode, case, key):
        for r in self.of(mode, case):
            if any(fnmatch.fnmatchcase(key, pattern) for pattern in r["key"].split("|")):
                return r
        return None

    def stale(self):
        """Rows of differences that are always there, and were not."""
        return [(r, m) for r in self.rows if r["always"] for m in sorted(r["tried"] - r["used"])]

    def announced(self, reason, differing):
        """Whether a difference may be there, by what the kernel's probes say; the hop's own need none."""
        return not self.probes[reason] or any(p in differing for p in self.probes[reason])

    def unseen(self, differing):
        """Probes that announce what no case has seen."""
        seen = {p for r in self.rows if r["used"] for p in self.probes[r["reason"]]}
        return [p for p in differing if p not in seen]

    def text(self, reason):
        names = ", ".join(f'"{p}"' for p in self.probes[reason])
        return (f"Probe {names}: " if names else "") + self.reasons[reason]

    def number(self, reason):
        return list(self.reasons).index(reason) + 1


def table(known, cases, tiers):
    """Markdown: a row for each case, a column for each tier."""
    lines = ["| case | what | " + " | ".join(t.title for t in tiers) + " |", "|---|---|" + "---|" * len(tiers)]
    for name, what, vias in cases:
        lines.append(f"| {name} | {what.replace('|', chr(92) + '|')} | " + " | ".join(cell(known, t, name, vias) for t in tiers) + " |")
    lines.append("")
    lines += [f"{known.number(name)}. {known.text(name)}" for name in known.reasons]
    return "\n".join(lines)


def cell(known, tier, case, vias):
    """"=": nothing differs; numbers: of the reasons; "-": the case makes no sense there; "?": not run yet."""
    own = [v for v in tier.vias if v in vias]
    if not own:
        return "-"
    if tier.name not in known.modes:
        return "?"
    by_via = {}
    for r in known.rows:
        if tier.name in r["modes"] and r["case"] == case:
            for v in own if r["vias"] == ["*"] else [v for v in r["vias"] if v in own]:
                by_via.setdefault(v, set()).add(known.number(r["reason"]))
    if not by_via:
        return "="
    texts = {v: ", ".join(str(n) for n in sorted(numbers)) for v, numbers in by_via.items()}
    if len(texts) == len(own) and len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    groups = {}
    for v in own:
        groups.setdefault(texts.get(v, "="), []).append(v)
    return "; ".join(f"{'/'.join(vs)}: {t}" for t, vs in groups.items())


SECTION = re.compile(r"(<!-- sockets-table -->\n).*?(<!-- end -->)", re.S)


def section_of(path):
    m = SECTION.search(open(path).read())
    return m.group(0) if m else None


def write_section(path, text):
    whole = open(path).read()
    if not SECTION.search(whole):
        raise SystemExit(f"{path}: no line <!-- sockets-table -->")
    new = SECTION.sub(lambda m: m.group(1) + text + "\n" + m.group(2), whole)
    if new != whole:
        with open(path, "w") as f:
            f.write(new)
    return new != whole
