"""`job`: the supervisor of an attempt that is a job of Slurm; the batch script becomes it on the first node."""

import os
import sys
import time

from . import failure, slurm, slurm_attempt, supervise
from .atomic import read_object, write_json
from .environment_wait import Ready
from .errors import AgentError
from .layout import Attempt
from .locks import try_lock
from .record import TERMINAL, state_of
from .shared_files import SharedFiles
from .tool import Tool
from .tree_end import end_tree

#: Seconds of KillWait that stay for the end of the supervisor itself, and the least that the command gets.
_RESERVE = 5.0
_LEAST_GRACE = 1.0

#: Seconds by which SIGTERM may come to the supervisor later than to what it guards.
_LAST_WORD = 1.0

#: Seconds for which Slurm is asked why the job is to end, at most a third of KillWait.
_ASK = 10.0

#: Seconds for which a supervisor whose job runs elsewhere waits for Slurm to end it.
_STAY, _ASK_AGAIN = 86400.0, 10.0

#: Bytes of what a job's set-up lines say.
_SETUP = 65536



class JobSupervisor(supervise.Supervisor):
    """As any supervisor, but the queue is Slurm's, and so is the last word about why it ends."""

    def __init__(self, attempt, number, restart, kill_wait):
        supervise.Supervisor.__init__(self, attempt)
        self._number = number
        self._restart = restart
        self._kill_wait = kill_wait
        self._asked = None  # the time at which Slurm told it to end
        self._all_told = False  # so were all processes of the job
        self._shared = SharedFiles(attempt.root)
        self.is_elsewhere = False  # Slurm has taken the job from this node, and is done with it
        self.spec["grace_seconds"] = min(self.spec["grace_seconds"], max(_LEAST_GRACE, kill_wait - _RESERVE))

    def _wait_turn(self):
        """Slurm has given it its turn. Gives the GPUs it may use."""
        self.heed()
        slurm_attempt.note_start(self.attempt)
        self._tell_setup()
        # Where the host's variables lie until the command has them, as for every other run.
        write_json(self.attempt.environment, _host_variables())
        ready = read_object(slurm_attempt.folder_of(self.attempt) + "/ready.json")
        if ready is not None:
            self.waiting = Given(ready)
        devices = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        return [int(each) for each in devices] if all(each.isdigit() for each in devices) else []

    def _tell_setup(self):
        """What the job has said so far is of its set-up lines: it stands before the script's own log."""
        try:
            with open(slurm_attempt.output_of(self.attempt), "rb") as file:
                said = file.read(_SETUP)
            if said.strip() and self._restart == 0:
                with open(self.attempt.build_log, "ab") as file:
                    file.write(b"The job's set-up lines say:\n" + said + (b"" if said.endswith(b"\n") else b"\n"))
        except OSError:
            pass  # it has said nothing, or the disk is full

    def _kick(self):
        pass  # nobody waits behind it

    def _end_by_itself(self):
        # Slurm tells everything in the job to end, and what it tells last may be this.
        status = self.tree.exit_status
        until = time.monotonic() + (_LAST_WORD if status else 0)
        while status and not self.wakeup.told_to_end and time.monotonic() < until:
            self._rest(until - time.monotonic())
        if status and self.wakeup.told_to_end:
            raise self.told_to_end()
        supervise.Supervisor._end_by_itself(self)

    def told_to_end(self):
        """Slurm has sent SIGTERM to everything in the job: it knows why."""
        self._asked = self._asked or time.monotonic()
        kind, reason = self._why()
        self._all_told = kind != "signal"
        return supervise.Stop(kind, reason)

    def _end_tree(self, grace):
        """As for every run; but whom Slurm has told already is not told again, and Slurm, which is about to end the
        job, is not asked to: scancel would try that again and again."""
        if not self._all_told or self.container is not None or self.tree.command is None:
            return supervise.Supervisor._end_tree(self, grace)
        # Those of a step are no children of this process.
        told = set(self.tree.look_everywhere())
        if self.inside is not None:
            told.update(self.inside.helpers())
        return end_tree(self.tree, min(float(grace), supervise.LONGEST_GRACE), self._rest, told)

    def _why(self):
        """(`cancel`, `time`, `requeue`, `preempted`, `node`, `signal` or `unknown`; a sentence)."""
        deadline = self._asked + min(_ASK, self._kill_wait / 3.0)
        canceled = read_object(self.attempt.cancel)
        while True:
            job = self._ask_slurm(deadline)
            if job is not None:
                restarts = int(job["Restarts"]) if job.get("Restarts", "").isdigit() else 0
                state, reason = job.get("JobState", ""), job.get("Reason", "")
                self.is_elsewhere = state in ("PENDING", "RUNNING") and restarts > self._restart
                if restarts > self._restart or state in ("PENDING", "REQUEUED"):
                    return "requeue", self._said("Slurm has taken the job back into its queue")
                if reason == "TimeLimit" or state in ("TIMEOUT", "DEADLINE"):
                    return "time", "The time limit of the job was reached."
                if state == "PREEMPTED":
                    return "preempted", "Slurm has ended the job for one of a higher priority."
                if state == "NODE_FAIL":
                    return "node", "A node of the job has failed."
                if canceled is not None:
                    return "cancel", str(canceled.get("reason") or "Canceled")
                if state in ("CANCELLED", "COMPLETING"):
                    return "cancel", "The job %d was canceled in Slurm (scancel)" % self._number
            if canceled is not None:
                return "cancel", str(canceled.get("reason") or "Canceled")
            if time.monotonic() >= deadline and job is not None:
                return "signal", "The job was sent SIGTERM (scancel --signal, or kill); Slurm has not ended it."
            if time.monotonic() >= deadline:
                # Whoever asks Slurm later says how it ended.
                return "unknown", "The job was told to end, and Slurm could not be asked why."
            time.sleep(1.0)

    def _said(self, sentence):
        """With what Slurm has written into the job's output about it."""
        try:
            with open(slurm_attempt.output_of(self.attempt), "rb") as file:
                text = file.read()[-8192:].decode("utf-8", "replace")
        except OSError:
            return sentence
        if "DUE TO NODE FAILURE" in text:
            return "A node of the job has failed: Slurm has taken it back into its queue"
        if "DUE TO PREEMPTION" in text:
            return "Slurm has taken the job back into its queue for one of a higher priority"
        return sentence

    def _ask_slurm(self, deadline):
        tool = Tool(slurm.show_job(self._number), max(0.5, deadline - time.monotonic()), bound=True)
        while not tool.poll():
            time.sleep(0.01)
            self.record.write()
        return slurm.read_members(tool.result) if tool.result else None

    def _end_stopped(self, stop):
        if stop.kind == "cancel":
            supervise.Supervisor._end_stopped(self, stop)
            return
        grace = self.spec["grace_seconds"]
        if self._asked is not None:
            grace = max(_LEAST_GRACE, min(grace, self._asked + self._kill_wait - _RESERVE - time.monotonic()))
        rest = self._end_tree(grace)
        self._take_exit_status()
        if stop.kind == "requeue":
            self._requeue(stop.reason + rest)
        elif stop.kind in ("over", "unknown"):
            return  # somebody else says it, or has said it
        else:
            code = {"time": "time_limit", "node": "node_failure"}.get(stop.kind, stop.kind)
            self._seal("Failed", stop.reason + rest, error=failure.error(code, stop.reason + rest, self.attempt.log))

    def _requeue(self, reason):
        try:
            following = slurm_attempt.next_attempt(self.attempt, self._number, self._restart + 1, reason)
        except OSError:
            return  # a full disk: the job makes it when it starts again
        self._seal("Requeued", reason, next=following.number)

    def stay(self):
        """Until the job waits no more, or Slurm kills this: the end of a batch script is taken for that of a job that
        waits, and passed over once that runs on another node."""
        until = time.monotonic() + _STAY
        while time.monotonic() < until:
            job = self._ask_slurm(time.monotonic() + _ASK)
            if job is not None and job.get("JobState") != "PENDING":
                return
            self._rest_until(min(until, time.monotonic() + _ASK_AGAIN))

    def _rest_until(self, then):
        while time.monotonic() < then:
            self.wakeup.wait(1.0)

    def _seal(self, state, reason, **members):
        if self._is_over():
            return
        supervise.Supervisor._seal(self, state, reason, **members)

    def _housekeeping(self):
        # Slurm may have given the job to other nodes while these could not be reached.
        if time.monotonic() >= self.next_beat:
            if self._is_over():
                self.record.forsake()
            elif slurm_attempt.job_of(self.attempt) != (self._number, self._restart):
                self._tell_job()
        supervise.Supervisor._housekeeping(self)

    def _tell_job(self):
        """The script may have written over it, or removed it."""
        try:
            slurm_attempt.set_job(self.attempt, self._number, self._restart)
        except OSError:
            pass  # a full disk, or something is in the way

    def heed(self):
        """Raises Stop also when the attempt has been ended by somebody else."""
        supervise.Supervisor.heed(self)
        if self.record.forsaken:
            raise supervise.Stop("over", "Another attempt goes on.")

    def _is_over(self):
        self._shared.refresh(slurm_attempt.folder_of(self.attempt))
        return os.path.exists(slurm_attempt.folder_of(self.attempt) + "/over.json")


