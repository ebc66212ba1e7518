"""spec.slurm: what sbatch is asked for. Nothing of it can become another option, or another line of the job's script."""

import re

from . import checks
from .errors import AgentError

#: Words that stand behind `--name=`, and their options.
WORDS = (("partition", "--partition"), ("account", "--account"), ("qos", "--qos"), ("constraint", "--constraint"),
         ("dependency", "--dependency"), ("time", "--time"), ("memory", "--mem"), ("gres", "--gres"))

#: Options that a run has by itself, and what to do instead: without them the run could not be followed.
_OURS = {
    "--array": "a run is one job", "-a": "a run is one job",
    "--output": "the job's own output has its place", "-o": "the job's own output has its place",
    "--error": "the job's own output has its place", "-e": "the job's own output has its place",
    "--input": "the command has no input", "-i": "the command has no input",
    "--job-name": "the job is named after its run", "-J": "the job is named after its run",
    "--comment": "the run is found by it",
    "--nodes": "say nodeCount", "-N": "say nodeCount",
    "--ntasks": "say the number of processes", "-n": "say the number of processes",
    "--ntasks-per-node": "say the number of processes",
    "--chdir": "the command runs in its snapshot", "-D": "the command runs in its snapshot",
    "--wrap": "the job's script is given", "--wait": "nobody waits for sbatch", "-W": "nobody waits for sbatch",
    "--parsable": "the answer is read as it is", "--test-only": "the job is to run", "--hold": "", "-H": "",
    "--clusters": "a target is one cluster", "-M": "a target is one cluster",
    "--requeue": "", "--no-requeue": "", "--export": "the variables are the run's", "--export-file": "the variables are the run's",
    "--uid": "a job is yours", "--gid": "a job is yours", "--open-mode": "the job's own output has its place",
    "--signal": "the supervisor keeps the time", "--help": "", "--version": "", "--usage": "", "-V": "", "-h": "",
}

#: Of these, what the person wants is done.
_ALLOWED = frozenset(["--hold", "-H", "--requeue", "--no-requeue"])


def check(slurm):
    """The options with what is absent filled in; None for a run of the host's own queue. AgentError bad_request."""
    if slurm is None:
        return None
    if not isinstance(slurm, dict):
        raise AgentError("bad_request", "slurm must be an object.")
    found = dict(slurm)
    for name, _ in WORDS:
        if found.setdefault(name, None) is not None:
            _word(found[name], "slurm." + name)
    if found.setdefault("cpus_per_task", None) is not None:
        checks.number(found["cpus_per_task"], "slurm.cpus_per_task", 1, 100000)
    for name in ("options", "setup"):
        lines = found[name] = found.get(name) or []
        if not isinstance(lines, list) or not all(_is_line(each) for each in lines):
            raise AgentError("bad_request", "slurm.%s must be a list of lines." % name)
    for line in found["options"]:
        _option(line)
    if found.setdefault("mpi_launcher", "auto") not in ("auto", "mpirun", "srun"):
        raise AgentError("bad_request", "slurm.mpi_launcher must be auto, mpirun or srun.")
    return found


def _word(value, name):
    if not _is_line(value) or not value.strip() or value != value.strip():
        raise AgentError("bad_request", "%s is no value for sbatch: %s." % (name, checks.shown(value)))


def _is_line(value):
    return isinstance(value, str) and not any(ord(char) < 32 or ord(char) == 127 for char in value)


def _option(line):
    """One line behind #SBATCH."""
    if not re.match(r"\s*-(?!-?(\s|=|$))", line):
        raise AgentError("bad_request", "%s is no line of sbatch: it begins with - or --." % checks.shown(line))
    for word in re.findall(r"(?:[^\s\"'#]|\"[^\"]*\"?|'[^']*'?)+|#.*", line):
        name = _name(word)
        if name in _OURS and name not in _ALLOWED:
            reason = _OURS[name]
            raise AgentError("bad_request", "The line %s cannot be used%s." % (
                checks.shown(line), ": " + reason if reason else ""))


def _name(word):
    """The option that a word is for sbatch: it takes the beginning of a name for the name, -N2 for -N 2, and -sN2 for
    -s -N 2."""
    if not word.startswith("--"):
        found = re.match(r"-[HOQsuv]*(.)", word)
        return "-" + found.group(1) if found else word
    name = word.split("=", 1)[0]
    if name in _OURS or name == "--":
        return name
    return next((whole for whole in sorted(_OURS) if whole.startswith(name)), name)
