# SPDX-License-Identifier: Apache-2.0
"""upgrade.py streams HOST:PORT COUNT STOP: long-lived TCP streams to an echo service until the file STOP is there; every
byte is compared. Prints JSON.
upgrade.py serve PORT: an HTTP/1.1 server with answers that take their time: /stream/N (a chunk each 0.1 s, N times) and
/tunnel (101, then an echo).
upgrade.py ask HOST:PORT PATH [TEXTS SECONDS]: one request; prints what came and how it ended.
upgrade.py probe HOST:PORT SECONDS: a request every 10 ms, each on a connection of its own. Prints JSON.
upgrade.py hold HOST:PORT: a connection to an echo service, until it ends."""
import hashlib
import json
import os
import selectors
import socket
import sys
import threading
import time

PERIOD = 0.1


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


class Stream:
    def __init__(self, number, to):
        self.number, self.turn, self.want, self.due = number, 0, b"", 0.0
        self.sock = socket.create_connection(to, timeout=10)
        self.sock.setblocking(False)

    def send(self, now):
        seed = hashlib.sha256(b"%d %d" % (self.number, self.turn)).digest()
        self.want = seed * (4 + self.turn % 64)
        self.turn += 1
        self.due = now + PERIOD
        self.sock.send(self.want)

    def receive(self):
        got = self.sock.recv(65536)
        if not got:
            raise OSError("closed by the other side")
        if not self.want.startswith(got):
            raise OSError("wrong bytes")
        self.want = self.want[len(got):]
        return len(got)


def streams(to, count, stop):
    ready = selectors.DefaultSelector()
    all_, broken, moved = [], [], 0
    for i in range(count):
        s = Stream(i, address(to))
        ready.register(s.sock, selectors.EVENT_READ, s)
        all_.append(s)
    print("up", flush=True)
    ended = None
    while all_ and (ended is None or any(s.want for s in all_)):
        now = time.monotonic()
        if ended is None and os.path.exists(stop):
            ended = now
        if ended is not None and now > ended + 10:
            broken += [f"stream {s.number}: {len(s.want)} bytes did not come back" for s in all_ if s.want]
            break
        for key, _ in ready.select(0.01):
            s = key.data
            try:
                moved += s.receive()
            except OSError as e:
                broken.append(f"stream {s.number}: {e}")
                ready.unregister(s.sock)
                all_.remove(s)
        if ended is None:
            for s in all_:
                if not s.want and s.due <= now:
                    s.send(now)
    print(json.dumps({"streams": count, "broken": broken[:5], "brokenCount": len(broken), "bytes": moved,
                      "turns": min((s.turn for s in all_), default=0)}), flush=True)


def serve_one(c):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = c.recv(4096)
        if not piece:
            return
        data += piece
    path = data.split(b" ")[1].decode()
    if path.startswith("/stream/"):
        c.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(int(path.split("/")[2])):
            line = b"line %d\n" % i
            c.sendall(b"%x\r\n%s\r\n" % (len(line), line))
            time.sleep(0.1)
        c.sendall(b"0\r\n\r\n")
    elif path == "/tunnel":
        c.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        while True:
            piece = c.recv(4096)
            if not piece:
                return
            c.sendall(piece)
    else:
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")


def serve_safely(c):
    try:
        serve_one(c)
    except OSError:
        pass
    c.close()


def serve(port):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("0.0.0.0", port))
    s.listen(64)
    while True:
        threading.Thread(target=serve_safely, args=(s.accept()[0],), daemon=True).start()


def ask(to, path, texts=0, seconds=0.0):
    s = socket.create_connection(address(to), timeout=30)
    upgrade = "Connection: upgrade\r\nUpgrade: echo\r\n" if path == "/tunnel" else ""
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: {to}\r\n{upgrade}\r\n".encode())
    data, how, echoed = b"", "open", 0
    try:
        while b"\r\n\r\n" not in data:
            data += s.recv(4096)
        print("begun", data.split(b"\r\n")[0].decode(), flush=True)
        if texts:
            for i in range(texts):
                s.sendall(b"%8d" % i)
                got = b""
                while len(got) < 8:
                    piece = s.recv(8 - len(got))
                    if not piece:
                        raise EOFError
                    got += piece
                echoed += got == b"%8d" % i
                time.sleep(seconds / texts)
        else:
            while not data.endswith(b"0\r\n\r\n"):
                piece = s.recv(4096)
                if not piece:
                    raise EOFError
                data += piece
            how = "whole"
    except EOFError:
        how = "end"
    except OSError as e:
        how = type(e).__name__
    print(how, echoed if texts else data.count(b"line "), flush=True)


def probe(to, seconds):
    """A request on a connection of its own every 10 ms, each in a thread: a slow one holds up no other."""
    seen, lock = [], threading.Lock()

    def one():
        begin, what = time.monotonic(), "ok"
        try:
            s = socket.create_connection(address(to), timeout=10)
            s.sendall(f"GET / HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n".encode())
            if not s.recv(4096).startswith(b"HTTP/1.1 200"):
                what = "cut"
            s.close()
        except ConnectionRefusedError:
            what = "refused"
        except OSError:
            what = "cut"
        with lock:
            seen.append((what, time.monotonic() - begin))

    threads, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        threads.append(threading.Thread(target=one))
        threads[-1].start()
        time.sleep(0.01)
    for t in threads:
        t.join()
    print(json.dumps({"requests": len(seen), "refused": sum(w == "refused" for w, _ in seen), "cut": sum(w == "cut" for w, _ in seen),
                      "worstMs": int(max(t for _, t in seen) * 1000)}))


def hold(to):
    s = socket.create_connection(address(to), timeout=5)
    s.settimeout(60)
    first = True
    try:
        while True:
            s.sendall(b"x\n")
            got = s.recv(100)
            if not got:
                print("ended by a FIN", flush=True)
                return
            print("up" if first else "on", got.split(b" ")[0].decode(), flush=True)
            first = False
            time.sleep(0.2)
    except OSError as e:
        print("ended", type(e).__name__, flush=True)


if sys.argv[1] == "streams":
    streams(sys.argv[2], int(sys.argv[3]), sys.argv[4])
elif sys.argv[1] == "probe":
    probe(sys.argv[2], float(sys.argv[3]))
elif sys.argv[1] == "hold":
    hold(sys.argv[2])
elif sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
elif sys.argv[1] == "ask":
    ask(sys.argv[2], sys.argv[3], *[int(x) for x in sys.argv[4:5]], *[float(x) for x in sys.argv[5:6]])
else:
    sys.exit(2)
