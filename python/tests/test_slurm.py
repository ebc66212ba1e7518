"""What Slurm's programs say, and what they are asked: without Slurm. The texts are those of Slurm 22.05."""

import os
import random
import tempfile
import time
import unittest

from runyard_agent import slurm, slurm_attempt, slurm_job, slurm_limits, slurm_tickets, slurm_waiting, spec_slurm
from runyard_agent.atomic import write_json
from runyard_agent.errors import AgentError
from runyard_agent.layout import Attempt, prepare_root
from runyard_agent.record import state_of, write_first
from runyard_agent.slurm_info import read_partitions
from runyard_agent.slurm_methods import latest_of
from runyard_agent.slurm_queue import SlurmQueue
from runyard_agent.slurm_recovery import _ending

QUEUE = """1|RUNNING|main|4294901759|2026-11-21T20:00:00|2026-11-21T21:00:00|node[1-2]|runyard-r-1|None
2|PENDING|main|12|2026-11-21T22:00:00|N/A||x|(Resources)
3|PENDING|main|11|N/A|N/A||x|job requeued in held state
7_[1-9]|PENDING|main|11|N/A|N/A||x|(Priority)
some words that are no line
9|PENDING|a,b|0|N/A|N/A||x|ReqNodeNotAvail, UnavailableNodes:a|b
"""


def spec(**members):
    found = {"resources": {"nodes": 1, "gpus": 0, "slots": 1}, "max_seconds": None, "grace_seconds": 10,
             "distributed": None, "slurm": {}}
    found.update(members)
    found["slurm"] = spec_slurm.check(found["slurm"])
    return found


class Answers(unittest.TestCase):
    def test_queue(self):
        jobs = slurm.read_jobs(QUEUE)
        self.assertEqual(sorted(jobs), [1, 2, 3, 9])
        self.assertEqual((jobs[1].nodes, jobs[1].reason, jobs[1].priority), ("node[1-2]", None, 4294901759))
        self.assertEqual(jobs[1].end - jobs[1].start, 3600)
        self.assertEqual((jobs[2].reason, jobs[2].nodes), ("Resources", None))
        self.assertEqual(jobs[3].reason, "job_requeued_in_held_state")
        self.assertEqual(jobs[9].reason, "ReqNodeNotAvail,_UnavailableNodes:a|b")

    def test_reasons_in_words(self):
        jobs = slurm.read_jobs(QUEUE)
        self.assertEqual(slurm_waiting.sentence(jobs[2], 3), "Waiting in Slurm for free nodes (place 3 in main)")
        self.assertIn("scontrol release 3", slurm_waiting.sentence(jobs[3], None))
        self.assertIn("not available", slurm_waiting.sentence(jobs[9], 1))

    def test_places(self):
        places = slurm.read_places("4|main|10\n5|main|20\n6|main|10\n7|other|1\n8_[1-3]|main|5\n9|main,other|2\nx\n")
        self.assertEqual(places, {5: 1, 4: 2, 6: 3, 8: 4, 9: 1, 7: 2})

    def test_members(self):
        text = "JobId=12 JobName=a b=c UserId=mia(1001) JobState=PENDING Reason=Priority Dependency=(null) Restarts=2 " \
               "TimeLimit=1-00:00:00 Command=/a b/c WorkDir=/x\n"
        found = slurm.read_members(text)
        self.assertEqual((found["JobState"], found["Reason"], found["Restarts"]), ("PENDING", "Priority", "2"))
        self.assertEqual(found["Command"], "/a b/c")

    def test_spans(self):
        for text, seconds in (("30", 1800), ("1:30", 90), ("2:00:00", 7200), ("1-12", 129600), ("1-0:30", 88200),
                              ("1-12:00:05", 129605), ("infinite", None), ("UNLIMITED", None), ("", None)):
            self.assertEqual(slurm.seconds_of(text), seconds, text)

    def test_numbers_and_refusals(self):
        self.assertEqual(slurm.submitted("12\n"), 12)
        self.assertEqual(slurm.submitted("sbatch: warning: can't honor\n12;cluster\n"), 12)
        self.assertIsNone(slurm.submitted("sbatch: error: 12 things are wrong\n"))
        said = "sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed: Invalid " \
               "partition name specified\n"
        self.assertEqual(slurm.refusal(said), "invalid partition specified: nope. Batch job submission failed: Invalid "
                         "partition name specified.")
        self.assertFalse(slurm.is_away(said))
        self.assertTrue(slurm.is_away("sbatch: error: Batch job submission failed: Unable to contact slurm controller "
                                      "(connect failure)"))
        self.assertTrue(slurm.is_full("Job violates accounting/QOS policy (job submit limit, user's size and/or time)"))
        self.assertTrue(slurm.is_unknown_job("slurm_load_jobs error: Invalid job id specified"))
        self.assertEqual(slurm.kill_wait({"KillWait": "45 sec"}), 45)
        self.assertEqual(slurm.kill_wait({}), 30)

    def test_partitions(self):
        text = "main*|up|infinite|1/1/1/3|4/4/4/12|4|4000|gpu:a100:2(S:0-1)|gpu:a100:1(IDX:0)\n" \
               "main*|up|infinite|0/1/0/1|0/8/0/8|8+|16000+|(null)|gpu:0\nshort|down|1:00|0/1/0/1|0/4/0/4|4|4000|gpu:2|gpu:2\n"
        main, short = read_partitions(text)
        self.assertEqual((main["name"], main["default"], main["state"], main["time_limit"]), ("main", True, "UP", None))
        self.assertEqual(main["nodes"], {"total": 4, "idle": 2, "used": 1, "unavailable": 1})
        self.assertEqual(main["cpus"]["total"], 20)
        self.assertEqual((main["cpus_per_node"], main["memory"]), (8, 16000 << 20))
        self.assertEqual(main["gpus"], [{"type": "a100", "total": 6, "used": None}])
        self.assertEqual((short["time_limit"], short["state"]), (60, "DOWN"))
        self.assertEqual(short["gpus"], [{"type": None, "total": 2, "used": 2}])


