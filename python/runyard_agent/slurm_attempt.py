"""An attempt that is a job of Slurm: which one, the folder of its job, and the attempt that follows a requeue."""

import os
import shutil

from . import record, slurm
from .atomic import read_object, write_json
from .checks import LAST_ATTEMPT
from .layout import Attempt


def is_job(attempt):
    """Whether Slurm has this attempt, or is to get it."""
    return os.path.isdir(folder_of(attempt))


def folder_of(attempt):
    """What belongs to the job: `job.json`, `job.sh`, `sbatch.txt`, `output.txt`, `over.json`, `ready.json`."""
    return attempt.folder + "/slurm"


def name_of(attempt):
    """The job's name, by which it is found again."""
    return "runyard-%s-%d" % (attempt.run, attempt.number)


def may_be(attempt, name):
    """Whether a job of this name can be the attempt's: after a loss of its state Slurm gives numbers once more."""
    return not name.startswith("runyard-") or name.startswith("runyard-%s-" % attempt.run)


def job_of(attempt):
    """`(number, restart)` of the attempt's job: how often that was requeued before it; None while there is none."""
    found = read_object(folder_of(attempt) + "/job.json") or {}
    number, restart = found.get("job"), found.get("restart")
    if isinstance(number, int) and isinstance(restart, int) and not isinstance(number, bool):
        return number, restart
    return None


def claim(attempt, number, restart):
    """Says which job the attempt is, unless that is said already. Gives the number of the one that counts."""
    path = folder_of(attempt) + "/job.json"
    temporary = "%s.%s.%d.tmp" % (path, os.uname()[1], os.getpid())
    write_json(temporary, {"job": number, "restart": restart})
    try:
        # A link is there as a whole or not at all, also on a network file system.
        os.link(temporary, path)
    except OSError:
        if job_of(attempt) is None:
            os.rename(temporary, path)
            return number
    finally:
        try:
            os.unlink(temporary)
        except OSError:
            pass
    return (job_of(attempt) or (number, restart))[0]


def output_of(attempt):
    """Where the job itself writes: in the folder of the attempt that it was given to Slurm for."""
    for number in range(attempt.number, 0, -1):
        path = folder_of(Attempt(attempt.root, attempt.run, number)) + "/output.txt"
        if os.path.exists(path):
            return path
    return folder_of(attempt) + "/output.txt"


def note_start(attempt):
    """In the job: where it runs, before Slurm is asked the next time."""
    variables = os.environ
    write_json(folder_of(attempt) + "/started.json", {
        "nodes": variables.get("SLURM_JOB_NODELIST"), "partition": variables.get("SLURM_JOB_PARTITION")})


def started(attempt):
    """The Job that `note_start` tells of, None when it has not."""
    found, known = read_object(folder_of(attempt) + "/started.json"), job_of(attempt)
    if found is None or known is None:
        return None
    return slurm.Job(known[0], "RUNNING", _word(found.get("partition")), None, None, None, _word(found.get("nodes")),
                     None)


def _word(value):
    return value if isinstance(value, str) and value else None


def set_job(attempt, number, restart):
    """Says which job the attempt is: it waits still and was requeued once more, or its script has written over it."""
    os.makedirs(folder_of(attempt), mode=0o700, exist_ok=True)
    write_json(folder_of(attempt) + "/job.json", {"job": number, "restart": restart})


def next_attempt(attempt, number, restart, reason):
    """The attempt that goes on after this one, whose job (`number`) was requeued for the `restart`-th time: made by
    whoever comes first, found by all others. OSError when the disk is full."""
    following = Attempt(attempt.root, attempt.run, attempt.number + 1)
    if following.exists() or following.number > LAST_ATTEMPT:
        return following
    parent = os.path.dirname(following.folder)
    temporary = "%s/.next-%d-%s-%d" % (parent, following.number, os.uname()[1].replace("/", ""), os.getpid())
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        make_folders(temporary)
        os.mkdir(temporary + "/slurm", 0o700)
        write_json(temporary + "/spec.json", dict(read_object(attempt.spec) or {}, attempt=following.number))
        write_json(temporary + "/launch.json", read_object(attempt.launch) or {})
        write_json(temporary + "/slurm/job.json", {"job": number, "restart": restart})
        record.write_first(temporary, reason)
        for name in ("cancel.json", "slurm/ready.json"):
            # A wish to cancel is one for the whole run.
            if os.path.exists(attempt.folder + "/" + name):
                shutil.copyfile(attempt.folder + "/" + name, temporary + "/" + name)
        os.rename(temporary, following.folder)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        if not following.exists():
            raise
    return following


def make_folders(folder):
    """The folders of a new attempt, and its lock."""
    for name in ("", "/journal", "/user_logs", "/artifacts"):
        os.mkdir(folder + name, 0o700)
    os.close(os.open(folder + "/supervisor.lock", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def latest_of_job(root, run, number):
    """The latest attempt of a run that is this job, None when there is none."""
    from .layout import attempts_of
    mine = [attempt for attempt in attempts_of(root, run) if (job_of(attempt) or (None,))[0] == number]
    return max(mine, key=lambda attempt: attempt.number) if mine else None


def remove_variables(attempt):
    """Takes away what holds the run's variables, once no supervisor does it."""
    for path in (attempt.environment, attempt.container_script, attempt.folder + "/distributed.json"):
        try:
            os.unlink(path)
        except OSError:
            pass


def give_up(attempt, following):
    """Ends an attempt whose job runs again elsewhere: its supervisor may be gone, or on a node that nobody reaches.
    Nothing of that one is written any more."""
    reason = (record.read_status(following) or {}).get("reason") or "Slurm has taken the job back into its queue"
    write_json(folder_of(attempt) + "/over.json", {"next": following.number})
    if record.state_of(attempt) in record.TERMINAL:
        return
    remove_variables(attempt)
    found = record.Record(attempt)
    found.change("Requeued", reason, supervisor=None, pid=None, queue=None, next=following.number)
    found.write()
