"""A conda environment made from an environment.yml, by mamba, micromamba or conda."""

import os

from .build import size_of
from .errors import AgentError
from .recipe_venv import complaint as complaint_of_pip
from .removal import remove

#: Lines of what conda says that stand in an error.
_LINES = 6


def build(builder):
    """Makes the conda environment in its place; gives the facts."""
    program, place = builder.program, _place(builder)
    name = os.path.basename(program)
    code, text = builder.output([program, "--version"])
    version = text.split()[-1] if code == 0 and text.split() else "of an unknown version"
    builder.say("Building the conda environment %s with %s (%s)" % (builder.called("conda"), program, version))
    if "micromamba" in name:
        words = [program, "create", "-y", "-p", place, "-f", "environment.yml"]
    else:
        words = [program, "env", "create", "-p", place, "-f", "environment.yml"]
    # Nobody is there to be asked.
    variables = dict(builder.variables, CONDA_ALWAYS_YES="true", MAMBA_ALWAYS_YES="true", PIP_NO_INPUT="1")
    if builder.execute(words, variables) != 0:
        raise AgentError("environment", "%s could not make the environment: %s"
                         % (name, complaint(builder.log.lines)),
                         "Correct the conda specification, or see the build's log for what %s says." % name)
    python = place + "/bin/python"
    if not os.path.exists(python):
        raise AgentError("environment", "The conda environment %s has no Python." % builder.label,
                         "Add python to the dependencies of its specification.")
    inside = dict(builder.variables, CONDA_PREFIX=place,
                  PATH=place + "/bin" + os.pathsep + builder.variables.get("PATH", os.defpath))
    facts = builder.packages([python, "-I"], inside)
    return dict(facts, interpreter=python, bytes=size_of(builder.build.folder))


def undo(builder):
    """Takes the half environment away."""
    for _ in remove(_place(builder)):
        pass


def complaint(lines):
    """What conda (or the pip that it has called) says went wrong."""
    lines = list(lines)
    if any("Pip failed" in line or "pip failed" in line.lower() for line in lines):
        return complaint_of_pip(lines)
    for index in range(len(lines) - 1, -1, -1):
        word = lines[index].split(":")[0].strip().lower()
        if word.endswith(("error", "notfound", "critical libmamba")) or word.startswith(("error", "critical")):
            told = [line.strip() for line in lines[index:index + _LINES] if line.strip()]
            return " ".join(told)[:1000]
    return complaint_of_pip(lines)


def _place(builder):
    return builder.build.folder + "/conda"
