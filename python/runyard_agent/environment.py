"""The environment of a run's command."""

import os

from . import engine
from .host import BASIC_VARIABLES


def base(spec, submitted):
    """What the command starts from: the submitter's variables, or the host's own where none were sent; only
    the basic ones of them when the spec inherits nothing."""
    source = dict(os.environ) if submitted is None else submitted
    if spec["inherit_environment"]:
        return dict(source)
    found = {name: os.environ[name] for name in BASIC_VARIABLES if name in os.environ}
    names = BASIC_VARIABLES
    if (spec.get("environment") or {}).get("container") is not None:
        names += engine.VARIABLES  # nothing of it comes into a container
    found.update((name, source[name]) for name in names if name in source)
    return found


def complete(attempt, spec, variables, agent_folder, gpus):
    """The whole environment: `variables` (from `base`), then the spec's, then what tells the run who it is.

    `gpus` are the leased indices; with none leased CUDA_VISIBLE_DEVICES stays as it is.
    """
    found = dict(variables)
    found.update(spec["variables"])
    path = found.get("PYTHONPATH")
    found.update(_identity(attempt, spec))
    found["PYTHONPATH"] = agent_folder + os.pathsep + path if path else agent_folder
    found.setdefault("PATH", os.defpath)
    if gpus:
        found["CUDA_VISIBLE_DEVICES"] = ",".join(str(index) for index in gpus)
    return found


def in_container(attempt, spec, gpus):
    """What is set in a container over the image's own variables; PYTHONPATH is up to container.sh."""
    user = _user()
    found = {"HOME": attempt.home, "USER": user, "LOGNAME": user}
    found.update(spec["variables"])
    found.update(_identity(attempt, spec))
    if gpus:
        # Those that are leased are the only ones inside, and count from 0 there.
        found["CUDA_VISIBLE_DEVICES"] = ",".join(str(index) for index in range(len(gpus)))
    return found


def _identity(attempt, spec):
    return {
        "RUNYARD_RUN_ID": attempt.run,
        "RUNYARD_ATTEMPT": str(attempt.number),
        "RUNYARD_EXPERIMENT": spec["experiment"],
        "RUNYARD_WORKSPACE": spec["workspace"],
        "RUNYARD_RUN_DIR": attempt.folder,
        "RUNYARD_JOURNAL": attempt.journal,
        "RUNYARD_MARK": attempt.mark,
        "PYTHONUNBUFFERED": "1",
        "AZUREML_RUN_ID": attempt.run,
        "AZUREML_EXPERIMENT_ID": spec["experiment"],
        "AZUREML_ARM_PROJECT_NAME": spec["experiment"],
        "AZUREML_ARM_WORKSPACE_NAME": spec["workspace"],
        "PWD": attempt.code,
    }


def _user():
    try:
        import pwd  # late: only containers need it
        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        return str(os.getuid())
