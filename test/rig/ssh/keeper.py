"""Keeps what the SSH rig has started, and ends it with the test.

A child of the test's process, spoken to in JSON lines. Every program of the rig is a child of this one. When
stdin ends (the test closed the rig, or was killed) the programs end, and with them their namespaces, links
and mounts; then the network's route and the folder go. Where this process is killed itself, its children end all the
same, as each asked for that.
"""

import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
# What `ip route` shows beside our routes, so that one which was left is known as ours.
PROTO = "114"

base = sys.argv[1]
libc = ctypes.CDLL(None, use_errno=True)
keeper = os.getpid()
children = {}
networks = []
locks = []


def with_keeper():
    os.setsid()
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != keeper:
        os._exit(1)


def ip(*args):
    done = subprocess.run(["ip", *args], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError("ip %s: %s" % (" ".join(args), done.stderr.strip()))
    return done.stdout


def take_network(_request):
    """A /24 of 198.18.0.0/15 (set aside for test networks) that nobody has; its holder alone names links by it."""
    taken = ip("-4", "route", "show", "table", "all") + ip("-4", "-o", "addr")
    for number in random.sample(range(512), 512):
        prefix = "198.%d.%d." % (18 + (number >> 8), number & 255)
        lock = socket.socket(socket.AF_UNIX)
        try:
            lock.bind("\0runyard-ssh-rig-%d" % number)
        except OSError:
            lock.close()
            continue
        others = [line for line in taken.splitlines() if " " + prefix in " " + line and "proto " + PROTO not in line]
        if others:
            lock.close()
            continue
        locks.append(lock)
        # What has no host of its own is unreachable at once, rather than asked for in the world outside.
        ip("route", "replace", "unreachable", prefix + "0/24", "proto", PROTO)
        networks.append((number, prefix))
        return {"number": number, "prefix": prefix}
    raise RuntimeError("no network is free")


def free_networks():
    def try_ip(*args):
        subprocess.run(["ip", *args], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    for number, prefix in networks:
        # The kernel takes its time to remove links whose other side's namespace has ended.
        for device in os.listdir("/sys/class/net"):
            if device.startswith("ry%d-" % number):
                try_ip("link", "del", device)
        try_ip("route", "del", "unreachable", prefix + "0/24", "proto", PROTO)


def tail(file):
    with open(file, errors="replace") as log:
        return log.read()[-4000:].strip()


def start(request):
    """Starts a program; the answer is its first line."""
    name = request["name"]
    log = os.path.join(base, name + ".log")
    with open(log, "a") as errors:
        child = subprocess.Popen(
            request["argv"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            bufsize=1,
            preexec_fn=with_keeper,
        )
    children[name] = child
    line = child.stdout.readline()
    if not line:
        stop(request)
        raise RuntimeError("%s ended at its start: %s" % (name, tail(log)))
    return {"line": line.strip()}


def ask(request):
    """Sends a line to a program; the answer is its next line."""
    child = children[request["name"]]
    child.stdin.write(request["line"] + "\n")
    line = child.stdout.readline()
    if not line:
        raise RuntimeError("%s has ended: %s" % (request["name"], tail(os.path.join(base, request["name"] + ".log"))))
    return {"line": line.strip()}


def end(group):
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass


def gone(group):
    # Those that a killed program left are ours, too; the first process of a namespace ends after all others.
    while True:
        try:
            os.waitpid(-group, 0)
        except ChildProcessError:
            return


def stop(request):
    child = children.pop(request["name"], None)
    if child:
        end(child.pid)
        gone(child.pid)
        child.returncode = -9
        child.stdout.close()
        try:
            child.stdin.close()
        except OSError:
            pass
    return {}


def main():
    # It ends when stdin does, not by what a terminal or a runner sends to everybody.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    work = {"network": take_network, "start": start, "ask": ask, "stop": stop}
    try:
        for line in iter(sys.stdin.readline, ""):
            request = json.loads(line)
            try:
                answer = work[request["do"]](request)
            except Exception as error:
                answer = {"error": str(error)}
            print(json.dumps(dict(answer, id=request["id"])), flush=True)
    except BrokenPipeError:
        pass
    finally:
        groups = [child.pid for child in children.values()]
        for group in groups:
            end(group)
        for group in groups:
            gone(group)
        free_networks()
        shutil.rmtree(base, ignore_errors=True)


main()
