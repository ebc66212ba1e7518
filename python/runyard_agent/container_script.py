"""container.sh: what a container executes. It sets the variables, opens the log, and becomes the command.

So no variable stands on a command line or in the engine's records, and the log does not depend on the engine.
"""

import os

from .atomic import write_bytes
from .text import fs

#: What it writes into container.began: the command begins, or why it does not.
BEGAN, NO_PYTHON, NO_PROGRAM, NOT_EXECUTABLE, NO_NODE_PYTHON = "began", "python", "program", "mode", "node"

_FIRST = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
_REST = _FIRST.union("0123456789")

#: Names that a shell keeps for itself: to set them is an error that ends it.
_KEPT = frozenset(["PPID", "UID", "EUID", "BASHOPTS", "BASH_VERSINFO", "SHELLOPTS", "OPTIND", "OPTARG"])


def quoted(text):
    """A word that a shell takes as it is, whatever is in it (bytes)."""
    return b"'" + fs(text).replace(b"'", b"'\\''") + b"'"


def settable(name):
    """True for a name that a shell can export."""
    return name[:1] in _FIRST and _REST.issuperset(name) and name not in _KEPT


def write(attempt, spec, several, variables, agent_folder):
    """Writes container.sh of a run, and makes what it finds: the home folder and the log. `several` are its processes
    where it has more than one."""
    os.makedirs(attempt.home, mode=0o700, exist_ok=True)
    os.close(os.open(attempt.log, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    remove(attempt.container_began)
    interpreter = spec["environment"]["interpreter"]
    argv = ["/bin/sh", "-c", spec["shell"]] if spec["shell"] is not None else list(spec["command"])
    python = spec.get("python") is True and spec["shell"] is None
    if python and interpreter is not None:
        argv[0], python = interpreter, False
    node = None
    if several is not None:
        several.write(argv, None)
        node = several.argv()[1:]
    write_bytes(attempt.container_script, script_of(attempt, argv, python, variables, agent_folder, node))


def remove(path):
    """Takes a file away, if it is there."""
    try:
        os.unlink(path)
    except OSError:
        pass


def script_of(attempt, argv, python, variables, python_path, node=None):
    """The bytes of container.sh.

    `argv` is the command; `python`: its first word stands for the image's own Python. `variables` are set over those
    of the image; `python_path` is a folder that goes to the front of PYTHONPATH. `node` are the words behind the
    interpreter's name by which the node program starts the command, where it has several processes.
    """
    lines = [b"# What the container of this run executes. Gone once it has begun.",
             b"exec </dev/null >>" + quoted(attempt.log) + b" 2>&1 || exit 126",
             b"unset TINI_KILL_PROCESS_GROUP"]
    for name, value in sorted(variables.items()):
        if settable(name):
            lines.append(b"export " + fs(name) + b"=" + quoted(value))
        else:
            lines.append(_print("Runyard: the variable %s is not set: no shell can set one of that name." % name))
    lines += [b"export PYTHONPATH=" + quoted(python_path) + b'"${PYTHONPATH:+:$PYTHONPATH}"',
              b"say() { echo \"$1\" >" + quoted(attempt.container_began) + b"; }",
              b"cd " + quoted(attempt.code) + b" || exit 126"]
    lines += _python() if python else _program(argv[0])
    words = [b'exec "$runyard_program"'] + [quoted(word) for word in argv[1:]]
    if node is not None:
        is_python = python or argv[0].rpartition("/")[2].startswith("python")
        lines += _node_python(b'"$runyard_program"' if is_python else b"")
        words = [b'exec "$runyard_node"'] + [quoted(word) for word in node] + [b'--program "$runyard_program"']
    lines += [b"say " + fs(BEGAN), b" ".join(words)]
    return b"\n".join(lines) + b"\n"


def _print(text):
    return b"printf '%s\\n' " + quoted(text)


def _python():
    """Sets `runyard_program` (a name that no command looks for) to the first Python of the PATH."""
    return [b"if command -v python3 >/dev/null 2>&1; then runyard_program=python3",
            b"elif command -v python >/dev/null 2>&1; then runyard_program=python",
            b"else",
            _print("Runyard: there is neither python3 nor python on the PATH of this image."),
            b"say " + fs(NO_PYTHON),
            b"exit 127",
            b"fi"]


def _node_python(program):
    """Sets `runyard_node` to a Python that can run the node program; `program` may be one."""
    return [b"for runyard_node in python3 python " + program + b"; do",
            b"  \"$runyard_node\" -I -S -c 'import sys; sys.exit(sys.version_info < (3, 6))' 2>/dev/null && break",
            b"  runyard_node=",
            b"done",
            b'if [ -z "$runyard_node" ]; then',
            _print("Runyard: this image has no python3 (3.6 or later) on its PATH, which starts the processes."),
            b"say " + fs(NO_NODE_PYTHON),
            b"exit 127",
            b"fi"]


def _program(name):
    """Sets `runyard_program`, once it is sure that there is such a program."""
    lines = [b"runyard_program=" + quoted(name)]
    if "/" in name:
        lines += _unless(b'[ -e "$runyard_program" ]', "Runyard: %s is not there." % name, NO_PROGRAM, 127)
        return lines + _unless(b'[ -f "$runyard_program" ] && [ -x "$runyard_program" ]',
                               "Runyard: %s cannot be executed." % name, NOT_EXECUTABLE, 126)
    return lines + _unless(b'command -v "$runyard_program" >/dev/null 2>&1',
                           "Runyard: there is no %s on the PATH of this image." % name, NO_PROGRAM, 127)


def _unless(test, text, word, code):
    return [b"if " + test + b"; then :; else", _print(text), b"say " + fs(word), b"exit %d" % code, b"fi"]


def began(attempt):
    """What container.sh has said, None while it has said nothing (or half a word)."""
    try:
        fd = os.open(attempt.container_began, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        said = os.read(fd, 100)
    finally:
        os.close(fd)
    return said[:-1].decode("ascii", "replace") if said.endswith(b"\n") else None


def problem(word, spec, image):
    """`(error code, message, action)` of a command that has not begun for what container.sh has said: `word`."""
    program = spec["environment"]["interpreter"] if spec.get("python") else (spec["command"] or ["/bin/sh"])[0]
    kind = "environment" if spec.get("python") or word == NO_NODE_PYTHON else "not_found"
    return (kind,) + why_not(word, image, program)


def why_not(word, image, program):
    """`(message, action)` of a command that has not begun for what container.sh has said: `word`."""
    message = {
        NO_PYTHON: "The image %s has no Python." % image,
        NO_PROGRAM: "%s was not found in the image %s." % (program, image),
        NOT_EXECUTABLE: "%s cannot be executed in the image %s." % (program, image),
        NO_NODE_PYTHON: "The image %s has no python3 (3.6 or later), which starts the processes of a run that has "
                        "several." % image,
    }.get(word, "The command did not begin.")
    action = {NO_PYTHON: "Choose an image with Python, or one to install it in.",
              NO_NODE_PYTHON: "Choose an image with python3 on its PATH, or run one process."}.get(
                  word, "Choose another image, or another program.")
    return message, action
