"""The member `environment` of a spec: what the command finds installed. Refused as a whole when it makes no sense."""

from . import checks, container_options
from .errors import AgentError

_KINDS = ("venv", "conda", "image")

#: The file without which a recipe of a kind is none.
_NEEDED = {"venv": "requirements.txt", "conda": "environment.yml", "image": "Dockerfile"}

#: Characters of all files of a recipe together; what is larger belongs into the context.
_LONGEST = 1 << 20


def check(value):
    """The environment with its defaults filled in, None for none. AgentError bad_request names what is wrong."""
    if value is None:
        return None
    found = dict(_object(value, "environment"))
    for name in ("name", "conda_environment", "interpreter"):
        _text(found.setdefault(name, None), "environment.%s" % name)
    checks.blob_hash(found.get("hash"))
    if found.setdefault("version", None) is not None:
        checks.number(found["version"], "environment.version", 1, 1 << 31)
    _text(found.setdefault("label", None), "environment.label")
    found["label"] = found["label"] or found["name"] or found["hash"][:12]
    found["recipe"] = _recipe(found.get("recipe"), "environment.recipe", _KINDS)
    found["container"] = _container(found.get("container"))
    if not isinstance(found.setdefault("prepare", True), bool):
        raise _wrong("environment.prepare", "true or false", found["prepare"])
    _check_together(found)
    return found


def contexts(environment):
    """The manifests of the files that the recipes of an environment refer to."""
    found = []
    recipe = (environment or {}).get("recipe")
    while recipe is not None:
        if recipe["context"] is not None:
            found.append(recipe["context"])
        recipe = recipe.get("otherwise")
    return found


def _check_together(found):
    recipe, container = found["recipe"], found["container"]
    makes_image = recipe is not None and recipe["kind"] == "image"
    if found["conda_environment"] is not None and (container is not None or recipe is not None):
        raise AgentError("bad_request", "An existing conda environment excludes a container and a recipe.")
    if container is None and makes_image:
        raise AgentError("bad_request", "The recipe makes an image, but there is no container.")
    if container is not None and recipe is not None and not makes_image:
        raise AgentError("bad_request", "A recipe of kind %s makes nothing that a container could use."
                         % recipe["kind"])
    if container is not None and container["image"] is None and not makes_image:
        raise AgentError("bad_request", "The container has neither an image nor a recipe that makes one.")


def _recipe(value, name, kinds):
    if value is None:
        return None
    found = dict(_object(value, name))
    kind = found.get("kind")
    if kind not in kinds:
        raise _wrong(name + ".kind", " or ".join(kinds), kind)
    files = _object(found.get("files"), name + ".files")
    for path, text in files.items():
        checks.relative_path(path)
        if not isinstance(text, str):
            raise AgentError("bad_request", "%s.files: the content of %s must be a string." % (name, path))
    if not files.get(_NEEDED[kind], "").strip() and kind != "venv" or _NEEDED[kind] not in files:
        raise AgentError("bad_request", "%s has no %s." % (name, _NEEDED[kind]))
    if sum(len(text) for text in files.values()) > _LONGEST:
        raise AgentError("bad_request", "The files of %s have more than %d characters." % (name, _LONGEST))
    if any(path != other and path.startswith(other + "/") for path in files for other in files):
        raise AgentError("bad_request", "%s.files puts one file below another one." % name)
    if found.setdefault("context", None) is not None:
        checks.blob_hash(found["context"])
    if kind == "venv":
        _text(found.setdefault("interpreter", None), name + ".interpreter")
    elif kind == "conda":
        found["otherwise"] = _recipe(found.get("otherwise"), name + ".otherwise", ("venv",))
    else:
        _text(found.setdefault("base", None), name + ".base")
    return found


def _container(value):
    if value is None:
        return None
    found = dict(_object(value, "environment.container"))
    for name in ("image", "shm_size", "memory", "network"):
        text = found.setdefault(name, None)
        _text(text, "environment.container.%s" % name)
        if text is not None and text.startswith("-"):
            raise _wrong("environment.container.%s" % name, "no option", text)
    cpus = found.setdefault("cpus", None)
    if cpus is not None and (isinstance(cpus, bool) or not isinstance(cpus, (int, float)) or not 0 < cpus <= 100000):
        raise _wrong("environment.container.cpus", "a number above 0", cpus)
    arguments = found.setdefault("arguments", [])
    if not isinstance(arguments, list) or not all(isinstance(word, str) and "\0" not in word for word in arguments):
        raise _wrong("environment.container.arguments", "a list of strings", arguments)
    container_options.check_arguments(arguments)
    if not isinstance(found.setdefault("all_gpus", False), bool):
        raise _wrong("environment.container.all_gpus", "true or false", found["all_gpus"])
    return found


def _object(value, name):
    if not isinstance(value, dict):
        raise _wrong(name, "an object", value)
    return value


def _text(value, name):
    if value is not None and (not isinstance(value, str) or not value or "\0" in value):
        raise _wrong(name, "a string that is not empty", value)


def _wrong(name, wanted, value):
    return AgentError("bad_request", "%s must be %s, not %s." % (name, wanted, checks.shown(value)))
