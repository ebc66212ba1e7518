"""The packages that a Python finds installed: a script for that very Python, and the reading of what it says."""

import json

_BEGIN = "RUNYARD-PACKAGES "

#: Runs on every Python from 2.7 on, by `-c`; prints one line of JSON among whatever else is printed at a start.
SCRIPT = r'''
import json, os, re, sys
sys.path[:] = [p for p in sys.path if p]
def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()
found, conda = {}, False
folder = os.path.join(sys.prefix, "conda-meta")
for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
    if name.endswith(".json"):
        try:
            with open(os.path.join(folder, name)) as file:
                one = json.load(file)
            found[plain(one["name"])] = [one["name"], one["version"], "conda"]
            conda = True
        except Exception:
            pass
def distributions():
    try:
        from importlib import metadata
    except ImportError:
        import pkg_resources
        for one in pkg_resources.working_set:
            yield one.project_name, one.version, lambda: ""
        return
    for one in metadata.distributions():
        try:
            yield one.metadata["Name"], one.version, lambda: one.read_text("INSTALLER") or ""
        except Exception:
            pass
known = True
try:
    for name, version, installer in distributions():
        # In a conda environment its own packages are listed under conda's names already.
        if name and version and plain(name) not in found and not (conda and installer().strip() == "conda"):
            found[plain(name)] = [name, version, "pip"]
except ImportError:
    known = conda
packages = [found[name] for name in sorted(found)] if known else None
print("RUNYARD-PACKAGES " + json.dumps({"python": "%d.%d.%d" % sys.version_info[:3], "packages": packages,
      "folders": [[p, os.stat(p).st_mtime] for p in sys.path + [folder] if os.path.isdir(p)]}))
'''


def parse(text):
    """`{python, packages: [{name, version, source}], folders: [[path, time]]}` of what the script printed; None when
    it printed something else."""
    for line in reversed((text or "").splitlines()):
        at = line.find(_BEGIN)
        if at < 0:
            continue
        try:
            said = json.loads(line[at + len(_BEGIN):])
            packages = said["packages"]
            return {"python": str(said["python"]), "folders": said["folders"],
                    "packages": None if packages is None else
                    [{"name": str(name), "version": str(version), "source": str(source)}
                     for name, version, source in packages]}
        except (ValueError, KeyError, TypeError):
            return None
    return None
