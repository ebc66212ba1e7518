"""Tiny wheels made by hand, since tests have no package index."""

import base64
import hashlib
import io
import os
import tarfile
import zipfile


def make(folder, name, version="1.0", requires=(), files=None):
    """Writes `<name>-<version>-py3-none-any.whl` with a module of the same name into `folder`; gives its path."""
    os.makedirs(folder, exist_ok=True)
    plain = name.replace("-", "_")
    info = "%s-%s.dist-info" % (plain, version)
    contents = dict({plain + ".py": "VERSION = %r\n" % version}, **(files or {}))
    contents[info + "/METADATA"] = "Metadata-Version: 2.1\nName: %s\nVersion: %s\n%s" % (
        name, version, "".join("Requires-Dist: %s\n" % one for one in requires))
    contents[info + "/WHEEL"] = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = []
    path = os.path.join(folder, "%s-%s-py3-none-any.whl" % (plain, version))
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in sorted(contents.items()):
            data = text if isinstance(text, bytes) else text.encode("utf-8")
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode("ascii")
            record.append("%s,sha256=%s,%d\n" % (inside, digest, len(data)))
            archive.writestr(inside, data)
        archive.writestr(info + "/RECORD", "".join(record) + info + "/RECORD,,\n")
    return path


def broken(folder, name, version="1.0"):
    """A source package that cannot be built; gives its path."""
    return _source(folder, name, version, "raise SystemExit('this package cannot be built')\n")


def slow(folder, name, seconds, version="1.0"):
    """A source package that takes so long to build, and starts a process of its own; gives its path."""
    return _source(folder, name, version,
                   "import subprocess, sys, time\n"
                   "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(%r)'])\n"
                   "time.sleep(%r)\n" % (seconds, seconds))


def until(folder, name, flag, version="1.0"):
    """A source package that is built once a file is there; gives its path."""
    return _source(folder, name, version,
                   "import os, time\n"
                   "open(%r, 'w').close()\n"
                   "while not os.path.exists(%r):\n"
                   "    time.sleep(0.02)\n" % (flag + ".reached", flag))


#: Builds without anything that would have to be installed first.
_BACKEND = """import os, zipfile

def prepare_metadata_for_build_wheel(folder, settings=None):
%(script)s
    os.mkdir(folder + "/%(info)s")
    for name, text in FILES.items():
        with open(folder + "/%(info)s/" + name, "w") as file:
            file.write(text)
    return "%(info)s"

def build_wheel(folder, settings=None, metadata=None):
    with zipfile.ZipFile(folder + "/%(wheel)s", "w") as archive:
        archive.writestr("%(name)s.py", "")
        for name, text in FILES.items():
            archive.writestr("%(info)s/" + name, text)
        archive.writestr("%(info)s/RECORD", "")
    return "%(wheel)s"

FILES = {"METADATA": "Metadata-Version: 2.1\\nName: %(name)s\\nVersion: %(version)s\\n",
         "WHEEL": "Wheel-Version: 1.0\\nGenerator: tests\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"}
"""


def _source(folder, name, version, script):
    os.makedirs(folder, exist_ok=True)
    backend = _BACKEND % {"name": name, "version": version, "info": "%s-%s.dist-info" % (name, version),
                          "wheel": "%s-%s-py3-none-any.whl" % (name, version),
                          "script": "".join("    %s\n" % line for line in script.splitlines())}
    project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    path = os.path.join(folder, "%s-%s.tar.gz" % (name, version))
    with tarfile.open(path, "w:gz") as archive:
        for inside, text in (("backend.py", backend), ("pyproject.toml", project),
                             ("PKG-INFO", "Metadata-Version: 1.0\nName: %s\nVersion: %s\n" % (name, version))):
            data = text.encode("utf-8")
            entry = tarfile.TarInfo("%s-%s/%s" % (name, version, inside))
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path