class Asking(unittest.TestCase):
    def test_values_stay_values(self):
        wanted = spec(slurm={"partition": "--wrap=rm -rf /", "time": "30", "options": ["--exclusive", "-C fast"],
                             "setup": ["module load x"], "memory": "4G"})
        attempt = Attempt("/r%o t", "run-1", 1)
        argv = slurm_job.arguments(attempt, wanted)
        self.assertIn("--partition=--wrap=rm -rf /", argv)
        self.assertIn("--output=/r%%o t/runs/run-1/attempts/1/slurm/output.txt", argv)
        self.assertEqual(argv[-1], "/r%o t/runs/run-1/attempts/1/slurm/job.sh")
        text = slurm_job.script(attempt, wanted, ["/py thon", "/a'b/__main__.py"], 30)
        self.assertIn("#SBATCH --exclusive\n#SBATCH -C fast\n", text)
        self.assertIn("module load x\n", text)
        self.assertIn("""'/a'"'"'b/__main__.py'""", text)

    def test_time_of_the_run_and_its_tasks(self):
        wanted = spec(max_seconds=60.5, resources={"nodes": 3, "gpus": 2, "slots": 1}, distributed={"processes": 7})
        argv = slurm_job.arguments(Attempt("/r", "run", 1), wanted)
        self.assertTrue({"--time=4", "--nodes=3", "--ntasks-per-node=3", "--gres=gpu:2"}.issubset(argv))

    def test_refused_options(self):
        for line in ("--array=1-3", "-a 1", "-o x", "--output=x", "-N2", "--wrap=x", "-J x", "nothing", "-", "--", "",
                     "--export=NONE", "-D /", "--arr=1-3", "--nice=3 --array=1-3", "-sa1-3", "-Ha 1-3", "-s -N2",
                     "--exclusive --array=1-3", "--outp=x", "--qos=a -o x"):
            with self.assertRaises(AgentError, msg=line):
                spec_slurm.check({"options": [line]})
        for member in ({"partition": "a\nb"}, {"partition": ""}, {"partition": 3}, {"options": "x"}, {"setup": ["a\nb"]},
                       {"cpus_per_task": 0}, {"options": ["--mem=1\n#SBATCH -p x"]}, {"time": " "}):
            with self.assertRaises(AgentError, msg=member):
                spec_slurm.check(member)
        spec_slurm.check({"options": ["--hold", "--no-requeue", "--exclusive", "--mail-type=END", "-x node[1-3]",
                                    "-s", "-H", "--nice=3 # --array", "--comment2='--array'", "--nice -5"]})

    def test_limits(self):
        partitions = slurm_limits.read_partitions(
            "PartitionName=main Default=YES MaxNodes=UNLIMITED MaxTime=UNLIMITED TotalNodes=3 State=UP\n"
            "PartitionName=short Default=NO MaxNodes=1 MaxTime=00:01:00 TotalNodes=3 State=UP\n")
        slurm_limits.check(spec(resources={"nodes": 3, "gpus": 0, "slots": 1}), partitions)
        slurm_limits.check(spec(slurm={"partition": "nope", "time": "10"}), partitions)
        slurm_limits.check(spec(slurm={"partition": "short,main", "time": "10"}), partitions)
        with self.assertRaisesRegex(AgentError, "has 3 nodes; the run asks for 4"):
            slurm_limits.check(spec(resources={"nodes": 4, "gpus": 0, "slots": 1}), partitions)
        with self.assertRaisesRegex(AgentError, "00:01:00 at most"):
            slurm_limits.check(spec(slurm={"partition": "short", "time": "10"}), partitions)


