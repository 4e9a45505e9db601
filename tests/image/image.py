#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `make image` makes: same bytes twice, archives that hold together, nothing in them but what is meant to be, a bill
of materials that is right, programs that run in there and nothing else."""
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile

sys.dont_write_bytecode = True
from checks import check, failed  # noqa: E402

BUILD = os.environ.get("MESH_BUILD", "build")
TOOL = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools/image/build")
LIMIT = 30 * 1000 * 1000
EPOCH = "1700000000"
SHELLS = {"sh", "bash", "dash", "ash", "zsh", "busybox", "rbash"}
NOT_WANTED = SHELLS | {"apt", "apt-get", "dpkg", "gcc", "cc", "clang", "ld", "as", "perl", "python3", "curl"}
SAMPLES = {
    "docker.io/rhtgptetraining/foundation-gateway-service:1.0.2": "gateway",
    "docker.io/rhtgptetraining/foundation-partner-service:1.0.0": "partner",
    "docker.io/rhtgptetraining/foundation-catalog-service:1.0.0": "catalog",
    "docker.io/rhtgptetraining/foundation-catalog-service-v2:1.0.0": "catalog-v2",
    "localhost/sockmesh-echo:dev": None, "localhost/sockmesh-tcp-echo:dev": None, "localhost/sockmesh-client:dev": None,
}


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def build(out, **env):
    subprocess.run([sys.executable, TOOL, BUILD, out], check=True, stdout=subprocess.DEVNULL,
                   env=dict(os.environ, SOURCE_DATE_EPOCH=EPOCH, VERSION="1.2.3", REVISION="4" * 40, **env))


class Image:
    """One image as a runtime would have it: layers one over the other."""

    def __init__(self, archive, entry):
        self.name = entry["annotations"]["io.containerd.image.name"]
        self.ref = entry["annotations"]["org.opencontainers.image.ref.name"]
        self.manifest = json.loads(archive.blob(entry))
        self.whole = json.loads(archive.blob(self.manifest["config"]))
        self.config = self.whole["config"]
        self.entries, self.diff_ids = {}, []
        for layer in self.manifest["layers"]:
            raw = gzip.decompress(archive.blob(layer))
            self.diff_ids.append("sha256:" + sha256(raw))
            with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
                for info in tar:
                    self.entries["/" + info.name] = (info, tar.extractfile(info).read() if info.isfile() else None)

    def files(self):
        return {path: data for path, (info, data) in self.entries.items() if info.isfile()}

    def unpack(self, root):
        for path, (info, data) in sorted(self.entries.items()):
            if info.isdir():
                os.makedirs(root + path, exist_ok=True)
                os.chmod(root + path, info.mode)
            elif info.issym():
                os.symlink(info.linkname, root + path)
            else:
                with open(root + path, "wb") as f:
                    f.write(data)
                os.chmod(root + path, info.mode)


class Archive:
    def __init__(self, path):
        with tarfile.open(path) as tar:
            self.members = {info.name: (info, tar.extractfile(info).read() if info.isfile() else b"") for info in tar}
        self.index = json.loads(self.members["index.json"][1])
        self.problems = []
        self.images = {i.name: i for i in (Image(self, entry) for entry in self.index["manifests"])}

    def blob(self, descriptor):
        data = self.members["blobs/" + descriptor["digest"].replace(":", "/")][1]
        if "sha256:" + sha256(data) != descriptor["digest"] or len(data) != descriptor["size"]:
            self.problems.append(f"blob {descriptor['digest']}: its digest or size is another")
        return data


def archive_holds_together(a):
    yield from a.problems
    if json.loads(a.members["oci-layout"][1]) != {"imageLayoutVersion": "1.0.0"}:
        yield "oci-layout is not that of version 1.0.0"
    for name, (info, _) in a.members.items():
        if info.uid or info.gid or info.mtime != int(EPOCH) or info.uname or info.gname:
            yield f"{name}: owner or time is this machine's"
    used = {"blobs/" + d["digest"].replace(":", "/") for e in a.index["manifests"] for m in [json.loads(a.blob(e))]
            for d in [e, m["config"], *m["layers"]]}
    for name, (info, _) in a.members.items():
        if info.isfile() and name.startswith("blobs/") and name not in used:
            yield f"{name}: in no image"
    for image in a.images.values():
        if image.name != image.ref:
            yield f"{image.name}: also called {image.ref}"
        if image.diff_ids != image.whole["rootfs"]["diff_ids"]:
            yield f"{image.name}: diff_ids are not the layers'"
        for key, want in (("version", "1.2.3"), ("revision", "4" * 40), ("licenses", None), ("created", "2023-11-14T22:13:20Z")):
            got = image.config["Labels"].get("org.opencontainers.image." + key)
            if not got or want and got != want:
                yield f"{image.name}: label {key} is {got}"
        if image.config["User"] != "65532:65532" or b"nonroot:x:65532:65532:" not in image.files()["/etc/passwd"]:
            yield f"{image.name}: its user is not nonroot"
        for path, (info, _) in image.entries.items():
            if info.uid or info.gid or info.mode & 0o6000 or info.mode & 0o002 and info.isfile():
                yield f"{image.name}: {path} has owner {info.uid}:{info.gid}, mode {info.mode:o}"


def bill_is_right(a, path):
    with open(path, encoding="utf-8") as f:
        bill = json.load(f)
    if bill["spdxVersion"] != "SPDX-2.3" or bill["dataLicense"] != "CC0-1.0":
        yield "not SPDX 2.3"
    ids = [o["SPDXID"] for o in bill["packages"] + bill["files"]]
    if len(ids) != len(set(ids)):
        yield "an SPDXID is there twice"
    packages = {p["SPDXID"]: p for p in bill["packages"]}
    names = {p["name"]: p for p in bill["packages"]}
    if names.get("sockmesh", {}).get("versionInfo") != "1.2.3":
        yield "our own version is not in it"
    of = {r["relatedSpdxElement"]: r["spdxElementId"] for r in bill["relationships"]
          if r["relationshipType"] == "CONTAINS" and r["relatedSpdxElement"].startswith("SPDXRef-File-")}
    sums = {f["fileName"][1:]: (f["SPDXID"], {c["algorithm"]: c["checksumValue"] for c in f["checksums"]}) for f in bill["files"]}
    have = {path: data for image in a.images.values() for path, data in image.files().items()}
    for path in sorted(set(have) ^ set(sums)):
        yield f"{path}: only in " + ("an image" if path in have else "the bill")
    for path in set(have) & set(sums):
        if sums[path][1]["SHA256"] != sha256(have[path]) or sums[path][1]["SHA1"] != hashlib.sha1(have[path]).hexdigest():
            yield f"{path}: checksum"
        if packages[of[sums[path][0]]]["name"] == "sockmesh" and path.startswith("/usr/lib/x86_64-linux-gnu"):
            yield f"{path}: said to be ours"
    for package in bill["packages"]:
        if package.get("supplier") != "Organization: Debian":
            continue
        here = subprocess.run(["dpkg-query", "-W", "-f", "${Version}\n", package["name"]], capture_output=True, text=True)
        if package["versionInfo"] != here.stdout.split("\n")[0]:
            yield f"{package['name']}: version {package['versionInfo']}, installed is {here.stdout.strip()}"
        if f"/usr/share/doc/{package['name']}/copyright" not in have:
            yield f"{package['name']}: its licence file is not in the image"
    linked = {packages[r["relatedSpdxElement"]]["name"] for r in bill["relationships"] if r["relationshipType"] == "STATIC_LINK"}
    if "/usr/lib/sockmesh/sockmesh-cni" in have and linked != {"libc6-dev", "libjansson-dev"}:
        yield f"the static program is said to be linked with {linked}"
    for image in a.images.values():
        if not any(image.name == p["name"] or image.name in p.get("comment", "") for p in bill["packages"]):
            yield f"{image.name}: not in the bill"


def nothing_else_runs(image, allowed):
    """Executable files are those allowed, the loader and shared libraries."""
    for path, (info, data) in image.entries.items():
        name = path.rsplit("/", 1)[-1]
        if name in NOT_WANTED:
            yield f"{path}: not wanted"
        if data is not None and data.startswith(b"#!"):
            yield f"{path}: a script"
        if data is not None and info.mode & 0o111 and path not in allowed and ".so." not in path:
            yield f"{path}: executable"
    for path in allowed:
        if path not in image.files():
            yield f"{path}: missing"


def of_no_machine(archives):
    """The directory that this was built in, as debugging data and messages would have it."""
    here = os.path.realpath(os.path.dirname(TOOL) + "/../..").encode()
    for path, data in {p: d for a in archives for i in a.images.values() for p, d in i.files().items()}.items():
        if here in data:
            yield f"{path}: names {here.decode()}"


def run_inside(image, commands):
    """commands: (argv, what its output must have). Each runs as the image's user, with nothing of this machine but /proc."""
    if os.geteuid() != 0:
        yield "needs root, for chroot"
        return
    with tempfile.TemporaryDirectory() as root:
        os.chmod(root, 0o755)
        image.unpack(root)
        for argv, want in commands:
            got = subprocess.run(["/usr/sbin/chroot", "--userspec=65532:65532", root, *argv], capture_output=True, text=True, timeout=20,
                                 env={"PATH": "/usr/bin"})
            if want not in got.stdout + got.stderr:
                yield f"{' '.join(argv)}: {(got.stdout + got.stderr).strip() or f'status {got.returncode}'}"


