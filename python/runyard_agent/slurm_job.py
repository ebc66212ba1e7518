"""The job of an attempt as sbatch gets it: options and script."""

import math
import shlex

from . import slurm_attempt
from .spec_slurm import WORDS
from .tool import find

#: Seconds that a job has beyond the run's own limit, for its start and its end.
_BEYOND = 120


def tasks_per_node(spec):
    """How many processes a node has at most."""
    nodes = spec["resources"]["nodes"]
    return math.ceil(((spec.get("distributed") or {}).get("processes") or nodes) / nodes)


def arguments(attempt, spec):
    """argv of sbatch. Every value stands behind `=`, so that none can be another option."""
    wanted = spec["slurm"]
    nodes = spec["resources"]["nodes"]
    folder = slurm_attempt.folder_of(attempt)
    argv = ["sbatch", "--parsable", "--job-name=" + slurm_attempt.name_of(attempt), "--nodes=%d" % nodes,
            "--ntasks-per-node=%d" % tasks_per_node(spec), "--chdir=" + attempt.root,
            "--output=" + _literal(folder) + "/output.txt", "--open-mode=append", "--kill-on-invalid-dep=yes",
            "--export=ALL"]
    argv += ["%s=%s" % (option, wanted[name]) for name, option in WORDS if wanted.get(name) is not None]
    if wanted.get("cpus_per_task") is not None:
        argv.append("--cpus-per-task=%d" % wanted["cpus_per_task"])
    if wanted.get("gres") is None and spec["resources"]["gpus"]:
        argv.append("--gres=gpu:%d" % spec["resources"]["gpus"])
    if wanted.get("time") is None and spec["max_seconds"] is not None:
        argv.append("--time=%d" % math.ceil((spec["max_seconds"] + spec["grace_seconds"] + _BEYOND) / 60.0))
    return argv + [folder + "/job.sh"]


def script(attempt, spec, launcher, kill_wait):
    """The text of job.sh. The supervisor takes the place of the shell, so that signals for the job reach it."""
    setup = spec["slurm"]["setup"]
    shell = "/bin/bash" if setup and find("bash") else "/bin/sh"
    lines = ["#!" + shell]
    lines += ["#SBATCH " + option for option in spec["slurm"]["options"]]
    if setup:
        lines.append("[ ! -r /etc/profile ] || . /etc/profile")
        lines += setup
    lines += ["runyard_python=%s" % shlex.quote(launcher[0]),
              '[ -x "$runyard_python" ] || runyard_python=python3',
              'exec "$runyard_python" -I -S -X utf8 %s job --root %s --run %s --attempt %d --kill-wait %d'
              % (shlex.quote(launcher[1]), shlex.quote(attempt.root), attempt.run, attempt.number, kill_wait), ""]
    return "\n".join(lines)


def _literal(path):
    """A path in which sbatch takes no `%` for a pattern."""
    return path.replace("\\", "\\\\").replace("%", "%%")
