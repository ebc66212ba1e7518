"""Taking builds away: those of killed builders, failed ones that nobody reads any more, superseded and unused ones."""

import os

from . import engine, environment_store, image_remains
from .atomic import read_object, write_json
from .build_command import end_build
from .environment_store import Deciding, builds_of
from .locks import try_lock
from .removal import remove

#: Processes of a build whose builder was killed have this long after SIGTERM, seconds.
_GRACE = 1.0


def take_away(build, states):
    """A generator (turns) that removes a build if it is in one of these states and nobody uses it; returns whether
    it went. A dead one goes though others wait for it: they begin anew."""
    held = []
    try:
        while True:
            with Deciding(build.root) as mine:
                if mine:
                    state = build.state()
                    if state not in states:
                        return False
                    # Whoever looks meanwhile sees it as in use, and whoever wants it waits.
                    held.append(try_lock(build.lock) if state == "dead" else build.take())
                    if held[0] is None or (state == "dead" and build.has_result()):
                        return False
                    about = environment_store.about(build.root, build.key)
                    trash = environment_store.set_apart(build)
                    break
            yield 0.02
    finally:
        for fd in held:
            if fd is not None:
                os.close(fd)
    if trash is None:
        return False
    if state == "dead":
        yield from end_build(build, _GRACE)
    if about.get("kind") == "image" and state != "failed":
        # Kept until the engine has let go of the image: it may be away right now.
        _note(trash, {"engine": about.get("engine"), "tag": build.tag, "key": build.key, "number": build.number,
                      "half": state == "dead"})
    yield from remove(build.temporary)
    yield from empty(build.root, trash)
    return True


def _note(trash, image):
    try:
        write_json(trash + "/image.json", image)
    except OSError:
        pass  # a full disk


def empty(root, trash):
    """A generator (turns) that removes what was set apart, with its image."""
    image = read_object(trash + "/image.json")
    if image is not None:
        spoken_to = engine.from_json(image.get("engine"))
        if spoken_to is not None and not (yield from image_remains.remove_image(root, spoken_to, image)):
            return
    yield from remove(trash)


def of_others(build):
    """A generator (turns) that removes the other builds of an environment that have no builder and no result, or have
    failed and are of no interest any more."""
    for other in builds_of(build.root, build.key):
        if other.number != build.number:
            yield from take_away(other, ("dead", "failed"))


def superseded(root, key):
    """A generator (turns) that removes what nobody uses of the builds that do not count any more; returns the sizes
    of what went."""
    ready = False
    gone = []
    for build in builds_of(root, key):
        if build.state() != "ready":
            continue
        if ready:
            size = size_of(build)
            if (yield from take_away(build, ("ready",))):
                gone.append(size)
        ready = True
    return gone


def size_of(build):
    """Bytes that go with a finished build (of an image those that it has beside its base), 0 where that is not
    known."""
    facts = read_object(build.facts) or {}
    size = facts.get("own_bytes", facts.get("bytes"))
    return size if isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 1 << 62 else 0


def sweep(root):
    """A generator (turns) that removes what killed builders, waiters and agents have left on this host."""
    from .processes import look
    place = root + "/environments"
    try:
        names = os.listdir(place)
    except OSError:
        return
    for name in names:
        if name.startswith(".trash-"):
            yield from empty(root, place + "/" + name)
        elif name.startswith(".new-") and look(int(name.split("-")[1])) is None:
            yield from remove(place + "/" + name)
    living = set()
    for key in environment_store.all_keys(root):
        yield
        for build in builds_of(root, key):
            if build.state() == "building":
                living.add(os.path.basename(build.temporary))
            yield from take_away(build, ("dead", "failed"))
        with Deciding(root) as mine:
            if mine:
                environment_store.forget(root, key)
    for name in _names(place + "/tmp"):
        # Looked at before: what has begun since has a folder of a newer time.
        if name not in living and not _is_building(root, name):
            yield from remove(place + "/tmp/" + name)


def _is_building(root, name):
    start, _, number = name.partition("-")
    return any(key.startswith(start) and number.isdigit()
               and environment_store.Build(root, key, int(number)).state() == "building"
               for key in environment_store.all_keys(root))


def _names(folder):
    try:
        return os.listdir(folder)
    except OSError:
        return []
