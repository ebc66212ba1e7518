"""What a build has to know of a Dockerfile: where its stages begin."""

import re

_ESCAPE = re.compile(r"^#\s*escape\s*=\s*(\S)\s*$", re.IGNORECASE)
_DIRECTIVE = re.compile(r"^#\s*[A-Za-z]+\s*=")
_FROM = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)
_HEREDOC = re.compile(r"<<-?\s*([\"']?)([A-Za-z_][A-Za-z0-9_]*)\1")
_TAKES_HEREDOC = re.compile(r"^\s*(RUN|COPY|ADD)\s", re.IGNORECASE)


def _stages(text):
    """The lines, and for each whether a FROM ends there: (line, (image, name) or None)."""
    escape, directives = "\\", True
    instruction, ends = "", []
    for line in text.split("\n"):
        if directives:
            found = _ESCAPE.match(line)
            if found:
                escape = found.group(1)
            directives = _DIRECTIVE.match(line) is not None
        if ends:
            # A text inside of an instruction; only BuildKit knows these.
            if line.lstrip("\t").rstrip("\r") == ends[0]:
                ends.pop(0)
            yield line, None
            continue
        plain = line.rstrip()
        if (instruction or plain.lstrip().startswith("#")) and (not plain or plain.lstrip().startswith("#")):
            yield line, None  # comments and empty lines do not end a continued instruction
            continue
        if plain.endswith(escape):
            instruction += plain[:-1]
            yield line, None
            continue
        instruction += plain
        if _TAKES_HEREDOC.match(instruction):
            ends = [found.group(2) for found in _HEREDOC.finditer(instruction)]
        found = _FROM.match(instruction)
        yield line, found.groups() if found else None
        instruction = ""


def labelled(text, label):
    """The Dockerfile with a LABEL at the beginning of each stage: what a build leaves half done is known by it."""
    lines = []
    for line, stage in _stages(text):
        lines.append(line)
        if stage is not None:
            lines.append("LABEL " + label)
    return "\n".join(lines)


def base_of(text):
    """The image that the last stage stands on; None where that is another stage, or cannot be told."""
    names, base = set(), None
    for _, stage in _stages(text):
        if stage is not None:
            base = None if stage[0].lower() in names or "$" in stage[0] or stage[0] == "scratch" else stage[0]
            names.add((stage[1] or "").lower())
    return base
