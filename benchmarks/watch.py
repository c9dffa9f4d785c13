"""What `%course watch` costs a notebook: ``python -m benchmarks.watch [--rounds 6]``.

Trains the same Keras model in one kernel, with the watch on and off in turn, about ten seconds each time, and prints
the median of the quotients on / off: of the seconds on the clock, and of the processor's seconds of the kernel. Half of
the rounds begin with the watch off. Use a quiet machine: what is to be seen is a percent or two.
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
import json, os, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
import keras, numpy as np
keras.utils.set_random_seed(1)
x, y = np.random.rand(2000, 64, 64, 3).astype("float32"), np.arange(2000) % 4
layers = keras.layers
model = keras.Sequential([keras.Input((64, 64, 3)), layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(),
                          layers.Conv2D(16, 3, activation="relu"), layers.GlobalAveragePooling2D(), layers.Dense(4)])
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
def measure(epochs):
    clock, processor = time.perf_counter(), time.process_time()
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)
    return time.perf_counter() - clock, time.process_time() - processor
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
            clocks, processors = [], []
            for number in range(arguments.rounds):
                taken = {}
                for watched in (number % 2 == 0, number % 2 == 1):
                    kernel.run("%course watch" if watched else "%course watch off")
                    taken[watched] = json.loads(kernel.run("print(json.dumps(measure(epochs)))"))
                clock, processor = (on / off for on, off in zip(taken[True], taken[False], strict=True))
                clocks.append(clock)
                processors.append(processor)
                console.print(f"round {number + 1}: clock {clock:.3f}, processor {processor:.3f}")
            spread = f"{min(clocks):.3f} to {max(clocks):.3f}"
            console.print(f"watch on / off: clock {statistics.median(clocks):.3f} ({spread}), ", end="")
            console.print(f"processor {statistics.median(processors):.3f}")
        finally:
            kernel.manager.shutdown_kernel()


if __name__ == "__main__":
    main()
