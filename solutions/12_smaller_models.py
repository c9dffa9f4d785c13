# %% [markdown]
# # Smaller models
#
# Three trained networks that are to answer together die before they answer anything: while they are being loaded. In
# this lab you make models small enough to serve, and measure what each way saves on disk, in memory and in accuracy.
#
# **Objectives**
#
# - Work out what a model file costs at the moment it is loaded, and leave the optimizer out of it.
# - Know what pruning, `int8`, `float16` and LiteRT save, and what they leave as it was.
# - Distil a large model into a small one with `keras.distillation`, and check whether that helped.
#
# **Prerequisites**
#
# - Lab 07: weights count four times with Adam while a network trains.
# - You know what accuracy on validation data is.

# %%
from course_utils import scans

train_folder = scans.load("train", count=1000, size=48)
validation_folder = scans.load("validation", count=300, size=48)
shelf = scans.cache_folder() / "lab_12"  # where this lab keeps its models
print(f"{len(list(train_folder.glob('*/*.jpg')))} scans of 48 x 48 pixels to train on are ready.")

# %% [markdown]
# ## The ensemble
#
# An ensemble is several networks that answer together: their scores are averaged. Training three networks takes three
# times as long, so these are three stages of one training: it is saved after each of its last three epochs. A network
# has three convolutions and two wide Dense layers. `narrow` is the same network with next to no weights, for later.

# %%
# %%sandbox --budget 600 --time-limit 120 --into training
import keras

from course_utils import scans
from course_utils.sandbox.inside import report

shelf = scans.cache_folder() / "lab_12"
folder = scans.load("train", count=1000, size=48)
shelf.mkdir(exist_ok=True)
dataset = keras.utils.image_dataset_from_directory(folder, image_size=(48, 48), batch_size=64, seed=0, verbose=False)


def network(units):
    """Three convolutions, and two Dense layers of `units`; returns scores without a softmax, called logits."""
    layers = [keras.layers.Input((48, 48, 3)), keras.layers.Rescaling(1 / 255)]
    for filters, size, strides in ((16, 5, 2), (32, 3, 2), (64, 3, 1)):
        layers += [
            keras.layers.Conv2D(filters, size, strides=strides, padding="same", activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
        ]
    layers.append(keras.layers.GlobalMaxPooling2D())
    for _ in range(2):
        layers += [keras.layers.Dense(units, activation="relu"), keras.layers.BatchNormalization(momentum=0.8)]
    return keras.Sequential([*layers, keras.layers.Dense(10)])


keras.utils.set_random_seed(0)
network(8).save(shelf / "narrow.keras")
model = network(1536)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(0.003), loss)
history = model.fit(dataset, epochs=3, verbose=0)
for number in range(3):
    history = model.fit(dataset, epochs=1, verbose=0)
    model.save(shelf / f"member_{number}.keras")
report(parameters=model.count_params())

# %% tags=["predict"]
MIB = 2**20
sizes = [(shelf / f"member_{number}.keras").stat().st_size / MIB for number in range(3)]
print(f"The three files take {sum(sizes):.0f} MiB together.")
print(f"A network has {training.values['parameters']:,} weights.")

# %% [markdown] tags=["predict"]
# ## Predict
#
# The cell below loads the three networks and lets them answer for 300 scans. Nothing is trained any more.
#
# How much memory will that need at its peak? Write your number in MiB after `--predict`, in place of the 30 that
# stands there, and run the cell.

# %% [markdown]
# ## Crash

# %% tags=["crash"]
# %%sandbox --budget 128 --predict 30 --into crash
import keras
import numpy as np
from PIL import Image

from course_utils import scans

shelf = scans.cache_folder() / "lab_12"
paths = sorted(scans.load("validation", count=300, size=48).glob("*/*.jpg"))
x = np.stack([np.asarray(Image.open(path)) for path in paths])

members = []
for number in range(3):
    members.append(keras.saving.load_model(shelf / f"member_{number}.keras"))
scores = sum(member.predict_on_batch(x) for member in members)

# %% [markdown]
# It died while loading. No network has seen a scan yet.

