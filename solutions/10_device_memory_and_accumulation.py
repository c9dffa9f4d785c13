# %% [markdown]
# # Device memory and gradient accumulation
#
# A recipe uses a batch of 256, and your device is too small for it. In this lab you train with the large batch anyway:
# you collect the same gradient from small batches, in the memory of a small batch. You also learn how the memory of a
# GPU is different.
#
# **Objectives**
#
# - Collect the gradient of a large batch from micro-batches: with one argument of Keras, and with a loop of your own.
# - Check that the gradient is the same, and name the two cases in which it is not.
# - Measure how much rematerialization saves, and know why it often saves nothing.
# - Know how TensorFlow takes GPU memory, and understand its errors.
#
# **Prerequisites**
#
# - You know that the peak of a training step grows with the batch (lab 02).
# - You have seen a gradient tape. You need no GPU.

# %% [markdown]
# ## The recipe
#
# Somebody found a recipe that works: 2,048 scans of 48 x 48 pixels, the small convolutional network below, Adam at a
# learning rate of 0.003, and a **batch of 256**. Your device is small. It has 192 MiB for the training. The budget of
# the sandbox stands in for it, because on a CPU the device's memory is the machine's memory.
#
# Load the scans once, so that drawing them is not part of a measurement.

# %%
from course_utils import scans

folder = scans.load("train", count=2048, size=48)
print(f"{len(list(folder.glob('*/*.jpg')))} scans are ready.")

# %% [markdown]
# Every sandboxed cell starts in an empty process. `--name` gives a cell a name. A later cell that lists this name in
# `--after` runs the named cell first, in its own process. Both count toward the peak. The rest of the lab shares the
# next three cells: the imports, the network, and a quarter of the scans.

# %%
# %%sandbox --budget 192 --name start
import time

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from course_utils import scans
from course_utils.sandbox.inside import report

