# %% [markdown]
# # Mixed precision
#
# A batch that is too large in `float32` fits when its activations take two bytes instead of four. In this lab you
# switch the precision with one line, see that some memory is not halved, and find three ways to lose the gain.
#
# **Objectives**
#
# - Know which arrays a dtype policy halves, and which stay `float32`.
# - Choose between `mixed_float16` and `mixed_bfloat16` for your device.
# - See numbers overflow and vanish in half precision, and know how loss scaling helps.
# - Find a stray `float64` or `float32` that undoes the saving.
#
# **Prerequisites**
#
# - Lab 02: activations grow with the batch.
# - You know what a convolution and an optimizer are. You need no GPU.

# %%
from course_utils import notebook, scans

folder = scans.load("train", count=256, size=96)
print(f"{len(list(folder.glob('*/*.jpg')))} scans of 96 x 96 pixels are ready.")

# %% [markdown]
# Every sandboxed cell starts in an empty process. `--name` gives a cell a name. A later cell that lists this name in
# `--after` runs the named cell first, in its own process. Both count toward the peak. All cells of this lab share the
# imports, and several share one batch of scans:

# %%
# %%sandbox --budget 320 --name start
import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from course_utils import scans
from course_utils.sandbox.inside import report

# %%
# %%sandbox --budget 320 --name batch --after start
paths = sorted(scans.load("train", count=256, size=96).glob("*/*.jpg"))[:128]
x = np.stack([np.asarray(Image.open(path)) for path in paths])
y = np.array([int(path.parent.name) for path in paths])

# %% [markdown] tags=["predict"]
# ## Predict
#
# The network below has one convolution of 32 filters at full resolution, followed by a few small layers. It trains on
# 128 scans at once.
#
# How much memory will that need at its peak? Write your number in MiB after `--predict`, in place of the 100, and run
# the cell.

# %% [markdown]
# ## Crash

# %% tags=["crash"]
# %%sandbox --budget 320 --predict 100 --into crash --after batch
inputs = keras.Input((96, 96, 3))
features = keras.layers.Rescaling(1 / 255)(inputs)
features = keras.layers.Conv2D(32, 3, padding="same")(features)
features = keras.ops.relu(features)
features = keras.layers.AveragePooling2D(4)(features)
for filters, strides in ((32, 1), (64, 2), (64, 1)):
    features = keras.layers.BatchNormalization(momentum=0.8)(features)
    features = keras.layers.Conv2D(filters, 3, strides=strides, activation="relu")(features)
features = keras.layers.GlobalMaxPooling2D()(features)
outputs = keras.layers.Dense(10, activation="softmax")(features)
model = keras.Model(inputs, outputs)
model.compile("adam", "sparse_categorical_crossentropy")
for _ in range(3):
    loss = model.train_on_batch(x, y)

# %% [markdown]
# The run died in the training step. The scans themselves take a few megabytes. The output of the convolution takes far
# more.
#
# ## Explain
#
# The convolution makes 32 numbers for each pixel of each scan, and `relu` makes as many again. The rescaling casts,
# multiplies, and adds, so it makes three arrays of three numbers per pixel.
#
# > bytes = batch x height x width x (3 x 3 + 32 + 32) x itemsize
#
# The next cell runs only this forward pass, for 64 and for 128 scans. The difference between the two peaks leaves only
# the part that depends on the batch. The cell does so in `float32`, with four bytes per number, and in `bfloat16`, with
# two. `notebook.run` runs a text in the same way as `%%sandbox --after` runs a cell.

