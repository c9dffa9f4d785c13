"""The process that imports TensorFlow once and forks a child for each run.

Started as ``python -P -s -m course_utils.sandbox.zygote DESCRIPTOR LEVEL``; the descriptor is a socket to its owner.

It keeps one child forked in advance. That child reads its order from the owner's socket itself and tells the zygote,
which passes it on as ``taken``: a zygote that was killed just before can still have a living child for a moment, and a
run that such a child took would die with no fault of its own. Then the zygote only waits: for the child's end, which it
reports, or for the owner's, after which it leaves nothing behind. It reaps what a child orphans, so nothing that a run
started outlives the run. It never touches a GPU.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import select
import signal
import socket
import sys

from course_utils.memory import kill_all
from course_utils.sandbox import forbidden

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
PR_SET_THP_DISABLE = 41


def set_process_option(option: int, value: int) -> None:
    """Call ``prctl``; options that this kernel does not know are left alone."""
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def import_everything() -> None:
    """Import what the baseline contains."""
    import keras  # noqa: F401
    import numpy  # noqa: F401
    import PIL.Image  # noqa: F401
    import tensorflow

    # tensorflow loads these on first use, which would otherwise happen in every run.
    _ = tensorflow.keras.layers, tensorflow.data, tensorflow.io


def kill_descendants() -> None:
    """Kill and reap everything below this process: what a child leaves behind becomes a child of this one."""
    while True:
        with open("/proc/thread-self/children") as file:
            pids = [int(pid) for pid in file.read().split()]
        if not pids:
            return
        kill_all(pids)
        for pid in pids:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def serve(owner: socket.socket) -> None:
    """Keep a child ready, report each one's end to the owner, and leave when the owner does."""
    from course_utils.sandbox import child

    while True:
        taken, to_zygote = os.pipe()
        pid = os.fork()
        if pid == 0:
            set_process_option(PR_SET_PDEATHSIG, signal.SIGKILL)
            set_process_option(PR_SET_DUMPABLE, 1)
            os.close(taken)
            child.main(owner, to_zygote)
        os.close(to_zygote)
        poll = select.poll()
        poll.register(owner, 0)  # nothing but the owner's hanging up
        poll.register(taken, select.POLLIN)
        hung_up = owner.fileno() in dict(poll.poll())
        if not hung_up and os.read(taken, 1):
            poll.unregister(taken)
            ended = os.pidfd_open(pid)
            poll.register(ended, select.POLLIN)
            with contextlib.suppress(OSError):
                owner.sendall(b"taken\n")
            hung_up = owner.fileno() in dict(poll.poll())
            os.close(ended)
        os.close(taken)
        if hung_up:
            kill_descendants()
            return
        _, status = os.waitpid(pid, 0)
        kill_descendants()
        try:
            owner.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
        except OSError:
            return


def main() -> None:
    owner = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt in the notebook is the owner's to handle
    set_process_option(PR_SET_CHILD_SUBREAPER, 1)
    # Huge pages make resident memory depend on the host's settings, and growth too fast to be stopped in time.
    set_process_option(PR_SET_THP_DISABLE, 1)
    import_everything()
    gc.collect()
    gc.freeze()
    # A child has the same user: without this it could write to this process's memory, which no one measures.
    set_process_option(PR_SET_DUMPABLE, 0)
    if sys.argv[2] != "process":
        forbidden.forbid()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what is said from now on, nobody would read
    owner.sendall(b"ready\n")
    serve(owner)


if __name__ == "__main__":
    main()