class Given(object):
    """The environment that was found on the login node; in the place of an EnvironmentWait."""

    reason = None

    def __init__(self, ready):
        self._ready = Ready(ready.get("interpreter"), None, ready.get("variables") or {}, ready.get("facts") or {})

    def poll(self):
        """Ready, at once."""
        return self._ready

    def lost(self):
        """Of images only."""

    def close(self):
        """Nothing is held: the run is in use until it has ended."""


def _host_variables():
    """What the command starts from: the job's own, without what belongs to this process."""
    return {name: value for name, value in os.environ.items()
            if not name.startswith("RUNYARD_") or name == "RUNYARD_ENGINE"}


def find_attempt(root, run, number, job, restart):
    """The attempt that this start of the job is. AgentError when another job is at it."""
    first = Attempt(root, run, number)
    if not first.exists():
        raise AgentError("not_found", "This node does not see %s. The root folder of the target must be on a file system "
                         "that all nodes share." % first.folder)
    attempt = slurm_attempt.latest_of_job(root, run, job)
    if attempt is None:
        counts = slurm_attempt.claim(first, job, restart)
        if counts != job:
            raise AgentError("conflict", "The attempt %s is job %d; this one (%d) is not needed." % (
                first.mark, counts, job))
        attempt = first
    found = slurm_attempt.job_of(attempt)
    known = found[1] if found else restart
    state = state_of(attempt)
    if known < restart and (state == "Requeued" or state not in TERMINAL):
        if state in ("Queued", None):
            slurm_attempt.set_job(attempt, job, restart)  # it has never begun
        else:
            reason = "Slurm has taken the job back into its queue"
            return slurm_attempt.next_attempt(attempt, job, restart, reason), attempt
    return attempt, None


