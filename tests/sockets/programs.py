#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real programs over plain TCP and over each way of the mesh: servers in the server pod, clients in the client pod,
and what the clients saw compared. A program that is not installed is a loud skip that names its package."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab import INSIDE, OUTSIDE, PROGRAM_PORTS, Failed, Lab, wait_for  # noqa: E402
from run import TIERS  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__)) + "/programs"
POSTGRES = next((d for v in range(20, 12, -1) if os.path.exists(f"{(d := f'/usr/lib/postgresql/{v}/bin')}/initdb")), "")
# name: what must be there, the package that has it
NEEDS = {"curl": "curl", "nginx": "nginx-light", "haproxy": "haproxy", "node": "nodejs", "python3": "python3", "redis-server": "redis-server",
         "redis-cli": "redis-tools", "iperf3": "iperf3", "openssl": "openssl", "setpriv": "util-linux"}


class Place:
    """A server pod, a client pod, and the address by which the one reaches the other."""

    def __init__(self, lab, ns, host, tier):
        self.lab, self.ns, self.host, self.tier = lab, ns, host, tier

    def client(self, *argv, check=True, timeout=120, stdin=None):
        r = self.lab.inside(self.ns, "client", *argv, check=False, timeout=timeout, stdin=stdin)
        if check and r.returncode != 0:
            raise Failed(f"{' '.join(argv)[:300]}: exit status {r.returncode}: {(r.stderr or r.stdout)[-500:]}")
        return r.stdout

    def sh(self, script, **kw):
        return self.client("bash", "-o", "pipefail", "-c", script, **kw)


class Program:
    """needs: programs; tiers it makes sense in; start(lab, ns, dir) runs its server; work(place, port) says what a client saw."""

    needs, l7 = (), False

    def missing(self):
        return [NEEDS[n] for n in self.needs if not shutil.which(n)]

    def stop(self, lab, ns):
        pass


def write(path, text):
    with open(path, "w") as f:
        f.write(text)
    return path


class Nginx(Program):
    name, needs, l7 = "nginx", ("nginx", "curl"), True
    config = """
worker_processes 2; daemon off; error_log /dev/null crit; pid {d}/nginx.pid;
events {{ worker_connections 1024; multi_accept on; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000; client_max_body_size 0;
  client_body_temp_path {d}/t1; proxy_temp_path {d}/t2; fastcgi_temp_path {d}/t3; uwsgi_temp_path {d}/t4; scgi_temp_path {d}/t5;
  server {{ listen {port}; root {d}/files; location = /sum {{ return 200 "$request_body$content_length\\n"; }} }} }}
"""

    def start(self, lab, ns, d):
        os.makedirs(d + "/files", exist_ok=True)
        for name, size in (("small", 100), ("middle", 100001), ("large", 24 << 20)):
            subprocess.run(["sh", "-c", f"openssl enc -aes-128-ctr -pass pass:{name} -nosalt -pbkdf2 < /dev/zero 2>/dev/null | head -c {size} > {d}/files/{name}"], check=True)
        os.chmod(d, 0o755)
        lab.start(ns, "server", "nginx", "-c", write(d + "/nginx.conf", self.config.format(d=d, port=PROGRAM_PORTS["nginx"])), log=f"nginx-{ns}")

    def work(self, p, port):
        base = f"http://{p.host}:{port}"
        return {
            "files": p.sh(f"for f in small middle large; do curl -sf -m 60 {base}/$f | sha256sum; done"),
            "ranges": p.sh(f"curl -sf -m 60 -r 5000000-9000000 {base}/large | sha256sum; curl -sf -r 0-0 {base}/large | od -c | head -1"),
            "200 on a connection": p.sh(f"curl -sf -m 60 -w '%{{num_connects}} %{{http_code}}\\n' -o /dev/null '{base}/middle?[1-200]' | sort | uniq -c"),
            "16 at a time": p.sh(f"curl -sf -m 60 -Z --parallel-max 16 '{base}/middle?[1-64]' -o /dev/null -w '%{{http_code}} %{{size_download}}\\n' | sort | uniq -c"),
            "errors": p.sh(f"curl -s -o /dev/null -w '%{{http_code}}' {base}/none; curl -sI {base}/small | grep -i ^content-length"),
            "a slow reader": p.sh(f"curl -sf -m 60 --limit-rate 8M {base}/large -r 0-12000000 | sha256sum"),
        }