# %% [markdown]
# ## Explain
#
# Serving needs one number a weight. The files hold three: `save` also writes the optimizer, and Adam keeps two numbers
# beside each weight. `load_model` brings all three back. On its way it reads the whole weights part of the file into
# memory and joins the pieces to one, so for a moment the file is there twice, beside what is loaded already.
#
# > peak = 3 models x 3 numbers a weight + 2 x one file + what Keras itself needs
#
# The last term is measured by loading the narrow network three times. The next cell loads and does nothing else.

# %% tags=["explain"]
from course_utils import sandbox

LOAD = """
import keras
from course_utils import scans
shelf = scans.cache_folder() / "lab_12"
models = [keras.saving.load_model(shelf / name) for name in {names}]
"""
names = [f"member_{number}.keras" for number in range(3)]
base = sandbox.run(LOAD.format(names=3 * ["narrow.keras"]), budget_mib=600)
loading = sandbox.run(LOAD.format(names=names), budget_mib=600)
weights = 4 * training.values["parameters"] / MIB
expected = base.peak_mib + 3 * 3 * weights + 2 * 3 * weights
print(f"weights of one network   {weights:6.1f} MiB")
print(f"with Adam's two numbers  {3 * weights:6.1f} MiB, and its file takes {sizes[0]:.1f} MiB")
print(f"Keras, narrow networks   {base.peak_mib:6.1f} MiB")
print(f"expected at the peak     {expected:6.1f} MiB")
difference = 100 * (loading.peak_mib / expected - 1)
print(f"measured                 {loading.peak_mib:6.1f} MiB, {difference:+.1f} % from what we expected")

# %% [markdown]
# ## Fix it, step by step
#
# Each step makes a file, and `serve` measures it in a fresh process: load, answer for 300 scans, and nothing else. It
# notes the size on disk, the size after `zlib` has compressed it, the accuracy, and the seconds that the answers took.

# %%
import zlib

SERVE = """
import time
import keras
import numpy as np
from PIL import Image
from course_utils import scans
from course_utils.sandbox.inside import report

shelf = scans.cache_folder() / "lab_12"
paths = sorted(scans.load("validation", count=300, size=48).glob("*/*.jpg"))
labels = np.array([int(path.parent.name) for path in paths])
{load}
start = time.perf_counter()
scores = []
for first in range(0, 300, 50):
    batch = np.stack([np.asarray(Image.open(path), dtype="float32") for path in paths[first : first + 50]])
    scores.append(np.asarray(predict(batch)))
report(accuracy=(np.concatenate(scores).argmax(axis=1) == labels).mean(), answers_s=time.perf_counter() - start)
"""
KERAS = """
models = [keras.saving.load_model(shelf / name) for name in {names}]
predict = lambda batch: sum(model.predict_on_batch(batch) for model in models)
"""


def serve(*names, load=KERAS):
    """Load model files in a fresh process and predict; returns the outcome, with the sizes of the files."""
    outcome = sandbox.run(SERVE.format(load=load.format(names=names)), budget_mib=250)
    files = [(shelf / name).read_bytes() for name in names]
    outcome.values["disk_mib"] = sum(map(len, files)) / MIB
    outcome.values["zipped_mib"] = sum(len(zlib.compress(file, 1)) for file in files) / MIB
    return outcome


served = {"ensemble with optimizers": serve(*names)}

# %% [markdown]
# ### Step 1: leave the optimizer out
#
# `load_model(compile=False)` gives a network without optimizer, and saving that gives a file without it. For a model in
# memory, `keras.Model(model.inputs, model.outputs)` does it: a new model of the same layers, not compiled. From here
# on, only such files are used. The table at the end of this section shows the ensemble from these files in its second
# line, and one network in its third.

# %%
# %%sandbox --budget 600 --into lean
import keras

from course_utils import scans

shelf = scans.cache_folder() / "lab_12"
for number in range(3):
    model = keras.saving.load_model(shelf / f"member_{number}.keras", compile=False)
    model.save(shelf / f"lean_{number}.keras")

# %%
served["ensemble, lean files"] = serve("lean_0.keras", "lean_1.keras", "lean_2.keras")
served["one network"] = serve("lean_2.keras")

