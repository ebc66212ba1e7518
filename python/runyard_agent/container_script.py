"""container.sh: what a container executes. It sets the variables, opens the log, and becomes the command.

So no variable stands on a command line or in the engine's records, and the log does not depend on the engine.
"""

import os

from .text import fs

#: What it writes into container.began: the command begins, or why it does not.
BEGAN, NO_PYTHON, NO_PROGRAM, NOT_EXECUTABLE = "began", "python", "program", "mode"

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


def script_of(attempt, argv, python, variables, python_path):
    """The bytes of container.sh.

    `argv` is the command; `python`: its first word stands for the image's own Python. `variables` are set over those
    of the image; `python_path` is a folder that goes to the front of PYTHONPATH.
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
    lines += [b"say " + fs(BEGAN), b" ".join([b'exec "$runyard_program"'] + [quoted(word) for word in argv[1:]])]
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
