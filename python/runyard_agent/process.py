"""What is known of one process of the host."""


class Process(object):
    """One process as it was seen."""

    __slots__ = ("pid", "parent", "group", "session", "state", "start", "ticks", "rss", "name")

    def __init__(self, pid, parent, group, session, state, start, ticks, rss, name):
        self.pid = pid
        self.parent = parent
        self.group = group
        self.session = session
        self.state = state
        self.start = start
        self.ticks = ticks  # CPU time, its reaped children included, in hundredths of a second
        self.rss = rss  # bytes
        self.name = name

    @property
    def dead(self):
        """True for a zombie: nothing of it runs."""
        return self.state in "ZXx"
