"""Runs what it is given as `python3` would, but says that it is Python 3.5."""

import collections
import runpy
import sys

Version = collections.namedtuple("version_info", "major minor micro releaselevel serial")
WITH_VALUE = ("-W", "-X")

sys.version_info = Version(3, 5, 10, "final", 0)
sys.hexversion = 0x03050AF0
sys.version = "3.5.10 (default, Jan  1 2021, 00:00:00) \n[GCC]"

args = sys.argv[1:]
while args and args[0].startswith("-") and args[0] != "-":
    option = args.pop(0)
    if option in ("-V", "--version"):
        print("Python 3.5.10")
        sys.exit()
    if option in WITH_VALUE:
        args.pop(0)
    elif not option.startswith("--") and "c" in option[1:]:
        code = args.pop(0)
        sys.argv = ["-c", *args]
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
        sys.exit()
    elif not option.startswith("--") and "m" in option[1:]:
        sys.argv = args
        runpy.run_module(args[0], run_name="__main__", alter_sys=True)
        sys.exit()
if not args or args[0] == "-":
    sys.argv = args or [""]
    exec(compile(sys.stdin.read(), "<stdin>", "exec"), {"__name__": "__main__"})
else:
    sys.argv = args
    runpy.run_path(args[0], run_name="__main__")