# %% [markdown]
# ### Step 2: magnitude pruning
#
# Pruning sets the smallest weights to zero. Keras has no pruning of its own, but it takes a few lines: a mask for each
# Dense layer, one epoch more to recover, and the mask again after each batch, or the zeros would be trained away.

# %%
# %%sandbox --budget 600 --into pruning
import keras
import numpy as np

from course_utils import scans
from course_utils.sandbox.inside import report

shelf = scans.cache_folder() / "lab_12"
folder = scans.load("train", count=1000, size=48)
dataset = keras.utils.image_dataset_from_directory(folder, image_size=(48, 48), batch_size=64, seed=0, verbose=False)
model = keras.saving.load_model(shelf / "lean_2.keras")
kernels = [layer.kernel for layer in model.layers if isinstance(layer, keras.layers.Dense)]
masks = []
for kernel in kernels:
    sizes = np.abs(kernel.numpy())
    masks.append((sizes > np.quantile(sizes, 0.9)).astype("float32"))


def prune(batch=None, logs=None):
    """Set what the masks leave out to zero."""
    for kernel, mask in zip(kernels, masks, strict=True):
        kernel.assign(kernel * mask)


prune()
model.compile(keras.optimizers.SGD(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
history = model.fit(dataset, verbose=0, callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=prune)])
keras.Model(model.inputs, model.outputs).save(shelf / "pruned.keras")  # the same layers, and no optimizer
zeros = sum(int((kernel.numpy() == 0).sum()) for kernel in kernels)
report(zeros=zeros / model.count_params())

# %%
served["pruned"] = serve("pruned.keras")
print(f"{pruning.values['zeros']:.0%} of all weights are zero now.")

# %% [markdown]
# ### Step 3: fewer bytes a weight
#
# `quantize("int8")` stores the weights of Dense layers as whole numbers of one byte. It passes over convolutions, with
# a warning, so the filter asks for Dense layers only. Convolutions hold little here. For `float16`, build each layer
# again in that type, and hand it the weights.

# %%
# %%sandbox --budget 600 --into narrower
import keras

from course_utils import scans

shelf = scans.cache_folder() / "lab_12"
model = keras.saving.load_model(shelf / "lean_2.keras")


def in_half(layer):
    """The same layer in float16; the first one keeps float32, since raw pixels go in there."""
    dtype = "float32" if isinstance(layer, keras.layers.Rescaling) else "float16"
    return layer.__class__.from_config({**layer.get_config(), "dtype": dtype})


half = keras.models.clone_model(model, clone_function=in_half)
half.set_weights([values.astype("float16") for values in model.get_weights()])
half.save(shelf / "float16.keras")
model.quantize("int8", filters="dense")
model.save(shelf / "int8.keras")

# %%
served["int8"] = serve("int8.keras")
served["float16"] = serve("float16.keras")

# %% [markdown]
# ### Step 4: another runtime
#
# LiteRT is made for phones. It keeps only what serving needs: a flat file, and an interpreter that neither builds Keras
# layers nor traces a graph. `Optimize.DEFAULT` also stores the weights in one byte. Its converter comes with
# TensorFlow, as `tf.lite`, which is deprecated; where it is missing, this step is skipped with a sentence. The lines
# under the card are the converter's own, and none of them is an error.

# %%
# %%sandbox --budget 600 --into converting
import contextlib
import io

import keras
import tensorflow as tf

from course_utils import scans
from course_utils.sandbox.inside import report

shelf = scans.cache_folder() / "lab_12"
model = keras.saving.load_model(shelf / "lean_2.keras")
if hasattr(tf, "lite") and hasattr(model, "export"):
    optimize = [tf.lite.Optimize.DEFAULT]
    with contextlib.redirect_stdout(io.StringIO()):  # it prints a list of all weights
        model.export(str(shelf / "lite.tflite"), format="litert", optimizations=optimize)
    report(converted=True)
else:
    print("There is no LiteRT converter here, so this step is skipped.")

