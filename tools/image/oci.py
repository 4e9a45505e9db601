# SPDX-License-Identifier: Apache-2.0
"""Trees of files, layers made of them, and OCI archives (image-spec 1.1) made of those. The same input gives the
same bytes, whoever builds where and when: entries are sorted, owners and times fixed, gzip has no name and no time."""
import hashlib
import io
import json
import struct
import tarfile
import zlib

MEDIA = "application/vnd.oci.image."


class Tree:
    """Directories, files and symbolic links by absolute path; the directories above are added by themselves."""

    def __init__(self):
        self.entries = {}

    def add_dir(self, path, mode=0o755):
        if path not in self.entries:
            if path != "/":
                self.add_dir(path.rsplit("/", 1)[0] or "/")
            self.entries[path] = {"kind": "dir", "mode": mode}
        return self

    def add_file(self, path, data, mode=0o644):
        self.add_dir(path.rsplit("/", 1)[0] or "/")
        self.entries[path] = {"kind": "file", "mode": mode, "data": data}
        return self

    def add_link(self, path, target):
        self.add_dir(path.rsplit("/", 1)[0] or "/")
        self.entries[path] = {"kind": "link", "target": target}
        return self

    def files(self):
        return {p: e for p, e in sorted(self.entries.items()) if e["kind"] == "file"}

    def without(self, lower):
        """What this tree has and the one below it has not."""
        rest = Tree()
        for path, entry in self.entries.items():
            have = lower.entries.get(path)
            if have is None or (entry["kind"] != "dir" and have != entry):
                rest.entries[path] = entry
        return rest

    def tar(self, mtime):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for path, entry in sorted(self.entries.items()):
                if path == "/":
                    continue
                info = tarfile.TarInfo(path[1:])
                info.mtime, info.mode = mtime, entry.get("mode", 0o777)
                if entry["kind"] == "dir":
                    info.type = tarfile.DIRTYPE
                elif entry["kind"] == "link":
                    info.type, info.linkname = tarfile.SYMTYPE, entry["target"]
                else:
                    info.size = len(entry["data"])
                tar.addfile(info, io.BytesIO(entry.get("data", b"")))
        return out.getvalue()


def gzip(data):
    deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflate.compress(data) + deflate.flush()
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + body + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Layer:
    def __init__(self, name, tree, mtime):
        self.name, self.tree = name, tree
        raw = tree.tar(mtime)
        self.diff_id, self.blob = "sha256:" + sha256(raw), gzip(raw)


class Archive:
    """Several images in one file; blobs that they share are in it once."""

    def __init__(self, created):
        self.created = created
        self.blobs = {}
        self.index = []

    def _put(self, data, kind):
        digest = sha256(data)
        self.blobs[digest] = data
        return {"mediaType": MEDIA + kind, "digest": "sha256:" + digest, "size": len(data)}

    def _put_json(self, value, kind):
        return self._put(json.dumps(value, sort_keys=True, separators=(",", ":")).encode(), kind)

    def add(self, names, layers, config, annotations):
        """The image under each of the names. Returns its manifest's digest."""
        history = [{"created": self.created, "created_by": layer.name} for layer in layers]
        whole = {"architecture": "amd64", "os": "linux", "created": self.created, "config": config,
                 "history": history, "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}}
        manifest = self._put_json({
            "schemaVersion": 2, "mediaType": MEDIA + "manifest.v1+json", "annotations": annotations,
            "config": self._put_json(whole, "config.v1+json"),
            "layers": [self._put(layer.blob, "layer.v1.tar+gzip") for layer in layers]}, "manifest.v1+json")
        for name in names:
            # containerd names an image by the first; the second is the specification's.
            self.index.append(dict(manifest, platform={"architecture": "amd64", "os": "linux"}, annotations={
                "io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}))
        return manifest["digest"]

    def write(self, path, mtime):
        files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
                 "index.json": json.dumps({"schemaVersion": 2, "mediaType": MEDIA + "index.v1+json",
                                           "manifests": self.index}, sort_keys=True).encode()}
        files.update(("blobs/sha256/" + digest, data) for digest, data in self.blobs.items())
        with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
            for directory in ("blobs", "blobs/sha256"):
                info = tarfile.TarInfo(directory)
                info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o755, mtime
                tar.addfile(info)
            for name in sorted(files, key=lambda n: (n.startswith("blobs/"), n != "oci-layout", n)):
                info = tarfile.TarInfo(name)
                info.size, info.mode, info.mtime = len(files[name]), 0o644, mtime
                tar.addfile(info, io.BytesIO(files[name]))
