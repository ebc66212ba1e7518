"""One attempt on its way from its ticket to its job: its environment, then sbatch."""

import os
import time

from . import failure, slurm, slurm_attempt, slurm_info, slurm_job, slurm_limits
from .atomic import read_json, read_object, write_bytes, write_json
from .errors import AgentError, from_os_error
from .launch import own_launcher
from .record import Record
from .tool import Tool

#: Seconds between two turns, and between heartbeats.
_TURN, _BEAT = 0.05, 5.0

#: Seconds for a program of Slurm, and the pauses before it is tried again while Slurm is away or takes no more.
_PATIENCE = 90.0
_RETRY, _RETRY_FULL = 5.0, 20.0

#: Seconds for which what the partitions allow is not asked again.
_FRESH = 60.0


class Bringing(object):
    """One attempt on its way to Slurm."""

    def __init__(self, dispatcher, attempt):
        self._dispatcher = dispatcher
        self._attempt = attempt
        self._folder = slurm_attempt.folder_of(attempt)
        self._record = Record(attempt)
        self._spec = read_json(attempt.spec) or {}
        self._launch = read_object(attempt.launch) or {}
        self._waiting = None
        self._beat_at = 0.0
        self._mine = False

    def close(self):
        """Lets go of the environment; from now on it is in use because the run has not ended."""
        if self._waiting is not None:
            self._waiting.close()
            self._waiting = None
        self.let_others()

    def let_others(self):
        """Ends this one's turn with sbatch."""
        if self._mine:
            self._mine = self._dispatcher.sending = False

    def run(self):
        """A generator (turns) that returns once the attempt has its job, or has ended."""
        if self._record.terminal:
            return
        try:
            if slurm_attempt.job_of(self._attempt) is None:
                yield from self._prepare()
                yield from self._send()
        except Begun:
            return  # the supervisor writes now
        except Canceled as canceled:
            self._end("Canceled", str(canceled), None)
        except AgentError as error:
            found = failure.error(error.code, error.in_full(), self._attempt.log)
            found["tail"] = getattr(error, "tail", None) or ""
            self._end("Failed", error.message, found)
        except OSError as problem:
            error = from_os_error(problem, "handing the run to Slurm")
            self._end("Failed", error.message, failure.error(error.code, error.in_full(), self._attempt.log))
        while not self._record.write():
            yield

    def _end(self, state, reason, error):
        if slurm_attempt.job_of(self._attempt) is not None:
            return
        self._record.change(state, reason, supervisor=None, queue=None, error=error)

    # The environment

    def _prepare(self):
        wanted = self._spec.get("environment")
        if wanted is None:
            return
        if wanted.get("container") is not None:
            yield from self._prepare_image(wanted)
            return
        from .environment_wait import EnvironmentWait
        self._waiting = EnvironmentWait(self._attempt, wanted, self._launch.get("blobs") or [], dict(os.environ))
        reason = None
        while True:
            ready = self._waiting.poll()
            if ready is not None:
                break
            if self._waiting.reason is not None and self._waiting.reason != reason:
                reason = self._waiting.reason
                self._record.change("Preparing", reason)
            yield from self._pause(_TURN)
        write_json(self._folder + "/ready.json", {"interpreter": ready.interpreter, "variables": ready.variables,
                                                  "facts": ready.facts})
        if self._record.state != "Queued":
            self._record.change("Queued", "Handing the run to Slurm")

    def _prepare_image(self, wanted):
        """An image is the business of the nodes, but for what is better done here, with a network."""
        from . import apptainer, engine
        from .sif_wait import SifWait
        image, nodes = wanted["container"]["image"], self._spec["resources"]["nodes"]
        if nodes > 1:
            raise apptainer.one_node_only(nodes)
        if wanted.get("recipe") is not None:
            raise apptainer.not_on_clusters()
        if apptainer.is_file(image):
            return
        variables = engine.chosen(self._spec, os.environ)
        here = yield from apptainer.on_login_node(self._attempt.root, variables)
        if here is None:
            return
        self._waiting = SifWait(self._attempt, image, here, variables)
        while self._waiting.poll() is None:
            if self._waiting.reason not in (None, self._record.status["reason"]):
                self._record.change("Preparing", self._waiting.reason)
            yield from self._pause(_TURN)
        if self._record.state != "Queued":
            self._record.change("Queued", "Handing the run to Slurm")

    # sbatch

    def _send(self):
        yield from self._take_turn()
        try:
            if not slurm.present():
                raise AgentError("slurm", "There is no sbatch on the PATH of the host.",
                                 "Set set-up lines that bring it (module load slurm), or submit directly.")
            number = yield from self._found()
            while number is None:
                number = yield from self._submit()
        finally:
            self.let_others()
        while True:
            try:
                counts = slurm_attempt.claim(self._attempt, number, 0)
                break
            except OSError as problem:
                # The job is there, whatever cannot be written about it.
                self._say(from_os_error(problem, "noting the job %d" % number).message)
                yield from self._pause(1.0)
        if counts != number:
            yield from self._call(["scancel", str(number)])

    def _submit(self):
        """The job's number, None when it is to be tried again."""
        if self._dispatcher.kill_wait is None:
            tool = yield from self._call(slurm.show_config())
            if tool.code == 0:
                self._dispatcher.kill_wait = slurm.kill_wait(slurm.read_config(tool.output))
            elif slurm.is_away(tool.errors):
                return (yield from self._try_again(_RETRY, _no_answer(tool.errors)))
        if time.monotonic() >= self._dispatcher.partitions_until:
            tool = yield from self._call(slurm_limits.show_partitions())
            if tool.code != 0 and slurm.is_away(tool.errors):
                return (yield from self._try_again(_RETRY, _no_answer(tool.errors)))
            self._dispatcher.partitions_until = time.monotonic() + _FRESH
            if tool.code == 0:
                self._dispatcher.partitions = slurm_limits.read_partitions(tool.output)
                nodes = yield from self._call(slurm_info.show_nodes())
                slurm_limits.add_nodes(self._dispatcher.partitions, slurm_info.read_partitions(nodes.output))
        slurm_limits.check(self._spec, self._dispatcher.partitions)
        launcher = self._launch.get("launcher") or own_launcher()
        text = slurm_job.script(self._attempt, self._spec, launcher, self._dispatcher.kill_wait or 30)
        write_bytes(self._folder + "/job.sh", text.encode("utf-8", "surrogateescape"))
        said = self._folder + "/sbatch.txt"
        # What it answers is on the disk whoever is killed.
        output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            tool = yield from self._call(slurm_job.arguments(self._attempt, self._spec), output)
        finally:
            os.close(output)
        answer = _text(said)
        number = slurm.submitted(answer)
        if number is not None:
            return number
        if tool.code is None or slurm.is_away(answer):
            # It may have come through all the same.
            return (yield from self._try_again(_RETRY, _no_answer(answer)))
        if tool.code == 0:
            # It has come through, and on a full disk there was no room for the number.
            number = yield from self._try_again(_RETRY, "Looking for the job")
            if number is not None:
                return number
        if slurm.is_full(answer):
            return (yield from self._try_again(_RETRY_FULL, "Slurm takes no more jobs now: " + slurm.refusal(answer)))
        raise AgentError("slurm", "Slurm has refused the job: " + (slurm.refusal(answer) or "it does not say why."),
                         _advice(answer))

    def _try_again(self, pause, reason):
        self._say(reason)
        # Others may ask for what there is room for.
        self.let_others()
        yield from self._pause(pause)
        yield from self._take_turn()
        return (yield from self._found())

    def _take_turn(self):
        while self._dispatcher.sending:
            yield from self._pause(_TURN)
        self._dispatcher.sending = self._mine = True

    def _found(self):
        """The job of an earlier try, None when there is none."""
        path = self._folder + "/sbatch.txt"
        if not os.path.exists(path):
            return None
        number = slurm.submitted(_text(path))
        while number is None:
            tool = yield from self._call(slurm.jobs_named(slurm_attempt.name_of(self._attempt)))
            if tool.code == 0:
                numbers = slurm.read_numbers(tool.output)
                return numbers[0] if numbers else None
            self._say(_no_answer(tool.errors or "squeue failed"))
            yield from self._pause(_RETRY)
        return number

    def _say(self, reason):
        self._check()
        if self._record.status["reason"] != reason and not os.path.exists(self._attempt.cancel):
            self._record.change("Queued", reason)

    # Turns

    def _call(self, argv, output=None):
        tool = Tool(argv, _PATIENCE, errors=output is None, output=output, bound=True)
        while not tool.poll():
            yield
        return tool

    def _pause(self, seconds):
        """Waits so long; heeds a cancel, and tells that somebody is at it."""
        until = time.monotonic() + seconds
        while True:
            if os.path.exists(self._attempt.cancel):
                self._check()
                asked = read_object(self._attempt.cancel) or {}
                yield from self._withdraw()
                raise Canceled(str(asked.get("reason") or "Canceled"))
            now = time.monotonic()
            if now >= self._beat_at:
                self._beat_at = now + _BEAT
                self._check()
                self._record.beat()
            if now >= until:
                return
            yield

    def _check(self):
        """Raises Begun once the job, of which nobody has said so here, has begun by itself."""
        if slurm_attempt.job_of(self._attempt) is not None:
            raise Begun()

    def _withdraw(self):
        """A try whose answer nobody has heard may have become a job."""
        if not os.path.exists(self._folder + "/sbatch.txt"):
            return
        yield from self._call(["scancel", "--name=" + slurm_attempt.name_of(self._attempt)])


class Begun(Exception):
    """The attempt has its job: from now on that one's supervisor says how it goes."""


class Canceled(Exception):
    """Somebody has asked for the end of the run."""


def _no_answer(said):
    return "Slurm does not answer: " + slurm.refusal(said)


def _text(path):
    try:
        with open(path, "rb") as file:
            return file.read(1 << 16).decode("utf-8", "replace")
    except OSError:
        return ""


def _advice(answer):
    text = answer.lower()
    if "configuration source" in text or "slurm.conf" in text:
        return "Slurm is not set up on this host: choose a login node of the cluster, or set set-up lines that say " \
            "where its configuration is (SLURM_CONF)."
    if "partition" in text:
        return "Choose another partition: in the run configuration (slurm.partition), or in the target's settings."
    if "account" in text or "qos" in text:
        return "Choose another account or quality of service: slurm.account, slurm.qos."
    return "Change what the run asks for, and submit it again."
