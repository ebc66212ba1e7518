"""Why a job of Slurm waits, in words for a person. The codes are those of squeue(1), JOB REASON CODES."""

_SENTENCES = {
    "Resources": "Waiting in Slurm for free nodes",
    "JobHeldUser": "Held in Slurm by you: scontrol release %(job)d lets it go on",
    "JobHeldAdmin": "Held in Slurm by an administrator",
    "Dependency": "Waiting in Slurm for the jobs it depends on",
    "DependencyNeverSatisfied": "Slurm will never start it: a job it depends on did not end as asked",
    "BeginTime": "Waiting in Slurm for its time to begin",
    "PartitionDown": "Waiting in Slurm: the partition %(partition)s is down",
    "PartitionInactive": "Waiting in Slurm: the partition %(partition)s is inactive",
    "PartitionNodeLimit": "Waiting in Slurm: it asks for more nodes than the partition %(partition)s has now",
    "PartitionTimeLimit": "Slurm will not start it: it asks for more time than the partition %(partition)s allows",
    "PartitionConfig": "Slurm will not start it: it asks for more than the nodes of %(partition)s have",
    "BadConstraints": "Slurm will not start it: no node is as it asks for",
    "ReqNodeNotAvail": "Waiting in Slurm: the nodes it asks for are not available",
    "Reservation": "Waiting in Slurm for its reservation",
    "Licenses": "Waiting in Slurm for a licence",
    "NodeDown": "Waiting in Slurm: a node it needs is down",
    "Prolog": "Slurm prepares its nodes",
    "Cleaning": "Slurm clears up after the attempt before",
    "launch_failed_requeued_held": "Slurm could not start it on its nodes and holds it: scontrol release %(job)d tries again",
    "job_requeued_in_held_state": "Taken back into Slurm's queue and held: scontrol release %(job)d lets it go on",
    "InvalidAccount": "Slurm will not start it: the account is not valid",
    "InvalidQOS": "Slurm will not start it: the quality of service is not valid",
}

#: They stand in the place of how the queue is.
_QUEUED = frozenset(["Priority", "Resources"])


def sentence(job, place):
    """One sentence, with its place in line (from 1) where that says something."""
    if job.state == "CONFIGURING":
        return "Slurm prepares its nodes"
    reason = (job.reason or "").split(",")[0]
    names = {"job": job.number, "partition": job.partition or "its partition"}
    if reason in _SENTENCES:
        text = _SENTENCES[reason] % names
    elif reason in ("", "Priority"):
        text = "Waiting in Slurm for jobs of a higher priority" if reason else "Waiting in Slurm"
    else:
        # Limits of accounts and the like: Slurm's own word says most.
        text = "Waiting in Slurm: %s" % reason
    if place is not None and reason in _QUEUED:
        text += " (place %d in %s)" % (place, names["partition"])
    return text
