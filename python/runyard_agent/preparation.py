"""From an attempt's place in the queue to its running command."""

import os

from . import command, environment, failure, prctl
from .atomic import read_json
from .errors import AgentError, from_os_error
from .materialise import materialise


def prepare(guardian, gpus):
    """Makes the working copy, waits for the environment, and starts the command (on the host or in a container)."""
    guardian.record.set_aside()
    guardian.record.change("Preparing", "Making the working copy", gpus=gpus, queue=None)
    materialise(guardian.attempt.code, guardian.spec["manifest"], guardian.launch.get("blobs") or [], guardian.heed)
    missing = command.missing_script(guardian.spec, guardian.attempt.code)
    if missing is not None:
        raise AgentError("not_found", "The script %s is not in the snapshot." % missing,
                         "Correct the script's name in the run configuration, or check the ignore files.")
    variables = read_json(guardian.attempt.environment) or {}
    agent_folder = os.path.dirname(guardian.launch["launcher"][1])
    ready = _wait_for_environment(guardian, variables)
    if ready is not None and ready.image is not None:
        _start_container(guardian, ready, variables, agent_folder, gpus)
    else:
        _start_command(guardian, ready, variables, agent_folder, gpus)


def _wait_for_environment(guardian, variables):
    """What the command finds installed, once it is there; None where it takes the host as it is."""
    if guardian.spec.get("environment") is None:
        return None
    if guardian.waiting is None:
        from . import engine
        from .environment_wait import EnvironmentWait  # late, as containers: most supervisors do without
        guardian.waiting = EnvironmentWait(guardian.attempt, guardian.spec["environment"],
                                           guardian.launch.get("blobs") or [], engine.chosen(guardian.spec, variables))
    reason = None
    while True:
        ready = guardian.waiting.poll()
        if ready is not None:
            return ready
        if guardian.waiting.reason is not None and guardian.waiting.reason != reason:
            reason = guardian.waiting.reason
            guardian.record.change("Preparing", reason)
        guardian.turn(0.05)


def _start_command(guardian, ready, variables, agent_folder, gpus):
    """Starts the command on the host."""
    guardian.record.change("Starting", "Starting the command")
    spec = guardian.spec
    if ready is not None:
        variables = dict(variables, **ready.variables)
        variables = {name: value for name, value in variables.items() if value is not None}
        if spec.get("python") and ready.interpreter is not None:
            spec = dict(spec, command=[ready.interpreter] + spec["command"][1:])
    variables = environment.complete(guardian.attempt, spec, variables, agent_folder, gpus)
    started, own = spec, variables
    if _several(guardian) is not None:
        guardian.several.write(command.argv_of(spec), variables)
        started = dict(spec, command=guardian.several.argv(), shell=None)
        own = guardian.several.variables()
    guardian.memory_kills = failure.MemoryKills()
    guardian.subreaper = prctl.become_subreaper()
    try:
        guardian.tree.command = command.start(started, own, guardian.attempt.code, guardian.attempt.log)
    except OSError as error:
        raise from_os_error(error, "starting the command")
    guardian.has_begun(guardian.tree.command)
    argv = command.interpreter_of(spec, variables)
    if argv is not None:
        facts = ready.facts if ready is not None else {"kind": "system", "interpreter": argv[0]}
        guardian.list_packages(facts, argv, variables)


def _several(guardian):
    """The processes of the run where the command has several; who knows its nodes has made it before."""
    if guardian.several is None and guardian.spec.get("distributed") is not None:
        from .distributed import Several  # late, as containers
        guardian.several = Several(guardian.attempt, guardian.spec)
    return guardian.several


def _start_container(guardian, ready, variables, agent_folder, gpus):
    """Starts the container in which the command runs."""
    from . import container_node
    from .container import MissingImage
    from .container_run import ContainerRun
    where = _find_engine(guardian, ready.image, variables)
    _several(guardian)
    if where.plain:
        from .sif_run import SifRun
        guardian.inside = SifRun(guardian, where, ready, variables, gpus)
        guardian.inside.start(agent_folder)
        return
    if guardian.spec.get("slurm") is not None:
        gpus = container_node.gpus(gpus, os.environ)
    guardian.container = ContainerRun(guardian, where, ready, gpus)
    try:
        guardian.container.start(agent_folder)
    except MissingImage:
        if guardian.spec["environment"]["recipe"] is None:
            raise
        # It was built here, and somebody has removed it since.
        guardian.waiting.lost()
        guardian.container.take(_wait_for_environment(guardian, variables))
        guardian.container.start(agent_folder)


def _find_engine(guardian, image, variables):
    """What runs containers here; on a node of a cluster it is seen to that nothing of earlier jobs is left in it."""
    from . import apptainer, container_node, engine
    from .sif_run import refuse_file
    root = guardian.attempt.root
    on_node = guardian.spec.get("slurm") is not None
    variables = engine.chosen(guardian.spec, container_node.variables(variables) if on_node else variables)
    of_file = apptainer.is_file(image)
    order = engine.NODE_ORDER if on_node else engine.ORDER
    if of_file:
        order = engine.PLAIN + tuple(name for name in order if name not in engine.PLAIN)
    where = guardian.drive(engine.get(root, variables, order))
    if of_file and not where.plain:
        raise refuse_file(where, image)
    if on_node and not where.plain:
        guardian.drive(container_node.check_storage(where, root))
        guardian.drive(container_node.sweep(where, root))
    return where
