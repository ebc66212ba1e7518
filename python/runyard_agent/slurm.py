"""Slurm's programs as data: what is called, and what their answers say. Nothing here runs anything.

The forms are those of Slurm 20.11 and later, seen with 22.05; see squeue(1), scontrol(1), sbatch(1), sinfo(1).
"""

import os
import re
import time

from .tool import find

#: What squeue tells of a job: id, state, partition, priority, start, end, nodes, name, reason (which may hold anything).
_FIELDS = "%i|%T|%P|%Q|%S|%e|%N|%j|%r"

#: States of a job that has ended for good. Names are Slurm's own (JOB STATE CODES in squeue(1)).
ENDED = frozenset(["COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY",
                   "BOOT_FAIL", "DEADLINE", "REVOKED"])

#: States of a job that waits.
WAITING = frozenset(["PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "CONFIGURING"])

#: Words by which Slurm says that it is away for the moment.
_AWAY = ("unable to contact slurm controller", "socket timed out", "connection refused", "connect failure",
         "resource temporarily unavailable", "connection timed out", "communications connection failure",
         "slurm temporarily unable", "slurmctld is in standby", "primary slurmctld", "protocol authentication error",
         "zero bytes were transmitted", "unexpected message received", "transport endpoint is not connected")

#: Words by which Slurm says that there are too many jobs of somebody, for now.
_FULL = ("submit job limit", "submit limit", "maxsubmit", "maxjobcount", "job submit limit", "slurmctld job count")


class Job(object):
    """What Slurm says of one job. Times are epoch seconds or None."""

    __slots__ = ("number", "state", "partition", "priority", "start", "end", "nodes", "reason", "name")

    def __init__(self, number, state, partition, priority, start, end, nodes, reason, name=""):
        self.number = number
        self.state = state
        self.partition = partition
        self.priority = priority
        self.start = start
        self.end = end
        self.nodes = nodes
        self.reason = reason
        self.name = name


def present():
    """Whether jobs can be given to Slurm from this host."""
    return find("sbatch") is not None and find("squeue") is not None


def own_jobs():
    """argv of the one question about all jobs of this user."""
    return ["squeue", "--noheader", "--states=all", "--user=%d" % os.getuid(), "--format=" + _FIELDS]


def jobs_named(name):
    """argv of the question which of this user's jobs have a name."""
    return ["squeue", "--noheader", "--states=all", "--user=%d" % os.getuid(), "--name=" + name, "--format=%i"]


def waiting_jobs():
    """argv of the question how all that wait follow each other."""
    return ["squeue", "--noheader", "--states=PENDING", "--format=%i|%P|%Q"]


def read_jobs(text):
    """`{number: Job}` of what squeue says; elements of arrays and lines of another form are passed over."""
    found = {}
    for line in text.splitlines():
        parts = line.split("|", 8)
        if len(parts) != 9 or not parts[0].strip().isdigit():
            continue
        number, state, partition, priority, start, end, nodes, name, reason = [part.strip() for part in parts]
        reason = None if reason in ("None", "") else reason.strip("()").replace(" ", "_")
        found[int(number)] = Job(int(number), state, partition or None,
                                 int(priority) if priority.isdigit() else None, moment(start), moment(end),
                                 None if nodes in ("", "(null)") else nodes, reason, name)
    return found


def read_numbers(text):
    """Ids of jobs, a line each."""
    return sorted(int(line) for line in text.split() if line.isdigit())


def read_places(text):
    """`{number: place}`, from 1, among those that wait in the same partition; higher priorities and lower numbers are
    in front. A job that waits for several partitions has the best of its places."""
    queues = {}
    for line in text.splitlines():
        number, _, rest = line.strip().partition("|")
        partitions, _, priority = rest.rpartition("|")
        digits = re.match(r"\d+", number)  # an array waits with the number of its first element
        if not digits or not priority.strip().isdigit():
            continue
        for name in partitions.split(","):
            queues.setdefault(name, []).append((-int(priority), int(digits.group(0))))
    places = {}
    for waiting in queues.values():
        for place, (_, number) in enumerate(sorted(waiting), 1):
            places[number] = min(place, places.get(number, place))
    return places


def show_job(number):
    """argv of the question about one job in full."""
    return ["scontrol", "show", "job", "-o", str(number)]


def read_members(text):
    """`{name: value}` of the first line of `scontrol show ... -o`."""
    line = text.strip().split("\n", 1)[0]
    found = {}
    for match in re.finditer(r"(?:^|\s)([A-Z][A-Za-z:/]*)=(.*?)(?=\s[A-Z][A-Za-z:/]*=|$)", line):
        found.setdefault(match.group(1), match.group(2).strip())
    return found


def show_config():
    """argv of the question how the cluster is set up."""
    return ["scontrol", "show", "config"]


def read_config(text):
    """`{name: value}` of `scontrol show config`."""
    found = {}
    for line in text.splitlines():
        name, mark, value = line.partition("=")
        if mark:
            found[name.strip()] = value.strip()
    return found


def kill_wait(config):
    """Seconds between SIGTERM and SIGKILL at the end of a job: KillWait of slurm.conf, 30 where it is not said."""
    match = re.match(r"(\d+)", config.get("KillWait", ""))
    return int(match.group(1)) if match else 30


def submitted(text):
    """The job's number in what `sbatch --parsable` has said (`12` or `12;cluster`), None when there is none."""
    for line in text.splitlines():
        # A program around it may know no --parsable.
        match = re.match(r"(?:Submitted batch job )?(\d+)(;\S*)?$", line.strip())
        if match:
            return int(match.group(1))
    return None


def refusal(text):
    """What sbatch or another program of Slurm has said, for a person: without its name, each sentence once."""
    said = []
    for line in text.splitlines():
        line = re.sub(r"^(sbatch|scancel|squeue|sinfo|scontrol|srun): ", "", line.strip())
        line = re.sub(r"^(error|fatal): ", "", line)
        if line and not re.match(r"\d+(;\S*)?$", line) and line not in said:
            said.append(line)
    return " ".join(each if each[-1] in ".!:" else each + "." for each in said)


def is_away(text):
    """Whether this is no answer but that of a scheduler that cannot be reached now."""
    text = text.lower()
    return any(words in text for words in _AWAY)


def is_full(text):
    """Whether the job was refused for what may be different later: too many of them are submitted."""
    text = text.lower()
    return any(words in text for words in _FULL)


def is_unknown_job(text):
    """Whether Slurm says that it does not know a job (any more)."""
    return "invalid job id" in text.lower()


def moment(text):
    """Epoch seconds of a time as Slurm writes it (local, `2026-11-21T14:05:00`), None for `N/A` and the like."""
    try:
        return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))
    except (ValueError, OverflowError):
        return None


def seconds_of(text):
    """Seconds of a span as Slurm writes it: `30` (minutes), `30:00`, `2:00:00`, `1-12`, `1-12:00:00`. None for
    `UNLIMITED`, `infinite` and what is no span."""
    match = re.match(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?$", text.strip())
    if not match:
        return None
    days, first, second, third = [None if part is None else int(part) for part in match.groups()]
    if days is not None:
        return ((days * 24 + first) * 60 + (second or 0)) * 60 + (third or 0)
    if third is not None:
        return (first * 60 + second) * 60 + third
    return first * 60 + (second or 0)
