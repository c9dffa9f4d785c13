# %% [markdown]
# # Leaks and long sessions
#
# One model fits into memory, but a search over eight of them runs out of it. In this lab you find out how much memory a
# process keeps for models that you no longer use, which of the usual remedies work, and how to find a leak.
#
# **Objectives**
#
# - Tell a leak from memory that is high and stays there.
# - Measure how much `del`, `gc.collect`, and `clear_session` free.
# - Run a search in the memory of one model: with one compiled model, or with one process per trial.
#
# **Prerequisites**
#
# - Lab 07: a model trained with Adam holds its weights, two slots of the same size, and gradients.
# - You know `model.fit` and callbacks.

# %%
from course_utils import scans

folder = scans.load("train", count=500, size=32)
print(f"{len(list(folder.glob('*/*.jpg')))} scans of 32 x 32 pixels are ready.")

# %% [markdown]
# Every sandboxed cell starts in an empty process. `--name` gives a cell a name. A later cell that lists this name in
# `--after` runs the named cell first, in its own process. Both count toward the peak. Most cells of this lab share
# these imports:

# %%
# %%sandbox --budget 400 --name start
import gc
import time

import keras
import numpy as np
import psutil
import tensorflow as tf
from PIL import Image

from course_utils import scans
from course_utils.sandbox.inside import report

# %% [markdown] tags=["predict"]
# ## Predict
#
# The cell below tries eight learning rates. Each trial builds the same small network, trains it briefly on 64 scans,
# and keeps it for later.
#
# How much memory will the search need at its peak? Write your number in MiB after `--predict`, in place of the 90, and
# run the cell.

# %% [markdown]
# ## Crash

# %% tags=["crash"]
# %%sandbox --budget 400 --predict 90 --into crash --after start
paths = sorted(scans.load("train", count=500, size=32).glob("*/*.jpg"))[:64]
x = np.stack([np.asarray(Image.open(path)) for path in paths])
y = np.array([int(path.parent.name) for path in paths])

