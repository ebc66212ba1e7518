"""A venv with the packages of a requirements.txt."""

import os

from .build import size_of
from .errors import AgentError
from .removal import remove

#: Says the interpreter's version, and whether it can make venvs with pip inside.
_PROBE = ("import sys\n"
          "print('%d.%d.%d' % sys.version_info[:3])\n"
          "try:\n"
          "    import venv, ensurepip\n"
          "    print('venv')\n"
          "except ImportError:\n"
          "    print('none')\n")

_OPTIONS = ["--disable-pip-version-check", "--no-input"]

#: The files of the recipe are no modules, though the programs run beside them (a random.py would be pip's, too).
_ISOLATED = "-I"


def build(builder):
    """Makes the venv in its place and installs the packages; gives the facts."""
    program, place = builder.program, _place(builder)
    version, way = _look_at(builder, program)
    builder.say("Building the venv %s with %s (%s)" % (builder.called("venv"), program, version))
    if way is None:
        raise AgentError("environment", "%s (Python %s) can make no venv: its modules venv and ensurepip are not "
                         "there, and neither is virtualenv." % (program, version),
                         "Install them on the host (Debian, Ubuntu: apt install python3-venv), or choose another "
                         "interpreter.")
    python = place + "/bin/python"
    steps = [way + [place]]
    if "venv" in way:
        # By itself, since venv keeps to itself why it has failed.
        steps.append([python, _ISOLATED, "-m", "ensurepip", "--upgrade", "--default-pip"])
    for words in steps:
        if builder.execute(words, variables(builder.variables, place)) != 0:
            raise AgentError("environment", "The venv could not be made: %s" % _last(builder.log.lines))
    command = [python, _ISOLATED, "-m", "pip", "install"] + _OPTIONS
    command += ["--progress-bar", "off", "-r", "requirements.txt"]
    if builder.execute(command, variables(builder.variables, place)) != 0:
        raise AgentError("environment", "pip could not install the packages: %s" % complaint(builder.log.lines),
                         advice(builder.log.lines))
    facts = builder.packages([python, _ISOLATED], variables(builder.variables, place))
    return dict(facts, interpreter=python, bytes=size_of(builder.build.folder))


def undo(builder):
    """Takes the half venv away."""
    for _ in remove(_place(builder)):
        pass


def variables(base, place):
    """`base` for a program of the venv."""
    return dict(base, VIRTUAL_ENV=place, PATH=place + "/bin" + os.pathsep + base.get("PATH", os.defpath), PIP_USER="0")


def complaint(lines):
    """What pip says went wrong, in a line."""
    errors = [line.strip()[len("ERROR:"):].strip() for line in lines if line.lstrip().startswith("ERROR:")]
    telling = [line for line in errors if "ResolutionImpossible" not in line]
    if telling or errors:
        return (telling or errors)[-1]
    return _last([line for line in lines if "pip version" not in line and "pip install --upgrade" not in line])


def advice(lines):
    """What to do about it. Without a network pip says the same as of a name that nobody has."""
    if any("connection broken by" in line for line in lines):
        return "The package index could not be reached: check this host's network, proxy and pip configuration."
    return "Correct the requirements, or see the build's log for what pip says."


def _place(builder):
    return builder.build.folder + "/venv"


def _look_at(builder, program):
    """`(version, the words that make a venv)`; None for the words where there are none."""
    code, text = builder.output([program, _ISOLATED, "-c", _PROBE])
    said = text.split()
    if code != 0 or len(said) < 2:
        raise AgentError("environment", "The interpreter %s does not work: %s" % (program, _last(text.split("\n"))),
                         "Choose another interpreter.")
    if said[-1] == "venv":
        return said[-2], [program, _ISOLATED, "-m", "venv", "--without-pip"]
    if builder.output([program, "-m", "virtualenv", "--version"])[0] == 0:
        return said[-2], [program, "-m", "virtualenv"]
    from .environment_plan import which
    virtualenv = which("virtualenv", builder.variables)
    return said[-2], [virtualenv, "-p", program] if virtualenv else None


def _last(lines):
    told = [line.strip() for line in lines if line.strip()]
    return told[-1][:500] if told else "it said nothing."
