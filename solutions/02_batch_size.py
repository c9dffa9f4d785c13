# %% [markdown]
# # Batch size
#
# The data set fits in memory, and training is still killed. This time it is the batch. In this lab you measure the
# cost of a batch, fit a line to it, and use that line to choose the largest batch that fits before you run it.
#
# **Objectives**
#
# - Say which part of a training step grows with the batch, and which does not.
# - Fit the line `peak = a + b x batch` from a few cheap runs, and predict an expensive one with it.
# - Watch memory from inside a training run, and know what the number means.
# - Tell a crash that a smaller batch fixes from one that it does not.
#
# **Prerequisites**
#
# - You have trained a small Keras model before, and know what a batch and an epoch are.
# - Lab 01 helps, but is not needed.

# %% [markdown]
# ## The pictures
#
# Three hundred scans of handwritten digits, as bytes. The next cell draws them once.

# %% tags=["predict"]
from course_utils import scans

folder = scans.load("train", count=300, size=96)
pixels_mib = 300 * 96 * 96 * 3 / 2**20
parameters = (3 * 9 * 32 + 32) + 2 * (32 * 9 * 32 + 32) + (32 * 10 + 10)
print(f"All 300 scans as uint8:            {pixels_mib:6.1f} MiB")
print(f"All {parameters:,} parameters of the model: {parameters * 4 / 2**20:6.1f} MiB")

# %% [markdown]
# Every sandboxed cell starts in an empty process. To keep the cells of this lab short, the parts that they share have a
# name, which you give with `--name`. A cell with `--after NAME` first runs the cell of that name in its own process, so
# it knows all its variables. The memory counts as usual; output and values are not shown a second time. Here are the
# first two: a function that loads scans, and then the 300 scans with a small network.

# %%
# %%sandbox --budget 512 --name loading
import keras
import numpy as np
from PIL import Image

from course_utils import scans
from course_utils.sandbox.inside import report


def load(split, count, size):
    paths = sorted(scans.load(split, count=count, size=size).glob("*/*.jpg"))
    x = np.stack([np.asarray(Image.open(path)) for path in paths])
    return x, np.array([int(path.parent.name) for path in paths])