# %% tags=["explain"]
STEP = """
x, y = x[:{count}], y[:{count}]
keras.config.set_dtype_policy("{policy}")
inputs = keras.Input((96, 96, 3))
features = keras.layers.Rescaling(1 / 255)(inputs)
features = keras.layers.Conv2D({filters}, 3, padding="same")(features)
{more}
features = keras.ops.relu(features)
report(product=features.dtype)
features = keras.layers.AveragePooling2D(4)(features)
for filters, strides in ((32, 1), (64, 2), (64, 1)):
    features = keras.layers.BatchNormalization(momentum=0.8, dtype="float32")(features)
    features = keras.layers.Conv2D(filters, 3, strides=strides, activation="relu", dtype="float32")(features)
features = keras.layers.GlobalMaxPooling2D(dtype="float32")(features)
outputs = keras.layers.Dense(10, activation="softmax", dtype="float32")(features)
model = keras.Model(inputs, outputs)
model.compile("adam", "sparse_categorical_crossentropy")
for _ in range(2):
    loss = model.train_on_batch(x, y)
"""

FORWARD = """
keras.config.set_dtype_policy("{policy}")
x = np.zeros(({batch}, 96, 96, 3), dtype="uint8")
scaled = keras.layers.Rescaling(1 / 255)(x)
made = keras.layers.Conv2D(32, 3, padding="same")(scaled)
used = keras.ops.relu(made)
"""
MIB = 2**20
for policy, itemsize in {"float32": 4, "mixed_bfloat16": 2}.items():
    half, whole = (
        notebook.run(FORWARD.format(policy=policy, batch=batch), after="start", budget_mib=1100).peak_mib
        for batch in (64, 128)
    )
    expected = 64 * 96 * 96 * ((3 * 3 + 32 + 32) * itemsize + 3) / MIB
    measured = whole - half
    print(f"{policy:<16}expected {expected:5.0f} MiB   measured {measured:5.0f} MiB   ({measured / expected - 1:+.0%})")


def step(policy, count=128, more=""):
    """Train in a sandbox with this policy, on this many scans, with more lines after the convolution."""
    code = STEP.format(policy=policy, filters=32, count=count, more=more)
    return notebook.run(code, after="batch", budget_mib=1200)


plain = step("float32")
print(f"The whole training step in float32 needs {plain.peak_mib:.0f} MiB.")

# %% [markdown]
# The expected figure includes the scans themselves, with one byte per number. The training step also has the gradients
# of these arrays, and it frees some of the arrays when it is done with them. Nearly all of them have the batch in their
# shape, so half the bytes per number take about half the memory.
#
# ## Fix it, step by step
#
# ### Step 1: one line
#
# A **dtype policy** says in which type a layer computes and in which it keeps its variables. `mixed_bfloat16` computes
# in `bfloat16`, two bytes, and keeps variables in `float32`, four bytes. The cell repeats the crash with that one line,
# and with `dtype="float32"` for the small layers, where there is little to save. It has the budget of the crash.

# %%
# %%sandbox --budget 320 --into bfloat16 --after batch
keras.config.set_dtype_policy("mixed_bfloat16")
inputs = keras.Input((96, 96, 3))
features = keras.layers.Rescaling(1 / 255)(inputs)
features = keras.layers.Conv2D(32, 3, padding="same")(features)
features = keras.ops.relu(features)
features = keras.layers.AveragePooling2D(4)(features)
for filters, strides in ((32, 1), (64, 2), (64, 1)):
    features = keras.layers.BatchNormalization(momentum=0.8, dtype="float32")(features)
    features = keras.layers.Conv2D(filters, 3, strides=strides, activation="relu", dtype="float32")(features)
features = keras.layers.GlobalMaxPooling2D(dtype="float32")(features)
outputs = keras.layers.Dense(10, activation="softmax", dtype="float32")(features)
model = keras.Model(inputs, outputs)
model.compile("adam", "sparse_categorical_crossentropy")
for _ in range(3):
    loss = model.train_on_batch(x, y)

# %% [markdown]
# The card says whether it fits, and the next line compares it with the `float32` step.

# %%
print(
    f"{bfloat16.status} with {bfloat16.peak_mib:.0f} MiB: {bfloat16.peak_mib / plain.peak_mib:.0%} of the float32 step"
)

