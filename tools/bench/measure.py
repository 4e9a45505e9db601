# SPDX-License-Identifier: Apache-2.0
"""What the benches share: the server, whole-machine CPU per request of a wrk run, bootstrap bounds over rounds."""
import os
import random
import re
import statistics
import time

BODY = "hello from upstream, one hundred bytes or so of body text to make it a bit realistic for a request.."
NGINX = """
worker_processes 1; daemon off; error_log /dev/null crit; pid {dir}/nginx-{name}.pid;
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 3600;
  client_body_temp_path {dir}/tmp; proxy_temp_path {dir}/tmp; fastcgi_temp_path {dir}/tmp; uwsgi_temp_path {dir}/tmp; scgi_temp_path {dir}/tmp;
  server {{ listen 8080 reuseport backlog=4096; location / {{ return 200 "{body}\\n"; }} }} }}
"""


def busy_us():
    """CPU time that was not idle, from the idle columns: they are exact where the tick is stopped, samples are not."""
    f = list(map(int, open("/proc/stat").readline().split()[1:]))
    return time.monotonic() * 1e6 * os.cpu_count() - (f[3] + f[4] + (f[7] if len(f) > 7 else 0)) * 1e4


def wrk(inside, url, load, secs):
    """A run of wrk by inside(*argv): CPU us per request of the whole machine, requests a second."""
    begin, busy = time.monotonic(), busy_us()
    out = inside("wrk", "-t1", f"-d{secs}", "--latency", *load, url)
    busy, took = busy_us() - busy, time.monotonic() - begin
    n = int(re.search(r"(\d+) requests in", out).group(1))
    bad = re.search(r"Non-2xx.*|Socket errors.*", out)
    if bad and "Non-2xx" in bad.group():
        raise RuntimeError(f"{url}: {bad.group()}")
    return {"us": busy / max(n, 1), "rps": n / took, "requests": n, "errors": bad.group() if bad else ""}


def bootstrap(rounds, value, samples=4000):
    """(2.5 %, median, 95 %, 97.5 %) of the median of value over resampled rounds."""
    rng = random.Random(1)
    n = len(rounds)
    got = sorted(statistics.median(value(rounds[rng.randrange(n)]) for _ in range(n)) for _ in range(samples))
    return got[int(samples * 0.025)], statistics.median(value(r) for r in rounds), got[int(samples * 0.95)], got[int(samples * 0.975)]
