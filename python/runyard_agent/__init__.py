"""The agent: what runs beside a user's script. See docs/agent-protocol.md.

`serve` speaks the channel, `supervise` guards one attempt. Standard library only, Python 3.6 and later.
"""

PROTOCOL = 1
