"""What `%course watch` costs a notebook: ``python -m benchmarks.watch [--rounds 6]``.

Trains the same Keras model in one kernel, with the watch on and off in turn, about ten seconds each time, and prints
the median of the quotients on / off: of the seconds on the clock, and of the processor's seconds of the kernel. Half of
the rounds begin with the watch off. On a busy machine these say little, so what the watch itself takes is printed too:
the processor's seconds of its threads in the kernel, and of the recorder, as shares of those of the training.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile

from jupyter_client.manager import start_new_kernel
from rich.console import Console

PREPARE = """
%load_ext course_utils
import json, os, threading, time
from pathlib import Path
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
import keras, numpy as np
keras.utils.set_random_seed(1)
x, y = np.random.rand(2000, 64, 64, 3).astype("float32"), np.arange(2000) % 4
layers = keras.layers
model = keras.Sequential([keras.Input((64, 64, 3)), layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(),
                          layers.Conv2D(16, 3, activation="relu"), layers.GlobalAveragePooling2D(), layers.Dense(4)])
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
def ran(task):
    try:
        return int(task.read_text().split()[0]) / 1e9
    except OSError:  # it has just ended
        return 0
def own_seconds():
    names = ("snapshot", "watch")
    threads = [thread.native_id for thread in threading.enumerate() if thread.name in names]
    recorders = [task for task in Path("/proc").glob("[0-9]*") if is_recorder(task)]
    return (sum(ran(Path(f"/proc/self/task/{thread}/schedstat")) for thread in threads),
            sum(ran(task / "schedstat") for task in recorders))
def is_recorder(task):
    try:
        command = (task / "cmdline").read_text()
        return "course_utils.watch.recorder" in command and f"[{os.getpid()}," in command
    except OSError:
        return False
def measure(epochs):
    before, clock, processor = own_seconds(), time.perf_counter(), time.process_time()
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    return clock, processor, *(after - then for after, then in zip(own_seconds(), before))
measure(1)
epochs = max(1, round(SECONDS / measure(2)[0] * 2))
print(epochs)
"""


class Kernel:
    """A kernel that runs one cell after the other."""

    def __init__(self, folder: str) -> None:
        self.manager, self.client = start_new_kernel(kernel_name="python3", cwd=folder)

    def run(self, code: str) -> str:
        """Run a cell and return what it printed; raises RuntimeError with the error of a cell that fails."""
        printed: list[str] = []

        def note(message: dict) -> None:
            if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
                printed.append(message["content"]["text"])

        reply = self.client.execute_interactive(code, output_hook=note, timeout=600)["content"]
        if reply["status"] != "ok":
            raise RuntimeError(f"{reply['ename']}: {reply['evalue']}")
        return "".join(printed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=10.0, help="of one training")
    arguments = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        kernel = Kernel(folder)
        try:
            console.print(f"{kernel.run(PREPARE.replace('SECONDS', str(arguments.seconds))).strip()} epochs a training")
            clocks, processors, threads, recorders = [], [], [], []
            for number in range(arguments.rounds):
                taken = {}
                for watched in (number % 2 == 0, number % 2 == 1):
                    kernel.run("%course watch" if watched else "%course watch off")
                    taken[watched] = json.loads(kernel.run("print(json.dumps(measure(epochs)))"))
                clock, processor = (taken[True][index] / taken[False][index] for index in (0, 1))
                threads.append(taken[True][2] / taken[True][1])
                recorders.append(taken[True][3] / taken[True][1])
                clocks.append(clock)
                processors.append(processor)
                console.print(f"round {number + 1}: clock {clock:.3f}, processor {processor:.3f}", end=", ")
                console.print(f"threads {threads[-1]:.2%}, recorder {recorders[-1]:.2%}")
            spread = f"{min(clocks):.3f} to {max(clocks):.3f}"
            console.print(f"watch on / off: clock {statistics.median(clocks):.3f} ({spread}), ", end="")
            console.print(f"processor {statistics.median(processors):.3f}")
            console.print("taken by the watch itself, of the training's processor time: ", end="")
            console.print(f"{statistics.median(threads):.2%} in the kernel, {statistics.median(recorders):.2%} outside")
        finally:
            kernel.manager.shutdown_kernel()


if __name__ == "__main__":
    main()
