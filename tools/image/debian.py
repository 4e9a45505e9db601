# SPDX-License-Identifier: Apache-2.0
"""What of this Debian machine a program needs in its image, and which package each file is from."""
import os
import re
import subprocess
import tempfile


def run(*args):
    return subprocess.run(args, check=True, capture_output=True, text=True, env=dict(os.environ, LC_ALL="C")).stdout


def in_usr(path):
    """/bin, /lib and /lib64 are links into /usr, in Debian 12 and in the images."""
    return "/usr" + path if re.match(r"/(bin|sbin|lib|lib64)/", path) else path


def needed_libraries(program):
    """Shared libraries a program is linked with, as path in the image -> path here. Nothing for a static one."""
    got = subprocess.run(["ldd", program], capture_output=True, text=True, env=dict(os.environ, LC_ALL="C"))
    if got.returncode:
        if re.search(r"not a dynamic executable|statically linked", got.stdout + got.stderr):
            return {}
        raise SystemExit(f"ldd {program}: {got.stderr.strip() or got.stdout.strip()}")
    if "not found" in got.stdout:
        raise SystemExit(f"ldd {program}: a library is missing:\n{got.stdout}")
    libraries = {}
    for line in got.stdout.splitlines():
        m = re.match(r"\s*(?:\S+ => )?(/\S+) \(0x", line)
        if m:
            libraries[in_usr(m.group(1))] = m.group(1)
    # glibc opens it when a thread is cancelled or ends itself; ldd cannot know.
    undefined = run("nm", "-D", "--undefined-only", program)
    if re.search(r"\b(pthread_cancel|pthread_exit|backtrace)\b", undefined):
        directory = os.path.dirname(next(p for p in libraries.values() if "/libc.so" in p))
        libraries[in_usr(directory + "/libgcc_s.so.1")] = directory + "/libgcc_s.so.1"
    return libraries


def stripped(program):
    """The program without symbols and debugging sections; its build id stays, so that both can be matched."""
    with tempfile.TemporaryDirectory() as d:
        run("strip", "--strip-all", "--remove-section=.comment", "-o", d + "/out", program)
        with open(d + "/out", "rb") as f:
            return f.read()


def read(path):
    with open(path, "rb") as f:
        return f.read()


def _names(path):
    """A package may have used a name with or without /usr, or have the file that a link here leads to."""
    real = os.path.realpath(path)
    return dict.fromkeys(q for p in (path, real) for q in (p, in_usr(p), p[4:] if p.startswith("/usr/") else p))


def packages_of(paths):
    """The Debian packages that files of this machine are from, by path; dpkg is asked once."""
    names = {path: _names(path) for path in paths}
    got = subprocess.run(["dpkg", "-S", *(n for some in names.values() for n in some)], capture_output=True, text=True,
                         env=dict(os.environ, LC_ALL="C"))
    owner = {}
    for line in got.stdout.splitlines():
        if not line.startswith("diversion "):
            packages, name = line.split(": ", 1)
            owner[name] = packages.split(",")[0].split(":")[0]
    for path, some in names.items():
        if not any(n in owner for n in some):
            raise SystemExit(f"{path}: no Debian package has this file; images are made from Debian's packages alone")
    return {path: next(owner[n] for n in some if n in owner) for path, some in names.items()}


def package_facts(name):
    """Version, source package, upstream's page, and the copyright file's path here and the licences it names."""
    fields = run("dpkg-query", "-W", "-f", "${Version}\t${Architecture}\t${source:Package}\t${source:Version}\t${Homepage}\n", name)
    version, arch, source, source_version, homepage = fields.splitlines()[0].split("\t")
    path = f"/usr/share/doc/{name}/copyright"
    text = read(path).decode("utf-8", "replace")
    # Machine-readable copyright files name their licences; of others only the file itself can be given.
    licences = sorted(set(re.findall(r"^License:[ \t]*(\S.*?)[ \t]*$", text, re.M))) if "Format:" in text else []
    return {"name": name, "version": version, "arch": arch, "source": source, "source_version": source_version,
            "homepage": homepage, "copyright": path, "licences": licences}
