#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""initramfs.py OUT INIT MODULES-DIRECTORY "MODULE..." PROGRAM...: an initramfs (newc, gzip) with INIT as /init, the
modules with what they depend on, in order, in /modules, and programs with their shared libraries at their own paths.
Programs named tests:PATH go to /t/NAME, and a line for each to /tests."""
import glob
import gzip
import os
import re
import subprocess
import sys

out, init, tree, wanted, programs = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4].split(), sys.argv[5:]
entries = {}  # path inside -> (mode, bytes)


def add_file(inside, source, mode=0o100755):
    entries[inside] = (mode, open(source, "rb").read())


def libraries(program):
    r = subprocess.run(["ldd", program], capture_output=True, text=True)
    return re.findall(r"(?:=> )?(/\S+) \(0x", r.stdout)


def module_order():
    paths = {os.path.basename(p)[:-3].replace("-", "_"): p for p in glob.glob(tree + "/**/*.ko", recursive=True)}
    order = []

    def visit(name):
        if name not in paths:  # built in, or not in this kernel: /init says what could not be loaded
            return
        for m in re.finditer(rb"\0depends=([^\0]*)", open(paths[name], "rb").read()):
            for d in m.group(1).decode().split(","):
                if d:
                    visit(d)
        if paths[name] not in order:
            order.append(paths[name])

    for name in wanted:
        visit(name)
    return order


add_file("init", init)
lines = []
for p in module_order():
    inside = "modules/" + os.path.basename(p)
    add_file(inside, p, 0o100644)
    lines.append("/" + inside)
entries["modules/order"] = (0o100644, "".join(l + "\n" for l in lines).encode())
tests = []
for p in programs:
    is_test = p.startswith("tests:")
    p = p[6:] if is_test else p
    inside = "t/" + os.path.basename(p) if is_test else p.lstrip("/")
    add_file(inside, os.path.realpath(p))
    tests += ["/" + inside] if is_test else []
    for lib in libraries(os.path.realpath(p)):
        add_file(lib.lstrip("/"), os.path.realpath(lib))
entries["tests"] = (0o100644, "".join(t + "\n" for t in tests).encode())
for path in list(entries):
    parts = path.split("/")
    for i in range(1, len(parts)):
        entries.setdefault("/".join(parts[:i]), (0o040755, b""))
for d in ("proc", "sys", "dev", "tmp", "run"):
    entries.setdefault(d, (0o040755, b""))

with gzip.GzipFile(out + ".tmp", "wb", compresslevel=1, mtime=0) as f:
    for ino, (name, (mode, data)) in enumerate(sorted(entries.items()) + [("dev/console", (0o020600, b"")), ("TRAILER!!!", (0, b""))], 1):
        major, minor = (5, 1) if name == "dev/console" else (0, 0)
        fields = [ino, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name) + 1, 0]
        head = b"070701" + b"".join(b"%08x" % v for v in fields) + name.encode() + b"\0"
        f.write(head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4))
os.rename(out + ".tmp", out)