class Haproxy(Program):
    """In the client pod, between the client and the mesh: TCP with splice, and HTTP."""

    name, needs = "HAProxy", ("haproxy", "nginx", "curl")
    config = """
global
  nbthread 2
defaults
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen tcp
  mode tcp
  option splice-auto
  bind 127.0.0.1:7490
  server s {host}:{port}
listen http
  mode http
  option splice-auto
  http-reuse always
  bind 127.0.0.1:7491
  server s {host}:{port}
"""

    def start(self, lab, ns, d):
        pass

    def work(self, p, _):
        port = PROGRAM_PORTS["nginx"]
        conf = write(f"{p.lab.dir}/haproxy-{p.tier}.cfg", self.config.format(host=p.host, port=port))
        # It ends with the shell that started it.
        around = f"haproxy -db -f {conf} > /dev/null 2>&1 & H=$!; trap 'kill $H; wait $H 2> /dev/null' EXIT; for i in $(seq 50); do curl -s -o /dev/null http://127.0.0.1:7490/small && break; sleep 0.1; done; "
        return {
            "tcp": p.sh(around + "for f in small middle large; do curl -sf -m 60 http://127.0.0.1:7490/$f | sha256sum; done"),
            "http": p.sh(around + "for f in small middle large; do curl -sf -m 60 http://127.0.0.1:7491/$f | sha256sum; done; "
                         "curl -sf -m 60 -Z --parallel-max 8 'http://127.0.0.1:7491/middle?[1-64]' -o /dev/null -w '%{http_code} %{size_download}\\n' | sort | uniq -c"),
        }


class Node(Program):
    name, needs, l7 = "node", ("node",), True

    def start(self, lab, ns, d):
        lab.start(ns, "server", "node", HERE + "/node_server.js", str(PROGRAM_PORTS["node"]), log=f"node-{ns}")

    def work(self, p, port):
        return {"http": p.client("node", HERE + "/node_client.js", p.host, str(port))}


class Python(Program):
    name, needs = "python", ("python3",)

    def start(self, lab, ns, d):
        lab.start(ns, "server", "python3", HERE + "/echo_server.py", str(PROGRAM_PORTS["python"]), log=f"python-{ns}")

    def work(self, p, port):
        return {"asyncio": p.client("python3", HERE + "/echo_client.py", p.host, str(port))}


class Redis(Program):
    name, needs = "redis", ("redis-server", "redis-cli")

    def start(self, lab, ns, d):
        lab.start(ns, "server", "redis-server", "--port", str(PROGRAM_PORTS["redis"]), "--save", "", "--protected-mode", "no", "--dir", d, log=f"redis-{ns}")

    def work(self, p, port):
        cli = f"redis-cli -h {p.host} -p {port}"
        return {
            "pipe": p.sh(f"{cli} flushall; for i in $(seq 20000); do echo SET key$i value$i; done | {cli} --pipe | tail -1; {cli} dbsize; {cli} get key777"),
            "large": p.sh(f"head -c 3000000 /dev/zero | tr '\\0' x | {cli} -x set big; {cli} strlen big; {cli} get big | sha256sum"),
            "count": p.sh(f"{cli} -r 500 incr n | tail -1; redis-benchmark -h {p.host} -p {port} -q -n 20000 -c 20 -P 8 -t incr > /dev/null; {cli} get counter:__rand_int__"),
            "pubsub": p.sh(f"(timeout 5 {cli} subscribe c & sleep 0.5; for i in 1 2 3; do {cli} publish c m$i > /dev/null; done; sleep 0.3; kill %1) | grep -c '^m[123]$'"),
        }


