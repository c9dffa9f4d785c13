# %% [markdown]
# # Leaner architectures
#
# A network of four layers runs out of memory while it is being built, and no smaller batch can save it. In this lab you
# find out where each megabyte of a training step goes, and you make the architecture itself smaller.
#
# **Objectives**
#
# - Tell parameters from activations, and know which of the two fills the memory.
# - Count the numbers that Adam adds to a layer of weights.
# - Use global pooling, strides, and smaller inputs, and know why separable convolutions and Dropout save no memory.
#
# **Prerequisites**
#
# - Lab 02: activations grow with the batch, weights do not.
# - You know what a convolution, a pooling layer, and a Dense layer compute.

# %%
from course_utils import scans

folder = scans.load("train", count=500, size=64)
print(f"{len(list(folder.glob('*/*.jpg')))} scans of 64 x 64 pixels are ready.")

# %% [markdown]
# Every sandboxed cell starts in an empty process. `--name` gives a cell a name. A later cell that lists this name in
# `--after` runs the named cell first, in its own process. Both count toward the peak. All cells of this lab share these
# imports:

# %%
# %%sandbox --budget 256 --name start
import time

import keras
import numpy as np
from PIL import Image

from course_utils import scans
from course_utils.sandbox.inside import report

# %% [markdown] tags=["predict"]
# ## Predict
#
# The network below has one convolution, `Flatten`, a Dense layer of 512 units, and one of 10. It will train on 32 small
# scans.
#
# How much memory will that need at its peak? Write your number in MiB after `--predict`, in place of the 50, and run
# the cell.

# %% [markdown]
# ## Crash

# %% tags=["crash"]
# %%sandbox --budget 256 --predict 50 --into crash --after start
paths = sorted(scans.load("train", count=500, size=64).glob("*/*.jpg"))[::16]
x = np.stack([np.asarray(Image.open(path)) for path in paths])
y = np.array([int(path.parent.name) for path in paths])

inputs = keras.Input((64, 64, 3))
features = keras.layers.Rescaling(1 / 255)(inputs)
features = keras.layers.Conv2D(16, 3, padding="same", activation="relu")(features)
wide = keras.layers.Dense(512, activation="relu")(keras.layers.Flatten()(features))
outputs = keras.layers.Dense(10, activation="softmax")(wide)
model = keras.Model(inputs, outputs)
model.compile("adam", "sparse_categorical_crossentropy")
loss = model.train_on_batch(x, y)

# %% [markdown]
# The run died on the line that makes the wide layer. No scan had gone through the network yet, so the batch is not to
# blame.

# %% [markdown]
# ## Explain
#
# Two things fill the memory of a training step.
#
# - **Parameters**, once for the whole batch. Each weight comes with its gradient and, with Adam, two more numbers: the
#   running means of the gradient and of its square, called slots. That makes four numbers per weight, and the update
#   needs more of them for a moment.
# - **Activations**, the outputs of layers, once for each image. Training keeps them until the gradients are done.
#
# > weights of a Dense layer = inputs x units
# >
# > weights of a convolution = kernel height x kernel width x channels in x channels out
# >
# > activations = batch x height x width x channels
#
# All numbers are `float32`, four bytes each. The next cell works out the sizes for each layer of the crash.

# %% tags=["explain"]
MIB = 2**20
layers = {
    "rescaling": (0, 64 * 64 * 3),
    "convolution, 16 filters": (3 * 3 * 3 * 16 + 16, 64 * 64 * 16),
    "flatten": (0, 0),  # another view of the same numbers
    "dense, 512 units": (64 * 64 * 16 * 512 + 512, 512),
    "dense, 10 units": (512 * 10 + 10, 10),
}
print(f"{'':<26}{'parameters':>12}{'weights':>12}{'with Adam':>12}{'activations':>13}")
for name, (parameters, outputs) in layers.items():
    sizes = [4 * parameters / MIB, 4 * 4 * parameters / MIB, 32 * 4 * outputs / MIB]
    print(f"{name:<26}{parameters:>12,}{sizes[0]:>8.1f} MiB{sizes[1]:>8.1f} MiB{sizes[2]:>9.1f} MiB")

