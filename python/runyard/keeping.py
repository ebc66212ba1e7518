"""Files that a script gives to its run: copied below the run's `artifacts/` folder, each appearing as a whole."""

import os
import shutil
import threading

#: Names under which artifacts of other folders are listed.
RESERVED = ("outputs", "logs", "user_logs")

#: Half-written files have this prefix; nobody lists them.
TEMPORARY = ".runyard-tmp-"

_KINDS = ((b"\x89PNG\r\n\x1a\n", ".png"), (b"\xff\xd8\xff", ".jpg"), (b"GIF8", ".gif"))


def target_path(local_path, artifact_path):
    """Where a file or folder goes: `artifact_path` is the folder in which it keeps its name. ValueError for a
    path that leads out of the artifacts or into the names of other folders."""
    base = os.path.basename(os.path.normpath(local_path))
    path = base if not artifact_path else "%s/%s" % (str(artifact_path).strip("/"), base)
    parts = path.split("/")
    if path.startswith("/") or any(part in ("", ".", "..") for part in parts):
        raise ValueError("%r is no path of an artifact" % (artifact_path,))
    if parts[0] in RESERVED and (len(parts) > 1 or os.path.isdir(local_path)):
        raise ValueError("artifacts below %s/ are what the script leaves in its %s folder; choose another path"
                         % (parts[0], parts[0]))
    return path


def keep(local_path, folder, path):
    """Copies a file or a whole folder; gives the artifact paths. OSError when that fails."""
    if not os.path.isdir(local_path):
        _put(folder, path, lambda target: shutil.copyfile(local_path, target))
        return [path]
    found = []
    for parent, folders, names in os.walk(local_path):
        folders.sort()
        for name in sorted(names):
            source = os.path.join(parent, name)
            if os.path.isfile(source):
                place = path + "/" + os.path.relpath(source, local_path).replace(os.sep, "/")
                _put(folder, place, lambda target, source=source: shutil.copyfile(source, target))
                found.append(place)
    return found


def keep_image(name, image, step, folder):
    """Stores an image (a file's path, PNG/JPEG/GIF/WebP/SVG bytes, or what has `savefig`) under a name of its own;
    gives the artifact path. TypeError for anything else, OSError when writing fails."""
    if isinstance(image, (bytes, bytearray, memoryview)):
        data = bytes(image)
        return _new(folder, name, step, _kind(data), lambda target: _write(target, data))
    if isinstance(image, (str, os.PathLike)):
        source = os.fspath(image)
        ending = os.path.splitext(source)[1].lower() or ".png"
        if not os.path.isfile(source):
            raise OSError(2, "there is no image", source)
        return _new(folder, name, step, ending, lambda target: shutil.copyfile(source, target))
    if callable(getattr(image, "savefig", None)):
        return _new(folder, name, step, ".png", lambda target: image.savefig(target, format="png"))
    raise TypeError("an image must be a path, bytes or a figure with savefig, not %s" % type(image).__name__)


def _kind(data):
    for start, ending in _KINDS:
        if data.startswith(start):
            return ending
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ".webp"
    if data.lstrip()[:5].lower() in (b"<?xml", b"<svg "):
        return ".svg"
    raise TypeError("these bytes are no PNG, JPEG, GIF, WebP or SVG image")


def _write(target, data):
    with open(target, "wb") as file:
        file.write(data)


def _temporary(path):
    parent, name = os.path.split(path)
    os.makedirs(parent, exist_ok=True)
    return os.path.join(parent, "%s%d-%d" % (TEMPORARY, os.getpid(), threading.get_ident()))


def _put(folder, path, fill):
    target = os.path.join(folder, path)
    temporary = _temporary(target)
    try:
        fill(temporary)
        os.rename(temporary, target)
    except BaseException:
        _remove(temporary)
        raise


def _new(folder, name, step, ending, fill):
    """As `_put`, under the first free name: two processes may log an image of one name and step."""
    safe = "/".join("".join(c if c.isalnum() or c in "._- " else "_" for c in part).strip(". ") or "_"
                    for part in name.split("/"))
    base = "images/" + safe + ("" if step is None else "_%06d" % step)
    temporary = _temporary(os.path.join(folder, base))
    try:
        fill(temporary)
        for number in range(1, 1000000):
            path = base + ("" if number == 1 else "-%d" % number) + ending
            try:
                os.close(os.open(os.path.join(folder, path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
            except FileExistsError:
                continue
            os.rename(temporary, os.path.join(folder, path))
            return path
    except BaseException:
        _remove(temporary)
        raise


def _remove(path):
    try:
        os.unlink(path)
    except OSError:
        pass
