"""What an attempt waits for in the queue, in words for a person."""


def shortage(ticket, slots, running, gpu_count):
    """What is in the way of the first in line ("1 GPU: 2 of 2 are in use"), None when nothing is. `running` are the
    tickets that hold slots. GPUs come first: they are what is seldom."""
    leased = sum(len(other.get("leased", ())) for other in running)
    if gpu_count - leased < ticket["gpus"]:
        wanted = "%d GPU%s" % (ticket["gpus"], "" if ticket["gpus"] == 1 else "s")
        if gpu_count < ticket["gpus"]:
            return "%s: the host shows %d now" % (wanted, gpu_count)
        return "%s: %d of %d %s in use" % (wanted, leased, gpu_count, _are(leased))
    used = sum(other["slots"] for other in running)
    if used + min(ticket["slots"], slots) <= slots:
        return None
    if ticket["slots"] == 1 or slots == 1:
        return _slots(ticket, slots)
    return "%s: %d %s in use" % (_slots(ticket, slots), used, _are(used))


def sentence(ticket, ahead, slots, gpu_count, first, missing):
    """Why a ticket with `ahead` others in front waits, None when it is about to start. `first` is the ticket of the
    first in line, `missing` what `shortage` says of it."""
    if not ahead:
        return missing and "Waiting for " + missing
    if ticket["gpus"]:
        return "Waiting for %d of %d GPUs (%d ahead)" % (ticket["gpus"], gpu_count, ahead)
    if missing is not None and first["gpus"] and "GPU" in missing:
        # Slots may well be free; but the first in line is never overtaken.
        return "Waiting in line (%d ahead, the first of them for %s)" % (ahead, missing)
    return "Waiting for %s (%d ahead)" % (_slots(ticket, slots), ahead)


def _slots(ticket, slots):
    if slots == 1:
        return "the only slot"
    if ticket["slots"] >= slots:
        return "all %d slots" % slots
    return "%s of %d slots" % ("one" if ticket["slots"] == 1 else ticket["slots"], slots)


def _are(count):
    return "is" if count == 1 else "are"