# %% [markdown]
# One layer has nearly all of it. Its weights alone would have fit. But drawing random weights takes more than the
# weights: the initializer needs further arrays of that size while it works, and the run died there. The gradient and
# the slots would have come on top.
#
# The next cell builds the same network with weights of zero, so that drawing them costs nothing. It measures the
# process after each stage: weights made, slots made, and gradients computed and held. Then it makes three updates. It
# runs twice, with 256 units and with 512. The difference between the two runs leaves only that layer. `notebook.run`
# runs a text in the same way as `%%sandbox --after` runs a cell.

# %% tags=["explain"]
from course_utils import notebook

STAGES = """
import psutil
import tensorflow as tf

def used():
    return psutil.Process().memory_info().rss / 2**20

x = np.zeros((32, 64, 64, 3), dtype="uint8")
y = np.zeros(32, dtype="uint8")
model = keras.Sequential(
    [
        keras.layers.Input((64, 64, 3)),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense({units}, activation="relu", kernel_initializer="zeros"),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
report(weights=used())
optimizer = keras.optimizers.Adam()
optimizer.build(model.trainable_variables)
report(slots=used())
with tf.GradientTape() as tape:
    loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, model(x)))
gradients = tape.gradient(loss, model.trainable_variables)
del tape
report(gradients=used())
for _ in range(3):
    optimizer.apply(gradients)
"""
narrow, wide = (notebook.run(STAGES.format(units=units), after="start", budget_mib=1200) for units in (256, 512))
added = 64 * 64 * 16 * 256 * 4 / MIB
for stage, copies in {"weights": 1, "slots": 3, "gradients": 4}.items():
    measured = wide.values[stage] - narrow.values[stage]
    difference = measured / (copies * added) - 1
    print(f"with {stage:<10} expected {copies * added:4.0f} MiB   measured {measured:4.0f} MiB   ({difference:+.0%})")
at_peak = wide.peak_mib - narrow.peak_mib
print(f"at the peak     measured {at_peak:4.0f} MiB: {at_peak / added:.1f} times the added weights")

# %% [markdown]
# Four numbers per weight are *held*. They appear one after the other. The peak is higher still: an update makes about
# three more arrays of the size of the weights, and frees them when it is done. The peak decides whether a run survives,
# so **plan for seven numbers per weight with Adam**, not for four. The number of arrays that are alive at once can
# change from run to run, so the peaks of such a network differ by whole multiples of its weights.
#
# ### The two kinds of big layers
#
# VGG16 is the classic example. Compare its first convolution with its first Dense layer:

# %%
convolution = 3 * 3 * 3 * 64 + 64
convolution_output = 32 * 224 * 224 * 64 * 4
dense = 7 * 7 * 512 * 4096
print(f"first convolution, {convolution:,} parameters")
print(f"  its output for 32 pictures: {convolution_output:>12,} bytes")
print(f"first Dense layer, {dense:,} weights")
print(f"  these weights:              {4 * dense:>12,} bytes")

# %% [markdown]
# The two take exactly the same number of bytes. A layer with hardly any parameters can cost as much as the largest
# layer of the network. `model.summary()` gives you only the bytes of the parameters. For the activations, take the
# shapes in its output column and multiply them by the batch and by four bytes.

# %% [markdown]
# ## Fix it, step by step
#
# Each step trains on one batch of 125 scans, about four times as many as in the crash, so that the activations become
# visible. Do not compare these peaks with the 256 MiB of the crash. Watch the parameters and the peak: they do not go
# together.
#
# This cell holds everything that the steps share: the batch, and a function that trains a network on it for three steps
# and reports its parameters and its time.

# %%
# %%sandbox --budget 256 --name batch_of_125 --after start
paths = sorted(scans.load("train", count=500, size=64).glob("*/*.jpg"))[::4]
x = np.stack([np.asarray(Image.open(path)) for path in paths])
y = np.array([int(path.parent.name) for path in paths])