# %%
INTERPRETER = """
import tensorflow as tf
interpreter = tf.lite.Interpreter(str(shelf / {names}[0]), num_threads=2)
place = interpreter.get_input_details()[0]["index"]
interpreter.resize_tensor_input(place, (50, 48, 48, 3))
interpreter.allocate_tensors()

def predict(batch):
    interpreter.set_tensor(place, batch)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
"""
if converting.values.get("converted"):
    served["LiteRT, one byte"] = serve("lite.tflite", load=INTERPRETER)
else:
    print("LiteRT is not installed here, so it is missing in the table.")

# %% [markdown]
# ### Step 5: a student
#
# All steps so far keep the wide layers. A **student** has none: three narrow convolutions. In distillation it learns
# from the labels and also from the scores of a **teacher**, here the ensemble as one model. Scores say more than a
# label: that this 3 is nearly an 8.
#
# `Distiller` trains the student and leaves the teacher as it is. `LogitsDistillation` takes scores without a softmax
# and makes its own, so teacher and student end without one, and the loss for the labels is told `from_logits=True`.
#
# There is a trap. The default loss of `LogitsDistillation` is the name `"kl_divergence"`, and Keras 3.13.2 makes a
# function of that name. The softmax is only made for an object of the class `KLDivergence`. So by default raw scores go
# where probabilities belong, and nothing complains. The cell trains the same student three times, with the same seed
# and for as many epochs: alone, distilled with the default, and distilled with `keras.losses.KLDivergence()`.

# %%
# %%sandbox --budget 600 --time-limit 120 --into distilling
import time

import keras

from course_utils import scans
from course_utils.sandbox.inside import report

