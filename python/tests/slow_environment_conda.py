"""Conda environments: a small program in conda's place shows how it is called, and makes the prefix by venv."""

import os

from runyard_agent import recipe_conda

from .environments import PYTHON, EnvironmentTest, environment_of, packages_of, venv_of

_PROGRAM = """#!/bin/sh
if [ "$1" = --version ]; then echo 1.5.8; exit; fi
echo "called: $*"
cat environment.yml
echo "always yes: $CONDA_ALWAYS_YES"
grep -q fails environment.yml && { echo "Collecting package metadata: done"; echo
  echo "ResolvePackageNotFound: "; echo "  - nosuchpkg=9"; exit 1; }
while [ "$1" != -p ]; do shift; done
%s -m venv "$2" && mkdir "$2/conda-meta" &&
echo '{"name": "python", "version": "3.11.2"}' > "$2/conda-meta/python-3.11.2-0.json"
""" % PYTHON


def conda_of(text, otherwise=None):
    """A conda recipe."""
    return {"kind": "conda", "files": {"environment.yml": text}, "context": None, "otherwise": otherwise}


class Conda(EnvironmentTest):

    def setUp(self):
        EnvironmentTest.setUp(self)
        self.bin = os.path.join(self.folder, "bin")
        os.mkdir(self.bin)
        for name in ("CONDA_EXE", "MAMBA_EXE", "CONDA_PREFIX", "MAMBA_ROOT_PREFIX"):
            self.variables.pop(name, None)
        # Whatever conda this machine has is not what is tested.
        self.variables.update(PATH=self.bin + ":/usr/bin:/bin", HOME=self.folder)

    def program(self, name):
        """Puts the program there."""
        path = os.path.join(self.bin, name)
        with open(path, "w") as file:
            file.write(_PROGRAM)
        os.chmod(path, 0o755)
        return path

    def test_how_each_program_is_called(self):
        expected = []
        for name, words in (("conda", "env create -p %s -f environment.yml"),
                            ("micromamba", "create -y -p %s -f environment.yml"),
                            ("mamba", "env create -p %s -f environment.yml")):
            path = self.program(name)
            waiter = self.ready(environment_of(conda_of("dependencies:\n- python=3.11\n")))
            place = os.path.dirname(os.path.dirname(waiter.ready.interpreter))
            log = waiter.log().decode("utf-8")
            self.assertTrue(log.startswith("Building the conda environment digits:2 with %s (1.5.8)\n" % path), log)
            self.assertIn("called: " + words % place, log)
            self.assertIn("- python=3.11", log)
            self.assertIn("always yes: true", log)
            self.assertTrue(place.endswith("/conda"))
            self.assertEqual({key: waiter.ready.variables[key] for key in ("CONDA_PREFIX", "CONDA_DEFAULT_ENV")},
                             {"CONDA_PREFIX": place, "CONDA_DEFAULT_ENV": place})
            self.assertTrue(waiter.ready.variables["PATH"].startswith(place + "/bin:"))
            self.assertIn({"name": "python", "version": "3.11.2", "source": "conda"}, waiter.ready.facts["packages"])
            self.assertIn("pip", packages_of(waiter.ready.facts))
            expected.append(waiter.ready.facts["key"])
        self.assertEqual(len(set(expected)), 3)

    def test_a_program_off_the_path(self):
        os.mkdir(os.path.join(self.folder, "base"))
        path = self.program("conda")
        os.rename(path, os.path.join(self.folder, "base", "conda"))
        self.variables["CONDA_EXE"] = os.path.join(self.folder, "base", "conda")
        waiter = self.ready(environment_of(conda_of("dependencies: [python]\n")))
        self.assertEqual(waiter.ready.facts["kind"], "conda")

    def test_otherwise(self):
        waiter = self.ready(environment_of(conda_of("dependencies: [python]\n", venv_of(""))))
        self.assertEqual(waiter.ready.facts["kind"], "venv")
        self.assertTrue(self.ready(environment_of(venv_of(""))).ready.facts["cached"])
        waiter = self.finish(self.waiter(environment_of(conda_of("dependencies: [python]\n"))))
        self.assertEqual(waiter.error.code, "environment")
        self.assertIn("has no mamba, micromamba or conda", waiter.error.message)
        self.assertIn("Install one of them", waiter.error.action)

    def test_what_conda_says_is_the_error(self):
        self.program("micromamba")
        waiter = self.finish(self.waiter(environment_of(conda_of("dependencies: [fails]\n"))))
        self.assertIn("micromamba could not make the environment: ResolvePackageNotFound: - nosuchpkg=9",
                      waiter.error.message)
        waiter.close()
        self.assertEqual(self.leftovers(), [])

    def test_complaints(self):
        for lines, told in (
                (["x", "CondaValueError: prefix already exists"], "CondaValueError: prefix already exists"),
                (["error    libmamba Could not solve for environment specs", "    The following package", ""],
                 "error    libmamba Could not solve for environment specs The following package"),
                (["ERROR: No matching distribution found for x", "CondaEnvException: Pip failed"],
                 "No matching distribution found for x"),
                (["critical libmamba Invalid spec"], "critical libmamba Invalid spec")):
            self.assertEqual(recipe_conda.complaint(lines), told)

    def test_an_existing_one_by_name_and_by_folder(self):
        places = [os.path.join(self.folder, "miniconda/envs/ml"), os.path.join(self.folder, "own place")]
        for place in places:
            os.makedirs(place + "/conda-meta")
            os.makedirs(place + "/bin")
            os.symlink(PYTHON, place + "/bin/python")
        os.mkdir(self.folder + "/.conda")
        with open(self.folder + "/.conda/environments.txt", "w") as file:
            file.write("/gone\n%s\n%s\n" % tuple(places))
        for asked, place in (("ml", places[0]), ("own place", places[1]), (places[1], places[1]),
                             ("~/own place/", places[1])):
            waiter = self.ready(environment_of(None, conda_environment=asked))
            self.assertEqual(waiter.ready.interpreter, place + "/bin/python")
            self.assertEqual(waiter.ready.variables["CONDA_PREFIX"], place)
            self.assertEqual(waiter.ready.facts["kind"], "conda-environment")
        os.unlink(self.folder + "/.conda/environments.txt")
        waiter = self.finish(self.waiter(environment_of(None, conda_environment="ml")))
        self.assertIn("no conda environment called ml", waiter.error.message)
        self.variables["CONDA_EXE"] = self.folder + "/miniconda/bin/conda"
        self.assertEqual(self.ready(environment_of(None, conda_environment="ml")).ready.interpreter,
                         places[0] + "/bin/python")
        del self.variables["CONDA_EXE"]
        with open(self.bin + "/conda", "w") as file:
            file.write("#!/bin/sh\necho '{\"envs\": [\"%s\"]}'\n" % places[0])
        os.chmod(self.bin + "/conda", 0o755)
        self.assertEqual(self.ready(environment_of(None, conda_environment="ml")).ready.interpreter,
                         places[0] + "/bin/python")
        waiter = self.finish(self.waiter(environment_of(None, conda_environment="other")))
        self.assertIn("no conda environment called other", waiter.error.message)
        waiter = self.finish(self.waiter(environment_of(None, conda_environment="/nowhere/x")))
        self.assertIn("no conda environment in the folder /nowhere/x", waiter.error.message)