# %% [markdown]
# That is more than half, because the graph, the variables, and the small layers in `float32` take as much as before.
#
# ### Step 2: the parts that stay float32
#
# Ask a layer for its types. Small updates of the weights must not get lost: adding 0.001 to 1 changes nothing in
# `bfloat16`. So the weights and Adam's slots stay as they are, and Keras makes a copy of the weights in half precision
# for each step.

# %%
# %%sandbox --budget 320 --into types --after start
keras.config.set_dtype_policy("mixed_bfloat16")
layer = keras.layers.Dense(64)
output = layer(np.ones((8, 128), dtype="float32"))
adam = keras.optimizers.Adam()
adam.build(layer.trainable_variables)
report(
    input_of_compute=layer.compute_dtype,
    output=keras.backend.standardize_dtype(output.dtype),
    weights=keras.backend.standardize_dtype(layer.kernel.dtype),
    slots=keras.backend.standardize_dtype(adam.variables[-1].dtype),
)

# %%
print(types.values)

# %% [markdown]
# ### Step 3: a stray float64
#
# The ink is in the middle of the paper, so somebody adds a window that dims the edges. NumPy makes `float64` unless you
# tell it otherwise, and the wider type wins in a product. The next cell measures one line written in three ways, all
# under `mixed_bfloat16`.

# %%
WINDOW = """
row = np.linspace(-1, 1, 96)
window = np.exp(-row[:, None] ** 2 - row**2)[..., None]
features = features * {window}
"""
spellings = {
    "float64 window": "window",
    "float32 window": "window.astype('float32')",
    "cast to the features": "keras.ops.cast(window, features.dtype)",
}
windows = {name: step("mixed_bfloat16", more=WINDOW.format(window=text)) for name, text in spellings.items()}
notebook.compare(windows, alt="Memory over time with a window of float64, of float32 and of the features' own type")
for name, outcome in windows.items():
    share = outcome.peak_mib / plain.peak_mib
    print(f"{name}: {share:.0%} of the float32 step without a window, product in {outcome.values['product']}")

# %% [markdown]
# The policy applies to layers. A product of your own follows the rules of arithmetic, and so do all plain operations
# after it, until the next layer casts back. **Cast every constant to the type of the array that it meets.**
#
# ### Step 4: layers that widen by themselves
#
# `BatchNormalization` computes means in `float32`, because a sum of many small numbers loses precision in 16 bits. So
# it first turns its whole input into `float32`. The next cell puts one such layer at full resolution, with 32 scans,
# under both policies.

# %%
NORMAL = "features = keras.layers.BatchNormalization(momentum=0.8)(features)"
normalized = {policy: step(policy, count=32, more=NORMAL) for policy in ("float32", "mixed_bfloat16")}
notebook.compare(normalized, alt="Memory over time with batch normalization at full resolution in both policies")
share = normalized["mixed_bfloat16"].peak_mib / normalized["float32"].peak_mib
print(f"With batch normalization at full resolution, mixed_bfloat16 needs {share:.0%} of the memory of float32.")

# %% [markdown]
# So put batch normalization where the pictures are already small, as this lab's network does.
#
# ### Step 5: overflow and underflow
#
# Both half-precision types have 16 bits and use them differently. `float16` is finer but has a small range. `bfloat16`
# has the range of `float32` but only about three decimal digits.

# %%
import ml_dtypes
import numpy as np

with np.errstate(over="ignore"):
    for name, dtype in {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}.items():
        limits = ml_dtypes.finfo(dtype)
        print(f"{name:<10}largest {float(limits.max):8.1e}   smallest {float(limits.smallest_subnormal):8.1e}", end="")
        shown = [float(dtype(70_000)), float(dtype(1e-8)), float(dtype(256) + dtype(1))]
        print(f"   70000 -> {shown[0]:g}   1e-8 -> {shown[1]:.0e}   256 + 1 -> {shown[2]:g}")

