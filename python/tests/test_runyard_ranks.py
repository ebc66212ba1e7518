"""The `runyard` module in runs of several processes: whose values are kept, and under which names."""

import unittest

from runyard import ranks

from .journals import JournalTest

EVERYTHING = """
import runyard, os
runyard.log('loss', 1.0)
runyard.log('whole', 2)
runyard.log_metrics({'a': 1.0, 'b': 2})
runyard.log_param('lr', 0.1)
runyard.set_tag('kind', 'x')
runyard.log_table('rows', {'a': [1]})
runyard.log_row('rows', a=2)
runyard.log_confusion_matrix('matrix', [[1]])
runyard.log_image('picture', b'\\x89PNG\\r\\n\\x1a\\n')
open('file.txt', 'w').close()
runyard.log_artifact('file.txt')
"""

#: What a script of torch.multiprocessing.spawn does: the variables are set by the child itself, and late.
SPAWN = """
import multiprocessing, os
import runyard

def work(rank):
    os.environ['RANK'] = str(rank)
    os.environ['WORLD_SIZE'] = '3'
    runyard.log('loss', rank)

if __name__ == '__main__':
    context = multiprocessing.get_context(%r)
    if %r: runyard.log('before', 1)
    children = [context.Process(target=work, args=(rank,)) for rank in range(3)]
    for child in children: child.start()
    for child in children: child.join()
    runyard.log('after', 1)
"""


