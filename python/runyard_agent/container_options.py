"""The arguments by which a run's container is made."""

import os

from . import gpus as host_gpus
from .digest import small_sha256
from .errors import AgentError
from .host import LINUX

#: Options that would undo what a run stands on, and why.
_REFUSED = {
    "--name": "the container has the run's name",
    "--rm": "the run's end is read from the container before it is removed",
    "--detach": "the run's container is always in the background",
    "--entrypoint": "the command is executed by /bin/sh of the image",
    "--cidfile": "the container has the run's name",
    "--restart": "a run begins once",
}
_SHORT = {"d": "--detach"}

#: Short options that stand alone, so that others may follow in the same word (-it).
_ALONE = frozenset("diPqt")


def check_arguments(arguments):
    """Refuses extra arguments of a person that cannot be. AgentError bad_request."""
    if arguments and not arguments[0].startswith("-"):
        raise AgentError("bad_request", "The Docker arguments must begin with an option, not with %s." % arguments[0],
                         "Correct the environment's Docker arguments.")
    for word in arguments:
        option = _refused(word)
        if option is not None:
            raise AgentError("bad_request", "The Docker argument %s cannot be used: %s." % (word, _REFUSED.get(
                option, "nothing may follow but the image")), "Remove it from the environment's Docker arguments.")


def _refused(word):
    name = word.split("=", 1)[0]
    if name in _REFUSED or word == "--":
        return name
    if word.startswith("-") and not word.startswith("--"):
        for letter in word[1:]:
            if letter in _SHORT:
                return _SHORT[letter]
            if letter not in _ALONE:
                break
    return None


def root_label(root):
    """The value of the label runyard.root."""
    return small_sha256(os.path.realpath(root).encode("utf-8", "surrogateescape"))[:16]


def labels(attempt):
    """The labels of an attempt's container."""
    return {"runyard.run": attempt.run, "runyard.attempt": str(attempt.number),
            "runyard.root": root_label(attempt.root)}


def mount(path, read_only=False):
    """The value of --mount by which a folder of the host has the same path in the container."""
    parts = ["type=bind", "src=" + path, "dst=" + path] + (["readonly"] if read_only else [])
    return ",".join('"%s"' % part.replace('"', '""') if any(c in part for c in ',"\n\r') else part for part in parts)


def run_arguments(engine, attempt, name, image, container, agent_folder, leased, init=True):
    """`run` and its arguments for an attempt's container."""
    words = ["run", "--detach", "--name", name, "--pull=never", "--log-driver=none", "--entrypoint", "/bin/sh",
             "--workdir", attempt.code, "--mount", mount(attempt.folder), "--mount", mount(agent_folder, True)]
    if init:
        words += ["--init", "--env", "TINI_KILL_PROCESS_GROUP=1"]
    words += person(engine)
    words += _gpus(engine, attempt.root, leased, container.get("all_gpus"))
    for option, value in (("--shm-size", container.get("shm_size")), ("--memory", container.get("memory")),
                          ("--cpus", container.get("cpus")), ("--network", container.get("network"))):
        if value is not None:
            words += [option, "%g" % value if isinstance(value, float) else str(value)]
    arguments = container.get("arguments") or []
    check_arguments(arguments)
    words += arguments
    # Last, as the last ones count: by these the container is known for the run's.
    for label, value in sorted(labels(attempt).items()):
        words += ["--label", "%s=%s" % (label, value)]
    return words + [image, attempt.container_script]


def python_beside(engine, root, image, chosen):
    """The first words of a command line that runs the image's Python (`chosen`, or the first of its PATH) beside a
    run."""
    script = ('exec "$0" "$@"' if chosen else
              'for p in python3 python; do command -v $p >/dev/null 2>&1 && exec $p "$@"; done; exit 127')
    return [engine.program, "run", "--rm", "--pull=never", "--network=none", "--entrypoint", "/bin/sh",
            "--label", "runyard.root=%s" % root_label(root), image, "-c", script, chosen or "python"]


def person(engine):
    """The arguments by which files that the container writes belong to this user."""
    me = "%d:%d" % (os.getuid(), os.getgid())
    words = []
    if engine.kind == "podman" and engine.rootless:
        words = ["--userns=keep-id", "--user", me]
    elif engine.rootless:
        words = ["--user", "0:0"]  # root inside is this user outside
    else:
        words = ["--user", me]
        if LINUX:
            for group in sorted(set(os.getgroups()) - {os.getgid()}):
                words += ["--group-add", str(group)]
        if engine.remapped:
            words.append("--userns=host")
    if LINUX and os.path.exists("/sys/fs/selinux/enforce"):
        # A container may not read the folders of a home otherwise, and relabelling them would change the host.
        words += ["--security-opt", "label=disable"]
    return words


def _gpus(engine, root, leased, everything):
    if not leased and not (everything and host_gpus.listed(root)):
        return []
    if engine.kind == "podman":
        names = ["%d" % index for index in leased] or ["all"]
        return [word for name in names for word in ("--device", "nvidia.com/gpu=" + name)]
    return ["--gpus", '"device=%s"' % ",".join(str(index) for index in leased) if leased else "all"]


def no_memory(limit, whom):
    """What is said of a container that had not enough memory; `limit` may be None."""
    return "The container ran out of memory%s and the kernel killed %s." % (
        " (its limit is %s)" % limit if limit is not None else "", whom)
