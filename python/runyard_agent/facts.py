"""What the host is, for `hello`."""

import os
import re
import sys
import time

from . import gpus, slurm
from .host import boot_id, cpu_count, memory_total
from .tool import output_of


def facts(root):
    """The `facts` member of hello's result; sizes in bytes."""
    system = os.uname()
    return {
        "hostname": system.nodename,
        "os": sys.platform if not sys.platform.startswith("linux") else "linux",
        "release": system.release,
        "arch": system.machine,
        "python": {"version": "%d.%d.%d" % sys.version_info[:3], "executable": sys.executable},
        "cpus": cpu_count(),
        "memory": memory_total(),
        "gpus": gpus.listed(root),
        "boot": boot_id(),
        "time": int(time.time() * 1000),
        "slurm": _slurm(),
    }


def _slurm():
    """Where jobs can be given to Slurm from here: its version."""
    if not slurm.present():
        return None
    said = output_of(["sbatch", "--version"], seconds=5)
    found = re.search(r"\d[\w.-]*", said or "")  # Debian's says slurm-wlm 22.05.8
    return {"version": found.group(0) if found else ""}