class Rule(unittest.TestCase):

    def check(self, expected, **variables):
        self.assertEqual(ranks.rank(variables), expected, variables)

    def test_a_process_alone(self):
        self.check(0)
        self.check(0, RANK="3")  # of how many?
        self.check(0, RANK="1", WORLD_SIZE="1")
        self.check(0, RANK="x", WORLD_SIZE="2")
        self.check(0, RANK="", WORLD_SIZE="")
        self.check(0, RANK="-1", WORLD_SIZE="2")
        self.check(0, SLURM_PROCID="0", SLURM_NTASKS="4")

    def test_runyards_own(self):
        self.check(0, RUNYARD_RANK="0", RUNYARD_WORLD_SIZE="2", RANK="0", WORLD_SIZE="2")
        self.check(3, RUNYARD_RANK="3", RUNYARD_WORLD_SIZE="4", RANK="3", WORLD_SIZE="4")
        # A script that makes itself alone (or smaller) is still the rank that it is.
        self.check(3, RUNYARD_RANK="3", RUNYARD_WORLD_SIZE="4", RANK="0", WORLD_SIZE="1")
        self.check(3, RUNYARD_RANK="3", RUNYARD_WORLD_SIZE="4", OMPI_COMM_WORLD_RANK="0", OMPI_COMM_WORLD_SIZE="2")

    def test_launchers_that_a_script_starts(self):
        self.check(2, RANK="2", WORLD_SIZE="4")
        self.check(1, OMPI_COMM_WORLD_RANK="1", OMPI_COMM_WORLD_SIZE="2")
        self.check(1, PMI_RANK="1", PMI_SIZE="2")
        self.check(1, SLURM_PROCID="1", SLURM_NTASKS="2", SLURM_STEP_ID="0")
        self.check(1, SLURM_PROCID="1", SLURM_NTASKS="9", SLURM_STEP_NUM_TASKS="2", SLURM_STEP_ID="7")
        # torchrun on each of two nodes, which Runyard has started as one process each.
        self.check(5, RUNYARD_RANK="1", RUNYARD_WORLD_SIZE="2", RANK="5", WORLD_SIZE="8")
        self.check(0, RUNYARD_RANK="1", RUNYARD_WORLD_SIZE="2", RANK="0", WORLD_SIZE="8")

    def test_slurm_outside_of_a_step(self):
        for step in (None, "", "4294967291", "4294967290"):
            variables = {"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}
            if step is not None:
                variables["SLURM_STEP_ID"] = step
            self.assertEqual(ranks.rank(variables), 0)

    def test_names(self):
        self.assertEqual(ranks.suffix({}), "")
        self.assertEqual(ranks.suffix({"RANK": "1", "WORLD_SIZE": "2"}), None)
        self.assertEqual(ranks.suffix({"RANK": "1", "WORLD_SIZE": "2", "RUNYARD_LOG_RANKS": "first"}), None)
        self.assertEqual(ranks.suffix({"RANK": "1", "WORLD_SIZE": "2", "RUNYARD_LOG_RANKS": "all"}), "/rank_1")
        self.assertEqual(ranks.suffix({"RANK": "0", "WORLD_SIZE": "2", "RUNYARD_LOG_RANKS": "all"}), "")


class Logging(JournalTest):

    def lines(self):
        """What was logged, without number and time."""
        return [{name: value for name, value in line.items() if name not in "nt"}
                for lines in self.files() for line in lines]

    def test_rank_0_and_all(self):
        plain = [{"m": {"loss": 1.0}}, {"m": {"whole": 2}}, {"m": {"a": 1.0, "b": 2}}, {"params": {"lr": "0.1"}},
                 {"tags": {"kind": "x"}},
                 {"document": {"type": "table", "name": "rows", "value": {"a": [1]}}},
                 {"document": {"type": "table", "name": "rows", "value": {"a": [2]}}},
                 {"document": {"type": "confusion_matrix", "name": "matrix",
                               "value": {"class_labels": ["0"], "matrix": [[1]]}}},
                 {"image": {"name": "picture", "path": "images/picture.png"}}, {"artifact": {"path": "file.txt"}}]
        _, said = self.run_script(EVERYTHING, RUNYARD_RANK="0", RUNYARD_WORLD_SIZE="2", RUNYARD_LOG_RANKS="all")
        self.assertEqual((self.lines(), said), (plain, ""))

    def test_another_rank(self):
        _, said = self.run_script(EVERYTHING, RUNYARD_RANK="1", RUNYARD_WORLD_SIZE="2")
        self.assertEqual(self.lines(), [{"artifact": {"path": "file.txt"}}])
        self.assertEqual(said, "runyard: what rank 1 logs is not kept: metrics come from rank 0. `logRanks: all` in the "
                         "run configuration (or RUNYARD_LOG_RANKS=all) keeps those of every rank.\n")

    def test_another_rank_of_all(self):
        _, said = self.run_script(EVERYTHING, RUNYARD_RANK="1", RUNYARD_WORLD_SIZE="2", RUNYARD_LOG_RANKS="all")
        self.assertEqual(said, "")
        self.assertEqual(self.lines(), [
            {"m": {"loss/rank_1": 1.0}}, {"m": {"whole/rank_1": 2}}, {"m": {"a/rank_1": 1.0, "b/rank_1": 2}},
            {"document": {"type": "table", "name": "rows/rank_1", "value": {"a": [1]}}},
            {"document": {"type": "table", "name": "rows/rank_1", "value": {"a": [2]}}},
            {"document": {"type": "confusion_matrix", "name": "matrix/rank_1",
                          "value": {"class_labels": ["0"], "matrix": [[1]]}}},
            {"image": {"name": "picture/rank_1", "path": "images/picture/rank_1.png"}},
            {"artifact": {"path": "file.txt"}}])

    def test_wrong_types_are_wrong_in_every_rank(self):
        _, said = self.run_script(
            "import runyard\n"
            "for call in (lambda: runyard.log('x', 'y'), lambda: runyard.log_metrics([]), lambda: runyard.log(1, 2.0)):\n"
            "    try: call()\n"
            "    except TypeError: continue\n"
            "    raise SystemExit('no TypeError')\n", RUNYARD_RANK="1", RUNYARD_WORLD_SIZE="2")

    def test_children_that_set_their_rank_themselves(self):
        for way in ("spawn", "fork", "forkserver"):
            for before in (True, False):
                for path in self.files_of_journal():
                    path.unlink()
                self.run_script(SPAWN % (way, before))
                expected = [("loss", 0), ("after", 1)] + ([("before", 1)] if before else [])
                self.assert_points(expected)

    def files_of_journal(self):
        import pathlib
        return list(pathlib.Path(self.journal).iterdir())

    def test_children_of_rank_0_log_as_it_does(self):
        self.run_script("""
            import multiprocessing, runyard
            def work(number): runyard.log('batch', number)
            if __name__ == '__main__':
                runyard.log('loss', 0)
                for way in ('fork', 'spawn'):
                    child = multiprocessing.get_context(way).Process(target=work, args=(len(way),))
                    child.start()
                    child.join()
            """, RUNYARD_RANK="0", RUNYARD_WORLD_SIZE="2")
        self.assert_points([("loss", 0), ("batch", 4), ("batch", 5)])

    def test_outside_of_a_run_it_says_so(self):
        del self.env["RUNYARD_JOURNAL"]
        _, said = self.run_script("import runyard\nrunyard.log('x', 1)\nrunyard.log_row('t', a=1)", RANK="1",
                                  WORLD_SIZE="2")
        self.assertIn("this process is not inside a run", said)
        self.assertEqual(said.count("\n"), 1)