def samples_are_there(a):
    for name, arg in SAMPLES.items():
        image = a.images.get(name)
        if not image:
            yield f"{name}: not in the archive"
        elif arg and image.config["Entrypoint"][1:] != [arg]:
            yield f"{name}: starts {image.config['Entrypoint']}"
        elif image.config.get("Entrypoint") and image.config["Entrypoint"][0] not in image.files():
            yield f"{name}: {image.config['Entrypoint'][0]} is not in it"
        elif arg and "/usr/bin/curl" not in image.files():
            yield f"{name}: no curl for the probes"
        elif arg and SHELLS & {p.rsplit("/", 1)[-1] for p in image.entries}:
            yield f"{name}: a shell"


def main():
    if BUILD.rstrip("/").endswith("san"):
        print("skip image: built with sanitizers, whose libraries no image has")
        return 0
    with tempfile.TemporaryDirectory() as d:
        build(d + "/a")
        build(d + "/b", TZ="Pacific/Auckland", LC_ALL="tr_TR.UTF-8", PYTHONHASHSEED="7", TMPDIR=d)
        for name in ("sockmesh", "samples"):
            pair = [open(f"{d}/{x}/{name}.{y}", "rb").read() for y in ("tar", "sbom.json") for x in "ab"]
            check(f"{name}_twice_the_same_bytes", ["the archives differ" if pair[0] != pair[1] else "",
                                                   "the bills differ" if pair[2] != pair[3] else ""])
        mesh, samples = Archive(d + "/a/sockmesh.tar"), Archive(d + "/a/samples.tar")
        for name, a in (("sockmesh", mesh), ("samples", samples)):
            check(f"{name}_archive_holds_together", archive_holds_together(a))
            check(f"{name}_bill_of_materials", bill_is_right(a, f"{d}/a/{name}.sbom.json"))
        check("no_path_of_the_build_machine", of_no_machine([mesh, samples]))
        image = mesh.images.get("localhost/sockmesh:dev")
        check("sockmesh_name_and_entrypoint", ["no localhost/sockmesh:dev" if not image else "",
                                               image.config if image and image.config["Entrypoint"] != ["/usr/bin/meshd"] else ""])
        unpacked = sum(len(data) for data in image.files().values())
        archive = os.path.getsize(d + "/a/sockmesh.tar")
        check("sockmesh_size", [f"{archive} bytes, {unpacked} unpacked; at most {LIMIT}" if max(archive, unpacked) > LIMIT else ""])
        allowed = {"/usr/bin/meshd", "/usr/bin/meshctl"}
        if os.path.exists(BUILD + "/sockmesh-cni"):
            allowed.add("/usr/lib/sockmesh/sockmesh-cni")
        check("sockmesh_nothing_else_runs", nothing_else_runs(image, allowed))
        version = subprocess.run([BUILD + "/meshd", "--version"], capture_output=True, text=True, check=True).stdout
        check("sockmesh_runs_inside", run_inside(image, [
            (["/usr/bin/meshd", "--version"], version), (["/usr/bin/meshd", "--help"], "usage: meshd"),
            (["/usr/bin/meshctl", "--version"], version), (["/usr/bin/meshctl", "crds"], "kind: CustomResourceDefinition"),
            (["/usr/bin/meshd", "control", "--help"], "usage: meshd control"), (["/bin/sh", "-c", "true"], "No such file")]))
        check("samples_are_there", samples_are_there(samples))
        client = samples.images["localhost/sockmesh-client:dev"]
        check("client_runs_inside", run_inside(client, [
            (["/bin/sh", "-c", "curl --version | head -1"], "curl "), (["/bin/bash", "-c", "seq 3 | tail -1"], "3")]))
        check("apps_run_inside", run_inside(samples.images["docker.io/rhtgptetraining/foundation-catalog-service:1.0.0"], [
            (["/usr/libexec/sockmesh/apps/coolapp", "nothing"], "usage: coolapp"), (["/usr/bin/curl", "--version"], "curl ")]))
    return bool(failed)


sys.exit(main())
