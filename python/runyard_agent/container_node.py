"""Containers on a node of a cluster, whose engine nobody reaches from elsewhere: what an engine's variables are there,
whether its storage can be used, and what earlier jobs have left in it."""

import json
import os

from . import container_options
from .engine_problem import EngineProblem
from .layout import Attempt
from .record import TERMINAL, state_of
from .shared_files import SHARED, filesystem_of
from .tool import output_of

#: Seconds for Slurm's controller.
_PATIENCE = 30.0

#: Containers that are looked at in one go.
_AT_ONCE = 100


def variables(source):
    """The variables of a job by which an engine is found: sbatch brings those of a session on the login node along,
    whose folder and bus are not here."""
    found = dict(source)
    runtime = found.get("XDG_RUNTIME_DIR")
    if runtime is not None and not os.access(runtime, os.W_OK):
        del found["XDG_RUNTIME_DIR"]
    bus = found.get("DBUS_SESSION_BUS_ADDRESS", "")
    if bus.startswith("unix:path=") and not os.path.exists(bus[10:].split(",")[0]):
        del found["DBUS_SESSION_BUS_ADDRESS"]
    return found


def gpus(visible, around):
    """The GPUs of a job as the whole node counts them, which an engine wants to know: `visible`, those of the job's
    CUDA_VISIBLE_DEVICES, count from 0 where Slurm keeps all others from it. `around` are the job's variables."""
    listed = around.get("SLURM_JOB_GPUS", "").split(",")
    return [int(each) for each in listed] if all(each.isdigit() for each in listed) else visible


def check_storage(engine, root):
    """A generator (turns). Podman notes what runs beside its images, and takes all of it for ended when another host
    uses the same storage: what lives on could neither be seen nor ended. EngineProblem where nodes share it."""
    if engine.kind != "podman":
        return
    tool = yield from engine.ask(["info", "--format", "{{.Store.GraphRoot}}"])
    place = (tool.result or "").strip()
    if not place.startswith("/") or not _is_shared(place, root) or _nodes() == 1:
        return
    raise EngineProblem(
        "Podman on %s keeps its containers in %s, which other nodes share: they would lose sight of each other's."
        % (os.uname()[1], place),
        "Let it keep them on a disk of the node: graphroot in ~/.config/containers/storage.conf, or "
        "rootless_storage_path in the nodes' own /etc/containers/storage.conf.")


def _is_shared(place, root):
    """Whether a folder is on the file system of the root, or on another one that hosts share."""
    while not os.path.exists(place):
        place = os.path.dirname(place)
    return os.stat(place).st_dev == os.stat(root).st_dev or filesystem_of(place) in SHARED


def _nodes():
    """How many nodes the cluster has, None where that cannot be said."""
    said = output_of(["sinfo", "--noheader", "--Node", "--format=%N"], _PATIENCE)
    return len(set(said.split())) if said else None


def sweep(engine, root):
    """A generator (turns) that removes what earlier jobs of this root have left on this node: their supervisors were
    killed, and nobody else sees it."""
    label = "label=runyard.root=" + container_options.root_label(root)
    listed = yield from engine.ask(["ps", "--all", "--quiet", "--no-trunc", "--filter", label])
    ids = (listed.result or "").split()[:_AT_ONCE]
    if not ids:
        return
    told = yield from engine.ask(["inspect", "--type", "container"] + ids)
    left = [found["Id"] for found in _objects(told.output) if _is_left(found, root)]
    if left:
        yield from engine.ask(["rm", "--force", "--volumes"] + left)


def _is_left(found, root):
    """Whether a container belongs to an attempt that has ended; one of no attempt lists packages, and ends itself."""
    labels = (found.get("Config") or {}).get("Labels") or {}
    run, number = labels.get("runyard.run"), labels.get("runyard.attempt", "")
    if run is None:
        return (found.get("State") or {}).get("Running") is not True
    if not number.isdigit() or "/" in run:
        return False
    attempt = Attempt(root, run, int(number))
    return not attempt.exists() or state_of(attempt) in TERMINAL


def _objects(text):
    try:
        found = json.loads(text)
    except ValueError:
        return []
    return [each for each in found if isinstance(each, dict) and "Id" in each] if isinstance(found, list) else []
