"""Which of several processes this one is, by the variables of whoever has started it: Runyard, or a launcher that the
script starts by itself (torchrun, mpirun, srun)."""

import os

#: What launchers call a process's number, and how many there are.
_LAUNCHERS = (("RANK", "WORLD_SIZE"), ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("PMI_RANK", "PMI_SIZE"),
              ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"))

#: Steps of Slurm that are none: the batch script, an interactive shell.
_NO_STEP = 1 << 31


def rank(variables=None):
    """The number of this process among those of the run, 0 for a process that is one alone.

    RUNYARD_RANK says it, unless a launcher has made more of them than Runyard has.
    """
    if variables is None:
        variables = os.environ
    own = _number(variables, "RUNYARD_RANK")
    size = (_number(variables, "RUNYARD_WORLD_SIZE") or 1) if own is not None else 1
    for name, size_name in _LAUNCHERS:
        number, there = _number(variables, name), _number(variables, size_name)
        if name == "SLURM_PROCID":
            step = _number(variables, "SLURM_STEP_ID")
            if step is None or step >= _NO_STEP:
                continue
            there = there or _number(variables, "SLURM_NTASKS")
        if number is not None and there is not None and there > size and number < there:
            return number
    return own or 0


def suffix(variables=None):
    """What stands behind the names of metrics, tables and images of this process: nothing for rank 0; None where they
    are not kept."""
    number = rank(variables)
    if number == 0:
        return ""
    every = (os.environ if variables is None else variables).get("RUNYARD_LOG_RANKS") == "all"
    return "/rank_%d" % number if every else None


def _number(variables, name):
    text = variables.get(name, "")
    return int(text) if text.isdigit() and len(text) < 12 else None