class Postgres(Program):
    name, needs = "postgres", ("setpriv",)

    def missing(self):
        return [] if POSTGRES and subprocess.run(["id", "postgres"], capture_output=True).returncode == 0 else ["postgresql-15"]

    def start(self, lab, ns, d):
        data = d + "/pg"
        os.makedirs(data)
        shutil.chown(data, "postgres", "postgres")
        os.chmod(lab.dir, 0o755)
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        lab.inside(ns, "server", *as_user, POSTGRES + "/initdb", "-D", data, "-A", "trust", "-N", "-U", "postgres")
        with open(data + "/pg_hba.conf", "a") as f:
            f.write("host all all 0.0.0.0/0 trust\n")
        lab.start(ns, "server", *as_user, POSTGRES + "/postgres", "-D", data, "-h", "*", "-p", str(PROGRAM_PORTS["postgres"]), "-k", data, "-F", log=f"postgres-{ns}")

    def work(self, p, port):
        sql = f"PGCONNECT_TIMEOUT=10 {POSTGRES}/psql -X -q -A -t -h {p.host} -p {port} -U postgres -v ON_ERROR_STOP=1"
        bench = f"{POSTGRES}/pgbench -h {p.host} -p {port} -U postgres"
        return {
            "query": p.sh(f"{sql} -c \"select count(*), md5(string_agg(g::text, ',')) from generate_series(1, 200000) g\"; {sql} -c \"select repeat('x', 5000000)\" | sha256sum"),
            "copy": p.sh(f"{sql} -c 'drop table if exists t; create table t (i int, s text)'; seq 100000 | sed 's/.*/&\\t&-&/' | {sql} -c 'copy t from stdin'; "
                         f"{sql} -c 'select count(*), sum(i), md5(string_agg(s, chr(44) order by i)) from t'; {sql} -c 'copy (select * from t order by i) to stdout' | sha256sum"),
            "pgbench": p.sh(f"{bench} -i -s 1 -q postgres 2>&1 | grep -i error; {bench} -n -c 4 -j 2 -t 100 -N postgres 2>&1 | grep 'actually processed'; {sql} -c 'select count(*) from pgbench_history'"),
            "error": p.sh(f"{sql} -c 'select 1/0' 2>&1; true"),
        }


class Iperf3(Program):
    name, needs = "iperf3", ("iperf3",)

    def start(self, lab, ns, d):
        lab.start(ns, "server", "iperf3", "-s", "-p", str(PROGRAM_PORTS["iperf3"]), log=f"iperf3-{ns}")

    def work(self, p, port):
        seen = {}
        for name, args in (("up", []), ("down", ["-R"]), ("4 streams", ["-P", "4"])):
            got = json.loads(p.client("iperf3", "-c", p.host, "-p", str(port), "-n", "256M", "-J", *args))
            sent, received = (got["end"][k]["bytes"] for k in ("sum_sent", "sum_received"))
            # It ends by its own count of what was sent; the last of that may still be on its way.
            seen[name] = "all of it" if sent >= 256 << 20 and received >= 0.7 * sent and not got.get("error") else f"{sent} sent, {received} received"
        return seen


class Openssl(Program):
    """TLS, to a server that sends files."""

    name, needs = "openssl", ("openssl", "curl")

    def start(self, lab, ns, d):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=sockets", "-keyout", d + "/key.pem", "-out", d + "/cert.pem"],
                       check=True, capture_output=True)
        subprocess.run(["sh", "-c", f"head -c 5000000 /dev/zero | tr '\\0' y > {d}/file"], check=True)
        lab.start(ns, "server", "sh", "-c", f"cd {d} && exec openssl s_server -accept {PROGRAM_PORTS['openssl']} -cert cert.pem -key key.pem -WWW -quiet", log=f"openssl-{ns}")

    def work(self, p, port):
        return {"tls": p.sh(f"for i in 1 2 3; do curl -skf -m 60 --http1.0 https://{p.host}:{port}/file | sha256sum; done")}