def train_three_steps(layers):
    model = keras.Sequential([keras.layers.Input(x.shape[1:]), keras.layers.Rescaling(1 / 255), *layers])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.train_on_batch(x, y)
    start = time.perf_counter()
    for _ in range(2):
        model.train_on_batch(x, y)
    report(parameters=model.count_params(), ms_a_step=1000 * (time.perf_counter() - start) / 2)


# %% [markdown]
# ### Step 1: end with global pooling
#
# `GlobalMaxPooling2D` keeps one number per channel: the largest, wherever in the picture it was. So few numbers need no
# wide Dense layer. A second convolution gives the network more to look at.


# %%
# %%sandbox --budget 256 --name step_1 --after batch_of_125
def network():
    return [
        keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(64, 3, padding="same", activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dense(10, activation="softmax"),
    ]


# %%
# %%sandbox --budget 1024 --into pooling --after step_1
train_three_steps(network())

# %% [markdown]
# Nearly all weights are gone. Activations fill the rest, and the first convolution makes most of them, at full
# resolution.
#
# ### Step 2: strides instead of pooling
#
# A convolution with `strides=2` looks at every second pixel, so its output has a quarter of the numbers. Pooling gives
# the same size, but only after the convolution has made all the numbers.

# %%
# %%sandbox --budget 1024 --into strides --after batch_of_125
train_three_steps(
    [
        keras.layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),
        keras.layers.Conv2D(64, 3, strides=2, padding="same", activation="relu"),
        keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dense(10, activation="softmax"),
    ]
)

# %% [markdown]
# ### Step 3: separable convolutions
#
# A separable convolution filters each channel by itself and then mixes the channels, with a fraction of the weights.
# Here they replace both convolutions of step 1.