def main(root, run, number, kill_wait):
    """Guards the attempt that this job is; gives the exit code of the job."""
    job = os.environ.get("SLURM_JOB_ID", "")
    restart = os.environ.get("SLURM_RESTART_COUNT", "0")
    if not job.isdigit():
        print("runyard: this is no job of Slurm", file=sys.stderr)
        return 2
    restart = int(restart) if restart.isdigit() else 0
    try:
        attempt, before = find_attempt(root, run, number, int(job), restart)
    except AgentError as error:
        print("runyard: %s" % error.message, file=sys.stderr)
        return 1
    if before is not None:
        slurm_attempt.give_up(before, attempt)
    if os.path.exists(slurm_attempt.folder_of(attempt) + "/over.json") or state_of(attempt) in TERMINAL:
        return 0  # canceled before it began, or put back into the queue after its end
    lock = try_lock(attempt.lock)  # for those who look from a host where locks are shared
    supervisor = JobSupervisor(attempt, int(job), restart, kill_wait)
    supervisor.run()
    if lock is not None:
        os.close(lock)
    if supervisor.record.forsaken or supervisor.is_elsewhere:
        # Its end would be taken for that of the job, which waits or runs elsewhere.
        supervisor.stay()
        return 0
    code = supervisor.record.status.get("exit_code")
    state = supervisor.record.state
    return 0 if state in ("Completed", "Requeued") else code if isinstance(code, int) and 0 < code < 256 else 1