PROGRAMS = [Nginx(), Haproxy(), Node(), Python(), Openssl(), Redis(), Postgres(), Iperf3()]


def start_servers(lab, programs):
    for ns in (OUTSIDE, INSIDE):
        for prog in programs:
            d = f"{lab.dir}/{prog.name}-{ns}"
            os.makedirs(d)
            prog.start(lab, ns, d)
    for ns in (OUTSIDE, INSIDE):
        for prog in programs:
            port = PROGRAM_PORTS.get(prog.name)
            if port:
                wait_for(lambda ns=ns, port=port: f":{port} " in lab.inside(ns, "server", "ss", "-ltn"), 20, f"{prog.name} in {ns}")


def judge(prog, place, plain):
    """Runs it in a mode; "" or what differs."""
    try:
        seen = prog.work(place, PROGRAM_PORTS.get(prog.name))
    except (Failed, subprocess.TimeoutExpired) as e:
        return None, str(e)[-600:]
    if plain is None:
        return seen, "" if all(v.strip() for v in seen.values()) else f"nothing was seen: {seen}"
    return seen, "\n    ".join(f"{k}: {seen[k].strip()!r}, plain TCP: {plain[k].strip()!r}" for k in plain if seen.get(k) != plain[k])


def known_to_differ(tier, prog):
    """HAProxy's splice(2) needs what one of splice's probes announces as missing."""
    return "splice" in tier and prog.name == "HAProxy"


def compare(lab, programs):
    failed, plain = 0, {}
    for prog in programs:
        plain[prog.name], wrong = judge(prog, Place(lab, OUTSIDE, lab.server_ips[OUTSIDE][0], "plain"), None)
        if wrong:
            failed += 1
            print(f"FAIL plain: {prog.name}\n    {wrong}", flush=True)
    for tier in TIERS:
        why = lab.switch(**tier.words)
        if why:
            print(f"skip {tier.name}, {len(programs)} programs: this build cannot: {why}", flush=True)
            continue
        for prog in programs:
            if plain[prog.name] is None or (tier.name.startswith("l7") and not prog.l7):
                continue
            host = lab.vips["l7" if tier.name.startswith("l7") else "l4"]
            _, wrong = judge(prog, Place(lab, INSIDE, host, re.sub(r"\W", "-", tier.name)), plain[prog.name])
            if wrong and known_to_differ(tier.name, prog):
                print(f"skip {tier.name}: {prog.name}: as the probe \"splice(2)\" announces: {wrong[:200]}", flush=True)
            elif wrong:
                failed += 1
                print(f"FAIL {tier.name}: {prog.name}\n    {wrong}", flush=True)
            else:
                print(f"ok {tier.name}: {prog.name} does what it does over plain TCP ({', '.join(plain[prog.name])})", flush=True)
    return failed


def main():
    if os.geteuid() != 0:
        print("skip programs: a lab is made of network namespaces, so only root can run it")
        return 0
    programs = []
    for prog in PROGRAMS:
        missing = prog.missing()
        if sys.argv[1:] and prog.name not in sys.argv[1:]:
            continue
        if missing:
            print(f"skip {prog.name}: not installed; Debian's packages: {' '.join(missing)}", flush=True)
        else:
            programs.append(prog)
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        lab = Lab(directory)
        try:
            lab.up()
            start_servers(lab, programs)
            failed = compare(lab, programs)
        except (Failed, subprocess.TimeoutExpired) as e:
            failed = 1
            print(f"FAIL programs: {e}")
        finally:
            lab.down()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
