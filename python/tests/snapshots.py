"""Snapshots and specs for the tests."""

import hashlib
import itertools
import json
import os
import sys

_numbers = itertools.count(1)


def manifest_of(files, links=(), folders=()):
    """`(manifest bytes, {hash: content})` of {path: text or bytes}."""
    blobs = {}
    entries = []
    for path, content in dict(files).items():
        data = content.encode("utf-8") if isinstance(content, str) else content
        hash = hashlib.sha256(data).hexdigest()
        blobs[hash] = data
        entries.append({"path": path, "mode": 493 if path.endswith(".sh") else 420, "size": len(data), "hash": hash})
    entries += [{"path": path, "link": target} for path, target in dict(links).items()]
    entries += [{"path": path, "dir": True} for path in folders]
    entries.sort(key=lambda entry: entry["path"].encode("utf-8"))
    data = json.dumps({"version": 1, "entries": entries}, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    return data, blobs


def send(client, files, links=(), folders=()):
    """Puts a snapshot on the host; gives the manifest's hash."""
    manifest, blobs = manifest_of(files, links, folders)
    hash = hashlib.sha256(manifest).hexdigest()
    blobs[hash] = manifest
    for name, data in blobs.items():
        put(client, name, data)
    return hash


def put(client, name, data):
    """Sends one blob in pieces."""
    offset = 0
    while True:
        piece = data[offset:offset + (1 << 20)]
        client.call("blobs.put", {"pieces": [{"hash": name, "size": len(data), "offset": offset,
                                              "length": len(piece)}]}, piece)
        offset += len(piece)
        if offset >= len(data):
            return


def spec_of(snapshot, **members):
    """A spec that runs main.py with the tests' own interpreter."""
    spec = {"protocol": 1, "run": "run-%d-%d" % (os.getpid(), next(_numbers)), "attempt": 1, "experiment": "tests",
            "workspace": "default", "manifest": snapshot, "command": [sys.executable, "-u", "main.py"], "shell": None,
            "variables": {}, "inherit_environment": True, "resources": {"slots": 1, "gpus": 0}, "max_seconds": None,
            "grace_seconds": 2, "monitor_seconds": 1}
    spec.update(members)
    return spec


def submit(client, script, **members):
    """Submits main.py with this text; gives the run id."""
    files = members.pop("files", {})
    files = dict(files, **{"main.py": script})
    spec = spec_of(send(client, files), **members)
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    client.call("run.submit", {"spec": spec, "environment": environment})
    return spec["run"]
