"""Putting this agent into a target's root folder, by its content hash.

Supervisors start from there (compiled, without a zip), scripts import `runyard` from there, and an update of the
extension does not pull it away from under a living run.
"""

import os
import sys
import time

#: Seconds for which an unused older agent is kept.
_KEEP = 3 * 86400


def source():
    """Where this agent's files come from: its zip archive or the folder of its main file."""
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def version():
    """The content hash of this agent (16 hex digits): of the archive, or of all files of the folder."""
    place = source()
    deployed = os.path.join(place, "VERSION")
    if os.path.isfile(deployed):
        with open(deployed) as file:
            return file.readline().strip()
    from .digest import small_sha256
    if os.path.isfile(place):
        with open(place, "rb") as file:
            return small_sha256(file.read())[:16]
    parts = []
    for name, data in _files_of_folder(place):
        parts.append(b"%s\0%d\0" % (name.encode("utf-8"), len(data)) + data)
    return small_sha256(b"".join(parts))[:16]


def is_deployed():
    """True when this very agent runs from a target's root folder."""
    return os.path.isfile(os.path.join(source(), "VERSION"))


def is_whole(folder):
    """Whether an agent is there with all of its files: where old files are purged, one after the other goes."""
    try:
        with open(os.path.join(folder, "VERSION")) as file:
            names = file.read().split("\n")[1:]
    except OSError:
        return False
    return all(os.path.isfile(os.path.join(folder, name)) for name in names if name)


def deploy(root):
    """Puts the agent into `<root>/agent/<hash>/` unless it is there; gives the path of its main file."""
    hash = version()
    folder = os.path.join(root, "agent", hash)
    main = os.path.join(folder, "__main__.py")
    if is_whole(folder):
        os.utime(folder)
        return main
    temporary = "%s.new-%d" % (folder, os.getpid())
    import shutil
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        os.makedirs(temporary, mode=0o700)
        place = source()
        names = []
        for name, data in (_files_of_zip(place) if os.path.isfile(place) else _files_of_folder(place)):
            names.append(name)
            path = os.path.join(temporary, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(data)
        with open(os.path.join(temporary, "VERSION"), "w") as file:
            file.write("".join(name + "\n" for name in [hash] + names))
        _compile(temporary, folder)
        try:
            os.rename(temporary, folder)
        except OSError:
            if not is_whole(folder):
                # A purge of old files has left a part of it.
                os.rename(folder, temporary + "-old")
                os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary + "-old", ignore_errors=True)
        shutil.rmtree(temporary, ignore_errors=True)
    _prune(root, hash)
    return main


def _compile(temporary, folder):
    import compileall
    compileall.compile_dir(temporary, ddir=folder, quiet=2)


def _files_of_folder(place):
    found = []
    for parent, folders, names in os.walk(place):
        folders[:] = sorted(name for name in folders if name not in ("tests", "__pycache__"))
        for name in names:
            if name.endswith(".py"):
                path = os.path.join(parent, name)
                with open(path, "rb") as file:
                    found.append((os.path.relpath(path, place).replace(os.sep, "/"), file.read()))
    return sorted(found)


def _files_of_zip(place):
    import zipfile
    with zipfile.ZipFile(place) as archive:
        return [(name, archive.read(name)) for name in sorted(archive.namelist()) if name.endswith(".py")]


def _prune(root, hash):
    """Removes agents that no attempt uses and that were not served from for some days."""
    import shutil
    from .layout import all_attempts
    from .record import TERMINAL, state_of
    folder = os.path.join(root, "agent")
    old = []
    for name in os.listdir(folder):
        try:
            if name != hash and time.time() - os.stat(os.path.join(folder, name)).st_mtime > _KEEP:
                old.append(os.path.join(folder, name))
        except OSError:
            pass
    if not old:
        return
    used = set()
    for attempt in all_attempts(root):
        if state_of(attempt) not in TERMINAL:
            used.add(os.path.dirname(_main_of(attempt)))
    for path in old:
        if path in used:
            continue
        if os.path.isdir(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            try:
                os.unlink(path)
            except OSError:
                pass


def _main_of(attempt):
    from .atomic import read_object
    launcher = (read_object(attempt.launch) or {}).get("launcher")
    return launcher[1] if isinstance(launcher, list) and len(launcher) == 2 and isinstance(launcher[1], str) else ""


def run_deployed(root, arguments):
    """Replaces this process by the deployed agent, started lean; never returns."""
    main = deploy(root)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-I", "-S", "-X", "utf8", main] + arguments)