# %% [markdown]
# In `float16` a large number becomes infinity and a small gradient becomes zero. In `bfloat16` neither happens, but
# 256 + 1 is 256.
#
# ### Step 6: loss scaling
#
# Gradients of a mean over many numbers are tiny. **Loss scaling** multiplies the loss before the gradients are
# computed, and divides the gradients afterward, in `float32`. The cell counts the gradients that become zero, without
# scaling and with it.

# %%
# %%sandbox --budget 320 --into scaling --after start
generator = np.random.default_rng(0)
x = tf.constant(generator.normal(size=(256, 32)), "float16")
error = tf.constant(generator.normal(size=(256, 64)) * 1e-4, "float32")


def zeros(scale):
    """Return the share of the outputs' gradients that are zero in float16."""
    outputs = tf.zeros((256, 64), "float16")
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        loss = tf.reduce_mean((tf.cast(outputs, "float32") - error) ** 2) * scale
    return float(tf.reduce_mean(tf.cast(tape.gradient(loss, outputs) == 0, "float32")))


report(without=zeros(1.0), with_scaling=zeros(2.0**15))

# Keras scales by itself under mixed_float16. See how it reacts when a gradient has become infinite.
keras.config.set_dtype_policy("mixed_float16")
model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
model.compile("sgd", "mse")
optimizer = model.optimizer
optimizer.build(model.trainable_variables)
report(optimizer=type(optimizer).__name__, scale=float(optimizer.dynamic_scale))
before = model.layers[0].kernel.numpy().copy()
optimizer.apply([tf.fill(variable.shape, np.inf) for variable in model.trainable_variables])
changed = bool((before != model.layers[0].kernel.numpy()).any())
report(scale_after_infinity=float(optimizer.dynamic_scale), weights_changed=changed)

# %%
print(f"zero gradients: {scaling.values['without']:.0%} without scaling, {scaling.values['with_scaling']:.0%} with")
print(f"compile gave a {scaling.values['optimizer']} with the scale {scaling.values['scale']:g}")
print(
    f"after an infinite gradient: scale {scaling.values['scale_after_infinity']:g}, "
    f"weights changed: {scaling.values['weights_changed']}"
)

# %% [markdown]
# Under `mixed_float16`, `compile` wraps your optimizer in a `LossScaleOptimizer`. When a gradient overflows, this
# optimizer leaves the weights alone and chooses a smaller scale. In a training loop of your own, wrap the optimizer in
# `keras.optimizers.LossScaleOptimizer`, take the gradient of `optimizer.scale_loss(loss)`, and hand it to
# `optimizer.apply`, which divides the gradient, skips bad steps, and adjusts the scale for you. `bfloat16` needs none
# of this.
#
# ### Step 7: softmax in float32
#
# The last layer turns scores into probabilities, and the loss takes their logarithm. In `bfloat16`, a probability close
# to 1 becomes 1. Its loss becomes 0, and the network learns nothing more from it. The last layer is small, so give it
# `dtype="float32"`.

# %%
# %%sandbox --budget 320 --into softmax --after start
scores = np.array([10.0] + 9 * [0.0], dtype="float32")
for dtype in ("float32", "bfloat16"):
    first = keras.ops.softmax(keras.ops.cast(scores, dtype))[0]
    loss = -np.log(float(keras.ops.cast(first, "float32")))
    report(**{f"loss_{dtype}": float(loss)})

# %%
print(
    f"loss of one sure answer: {softmax.values['loss_float32']:.5f} in float32, "
    f"{abs(softmax.values['loss_bfloat16']):.5f} in bfloat16"
)

# %% [markdown]
# ### Step 8: one type for each device
#
# GPUs such as Colab's T4 have fast units for `float16` and none for `bfloat16`. Newer ones, such as the A100 and the
# L4, have them for both, and on these `mixed_bfloat16` spares you the loss scaling. CPUs are the other way around: some
# have instructions for `bfloat16`, and hardly any have them for `float16`. Here are three policies on a small batch.

