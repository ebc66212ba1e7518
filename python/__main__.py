"""The agent's entry: `serve --root DIR --nonce N [--blobs DIR]...`, `supervise ...` and `build ...` (started by it),
`node ...` and `rank ...` (started by a supervisor), `--version`."""

import os
import sys

if not __package__:
    # Started with -I, which leaves the script's own folder off the path.
    _here = os.path.dirname(os.path.abspath(__file__))
    if _here not in sys.path:
        sys.path.insert(0, _here)

USAGE = "usage: agent serve --root DIR --nonce N [--blobs DIR]... | agent --version"


def options(words, known):
    """`--name value` pairs as {name: [values]}; None when a word is unknown or a value is missing."""
    found = {name: [] for name in known}
    words = list(words)
    while words:
        name = words.pop(0)
        if name not in known or not words:
            return None
        found[name].append(words.pop(0))
    return found


def main(arguments):
    """Gives the exit code: 0, 1 (failed), 2 (bad usage or a broken protocol)."""
    if sys.version_info < (3, 6):
        sys.stderr.write("runyard agent: Python 3.6 or later is needed; this is %s (%s). "
                         "Choose another interpreter for this target.\n" % (sys.version.split()[0], sys.executable))
        return 1
    command = arguments[0] if arguments else ""
    if command == "--version":
        from runyard_agent import deploy
        print(deploy.version())
        return 0
    if command == "serve":
        return serve(arguments)
    if command == "supervise":
        found = options(arguments[1:], ("--root", "--run", "--attempt", "--lock"))
        if found and all(len(values) == 1 for values in found.values()):
            from runyard_agent import supervise
            return supervise.main(found["--root"][0], found["--run"][0], int(found["--attempt"][0]),
                                  int(found["--lock"][0]))
    if command == "dispatch":
        found = options(arguments[1:], ("--root", "--lock"))
        if found and all(len(values) == 1 for values in found.values()):
            from runyard_agent import dispatch
            return dispatch.main(found["--root"][0], int(found["--lock"][0]))
    if command == "job":
        found = options(arguments[1:], ("--root", "--run", "--attempt", "--kill-wait"))
        if found and all(len(values) == 1 for values in found.values()):
            from runyard_agent import job
            return job.main(found["--root"][0], found["--run"][0], int(found["--attempt"][0]),
                            int(found["--kill-wait"][0]))
    if command == "node":
        found = options(arguments[1:], ("--file", "--node", "--program"))
        if found and len(found["--file"]) == 1 and all(len(values) < 2 for values in found.values()):
            from runyard_agent import node
            return node.main(found["--file"][0], int(found["--node"][0]) if found["--node"] else None,
                             found["--program"][0] if found["--program"] else None)
    if command == "rank":
        found = options(arguments[1:], ("--file", "--program"))
        if found and all(len(values) == 1 for values in found.values()):
            from runyard_agent import rank
            return rank.main(found["--file"][0], found["--program"][0])
    if command == "build":
        found = options(arguments[1:], ("--root", "--key", "--build", "--lock"))
        if found and all(len(values) == 1 for values in found.values()):
            from runyard_agent import build
            return build.main(found["--root"][0], found["--key"][0], int(found["--build"][0]), int(found["--lock"][0]))
    sys.stderr.write(USAGE + "\n")
    return 2


def serve(arguments):
    """Deploys the agent into the root and serves from there."""
    found = options(arguments[1:], ("--root", "--nonce", "--blobs"))
    if not found or len(found["--root"]) != 1 or len(found["--nonce"]) != 1:
        sys.stderr.write(USAGE + "\n")
        return 2
    nonce = found["--nonce"][0]
    if not nonce.isalnum() or len(nonce) > 128:
        sys.stderr.write("runyard agent: the nonce must be letters and digits\n")
        return 2
    root = os.path.abspath(os.path.expanduser(found["--root"][0]))
    from runyard_agent import deploy
    if not deploy.is_deployed():
        from runyard_agent.layout import prepare_root
        try:
            prepare_root(root)
            deploy.run_deployed(root, arguments)
        except OSError as error:
            sys.stderr.write("runyard agent: cannot deploy into %s: %s\n" % (root, error))
            return 1
    from runyard_agent import serve as server
    return server.main(root, nonce, deploy.version(), [os.path.abspath(folder) for folder in found["--blobs"]])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
