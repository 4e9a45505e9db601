# SPDX-License-Identifier: Apache-2.0
"""What the bench says of its rounds: tables, and whether each claim's bound meets its limit."""
import statistics

from lab import ROWS
from measure import bootstrap

KEEP, NEW = ("keep1", "keep32"), ("new",)


def plain(r, what="us"):
    return (r["direct"][what] + r["direct2"][what]) / 2


def added(row):
    return lambda r: r[row]["us"] - plain(r)


def total(row):
    return lambda r: r[row]["us"] / plain(r)


def beside(row, other):
    return lambda r: added(row)(r) / added(other)(r)


def rate(row):
    return lambda r: r[row]["rps"] / plain(r, "rps")


# (loads, what is compared, rows that it needs, value of a round, limit, True: at most, False: at least)
CLAIMS = [
    (KEEP + NEW, "L4 tier / no mesh", ["l4"], total("l4"), 1.05, True),
    (KEEP, "L4 tier with bypass / no mesh", ["l4-bypass"], total("l4-bypass"), 1.0, True),
    (NEW, "L4 tier with bypass, as installed / no mesh", ["l4-bypass"], total("l4-bypass"), 1.05, True),
    (("keep32",), "L4 tier, spliced / no mesh", ["l4-splice"], total("l4-splice"), 0.65, True),
    (("keep32",), "L7 hop with bypass / no mesh", ["l7-bypass"], total("l7-bypass"), 1.85, True),
    (("keep32",), "L7 hop, spliced / no mesh", ["l7-splice"], total("l7-splice"), 1.1, True),
    (KEEP + NEW, "what the L7 hop adds / what HAProxy's one hop adds", ["l7", "haproxy"], beside("l7", "haproxy"), 1.0, True),
    (("keep32",), "the same with bypass", ["l7-bypass", "haproxy"], beside("l7-bypass", "haproxy"), 0.75, True),
    (("keep32",), "the same, spliced", ["l7-splice", "haproxy"], beside("l7-splice", "haproxy"), 0.1, True),
    (("keep32",), "what the L7 hop adds with bypass / what an Envoy pair adds", ["l7-bypass", "envoy-pair"], beside("l7-bypass", "envoy-pair"), 1 / 7, True),
    (("keep32",), "the same, spliced", ["l7-splice", "envoy-pair"], beside("l7-splice", "envoy-pair"), 1 / 50, True),
    (("1m",), "L7 hop, bodies of 1 MiB / no mesh", ["l7"], total("l7"), 2.0, True),
    (NEW, "L7 hop / HAProxy's one hop", ["l7", "haproxy"], lambda r: r["l7"]["us"] / r["haproxy"]["us"], 1.0, True),
    (NEW, "rate of the L4 tier, as installed / no mesh", ["l4-bypass"], rate("l4-bypass"), 0.95, False),
    (("bulk1", "bulk4"), "rate of the L4 tier / no mesh", ["l4"], rate("l4"), 0.95, False),
    (("bulk1", "bulk4"), "rate of the L4 tier with bypass / no mesh", ["l4-bypass"], rate("l4-bypass"), 0.95, False),
    (("bulk1", "bulk4"), "rate of the L4 tier, spliced / no mesh", ["l4-splice"], rate("l4-splice"), 0.95, False),
]


def figures(results, row):
    """Medians over the rounds: CPU us, its least and most, x no mesh, requests/s, the agent's CPU us, switches of tasks."""
    us = [x["us"] for x in results[row]]
    base = statistics.median(x["us"] for x in results["direct"])
    middle = {k: statistics.median(x[k] for x in results[row]) for k in ("us", "rps", "counter", "switches")}
    return middle["us"], min(us), max(us), middle["us"] / base, middle["rps"], middle["counter"], middle["switches"]


def table(results, latency, markdown=False):
    rows, wide = [(n, label) for n, label in ROWS if n in results], max(len(label) for _, label in ROWS)
    if markdown:
        lines = ["| | CPU us/request (min-max) | x no mesh | requests/s | agent us | switches |" + (" p50 / p90 / p99 us |" if latency else ""),
                 "|---|---|---|---|---|---|" + ("---|" if latency else "")]
    else:
        lines = [f"  {'':{wide}} {'CPU us/request (min-max)':>28} {'x no mesh':>10} {'requests/s':>11} {'agent us':>9} {'switches':>9}"
                 + ("   p50 / p90 / p99 us" if latency else "")]
    for n, label in rows:
        us, least, most, ratio, rps, agent, switches = figures(results, n)
        tail = "{:.0f} / {:.0f} / {:.0f}".format(*latency[n]) if latency else ""
        if markdown:
            lines.append(f"| {label} | {us:.1f} ({least:.1f}-{most:.1f}) | {ratio:.2f} | {rps:.0f} | {agent:.2f} | {switches:.2f} |" + (f" {tail} |" if latency else ""))
        else:
            lines.append(f"  {label:{wide}} " + f"{us:.1f} ({least:.1f}-{most:.1f})".rjust(28) + f" {ratio:10.2f} {rps:11.0f} {agent:9.2f} {switches:9.2f}   {tail}".rstrip())
    return lines


def judge(load, results):
    """Yields (claim, good, text) for the control and for each claim on this load whose rows were measured."""
    rounds = [{n: results[n][i] for n in results} for i in range(len(results["direct"]))]
    if "direct2" not in results:
        return
    low, _, middle, _, high = bootstrap(rounds, lambda r: r["direct2"]["us"] / r["direct"]["us"])
    good = 0.97 <= low and high <= 1.03
    yield "A/A control", good, f"{middle:.3f} ({low:.3f}-{high:.3f}), {'within' if good else 'NOT within'} 3 %"
    failed = {n: int(sum(x["failed"] for x in results[n])) for n in results}
    failed = {n: count for n, count in failed.items() if count}
    yield "no request failed", not failed, str(failed or "none did")
    for loads, what, needs, value, limit, at_most in CLAIMS:
        if load not in loads or any(n not in results for n in needs):
            continue
        _, lower, middle, upper, _ = bootstrap(rounds, value)
        bound, good = (upper, upper <= limit) if at_most else (lower, lower >= limit)
        words = ("upper", "<=") if at_most else ("lower", ">=")
        yield what, good, f"{middle:.3f}, {words[0]} 95 % bound {bound:.3f}, {words[1]} {limit:.3g}: {'ok' if good else 'NOT MET'}"


def chart(title, results):
    """An SVG with a bar for each row: CPU us per request."""
    rows = [(label, figures(results, n)[0], n) for n, label in ROWS if n in results and n != "direct2"]
    most, line, left = max(us for _, us, _ in rows), 26, 27 + 7 * max(len(label) for label, *_ in rows)
    width = left + 490
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{len(rows) * line + 40}" font-family="sans-serif" font-size="13">',
           f'<rect width="100%" height="100%" fill="white"/><text x="10" y="20" font-weight="bold">{title}: CPU us per request, whole machine</text>']
    for i, (label, us, n) in enumerate(rows):
        y, long = 34 + i * line, us / most * (width - left - 70)
        colour = "#2a7" if n.startswith(("l4", "l7")) else "#888" if n == "direct" else "#c74"
        out.append(f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{label}</text>'
                   f'<rect x="{left}" y="{y}" width="{long:.1f}" height="{line - 8}" fill="{colour}"/><text x="{left + long + 6:.1f}" y="{y + 14}">{us:.1f}</text>')
    return "\n".join(out) + "\n</svg>\n"
