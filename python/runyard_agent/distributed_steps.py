"""The steps of a job of Slurm in which the processes of a run on several nodes live."""

import os
import time

from .errors import AgentError
from .tool import Tool, find, output_of

#: Seconds for Slurm's controller, which may be busy.
_PATIENCE = 60.0


def srun_argv(nodes, binding):
    """srun's words, up to the program: one task on each node, with all that the job has there. `binding`: whether the
    cluster would give it one core of them."""
    return (["srun", "--quiet", "--nodes=%d" % nodes, "--ntasks=%d" % nodes, "--ntasks-per-node=1",
             "--kill-on-bad-exit=1", "--overlap", "--export=ALL", "--mpi=none", "--input=none", "--unbuffered"]
            + unbound(binding))


def unbound(binding):
    """The option by which tasks may use all cores of the job; where none is bound srun would complain about it."""
    return ["--cpu-bind=none"] if binding else []


def binds():
    """Whether this cluster binds tasks to cores."""
    for line in (output_of(["scontrol", "show", "config"], _PATIENCE) or "").splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "TaskPlugin":
            return "affinity" in value
    return True


def job_hosts(nodes):
    """The names of the nodes of this job, in their order. AgentError when they are not so many."""
    listed = output_of(["scontrol", "show", "hostnames", os.environ.get("SLURM_JOB_NODELIST", "")], _PATIENCE) or ""
    hosts = listed.split()
    if len(hosts) < nodes:
        raise AgentError("prepare", "The run asks for %d nodes, and its job has %d." % (nodes, len(hosts)),
                         "Look at the job with scontrol show job.")
    return hosts[:nodes]


def ask_to_end(rest=time.sleep):
    """Sends SIGURG to all steps of this job, by which node programs and `agent rank` know that they are to end their
    ranks. Slurm sends a signal to all processes of a step: this one is nothing to any other, while SIGTERM would reach
    each rank twice, and is the end of the step for Slurm. `rest(seconds)` sleeps meanwhile."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is None or find("scancel") is None:
        return
    tool = Tool(["scancel", "--signal=URG", job], _PATIENCE)
    while not tool.poll():
        rest(0.02)