models = []
for rate in (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003):
    model = keras.Sequential(
        [
            keras.layers.Input((32, 32, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(2048, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    model.fit(x, y, verbose=0)
    models.append(model)
    print(f"learning rate {rate} is done")

# %% [markdown]
# The run died on a line that did nothing new: the trials before it ran the same line without trouble. That is typical
# of a leak. The last line is not the cause. The cause is the memory that the earlier rounds left behind.
#
# The card names both lines: the one where the run died, and the one that kept the memory, `models.append(model)`. It
# counts the models that are alive, and says how much memory each of them holds. Below you work out that figure
# yourself.

# %% [markdown]
# ## Explain
#
# A model that was trained with Adam holds three numbers for each weight: the weight itself and Adam's two slots. As
# long as you keep the model, they stay in memory.
#
# > memory that stays = models x 3 x weights x 4 bytes, plus some memory for the graph of each model
#
# The next cells run four trials, with 16 units and with 2,048, and record the memory after each. Ignore how high it is,
# and look at **how much it grows from trial to trial**. The graphs cancel out in the difference between the two
# networks. All later cells share the first one: it defines the network of the crash, and a measurement. `notebook.run`
# runs a text in the same way as `%%sandbox --after` runs a cell.

# %% tags=["explain"]
# %%sandbox --budget 400 --name trials --after start
x, y, used = np.zeros((64, 32, 32, 3), "uint8"), np.arange(64) % 10, []


def build(units=2048, rate=0.001):
    model = keras.Sequential(
        [
            keras.layers.Input((32, 32, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(units, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    return model


def note_memory():
    gc.collect()
    used.append(psutil.Process().memory_info().rss / 2**20)


def growth():
    """Return the growth for each model in MiB, counted after the second of four."""
    return round((used[3] - used[1]) / 2, 1)


# %% tags=["explain"]
from course_utils import notebook

KEPT = """
models = []
for _ in range(4):
    model = build({units})
    model.fit(x, y, verbose=0)
    models.append(model)
    note_memory()
report(growth_mib=growth())
"""
kept, narrow = (notebook.run(KEPT.format(units=units), after="trials", budget_mib=1100) for units in (2048, 16))
MIB = 2**20
wide_mib, narrow_mib = (3 * 4 * (3072 * units + units + 10 * units + 10) / MIB for units in (2048, 16))
expected, measured = wide_mib - narrow_mib, kept.values["growth_mib"] - narrow.values["growth_mib"]
print(f"weights and slots of one model:         {wide_mib:5.1f} MiB with 2,048 units, {narrow_mib:.1f} with 16")
print(f"difference, expected for each trial:    {expected:5.1f} MiB")
print(f"difference, measured:                   {measured:5.1f} MiB ({measured / expected - 1:+.0%})")
print(f"growth with 2,048 units:                {kept.values['growth_mib']:5.1f} MiB for each trial")
print(f"  graph and everything else:            {kept.values['growth_mib'] - wide_mib:5.1f} MiB")
print(f"eight trials would leave behind         {8 * kept.values['growth_mib']:5.0f} MiB")
outputs = 32 * 4 * (2 * 3072 + 2048 + 10) / MIB
print(f"outputs of all layers for a batch of 32: {outputs:4.1f} MiB")

# %% [markdown]
# So the advice seems simple: do not keep the models.

# %% [markdown]
# ## Fix it, step by step
#
# Each step runs four trials with the network of the crash, and reports how much the process grew for each model,
# counted after the second.
#
# ### Step 1: drop the model
#
# `del` removes your name for the model, and `gc.collect()` frees objects that only refer to each other. The cell also
# counts the models and graphs among all live objects.

# %%
# %%sandbox --budget 1100 --into dropped --after trials
for _ in range(4):
    model = build()
    model.fit(x, y, verbose=0)
    del model
    note_memory()
models = sum(isinstance(one, keras.Model) for one in gc.get_objects())
graphs = sum(type(one).__name__ == "FuncGraph" for one in gc.get_objects())
report(growth_mib=growth(), models_alive=models, graphs_alive=graphs)

# %% [markdown]
# ### Step 2: `clear_session`
#
# Keras keeps some state of its own, such as the counters that make `dense_1` and `dense_2`.
# `keras.utils.clear_session()` resets this state, and every forum recommends it as the cure.

# %%
# %%sandbox --budget 1100 --into cleared --after trials
for _ in range(4):
    keras.utils.clear_session()
    model = build()
    model.fit(x, y, verbose=0)
    del model
    note_memory()
graphs = sum(type(one).__name__ == "FuncGraph" for one in gc.get_objects())
report(growth_mib=growth(), graphs_alive=graphs)

# %%
for name, outcome in {"models kept": kept, "del and gc.collect": dropped, "and clear_session": cleared}.items():
    print(f"{name:<20} grows by {outcome.values['growth_mib']:5.1f} MiB for each model")
print(f"After del and gc.collect {dropped.values['models_alive']} of the four models are alive,")
print(f"and {dropped.values['graphs_alive']} graphs: TensorFlow traces a training step into more than one.")

# %% [markdown]
# ### Step 3: find the holder
#
# The objects that you named are gone. Graphs are left: `fit` traces the training step into a graph, and a graph holds
# the memory of every variable that it uses. Which object holds the graphs? The next cell looks in one place: the table
# in which TensorFlow registers gradient functions by name, for the whole process.
#
# To prove it, the cell removes the new entries and counts the graphs again. That reaches into TensorFlow's private
# data, so it is a proof and not a remedy. If your version keeps no such entries, the cell tells you.


# %%
# %%sandbox --budget 1100 --into held --after start
def graphs():
    gc.collect()
    return sum(type(one).__name__ == "FuncGraph" for one in gc.get_objects())


try:
    from tensorflow.python.framework import ops

    table = ops.gradient_registry._registry
except (ImportError, AttributeError):
    table = {}
    print("This version of TensorFlow has no such table.")
before = set(table)
for _ in range(2):
    model = keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(10, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(np.zeros((64, 8)), np.arange(64) % 10, verbose=0)
del model
new, alive = set(table) - before, graphs()
for name in new:
    del table[name]
report(new_entries=len(new), graphs_before=alive, graphs_after=graphs())

# %% [markdown]
# The table holds the gradient function, the function holds the graph, and the graph holds the variables. The optimizer
# makes such an entry whenever its step is traced, and nothing ever removes the entry. This is a known bug of TensorFlow
# (issue 97697). It was fixed in the source after the version that Colab has today. So run these cells again when your
# version changes, and trust the growth that you measure, not this page.
#
# The consequence: **every model that is trained with `fit` leaves its variables in the process.** Two remedies are
# left: trace once, or end the process.
#
# ### Step 4: compile once
#
# If only numbers differ between trials, one compiled model is enough. Save its state to a file, and load that file
# before each trial. The state is the weights, Adam's slots, and the step counter. Then set the learning rate.

# %%
# %%sandbox --budget 1100 --into reused --after trials
model = build()
model.optimizer.build(model.trainable_variables)  # makes the slots, so that they are in the file
model.save_weights("start.weights.h5")
for rate in (0.1, 0.01, 0.001, 0.0001):
    model.load_weights("start.weights.h5")
    model.optimizer.learning_rate = rate
    model.fit(x, y, verbose=0)
    note_memory()
report(growth_mib=growth(), steps_counted=int(model.optimizer.iterations))

# %% [markdown]
# `steps_counted` proves that the state was reset: it counts the two steps of one trial, not the eight steps of four.
#
# ### Step 5: one process per trial
#
# When a process ends, the operating system takes back all its memory. For this remedy you need not know which object
# held it.
#
# `fork` makes a copy of the running process. The two share their memory until one of them writes to it. TensorFlow is
# already imported, so a child starts at once. Follow one rule: **fork before the parent runs its first operation**,
# that is, before it builds a model or makes a tensor.

# %%
# %%sandbox --budget 1100 --into forked --after trials
import multiprocessing


def trial(rate, answers):
    history = build(rate=rate).fit(x, y, verbose=0)
    answers.send(history.history["loss"][-1])


context = multiprocessing.get_context("fork")
for rate in (0.1, 0.01, 0.001, 0.0001):
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=trial, args=(rate, theirs))
    child.start()
    theirs.close()
    loss = ours.recv()  # EOFError if the child dies, so the crash of one trial need not end the search
    child.join()
    note_memory()
report(growth_mib=growth())

# %% [markdown]
# A new interpreter (`subprocess`, or the `spawn` method) works at any time. It imports TensorFlow again, which takes
# seconds, and the memory counts above the baseline. It also needs its code in a file or a text: `spawn` cannot find a
# function that is defined in a notebook cell. Here is one trial of the same network:

# %%
# %%sandbox --budget 1100 --into spawned
import subprocess
import sys
from pathlib import Path

TRIAL = """
import keras
import numpy as np

x, y = np.zeros((64, 32, 32, 3), "uint8"), np.arange(64) % 10
layers = [keras.layers.Input((32, 32, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
layers += [keras.layers.Dense(2048, activation="relu"), keras.layers.Dense(10, activation="softmax")]
model = keras.Sequential(layers)
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(x, y, verbose=0)
"""
Path("trial.py").write_text(TRIAL)
done = subprocess.run([sys.executable, "trial.py"], check=True)

# %% [markdown]
# The next cell shows why the rule matters. Here the parent trains a model first. The cell waits three seconds for a
# child that does the same, and then kills it.

# %%
# %%sandbox --budget 1100 --into forked_late --after start
import multiprocessing


def trial():
    model = keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(10, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(np.zeros((64, 8)), np.arange(64) % 10, verbose=0)


trial()
child = multiprocessing.get_context("fork").Process(target=trial)
child.start()
child.join(3)
report(child="it hangs" if child.is_alive() else f"it ended with code {child.exitcode}")
child.kill()
child.join()

# %% [markdown]
# A child has a copy of the parent's memory, but not of its threads. TensorFlow's threads start with its first
# operation, and a child that is forked after that waits for threads that it does not have.
#
# ### The steps side by side

# %%
steps = {
    "kept": kept,
    "del and gc": dropped,
    "clear_session": cleared,
    "compiled once": reused,
    "forked": forked,
    "new interpreter, one trial": spawned,
}
notebook.compare(steps, alt="Memory over time of six ways to run trials in a row")
per_trial = forked.seconds / 4
print(f"A forked trial takes {per_trial:.1f} s. A trial in a new interpreter takes {spawned.seconds:.1f} s")
print(f"and {spawned.peak_mib:.0f} MiB, because it imports TensorFlow again.")

# %% [markdown]
# ## The smaller leaks
#
# A long session has other suspects. Each of them is a reference that some object holds. The next cell measures each one
# alone.
#
# ### References that you do not see
#
# - A `History` object knows its model. Keep `history.history`, the plain numbers, instead of the object.
# - A callback that collects tensors keeps them as long as you keep the callback.
# - IPython keeps every value that a cell shows, in `Out`. A sandboxed cell is not an IPython cell, so this one starts
#   an IPython shell of its own. There `del` is not enough, but `%xdel` is.
# - pyplot keeps every figure until you close it.

# %%
# %%sandbox --budget 512 --into references --after start
import contextlib
import io
import os
import weakref

import matplotlib
from IPython.core.interactiveshell import InteractiveShell

matplotlib.use("Agg")
os.environ["IPYTHONDIR"] = "."  # so that it leaves nothing in your home folder
from matplotlib import pyplot


def used():
    gc.collect()
    return psutil.Process().memory_info().rss / 2**20


class Keeps(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.kept = []

    def on_epoch_end(self, epoch, logs=None):
        self.kept.append(keras.ops.ones((1024, 1024)))  # in place of outputs that you want to look at later


model = keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(10, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy")
x, y = np.zeros((64, 8)), np.arange(64) % 10
history = model.fit(x, y, verbose=0)

before = used()
keeps = Keeps()
model.fit(x, y, epochs=8, callbacks=[keeps], verbose=0)
report(eight_tensors_in_a_callback_mib=used() - before)
del keeps

watched = weakref.ref(model)
del model
gc.collect()
numbers, with_history = history.history, watched() is not None
del history
gc.collect()
report(model_alive_with_history=with_history, model_alive_with_numbers=watched() is not None)

shell = InteractiveShell.instance()
for name, command in (("del", "del x"), ("xdel", "%xdel x")):
    before = used()
    with contextlib.redirect_stdout(io.StringIO()):
        shell.run_cell("import numpy as np\nx = np.ones(2**23)\nx", store_history=True)
        shell.run_cell(command, store_history=True)
    report(**{f"shown_array_after_{name}_mib": used() - before})

for _ in range(5):
    pyplot.figure().canvas.draw()
pyplot.close("all")
for name in ("closed", "open"):
    before = used()
    for _ in range(15):
        figure = pyplot.figure()
        figure.canvas.draw()
        if name == "closed":
            pyplot.close(figure)
            gc.collect()  # a closed figure refers to itself
    report(**{f"figures_{name}_mib": used() - before})
    pyplot.close("all")
    del figure

# %% [markdown]
# ### Calls that leave something behind
#
# Does `predict` in a loop leak? Does passing a Python number to a `tf.function` leak? Does building models without
# training them? Here each is done 40 times, after a first time that does not count, and then 40 times again, because a
# leak goes on. TensorFlow itself warns about one of them.


# %%
# %%sandbox --budget 512 --into calls --after start
def used():
    gc.collect()
    return psutil.Process().memory_info().rss / 2**20


def forty_times(name, call):
    call(0)
    for again, first in (("", 1), ("_again", 41)):
        before, start = used(), time.perf_counter()
        for number in range(first, first + 40):
            call(number)
        seconds = time.perf_counter() - start
        report(**{f"{name}{again}_mib": used() - before})
    report(**{f"{name}_s": seconds})


@tf.function
def scale(x, factor):
    return tf.reduce_sum(tf.nn.relu(x * factor))


def tiny():
    return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(4), keras.layers.Dense(4)])


x = np.zeros((32, 64), "float32")
model = keras.Sequential([keras.layers.Input((64,)), keras.layers.Dense(10)])
forty_times("predict", lambda number: model.predict(x, verbose=0))
forty_times("direct_call", lambda number: model(x, training=False))
forty_times("python_number", lambda number: scale(x, float(number)))
forty_times("tensor", lambda number: scale(x, tf.constant(float(number))))
forty_times("build_and_clear", lambda number: (keras.utils.clear_session(), tiny()))
forty_times("build", lambda number: tiny())

# %% [markdown]
# One call of `predict` keeps the outputs of all its batches and joins them at the end, so it briefly needs twice the
# size of its result. If you want only a mean, reduce each batch at once.
#
# ### Free memory that does not go back
#
# The next cell makes 2,000 blocks of 50 kB, and drops all but the last. The last one lies at the end of the heap, and
# the heap can shrink only from its end. Your program holds none of the other blocks, but the allocator keeps their
# memory for later: the process stays as large as it was, and the next 2,000 blocks need no more memory. This is not a
# leak. On Linux, `malloc_trim` gives such memory back.

# %%
# %%sandbox --budget 512 --into arenas
import ctypes

import psutil

from course_utils.sandbox.inside import report


def used():
    return psutil.Process().memory_info().rss / 2**20


before = used()
blocks = [bytearray(50_000) for _ in range(2000)]
made = used() - before
del blocks[:-1]
dropped = used() - before
again = [bytearray(50_000) for _ in range(2000)]
made_again = used() - before
del again
ctypes.CDLL(None).malloc_trim(0)
report(made_mib=made, after_del_mib=dropped, made_again_mib=made_again, after_malloc_trim_mib=used() - before)

# %% [markdown]
# ## Tools and their limits
#
# The next cell makes two buffers of 64 MiB, one in NumPy and one in TensorFlow. `psutil` asks the kernel, `tracemalloc`
# asks Python's own allocator, and `gc` counts objects and knows no sizes. memray, if it is installed, follows native
# allocations too.

# %%
# %%sandbox --budget 512 --into tools --after start
import importlib.util
import tracemalloc


def seen():
    size = psutil.Process().memory_info().rss / 2**20
    return size, tracemalloc.get_traced_memory()[0] / 2**20, len(gc.get_objects())


tf.zeros(1)
tracemalloc.start()
for name, make in (("numpy", lambda: np.ones(2**23)), ("tensorflow", lambda: tf.random.uniform([2**24]))):
    before = seen()
    buffer = make()
    by_psutil, by_tracemalloc, _ = (now - then for now, then in zip(seen(), before, strict=True))
    report(**{f"{name}_psutil_mib": by_psutil, f"{name}_tracemalloc_mib": by_tracemalloc})
    del buffer
tracemalloc.stop()
if importlib.util.find_spec("memray") is None:
    print(
        "memray is not installed here. `python -m memray run --native search.py` writes down every line's allocations."
    )
else:
    print("memray is installed: `python -m memray run --native search.py` writes down every line's allocations.")


class Memory(keras.callbacks.Callback):
    """Print the memory of the process after each epoch: put it into every long run."""

    def on_epoch_end(self, epoch, logs=None):
        print(f"epoch {epoch}: {psutil.Process().memory_info().rss / 2**20:.0f} MiB")


model = keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(10, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy")
history = model.fit(np.zeros((64, 8)), np.arange(64) % 10, epochs=3, callbacks=[Memory()], verbose=0)

# %% [markdown]
# So start outside the process and work inward. First, read the memory from the operating system after each round: does
# it grow, and does it keep growing? Then use `gc` to see which kind of object becomes more frequent with each round.
# Use `tracemalloc` last: it names the line, if the memory is Python's or NumPy's.

# %% [markdown]
# ## What people say

# %% tags=["claims"]


def frees(outcome):
    """Return the verdict on a remedy, by the share of the growth that is left."""
    left = outcome.values["growth_mib"] / kept.values["growth_mib"]
    return "false" if left > 0.7 else "half true" if left > 0.2 else "true"


found, called = references.values, calls.values
tracemalloc_share = tools.values["tensorflow_tracemalloc_mib"] / tools.values["tensorflow_psutil_mib"]
notebook.claims(
    [
        (
            "`del model` and `gc.collect()` free a trained model.",
            f"growth for each model: {kept.values['growth_mib']:.0f} MiB kept, "
            f"{dropped.values['growth_mib']:.0f} MiB dropped",
            frees(dropped),
        ),
        (
            "`clear_session()` cures a search that grows.",
            f"growth for each model: {cleared.values['growth_mib']:.0f} MiB; after 40 tiny models that were not "
            f"trained: {called['build_mib']:.1f} MiB without it, {called['build_and_clear_mib']:.1f} MiB with it",
            frees(cleared),
        ),
        (
            "One process per trial is too expensive.",
            f"forked: {forked.seconds / 4:.1f} s per trial and {forked.peak_mib:.0f} MiB; "
            f"new interpreter: {spawned.seconds:.1f} s and {spawned.peak_mib:.0f} MiB",
            "depends: on how it is started" if spawned.seconds > 1.5 * forked.seconds / 4 else "false",
        ),
        (
            "`predict` in a loop leaks.",
            f"the first 40 calls {called['predict_mib']:.1f} MiB, the next 40 {called['predict_again_mib']:.1f} MiB, "
            f"in {called['predict_s']:.1f} s; model(x) in {called['direct_call_s']:.1f} s",
            "false: it is slow, and it levels off" if called["predict_again_mib"] < 1 else "half true",
        ),
        (
            "Passing Python numbers to a `tf.function` costs memory.",
            f"the first 40 numbers {called['python_number_mib']:.1f} MiB, the next 40 "
            f"{called['python_number_again_mib']:.1f} MiB; 40 tensors {called['tensor_again_mib']:.1f} MiB",
            "true" if called["python_number_again_mib"] > called["tensor_again_mib"] + 1 else "false",
        ),
        (
            "tracemalloc finds every leak.",
            f"of a TensorFlow buffer of {tools.values['tensorflow_psutil_mib']:.0f} MiB it saw "
            f"{tools.values['tensorflow_tracemalloc_mib']:.1f} MiB",
            "false" if tracemalloc_share < 0.1 else "half true",
        ),
        (
            "Memory that stays after `del` is a leak.",
            f"{arenas.values['after_del_mib']:.0f} MiB stayed, and making the same blocks again took "
            f"{arenas.values['made_again_mib'] - arenas.values['after_del_mib']:+.0f} MiB",
            "false"
            if arenas.values["made_again_mib"] < 1.2 * arenas.values["made_mib"]
            else "depends: on the allocator",
        ),
    ]
)

# %% [markdown]
# ## Your turn
#
# Write `search(folder, configurations)`. The folder holds {{train_count}} scans of {{image_size}} x {{image_size}}
# pixels in one folder per class. There are eight configurations, such as `{"learning_rate": 0.3, "epochs": 2}`. Train
# one model with each, measure its accuracy on scans that it has not seen, and return two things: **the best model**,
# and **a list of the eight accuracies**, in the order of the configurations. You may train the best model further
# before you return it.
#
# - **Memory:** at most {{budget_mib}} MiB above the baseline. A run is killed at twice that.
# - **Accuracy:** at least {{floor}} on {{hidden_count}} scans that you do not have. Most configurations do not reach
#   it, so do not guess.
# - **Time:** at most {{time_limit}} seconds, search and grading together.
#
# `load` and `build` are given, and you may change them. The grader feeds the model raw pixels, from 0 to 255.
# `%course hint {{number}}` gives a hint.

# %% tags=["graded"]
# %%graded 11
import keras
import numpy as np
from PIL import Image


def load(folder):
    """All scans as bytes, with their labels, in a random order."""
    paths = sorted(folder.glob("*/*.jpg"))
    np.random.default_rng(0).shuffle(paths)
    return np.stack([np.asarray(Image.open(path)) for path in paths]), np.array([int(p.parent.name) for p in paths])


def build(learning_rate):
    """A compiled model that takes raw pixels."""
    model = keras.Sequential(
        [
            keras.layers.Input((32, 32, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(16, 5, strides=2, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.BatchNormalization(momentum=0.8),
            *[keras.layers.Dense(1024, activation="relu") for _ in range(4)],
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(learning_rate), "sparse_categorical_crossentropy")
    return model


def search(folder, configurations):
    """Try every configuration; return the best model and one validation accuracy for each configuration."""
    # STARTER: Train and score one model for each configuration, and keep the memory of one model only.
    # BEGIN SOLUTION
    keras.utils.set_random_seed(0)
    x, y = load(folder)
    model = build(0.001)
    model.optimizer.build(model.trainable_variables)
    model.save_weights("start.weights.h5")
    accuracies = []
    for configuration in configurations:
        model.load_weights("start.weights.h5")
        model.optimizer.learning_rate = configuration["learning_rate"]
        model.fit(x[:480], y[:480], batch_size=40, epochs=configuration["epochs"], verbose=0)
        guesses = np.argmax(model(x[480:], training=False), axis=1)
        accuracies.append(float(np.mean(guesses == y[480:])))
        print(configuration, f"{accuracies[-1]:.2f}")
        if accuracies[-1] == max(accuracies):
            model.save_weights("best.weights.h5")
    model.load_weights("best.weights.h5")
    model.fit(x, y, batch_size=40, epochs=4, verbose=0)
    return model, accuracies
    # END SOLUTION


# %% [markdown] tags=["solution"]
# ## Why it works
#
# `fit` traces the training step only once, because there is only one compiled model. So one graph, one set of weights,
# and one pair of Adam's slots serve any number of configurations. Before each trial, the model gets its starting state
# back from a file: weights, slots, and step counter. The best weights go to a file as well, because a file costs no
# memory.

# %% tags=["solution"]
flat = 64 * 5 * 5
weights = (5 * 5 * 3 + 1) * 16 + (3 * 3 * 16 + 1) * 64 + 2 * flat + (flat + 1) * 1024 + 3 * 1025 * 1024 + 1025 * 10
print(f"weights and slots of one model: {3 * weights * 4 / 2**20:5.0f} MiB")
print(f"of eight models:                {8 * 3 * weights * 4 / 2**20:5.0f} MiB")

# %% [markdown] tags=["solution"]
# The search trains on 480 scans and measures the accuracy on the rest, which the model has not seen. At the end, the
# best model gets four more epochs on all scans.
#
# ## What else would pass
#
# - **One forked process for each trial**, started before the first TensorFlow operation of the parent. Each child sends
#   back its accuracy and saves its weights. When it ends, the operating system takes back its memory.
# - **A new interpreter for each trial.** You need no rule about forking, but each interpreter imports TensorFlow again.
#   That costs seconds, and memory that counts.
# - **A training loop of your own with one `tf.function`** that takes the learning rate as a tensor. It is traced once,
#   like the compiled model.

# %% [markdown] tags=["own"]
# ## In your own notebook
#
# This prints the memory after each epoch. Growth that goes on is a leak. Here `model` is your compiled model, and `x`
# and `y` are your data. Nothing of the course is needed.
#
# ```python
# import keras
# import psutil
#
#
# class MemoryLog(keras.callbacks.Callback):
#     def on_epoch_end(self, epoch, logs=None):
#         print(f"epoch {epoch}: {psutil.Process().memory_info().rss / 2**20:.0f} MiB")
#
#
# model.fit(x, y, epochs=3, verbose=0, callbacks=[MemoryLog()])
# ```
#
# **With a GPU:** print `tf.config.experimental.get_memory_info("GPU:0")["current"]` as well. A leak of tensors shows
# only there.

# %% [markdown] tags=["summary"]
# ## Summary
#
# - A leak is growth that goes on from round to round. Memory that is high and stays level is in use, or the allocator
#   keeps it for later.
# - A model that was trained with `fit` leaves its variables in the process, even if you delete everything. The cause is
#   in TensorFlow and may change, so measure your version.
# - Compile once and reset the state from a file, or give each trial a process. Fork before the first operation, or
#   start a new interpreter and pay for the import.
# - Keep numbers and files. Do not keep models, `History` objects, tensors, shown values, or open figures.
# - Measure from outside the process first. tracemalloc does not see TensorFlow's buffers.
#
# To remember: {{takeaway}}

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Open the answer that you would give.
#
# **1. A search runs out of memory in its sixth trial, on a line that the first five ran too. Where do you look?**
#
# - [ ] At that line :: It did nothing that it had not done five times before.
# - [x] At the memory that each trial leaves behind :: The growth from trial to trial is the cause. The search only
#   happened to reach its limit on that line.
# - [ ] At the sixth configuration :: This is possible, but first check whether the memory grew before.
#
# **2. Why did `del model` and `gc.collect()` not free a trained model here?**
#
# - [ ] The garbage collector is too slow :: It ran to the end, and no model was alive after it.
# - [ ] Keras keeps a list of all models :: None was found alive, and `clear_session` changed nothing.
# - [x] A table of TensorFlow held the training graph, and the graph held the variables :: The model's own object was
#   gone, but not the memory of its variables.
#
# **3. You reuse one compiled model for all trials and forget to reset it. What happens?**
#
# - [x] Each trial starts from the weights that the trial before left :: After one bad learning rate, all later trials
#   look bad.
# - [ ] The memory grows :: It does not grow, so you do not notice the mistake.
# - [ ] Nothing, because `fit` starts over :: `fit` continues from the current weights.
#
# **4. How much does tracemalloc report for a TensorFlow tensor of 64 MiB?**
#
# - [x] Next to nothing :: The buffer comes from TensorFlow's allocator, and tracemalloc follows Python's.
# - [ ] 64 MiB :: It reports that for a NumPy array, because NumPy tells tracemalloc about its memory.
# - [ ] It raises an error :: It cannot see the buffer, so it has no reason to raise an error.
#
# **5. When is it safe to fork a process that uses TensorFlow?**
#
# - [ ] Never :: A child that is forked right after the import works, and this course's sandbox is built that way.
# - [x] After the import and before the first operation :: TensorFlow has no threads yet, so the child misses none.
# - [ ] After the first model has warmed it up :: By then its threads are running, and the child has none of them.

# %% tags=["versions"]
notebook.versions(seed=0)
