"""The user's own systemd: whether it takes processes that outlive a session, and whether it stays itself."""

import os

from .tool import Tool, find, output_of

#: Seconds after which a user manager counts as one that does not answer.
PATIENCE = 10.0


def scope(description):
    """The words before a command that systemd-run executes in a scope of its own: the same process (and so with
    its descriptors), but no part of the session any more."""
    return ["systemd-run", "--user", "--scope", "--quiet", "--collect", "--description=%s" % description, "--"]


def variables(environment):
    """Those by which systemd-run finds the user's manager. An SSH command often has none of them."""
    found = {name: environment[name] for name in ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
             if name in environment}
    usual = "/run/user/%d" % os.getuid()
    if "XDG_RUNTIME_DIR" not in found and os.path.isdir(usual):
        found["XDG_RUNTIME_DIR"] = usual
    return found


def _trial():
    """What to run, for how long at most, and with which variables, to see that the user's systemd takes a command:
    one that does nothing."""
    return scope("Runyard: a trial") + ["true"], PATIENCE, dict(os.environ, **variables(os.environ))


def works():
    """True when a command can be started by the user's systemd here; waits for it."""
    return output_of(*_trial()) is not None


def ask():
    """A generator (turns) that returns the same."""
    if find("systemd-run") is None:
        return False
    tool = Tool(*_trial())
    while not tool.poll():
        yield 0.02
    return tool.result is not None


def ask_linger():
    """A generator (turns) that returns whether the user's systemd stays when the last session ends; None where
    nobody can say."""
    user = _user()
    if user is not None and os.path.exists("/var/lib/systemd/linger/" + user):
        return True
    if find("loginctl") is None:
        return None
    tool = Tool(["loginctl", "show-user", str(os.getuid()), "--property=Linger"], PATIENCE)
    while not tool.poll():
        yield 0.02
    return {"Linger=yes": True, "Linger=no": False}.get((tool.result or "").strip())


def _user():
    import pwd
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return None
