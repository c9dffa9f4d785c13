# %% [markdown]
# # Smaller models
#
# An ensemble of three networks runs out of memory before it answers anything: while it is being loaded. In this lab you
# make models small enough to serve. You measure how much each method saves on disk and in memory, and how much accuracy
# it costs.
#
# **Objectives**
#
# - Work out the memory that a model file needs while it is loaded, and leave the optimizer out of it.
# - Know how much pruning, `int8`, `float16`, and LiteRT save, and in which cases they save nothing.
# - Distill a large model into a small one with `keras.distillation`, and check whether that helped.
#
# **Prerequisites**
#
# - Lab 07: weights count four times with Adam while a network trains.
# - You have used validation data before.

# %%
from course_utils import scans

train_folder = scans.load("train", count=1000, size=48)
validation_folder = scans.load("validation", count=300, size=48)
shelf = scans.cache_folder() / "lab_12"  # where this lab keeps its models
print(f"{len(list(train_folder.glob('*/*.jpg')))} scans of 48 x 48 pixels to train on are ready.")

# %% [markdown]
# ## The ensemble
#
# An ensemble is a group of networks that answer together: you average their scores. Training three networks takes three
# times as long, so here the three members are stages of one training run, saved after each of its last three epochs.
# Each network has three convolutions and two wide Dense layers. `narrow` is the same network with hardly any weights;
# you will need it later.
#
# Every sandboxed cell starts in an empty process. `--name` gives a cell a name. A later cell that lists this name in
# `--after` runs the named cell first, in its own process. Both count toward the peak. The cells of this lab share this
# start:

# %%
# %%sandbox --budget 128 --name start
import time

import keras
import numpy as np
from PIL import Image

from course_utils import scans
from course_utils.sandbox.inside import report

shelf = scans.cache_folder() / "lab_12"
shelf.mkdir(exist_ok=True)
paths = sorted(scans.load("validation", count=300, size=48).glob("*/*.jpg"))


def training_scans(batch_size):
    folder = scans.load("train", count=1000, size=48)
    return keras.utils.image_dataset_from_directory(
        folder, image_size=(48, 48), batch_size=batch_size, seed=0, verbose=False
    )


# %%
# %%sandbox --budget 600 --time-limit 120 --into training --after start
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


dataset = training_scans(batch_size=64)
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
# The cell below loads the three networks and has them predict 300 scans. It trains nothing.
#
# How much memory will that need at its peak? Write your number in MiB after `--predict`, in place of the 30, and run
# the cell.

# %% [markdown]
# ## Crash

# %% tags=["crash"]
# %%sandbox --budget 128 --predict 30 --into crash --after start
x = np.stack([np.asarray(Image.open(path)) for path in paths])

members = []
for number in range(3):
    members.append(keras.saving.load_model(shelf / f"member_{number}.keras"))
scores = sum(member.predict_on_batch(x) for member in members)

# %% [markdown]
# The run died while it loaded the networks. None of them had seen a scan yet.

# %% [markdown]
# ## Explain
#
# Serving needs one number per weight. The files hold three: `save` also writes the optimizer, and Adam keeps two
# numbers for each weight. `load_model` brings all three back. Along the way, it reads all the weights in the file into
# memory and joins the pieces. So the contents of the file are briefly in memory twice, in addition to the models that
# are already loaded.
#
# > peak = 3 models x 3 numbers per weight + 2 x one file + the memory for Keras itself
#
# To measure the last term, load the narrow network three times. The next cell loads models and does nothing else.
# `notebook.run` runs a text in the same way as `%%sandbox --after` runs a cell.

# %% tags=["explain"]
from course_utils import notebook