# %%
import pathlib

SPEED = """
import time

keras.config.set_dtype_policy("{policy}")
x = np.zeros((8, 32, 32, 3), dtype="uint8")
y = np.arange(8) % 10
inputs = keras.Input((32, 32, 3))
features = keras.layers.Conv2D(16, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(inputs))
features = keras.layers.GlobalAveragePooling2D()(features)
model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax", dtype="float32")(features))
model.compile("adam", "sparse_categorical_crossentropy")
loss = model.train_on_batch(x, y)
start = time.process_time()
for _ in range(3):
    loss = model.train_on_batch(x, y)
report(ms_a_step=1000 * (time.process_time() - start) / 3)
"""
policies = ("float32", "mixed_bfloat16", "mixed_float16")
speeds = {policy: notebook.run(SPEED.format(policy=policy), after="start", budget_mib=512) for policy in policies}
for policy, outcome in speeds.items():
    print(f"{policy:<16}{outcome.values['ms_a_step']:8.1f} ms of processor time a step")
cpuinfo = pathlib.Path("/proc/cpuinfo")
flags = cpuinfo.read_text() if cpuinfo.exists() else ""
known = [name for name in ("avx512f", "avx512_bf16", "amx_bf16") if f" {name}" in flags]
print(f"This processor's instructions for wide or short numbers: {', '.join(known) or 'none of these three'}.")

# %% [markdown]
# The time depends on the processor. With `avx512_bf16` or `amx_bf16`, it computes in `bfloat16` directly. With
# `avx512f` alone, it converts the numbers along the way and takes longer. With none of the three, TensorFlow uses plain
# routines that are far slower and can need memory of their own. So choose the policy for the device. This function does
# that. It is yours to copy, and needs nothing of the course:


# %%
# %%sandbox --budget 320 --into chosen --after start
import pathlib


