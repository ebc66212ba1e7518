"""Errors that go to a person: a code of the protocol, a sentence, and what to do next."""

import errno


class AgentError(Exception):
    """A refusal or failure to report over the channel or in a run's status.

    `code` is one of the protocol's error codes, `message` a sentence for a person, `action` what to do
    (None when there is nothing to do).
    """

    def __init__(self, code, message, action=None):
        Exception.__init__(self, message)
        self.code = code
        self.message = message
        self.action = action

    def in_full(self):
        """What went wrong and what to do, in a line."""
        if not self.action:
            return self.message
        # It may end with the words of a program, which end as they like.
        return "%s%s %s" % (self.message, "" if self.message.endswith((".", "!", "?", ":")) else ".", self.action)

    def as_json(self):
        """The error as the reply's `error` member."""
        error = {"code": self.code, "message": self.message}
        if self.action:
            error["action"] = self.action
        return error


#: The errors by which a system says that nothing more can be written here.
FULL = (errno.ENOSPC, errno.EDQUOT)


def is_full(error):
    """True when an OSError says that the disk or the quota is full."""
    return error.errno in FULL


def from_os_error(error, doing):
    """The AgentError for an OSError met while `doing` ("storing a blob")."""
    place = " (%s)" % _text(error.filename) if error.filename else ""
    if is_full(error):
        return AgentError("no_space", "The disk of the host is full: %s failed%s." % (doing, place),
                          "Free some space on the host, then try again.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return AgentError("not_permitted", "The host refused: %s failed%s: %s." % (doing, place, error.strerror),
                          "Check who owns the target's root folder and its mode.")
    return AgentError("internal", "%s failed%s: %s." % (doing.capitalize(), place, error.strerror or error))


def _text(name):
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
