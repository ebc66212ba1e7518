"""Removing folders in small steps, whatever modes a script gave them."""

import os
import time

from .layout import attempts_of
from .slurm_attempt import is_job

#: Bytes of a path below the removed folder from which on a folder is moved up, and folders found at a time.
_DEEP = 2000
_AT_A_TIME = 1000


def set_apart(root, folder):
    """Moves a run's folder out of sight at once; gives a generator (turns) that removes it.

    The name cannot be a run's, so that what a kill leaves is found by `left_behind`.
    """
    keep_container_files(root, folder)
    trash = "%s/runs/.trash-%d-%d" % (root, os.getpid(), int(time.time() * 1e6))
    os.rename(folder, trash)
    return remove(trash)


def keep_container_files(root, folder):
    """Moves what stands for containers that could not be removed yet to where ContainerSweep finds it."""
    for attempt in attempts_of(root, os.path.basename(folder)):
        # What a job leaves is on its node, and goes with the next job there.
        if os.path.exists(attempt.container) and not is_job(attempt):
            place = root + "/environments/containers"
            os.makedirs(place, mode=0o700, exist_ok=True)
            os.rename(attempt.container, "%s/%s-%d.json" % (place, attempt.run, attempt.number))


def left_behind(root):
    """Folders that an earlier agent did not get to remove."""
    try:
        return ["%s/runs/%s" % (root, name) for name in os.listdir(root + "/runs") if name.startswith(".trash-")]
    except OSError:
        return []


def sweep_temporary(root):
    """A generator (turns) that removes what killed agents had not finished: parts of blobs, folders of attempts
    that were being submitted. Their names end with the pid of who made them."""
    from .processes import look
    places = [root + "/blobs/tmp"]
    try:
        places += ["%s/runs/%s/attempts" % (root, name) for name in os.listdir(root + "/runs")]
    except OSError:
        pass
    for count, place in enumerate(places):
        if count % 50 == 0:
            yield
        try:
            names = os.listdir(place)
        except OSError:
            continue
        for name in names:
            pid = name.replace(".", "-").rpartition("-")[2]
            if (count and not name.startswith(".new-")) or not pid.isdigit() or look(int(pid)) is not None:
                continue
            if count:
                yield from remove(place + "/" + name)
            else:
                os.unlink(place + "/" + name)


def remove(folder):
    """A generator (turns) that removes a folder, however large, deep, or closed by its script; links are removed,
    not followed."""
    top = folder.encode("utf-8", "surrogateescape")
    waiting = [(top, None)]
    count = moved = removed = 0
    while waiting:
        place, before = waiting.pop()
        if before == removed:
            continue  # nothing below it could be removed
        start = removed
        try:
            # A folder that its script made read-only.
            os.chmod(place, 0o700)
            if len(place) > len(top) + _DEEP:
                # Before a path gets longer than the system takes.
                moved += 1
                place = _moved(place, top + b"/.deep-%d" % moved)
            entries = os.scandir(place)
        except OSError:
            continue
        folders = []
        with entries:
            for entry in entries:
                count += 1
                if count % 100 == 0:
                    yield
                if entry.is_dir(follow_symlinks=False):
                    folders.append((entry.path, None))
                    if len(folders) == _AT_A_TIME:
                        break
                    continue
                try:
                    os.unlink(entry.path)
                    removed += 1
                except OSError:
                    pass
        if not folders:
            try:
                os.rmdir(place)
                removed += 1
                continue
            except OSError:
                pass
        # Looked at again once its folders are gone.
        waiting.append((place, removed if folders else start))
        waiting.extend(folders)


def _moved(place, other):
    try:
        os.rename(place, other)
        return other
    except OSError:
        return place