def policy_for_this_device():
    """Return the name of the dtype policy that this machine's GPU, or else its processor, computes fast."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
        return "mixed_bfloat16" if capability >= (8, 0) else "mixed_float16" if capability >= (7, 0) else "float32"
    cpuinfo = pathlib.Path("/proc/cpuinfo")  # on Linux only
    flags = cpuinfo.read_text().split() if cpuinfo.exists() else []
    return "mixed_bfloat16" if {"avx512_bf16", "amx_bf16"} & set(flags) else "float32"


report(policy=policy_for_this_device())

# %% [markdown]
# A GPU of compute capability 7 has units for `float16`, as the T4 with 7.5 does, and one of 8 or more has them for
# `bfloat16` as well. On a processor without the instructions, `mixed_bfloat16` still saves memory, but you pay for it
# with time. Time one step before you decide.
#
# How much a mixed policy saves on a GPU depends on the network. On an H200, it took 45% off the step of a U-Net and 13%
# off that of a transformer, both with a batch of 64.
#
# The next cell needs a GPU. **It last ran on one at commit 5556f52, and this page was made without one.** The page
# *On a GPU* of the course's site has what it showed.

# %%
# %%sandbox --budget 8192 --gpu-budget 2048 --into on_gpu --after start
if not tf.config.list_physical_devices("GPU"):
    print("Skipped: this cell needs a GPU, and there is none here.")
else:
    for policy in ("float32", "mixed_float16"):
        keras.config.set_dtype_policy(policy)
        inputs = keras.Input((96, 96, 3))
        features = keras.layers.Conv2D(32, 3, activation="relu")(inputs)
        features = keras.layers.GlobalAveragePooling2D()(features)
        model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax", dtype="float32")(features))
        model.compile("adam", "sparse_categorical_crossentropy")
        tf.config.experimental.reset_memory_stats("GPU:0")
        loss = model.train_on_batch(np.zeros((128, 96, 96, 3), "float32"), np.zeros(128, "int32"))
        peak = tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20
        print(f"{policy}: {peak:.0f} MiB on the GPU")

# %% [markdown]
# ### Step 9: watch the accuracy
#
# Train the same small network under both policies, from the same start. Look at the accuracy on scans that it has not
# seen.

# %%
ACCURACY = """
keras.utils.set_random_seed(0)
keras.config.set_dtype_policy("{policy}")
paths = sorted(scans.load("train", count=256, size=96).glob("*/*.jpg"))
np.random.default_rng(0).shuffle(paths)
x = np.stack([np.asarray(Image.open(path).resize((32, 32))) for path in paths])
y = np.array([int(path.parent.name) for path in paths])
model = keras.Sequential(
    [
        keras.layers.Input((32, 32, 3)),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(16, 5, strides=2, activation="relu"),
        keras.layers.BatchNormalization(momentum=0.8),
        keras.layers.Conv2D(32, 3, activation="relu"),
        keras.layers.BatchNormalization(momentum=0.8),
        keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dense(10, activation="softmax", dtype="float32"),
    ]
)
model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x[:200], y[:200], batch_size=20, epochs=8, verbose=0)
report(accuracy=model.evaluate(x[200:], y[200:], verbose=0)[1], parameters=model.count_params())
"""
trained = {
    policy: notebook.run(ACCURACY.format(policy=policy), after="start", budget_mib=512)
    for policy in ("float32", "mixed_bfloat16")
}
for policy, outcome in trained.items():
    print(f"{policy:<16}accuracy {outcome.values['accuracy']:.2f} on 56 scans")

# %% [markdown]
# With so few scans, one scan more or less changes the accuracy by nearly two percentage points. Treat the two as equal
# unless they are far apart.
#
# ## What people say
#
# The second claim is about a network that is nearly all weights: a wide Dense layer and a batch of one.

# %%
WEIGHTS = """
keras.config.set_dtype_policy("{policy}")
inputs = keras.Input((4096,))
features = keras.layers.Dense(2048, activation="relu", kernel_initializer="zeros")(inputs)
model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax", dtype="float32")(features))
model.compile("adam", "sparse_categorical_crossentropy")
for _ in range(3):
    loss = model.train_on_batch(np.zeros((1, 4096), "float32"), np.zeros(1, "int32"))