shelf = scans.cache_folder() / "lab_12"
folder = scans.load("train", count=1000, size=48)
dataset = keras.utils.image_dataset_from_directory(folder, image_size=(48, 48), batch_size=32, seed=0, verbose=False)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def student():
    """Three narrow convolutions, 10 logits."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Input((48, 48, 3)), keras.layers.Rescaling(1 / 255)]
    for filters, size, strides in ((12, 5, 2), (24, 3, 2), (48, 3, 1)):
        layers += [
            keras.layers.Conv2D(filters, size, strides=strides, padding="same", activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
        ]
    return keras.Sequential([*layers, keras.layers.GlobalMaxPooling2D(), keras.layers.Dense(10)])


def adam():
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, 4 * len(dataset)))


alone = student()
alone.compile(adam(), loss)
start = time.perf_counter()
history = alone.fit(dataset, epochs=4, verbose=0)
alone_s = time.perf_counter() - start
keras.Model(alone.inputs, alone.outputs).save(shelf / "alone.keras")

members = [keras.saving.load_model(shelf / f"lean_{number}.keras") for number in range(3)]
for number, member in enumerate(members):
    member.name = f"member_{number}"
inputs = keras.Input((48, 48, 3))
teacher = keras.Model(inputs, keras.layers.average([member(inputs) for member in members]))


def distil(name, distillation_loss):
    """Train a student with this loss, save it; returns its distillation loss in the last epoch, and the seconds."""
    distilled = student()
    distiller = keras.distillation.Distiller(teacher, distilled, distillation_loss, student_loss_weight=0.5)
    distiller.compile(adam(), loss=loss)
    start = time.perf_counter()
    history = distiller.fit(dataset, epochs=4, verbose=0)
    distilled.save(shelf / name)
    return history.history["distillation_loss"][-1], time.perf_counter() - start


default_loss, _ = distil("default.keras", keras.distillation.LogitsDistillation(temperature=4.0))
divergence = keras.losses.KLDivergence()
kl_loss, distilled_s = distil(
    "distilled.keras", keras.distillation.LogitsDistillation(temperature=4.0, loss=divergence)
)
report(alone_s=alone_s, distilled_s=distilled_s, default_loss=default_loss, kl_loss=kl_loss)

# %% [markdown]
# A KL divergence is never below zero. Look at `default_loss` above: a loss that cannot be is the first sign of such a
# mistake. The distiller has the optimizer and the student has none, so `distilled.save` writes a lean file by itself.

# %%
served["student alone"] = serve("alone.keras")
served["student, default loss"] = serve("default.keras")
served["student distilled"] = serve("distilled.keras")

# %% [markdown]
# ### The steps beside each other

# %%
from course_utils import notebook

one, half = served["one network"], served["float16"]
drawn = {name: outcome for name, outcome in served.items() if name != "float16"}
notebook.compare(drawn, alt="Memory over time while each of the model files is loaded and predicts")
print(
    f"float16, too slow for this picture: peak {half.peak_mib:.0f} MiB, accuracy {half.values['accuracy']:.3f}, "
    f"disk {half.values['disk_mib']:.1f} MiB, answers in {half.values['answers_s']:.1f} s"
)
for name in ("pruned", "int8", "float16", "student distilled"):
    disk = served[name].values["disk_mib"] / one.values["disk_mib"]
    peak = served[name].peak_mib / one.peak_mib
    print(f"{name}: {disk:.0%} of the file of one network, {peak:.0%} of its peak")
print(
    f"training the student alone: {distilling.values['alone_s']:.1f} s, distilling: "
    f"{distilling.values['distilled_s']:.1f} s"
)

# %% [markdown]
# A process that loads a Keras model never gets below what Keras needs to build and trace it. That is why a file can
# shrink far more than the peak. `float16` is stored in half the space, but most processors do not calculate in it:
# TensorFlow falls back on slow routines, so the answers take many times as long. On a GPU that is different (lab 08).

# %% [markdown]
# ## What people say

# %% tags=["claims"]
pruned, int8 = served["pruned"], served["int8"]
peak_saved = 1 - pruned.peak_mib / one.peak_mib
zip_saved = 1 - pruned.values["zipped_mib"] / one.values["zipped_mib"]
disk_saved = max(0.0, 1 - pruned.values["disk_mib"] / one.values["disk_mib"])
int8_file = one.values["disk_mib"] / int8.values["disk_mib"]
int8_peak = one.peak_mib / int8.peak_mib
half_peak = half.peak_mib / one.peak_mib
half_time = half.values["answers_s"] / one.values["answers_s"]
default = served["student, default loss"].values["accuracy"]
kl_loss, default_loss = distilling.values["kl_loss"], distilling.values["default_loss"]
gain = served["student distilled"].values["accuracy"] - served["student alone"].values["accuracy"]
notebook.claims(
    [
        (
            "Pruning nine weights of ten saves most of the memory.",
            f"{pruning.values['zeros']:.0%} zeros; {one.peak_mib:.0f} MiB before, {pruned.peak_mib:.0f} MiB after",
            "false" if peak_saved < 0.25 else "half true",
        ),
        (
            "Pruning makes the file smaller.",
            f"on disk {disk_saved:.0%} smaller; compressed, {zip_saved:.0%} smaller",
            "depends: only if you compress it" if disk_saved < 0.1 < zip_saved else "half true",
        ),
        (
            "int8 makes a model four times smaller.",
            f"the file {int8_file:.1f} times, the peak {int8_peak:.1f} times",
            "half true: the file, not the process" if int8_file > 3 > int8_peak else "depends: on its layers",
        ),
        (
            "float16 weights halve memory and time.",
            f"{half_peak:.0%} of the peak, {half_time:.1f} times the time, on a CPU",
            "false"
            if half_peak > 0.6
            else "true"
            if half_time < 0.6
            else "half true: the memory, and on a CPU not the time",
        ),
        (
            "`LogitsDistillation` works as it comes.",
            f"default: loss {default_loss:.2f}, accuracy {default:.1%}; with `KLDivergence()`: loss {kl_loss:.2f}",
            "false: this loss cannot be below zero" if default_loss < 0 else "true",
        ),
        (
            "A distilled student beats the same student trained alone.",
            f"{gain:+.1%} accuracy, one run of each",
            "true" if gain > 0.05 else "false" if gain < -0.05 else "depends: no clear difference here",
        ),
    ]
)

# %% [markdown]
# One run of each student is not proof: another seed moves the accuracy of so short a training by several points. But
# train the small network alone first. It is the bar that distillation has to clear, at a teacher's cost in time and
# memory.

# %% [markdown]
# ## Your turn
#
# Write `compress(folder, file)`. The folder holds {{train_count}} scans of {{image_size}} x {{image_size}} pixels, as
# `folder/<class 0..9>/*.jpg`. Train what you like, and write the model to serve to `file`, whose name ends in `.keras`.
# Then the grader starts a **fresh run** that has your file and nothing else, and predicts. What counts:
#
# - **Memory:** that fresh run needs at most {{budget_mib}} MiB above the baseline, and is killed at twice that.
#   `compress` itself is killed at {{compress_mib}} MiB.
# - **File:** at most {{saved_kib}} KiB.
# - **Accuracy:** at least {{floor}} on {{hidden_count}} scans that you do not have.
# - **Time:** at most {{time_limit}} seconds, both runs together.
#
# By default the grader calls `keras.saving.load_model(file)` and feeds raw pixels, from 0 to 255, in batches of 32. For
# any other kind of file, such as LiteRT, write `predict(file, paths)` too: it gets the file and a list of image files,
# and returns their labels. `%course hint {{number}}` gives a hint.

# %% tags=["graded"]
# %%graded 12
import keras


def compress(folder, file):
    """Train on folder/<class>/*.jpg and write to `file` a model that takes raw pixels from 0 to 255."""
    # STARTER: Train a model that is small enough to serve, and save it to `file` without its optimizer.
    # BEGIN SOLUTION
    keras.utils.set_random_seed(0)
    dataset = keras.utils.image_dataset_from_directory(
        folder, image_size=(48, 48), batch_size=32, seed=0, verbose=False
    )
    student = keras.Sequential(
        [
            keras.layers.Input((48, 48, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(12, 5, strides=2, padding="same", activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.Conv2D(24, 3, strides=2, padding="same", activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.Conv2D(48, 3, padding="same", activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    epochs = 7
    rate = keras.optimizers.schedules.CosineDecay(0.01, epochs * len(dataset))
    student.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    student.fit(dataset, epochs=epochs, verbose=2)
    keras.Model(student.inputs, student.outputs).save(file)  # the same layers, and no optimizer
    # END SOLUTION


# %% [markdown] tags=["summary"]
# ## Summary
#
# - A saved model holds its optimizer: with Adam, three numbers a weight. Save a copy without it.
# - Loading is the peak of serving: the file passes through memory on its way.
# - Zeros take as many bytes as other weights. Pruning pays off only in a compressed file.
# - `int8` and `float16` shrink the file by about what they promise. The process gains less from `int8`, and `float16`
#   is paid for with time on a CPU.
# - A runtime made for serving leaves out what Keras needs for training.
# - A smaller network saves everywhere. Distillation may make it better: give `LogitsDistillation` a `KLDivergence()`,
#   and measure against the student alone.
#
# To remember: {{takeaway}}

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Open the answer that you would give.
#
# **1. A network with 10 MiB of weights was trained with Adam. How large is the file that `model.save` writes?**
#
# - [ ] About 10 MiB :: Only if the model has no optimizer, such as a fresh copy that was never compiled.
# - [x] About 30 MiB :: Each weight comes with Adam's two numbers.
# - [ ] About 40 MiB :: The gradient is the fourth number of a training step, and it is not saved.
#
# **2. You set nine weights of ten to zero. What gets smaller?**
#
# - [ ] The memory at inference :: A `float32` array has four bytes a value, whatever the value is.
# - [ ] The file on disk :: It holds the same arrays. A `.keras` file is not compressed.
# - [x] The file after `gzip` :: Long runs of equal bytes are what compression is good at.
#
# **3. `model.quantize("int8")` hardly changes your file. What is the likely reason?**
#
# - [x] The weights are in convolutions :: Keras quantizes Dense, EinsumDense and Embedding layers, and passes
#   over convolutions.
# - [ ] You did not train it again :: Quantizing needs no training, and the size does not depend on it.
# - [ ] `int8` is only for GPUs :: It works on a CPU, as you saw.
#
# **4. Your training log shows a KL divergence of -0.6. What do you know?**
#
# - [ ] The student is better than the teacher :: Zero is when both agree, and every difference makes it larger.
# - [x] It was not computed from probabilities :: Between probabilities it is never negative. Look for a softmax that is
#   missing.
# - [ ] The temperature is too high :: Temperature makes probabilities softer, and they stay probabilities.

# %% tags=["versions"]
notebook.versions(seed=0)
