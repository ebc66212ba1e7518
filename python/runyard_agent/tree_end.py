"""The end of a run's process tree."""

import time

from .processes import end_signal

#: Seconds after SIGKILL after which what remains is named.
_PATIENCE = 15.0


def end_tree(tree, grace, rest, asked=()):
    """Ends every process of the Tree: SIGTERM, the grace (seconds), SIGKILL; sleeps by `rest(seconds)`. Pids in `asked`
    have been sent SIGTERM by somebody else. Gives a sentence about what could not be ended, empty when all is gone."""
    deadline = time.monotonic() + grace
    asked = set(asked)
    pause = 0.005
    searched = 0.0
    while True:
        tree.reap()
        now = time.monotonic()
        found = tree.look()
        if not found or now - searched > 1.0:
            searched = now
            found = tree.look_everywhere()
        if not found:
            return ""
        if now > deadline + _PATIENCE:
            names = ", ".join("%d (%s)" % (pid, process.name) for pid, process in sorted(found.items())[:10])
            return " Still there, and not to be ended by any signal: process %s." % names
        if now >= deadline:
            end_signal(found, hard=True)
        else:
            end_signal({pid: process for pid, process in found.items() if pid not in asked}, hard=False)
            asked.update(found)
        tree.remember(found)
        rest(min(pause, max(0.005, deadline - now)))
        pause = min(0.1, pause * 1.5)
