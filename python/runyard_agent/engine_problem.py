"""Why a container engine cannot be used, in sentences, and what to do about it."""

import os
import sys

from .errors import AgentError
from .tool import find

_OTHERWISE = "or choose another environment."

#: What the engines' own programs say, in small letters.
_AWAY = ("cannot connect to the docker daemon", "is the docker daemon running", "error during connect",
         "failed to connect to the docker api", "docker daemon is not running", "cannot connect to podman",
         "unable to connect to podman")
_CLOSED = ("permission denied while trying to connect", "got permission denied", "dial unix", "access is denied")


class EngineProblem(AgentError):
    """AgentError engine; `start` is a command that starts the engine, None where none is known."""

    def __init__(self, message, action, start=None, away=False):
        AgentError.__init__(self, "engine", message, action)
        self.start = start
        self.kind = None  # of the engine, where there is one
        self.away = away  # it does not answer now, and may later


def nothing(asked=None):
    """There is nothing that runs containers; or not the one that was asked for."""
    if asked is not None:
        return EngineProblem("RUNYARD_ENGINE asks for %s, which was not found on the PATH of the host %s."
                             % (asked, os.uname()[1]), "Install it there, or take the variable away.")
    return EngineProblem("There is no container engine here: neither docker nor podman was found on the PATH, and no "
                         "apptainer either.", "Install Docker or Podman on this host, " + _OTHERWISE)


def unknown(asked, known):
    """RUNYARD_ENGINE names something else."""
    return EngineProblem("RUNYARD_ENGINE is %s, which is no engine." % asked,
                         "Choose one of %s, or take the variable away." % ", ".join(known))


def of_text(engine, text, whatever=False):
    """The EngineProblem that the stderr of the engine's program tells of; None when it tells of something else (with
    `whatever` that is one, too). `text` None: it did not answer in time."""
    found = _of_text(engine, text, whatever)
    if found is not None:
        found.kind = engine.kind
    return found


def _of_text(engine, text, whatever):
    if text is None:
        return _away(engine, "does not answer")
    lower = text.lower()
    if "permission denied" in lower and any(words in lower for words in _CLOSED):
        return _closed(engine)
    if any(words in lower for words in _AWAY):
        return _away(engine, "does not answer" if _is_remote(_place(engine)) else "is not running")
    if whatever:
        words = last_words(text) or "it says nothing."
        return EngineProblem("The %s engine cannot be used: %s" % (engine.name, words),
                             "Correct that, " + _OTHERWISE)
    return None


def last_words(text):
    """What an engine's program complains of: its last line that says something, without its help texts."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines
             if not (line.startswith(("Run '", "See '", "Usage:", "WARNING:", "time=")) or line.endswith("--help'."))]
    for line in lines:
        # The first of several: what follows is their consequence or a list of hints.
        for start in ("docker: ", "Error: ", "ERROR: ", "Error response from daemon: "):
            if line.startswith(start):
                return _short(_without_starts(line))
    return _short(_without_starts(lines[-1])) if lines else ""


def _without_starts(line):
    going = True
    while going:
        going = False
        for start in ("docker: ", "Error: ", "ERROR: ", "Error response from daemon: "):
            if line.startswith(start):
                line, going = line[len(start):], True
    return line


def _short(line):
    return line if len(line) <= 500 else line[:497] + "..."


def _place(engine):
    """The address that the variables name, None for the usual one."""
    if engine.kind == "podman":
        return engine.variables.get("CONTAINER_HOST") or None
    return engine.variables.get("DOCKER_HOST") or None


def _is_remote(place):
    return place is not None and not place.startswith("unix://")


def _away(engine, what):
    place = _place(engine)
    at = " at %s" % place if place else ""
    start = _start(engine, place)
    if _is_remote(place):
        action = "See to it that it runs and can be reached (%s), %s" % (
            "CONTAINER_HOST" if engine.kind == "podman" else "DOCKER_HOST", _OTHERWISE)
    else:
        action = "Start %s%s, %s" % (engine.name, " (%s)" % start if start else "", _OTHERWISE)
    return EngineProblem("The %s engine%s %s." % (engine.name, at, what), action, start, away=True)


def _start(engine, place):
    """A command that starts the engine that listens at `place`."""
    if sys.platform == "darwin":
        return "podman machine start" if engine.kind == "podman" else "open -a Docker"
    if engine.kind == "podman":
        return None  # it has no engine that runs
    own = engine.variables.get("XDG_RUNTIME_DIR", "/run/user/%d" % os.getuid())
    rootless = place is None and engine.variables.get("DOCKER_CONTEXT") == "rootless"
    if rootless or place == "unix://%s/docker.sock" % own:
        return "systemctl --user start docker"
    if place not in (None, "unix:///var/run/docker.sock", "unix:///run/docker.sock"):
        return None
    sudo = "" if os.getuid() == 0 else "sudo "
    if find("systemctl") and os.path.isdir("/run/systemd/system"):
        return sudo + "systemctl start docker"
    return sudo + "service docker start" if os.path.exists("/etc/init.d/docker") else None


def _closed(engine):
    user, member = _in_group("docker")
    if member:
        return EngineProblem("The %s engine is closed to this session: %s has come into the group docker after it "
                             "began." % (engine.name, user),
                             "Sign out and in again (on a host over SSH: disconnect), then try again, " + _OTHERWISE)
    return EngineProblem("%s may not use the %s engine: this user is not in the group docker." % (user, engine.name),
                         "Let an administrator run: sudo usermod -aG docker %s, and sign in again; or set up rootless "
                         "Docker or Podman, %s" % (user, _OTHERWISE))


def _in_group(name):
    """(this user's name, whether it is listed in a group)."""
    user = "User %d" % os.getuid()
    try:
        import grp  # late: hardly ever needed, and not in every Python
        import pwd
        user = pwd.getpwuid(os.getuid()).pw_name
        return user, user in grp.getgrnam(name).gr_mem
    except (ImportError, KeyError):
        return user, False
