# SPDX-License-Identifier: Apache-2.0
"""The bill of materials of an archive, as SPDX 2.3 JSON: images, Debian packages, our programs, every file."""
import hashlib
import json
import re
from urllib.parse import quote

OWN_LICENCE = {"meshd": "Apache-2.0 AND (GPL-2.0-only OR BSD-2-Clause)"}  # has the BPF programs in it


def _id(kind, name):
    return "SPDXRef-" + kind + "-" + re.sub(r"[^A-Za-z0-9.-]", "-", name)


def _package(spdx_id, name, version, licence, **more):
    return {"SPDXID": spdx_id, "name": name, "versionInfo": version, "downloadLocation": "NOASSERTION",
            "filesAnalyzed": False, "licenseConcluded": "NOASSERTION", "licenseDeclared": licence,
            "copyrightText": "NOASSERTION", **more}


def _debian(facts):
    purl = f"pkg:deb/debian/{facts['name']}@{quote(facts['version'], safe='')}?arch={facts['arch']}&distro=debian-12"
    said = ": " + ", ".join(facts["licences"]) if facts["licences"] else ""
    package = _package(_id("Package-deb", facts["name"]), facts["name"], facts["version"], "NOASSERTION",
                       supplier="Organization: Debian", primaryPackagePurpose="LIBRARY",
                       sourceInfo=f"built from source package {facts['source']} {facts['source_version']}",
                       licenseComments=f"licences as in {facts['copyright']} of the image{said}",
                       externalRefs=[{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                                      "referenceLocator": purl}])
    if facts["homepage"]:
        package["homepage"] = facts["homepage"]
    return package


def _file(path, entry, package):
    licence = "NOASSERTION"
    if not package:
        licence = OWN_LICENCE.get(path.rsplit("/", 1)[-1], "GPL-2.0-only OR BSD-2-Clause" if path.endswith(".bpf.o")
                                  else "Apache-2.0")
    return {"SPDXID": _id("File", hashlib.sha1(path.encode()).hexdigest()), "fileName": "." + path,
            "checksums": [{"algorithm": "SHA1", "checksumValue": hashlib.sha1(entry["data"]).hexdigest()},
                          {"algorithm": "SHA256", "checksumValue": hashlib.sha256(entry["data"]).hexdigest()}],
            "licenseConcluded": licence, "copyrightText": "NOASSERTION"}


def document(title, created, version, revision, images, packages, static):
    """images: (names, digest, layers). packages: path in the image -> facts of its Debian package, or None if ours.
    static: path in the image -> facts of the Debian packages whose libraries are linked into it. Layers of one archive never hold the same path with different contents."""
    own = _id("Package", "sockmesh")
    out_packages = {own: _package(own, "sockmesh", version, "Apache-2.0 AND (GPL-2.0-only OR BSD-2-Clause)",
                                  primaryPackagePurpose="APPLICATION", sourceInfo=f"git revision {revision}")}
    files, relations = {}, set()
    for names, digest, layers in images:
        image = _id("Image", names[0])
        out_packages[image] = _package(image, names[0], version, "NOASSERTION", primaryPackagePurpose="CONTAINER",
                                       comment="also named " + ", ".join(names[1:]) if names[1:] else "its only name",
                                       checksums=[{"algorithm": "SHA256", "checksumValue": digest.split(":")[1]}])
        relations.add(("SPDXRef-DOCUMENT", "DESCRIBES", image))
        for path, entry in (f for layer in layers for f in layer.tree.files().items()):
            facts = packages[path]
            package = own
            if facts:
                one = _debian(facts)
                package = one["SPDXID"]
                out_packages[package] = one
            files[path] = _file(path, entry, facts)
            relations.add((image, "CONTAINS", package))
            relations.add((package, "CONTAINS", files[path]["SPDXID"]))
    for path, linked in static.items():
        for facts in linked:
            relations.add((files[path]["SPDXID"], "STATIC_LINK", _id("Package-deb", facts["name"])))
    digests = "".join(sorted(digest for _, digest, _ in images))
    return json.dumps({
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": title,
        "documentNamespace": f"https://sockmesh.io/spdx/{title}-{hashlib.sha256(digests.encode()).hexdigest()}",
        "creationInfo": {"created": created, "creators": ["Tool: sockmesh-make-image"]},
        "packages": [out_packages[k] for k in sorted(out_packages)], "files": [files[k] for k in sorted(files)],
        "relationships": [{"spdxElementId": a, "relationshipType": r, "relatedSpdxElement": b}
                          for a, r, b in sorted(relations)]}, indent=1) + "\n"
