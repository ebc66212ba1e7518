"""host.engine and host.engine.canary: what containers can be had on this host, and whether they see its folders."""

import json
import os
import shutil
import time

from . import engine
from .atomic import read_bytes, write_bytes
from .container import says_unseen, unseen
from .container_options import mount, root_label
from .engine_problem import EngineProblem, last_words
from .errors import AgentError

#: Images that are looked at, the newest; what Runyard has built is told by environments.list.
_IMAGES = 300
_OWN = ("runyard/", "localhost/runyard/")


def describe(root, variables=None):
    """A generator (turns) that returns host.engine's result; `variables` say which engine, by default this process's."""
    found = {"kind": None, "version": None, "rootless": False, "running": False, "problem": None, "action": None,
             "start": None, "images": []}
    try:
        where = yield from engine.look(root, os.environ if variables is None else variables)
        found.update(kind=where.kind, version=where.version, rootless=where.rootless, running=True)
        if not where.plain:
            found["images"] = yield from _images(where)
    except AgentError as problem:
        found.update(problem=problem.message, action=problem.action,
                     kind=found["kind"] or getattr(problem, "kind", None), start=getattr(problem, "start", None))
    return found


def _images(where):
    listed = yield from where.ask(["images", "--quiet", "--no-trunc"])
    if listed.result is None:
        raise where.problem(listed) or EngineProblem("The %s engine cannot list its images: %s" % (
            where.name, last_words(listed.errors)), None)
    ids = list(dict.fromkeys(listed.result.split()))[:_IMAGES]
    if not ids:
        return []
    # One that goes in between is a complaint; the others are told nevertheless.
    told = yield from where.ask(["image", "inspect"] + ids)
    images = []
    for image in _list(told.output):
        try:
            names = [name for name in image["RepoTags"] or [] if not name.startswith(_OWN) and "<none>" not in name]
            images += [{"name": name, "id": image["Id"], "bytes": image["Size"],
                        "created_at": _epoch_ms(image["Created"])} for name in names]
        except (KeyError, TypeError):
            continue
    images.sort(key=lambda image: -(image["created_at"] or 0))
    return images


def _list(text):
    try:
        found = json.loads(text)
    except ValueError:
        return []
    return found if isinstance(found, list) else []


def _epoch_ms(text):
    """Milliseconds of a time as engines write it ("2024-05-01T10:00:00.123456789Z"), None for none."""
    try:
        import calendar  # late: costs memory
        found = calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))
        zone = text[19:].lstrip(".0123456789")
        if zone[:1] in ("+", "-"):
            found -= (1 if zone[0] == "+" else -1) * (int(zone[1:3]) * 3600 + int(zone[4:6]) * 60)
        return found * 1000 if found > 0 else None
    except (ValueError, TypeError):
        return None


def canary(root, variables=None):
    """A generator (turns) that returns host.engine.canary's result: a container is made (never started) with a new
    folder of this host mounted, and a file that was put there is read through it."""
    try:
        where = yield from engine.look(root, os.environ if variables is None else variables)
        if not where.plain:  # it is no other system's than this
            yield from _look_through(root, where)
    except AgentError as problem:
        return {"mounts": False, "problem": problem.message, "action": problem.action}
    return {"mounts": True, "problem": None, "action": None}


def _look_through(root, where):
    token = "%s-%d" % (os.urandom(8).hex(), os.getpid())
    folder = "%s/environments/canary-%s" % (root, token)
    name, image = "runyard-canary-" + token, "runyard/canary:" + token
    os.makedirs(folder + "/out", mode=0o700)
    try:
        write_bytes(folder + "/token", token.encode("ascii"))
        write_bytes(folder + "/empty.tar", bytes(10240))
        # An image that holds nothing, so that none has to be fetched.
        yield from _must(where, ["import", folder + "/empty.tar", image])
        problem = None
        try:
            yield from _compare(root, where, folder, name, image, token)
        except AgentError as found:
            problem = found
        yield from where.ask(["rm", "--force", "--volumes", name])
        yield from where.ask(["rmi", image])
        if problem is not None:
            raise problem
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _compare(root, where, folder, name, image, token):
    tool = yield from where.ask(["create", "--name", name, "--pull=never", "--label",
                                 "runyard.root=" + root_label(root), "--mount", mount(folder), image, "/none"])
    if says_unseen(tool.errors):
        raise unseen(where)
    _check(where, tool)
    tool = yield from where.ask(["cp", "%s:%s/token" % (name, folder), folder + "/out/token"])
    if tool.code == 0:
        seen = read_bytes(folder + "/out/token") == token.encode("ascii")
    else:
        # An older podman shows mounts only while a container runs; it has refused a folder that it does not see.
        seen = where.kind == "podman" and where.problem(tool) is None
    if not seen:
        raise unseen(where)


def _must(where, words):
    _check(where, (yield from where.ask(words)))


def _check(where, tool):
    if tool.code != 0:
        raise where.problem(tool) or EngineProblem("The %s engine cannot make a container: %s" % (
            where.name, last_words(tool.errors)), "Correct that, or choose another environment.")
