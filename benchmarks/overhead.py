"""What the evidence for a post-mortem costs a run: ``python -m benchmarks.overhead OTHER_CHECKOUT [--rounds 9]``.

Runs the same programs in the sandbox of this checkout and of another one, in turn, and prints for each program the
median of the quotients this / other, of the seconds on the clock and of the processor's seconds. The programs take
longer than a second, need no more than a fifth of their budget or nearly all of it, and are not killed. Use a quiet
machine: what is to be seen is a percent or two.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tools import ROOT

PROGRAMS = {
    "arrays that come and go": (
        1200,
        """
        import numpy as np
        for step in range(60):
            arrays = [np.ones(2**20 * 5, "float64") * step for _ in range(12)]
        """,
    ),
    "a list of small arrays": (
        400,
        """
        import numpy as np
        for step in range(4):
            kept = []
            for number in range(40_000):
                kept.append(np.full((16, 16, 3), number % 7, "float32").sum(axis=2) * 2)
        """,
    ),
    "fit on arrays": (
        400,
        """
        import keras, numpy as np
        keras.utils.set_random_seed(1)
        x, y = np.random.rand(2000, 64, 64, 3).astype("float32"), np.arange(2000) % 4
        layers = keras.layers
        model = keras.Sequential([keras.Input((64, 64, 3)), layers.Conv2D(16, 3, activation="relu"),
                                  layers.MaxPooling2D(), layers.Conv2D(16, 3, activation="relu"),
                                  layers.GlobalAveragePooling2D(), layers.Dense(4)])
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(x, y, batch_size=64, epochs=2, verbose=0)
        """,
    ),
    "fit on a pipeline": (
        400,
        """
        import keras, tensorflow as tf
        keras.utils.set_random_seed(1)
        data = tf.data.Dataset.range(6000).map(lambda number: (tf.random.uniform((48, 48, 3)), number % 4))
        data = data.shuffle(500).batch(32).prefetch(1)
        layers = keras.layers
        model = keras.Sequential([keras.Input((48, 48, 3)), layers.Conv2D(8, 3, activation="relu"),
                                  layers.GlobalAveragePooling2D(), layers.Dense(4)])
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(data, epochs=3, verbose=0)
        """,
    ),
}
RUNNER = """
import json, sys, textwrap
from course_utils import sandbox
budget, code = json.loads(sys.stdin.read())
code = textwrap.dedent(code) + "\\nimport time, sys\\nprint('processor', time.process_time())\\n"
first = sandbox.run("x = 1", budget_mib=100)
outcome = sandbox.run("import time\\nbegun = time.process_time()\\n" + code, budget_mib=budget, time_limit=300)
assert outcome.status == "finished", outcome.post_mortem()
print(json.dumps([outcome.seconds, float(outcome.stdout.split()[-1]), outcome.peak_mib]))
"""


def measure(checkout: Path, budget_mib: float, code: str) -> list[float]:
    """Run a program once in the sandbox of a checkout; return seconds, the processor's seconds, and the peak in MiB."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    command = [sys.executable, "-c", RUNNER]
    told = subprocess.run(
        command, input=json.dumps([budget_mib, code]), env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(told.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="another checkout of this repository")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    table = Table("Program", "Seconds", "Quotient of the clock", "Quotient of the processor", "Peak, this and other")
    for name, (budget_mib, code) in PROGRAMS.items():
        rounds = []
        for number in range(arguments.rounds):
            order = [ROOT, arguments.other] if number % 2 else [arguments.other, ROOT]
            found = {checkout: measure(checkout, budget_mib, code) for checkout in order}
            rounds.append((found[ROOT], found[arguments.other]))
        clock, processor = (statistics.median(this[at] / other[at] for this, other in rounds) for at in (0, 1))
        peaks = " and ".join(f"{statistics.median(pair[at][2] for pair in rounds):.0f} MiB" for at in (0, 1))
        seconds = statistics.median(this[0] for this, _ in rounds)
        table.add_row(name, f"{seconds:.1f}", f"{clock:.3f}", f"{processor:.3f}", peaks)
    Console().print(table)


if __name__ == "__main__":
    main()