LOAD = """
models = [keras.saving.load_model(shelf / name) for name in {names}]
"""
names = [f"member_{number}.keras" for number in range(3)]
base = notebook.run(LOAD.format(names=3 * ["narrow.keras"]), after="start", budget_mib=600)
loading = notebook.run(LOAD.format(names=names), after="start", budget_mib=600)
weights = 4 * training.values["parameters"] / MIB
expected = base.peak_mib + 3 * 3 * weights + 2 * 3 * weights
print(f"weights of one network   {weights:6.1f} MiB")
print(f"with Adam's two numbers  {3 * weights:6.1f} MiB, and its file takes {sizes[0]:.1f} MiB")
print(f"Keras, narrow networks   {base.peak_mib:6.1f} MiB")
print(f"expected at the peak     {expected:6.1f} MiB")
difference = 100 * (loading.peak_mib / expected - 1)
print(f"measured                 {loading.peak_mib:6.1f} MiB, {difference:+.1f}% from the expected figure")

# %% [markdown]
# ## Fix it, step by step
#
# Each step makes a file, and `serve` measures it in a fresh process, which loads the file, predicts 300 scans, and does
# nothing else. It records the size on disk, the size after `zlib` compresses the file, the accuracy, and the time for
# the predictions in seconds.

# %%
import zlib