# %%
# %%sandbox --budget 192 --name network --after start
keras.utils.set_random_seed(0)
model = keras.Sequential(
    [
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(32, 5, padding="same", activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(64, 3, activation="relu"),
        keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dense(10, activation="softmax"),
    ]
)

# %%
# %%sandbox --budget 192 --name pictures --after network
paths = sorted(scans.load("train", count=2048, size=48).glob("*/*.jpg"))[::4]
x = np.stack([np.asarray(Image.open(path)) for path in paths])
y = np.array([int(path.parent.name) for path in paths])

# %% [markdown] tags=["predict"]
# ## Predict
#
# The cell below trains for two steps with the batch of the recipe. The largest output in the network is that of the
# first convolution: 48 x 48 x 32 numbers of 4 bytes, for each of 256 images. Training keeps this output and all outputs
# after it, and needs gradients of that size in the backward pass.
#
# How many MiB will the run need at its peak? Write your number after `--predict`, in place of the 100, and run the
# cell.

# %% [markdown]
# ## Crash

# %% tags=["crash"]
# %%sandbox --budget 192 --predict 100 --into crash --after pictures
model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy")
history = model.fit(x, y, batch_size=256, verbose=0)

# %% [markdown]
# The run died inside a training step: the scans are small, but the batch is not.

# %% [markdown]
# ## Explain
#
# Run the same lines with two batch sizes and enough room. The next cell adds a setting. TensorFlow normally works on
# several operations at a time where it can, and the peak depends on which of them happen to run together. With one
# operation at a time, you can compare two runs. The peak is a little lower, too. Both runs train for three epochs: the
# worst moment of a step is short, and this gives the meter more than one chance to see it.

# %% tags=["explain"]
# %%sandbox --budget 192 --name one_at_a_time --after start
tf.config.threading.set_inter_op_parallelism_threads(1)

# %% tags=["explain"]
# %%sandbox --budget 768 --into batch_64 --after one_at_a_time,pictures
model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy")
history = model.fit(x, y, batch_size=64, epochs=3, verbose=0)

# %% tags=["explain"]
# %%sandbox --budget 768 --into batch_256 --after one_at_a_time,pictures
model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy")
history = model.fit(x, y, batch_size=256, epochs=3, verbose=0)

# %% [markdown]
# The weights, the optimizer, and TensorFlow itself cost the same in both. The images make the difference: training
# keeps the output of every layer until it has the gradients. In the backward pass, the worst moment is at the first
# convolution. Two gradients as large as its output are alive there: one from the pooling after it, and one from its
# ReLU.

# %% tags=["explain"]
outputs = {
    "rescaled scan": 48 * 48 * 3,
    "first convolution": 48 * 48 * 32,
    "its pooling": 24 * 24 * 32,
    "second convolution": 24 * 24 * 32,
    "its pooling ": 12 * 12 * 32,
    "third convolution": 10 * 10 * 64,
    "two gradients": 2 * 48 * 48 * 32,
}
for name, count in outputs.items():
    print(f"{name:<20}{count * 4 / 2**20:6.3f} MiB per image")
weights = (5 * 5 * 3 + 1) * 32 + (3 * 3 * 32 + 1) * 32 + (3 * 3 * 32 + 1) * 64 + (64 + 1) * 10
expected = sum(outputs.values()) * 4 / 2**20
measured = (batch_256.peak_mib - batch_64.peak_mib) / (256 - 64)
print(f"expected {expected:.2f} MiB per image, measured {measured:.2f}: {100 * (measured / expected - 1):+.1f}%")
print(f"expected {expected * 256:.0f} MiB for 256 images; for all {weights:,} weights {weights * 4 / 2**20:.2f} MiB")

# %% [markdown]
# The weights take almost nothing, and the images take almost everything. So hold fewer images at a time. The question
# is how to do that **without changing the training itself**.
#
# ## Fix it, step by step
#
# ### Step 1: a smaller batch
#
# The obvious step is a batch of 16. It fits. But it is a different recipe: sixteen times as many updates, each from a
# sixteenth of the images.

# %%
# %%sandbox --budget 192 --into small --after one_at_a_time,pictures
model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy")
history = model.fit(x, y, batch_size=16, verbose=0)

# %% [markdown]
# ### Step 2: let Keras accumulate
#
# A batch's gradient is the mean of its images' gradients. So you can collect it: run a micro-batch of 16, add its
# gradient to a total, forget everything else, and take the next micro-batch. After 16 of them, divide the total, and
# update the weights **once**. That is one update for 256 images, the *effective* batch.
#
# In Keras this takes one argument of the optimizer.

# %%
# %%sandbox --budget 192 --into accumulated --after one_at_a_time,pictures
optimizer = keras.optimizers.Adam(0.003, gradient_accumulation_steps=16)
model.compile(optimizer, "sparse_categorical_crossentropy")
history = model.fit(x, y, batch_size=16, verbose=0)

# %% [markdown]
# ### Step 3: accumulate by hand
#
# Here is the same thing in a loop of your own, for when you need to see every step. Look at the code inside the tape:
# it handles **one** micro-batch. A tape keeps all the outputs that it sees, so a tape around the whole loop would keep
# the outputs of all 256 images.

# %%
# %%sandbox --budget 192 --into by_hand --after one_at_a_time,pictures
model.build((None, 48, 48, 3))
optimizer = keras.optimizers.Adam(0.003)
optimizer.build(model.trainable_variables)
loss_function = keras.losses.SparseCategoricalCrossentropy()
totals = [tf.Variable(tf.zeros_like(weight)) for weight in model.trainable_variables]
micro_batches = 16


@tf.function
def add_micro_batch(images, labels):
    """Add one micro-batch's share of the mean gradient."""
    with tf.GradientTape() as tape:
        loss = loss_function(labels, model(images, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    for total, gradient in zip(totals, gradients, strict=True):
        total.assign_add(gradient / micro_batches)


@tf.function
def update():
    """Change the weights once, and start again from zero."""
    optimizer.apply_gradients(zip(totals, model.trainable_variables, strict=True))
    for total in totals:
        total.assign(tf.zeros_like(total))


order = np.random.default_rng(0).permutation(len(x))
for number, start in enumerate(range(0, len(x), 16), start=1):
    rows = order[start : start + 16]
    add_micro_batch(tf.constant(x[rows]), tf.constant(y[rows]))
    if number % micro_batches == 0:
        update()

# %% [markdown]
# ### The steps side by side

# %%
from course_utils import notebook

steps = {
    "batch of 256": batch_256,
    "batch of 16": small,
    "16 x 16 by Keras": accumulated,
    "16 x 16 by hand": by_hand,
}
notebook.compare(steps, alt="Memory over time of a large batch, a small one, and two ways to accumulate")
extra = accumulated.peak_mib - small.peak_mib
print(f"Accumulating in Keras costs {extra:+.0f} MiB compared with the batch of 16.")
print(f"The totals take one number per weight, {weights * 4 / 2**20:.2f} MiB here; the rest is a larger graph.")

# %% [markdown]
# Compare the memory here, not the times: the batch of 256 ran for three epochs, the others for one. The loop by hand
# may need even less than the batch of 16, because `fit` adds a data pipeline and a larger graph of its own.
#
# In a model with many weights and small outputs, it is the other way around: the totals are one more copy of all
# weights, in addition to the two that Adam has. Work out the sizes before you accumulate.
#
# ### Step 4: is it the same gradient?
#
# Do not take it on trust; check it. The next cell takes 64 images, and compares the gradient of all of them at once
# with the mean over four micro-batches of 16. It does so for a plain network, for micro-batches of unequal size, and
# for a network with batch normalization. Then it compares the weights after one update by Keras. Each figure is the
# length of the difference, divided by the length of the right answer.

# %%
# %%sandbox --budget 768 --into checked --after start
paths = sorted(scans.load("train", count=2048, size=48).glob("*/*.jpg"))[::32]
x = np.stack([np.asarray(Image.open(path)) for path in paths])
y = np.array([int(path.parent.name) for path in paths])
order = np.random.default_rng(0).permutation(len(x))
x, y = x[order], y[order]


def build(normalize=False):
    keras.utils.set_random_seed(0)
    middle = [keras.layers.BatchNormalization()] if normalize else []
    model = keras.Sequential(
        [
            keras.layers.Input((48, 48, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
            *middle,
            keras.layers.Conv2D(32, 3, strides=2, activation="relu"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    return model


def gradient(model, rows):
    """Return the gradient of the mean loss over these rows, as one long array."""
    with tf.GradientTape() as tape:
        answers = model(tf.constant(x[rows]), training=True)
        loss = keras.losses.SparseCategoricalCrossentropy()(y[rows], answers)
    return flat(tape.gradient(loss, model.trainable_variables))


def flat(arrays):
    return np.concatenate([np.ravel(array) for array in arrays])


def difference(found, right):
    return float(np.linalg.norm(found - right) / np.linalg.norm(right))


def mean(model, parts):
    return np.mean([gradient(model, rows) for rows in parts], axis=0)


whole = slice(0, 64)
equal = [slice(start, start + 16) for start in range(0, 64, 16)]
unequal = [slice(0, 48), slice(48, 64)]
plain, normalized = build(), build(normalize=True)

updated = []
for rows, optimizer in (
    ([whole], keras.optimizers.SGD(0.1)),
    (equal, keras.optimizers.SGD(0.1, gradient_accumulation_steps=4)),
):
    model = build()
    before = flat(model.get_weights())
    model.compile(optimizer, "sparse_categorical_crossentropy")
    for part in rows:
        model.train_on_batch(x[part], y[part])
    updated.append(flat(model.get_weights()) - before)

report(
    equal_parts=difference(mean(plain, equal), gradient(plain, whole)),
    unequal_parts=difference(mean(plain, unequal), gradient(plain, whole)),
    batch_normalization=difference(mean(normalized, equal), gradient(normalized, whole)),
    update_by_keras=difference(updated[1], updated[0]),
)

# %%
for name, value in checked.values.items():
    said = "the same, up to rounding" if value < 1e-4 else "not the same"
    print(f"{name.replace('_', ' '):<22}{value:10.1e}   {said}")

# %% [markdown]
# - **Micro-batches of unequal size** must be weighted by their size: a mean of means is not the mean. This usually
#   happens in the last batch of an epoch. Choose an effective batch that divides the number of images evenly, or drop
#   the remainder.
# - **Batch normalization** normalizes by the micro-batch, because that is all it sees. Group or layer normalization
#   works within one image, so it makes no difference there.
#
# Keras keeps counting across the end of an epoch. When the number of micro-batches is not a multiple of
# `gradient_accumulation_steps`, the next epoch begins with a total that is already partly filled.
#
# ### Step 5: keep less of each image
#
# The other way to a smaller step is **rematerialization**, also called *activation checkpointing*: forget the outputs
# in the forward pass, and compute them again in the backward pass. `keras.RematScope` does this for the layers that you
# make inside it. The next cells train the same nine convolutions on a batch of 64: without it, with every layer in the
# scope, and with three blocks of three convolutions, each block a layer of its own. They share the batch and the
# training loop:

# %%
# %%sandbox --budget 192 --name nine_layers --after one_at_a_time
keras.utils.set_random_seed(0)
x = np.random.default_rng(0).integers(0, 256, (64, 48, 48, 3)).astype("uint8")
y = np.arange(64) % 10


def train_with(layers):
    ends = [keras.layers.GlobalMaxPooling2D(), keras.layers.Dense(10, activation="softmax")]
    model = keras.Sequential([keras.layers.Input((48, 48, 3)), keras.layers.Rescaling(1 / 255), *layers, *ends])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.train_on_batch(x, y)
    start = time.perf_counter()
    for _ in range(3):
        loss = model.train_on_batch(x, y)
    report(seconds_a_step=(time.perf_counter() - start) / 3, loss=float(loss))


# %%
# %%sandbox --budget 768 --into kept --after nine_layers
train_with([keras.layers.Conv2D(16, 3, padding="same", activation="relu") for _ in range(9)])

# %%
# %%sandbox --budget 768 --into each_layer --after nine_layers
with keras.RematScope(mode="full"):
    layers = [keras.layers.Conv2D(16, 3, padding="same", activation="relu") for _ in range(9)]
train_with(layers)


# %%
# %%sandbox --budget 768 --into blocks --after nine_layers
class Block(keras.layers.Layer):
    """Three convolutions that are kept, or forgotten, together."""

    def __init__(self, layers):
        super().__init__()
        self.layers = layers

    def build(self, shape):
        for layer in self.layers:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)

    def call(self, images):
        for layer in self.layers:
            images = layer(images)
        return images


convolutions = [keras.layers.Conv2D(16, 3, padding="same", activation="relu") for _ in range(9)]
with keras.RematScope(mode="full"):
    layers = [Block(convolutions[start : start + 3]) for start in (0, 3, 6)]
train_with(layers)

# %%
recomputed = {"all outputs kept": kept, "each layer in the scope": each_layer, "blocks in the scope": blocks}
notebook.compare(recomputed, alt="Memory over time without rematerialization, layer by layer, and block by block")
for name, outcome in list(recomputed.items())[1:]:
    memory = outcome.peak_mib / kept.peak_mib - 1
    time_a_step = outcome.values["seconds_a_step"] / kept.values["seconds_a_step"] - 1
    print(f"{name}: {100 * memory:+.0f}% memory, {100 * time_a_step:+.0f}% time per step")

# %% [markdown]
# A layer in the scope keeps its input and forgets everything inside. A convolution has hardly anything inside: its
# input is the output of the layer before, and that output is kept. The second computation needs room of its own, so the
# peak can even rise. A block forgets the outputs *between* its layers, and those outputs take most of the memory. So
# put the scope around **blocks**, and make their inner layers before the scope begins: a layer made in the scope would
# be recomputed once more by itself.
#
# The cost is a second forward pass. Its share of a step's time depends on the machine and on the other work there, so
# treat the time percentages above as rough.
#
# ## On a GPU
#
# A GPU has a memory of its own, and TensorFlow treats it in its own way. The cells of this section need a GPU. Without
# one, each prints a sentence. **They last ran on a GPU at commit 5556f52, and this page was made without one.** So
# check the statements here yourself: in Colab, choose **Runtime > Change runtime type** and a GPU, and run the lab
# again. The page *On a GPU* of the course's site has what they showed.

# %%
import os
import shutil
import subprocess
import sys

SKIPPED = "Skipped: this cell needs a GPU, and there is none here."
has_gpu = shutil.which("nvidia-smi") is not None and subprocess.run(["nvidia-smi"], capture_output=True).returncode == 0
if has_gpu:
    query = ["nvidia-smi", "--query-gpu=name,memory.total,memory.used", "--format=csv"]
    print(subprocess.run(query, capture_output=True, text=True).stdout)
else:
    print(SKIPPED)

# %% [markdown]
# ### It takes everything at once
#
# With its first operation, TensorFlow takes nearly all the memory of the GPU as a pool. A part of TensorFlow called the
# **allocator** then hands out memory from this pool. So `nvidia-smi` shows a full GPU even for a small model, and a
# second process finds no memory left. With **memory growth** the pool starts small. Colab turns it on for you: it sets
# the environment variable `TF_FORCE_GPU_ALLOW_GROWTH` to `true`, and the sandbox passes that on. On another machine,
# write this right after the import:
#
# ```python
# for gpu in tf.config.list_physical_devices("GPU"):
#     tf.config.experimental.set_memory_growth(gpu, True)
# ```
#
# The cell below starts two processes, the second while the first is still running. It does so twice: first with
# TensorFlow's default, then with growth in both processes. Each process computes one small product and prints the
# memory in use according to `nvidia-smi`. A process that finds no memory left ends with an error, often that a cuBLAS
# handle could not be created. The cell does not show that error.

# %%
program = """
import subprocess, sys
import tensorflow as tf
square = tf.linalg.matmul(tf.ones((1024, 1024)), tf.ones((1024, 1024)))
query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader"]
print("memory in use:", subprocess.run(query, capture_output=True, text=True).stdout.strip(), flush=True)
sys.stdin.readline()
"""
if not has_gpu:
    print(SKIPPED)
else:
    for growth in ("false", "true"):
        environment = {**os.environ, "TF_FORCE_GPU_ALLOW_GROWTH": growth}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        running = []
        for number in ("first", "second"):
            running.append(subprocess.Popen([sys.executable, "-c", program], env=environment, **pipes))
            said = running[-1].stdout.readline().strip() or "ended with an error"
            print(f"growth {growth}, {number} process: {said}")
        for process in running:
            process.communicate("\n")

# %% [markdown]
# ### A small GPU out of a large one
#
# `--gpu-budget 512` makes a **logical device** of 512 MiB before the first operation, as
# `tf.config.set_logical_device_configuration` does in your own code. A batch that is too large then ends in
# `ResourceExhaustedError`. That is an exception: the process goes on, and the message names the shape that did not fit.
# In `fit` and `predict`, which Keras compiles on a GPU, the same crash can come as an `UnknownError` with a long text,
# and the words `RESOURCE_EXHAUSTED: Out of memory` stand near its end.
#
# **Wait for it.** A refused allocation takes ten seconds. TensorFlow waits for memory to be given back, and tries
# again, before it reports the error.
#
# Inside the process, TensorFlow's own count of the pool is more useful than `nvidia-smi`: `get_memory_info` gives the
# memory in use now and the peak so far. The budget of 8,192 MiB is for the machine's own memory, and it is far more
# than the cell needs. A GPU takes some of that memory too: for the driver, which is part of the baseline, and for
# compiling a model, which is not.

# %%
# %%sandbox --budget 8192 --gpu-budget 512 --into on_gpu
import tensorflow as tf

if not tf.config.list_physical_devices("GPU"):
    print("Skipped: this cell needs a GPU, and there is none here.")
else:
    small = tf.ones((1024, 1024))
    small += 1
    print(tf.config.experimental.get_memory_info("GPU:0"))
    images = tf.ones((512, 48, 48, 3))
    outputs = tf.nn.conv2d(images, tf.ones((5, 5, 3, 128)), strides=1, padding="SAME")

# %% [markdown]
# ### `Dst tensor is not initialized`
#
# This message hides its meaning. `fit` turns a NumPy array into **one tensor on the GPU**, the whole data set at once.
# When that tensor does not fit, the copy fails with these words, at any batch size. Pass batches instead, with a
# `PyDataset` or `tf.data`.

# %%
# %%sandbox --budget 8192 --gpu-budget 512 --into copied
import keras
import numpy as np
import tensorflow as tf

if not tf.config.list_physical_devices("GPU"):
    print("Skipped: this cell needs a GPU, and there is none here.")
else:
    x = np.ones((8000, 96, 96, 3), dtype="float32")
    y = np.zeros(8000)
    model = keras.Sequential([keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(x, y, batch_size=1, steps_per_epoch=1, verbose=0)

# %% [markdown]
# ### Enough memory in total, but in pieces
#
# A pool can have enough free memory in total but no free piece that is large enough. This is called **fragmentation**.
# The cell below fills the device with pieces of 1 MiB, gives back every second piece, and asks for 64 MiB at once. Each
# refusal takes its ten seconds. The number that fills the pieces is on the device from the start: once the device is
# full, not even a single number can be copied to it. When fragmentation happens to you, keep shapes the same from batch
# to batch, or set `TF_GPU_ALLOCATOR=cuda_malloc_async` before TensorFlow starts.

# %%
# %%sandbox --budget 8192 --gpu-budget 512 --into fragmented
import tensorflow as tf

if not tf.config.list_physical_devices("GPU"):
    print("Skipped: this cell needs a GPU, and there is none here.")
else:
    one = tf.constant(1.0)
    pieces = []
    try:
        while True:
            pieces.append(tf.fill((512, 512), one))
    except tf.errors.ResourceExhaustedError:
        print(f"Full with {len(pieces)} pieces of 1 MiB.")
    given_back = len(pieces[::2])
    del pieces[::2]
    try:
        large = tf.fill((64, 512, 512), one)
        print(f"64 MiB at once: one piece was large enough, with {given_back} MiB free.")
    except tf.errors.ResourceExhaustedError:
        print(f"64 MiB at once: refused, with {given_back} MiB free.")

# %% [markdown]
# ## What people say
#
# Two more runs test two claims about the batch. Both use a batch of 16 and do not accumulate. The first keeps the
# learning rate of the recipe, and the second has a third of it. A single run depends on chance. Change the seed in the
# cell `network`, and run that cell and these again, to see how reliable the result is.


# %%
# %%sandbox --budget 192 --name both_splits --after network
def load(split, count):
    paths = sorted(scans.load(split, count=count, size=48).glob("*/*.jpg"))
    return np.stack([np.asarray(Image.open(path)) for path in paths]), np.array(
        [int(path.parent.name) for path in paths]
    )


def learn(rate):
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*load("train", 2048), batch_size=16, epochs=2, verbose=0)
    report(accuracy=model.evaluate(*load("validation", 300), batch_size=16, verbose=0)[1])


# %%
# %%sandbox --budget 768 --into same_rate --after both_splits
learn(rate=0.003)

# %%
# %%sandbox --budget 768 --into lower_rate --after both_splits
learn(rate=0.001)

# %% tags=["claims"]
exact, normalized = checked.values["equal_parts"], checked.values["batch_normalization"]
kept_rate, changed_rate = same_rate.values["accuracy"], lower_rate.values["accuracy"]
by_layer, by_block = (outcome.peak_mib / kept.peak_mib - 1 for outcome in (each_layer, blocks))
notebook.claims(
    [
        (
            "Gradient accumulation saves memory.",
            f"batch of 256: {batch_256.peak_mib:.0f} MiB; 16 x 16: {accumulated.peak_mib:.0f} MiB; "
            f"batch of 16: {small.peak_mib:.0f} MiB",
            "half true: the small batch saves it" if small.peak_mib <= accumulated.peak_mib else "true",
        ),
        (
            "Accumulating gives the same gradient as the large batch.",
            f"difference {exact:.0e}; with batch normalization {normalized:.0e}",
            "depends: on layers that look at the whole batch" if normalized > 100 * exact else "true",
        ),
        (
            "You can make the batch smaller and leave the rest as it is.",
            f"batch of 16, two epochs: accuracy {kept_rate:.2f} at the same rate, {changed_rate:.2f} at a third of it",
            "false" if changed_rate - kept_rate > 0.2 else "depends: on the learning rate",
        ),
        (
            "You need a large batch to learn well.",
            f"batch of 16 at a lower rate: accuracy {changed_rate:.2f} after two epochs",
            "false: here the small batch with its own rate does" if changed_rate > 0.75 else "depends: on the recipe",
        ),
        (
            "Rematerialization saves memory.",
            f"layer by layer: {100 * by_layer:+.0f}%; block by block: {100 * by_block:+.0f}%",
            "depends: on the layers in the scope" if by_block < min(by_layer, 0) - 0.1 else "false",
        ),
    ]
)

# %% [markdown]
# So accumulation is not the only solution. Use it when you want *that* recipe, with its learning rate, its schedule,
# and its results. If you are free to choose, a small batch with its own learning rate may be simpler.
#
# ## Your turn
#
# Write `train(folder)` for the recipe of this lab: an effective batch of 256 at a learning rate of 0.003. The folder
# holds {{train_count}} scans of {{image_size}} x {{image_size}} pixels, as `folder/<class 0..9>/*.jpg`. The model and
# the loading are given.
#
# - **Memory:** at most {{budget_mib}} MiB above the baseline. A run is killed at twice that.
# - **Accuracy:** at least {{floor}} on {{hidden_count}} scans that you do not have.
# - **Time:** at most {{time_limit}} seconds, training and grading together. Eight epochs are enough.
#
# The grader uses the CPU, even on a machine with a GPU. Any technique that meets all three limits is right. `%course
# hint {{number}}` gives a hint.

# %% tags=["graded"]
# %%graded 10
import keras
import numpy as np
from PIL import Image


def load(folder):
    """Return pixels from 0 to 255 of shape (count, 48, 48, 3), and labels of shape (count,)."""
    paths = sorted(folder.glob("*/*.jpg"))
    x = np.empty((len(paths), 48, 48, 3), dtype="uint8")
    for index, path in enumerate(paths):
        x[index] = Image.open(path)
    return x, np.array([int(path.parent.name) for path in paths])


def build_model():
    """Return the network of the recipe. It takes raw pixels from 0 to 255."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.layers.Input((48, 48, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(32, 5, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def train(folder):
    """Train build_model() on folder/<class>/*.jpg with an effective batch of 256, and return it."""
    # STARTER: Load the scans, train build_model() on micro-batches that add up to 256 images an update, return it.
    # BEGIN SOLUTION
    x, y = load(folder)
    model = build_model()
    optimizer = keras.optimizers.Adam(0.003, gradient_accumulation_steps=16)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=16, epochs=8, verbose=0)
    return model
    # END SOLUTION


# %% [markdown] tags=["solution"]
# ## Why it works
#
# Only 16 images go through the network at a time, so training holds the outputs of 16 images instead of 256. The
# optimizer adds up 16 gradients and updates the weights once, with their mean. So the updates are the same as in the
# recipe, and the learning rate of 0.003 is still right. The cost is one more number per weight.

# %% tags=["solution"]
image = (48 * 48 * 3 + 3 * 48 * 48 * 32 + 2 * 24 * 24 * 32 + 12 * 12 * 32 + 10 * 10 * 64) * 4 / 2**20
weights = (5 * 5 * 3 + 1) * 32 + (3 * 3 * 32 + 1) * 32 + (3 * 3 * 32 + 1) * 64 + (64 + 1) * 10
print(f"Outputs and gradients of 256 images: {256 * image:6.1f} MiB")
print(f"Outputs and gradients of 16 images:  {16 * image:6.1f} MiB")
print(f"The totals of the gradients:         {weights * 4 / 2**20:6.2f} MiB")
print(f"All scans, and the tensor of them:   {2 * 2048 * 48 * 48 * 3 / 2**20:6.1f} MiB")

# %% [markdown] tags=["solution"]
# ## What else would pass
#
# - **Micro-batches of 8 or 32**, with 32 or 8 accumulation steps. Fewer images at a time need less memory but more
#   calls.
# - **A loop of your own**, as in step 3, with one `GradientTape` for each micro-batch. It takes more lines but lets you
#   see each gradient.
# - **A batch of 16 without accumulation, at a third of the learning rate.** It is a different recipe, and it learns
#   well here. The grader asks only for memory, accuracy, and time.

# %% [markdown] tags=["own"]
# ## In your own notebook
#
# Train with the memory of a batch of 4 and the updates of a batch of 32. Here `model` is your model, and `x` and `y`
# are your data. Nothing of the course is needed.
#
# ```python
# import keras
# import tensorflow as tf
#
# for gpu in tf.config.list_physical_devices("GPU"):
#     tf.config.experimental.set_memory_growth(gpu, True)  # before the first operation
#
# optimizer = keras.optimizers.Adam(0.001, gradient_accumulation_steps=8)
# model.compile(optimizer, "sparse_categorical_crossentropy")
# model.fit(x, y, batch_size=4)
# ```
#
# **With a GPU:** a batch of 4 keeps it waiting. Take the largest batch that fits, and accumulate the rest.

# %% [markdown] tags=["summary"]
# ## Summary
#
# - A gradient is a mean over images, so you can collect it from micro-batches and apply it once. This needs the memory
#   of a micro-batch, plus one number per weight.
# - The gradient is the same, up to rounding, when all micro-batches have the same size and no layer looks across the
#   batch.
# - A smaller batch without accumulation is a different recipe, and needs a different learning rate.
# - Rematerialization pays off for blocks of layers. A single layer has nothing to forget.
# - On a GPU, TensorFlow takes nearly all memory at its first operation, unless memory growth is on, as it is in Colab.
#   `nvidia-smi` shows the pool, and `get_memory_info` shows the use by your model.
#
# To remember: {{takeaway}}

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Open the answer that you would give.
#
# **1. You want an effective batch of 512, and 32 images fit. What value should `gradient_accumulation_steps` have?**
#
# - [ ] 512 :: It counts micro-batches, not images. That would be one update for 16,384 images.
# - [ ] 32 :: That is the number of images in a micro-batch, the `batch_size` of `fit`.
# - [x] 16 :: 16 micro-batches of 32 images are 512 images.
#
# **2. You put one `tf.GradientTape` around the loop over all micro-batches. What happens?**
#
# - [ ] Nothing changes, because the gradient is the same :: The gradient is the same, but the memory is not.
# - [x] The outputs of all micro-batches are alive together :: The tape keeps them until you ask for the gradient.
# - [ ] The gradients are added twice :: They are not; the tape only records.
#
# **3. Which layer makes the accumulated gradient differ from that of the large batch?**
#
# - [ ] `Dense` :: It treats every image by itself.
# - [ ] `LayerNormalization` :: It normalizes within one image, at any batch size.
# - [x] `BatchNormalization` :: Mean and variance come from the micro-batch, because that is all it sees.
#
# **4. On a machine of your own, `nvidia-smi` shows a full GPU and your model is tiny. What is the most likely reason?**
#
# - [x] TensorFlow has taken the whole pool in advance :: It does so at its first operation, unless memory growth is on,
#   as it is in Colab.
# - [ ] A leak :: This is possible, but then `get_memory_info` would show it.
# - [ ] The weights are `float64` :: Keras makes `float32` weights, and a tiny model stays tiny in either type.
#
# **5. The first call of `fit` fails with `Dst tensor is not initialized`. What helps?**
#
# - [ ] A batch size of 1 :: TensorFlow copies the whole array to the GPU before it takes the first batch from it.
# - [x] Passing batches with a `PyDataset` or `tf.data` :: Then only a few batches are on the GPU.
# - [ ] Gradient accumulation :: It makes the steps smaller, but the error comes before the first step.

# %% tags=["versions"]
notebook.versions(seed=0)
