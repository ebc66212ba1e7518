"""Runs in images by Apptainer, or Singularity before it: names, places and arguments.

Neither has an engine that runs: `apptainer exec IMAGE COMMAND` is a process whose children are the command's.
"""

import os

from . import engine
from . import gpus as host_gpus
from .digest import small_sha256
from .errors import AgentError

#: The container's network where nothing else is said is the host's.
_OF_THE_HOST = (None, "host", "bridge", "default")

#: Options of Docker that have no meaning here, and what counts in their place.
_IGNORED = (("memory", "memory", "the job's (or the host's) memory counts"),
            ("cpus", "cpus", "the CPUs of the job (or the host) count"),
            ("shm_size", "shmSize", "/dev/shm is that of the host"))

_OTHERWISE = "build the image elsewhere and push it to a registry, or make a .sif file of it and name its path as the " \
    "image; or choose a venv or conda environment"


def is_file(image):
    """Whether an image is named by its path: a .sif file, or a folder that holds one (a sandbox)."""
    return image.startswith(("/", "~/")) or (image.endswith(".sif") and "://" not in image)


def path_of(image, code, home):
    """The path of an image that is a file; `code` is what a relative one is looked for in. AgentError not_found."""
    path = home + image[1:] if image.startswith("~/") and home else os.path.join(code, image)
    if not os.path.exists(path):
        raise AgentError("not_found", "The image %s is not there." % path,
                         "Name a .sif file, or a folder with an image, that this host sees.")
    return path


def source_of(image):
    """What a name in a registry is called by Apptainer."""
    return image if "://" in image else "docker://" + image


def folder_of(root):
    """Where the converted images of a root lie: `<key>-<kind of processor>.sif`, with the log of their making."""
    return root + "/environments/sif"


def key_of(image):
    """By which a converted image is found."""
    return small_sha256(source_of(image).encode("utf-8", "surrogateescape"))


def place_of(root, image):
    """The path of the converted image: hosts that share a root may have different processors."""
    return "%s/%s-%s.sif" % (folder_of(root), key_of(image), os.uname()[4])


def pull_argv(program, image, target):
    """What makes a .sif file of an image in a registry. Its own cache is left out: it is done once."""
    return [program, "pull", "--force", "--disable-cache", target, source_of(image)]


def exec_argv(program, path, attempt, agent_folder, container, with_gpus):
    """What stands before the command: of the host it sees the attempt's folder, the agent's (read only), /tmp and what
    the administrator has said, and of its variables none. `container` has been checked."""
    words = [program, "--quiet", "exec", "--cleanenv", "--no-home"]
    words += bind(attempt.folder) + bind(agent_folder, True)
    if container.get("network") == "none":
        words += ["--net", "--network", "none"]
    if with_gpus:
        words.append(gpu_option())
    return words + [path]


def python_argv(program, path, chosen):
    """The first words of a command line that runs the image's Python (`chosen`, or the first of its PATH)."""
    script = ('exec "$0" "$@"' if chosen else
              'for p in python3 python; do command -v $p >/dev/null 2>&1 && exec $p "$@"; done; exit 127')
    return [program, "--quiet", "exec", "--cleanenv", "--no-home", path, "/bin/sh", "-c", script, chosen or "python"]


def bind(folder, read_only=False):
    """The words by which a folder has the same path inside. Older ones know `--bind` only, which divides at `:` and `,`."""
    if not any(char in folder for char in ':,"\\'):
        return ["--bind", "%s:%s%s" % (folder, folder, ":ro" if read_only else "")]
    parts = ["type=bind", "src=" + folder, "dst=" + folder] + (["ro"] if read_only else [])
    return ["--mount", ",".join('"%s"' % part.replace('"', '""') for part in parts)]


def gpu_option():
    """The option that brings the host's GPUs in."""
    return "--rocm" if os.path.exists("/dev/kfd") and not os.path.exists("/dev/nvidiactl") else "--nv"


def wants_gpus(root, leased, container, around):
    """Whether a run has GPUs: leased ones, all of the host's, or those that Slurm has given to its job (`around` are the
    variables of the supervisor)."""
    return bool(leased or around.get("SLURM_JOB_GPUS") or around.get("SLURM_STEP_GPUS")
                or (container.get("all_gpus") and host_gpus.listed(root)))


def check_options(name, container):
    """Sentences about options that do not count with this program (`name`). AgentError environment for what would be
    something else without them."""
    if container.get("arguments"):
        raise AgentError("environment", "The Docker arguments of the environment (%s) have no meaning for %s, by which "
                         "images are run here." % (" ".join(container["arguments"]), name),
                         "Take them away; APPTAINER_BIND and the like in the set-up lines of the target have the same "
                         "purposes.")
    if container.get("network") not in _OF_THE_HOST + ("none",):
        raise AgentError("environment", "There is no network %s for %s, by which images are run here."
                         % (container["network"], name), "Choose none, or take it away for that of the host.")
    return ["%s has no %s: %s." % (name, said, instead) for member, said, instead in _IGNORED
            if container.get(member) is not None]


def on_login_node(root, variables):
    """A generator (turns) that returns the Engine by which an image is converted before its job is submitted; None where
    the login node has neither of the two, or something else was chosen: then it is the node's business."""
    try:
        found = yield from engine.get(root, variables, engine.PLAIN)
    except AgentError:
        return None
    return found if found.plain else None


def host_variables(variables):
    """What the program itself starts from: the host's variables, but none by which more would get into the image."""
    return {name: value for name, value in variables.items()
            if not name.startswith(("APPTAINERENV_", "SINGULARITYENV_"))}


def cannot_build(name):
    """An image is to be built where there is only `name`."""
    return AgentError("environment", "%s cannot build an image of a Dockerfile, or install packages into one." % name,
                      _OTHERWISE[0].upper() + _OTHERWISE[1:] + ".")


def not_on_clusters():
    """An image is to be built for a job of Slurm."""
    return AgentError("environment", "Images are not built on a cluster: each node would have to build its own, in the "
                      "time of the job.", _OTHERWISE[0].upper() + _OTHERWISE[1:] + ".")


def one_node_only(nodes):
    """A run in an image asks for several nodes."""
    return AgentError("environment", "The run asks for %d nodes, and an image: runs in images are on one node."
                      % nodes, "Ask for one node, or choose a venv or conda environment.")