SERVE = """
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
    outcome = notebook.run(SERVE.format(load=load.format(names=names)), after="start", budget_mib=250)
    files = [(shelf / name).read_bytes() for name in names]
    outcome.values["disk_mib"] = sum(map(len, files)) / MIB
    outcome.values["zipped_mib"] = sum(len(zlib.compress(file, 1)) for file in files) / MIB
    return outcome


served = {"ensemble with optimizers": serve(*names)}

# %% [markdown]
# ### Step 1: leave the optimizer out
#
# `load_model(compile=False)` gives a network without an optimizer, and `save` then writes a file without one. For a
# model in memory, use `keras.Model(model.inputs, model.outputs)`: it makes a new model from the same layers that is not
# compiled. From here on, the lab uses only lean files without an optimizer. The table at the end of this section shows
# the ensemble from these files in its second line, and one network in its third.

# %%
# %%sandbox --budget 600 --into lean --after start
for number in range(3):
    model = keras.saving.load_model(shelf / f"member_{number}.keras", compile=False)
    model.save(shelf / f"lean_{number}.keras")

# %%
served["ensemble, lean files"] = serve("lean_0.keras", "lean_1.keras", "lean_2.keras")
served["one network"] = serve("lean_2.keras")

# %% [markdown]
# ### Step 2: magnitude pruning
#
# Pruning sets the smallest weights to zero. Keras 3 has no pruning of its own, and the TensorFlow Model Optimization
# Toolkit, which had it, works only with Keras 2, the package `tf_keras`. But a few lines are enough. They make a mask
# for each Dense layer and train one more epoch to recover. They apply the mask again after each batch, because training
# would fill in the zeros.

# %%
# %%sandbox --budget 600 --into pruning --after start
dataset = training_scans(batch_size=64)
model = keras.saving.load_model(shelf / "lean_2.keras")
kernels = [layer.kernel for layer in model.layers if isinstance(layer, keras.layers.Dense)]
masks = []
for kernel in kernels:
    sizes = np.abs(kernel.numpy())
    masks.append((sizes > np.quantile(sizes, 0.9)).astype("float32"))


def prune(batch=None, logs=None):
    """Set the weights that the masks leave out to zero."""
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
# A zero takes as much room as any other number, so the tensors are as large as before. Take whole units out instead,
# and they shrink. The next cell keeps the quarter of each wide layer's units whose weights are largest, together with
# what the layers after it know about them, and trains one more epoch. In a convolution you would do the same with
# whole filters.


# %%
# %%sandbox --budget 600 --into cutting --after start
def with_fewer_units(layer):
    wide = isinstance(layer, keras.layers.Dense) and layer.units > 10
    return layer.__class__.from_config({**layer.get_config(), **({"units": layer.units // 4} if wide else {})})


model = keras.saving.load_model(shelf / "lean_2.keras")
smaller = keras.models.clone_model(model, clone_function=with_fewer_units)
units = None  # those that stay in the Dense layer before
for old, new in zip(model.layers, smaller.layers, strict=True):
    weights = old.get_weights()
    if isinstance(old, keras.layers.Dense):
        kernel, bias = weights[0] if units is None else weights[0][units], weights[1]
        units = np.sort(np.abs(kernel).sum(axis=0).argsort()[-new.units :])
        weights = [kernel[:, units], bias[units]]
    elif units is not None:  # the batch normalization after it
        weights = [values[units] for values in weights]
    new.set_weights(weights)
smaller.compile(keras.optimizers.SGD(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
history = smaller.fit(training_scans(batch_size=64), verbose=0)
keras.Model(smaller.inputs, smaller.outputs).save(shelf / "cut.keras")

# %%
served["units removed"] = serve("cut.keras")

# %% [markdown]
# ### Step 3: fewer bytes per weight
#
# `quantize("int8")` stores the weights of Dense layers as whole numbers of one byte. It skips convolutions, with a
# warning, so the filter asks for Dense layers only. The convolutions hold few weights here. For `float16`, build each
# layer again in that type, and copy the weights into it.

# %%
# %%sandbox --budget 600 --into narrower --after start
model = keras.saving.load_model(shelf / "lean_2.keras")


def in_half(layer):
    """Return the same layer in float16; the first one keeps float32, because it gets raw pixels."""
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
# LiteRT is made for phones. It keeps only the parts that serving needs: a flat file, and an interpreter that neither
# builds Keras layers nor traces a graph. `Optimize.DEFAULT` also stores each weight in one byte. Its converter comes
# with TensorFlow as `tf.lite`, which is deprecated. If it is missing, the cell tells you and skips the step. The lines
# under the card come from the converter, and none of them is an error.

# %%
# %%sandbox --budget 600 --into converting --after start
import contextlib
import io

import tensorflow as tf

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
# from the labels and also from the scores of a **teacher**, here the ensemble as one model. Scores tell it more than a
# label does, for example that this 3 is nearly an 8.
#
# `Distiller` trains the student and leaves the teacher as it is. `LogitsDistillation` takes scores without a softmax
# and applies its own, so teacher and student end without one, and the loss for the labels has `from_logits=True`.
#
# There is a trap. The default loss of `LogitsDistillation` is the name `"kl_divergence"`, and Keras 3.13.2 turns that
# name into a function. But `LogitsDistillation` applies the softmax only for an object of the class `KLDivergence`. So
# by default the loss gets raw scores in place of probabilities, and no error tells you. The cells train the same
# student three times, with the same seed and for the same number of epochs: alone, distilled with the default, and
# distilled with `keras.losses.KLDivergence()`.

# %%
# %%sandbox --budget 600 --name students --after start
dataset = training_scans(batch_size=32)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def student():
    """Return a network of three narrow convolutions and 10 logits."""
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


# %%
# %%sandbox --budget 600 --time-limit 120 --into distilling --after students
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


def distill(name, distillation_loss):
    """Train and save a student with this loss; returns the distillation loss of the last epoch, and the seconds."""
    distilled = student()
    distiller = keras.distillation.Distiller(teacher, distilled, distillation_loss, student_loss_weight=0.5)
    distiller.compile(adam(), loss=loss)
    start = time.perf_counter()
    history = distiller.fit(dataset, epochs=4, verbose=0)
    distilled.save(shelf / name)
    return history.history["distillation_loss"][-1], time.perf_counter() - start


default_loss, _ = distill("default.keras", keras.distillation.LogitsDistillation(temperature=4.0))
divergence = keras.losses.KLDivergence()
kl_loss, distilled_s = distill(
    "distilled.keras", keras.distillation.LogitsDistillation(temperature=4.0, loss=divergence)
)
report(alone_s=alone_s, distilled_s=distilled_s, default_loss=default_loss, kl_loss=kl_loss)

# %% [markdown]
# A KL divergence is never below zero. Look at `default_loss` above: an impossible loss is the first sign of such a
# mistake. The distiller has the optimizer and the student has none, so `distilled.save` writes a lean file without
# further steps.

# %%
served["student alone"] = serve("alone.keras")
served["student, default loss"] = serve("default.keras")
served["student distilled"] = serve("distilled.keras")

# %% [markdown]
# ### The steps side by side

# %%
one, half = served["one network"], served["float16"]
drawn = {name: outcome for name, outcome in served.items() if name != "float16"}
notebook.compare(drawn, alt="Memory over time while each of the model files is loaded and used to predict")
print(
    f"float16, too slow for this picture: peak {half.peak_mib:.0f} MiB, accuracy {half.values['accuracy']:.3f}, "
    f"disk {half.values['disk_mib']:.1f} MiB, answers in {half.values['answers_s']:.1f} s"
)
for name in ("pruned", "units removed", "int8", "float16", "student distilled"):
    disk = served[name].values["disk_mib"] / one.values["disk_mib"]
    peak = served[name].peak_mib / one.peak_mib
    print(f"{name}: {disk:.0%} of the file of one network, {peak:.0%} of its peak")
print(
    f"training the student alone: {distilling.values['alone_s']:.1f} s, distilling: "
    f"{distilling.values['distilled_s']:.1f} s"
)

# %% [markdown]
# A process that loads a Keras model always needs the memory that Keras takes to build and trace it. So a file can
# shrink far more than the peak. `float16` weights take half the space, but most CPUs do not compute in that type:
# TensorFlow falls back on slow routines, so the predictions take many times as long. This is different on a GPU (lab
# 08).

# %% [markdown]
# ## What people say

# %% tags=["claims"]
pruned, cut, int8 = served["pruned"], served["units removed"], served["int8"]
peak_saved = 1 - pruned.peak_mib / one.peak_mib
zip_saved = 1 - pruned.values["zipped_mib"] / one.values["zipped_mib"]
disk_saved = max(0.0, 1 - pruned.values["disk_mib"] / one.values["disk_mib"])
cut_saved = 1 - cut.values["disk_mib"] / one.values["disk_mib"]
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
            "Pruning nine of ten weights saves most of the memory.",
            f"{pruning.values['zeros']:.0%} zeros; {one.peak_mib:.0f} MiB before, {pruned.peak_mib:.0f} MiB after",
            "false" if peak_saved < 0.25 else "half true",
        ),
        (
            "Pruning pays off only in a compressed file.",
            f"single weights: on disk {disk_saved:.0%} smaller, compressed {zip_saved:.0%}; whole units: on disk "
            f"{cut_saved:.0%} smaller, {cut.peak_mib:.0f} MiB at the peak instead of {one.peak_mib:.0f}",
            "half true: for single weights, not for whole units" if disk_saved < 0.1 < cut_saved else "depends",
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
            else "half true: the memory, but not the time on a CPU",
        ),
        (
            "`LogitsDistillation` works with its defaults.",
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
# One run of each student is no proof: another seed changes the accuracy of such short training by several percentage
# points. But train the small network alone first. Distillation has to beat it, and distillation costs the time and
# memory of a teacher.

# %% [markdown]
# ## Your turn
#
# Write `compress(folder, file)`. The folder holds {{train_count}} scans of {{image_size}} x {{image_size}} pixels, as
# `folder/<class 0..9>/*.jpg`. Train any model, and save a model for serving to `file`, whose name ends in `.keras`.
# Then the grader starts a **fresh run** that has only your file, and that run predicts. Four things count:
#
# - **Memory:** the fresh run may need at most {{budget_mib}} MiB above the baseline. It is killed at twice that.
#   `compress` itself is killed at {{compress_mib}} MiB.
# - **File:** at most {{saved_kib}} KiB.
# - **Accuracy:** at least {{floor}} on {{hidden_count}} scans that you do not have.
# - **Time:** at most {{time_limit}} seconds for both runs together.
#
# By default the grader calls `keras.saving.load_model(file)` and feeds raw pixels, from 0 to 255, in batches of 32. For
# any other kind of file, such as LiteRT, also write `predict(file, paths)`: it gets the file and a list of image files,
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


# %% [markdown] tags=["solution"]
# ## Why it works
#
# The student has no wide layer. Three narrow convolutions and global pooling have about 15,000 weights, so the file is
# small, and loading it costs little compared with Keras itself. `keras.Model(student.inputs, student.outputs)` makes a
# new model from the same layers that was never compiled, so no optimizer goes into the file.

# %% tags=["solution"]
weights = (5 * 5 * 3 + 1) * 12 + (3 * 3 * 12 + 1) * 24 + (3 * 3 * 24 + 1) * 48 + 4 * (12 + 24 + 48) + 49 * 10
print(f"{weights:,} numbers: {weights * 4 / 1024:.0f} KiB in the file, {3 * weights * 4 / 1024:.0f} KiB with Adam")

# %% [markdown] tags=["solution"]
# Seven epochs with a learning rate that falls to zero give the accuracy. The student needed no teacher.
#
# ## What else would pass
#
# - **A wider student, stored in `int8` or `float16`.** The file shrinks, and you can spend the space on filters. But
#   `quantize` skips convolutions, and `float16` predicts slowly on a CPU.
# - **A LiteRT file with a `predict(file, paths)` of your own.** Its interpreter needs far less memory than Keras.
# - **A distilled student.** It costs a teacher's training time and must stay below the limit of `compress`.

# %% [markdown] tags=["own"]
# ## In your own notebook
#
# Save what serving needs, and nothing else. Here `model` is your trained model. Nothing of the course is needed.
#
# ```python
# import keras
#
# lean = keras.Model(model.inputs, model.outputs)  # the same layers, without the optimizer
# lean.save("lean.keras")
# lean.quantize("int8", filters="dense")
# lean.save("int8.keras")
# served = keras.saving.load_model("int8.keras", compile=False)
# print(served.predict(x[:8], verbose=0).shape)
# ```
#
# **With a GPU:** `float16` is fast there, so it is the simpler choice.

# %% [markdown] tags=["summary"]
# ## Summary
#
# - A saved model holds its optimizer: with Adam, that makes three numbers per weight. Save a copy without it.
# - Serving has its peak during loading: the contents of the file are in memory in addition to the model.
# - Zeros take as many bytes as other weights. Pruning pays off only in a compressed file.
# - `int8` and `float16` shrink the file about as much as they promise. `int8` saves less memory in the process, and
#   `float16` costs time on a CPU.
# - A runtime made for serving leaves out the parts of Keras that only training needs.
# - A smaller network saves on disk and in memory. Distillation may make it better: give `LogitsDistillation` a
#   `KLDivergence()`, and compare with the student alone.
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
# - [ ] About 40 MiB :: The gradient is the fourth number in a training step, and it is not saved.
#
# **2. You set nine out of ten weights to zero. What gets smaller?**
#
# - [ ] The memory at inference :: A `float32` array takes four bytes per value, even for zeros.
# - [ ] The file on disk :: It holds the same arrays. A `.keras` file is not compressed.
# - [x] The file after `gzip` :: Compression works well on long runs of equal bytes.
#
# **3. `model.quantize("int8")` hardly changes your file. What is the likely reason?**
#
# - [x] The weights are in convolutions :: Keras quantizes Dense, EinsumDense, and Embedding layers, and skips
#   convolutions.
# - [ ] You did not train the model again :: Quantizing needs no training, and the size does not depend on it.
# - [ ] `int8` is only for GPUs :: It works on a CPU, as you saw.
#
# **4. Your training log shows a KL divergence of -0.6. What do you know?**
#
# - [ ] The student is better than the teacher :: The divergence is zero when both agree, and every difference makes it
#   larger.
# - [x] It was not computed from probabilities :: Between probabilities it is never negative. Look for a missing
#   softmax.
# - [ ] The temperature is too high :: A higher temperature makes probabilities softer, but they stay probabilities.

# %% tags=["versions"]
notebook.versions(seed=0)
