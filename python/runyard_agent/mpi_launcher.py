"""Which program starts the ranks of MPI, and how it is told to."""

import os
import select

from . import distributed_steps, ranks
from .errors import AgentError
from .tool import Tool, find

#: Seconds for `mpirun --version`, which a module may load from a slow file system.
_PATIENCE = 60.0

#: Variables of another launcher, by which a process would take itself for one of its ranks.
_FOREIGN = ("OMPI_COMM_WORLD_", "OMPI_MCA_orte_", "OMPI_MCA_ess", "PMI_", "PMIX_", "PMI2_")

#: The types of `srun --mpi`, the best first.
_TYPES = ("pmix", "pmix_v5", "pmix_v4", "pmix_v3", "pmix_v2", "pmi2", "cray_shasta")

_OPEN_MPI = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_ALLOW_RUN_AS_ROOT": "1", "PRTE_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    # As many ranks as were asked for, whatever the number of cores; each may have threads on all of them.
    "OMPI_MCA_rmaps_base_oversubscribe": "1", "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMPI_MCA_hwloc_base_binding_policy": "none", "PRTE_MCA_hwloc_default_binding_policy": "none",
}


def variables_for(variables, plan):
    """What the launcher starts from: the run's variables, and what makes it do as it is told. A person's own choice
    stays."""
    found = {name: value for name, value in variables.items()
             if not name.startswith(_FOREIGN) and name not in ("PMI_RANK", "PMIX_RANK")}
    for name, value in _OPEN_MPI.items():
        found.setdefault(name, value)
    if plan["nodes"] > 1:
        # This program is a step of the job that holds its CPUs, if not the job's script.
        found.setdefault("SLURM_OVERLAP", "1")
    return found


def argv(plan, variables):
    """The launcher's words, up to the program that it starts. AgentError not_found when there is none."""
    wanted = plan.get("launcher") or "auto"
    path = variables.get("PATH", os.defpath)
    mpirun = find("mpirun", path) or find("mpiexec", path)
    if plan["nodes"] > 1 and (wanted == "srun" or (wanted == "auto" and mpirun is None)):
        kind = best_type(_output(["srun", "--mpi=list"], variables))
        return srun_argv(plan, kind) + distributed_steps.unbound(distributed_steps.binds())
    if mpirun is None:
        raise AgentError(
            "not_found", "There is no mpirun on the PATH, which starts the %d processes of this run."
            % plan["processes"],
            "Install an MPI (Debian: openmpi-bin), put it into the environment's image, or add a set-up line that "
            "makes it known (module load openmpi).")
    return mpirun_argv(plan, mpirun, _output([mpirun, "--version"], variables))


def mpirun_argv(plan, mpirun, version):
    """The words for an mpirun that says this of its version."""
    words = [mpirun, "-np", str(plan["processes"])]
    if plan["nodes"] == 1:
        return words
    hosts = ["%s:%d" % (host, ranks.share(plan["processes"], plan["nodes"], node)[1])
             for node, host in enumerate(plan["hosts"])]
    if "Open MPI" in version or "OpenRTE" in version or "PRTE" in version:
        return words + ["--host", ",".join(hosts)]
    return words + ["-hosts", ",".join(hosts)]


def srun_argv(plan, kind):
    """srun as the launcher: `kind` is one of its MPI types."""
    return ["srun", "--quiet", "--mpi=%s" % kind, "--overlap", "--export=ALL", "--kill-on-bad-exit=1",
            "--nodes=%d" % plan["nodes"], "--ntasks=%d" % plan["processes"], "--distribution=block"]


def best_type(listed):
    """The best of the types that `srun --mpi=list` names. AgentError when there is none."""
    words = []
    for line in listed.split("\n"):
        # The other lines are titles; the last one is followed by versions of pmix.
        if "types are" not in line:
            words += line.replace("srun:", "").split(":")[-1].replace(",", " ").split()
    for kind in _TYPES:
        if kind in words:
            return kind
    raise AgentError("not_found", "There is no mpirun on the PATH, and srun knows no type of MPI here.",
                     "Add a set-up line that makes an MPI known (module load openmpi).")


def _output(words, variables):
    """What a program says, on either of its outputs."""
    tool = Tool(words, _PATIENCE, variables, errors=True)
    while not tool.poll():
        select.select([], [], [], 0.01)
    return tool.output + tool.errors
