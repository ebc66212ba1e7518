"""What builds of images leave in an engine, and its removal. Nothing is touched but what carries the label of this
root, or a name that one of its builds has given."""

from . import container_options
from .digest import small_sha256
from .locks import lock_now, open_lock, unlock

#: Looks after which an engine counts as one that has stopped what its client asked for.
_LOOKS = 25
_PAUSE = 0.2


def label_of(root):
    """`name=value` of the label that everything carries that the builds of this root make."""
    return "runyard.build=%s" % container_options.root_label(root)


def open_turn(root, engine):
    """The lock (an open descriptor) under which the images of this root are built and removed, one after the other:
    so what a failed build has left can be told from what is needed."""
    where = "\0".join([engine.kind] + [engine.variables.get(name, "") for name in
                                       ("DOCKER_HOST", "DOCKER_CONTEXT", "CONTAINER_HOST")])
    return open_lock("%s/environments/images-%s.lock" % (root, small_sha256(where.encode("utf-8"))[:12]))


def lister_of(tag):
    """The name of the container in which the packages of an image are listed."""
    return tag.replace("/", "-").replace(":", "-") + "-packages"


def remove_image(root, engine, image):
    """A generator (turns) that removes the image that a build has made (`tag`), or what a killed one has left
    (`half`); returns whether nothing is left."""
    turn = open_turn(root, engine)
    try:
        while not lock_now(turn):
            yield _PAUSE
        if image.get("half"):
            return (yield from clean(root, engine, image["tag"]))
        if not (yield from _remove_named(engine, image["tag"])):
            return False
        return (yield from _prune(root, engine))
    finally:
        unlock(turn)


def clean(root, engine, tag):
    """A generator (turns) that removes everything that a build without an end has left: containers, images without
    a name, its own name. The caller holds the turn. Returns whether nothing is left."""
    yield from engine.ask(["rm", "--force", "--volumes", lister_of(tag)])
    # An engine whose client has gone ends the step by itself, a moment later.
    quiet = 0
    for _ in range(_LOOKS):
        found = yield from _containers(root, engine)
        if found is None:
            return False
        quiet = 0 if found else quiet + 1
        if found:
            yield from engine.ask(["rm", "--force", "--volumes"] + found)
        elif quiet == 2:
            break
        yield _PAUSE
    if not (yield from _remove_named(engine, tag)):
        return False
    return (yield from _prune(root, engine))


def _containers(root, engine):
    """The containers of build steps: they run images without a name, and belong to no run. None: the engine is away."""
    label = label_of(root)
    if engine.kind == "podman":
        return (yield from _working_containers(engine, label))
    tool = yield from engine.ask(["ps", "--all", "--no-trunc", "--filter", "label=" + label, "--format",
                                  "{{.ID}} {{.Image}} {{.Label \"runyard.run\"}}"])
    if tool.result is None:
        return None
    found = []
    for line in tool.result.splitlines():
        words = line.split()
        if len(words) == 2 and _is_identity(words[1]):
            found.append(words[0])
    return found


def _working_containers(engine, label):
    """Podman's have no labels: those that stand on an image without a name that has the label."""
    images = yield from engine.ask(["images", "--all", "--no-trunc", "--filter", "label=" + label, "--format",
                                    "{{.ID}} {{.Repository}}"])
    tool = yield from engine.ask(["ps", "--all", "--external", "--no-trunc", "--format", "{{.ID}} {{.ImageID}}"])
    if images.result is None or tool.result is None:
        return None
    half = set(words[0].rpartition(":")[2] for words in (line.split() for line in images.result.splitlines())
               if len(words) < 2 or words[1] == "<none>")
    return [words[0] for words in (line.split() for line in tool.result.splitlines())
            if len(words) == 2 and words[1] in half]


def _is_identity(text):
    text = text[7:] if text.startswith("sha256:") else text
    return len(text) >= 12 and all(char in "0123456789abcdef" for char in text)


def _remove_named(engine, tag):
    tool = yield from engine.ask(["rmi", tag], 60.0)
    lower = tool.errors.lower()
    return tool.code == 0 or "no such image" in lower or "image not known" in lower


def _prune(root, engine):
    tool = yield from engine.ask(["image", "prune", "--force", "--filter", "label=" + label_of(root)], 60.0)
    return tool.code == 0
