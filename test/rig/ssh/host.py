"""The first process of a test host: `unshare` has given it namespaces of its own.

It puts a writable layer over this machine's file system, in memory, with home folders, /tmp, /run and /var/log
of its own, makes that its root, sets the host up as `host.json` says, and then only reaps. When it ends, every
process of the host ends, and all of this is gone.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys

PYTHON = re.compile(r"^(python|pypy|platform-python)[\d.]*$")
PATHS = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]


def run(*argv, text=None):
    done = subprocess.run(argv, input=text or "", capture_output=True, text=True)
    if done.returncode:
        raise SystemExit("%s: %s" % (" ".join(argv), (done.stdout + done.stderr).strip()))


def make_root(spec):
    layer = os.path.join(spec["dir"], "layer")
    os.makedirs(layer, exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", layer)
    for name in ("upper", "work", "root"):
        os.mkdir(os.path.join(layer, name))
    root = layer + "/root"
    options = "lowerdir=/,upperdir=%s/upper,workdir=%s/work" % (layer, layer)
    run("mount", "-t", "overlay", "-o", options, "overlay", root)
    run("mount", "--rbind", "/dev", root + "/dev")
    run("mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", root + "/dev/shm")
    run("mount", "--rbind", "/sys", root + "/sys")
    run("mount", "-t", "proc", "proc", root + "/proc")
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", root + "/run")
    # These are folders of the rig, so that a test sees into them.
    for name, mode in (("root", 0o700), ("home", 0o755), ("tmp", 0o1777), ("var/log", 0o755)):
        there = os.path.join(spec["dir"], os.path.basename(name))
        os.makedirs(there, exist_ok=True)
        os.chmod(there, mode)
        run("mount", "--bind", there, os.path.join(root, name))
    # A host has no checkout of ours.
    for hidden in spec["hidden"]:
        if os.path.isdir(root + hidden):
            run("mount", "-t", "tmpfs", "-o", "mode=755,size=4k", "tmpfs", root + hidden)
    boot = os.path.join(root, "run/boot_id")
    with open(boot, "w") as file:
        file.write(spec["boot"] + "\n")
    run("mount", "--bind", boot, root + "/proc/sys/kernel/random/boot_id")
    os.mkdir(root + "/run/before")
    os.chdir(root)
    run("pivot_root", ".", "run/before")
    os.chdir("/")
    run("umount", "-l", "/run/before")
    os.rmdir("/run/before")


def set_python(kind):
    """Which python3 there is: the usual one, one only under /opt/tools, none, or one that says it is 3.5."""
    if kind == "usual":
        return
    real = os.path.realpath("/usr/bin/python3")
    if kind != "none":
        to = {"setup": "/opt/tools/bin", "old": "/usr/lib/rig-python"}[kind]
        os.makedirs(to, exist_ok=True)
        shutil.copy2(real, to + "/python3")
    for folder in PATHS:
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            if PYTHON.match(name) and os.path.lexists(os.path.join(folder, name)):
                os.unlink(os.path.join(folder, name))
    if kind == "old":
        write("/usr/bin/python3", '#!/bin/sh\nexec /usr/lib/rig-python/python3 /usr/lib/rig-python/pretend.py "$@"\n', 0o755)


def write(file, content, mode=0o644, user=None):
    os.makedirs(os.path.dirname(file), exist_ok=True)
    with open(file, "w") as out:
        out.write(content)
    os.chmod(file, mode)
    if user:
        shutil.chown(file, user, user)


def set_users(users):
    # A locked account ("!") may not sign in by key either where PAM is not asked.
    run("usermod", "-p", "*", "root")
    for user in users:
        if user["name"] == "root":
            run("usermod", "-s", user["shell"], "root")
        else:
            run("useradd", "-m", "-U", "-p", "*", "-s", user["shell"], user["name"])
        if user["password"]:
            run("chpasswd", "-c", "SHA512", text="%s:%s\n" % (user["name"], user["password"]))


def main():
    with open(sys.argv[1]) as file:
        spec = json.load(file)
    # The /proc of the namespace that we came from still is here: it knows our number there.
    pid = os.readlink("/proc/self")
    with open(sys.argv[2]) as file:
        pretend = file.read()
    socket.sethostname(spec["name"])
    make_root(spec)
    write("/etc/hostname", spec["name"] + "\n")
    write("/etc/hosts", "127.0.0.1 localhost %s\n" % spec["name"])
    # A network interface of its own is brought up by the rig; only the loopback one is there from the start.
    run("ip", "link", "set", "lo", "up")
    if spec["python"] == "old":
        write("/usr/lib/rig-python/pretend.py", pretend)
    set_python(spec["python"])
    set_users(spec["users"])
    for file in spec["files"]:
        write(file["path"], file["content"], file["mode"], file["user"])
    for folder in spec["folders"]:
        os.makedirs(folder["path"], exist_ok=True)
        os.chmod(folder["path"], folder["mode"])
        if folder["user"]:
            shutil.chown(folder["path"], folder["user"], folder["user"])
    print(pid, flush=True)
    # Nobody waits for those that were left to the first process: so they go by themselves.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        signal.pause()


main()
