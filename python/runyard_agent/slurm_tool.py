"""Slurm's programs as they are to answer here, whatever the login node's environment asks of them."""

import os

from .tool import Tool

#: Variables that give these programs other options, or that belong to a job around this process.
_OTHERS = ("SQUEUE_", "SINFO_", "SCANCEL_", "SCONTROL_", "SLURM_", "SLURMD_")

#: Those of them that say which cluster it is.
_KEPT = frozenset(["SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS"])

#: Options of sbatch that a run has by itself.
_OURS = frozenset(["SBATCH_ARRAY_INX", "SBATCH_CLUSTERS", "SBATCH_ERROR", "SBATCH_INPUT", "SBATCH_OUTPUT", "SBATCH_SIGNAL",
                   "SBATCH_WAIT"])


def variables():
    """This process's environment without what would change the programs' answers."""
    return {name: value for name, value in os.environ.items()
            if name in _KEPT or not (name in _OURS or name.startswith(_OTHERS))}


def slurm_tool(argv, seconds, **more):
    """A Tool with its stderr kept, which does not outlive this process."""
    return Tool(argv, seconds, variables(), errors=True, bound=True, **more)
