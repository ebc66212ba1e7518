"""spec.json: what to run. Refused as a whole before anything is written."""

from . import PROTOCOL, checks, spec_environment, spec_slurm
from .errors import AgentError


def check(spec):
    """The spec with its defaults filled in. AgentError bad_request names the member that is wrong."""
    if not isinstance(spec, dict):
        raise AgentError("bad_request", "The spec must be an object.")
    if spec.get("protocol") != PROTOCOL:
        raise AgentError("unsupported", "The spec is of protocol %s; this agent knows %d."
                         % (checks.shown(spec.get("protocol")), PROTOCOL))
    found = dict(spec)
    checks.run_id(found.get("run"))
    checks.attempt_number(found.get("attempt"))
    checks.blob_hash(found.get("manifest"))
    for name in ("experiment", "workspace"):
        _text(found.setdefault(name, ""), name)
    _command(found)
    found["environment"] = spec_environment.check(found.get("environment"))
    _python(found)
    variables = found["variables"] = found.get("variables") or {}
    check_variables(variables, "variables")
    if not isinstance(found.setdefault("inherit_environment", True), bool):
        raise AgentError("bad_request", "inherit_environment must be true or false.")
    resources = found.get("resources") or {}
    if not isinstance(resources, dict):
        raise AgentError("bad_request", "resources must be an object.")
    found["resources"] = dict(resources, slots=checks.number(resources.get("slots", 1), "resources.slots", 1, 1024),
                              gpus=checks.number(resources.get("gpus", 0), "resources.gpus", 0, 1024),
                              nodes=checks.number(resources.get("nodes", 1), "resources.nodes", 1, 100000))
    found["slurm"] = spec_slurm.check(found.get("slurm"))
    found["distributed"] = _distributed(found)
    if found.setdefault("max_seconds", None) is not None:
        _seconds(found["max_seconds"], "max_seconds", 0.001)
    _seconds(found.setdefault("grace_seconds", 10), "grace_seconds", 0)
    _seconds(found.setdefault("monitor_seconds", 2), "monitor_seconds", 0.1)
    return found


def check_variables(variables, name):
    """Refuses what no process can have as its environment."""
    if not isinstance(variables, dict):
        raise AgentError("bad_request", "%s must be an object of strings." % name)
    for key, value in variables.items():
        if not key or "=" in key or "\0" in key:
            raise AgentError("bad_request", "%s: %s is no name of a variable." % (name, checks.shown(key)))
        if not isinstance(value, str) or "\0" in value:
            # The value is not shown: it may be a secret.
            raise AgentError("bad_request", "%s: the value of %s must be a string without NUL." % (name, key))


def _command(spec):
    command, shell = spec.setdefault("command", None), spec.setdefault("shell", None)
    if (command is None) == (shell is None):
        raise AgentError("bad_request", "Exactly one of command and shell must be given.")
    if shell is not None:
        if not isinstance(shell, str) or not shell.strip() or "\0" in shell:
            raise AgentError("bad_request", "shell must be a command line.")
    elif (not isinstance(command, list) or not command or not command[0]
          or not all(isinstance(word, str) and "\0" not in word for word in command)):
        raise AgentError("bad_request", "command must be a list of strings that starts with a program.")


def _python(spec):
    """With `python` the first word of the command stands for the environment's Python."""
    if not isinstance(spec.setdefault("python", False), bool):
        raise AgentError("bad_request", "python must be true or false.")
    if spec["python"] and spec["environment"] is None:
        raise AgentError("bad_request", "python is true, but there is no environment whose Python it could be.")
    if spec["python"] and spec["command"] is None:
        raise AgentError("bad_request", "python is true, but there is no command whose first word it could be.")


def _distributed(spec):
    """How many processes of the command there are, and what they know of each other; None for one."""
    given = spec.get("distributed")
    nodes = spec["resources"]["nodes"]
    if nodes > 1 and spec["slurm"] is None:
        raise AgentError("bad_request", "The run asks for %d nodes; this host is one." % nodes,
                         "Ask for one node, or choose a target of a Slurm cluster.")
    if given is None:
        return None
    if not isinstance(given, dict) or given.get("kind") not in ("tasks", "mpi", "pytorch", "tensorflow"):
        raise AgentError("bad_request", "distributed.kind must be tasks, mpi, pytorch or tensorflow.")
    found = dict(given)
    found["processes"] = checks.number(given.get("processes", nodes), "distributed.processes", nodes, 1000000)
    found["parameter_servers"] = checks.number(given.get("parameter_servers", 0), "distributed.parameter_servers", 0,
                                               found["processes"] - 1)
    if found.setdefault("backend", None) is not None:
        _text(found["backend"], "distributed.backend")
    if found.setdefault("log_ranks", "first") not in ("first", "all"):
        raise AgentError("bad_request", "distributed.log_ranks must be first or all.")
    return found


def _text(value, name):
    if not isinstance(value, str) or "\0" in value:
        raise AgentError("bad_request", "%s must be a string." % name)


def _seconds(value, name, low):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= 1e9:
        raise AgentError("bad_request", "%s must be a number of seconds (at least %s)." % (name, low))
