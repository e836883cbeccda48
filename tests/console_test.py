"""The console as the real program carries it, in a real browser: the same checks that the console passes against its mock."""
import pathlib
import subprocess
import unittest

from codepipeline_events import Execution
from waybill import Waybill

CONSOLE = pathlib.Path(__file__).resolve().parent.parent / "console"


class ConsoleTest(unittest.TestCase):
    def test_the_pages_work_against_the_real_server(self):
        with Waybill() as server:
            for seed, pipeline in enumerate(("orders", "billing", "web")):
                server.post_events(Execution(pipeline, seed=seed).succeed())
            server.post_events(Execution("orders", seed=8, account="444455556666").fail("Deploy", "Roll out"))
            server.post_events(Execution("payments", seed=9).fail("Build", "Compile", "exit status 2: undefined reference"))
            run = subprocess.run(["node", "test/browser.mjs", "--base-url", server.address], cwd=CONSOLE, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.assertEqual(run.returncode, 0, run.stdout + server.log())
            self.assertIn("\nok ", "\n" + run.stdout, "the browser ran no check")


if __name__ == "__main__":
    unittest.main()