class Attempts(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="ry-test-")
        prepare_root(self.root)

    def tearDown(self):
        import shutil
        shutil.rmtree(self.root)

    def attempt(self, run="r", number=1):
        attempt = Attempt(self.root, run, number)
        os.makedirs(os.path.dirname(attempt.folder), exist_ok=True)
        slurm_attempt.make_folders(attempt.folder)
        os.mkdir(attempt.folder + "/slurm")
        write_json(attempt.spec, {"run": run, "attempt": number})
        write_json(attempt.launch, {"blobs": []})
        write_first(attempt.folder, "Submitted")
        return attempt

    def test_the_first_claim_counts(self):
        attempt = self.attempt()
        self.assertIsNone(slurm_attempt.job_of(attempt))
        self.assertEqual(slurm_attempt.claim(attempt, 7, 0), 7)
        self.assertEqual(slurm_attempt.claim(attempt, 8, 0), 7)
        self.assertEqual(slurm_attempt.job_of(attempt), (7, 0))
        self.assertEqual(os.listdir(attempt.folder + "/slurm"), ["job.json"])

    def test_a_number_that_is_given_again(self):
        queue = SlurmQueue()
        queue.jobs = slurm.read_jobs(QUEUE)
        mine, other = self.attempt("r"), self.attempt("other")
        for attempt in (mine, other):
            slurm_attempt.claim(attempt, 1, 0)
        self.assertEqual(queue.job(mine).state, "RUNNING")
        self.assertIsNone(queue.job(other))
        self.assertTrue(queue.is_anothers(other))
        slurm_attempt.set_job(other, 2, 0)
        self.assertEqual(queue.job(other).name, "x", "a person may give a job another name")

    def test_next_attempt(self):
        attempt = self.attempt()
        slurm_attempt.claim(attempt, 7, 0)
        write_json(attempt.cancel, {"reason": "enough"})
        following = slurm_attempt.next_attempt(attempt, 7, 1, "requeued")
        again = slurm_attempt.next_attempt(attempt, 7, 1, "requeued")
        self.assertEqual((following.number, again.number), (2, 2))
        self.assertEqual(slurm_attempt.job_of(following), (7, 1))
        self.assertTrue(os.path.exists(following.cancel), "a cancel is one of the whole run")
        slurm_attempt.give_up(attempt, following)
        self.assertEqual(state_of(attempt), "Requeued")
        self.assertEqual(latest_of(attempt).number, 2)
        self.assertEqual(slurm_attempt.latest_of_job(self.root, "r", 7).number, 2)
        self.assertEqual(sorted(os.listdir(os.path.dirname(attempt.folder))), ["1", "2"])

    def test_which_attempt_a_start_is(self):
        from runyard_agent.job import find_attempt
        attempt = self.attempt()
        # The job was quicker than whoever gave it to Slurm.
        self.assertEqual(find_attempt(self.root, "r", 1, 7, 0)[0].number, 1)
        with self.assertRaises(AgentError):
            find_attempt(self.root, "r", 1, 8, 0)
        # Requeued before it began: still the same attempt.
        self.assertEqual(find_attempt(self.root, "r", 1, 7, 1)[0].number, 1)
        self.assertEqual(slurm_attempt.job_of(attempt), (7, 1))
        from runyard_agent.record import Record
        Record(attempt).change("Running", "The command runs")
        found, before = find_attempt(self.root, "r", 1, 7, 2)
        self.assertEqual((found.number, before.number), (2, 1))
        self.assertEqual(find_attempt(self.root, "r", 1, 7, 2)[0].number, 2)

    def test_what_has_ended_is_not_started_again(self):
        from runyard_agent.job import find_attempt
        from runyard_agent.record import Record
        attempt = self.attempt()
        slurm_attempt.claim(attempt, 7, 0)
        Record(attempt).change("Completed", "The command ended with exit code 0")
        found, before = find_attempt(self.root, "r", 1, 7, 1)
        self.assertEqual((found.number, before), (1, None))
        self.assertEqual(os.listdir(os.path.dirname(attempt.folder)), ["1"])

    def test_tickets_in_order(self):
        for run in ("b", "a", "c"):
            slurm_tickets.add(self.root, Attempt(self.root, run, 1))
            time.sleep(0.001)
        waiting = slurm_tickets.waiting(self.root)
        self.assertEqual([attempt.run for _, attempt in waiting], ["b", "a", "c"])
        write_json(self.root + "/slurm/tickets/0.json", {"run": "../x", "attempt": 1})
        self.assertEqual(len(slurm_tickets.waiting(self.root)), 3)
        slurm_tickets.remove(waiting[0][0])
        self.assertEqual([attempt.run for _, attempt in slurm_tickets.waiting(self.root)], ["a", "c"])

    def test_endings(self):
        attempt = self.attempt()

        def of(state, reason=None, nodes="node1", began=True):
            job = slurm.Job(7, state, "main", 1, None, None, nodes, reason)
            return _ending(attempt, job, not began)[:2]
        self.assertEqual(of("TIMEOUT"), ("Failed", "time_limit"))
        self.assertEqual(of("OUT_OF_MEMORY"), ("Failed", "out_of_memory"))
        self.assertEqual(of("NODE_FAIL"), ("Failed", "node_failure"))
        self.assertEqual(of("PREEMPTED"), ("Failed", "preempted"))
        self.assertEqual(of("CANCELLED"), ("Canceled", None))
        self.assertEqual(of("CANCELLED", "DependencyNeverSatisfied", None, False), ("Failed", "dependency"))
        self.assertEqual(of("FAILED", "JobLaunchFailure", "node1", False), ("Failed", "slurm"))
        self.assertEqual(of("FAILED", "NonZeroExitCode"), ("Failed", "supervisor_lost"))
        self.assertEqual(of(""), ("Failed", "supervisor_lost"))
        write_json(attempt.cancel, {"reason": "enough"})
        self.assertEqual(of(""), ("Canceled", None))


class Randomly(unittest.TestCase):
    def test_any_text_is_read(self):
        generator = random.Random(1)
        for _ in range(2000):
            text = "".join(generator.choice("|12 aN:/-_=()\n,*") for _ in range(generator.randrange(60)))
            slurm.read_jobs(text)
            slurm.read_places(text)
            slurm.read_members(text)
            slurm.seconds_of(text)
            slurm.submitted(text)
            slurm.refusal(text)
            read_partitions(text)


if __name__ == "__main__":
    unittest.main()
