"""The methods of Slurm, and what the others do differently for an attempt that is one of its jobs."""

from . import slurm, slurm_attempt, slurm_tickets
from .layout import Attempt
from .record import TERMINAL, state_of
from .shared_files import filesystem_of, is_shared
from .slurm_info import SlurmInfo
from .slurm_tool import slurm_tool


class SlurmMethods(object):
    """Answers requests; `recovery` is the SlurmRecovery."""

    def __init__(self, root, recovery):
        self._root = root
        self._recovery = recovery
        self._info = SlurmInfo()
        self.table = {"slurm.info": self._tell, "slurm.shared": self._shared}

    def _tell(self, _params, _):
        return (yield from self._info.get()), b""

    def _shared(self, _params, _):
        kind = filesystem_of(self._root)
        return {"filesystem": kind, "shared": is_shared(kind)}, b""

    def cancel(self, attempt, written):
        """A generator (turns): has the job of an attempt ended (the latest of its run); the wish is on the disk when
        `written`."""
        state = state_of(attempt)
        if state in TERMINAL:
            return
        self._recovery.canceled(attempt)
        self._recovery.living[attempt.key] = attempt
        known = slurm_attempt.job_of(attempt)
        if known is None:
            slurm_tickets.kick(self._root)  # the dispatcher ends it
            return
        if self._recovery.queue.is_anothers(attempt):
            return
        plain = ["scancel", str(known[0])]
        # Its supervisor ends everything in order; the other signal is for a full disk.
        gentle = ["scancel", "--batch", "--signal=USR1" if written else "--signal=USR2", str(known[0])]
        job = self._recovery.queue.job(attempt)
        suspended = job is not None and job.state == "SUSPENDED"  # it would heed no signal
        tool = slurm_tool(plain if state == "Queued" or suspended else gentle, 30)
        while not tool.poll():
            yield 0.02
        self._recovery.queue.soon()


def latest_of(attempt):
    """The attempt that goes on, where Slurm has requeued this one."""
    while state_of(attempt) == "Requeued":
        following = Attempt(attempt.root, attempt.run, attempt.number + 1)
        if not following.exists():
            break
        attempt = following
    return attempt


def is_over(queue, attempt):
    """Whether Slurm says that an attempt's job runs no more: then a lock that is still held is nobody's."""
    job = queue.job(attempt)
    return job is not None and (job.state in slurm.ENDED or job.state in slurm.WAITING)
