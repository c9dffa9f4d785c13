"""The kernel's side of `%course watch`: it tells the recorder which cell runs, and shows what the recorder says."""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from IPython.core.error import UsageError
from IPython.display import display

from course_utils import cards, causes, recordings
from course_utils.cards.runs import outcome_card
from course_utils.sandbox import child, isolation, snapshot
from course_utils.sandbox.claims import claim
from course_utils.watch import folder, recorder

START_LIMIT, ANSWER_LIMIT = 60, 10
PAUSE = 0.4  # between two ledgers, besides that of `snapshot`: a cell goes on for longer than a sandboxed one
LONGEST_SOURCE = 60_000
SHORT_SHARE = 0.8  # of what was left: a recording that stops there without a word stops for want of memory
TIMED = ("<timed exec>", "<timed eval>")  # how %%time calls the code below it
PASSED_ON = ("CGROUP_MEMORY_EVENTS", "TZ")


class Watch:
    """Watches the kernel in which it is made, until `stop`."""

    def __init__(self, shell: Any) -> None:
        """Raises UsageError, with a sentence, where this kernel cannot be watched."""
        if sys.platform != "linux" or getattr(shell, "kernel", None) is None:
            raise UsageError("%course watch works in notebooks on Linux: in Colab, Jupyter, VS Code, and in WSL.")
        signals = snapshot.ANSWERED, snapshot.DUMPED
        if any(signal.getsignal(number) != signal.SIG_DFL for number in signals):
            raise UsageError(f"%course watch needs the signals {signals}, and this notebook handles them already.")
        self.shell, self.pid, self.over, self.line = shell, os.getpid(), False, None
        self.names: set[str] = set(TIMED)
        self.busy, self.shown = threading.Event(), threading.Event()
        self.dump, self.state = (tempfile.TemporaryFile("a+b", buffering=0) for _ in signals)  # noqa: SIM115
        self.path = self._start_recorder()
        faulthandler.register(snapshot.DUMPED, file=self.dump, all_threads=False, chain=False)
        snapshot.start(self.state.fileno(), self.names, recorder.LARGEST_STEP / recorder.STEP_SHARE, self._goes_on)
        self.listener = threading.Thread(target=self._listen, daemon=True, name="watch")
        self.listener.start()
        shell.events.register("pre_run_cell", self._began)
        shell.events.register("post_run_cell", self._ended)
        atexit.register(self._leaving)
        self._shut_down, shell.kernel.do_shutdown = shell.kernel.do_shutdown, self._asked_to_leave
        self._begin(shell.user_ns.get("In", [""])[-1])

    def _start_recorder(self) -> str:
        """Return where it records. It leaves its parent, so that what is waited for here is over at once."""
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        given = [theirs.fileno(), self.dump.fileno(), self.state.fileno()]
        name = os.environ.get("JPY_SESSION_NAME") or self.shell.user_ns.get("__vsc_ipynb_file__") or ""
        plan = json.dumps([self.pid, os.getcwd(), Path(name).name, *given])
        command = [*isolation.PYTHON, "-m", "course_utils.watch.recorder", plan]
        variables = isolation.environment(None) | {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        with theirs, open(os.devnull, "r+b") as null:
            streams = {"stdin": null, "stdout": null, "stderr": null}
            subprocess.run(command, check=False, pass_fds=given, env=variables, start_new_session=True, **streams)
        self.channel.settimeout(START_LIMIT)
        try:
            answer = json.loads(self.channel.recv(recorder.LONGEST_MESSAGE))
        except (OSError, ValueError):
            answer = {"failed": "The recorder did not start."}
        if "failed" in answer:
            raise UsageError(f"This notebook is not watched. {answer['failed']}")
        self.channel.settimeout(None)
        return answer["ready"]

    def stop(self) -> None:
        """Leave the kernel as it was, and have the recorder leave."""
        self.over = True
        self.busy.set()
        self.shell.events.unregister("pre_run_cell", self._began)
        self.shell.events.unregister("post_run_cell", self._ended)
        atexit.unregister(self._leaving)
        self.shell.kernel.do_shutdown = self._shut_down
        self._say(leaving="off")
        self.listener.join(ANSWER_LIMIT)  # the recorder has hung up: from now on it asks nothing
        faulthandler.unregister(snapshot.DUMPED)
        signal.signal(snapshot.ANSWERED, signal.SIG_DFL)

    # What the kernel does; none of it in a process that it has forked.
    def _say(self, **message: Any) -> None:
        if os.getpid() == self.pid:
            with contextlib.suppress(OSError):
                self.channel.send(json.dumps(message).encode(), socket.MSG_DONTWAIT)

    def _began(self, info: Any) -> None:
        self._begin(info.raw_cell)

    def _begin(self, source: str) -> None:
        name = self.shell.compile.get_code_name(source, source, self.shell.execution_count)
        self.names.add(name)
        cell, files = f"cell {self.shell.execution_count}", {name: 0, **dict.fromkeys(TIMED, 1)}
        self._say(began=cell, files=files, source=source[:LONGEST_SOURCE])
        self.busy.set()

    def _ended(self, result: Any) -> None:
        self.busy.clear()
        error = result.error_before_exec or result.error_in_exec
        said = {} if error is None else child.describe(error, self.names)
        if said and causes.explain(f"{said['kinds'][0]}: {said['text']}").kind in ("host_ram", "gpu_memory"):
            self.shown.clear()
            self._say(ended={"status": "raised", **said})
            self.shown.wait(ANSWER_LIMIT)  # so that it stands below this cell
        else:
            self._say(ended={})
        self.line = None

    def _asked_to_leave(self, restart: bool) -> Any:
        self._leaving()
        return self._shut_down(restart)

    def _leaving(self) -> None:
        self._say(leaving="asked")

    # What its threads do.
    def _goes_on(self) -> bool:
        self.busy.wait()
        time.sleep(PAUSE)
        return not self.over

    def _listen(self) -> None:
        """Show what the recorder says, until it hangs up."""
        with contextlib.suppress(OSError):
            while data := self.channel.recv(recorder.LONGEST_MESSAGE):
                with contextlib.suppress(Exception):  # the notebook's own display may fail
                    self._show(json.loads(data))
        self.over = True

    def _show(self, message: dict[str, Any]) -> None:
        if "card" in message:
            display(message["card"], raw=True)
            self.shown.set()
        elif self.line is None:
            self.line = display({"text/plain": message["status"]}, raw=True, display_id=True)
        else:
            self.line.update({"text/plain": message["status"]}, raw=True)


_watch: Watch | None = None


def start(shell: Any) -> str:
    """Watch this kernel; return a sentence about it. Raises UsageError where it cannot be watched."""
    global _watch
    if _watch is not None and not _watch.over:
        return f"This notebook is being watched already; the recording is {_watch.path}."
    stop()
    _watch = Watch(shell)
    return f"This notebook is being watched; the recording is {_watch.path}. Should the kernel die, %load_ext says why."


def stop() -> str:
    """End the watch; return a sentence about it."""
    global _watch
    if _watch is None:
        return "This notebook is not being watched."
    _watch.stop()
    _watch = None
    return "This notebook is no longer watched, and the recording is removed."


def show_deaths() -> None:
    """Show the post-mortem of each kernel that died in this folder while it was watched; each once."""
    for path in folder.unseen(Path.cwd()):
        with contextlib.ExitStack() as held, contextlib.suppress(OSError, recordings.NotARecording):
            if (claimed := claim(f"watch/{path.name}")) is None:  # its recorder has it, or another notebook
                continue
            held.enter_context(claimed)
            recorded = recordings.read(path)
            outcome = recorded.ending or recorded.outcome(killed_by_kernel=True)
            if recorded.ending or outcome.trace[-1][1] >= SHORT_SHARE * outcome.cap_mib:
                folder.put_away(path)
                display(cards.bundle(outcome_card(outcome)), raw=True)
            else:  # its container was stopped
                folder.discard(path)