"""
weights = {
    policy: notebook.run(WEIGHTS.format(policy=policy), after="start", budget_mib=500)
    for policy in ("float32", "mixed_bfloat16")
}
notebook.compare(weights, alt="Memory over time of a network that is all weights, in both policies")

# %% tags=["claims"]
whole = bfloat16.peak_mib / plain.peak_mib
of_weights = weights["mixed_bfloat16"].peak_mib / weights["float32"].peak_mib
slower = speeds["mixed_float16"].values["ms_a_step"] / speeds["float32"].values["ms_a_step"]
by_accuracy = trained["mixed_bfloat16"].values["accuracy"] - trained["float32"].values["accuracy"]
stray = windows["float64 window"].peak_mib / plain.peak_mib
notebook.claims(
    [
        (
            "Mixed precision halves the memory of training.",
            f"{whole:.0%} of the float32 peak, with the activations halved",
            "true" if whole < 0.55 else "half true" if whole < 0.8 else "false",
        ),
        (
            "Mixed precision halves the memory of the weights.",
            f"{of_weights:.0%} of the float32 peak in a network that is all weights",
            "true" if of_weights < 0.6 else "half true" if of_weights < 0.85 else "false",
        ),
        (
            "mixed_float16 makes training faster.",
            f"{slower:.1f} times the processor time of float32 on this CPU",
            "true" if slower < 0.9 else "false: not on this processor; it was not run on a GPU for this page",
        ),
        (
            "With half precision the accuracy suffers.",
            f"{by_accuracy:+.2f} with mixed_bfloat16, on 56 scans",
            "true" if by_accuracy < -0.15 else "depends: on the task; so few scans cannot show a small difference",
        ),
        (
            "Under a policy, everything is in half precision.",
            f"one float64 constant: {stray:.1f} times the peak of plain float32",
            "false" if stray > 1 else "half true",
        ),
    ]
)

# %% [markdown]
# ## Your turn
#
# Write `train(folder)`. The folder holds {{train_count}} scans of {{image_size}} x {{image_size}} pixels in one folder
# per class, as `folder/<class 0..9>/*.jpg`. Return a trained Keras model that takes raw pixels, from 0 to 255.
#
# For the exercise, keep the batch of 128, the full resolution, a first convolution of 40 filters, and the window of
# step 3 after it. The grader checks only these three limits:
#
# - **Memory:** at most {{budget_mib}} MiB above the baseline. A run is killed at twice that.
# - **Accuracy:** at least {{floor}} on {{hidden_count}} scans that you do not have.
# - **Time:** at most {{time_limit}} seconds, training and grading together. The solution takes a small part of that on
#   a processor that supports `bfloat16`, and much more on others.
#
# On a processor without `avx512f`, TensorFlow makes a `float32` copy of the convolution's output, so the same answer
# passes there with little room to spare. Step 8 tells you which kind you have.
#
# The grader uses the CPU, even on a machine with a GPU. In `float32` and with a `float64` window, the network needs
# more than twice the budget. It learns in a few epochs with `BatchNormalization(momentum=0.8, dtype="float32")` after
# the pooling and after each small convolution. `%course hint {{number}}` gives a hint.

# %% tags=["graded"]
# %%graded 08
import keras
import numpy as np
from PIL import Image


def train(folder):
    """Train on folder/<class>/*.jpg and return a Keras model that takes raw pixels from 0 to 255."""
    # STARTER: Build the network with its window in half precision, train it on batches of 128, and return it.
    # BEGIN SOLUTION
    keras.utils.set_random_seed(0)
    paths = sorted(folder.glob("*/*.jpg"))
    x = np.empty((len(paths), 96, 96, 3), dtype="uint8")
    for index, path in enumerate(paths):
        x[index] = Image.open(path)
    y = np.array([int(path.parent.name) for path in paths])

    keras.config.set_dtype_policy("mixed_bfloat16")
    row = np.linspace(-1, 1, 96)
    window = np.exp(-(row[:, None] ** 2) - row**2)[..., None]
    inputs = keras.Input((96, 96, 3))
    features = keras.layers.Rescaling(1 / 255)(inputs)
    features = keras.layers.Conv2D(40, 3, padding="same")(features)
    features = keras.ops.relu(features * keras.ops.cast(window, features.dtype))
    features = keras.layers.AveragePooling2D(8)(features)
    for filters in (32, 64, 64):
        features = keras.layers.BatchNormalization(momentum=0.8, dtype="float32")(features)
        features = keras.layers.Conv2D(filters, 3, activation="relu", dtype="float32")(features)
    features = keras.layers.BatchNormalization(momentum=0.8, dtype="float32")(features)
    features = keras.layers.GlobalMaxPooling2D(dtype="float32")(features)
    outputs = keras.layers.Dense(10, activation="softmax", dtype="float32")(features)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")

    generator = np.random.default_rng(0)
    for _ in range(4):
        order = generator.permutation(len(x))
        for start in range(0, len(x), 128):
            rows = order[start : start + 128]
            loss = model.train_on_batch(x[rows], y[rows])
        print("loss", loss)
    return model
    # END SOLUTION


# %% [markdown] tags=["solution"]
# ## Why it works
#
# Nearly all the memory is in arrays of full resolution: the output of the first convolution, its product with the
# window, and their gradients. Under `mixed_bfloat16` each of their numbers takes two bytes. The window is cast to the
# type of the features first. Without that cast, `float64` would win, and each number of the product would take eight.