# %%
# %%sandbox --budget 1024 --into separable --after batch_of_125
train_three_steps(
    [
        keras.layers.SeparableConv2D(32, 3, padding="same", activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.SeparableConv2D(64, 3, padding="same", activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dense(10, activation="softmax"),
    ]
)

# %% [markdown]
# ### Step 4: half the resolution
#
# Now the network of step 1 gets pictures of half the height and half the width. Every activation shrinks to a quarter,
# and no weight changes.

# %%
# %%sandbox --budget 1024 --into half_resolution --after step_1
x = np.stack([np.asarray(Image.open(path).resize((32, 32))) for path in paths])
train_three_steps(network())

# %% [markdown]
# ### The steps side by side

# %%
steps = {
    "global pooling": pooling,
    "strides": strides,
    "separable": separable,
    "half the resolution": half_resolution,
}
notebook.compare(steps, alt="Memory over time of four architectures that train on one batch")
for name in ("strides", "separable", "half the resolution"):
    parameters = steps[name].values["parameters"] / pooling.values["parameters"]
    peak = steps[name].peak_mib / pooling.peak_mib
    print(f"{name}: {parameters:.0%} of the parameters of step 1, {peak:.0%} of its peak")

# %% [markdown]
# ## What people say
#
# When a network is too big, forums offer "simplified" ones to copy. Here are two such pairs, exactly as people share
# them: one for pictures of 32 x 32 pixels, and one for 150 x 150. A batch has 32 pictures of random pixels, because the
# content of a picture does not matter for memory.
#
# In the second pair, `32 filters` is one convolution, pooling, `Flatten`, and ten outputs. Its replacement, `16-8 with
# Dropout`, has two smaller convolutions, with `Dropout(0.25)` between them. The three networks after it show which part
# of that advice saves the memory: the small network without Dropout, and both networks with global pooling in place of
# `Flatten`.

# %%
TEMPLATE = """
from keras.layers import *

x = np.random.default_rng(0).integers(0, 255, (32, {size}, {size}, 3), dtype="uint8")
y = np.arange(32) % 10
model = keras.Sequential([Input(x.shape[1:]), Rescaling(1 / 255), {layers}, Dense(10, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy")
for _ in range(3):
    loss = model.train_on_batch(x, y)
report(parameters=model.count_params())
"""


def measure(size, layers):
    """Train three steps in a sandbox; returns the outcome."""
    return notebook.run(TEMPLATE.format(size=size, layers=layers), after="start", budget_mib=1024)


conv, pool = "Conv2D({}, 3, activation='relu')".format, "MaxPooling2D()"
head = "Flatten(), Dense({}, activation='relu')".format
networks = {
    "128-256-Dense 1024": (32, ", ".join([conv(128), pool, conv(256), pool, head(1024)])),
    "64-Dense 512": (32, ", ".join([conv(64), pool, head(512)])),
    "32 filters": (150, ", ".join([conv(32), pool, "Flatten()"])),
    "16-8 with Dropout": (150, ", ".join([conv(16), pool, "Dropout(0.25)", conv(8), pool, "Flatten()"])),
    "16-8 without": (150, ", ".join([conv(16), pool, conv(8), pool, "Flatten()"])),
    "32 filters, pooled": (150, ", ".join([conv(32), pool, "GlobalMaxPooling2D()"])),
    "16-8, pooled": (150, ", ".join([conv(16), pool, conv(8), pool, "GlobalMaxPooling2D()"])),
}
copied = {name: measure(*network) for name, network in networks.items()}
notebook.compare(copied, alt="Memory over time of networks that are widely copied")

# %% [markdown]
# Does a network need the wide Dense layer to learn anything? The next cells train the same two convolutions for ten
# epochs: once with `Flatten` and a Dense layer, and once with a third convolution and global pooling. The test is on
# 500 scans of other handwriting.

# %%
# %%sandbox --budget 256 --name convolutions --after start
keras.utils.set_random_seed(0)


def load(split):
    paths = sorted(scans.load(split, count=500, size=64).glob("*/*.jpg"))
    x = np.stack([np.asarray(Image.open(path)) for path in paths])
    return x, np.array([int(path.parent.name) for path in paths])


def learn(ending):
    model = keras.Sequential(
        [
            keras.layers.Input((64, 64, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(16, 5, strides=2, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            *ending,
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*load("train"), batch_size=16, epochs=10, verbose=0)
    report(parameters=model.count_params(), accuracy=model.evaluate(*load("validation"), verbose=0)[1])


# %%
# %%sandbox --budget 1024 --into with_dense --after convolutions
learn([keras.layers.Flatten(), keras.layers.Dense(512, activation="relu")])

# %%
# %%sandbox --budget 1024 --into without_dense --after convolutions
learn(
    [
        keras.layers.Conv2D(64, 3, strides=2, activation="relu"),
        keras.layers.BatchNormalization(momentum=0.8),
        keras.layers.GlobalMaxPooling2D(),
    ]
)

# %% tags=["claims"]


def saving(lean, plain):
    """Return the figures of two peaks, and the verdict on the share that is saved."""
    share = 1 - lean.peak_mib / plain.peak_mib
    figures = f"{plain.peak_mib:.0f} MiB before, {lean.peak_mib:.0f} MiB after: {-share:+.0%}"
    return figures, "true" if share > 0.6 else "half true" if share > 0.15 else "false"


first_pair, first_verdict = saving(copied["64-Dense 512"], copied["128-256-Dense 1024"])
second_pair, second_verdict = saving(copied["16-8 with Dropout"], copied["32 filters"])
fewer, fewer_verdict = saving(separable, pooling)
without_flatten, without_flatten_verdict = saving(copied["32 filters, pooled"], copied["32 filters"])
dropout_cost = copied["16-8 with Dropout"].peak_mib - copied["16-8 without"].peak_mib
more_accurate = with_dense.values["accuracy"] - without_dense.values["accuracy"]
notebook.claims(
    [
        (
            "Fewer parameters, less memory.",
            f"a {pooling.values['parameters'] / separable.values['parameters']:.0f}th of the parameters, {fewer}",
            "depends: on whether weights or activations fill the memory" if fewer_verdict == "false" else fewer_verdict,
        ),
        ("Take 64-Dense 512 instead of 128-256-Dense 1024.", first_pair, first_verdict),
        ("Take 16-8 with Dropout instead of 32 filters.", second_pair, second_verdict),
        (
            "Replace Flatten and its Dense layer with global pooling.",
            f"32 filters: {without_flatten}; the network of the crash died of its Dense layer",
            "depends: on how wide that layer is" if without_flatten_verdict == "false" else without_flatten_verdict,
        ),
        (
            "Dropout saves memory.",
            f"16-8: {dropout_cost:+.0f} MiB with it",
            "false: it adds an output" if dropout_cost > -20 else "true",
        ),
        (
            "A network needs its wide Dense layer to learn.",
            f"accuracy {with_dense.values['accuracy']:.2f} with it in {with_dense.peak_mib:.0f} MiB, "
            f"{without_dense.values['accuracy']:.2f} without in {without_dense.peak_mib:.0f} MiB",
            "true" if more_accurate > 0.1 else "false" if more_accurate < 0.03 else "half true",
        ),
    ]
)

# %% [markdown]
# The two pairs save in different ways. In the first, the Dense layer after `Flatten` has most of the memory, and the
# small network keeps three quarters of its parameters: fewer filters help little if a pooling layer is also removed,
# because then more pixels reach `Flatten`. In the second pair, the ten outputs after `Flatten` are small in either
# network. What shrinks is the output of the first convolution, from 32 channels to 16. So global pooling instead of
# `Flatten` saves next to nothing there.
#
# In training, Dropout saves nothing either, because its zeros take room. A few MiB more or less are chance: TensorFlow
# works on two layers at once, and which two differs from run to run.

# %% [markdown]
# ## Your turn
#
# Write `train(folder)`. The folder holds {{train_count}} scans of {{image_size}} x {{image_size}} pixels in one folder
# per class, as `folder/<class 0..9>/*.jpg`. Return a trained Keras model that takes raw pixels, from 0 to 255.
#
# - **Memory:** at most {{budget_mib}} MiB above the baseline. A run is killed at twice that.
# - **Accuracy:** at least {{floor}} on {{hidden_count}} scans that you do not have.
# - **Time:** at most {{time_limit}} seconds, training and grading together.
#
# The network of the crash needs several times that memory. `BatchNormalization(momentum=0.8)` after a convolution makes
# the network learn faster; the default momentum is too slow for so few steps. Any answer that meets all three limits is
# right. `%course hint {{number}}` gives a hint.

# %% tags=["graded"]
# %%graded 07
import keras


def train(folder):
    """Train on folder/<class>/*.jpg and return a Keras model that takes raw pixels from 0 to 255."""
    # STARTER: Stream the scans, build a network without a wide Dense layer, train it, and return it.
    # BEGIN SOLUTION
    keras.utils.set_random_seed(0)
    dataset = keras.utils.image_dataset_from_directory(
        folder, image_size=(64, 64), batch_size=32, seed=0, verbose=False
    )
    model = keras.Sequential(
        [
            keras.layers.Input((64, 64, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(16, 5, strides=2, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.Conv2D(64, 3, strides=2, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(dataset, epochs=5, verbose=2)
    return model
    # END SOLUTION


# %% [markdown] tags=["solution"]
# ## Why it works
#
# Two decisions save the memory. `GlobalMaxPooling2D` hands 64 numbers per picture to the ten outputs, so no Dense layer
# is wide. The first convolution has `strides=2`, so no activation has the full resolution. The scans come from
# `image_dataset_from_directory`, 32 at a time, so the whole data set is never in memory.

# %% tags=["solution"]
answer = {
    "convolution, 16 filters": (5 * 5 * 3 * 16 + 16, 30 * 30 * 16),
    "convolution, 32 filters": (3 * 3 * 16 * 32 + 32, 13 * 13 * 32),
    "convolution, 64 filters": (3 * 3 * 32 * 64 + 64, 6 * 6 * 64),
    "dense, 10 units": (64 * 10 + 10, 10),
}
for name, (parameters, outputs) in answer.items():
    print(
        f"{name:<26}{4 * 4 * parameters / 2**20:6.2f} MiB with Adam{32 * 4 * outputs / 2**20:8.2f} MiB of activations"
    )

# %% [markdown] tags=["solution"]
# All of this together is small. Most of the peak is a cost of every training run: the graph that TensorFlow builds, and
# the scans that are read ahead.
#
# ## What else would pass
#
# - **Pooling instead of strides, with few filters.** The first convolution then works at full resolution, so 8 or 16
#   filters there cost as much as 32 or 64 with a stride.
# - **`Flatten`, if little reaches it.** After three poolings or strides a picture is 6 x 6 pixels, and a Dense layer
#   after it is small.
# - **Smaller inputs.** With `image_size=(32, 32)` and a `Resizing(32, 32)` layer at the front, every activation shrinks
#   to a quarter. The layer is part of the model, so the grader can still feed it the full size.

# %% [markdown] tags=["own"]
# ## In your own notebook
#
# This shows where the memory of your own model goes. Here `model` is your model, with Adam, and a batch has 32
# pictures. Nothing of the course is needed.
#
# ```python
# import numpy as np
#
# for layer in model.layers:
#     weights = 7 * 4 * layer.count_params() / 2**20
#     outputs = 32 * 4 * np.prod(layer.output.shape[1:]) / 2**20
#     print(f"{layer.name:<26}{weights:8.1f} MiB for its weights{outputs:8.1f} MiB for its outputs")
# ```
#
# **With a GPU:** the sizes are the same. XLA, with which Keras compiles a step there, can join layers and keep fewer
# outputs.

# %% [markdown] tags=["summary"]
# ## Summary
#
# - With Adam, a weight counts four times between two updates and about seven times during one, at any batch size. Plan
#   for seven. Activations count once per image.
# - A Dense layer after `Flatten` has inputs x units weights. Global pooling removes them.
# - In a network of convolutions, the activations at full resolution take the most memory. Strides and smaller inputs
#   shrink them.
# - Separable convolutions save parameters, not activations. Dropout saves neither.
#
# To remember: {{takeaway}}

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Open the answer that you would give.
#
# **1. `Flatten` gives 50,000 numbers per image, and a Dense layer of 1,000 units follows. How much memory do its
# weights need, together with the gradient and Adam's slots?**
#
# - [ ] About 190 MiB :: That is the weights alone: 50,000 x 1,000 x 4 bytes.
# - [x] About 760 MiB :: Four numbers of four bytes for each of 50 million weights. An update adds about three more
#   for a moment.
# - [ ] It depends on the batch :: Weights, gradients, and slots are in memory once, at any batch size.
#
# **2. A network of convolutions and global pooling is too big. What helps most?**
#
# - [ ] SGD instead of Adam :: Slots are as large as the weights, and this network has hardly any.
# - [ ] Separable convolutions :: They have fewer weights, but their outputs are as large, and each makes one more
#   output in between.
# - [x] `strides=2` in the first convolution :: Its output, and every output after it, shrinks to a quarter.
#
# **3. Why does Dropout not save memory?**
#
# - [x] It makes one more output, and remembers which numbers it dropped :: Zeros take as much room as other numbers.
# - [ ] It does, but only in prediction :: In prediction, Dropout does nothing at all.
# - [ ] Its rate is too low :: A dropped number is stored as a zero, at any rate.
#
# **4. `model.summary()` says 1,792 parameters for a layer. How much memory does it need in training?**
#
# - [ ] About 7 KiB :: Those are the weights. The number of parameters says nothing about the output.
# - [ ] About 28 KiB :: That adds the gradient and the slots, and still leaves out the output.
# - [x] You cannot tell from that number :: It may be hundreds of megabytes of activations, as in VGG16.

# %% tags=["versions"]
notebook.versions(seed=0)
