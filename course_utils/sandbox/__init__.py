"""Run a piece of code in a child process under a memory budget, and say what became of it.

    from course_utils import sandbox
    outcome = sandbox.run("import numpy as np\\nx = np.ones((1000, 1000, 1000))", budget_mib=512)
    print(outcome.status, outcome.where)

A **zygote** imports TensorFlow once and keeps one forked child ready, so a run starts at once. The **owner**, this
process, watches the child's memory from outside and kills it at the cap. Nothing that the child says is believed about
its memory.
"""

from course_utils.files import scratch
from course_utils.sandbox.isolation import LEVELS, IsolationUnavailable, environment, strongest, unavailable
from course_utils.sandbox.launch import start, stop
from course_utils.sandbox.listener import Listener
from course_utils.sandbox.outcome import Outcome, Where
from course_utils.sandbox.watch import run

__all__ = [
    "LEVELS",
    "environment",
    "IsolationUnavailable",
    "Listener",
    "Outcome",
    "Where",
    "run",
    "scratch",
    "start",
    "stop",
    "strongest",
    "unavailable",
]