# %% tags=["solution"]
numbers = 128 * 96 * 96 * 40
for dtype, itemsize in (("bfloat16", 2), ("float32", 4), ("float64", 8)):
    print(f"one array of 40 filters at full resolution in {dtype:<9}{numbers * itemsize / 2**20:6.0f} MiB")

# %% [markdown] tags=["solution"]
# The small layers after the pooling stay in `float32`. They cost little, they learn the most, and batch normalization
# would turn its input into `float32` anyway.
#
# ## What else would pass
#
# - **The policy for the large layers only:** `dtype="mixed_bfloat16"` for the first convolution and for the pooling,
#   and `float32` everywhere else. Without it, the pooling turns its whole input into `float32`.
# - **A stride of 2 in the first convolution, in `float32`.** It is not the exercise, but it is the better fix when you
#   are free to choose.
#
# `mixed_float16` needs the same memory. But few processors compute in `float16`. On the others, it is too slow for the
# time limit.

# %% [markdown] tags=["own"]
# ## In your own notebook
#
# Set the policy before the first layer, and keep the last layer in `float32`. `policy_for_this_device` of step 8 tells
# which policy. Nothing of the course is needed.
#
# ```python
# import keras
#
# keras.config.set_dtype_policy("mixed_bfloat16")
# model = keras.Sequential(
#     [
#         keras.layers.Input((96, 96, 3)),
#         keras.layers.Rescaling(1 / 255),
#         keras.layers.Conv2D(32, 3, strides=2, activation="relu"),
#         keras.layers.GlobalMaxPooling2D(),
#         keras.layers.Dense(10, activation="softmax", dtype="float32"),
#     ]
# )
# print({layer.name: layer.compute_dtype for layer in model.layers})
# ```
#
# **With a GPU:** on a T4, write `mixed_float16`, and `compile` adds the loss scaling.

# %% [markdown] tags=["summary"]
# ## Summary
#
# - A mixed policy halves activations. Variables, gradients of variables, and optimizer slots stay `float32`.
# - Use `mixed_float16` for an older GPU such as the T4, and `mixed_bfloat16` for newer ones and for a processor with
#   `avx512_bf16` or `amx_bf16`. `float16` needs loss scaling, and `compile` adds it.
# - A constant of `float64` or `float32` widens everything that it touches. Batch normalization widens its input by
#   itself.
# - Give the last layer `dtype="float32"`, and watch the accuracy.
#
# To remember: {{takeaway}}

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Open the answer that you would give.
#
# **1. What does `mixed_bfloat16` halve?**
#
# - [ ] The weights and Adam's slots :: Variables stay `float32`, or small updates would be lost.
# - [x] The outputs of layers and their gradients :: These are computed in `bfloat16`, with two bytes per number.
# - [ ] Everything in the process :: The graph, the data, and the variables stay as they are.
#
# **2. `features * window` has the type `float64`. Why?**
#
# - [ ] The policy was set too late :: Then `features` would be `float32`, and `window` would still make the product
#   `float64`.
# - [x] `window` came from NumPy as `float64`, and the wider type wins :: A policy applies to layers, not to your own
#   products.
# - [ ] Products need more digits :: The type of a result depends on the types, not on the numbers.
#
# **3. Why does `float16` need loss scaling while `bfloat16` does not?**
#
# - [x] Small gradients become zero in `float16` :: `bfloat16` has the range of `float32`, so they stay above zero.
# - [ ] `float16` has fewer bits :: Both have 16. They use them differently.
# - [ ] `bfloat16` keeps more digits :: It keeps fewer. It has the larger range.
#
# **4. A network is one Dense layer of 50 million weights, and the batch is one scan. How much does a mixed policy
# save?**
#
# - [ ] Half :: That would be true if weights and slots were halved.
# - [x] Almost nothing :: There are hardly any activations, and the half-precision copy of the weights is extra.
# - [ ] A quarter :: Neither weights nor slots get smaller.

# %% tags=["versions"]
notebook.versions(seed=0)
