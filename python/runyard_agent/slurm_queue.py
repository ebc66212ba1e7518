"""What Slurm says of this user's jobs: asked once for all runs, every few seconds while any of them has not ended."""

import time

from . import slurm, slurm_attempt, slurm_waiting
from .slurm_tool import slurm_tool

#: Seconds between two calls, at least and usually, and between two looks at the places in line.
LEAST, USUAL, PLACES = 2.0, 5.0, 30.0

#: Seconds in the future beyond which an expected start, or a job's end, is none.
_FAR = 300 * 86400.0

#: Seconds for an answer.
_PATIENCE = 60.0


class SlurmQueue(object):
    """The latest answer; `watch` keeps it fresh."""

    def __init__(self):
        self.jobs = {}
        self.places = {}
        self.asked = 0.0  # monotonic: when the question was put whose answer this is
        self.problem = None  # Slurm's words while it does not answer
        self._due = 0.0
        self._last_end = -LEAST
        self._places_due = 0.0

    def soon(self):
        """Something has changed that Slurm knows of."""
        self._due = 0.0

    def watch(self, wanted):
        """A generator (turns) that asks for ever, while `wanted()` says that somebody needs it."""
        while True:
            now = time.monotonic()
            if not slurm.present() or not wanted():
                yield 1.0
                continue
            due = max(self._due, self._last_end + LEAST)
            if now < due:
                yield min(0.5, due - now)
                continue
            self._due = now + USUAL
            if any(job.state == "PENDING" for job in self.jobs.values()) and now >= self._places_due:
                # In the place of the other question, not beside it.
                self._places_due = now + PLACES
                self._due = now + LEAST
                yield from self._ask_places()
            else:
                yield from self._ask_jobs()
            self._last_end = time.monotonic()

    def _ask_jobs(self):
        asked = time.monotonic()
        tool = slurm_tool(slurm.own_jobs(), _PATIENCE, limit=1 << 25)
        while not tool.poll():
            yield 0.02
        if tool.result is None:
            self.problem = slurm.refusal(tool.errors) or "squeue failed."
            return
        self.problem = None
        self.jobs = slurm.read_jobs(tool.result)
        self.asked = asked

    def _ask_places(self):
        tool = slurm_tool(slurm.waiting_jobs(), _PATIENCE, limit=1 << 26)
        while not tool.poll():
            yield 0.02
        if tool.result is not None:
            self.places = slurm.read_places(tool.result)

    def job(self, attempt):
        """The attempt's Job as Slurm has told of it; None when it has not."""
        known = slurm_attempt.job_of(attempt)
        return self.jobs.get(known[0]) if known and not self.is_anothers(attempt) else None

    def is_anothers(self, attempt):
        """Whether the number of the attempt's job is that of another run's job by now."""
        known = slurm_attempt.job_of(attempt)
        job = self.jobs.get(known[0]) if known else None
        return job is not None and not slurm_attempt.may_be(attempt, job.name)

    def describe(self, attempt, began):
        """What a status says of an attempt's job: `slurm`, and while it waits (`began` is False) `reason`. Empty while
        Slurm has not said anything of it."""
        known = slurm_attempt.job_of(attempt)
        if known is None:
            return {}
        job = self.job(attempt)
        if began and (job is None or job.state in slurm.WAITING):
            # The job itself is quicker than the answer about it.
            job = slurm_attempt.started(attempt) or job
        if job is None:
            return {} if began else {"slurm": _told(known, None, None),
                                     "reason": "Waiting in Slurm (job %d)" % known[0]}
        found = {"slurm": _told(known, job, self.places.get(job.number))}
        if not began and job.state in slurm.WAITING:
            found["reason"] = slurm_waiting.sentence(job, self.places.get(job.number))
        return found


def _told(known, job, place):
    number, restart = known
    if job is None:
        return {"job": number, "state": "PENDING", "restarts": restart}
    waits = job.state in slurm.WAITING
    return {"job": number, "state": job.state, "reason": job.reason, "priority": job.priority,
            "partition": job.partition, "nodes": job.nodes, "position": place if waits else None,
            "expected_start": _ms(job.start) if waits and _is_said(job.start) else None,
            "time_limit_at": None if waits or not _is_said(job.end) else _ms(job.end), "restarts": restart}


def _is_said(moment):
    """Of a job without a time limit, and behind one, Slurm counts with a year: that says nothing."""
    return moment is not None and moment < time.time() + _FAR


def _ms(seconds):
    return None if seconds is None else int(seconds * 1000)
