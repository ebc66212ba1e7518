"""A run in an image by Apptainer or Singularity: its command with a prefix, an ordinary process tree on the host."""

import os

from . import apptainer, command, container_script, environment, failure, prctl, processes
from .container_script import BEGAN, remove
from .errors import AgentError, from_os_error
from .sif_wait import SifWait

#: Seconds between two looks at whether the command has begun.
_LOOK = 0.02

#: What says which GPUs are the run's, as the host counts them: it is the same inside.
_VISIBLE = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL",
            "ZE_AFFINITY_MASK")


class SifRun(object):
    """One run's image. `keeper` is the Supervisor; `variables` are those of the host, which the program gets."""

    def __init__(self, keeper, engine, ready, variables, gpus):
        self.keeper = keeper
        self.engine = engine
        self.ready = ready
        self._attempt = keeper.attempt
        self._options = keeper.spec["environment"]["container"] or {}
        # Without RUNYARD_MARK: what has that is inside.
        self._variables = apptainer.host_variables(variables)
        self._gpus = gpus

    def start(self, agent_folder):
        """Starts the command in the image, which is converted first if need be. AgentError."""
        keeper, attempt, spec = self.keeper, self._attempt, self.keeper.spec
        warnings = apptainer.check_options(self.engine.name, self._options)
        path = self._find()
        self._warn(warnings)
        keeper.record.change("Starting", "Starting the command in the image %s" % self.ready.image)
        if keeper.several is not None:
            keeper.several.by_file = True  # the program passes no signal on but those that end
        try:
            container_script.write(attempt, spec, keeper.several, self._inside(), agent_folder)
            argv = apptainer.exec_argv(self.engine.program, path, attempt, agent_folder, self._options,
                                       apptainer.wants_gpus(attempt.root, self._gpus, self._options, os.environ))
            keeper.memory_kills = failure.MemoryKills()
            keeper.subreaper = prctl.become_subreaper()
            keeper.tree.command = command.start(
                dict(spec, command=argv + ["/bin/sh", attempt.container_script], shell=None),
                self._variables, attempt.code, attempt.log)
            self._wait()
        except OSError as error:
            raise from_os_error(error, "starting the command")
        finally:
            remove(attempt.container_script)
        keeper.has_begun(keeper.tree.command)
        facts = dict(self.ready.facts, engine=self.engine.kind, image_id=None, image_digest=None)
        keeper.list_packages(facts, self._python(path), self._variables)

    def helpers(self):
        """Pids of those by which the image is there (the program itself, squashfuse): while the command ends in order
        they are not asked to end. They go after it."""
        tree = self.keeper.tree
        inside = processes.marked(self._attempt.mark)
        if tree.exit_status is not None or not inside or container_script.began(self._attempt) != BEGAN:
            return ()
        return set(tree.look()).difference(inside)

    def failure(self, _rest=None):
        """`(exit code, signal, error, what happened)` of a command that has not begun; None for one that has."""
        word = container_script.began(self._attempt)
        if word == BEGAN:
            return None
        status = self.keeper.tree.exit_status
        code = os.WEXITSTATUS(status) if status is not None and os.WIFEXITED(status) else None
        if word is None:
            said = failure.tail_of(self._attempt.log).strip().splitlines()
            kind, message = "environment", "%s could not start the image %s: %s" % (
                self.engine.name, self.ready.image, said[-1] if said else "it says nothing.")
            action = "Check the image; see the log."
        else:
            kind, message, action = container_script.problem(word, self.keeper.spec, self.ready.image)
        error = failure.error(kind, "%s %s" % (message, action), self._attempt.log)
        return code, None, error, message.rstrip(".")

    def _find(self):
        image = self.ready.image
        if apptainer.is_file(image):
            return apptainer.path_of(image, self._attempt.code, self._variables.get("HOME"))
        wait, reason = SifWait(self._attempt, image, self.engine, self._variables), None
        try:
            while True:
                path = wait.poll()
                if path is not None:
                    return path
                if wait.reason != reason:
                    reason = wait.reason
                    self.keeper.record.change("Preparing", reason)
                self.keeper.turn(0.05)
        finally:
            wait.close()

    def _warn(self, warnings):
        """Into the build log, which is there before the command's."""
        if warnings:
            with open(self._attempt.build_log, "ab") as log:
                log.write("".join("Warning: %s\n" % each for each in warnings).encode("utf-8", "surrogateescape"))

    def _inside(self):
        """The variables that container.sh sets."""
        found = environment.in_container(self._attempt, self.keeper.spec, [])
        if self.keeper.spec.get("slurm") is not None:
            found.update((name, os.environ[name]) for name in _VISIBLE if name in os.environ)
        elif self._gpus:
            found["CUDA_VISIBLE_DEVICES"] = ",".join(str(index) for index in self._gpus)
        return found

    def _wait(self):
        """Until the command has begun, or everything has ended without it."""
        tree = self.keeper.tree
        while tree.exit_status is None and container_script.began(self._attempt) != BEGAN:
            self.keeper.turn(_LOOK)

    def _python(self, path):
        if not self.keeper.spec.get("python"):
            return None
        return apptainer.python_argv(self.engine.program, path, self.keeper.spec["environment"]["interpreter"])


def refuse_file(engine, image):
    """AgentError for a .sif file where there is neither Apptainer nor Singularity."""
    return AgentError("environment", "The image %s is a file, which %s cannot run." % (image, engine.name),
                      "Install Apptainer on this host, take RUNYARD_ENGINE away where it is set, or name an image of a "
                      "registry.")
