"""Run a piece of code in a child process under a memory budget, and say what became of it.

    from course_utils import sandbox
    outcome = sandbox.run("import numpy as np\\nx = np.ones((1000, 1000, 1000))", budget_mib=512)
    print(outcome.status, outcome.where)

How it works
============

Processes. The **owner** is the process that calls `run`: a notebook, the grader, a terminal. It starts a **zygote**,
which imports TensorFlow once and keeps one **child** forked and ready, so a run begins at once. The child runs the
learner's code, and may start processes of its own. Under ``bwrap`` and ``user`` other programs come before the zygote,
as `isolation` describes: where the owner is root, the **launcher** (`unprivileged`) gives up root for good; under
``bwrap``, **bubblewrap** makes the namespaces, and stays until the zygote ends. The child is the same user as its
zygote.

Descriptors. A socket joins owner and zygote. Orders go down it, and the child that is ready reads them there itself. Up
come the zygote's words: ``ready``, ``taken``, and the exit code of each child. A pipe joins each child to its zygote:
one byte in it says that the child took an order. What a zygote complains of before it is ready goes to an unnamed file,
and nothing that it says later is kept. With each order the owner hands over five descriptors for that run alone:
  - two pipes, the child's standard output and standard error;
  - a socket, the run's **channel**: messages as `framing` packs them;
  - two unnamed files of the owner's: the **dump**, where `faulthandler` prints the line that is running at a crash, or
    when the owner asks for it by a signal, and the **state**, where a thread of the child writes down the line and the
    **ledger** of what is alive, and Python's handler of another signal the line.
The files are there because a run that is killed cannot say anything. The child's standard input is empty.

Trust. The owner trusts a zygote until a stranger's code has run below it: under ``bwrap`` and ``user`` each zygote
serves one run. No one trusts a child. Whatever comes through a run's descriptors goes through `mailbox`, which bounds
it and checks its types. The child trusts its owner. Under ``process``, the child has the rights of the owner, and the
zygote serves one run after another: that guards against accidents, not against malice.

Measuring. The owner alone measures, through a meter of `course_utils.memory`: the kernel's counters for a control
group, or the whole process tree in ``/proc``. The baseline is the child's memory before the code begins. The child's
own figures (the objects alive, the GPU allocator's peak) only explain, and never decide. On a GPU the driver counts for
each process what it holds (`course_utils.memory.gpu`), above the context that the child made before the code began.

A run, in order:
  1. `run` checks everything, assigns the processors, and makes an `Order`.
  2. `watch` opens the meter and the descriptors, takes a zygote, and sends the order to the child that is ready. The
     child tells the zygote that it took the order, and the zygote tells the owner. If no one confirms, the zygote had
     died, and another one gets the order: the code has not begun.
  3. The child sets its limits, its streams and its processors, opens the GPU if there is a budget for it, and sends
     ``hello``. With that message the kernel itself tells the owner the child's process number. The child waits.
  4. The owner reads the baseline and the context, attaches the meters, starts the clock and sends ``go``. The code
     begins.
  5. A thread of the owner, the `sampler`, reads the memory every few milliseconds and does nothing else; another one
     looks at the `disk` a few times a second; the owner itself reads what has come, answers, and asks for the line.
     The run is killed at its cap, at its time limit, when it holds more of the disk than it may, or more of a GPU than
     its budget and the code of libraries take, when it has too many processes, when the kernel has killed a part of
     it, or when it breaks its channel.
  6. The code ends with a message ``end``, or its process ends without one. In every case the owner now kills what is
     left of the run, and the zygote reaps it and reports the child's exit code. Under ``bwrap`` and ``user`` the owner
     then closes the zygote too; an owner that is root kills every process that is left of the run's user.
  7. The `Measurement` and the mailbox's `Testimony` go to `course_utils.postmortem`, which makes an `Outcome` of them.

If the owner dies, its socket to the zygote closes: the zygote kills everything below it and leaves.
"""

from course_utils.files import scratch
from course_utils.postmortem import Outcome, Where
from course_utils.sandbox.isolation import LEVELS, IsolationUnavailable, strongest, unavailable
from course_utils.sandbox.launch import start, stop
from course_utils.sandbox.listener import Listener
from course_utils.sandbox.run import GRADED_DISK_MIB, run

__all__ = [
    "GRADED_DISK_MIB",
    "LEVELS",
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