# %%
# %%sandbox --budget 512 --name network --after loading
x, y = load("train", 300, 96)
model = keras.Sequential(
    [
        keras.layers.Input((96, 96, 3)),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(32, 3, activation="relu"),
        keras.layers.Conv2D(32, 3, strides=2, activation="relu"),
        keras.layers.Conv2D(32, 3, strides=2, activation="relu"),
        keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy")

# %% [markdown] tags=["predict"]
# ## Predict
#
# The cell below trains this network on the scans. Its author wants few steps, so the batch is the whole data set.
#
# Data and parameters are as small as you see. How much memory will one step need? Write your number in MiB after
# `--predict`, in place of the 26 that stands there, and then run the cell.

# %% [markdown]
# ## Crash

# %% tags=["crash"]
# %%sandbox --budget 512 --predict 26 --into crash --after network
history = model.fit(x, y, batch_size=300, verbose=0)

# %% [markdown]
# Loading went well, and so did building the model. The process was killed in `fit`: neither the data nor the parameters
# are the cause.

# %% [markdown]
# ## Explain
#
# A training step keeps the output of every layer, because the backward pass needs it again. These outputs are called
# **activations**. Each picture in the batch has its own set of activations, and on the way back its own set of their
# gradients, so both grow with the batch. The weights, their gradients, and the values that the optimizer keeps exist
# once, whatever the batch is.
#
# So expect a straight line: `peak = a + b x batch`. Three runs with small batches are enough to see it. The next cell
# calls `notebook.run` in a loop: it does the same as `%%sandbox`, with code given as text.

# %% tags=["explain"]
from course_utils import notebook


def measured(code, batch_size, after):
    """Run the code with this batch size in a sandbox, after the cells with these names; return its outcome."""
    code = code.replace("BATCH_SIZE", str(batch_size))
    return notebook.run(code, after=after, budget_mib=512, cap_mib=1024, time_limit=120)


one_epoch = "history = model.fit(x, y, batch_size=BATCH_SIZE, verbose=0)"
small = {batch_size: measured(one_epoch, batch_size, "network") for batch_size in (16, 32, 64)}
for batch_size, outcome in small.items():
    print(f"batch of {batch_size}: {outcome.peak_mib:.0f} MiB")

# %% [markdown]
# Now the line through these three points, and the arithmetic of its slope. One picture needs
#
# - its pixels as `float32`, before and after the rescaling, and the output of each convolution: all kept from the
#   forward pass;
# - on the way back, two more arrays of the size of the widest output: its gradient before and after the ReLU.

# %% tags=["explain"]
import numpy as np

b, a = np.polyfit(list(small), [outcome.peak_mib for outcome in small.values()], 1)
print(f"peak = {a:.0f} MiB + {b:.2f} MiB x batch")

rows = {
    "pixels, raw and rescaled": 2 * 96 * 96 * 3,
    "output of convolution 1": 94 * 94 * 32,
    "output of convolution 2": 46 * 46 * 32,
    "output of convolution 3": 22 * 22 * 32,
    "gradients of the widest": 2 * 94 * 94 * 32,
}
for name, values in rows.items():
    print(f"{name:<26}{values * 4 / 2**20:6.2f} MiB per picture")
expected = sum(rows.values()) * 4 / 2**20
print(f"{'expected slope':<26}{expected:6.2f} MiB per picture")
print(f"{'measured slope':<26}{b:6.2f} MiB per picture ({100 * (b - expected) / expected:+.1f}%)")

# %% [markdown]
# The intercept `a` is the cost that every batch has: the pixels and the copy that `fit` makes of them, the weights, and
# the graph that TensorFlow builds. The parameters you computed at the start are a tiny part of it.
#
# The crash is now no surprise: put its batch into the line.

# %% tags=["explain"]
print(f"A batch of 300 would need about {a + b * 300:,.0f} MiB; it was killed at {crash.peak_mib:.0f} MiB.")

# %% [markdown]
# ## Fix it, step by step
#
# ### Step 1: the largest batch that fits
#
# Solve the line for the batch. Leave five percent of the budget free: the line goes through only three points, and
# allocators round up. Then check with one more run.

# %%
largest = int((0.95 * 512 - a) // b)
predicted = a + b * largest
check = measured(one_epoch, largest, "network")
error = 100 * (predicted - check.peak_mib) / check.peak_mib
print(f"Largest batch for 512 MiB: {largest}")
print(f"predicted {predicted:.0f} MiB, measured {check.peak_mib:.0f} MiB: {error:+.1f}%")
print("It fits." if check.peak_mib <= 512 else "It does not fit: leave more room.")
runs = {f"batch of {batch_size}": outcome for batch_size, outcome in small.items()} | {f"batch of {largest}": check}
notebook.compare(runs, alt="Memory over time of one epoch at four batch sizes")

# %% [markdown]
# Such a line holds for one model at one input size. Draw it again when you change either. Take your points where the
# batch is a good part of the peak: with tiny batches, other costs may decide it.

# %% [markdown]
# ### Step 2: watch memory while training
#
# In a notebook of your own there is no sandbox. The usual tool is a Keras callback that asks `psutil` for the resident
# memory of the process. Resident memory also counts pages of library files: pieces of them that the operating system
# holds in memory, and can drop and read again. So the next cell notes two numbers after each batch: all resident
# memory, and the rest without those pages. psutil reports the second only on Linux, which includes Colab.

# %%
# %%sandbox --budget 512 --name memory
import keras
import numpy as np
import psutil


def memory_mib():
    """Resident memory of this process, with pages of files and without them."""
    memory = psutil.Process().memory_info()
    return np.array([memory.rss, memory.rss - memory.shared]) / 2**20


class MemoryLog(keras.callbacks.Callback):
    """Notes the memory after each batch."""

    def on_train_begin(self, logs=None):
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(memory_mib())


before = memory_mib()

# %% [markdown]
# The next cell runs after `memory` and then `network`, so `before` is the memory of a process without the data and the
# model. `report` passes numbers from a sandbox to its card and to later cells.

# %%
# %%sandbox --budget 512 --into watched --after memory,network
log = MemoryLog()
history = model.fit(x, y, batch_size=64, verbose=0, callbacks=[log])
seen = np.array(log.seen) - before
for batch, (resident, own) in enumerate(seen, start=1):
    print(f"after batch {batch}: resident {resident:.0f} MiB, without pages of files {own:.0f} MiB")
report(resident_mib=round(seen[:, 0].max()), own_mib=round(seen[:, 1].max()), lowest_mib=round(seen[:, 1].min()))

# %%
for name, key in (("Resident memory", "resident_mib"), ("Without pages of files", "own_mib")):
    share = 100 * watched.values[key] / watched.peak_mib
    print(f"{name}: {watched.values[key]} MiB, {share:.0f}% of the {watched.peak_mib:.0f} MiB measured by the sandbox.")

# %% [markdown]
# After a batch its activations are free, and yet the number hardly goes down: the process keeps the freed memory for
# the next step. That is why a look after each batch is enough to see the peak here. The first batch alone is not
# enough: TensorFlow adds buffers in the next ones, and a smaller last batch can add more. So watch a whole epoch and
# take the maximum. If it still grows from epoch to epoch, look for a leak.

# %% [markdown]
# ### Step 3: batch size, speed and accuracy
#
# A batch that fits is not yet a good one. Here is a model that learns quickly, trained for two epochs at three batch
# sizes. Speed is measured in the second epoch, when the graph exists. Scans per second tell how long you wait. Scans
# per processor second hardly depend on other programs on the machine. Accuracy is measured on scans of other
# handwriting. One training says little about it, so each batch size is trained three times, from different random
# weights.

# %%
scans.load("train", count=600, size=64)
scans.load("validation", count=300, size=64)
two_epochs = """
import time

x, y = load("train", 600, 64)
accuracies = []
for seed in range(3):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.layers.Input((64, 64, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(16, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=BATCH_SIZE, verbose=0)
    start, start_of_work = time.perf_counter(), time.process_time()
    model.fit(x, y, batch_size=BATCH_SIZE, verbose=0)
    seconds, processor_seconds = time.perf_counter() - start, time.process_time() - start_of_work
    accuracies.append(model.evaluate(*load("validation", 300, 64), batch_size=BATCH_SIZE, verbose=0)[1])
report(
    steps=2 * -(-len(x) // BATCH_SIZE),
    scans_per_second=round(len(x) / seconds),
    scans_per_processor_second=round(len(x) / processor_seconds),
    accuracy=round(sum(accuracies) / 3, 3),
    _lowest=min(accuracies),
    _highest=max(accuracies),
)
"""
trained = {batch_size: measured(two_epochs, batch_size, "loading") for batch_size in (8, 32, 128)}
notebook.compare(
    {f"batch of {batch_size}": outcome for batch_size, outcome in trained.items()},
    alt="Memory over time of two epochs at three batch sizes",
)
for batch_size, outcome in trained.items():
    lowest, highest = outcome.values["_lowest"], outcome.values["_highest"]
    print(f"batch of {batch_size:>3}: accuracy from {lowest:.0%} to {highest:.0%} in three trainings")

# %% [markdown]
# The same number of epochs is a very different number of steps, and the weights change once per step. With a large
# batch you need more epochs or a larger learning rate, and it pays only if each epoch is that much faster. Compare the
# columns: how many times fewer are the steps in the last row, and how many times higher is the speed? On a GPU the
# speed may rise much more; this page was not run on one. And look at the last lines: two trainings that differ in
# nothing but their first weights can be this far apart, so do not read much into a smaller difference.

# %% [markdown]
# ### Step 4: when a smaller batch does not help
#
# Here are three other crashes that come up in practice. In each of them, something other than the batch fills the
# memory. You see each with a batch of 64 and with a batch of 16.

# %%
whole_array = """
paths = sorted(scans.load("train", count=300, size=96).glob("*/*.jpg"))
x = np.array([np.asarray(Image.open(path)) / 255 for path in paths])
y = np.array([int(path.parent.name) for path in paths])
model = keras.Sequential([keras.layers.GlobalMaxPooling2D(), keras.layers.Dense(10, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(x, y, batch_size=BATCH_SIZE, verbose=0)
"""
wide_layer = """
x = np.zeros((64, 96, 96, 3), dtype="uint8")
y = np.zeros(64, dtype="int32")
model = keras.Sequential(
    [
        keras.layers.Flatten(),
        keras.layers.Dense(512, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(x, y, batch_size=BATCH_SIZE, verbose=0)
"""
shuffle_buffer = """
folder = scans.load("train", count=1000, size=64)
dataset = keras.utils.image_dataset_from_directory(folder, image_size=(128, 128), batch_size=None, verbose=False)
dataset = dataset.shuffle(1000).batch(BATCH_SIZE)
model = keras.Sequential([keras.layers.GlobalMaxPooling2D(), keras.layers.Dense(10, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(dataset, verbose=0)
"""
others = {
    "one batch of activations": {64: small[64], 16: small[16]},
    "the whole data set as float64": {size: measured(whole_array, size, "loading") for size in (64, 16)},
    "Flatten into a wide Dense layer": {size: measured(wide_layer, size, "loading") for size in (64, 16)},
    "a shuffle buffer of all the pictures": {size: measured(shuffle_buffer, size, "loading") for size in (64, 16)},
}
saved = {name: 1 - pair[16].peak_mib / pair[64].peak_mib for name, pair in others.items()}
print(f"{'the memory is filled by':<38}{'batch of 64':>12}{'batch of 16':>12}{'saved':>8}")
for name, pair in others.items():
    print(f"{name:<38}{pair[64].peak_mib:>8.0f} MiB{pair[16].peak_mib:>8.0f} MiB{saved[name]:>8.0%}")

# %% [markdown]
# Only in the first line of this table does the batch fill the memory. Ask in every crash: does the thing that is too
# large grow with the batch? If the post-mortem names a line before `fit`, or a shape whose first number is not your
# batch, the answer is no.

# %% [markdown]
# ## What people say

# %% tags=["claims"]
half = small[32].peak_mib / small[64].peak_mib
faster, for_its_work = (
    trained[128].values[speed] / trained[8].values[speed]
    for speed in ("scans_per_second", "scans_per_processor_second")
)
fewer_steps = trained[8].values["steps"] / trained[128].values["steps"]
accuracies = {size: outcome.values["accuracy"] for size, outcome in trained.items()}
with_files, own = (watched.values[key] / watched.peak_mib for key in ("resident_mib", "own_mib"))
kept = watched.values["lowest_mib"] / watched.peak_mib
unhelped = [name for name, share in saved.items() if share < 0.25]
notebook.claims(
    [
        (
            "A smaller batch always fixes it.",
            f"64 to 16 saves less than a quarter in {len(unhelped)} of {len(saved)} cases: {', '.join(unhelped)}",
            "true" if not unhelped else "depends: on whether the activations of a batch fill the memory",
        ),
        (
            "Half the batch needs half the memory.",
            f"32 instead of 64: {half:.0%} of the peak",
            "true" if half < 0.53 else "half true: half of the part that grows, and all of the rest",
        ),
        (
            "A model with few parameters needs little memory.",
            f"{parameters * 4 / 2**20:.1f} MiB of parameters, {small[64].peak_mib:.0f} MiB at a batch of 64",
            "false" if small[64].peak_mib > 20 * parameters * 4 / 2**20 else "half true",
        ),
        (
            "A larger batch trains faster.",
            f"128 against 8: {faster:.1f} times the scans per second ({for_its_work:.1f} times per processor second), "
            f"and {fewer_steps:.0f} times fewer steps",
            "half true: more scans per second, but not more learning"
            if max(faster, for_its_work) > 1.2
            else "depends: not on this processor",
        ),
        (
            "The batch size does not change the result.",
            "mean of three: " + ", ".join(f"{share:.0%} at {size}" for size, share in accuracies.items()),
            "false" if trained[8].values["_lowest"] > trained[128].values["_highest"] else "half true",
        ),
        (
            "A callback with psutil shows the peak.",
            f"resident memory: {with_files:.0%} of it; without pages of files: {own:.0%}",
            "true" if abs(with_files - 1) < 0.05 else "half true: leave out pages of files and watch a whole epoch",
        ),
        (
            "Between two steps the memory is free again.",
            f"after a batch the process never holds less than {kept:.0%} of the peak",
            "false: free for the next step, not for others" if kept > 0.7 else "half true",
        ),
    ]
)

# %% [markdown]
# ## Your turn
#
# Write `train(folder)`. The folder holds {{train_count}} scans of {{image_size}} x {{image_size}} pixels, as
# `folder/<class 0..9>/*.jpg`. Return a trained Keras model. `load` and `build` are there for you: the model of step 3,
# which you may change.
#
# - **Memory:** at most {{budget_mib}} MiB above the baseline. A run is killed at twice that.
# - **Accuracy:** at least {{floor}} on {{hidden_count}} scans that you do not have.
# - **Time:** at most {{time_limit}} seconds, training and grading together.
#
# The first try that comes to mind, a batch of 512, is killed. When you have passed, look at the seconds on the card:
# **can you beat them?** How fast can you get, within the same budget and above the same floor?
# `%course hint {{number}}` gives a hint.

# %% tags=["graded"]
# %%graded 02
import keras
import numpy as np
from PIL import Image


def load(folder):
    """All scans as uint8, shape (scans, height, width, 3), and their classes."""
    paths = sorted(folder.glob("*/*.jpg"))
    x = np.stack([np.asarray(Image.open(path)) for path in paths])
    return x, np.array([int(path.parent.name) for path in paths])


def build():
    """A model that takes raw pixels from 0 to 255."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.layers.Input((64, 64, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(16, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def train(folder):
    """Train on folder/<class>/*.jpg and return a Keras model that takes raw pixels from 0 to 255."""
    # STARTER: Load the scans, build the model, and fit it with a batch that fits the budget.
    # BEGIN SOLUTION
    x, y = load(folder)
    model = build()
    model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=32, epochs=4, verbose=2)
    return model
    # END SOLUTION


# %% [markdown] tags=["solution"]
# ## Why it works
#
# The scans stay bytes, and there are only {{train_count}} of them. The batch decides the rest of the peak. Each picture
# brings the outputs of the layers, which the backward pass needs again, and the gradients of the widest output.

# %% tags=["solution"]
from course_utils import labs

lab = labs.get("02")
data_mib = lab.train_count * lab.image_size**2 * 3 / 2**20
sizes = {  # of the outputs for one picture, in numbers
    "pixels, raw and rescaled": 2 * 64 * 64 * 3,
    "convolution 1, then normalized": 2 * 62 * 62 * 16,
    "convolution 2, then normalized": 2 * 29 * 29 * 32,
    "convolution 3, then normalized": 2 * 12 * 12 * 64,
    "gradients of the widest": 2 * 62 * 62 * 16,
}
picture_mib = sum(sizes.values()) * 4 / 2**20
print(f"The scans as bytes: {data_mib:.1f} MiB, and as much again for the copy that fit makes of them.")
print(f"One picture in the batch: at least {picture_mib:.2f} MiB.")
for batch_size in (32, 128, 512):
    print(f"A batch of {batch_size}: at least {batch_size * picture_mib:.0f} MiB.")

# %% [markdown] tags=["solution"]
# These are only the arrays that you can read off the model. TensorFlow needs more within a step, so measure the line as
# in the lab before you trust it. The weights and the two averages that Adam keeps for each of them are too small to
# see. A batch of 32 gives enough steps to pass the floor in four epochs.
#
# ## What else would pass
#
# - A batch of 64 with one epoch more. Each picture costs the same as before, so the activations cost twice as much.
# - A batch of 8 with two epochs. It needs the least memory, and two epochs give as many steps as eight epochs at a
#   batch of 32.
# - `keras.utils.image_dataset_from_directory` with a batch of 32. Then the data set is not in memory at all, and its
#   two copies are saved, but the files are read again in each epoch.
# - `strides=2` in the first convolution. Its output is then a quarter as large, and a step is faster. That makes room
#   for a batch of 64 and for six epochs.

# %% [markdown] tags=["own"]
# ## In your own notebook
#
# TensorFlow counts the memory of its own tensors. Let it count a few steps at each batch size, and draw the line. Here
# `model` is your compiled model, and `x` and `y` are your data. Nothing of the course is needed.
#
# ```python
# import tensorflow as tf
#
# device = "GPU:0" if tf.config.list_physical_devices("GPU") else "CPU:0"
# for batch_size in (8, 16, 32):
#     tf.config.experimental.reset_memory_stats(device)
#     for _ in range(8):
#         model.train_on_batch(x[:batch_size], y[:batch_size])
#     peak = tf.config.experimental.get_memory_info(device)["peak"]
#     print(f"batch of {batch_size}: {peak / 2**20:.0f} MiB")
# ```
#
# **With a GPU:** the same lines read its memory. On the CPU, small tensors are left out, and so is everything that is
# not TensorFlow's.

# %% [markdown] tags=["summary"]
# ## Summary
#
# - Activations and their gradients grow with the batch. Weights, gradients of weights, optimizer and data do not.
# - `peak = a + b x batch`: measure a few small batches, solve for the largest, leave some room, check.
# - A callback with `psutil` shows the peak, if you leave out pages of files and watch a whole epoch.
# - A larger batch means fewer steps per epoch, and a very small one gives noisy steps: choose by accuracy, not by what
#   fits. On a processor the speed of a large batch does not make up for its few steps.
# - A smaller batch fixes a crash only if the batch caused it.
#
# To remember: {{takeaway}}

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Open the answer that you would give.
#
# **1. A run peaks at 300 MiB with a batch of 20, and at 500 MiB with a batch of 40. What does a batch of 80 need?**
#
# - [ ] 1,000 MiB :: That would be right if everything grew with the batch. Part of the 500 MiB does not.
# - [x] 900 MiB :: The slope is 10 MiB per picture, and the line starts at 100 MiB.
# - [ ] 700 MiB :: From 40 to 80 there are forty more pictures, not twenty.
#
# **2. Which of these is the same at every batch size?**
#
# - [ ] The output of the first convolution :: It has one entry for each picture of the batch.
# - [x] The two averages that Adam keeps for each weight :: They have the shape of the weights, and
#   the batch is no part of it.
# - [ ] The gradient of a layer's output :: It has the shape of the output, so it grows too.
#
# **3. Training is killed at a batch of 32, and at a batch of 1 at nearly the same peak. What next?**
#
# - [ ] Keep the batch of 1 and lower the learning rate :: That changes the learning, and not the size of any array.
# - [x] Look for what does not grow with the batch: the data, a buffer, a wide layer :: The line is flat here, so `a` is
#   the problem.
# - [ ] Train for fewer epochs :: The peak is reached within the first step.
#
# **4. A step is over and its activations are free. Why does `psutil` still show the peak?**
#
# - [ ] Keras keeps the activations of all steps :: Then the number would grow with every batch.
# - [x] The process keeps the freed memory for the next step :: Giving it back and asking again would take time.
# - [ ] `psutil` shows the highest value since the start :: It shows the memory of the process at that moment.

# %% tags=["versions"]
notebook.versions(seed=0)
