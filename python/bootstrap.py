"""Starts the agent on a host that was reached over SSH; see "Over SSH" in docs/agent-protocol.md.

Is given to `python3 -c` with the arguments NONCE, ROOT, HASH and SIZE; the first bytes of stdin are the agent's,
where it is not there yet. Also runs on a python that is too old for the agent, to say so.
"""

import errno
import hashlib
import json
import os
import re
import sys


def say(**members):
    """One line of the start, among whatever else comes over stdout."""
    sys.stdout.write("RUNYARD-START %s %s\n" % (NONCE, json.dumps(members)))
    sys.stdout.flush()


def refuse(error, message):
    """Says why there is no agent, and ends."""
    say(error=error, message=message)
    sys.exit(1)


def locate(asked):
    """The root folder's path: `~` and variables are the host's, and what is relative is so to the home folder."""
    for name in re.findall(r"\$(\w+|\{\w+\})", asked):
        if name.strip("{}") not in os.environ:
            refuse("root", "The folder %s cannot be found: $%s is not set on the host." % (asked, name.strip("{}")))
    root = os.path.expanduser(asked)
    if root.startswith("~"):
        refuse("root", "The folder %s cannot be found: there is no such user, or no home folder." % asked)
    return os.path.abspath(os.path.join(os.path.expanduser("~"), os.path.expandvars(root)))


def prepare(asked):
    """The root folder in full: there, our own, for nobody else, and writable."""
    root = locate(asked)
    try:
        if not os.path.isdir(root):
            os.makedirs(root, 0o700)
        if os.stat(root).st_uid != os.getuid():
            refuse("root", "The folder %s belongs to somebody else." % root)
        # Its rights are about to change: a home folder or a disk is not ours.
        names = set(os.listdir(root)) - set(["lost+found"])
        if names and "agent" not in names:
            refuse("root", "The folder %s holds other things: Runyard's has to be its own." % root)
        os.chmod(root, 0o700)
        agents = os.path.join(root, "agent")
        if not os.path.isdir(agents):
            os.mkdir(agents, 0o700)
        probe = os.path.join(agents, ".probe-%d" % os.getpid())
        try:
            os.close(os.open(probe, os.O_CREAT | os.O_WRONLY, 0o600))
            os.unlink(probe)
        except EnvironmentError as error:
            # What is there can still be collected and cleaned up.
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
        found = os.statvfs(root)
        return root, found.f_bavail * found.f_frsize
    except EnvironmentError as error:
        if error.errno == errno.EEXIST:
            refuse("root", "%s is there and is no folder." % error.filename)
        refuse("root", "The folder %s cannot be used: %s (%s)." % (root, error.strerror, error.filename))


def is_whole(folder):
    """Whether the agent is there with all files that its VERSION names behind its hash."""
    try:
        with open(os.path.join(folder, "VERSION")) as file:
            names = file.read().split("\n")[1:]
    except EnvironmentError:
        return False
    return all(os.path.isfile(os.path.join(folder, name)) for name in names if name)


def receive(size):
    """Exactly so many bytes of stdin; what is behind them is the channel's."""
    parts = []
    while size:
        part = os.read(0, min(size, 1 << 16))
        if not part:
            sys.exit(1)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def deploy(root, wanted, size):
    """Puts the agent that comes over stdin into the root folder."""
    data = receive(size)
    if hashlib.sha256(data).hexdigest()[:16] != wanted:
        refuse("agent", "The agent came over damaged.")
    archive = os.path.join(root, "agent", "%s.pyz-%d" % (wanted, os.getpid()))
    try:
        with open(archive, "wb") as file:
            file.write(data)
        sys.path.insert(0, archive)
        from runyard_agent.deploy import deploy as unpack
        unpack(root)
    except EnvironmentError as error:
        refuse("agent", "The agent cannot be put into %s: %s." % (root, error.strerror))
    finally:
        if os.path.exists(archive):
            os.unlink(archive)


def main(asked, wanted, size):
    """Becomes the agent."""
    say(stage="python", executable=sys.executable, version="%d.%d.%d" % sys.version_info[:3])
    root, free = prepare(asked)
    say(stage="root", path=root, free=free)
    folder = os.path.join(root, "agent", wanted)
    needed = not is_whole(folder)
    say(stage="agent", need=needed, path=folder)
    if needed:
        deploy(root, wanted, size)
        say(stage="deployed", path=folder)
    else:
        try:
            os.utime(folder, None)
        except OSError:
            pass
    main_file = os.path.join(folder, "__main__.py")
    os.execv(sys.executable, [sys.executable, "-I", "-S", "-X", "utf8", main_file,
                              "serve", "--root", root, "--nonce", NONCE])


NONCE = sys.argv[1]
main(sys.argv[2], sys.argv[3], int(sys.argv[4]))
