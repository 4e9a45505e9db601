# SPDX-License-Identifier: Apache-2.0
"""What the benches share: the server, whole-machine CPU per request of clients that take short turns, bootstrap bounds over rounds."""
import random
import statistics
import subprocess

BODY = "hello from upstream, one hundred bytes or so of body text to make it a bit realistic for a request.."
NGINX = """
worker_processes 1; daemon off; error_log /dev/null crit; pid {dir}/nginx-{name}.pid;
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 3600;
  client_body_temp_path {dir}/tmp; proxy_temp_path {dir}/tmp; fastcgi_temp_path {dir}/tmp; uwsgi_temp_path {dir}/tmp; scgi_temp_path {dir}/tmp;
  server {{ listen 8080 reuseport backlog=4096; root {dir}/www; sendfile on;
    location = / {{ return 200 "{body}\\n"; }} }} }}
"""


class Client:
    """A client of tools/bench/client.c that runs in a pod: argv starts it there."""

    def __init__(self, argv):
        self.argv = argv
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def slice(self, ms):
        """Of one slice: requests, failed requests, CPU us of the whole machine, us that passed, switches of tasks."""
        self.process.stdin.write(f"{ms}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self.argv)}: ended with {self.process.wait()}")
        return list(map(float, line.split()))

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def take_turns(clients, repeats, slice_ms, counter=lambda: 0, turn=lambda row: None):
    """
    A round: every client has its slices (repeats, 3 unless told), in an order that is drawn anew, each after turn(row).
    counter: something that grows with the work done. Returns row -> figures.
    """
    order = [n for n in clients for _ in range(repeats.get(n, 3))]
    sums = {n: [0.0] * 6 for n in clients}
    random.shuffle(order)
    for n in order:
        turn(n)
        before = counter()
        got = clients[n].slice(slice_ms)
        sums[n] = [a + b for a, b in zip(sums[n], got + [counter() - before])]
    result = {}
    for n, (requests, failed, busy, wall, switches, count) in sums.items():
        if not requests:
            raise RuntimeError(f"row {n}: no request was answered, {failed:.0f} failed")
        result[n] = {"us": busy / requests, "rps": requests * 1e6 / wall, "requests": requests, "failed": failed,
                     "switches": switches / requests, "counter": count / requests}
    return result


def bootstrap(rounds, value, samples=4000):
    """(2.5 %, 5 %, median, 95 %, 97.5 %) of the median of value over resampled rounds."""
    rng = random.Random(1)
    n = len(rounds)
    got = sorted(statistics.median(value(rounds[rng.randrange(n)]) for _ in range(n)) for _ in range(samples))
    return got[int(samples * 0.025)], got[int(samples * 0.05)], statistics.median(value(r) for r in rounds), got[int(samples * 0.95)], got[int(samples * 0.975)]
