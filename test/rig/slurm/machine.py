"""The first process of a machine of a cluster: `unshare` has given it namespaces of its own.

It is given {"name", "tmp"} in JSON. It says its number, as the place knows it that the cluster is in, and from
then on only reaps. When it ends, every process of the machine ends at once, as when its plug is pulled.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import uuid


def mount(*args):
    subprocess.run(["mount", *args], check=True, stdin=subprocess.DEVNULL)


def main():
    spec = json.loads(sys.argv[1])
    # The /proc of the place still is here: it knows our number there.
    pid = os.readlink("/proc/self")
    socket.sethostname(spec["name"])
    mount("-t", "proc", "proc", "/proc")
    mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/dev/shm")
    boot = "/dev/shm/boot_id"
    with open(boot, "w") as file:
        file.write("%s\n" % uuid.uuid4())
    mount("--bind", boot, "/proc/sys/kernel/random/boot_id")
    os.unlink(boot)
    if spec["tmp"]:
        mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/tmp")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, stdin=subprocess.DEVNULL)
    print(pid, flush=True)
    # Nobody waits for those that were left to the first process: so they go by themselves.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        signal.pause()


main()
