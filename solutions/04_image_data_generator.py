# %% [markdown]
# # ImageDataGenerator without the crash
#
# `ImageDataGenerator` is the class that many tutorials on image augmentation use. One of its methods needs a few
# batches of memory, and two others copy the whole data set. In this lab you crash it, repair it, and then replace it,
# since it is deprecated.
#
# **Objectives**
#
# - Say which methods of `ImageDataGenerator` copy your array, and how large each copy is.
# - Augment pictures from a folder with rescaling, shear, zoom and a validation split, in a few batches of memory.
# - Write the same with `image_dataset_from_directory` and augmentation layers, and compare the two.
#
# **Prerequisites**
#
# - Lab 01: bytes = count x height x width x channels x itemsize.
# - You know what a validation split is for.

# %% [markdown]
# ## The pictures
#
# You train on neat scans and are tested on careless ones: slanted, turned, smaller and off the middle. That is what
# augmentation is for. You have no careless scans to train on, so you make some out of the neat ones while you train.

# %% mystnb={"image": {"alt": "Two strips of the digits 0 to 9: neat ones above, slanted and shifted ones below."}}
from IPython.display import display
from PIL import Image

from course_utils import scans

folders = [
    scans.load("train", count=3000, size=96),
    scans.load("validation", count=500, size=96, distorted=True),
]
strips = Image.new("RGB", (10 * 96, 2 * 96))
for row, folder in enumerate(folders):
    for digit in range(10):
        strips.paste(Image.open(sorted(folder.glob(f"{digit}/*.jpg"))[2]), (digit * 96, row * 96))
display(strips)

# %% [markdown] tags=["predict"]
# ## Predict
#
# The cell below loads 3,000 scans of 96 x 96 pixels, and does it well: as bytes, in one array. Then it makes a
# generator, lets it learn the mean of the pixels with `fit`, and asks it for batches with `flow`.
#
# A generator makes one batch at a time. So how much memory will this need at its peak? Write your number in MiB after
# `--predict`, in place of the 100 that stands there.

# %% [markdown]
# ## Crash

# %% tags=["crash"]
# %%sandbox --budget 256 --predict 100 --into crash
import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from course_utils import scans

paths = sorted(scans.load("train", count=3000, size=96).glob("*/*.jpg"))
x = np.empty((len(paths), 96, 96, 3), dtype="uint8")
for index, path in enumerate(paths):
    x[index] = Image.open(path)
y = np.array([int(path.parent.name) for path in paths])

generator = tf.keras.preprocessing.image.ImageDataGenerator(featurewise_center=True, shear_range=15, zoom_range=0.2)
generator.fit(x)
batches = generator.flow(x, y, batch_size=32)

model = keras.Sequential(
    [
        keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
        keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy")
history = model.fit(batches, verbose=0)

# %% [markdown]
# The bytes fitted. `generator.fit(x)`, which trains nothing and only takes a mean, did not.

# %% [markdown]
# ## Explain
#
# Here are the same lines with more room and without the training: `fit` alone first, then `flow` alone.

# %% tags=["explain"]
# %%sandbox --budget 1024 --into fitted
import numpy as np
import tensorflow as tf
from PIL import Image

from course_utils import scans

paths = sorted(scans.load("train", count=3000, size=96).glob("*/*.jpg"))
x = np.empty((len(paths), 96, 96, 3), dtype="uint8")
for index, path in enumerate(paths):
    x[index] = Image.open(path)
y = np.array([int(path.parent.name) for path in paths])

generator = tf.keras.preprocessing.image.ImageDataGenerator(featurewise_center=True, shear_range=15, zoom_range=0.2)
generator.fit(x)

# %% tags=["explain"]
# %%sandbox --budget 1024 --into flowing
import numpy as np
import tensorflow as tf
from PIL import Image

from course_utils import scans
from course_utils.sandbox.inside import report

paths = sorted(scans.load("train", count=3000, size=96).glob("*/*.jpg"))
x = np.empty((len(paths), 96, 96, 3), dtype="uint8")
for index, path in enumerate(paths):
    x[index] = Image.open(path)
y = np.array([int(path.parent.name) for path in paths])

generator = tf.keras.preprocessing.image.ImageDataGenerator(shear_range=15, zoom_range=0.2)
batches = generator.flow(x, y, batch_size=32)
report(dtype=batches.x.dtype.name, same_array=bool(np.shares_memory(batches.x, x)))

# %% [markdown]
# Both methods begin with the same step: they turn your array into `float32`, four times its size as bytes. Then
#
# - `fit` copies that once more, since it subtracts the mean in place, and drops both copies when it returns;
# - `flow` keeps its copy as `batches.x` for as long as the generator lives.

# %% tags=["explain"]
pixels = 3000 * 96 * 96 * 3
as_bytes, as_floats = pixels / 2**20, 4 * pixels / 2**20
for name, expected, measured in [
    ("fit:  bytes + float32 + float32", as_bytes + 2 * as_floats, fitted.peak_mib),
    ("flow: bytes + float32", as_bytes + as_floats, flowing.peak_mib),
]:
    difference = 100 * (measured - expected) / expected
    print(f"{name:<32} expected {expected:6.1f} MiB, measured {measured:6.1f} MiB ({difference:+.1f} %)")
print(f"flow keeps {flowing.values['dtype']}; the same array as x: {flowing.values['same_array']}.")

# %% [markdown]
# So the class is a generator for the augmented pictures only. What it makes them from lies in memory, as floats.

# %% [markdown]
# ## Fix it, step by step
#
# These steps train for ten batches. That is enough to see the memory.
#
# ### Step 1: take the mean from a sample
#
# `fit` needs enough pictures for a good mean, not all of them. The cell fits on a hundred and reports how far that mean
# is from the mean of all 3,000, on the scale of the pixels from 0 to 255. One or two steps of 255 do no harm. `flow`
# still makes its copy.

# %%
# %%sandbox --budget 1024 --into sample
import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from course_utils import scans
from course_utils.sandbox.inside import report

paths = sorted(scans.load("train", count=3000, size=96).glob("*/*.jpg"))
x = np.empty((len(paths), 96, 96, 3), dtype="uint8")
for index, path in enumerate(paths):
    x[index] = Image.open(path)
y = np.array([int(path.parent.name) for path in paths])

generator = tf.keras.preprocessing.image.ImageDataGenerator(featurewise_center=True, shear_range=15, zoom_range=0.2)
generator.fit(x[::30])
report(mean_off_by=round(float(np.abs(generator.mean.ravel() - x.mean(axis=(0, 1, 2))).max()), 2))
batches = generator.flow(x, y, batch_size=32)

model = keras.Sequential(
    [
        keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
        keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy")
history = model.fit(batches, steps_per_epoch=10, verbose=0)

# %% [markdown]
# ### Step 2: `flow_from_directory`
#
# It remembers file names and reads one batch. `rescale` takes the place of the mean, and `validation_split` keeps a
# share of each class's files aside.
#
# Mind the split: a generator augments *both* its subsets. So make a second one with the same split and no
# augmentation, and take the validation scans from that. The shares agree, since they go by file name: `in_both` counts
# the files that are in both subsets, and should be 0.

# %%
# %%sandbox --budget 1024 --into from_directory
import keras
import tensorflow as tf

from course_utils import scans
from course_utils.sandbox.inside import report

folder = scans.load("train", count=3000, size=96)
options = {"target_size": (96, 96), "batch_size": 32, "class_mode": "sparse", "seed": 0}
ImageDataGenerator = tf.keras.preprocessing.image.ImageDataGenerator
augmenting = ImageDataGenerator(rescale=1 / 255, shear_range=15, zoom_range=0.2, validation_split=0.2)
training = augmenting.flow_from_directory(folder, subset="training", **options)
plain = ImageDataGenerator(rescale=1 / 255, validation_split=0.2)
validation = plain.flow_from_directory(folder, subset="validation", shuffle=False, **options)
report(in_both=len(set(training.filepaths) & set(validation.filepaths)))

model = keras.Sequential(
    [
        keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
        keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy")
history = model.fit(training, steps_per_epoch=10, validation_data=validation, validation_steps=5, verbose=0)

# %% [markdown]
# ### Step 3: `image_dataset_from_directory` and layers
#
# TensorFlow's documentation advises against `ImageDataGenerator` in new code and points to this pair. Loading is a
# `tf.data` pipeline. Each augmentation is a layer, and the layers run inside the pipeline, on a batch at a time.
# `Rescaling` goes into the model, where it also serves whoever uses the model later.
#
# Called by themselves, as here, random layers augment by default; `training=True` says so aloud. Put inside a model
# instead, they work in `fit` and rest in `predict`.

# %%
# %%sandbox --budget 1024 --into layers
import keras

from course_utils import scans

folder = scans.load("train", count=3000, size=96)
options = {"image_size": (96, 96), "batch_size": 32, "seed": 0, "validation_split": 0.2, "verbose": False}
training = keras.utils.image_dataset_from_directory(folder, subset="training", **options)
validation = keras.utils.image_dataset_from_directory(folder, subset="validation", **options)
augment = keras.Sequential(
    [
        keras.layers.RandomShear(0.25, fill_mode="nearest"),
        keras.layers.RandomZoom(0.2, fill_mode="nearest"),
    ]
)
training = training.map(lambda images, labels: (augment(images, training=True), labels)).prefetch(1)

model = keras.Sequential(
    [
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
        keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy")
history = model.fit(training.take(10), validation_data=validation.take(5), verbose=0)

# %%
from course_utils import notebook

steps = {"sample for fit": sample, "flow_from_directory": from_directory, "layers": layers}
notebook.compare(steps, alt="Memory over time of three ways to augment 3,000 scans")
fits = [name for name, outcome in steps.items() if outcome.peak_mib <= 256]
print(f"Within the 256 MiB of the crash: {', '.join(fits)}.")

# %% [markdown]
# ## Side by side
#
# Memory is one of three things that you choose by. The next three cells train the same model for two epochs: without
# augmentation, with `ImageDataGenerator`, and with layers. Each reports how many pictures a second it trained on, and
# its accuracy on 500 *distorted* scans of other handwriting.
#
# The pictures are read at 48 x 48 pixels, a quarter of the pixels, which is enough to tell a digit. The model begins
# with a `Resizing` layer, so it takes scans of any size.

# %%
# %%sandbox --budget 1024 --into no_augmentation
import time

import keras

from course_utils import scans
from course_utils.sandbox.inside import report

keras.utils.set_random_seed(0)
folder = scans.load("train", count=3000, size=96)
training = keras.utils.image_dataset_from_directory(folder, image_size=(48, 48), seed=0, verbose=False)

model = keras.Sequential(
    [
        keras.layers.Resizing(48, 48),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(16, 5, strides=2, activation="relu"),
        keras.layers.BatchNormalization(momentum=0.8),
        keras.layers.Conv2D(32, 3, activation="relu"),
        keras.layers.BatchNormalization(momentum=0.8),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(64, 3, activation="relu"),
        keras.layers.BatchNormalization(momentum=0.8),
        keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
rate = keras.optimizers.schedules.CosineDecay(0.005, 2 * 94)
model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
start = time.perf_counter()
history = model.fit(training, epochs=2, verbose=0)
seconds = time.perf_counter() - start

folder = scans.load("validation", count=500, size=96, distorted=True)
distorted = keras.utils.image_dataset_from_directory(folder, image_size=(48, 48), verbose=False)
accuracy = model.evaluate(distorted, verbose=0)[1]
report(pictures_per_second=round(2 * 3000 / seconds), accuracy=round(accuracy, 3))

# %%
# %%sandbox --budget 1024 --into with_generator
import time

import keras
import tensorflow as tf

from course_utils import scans
from course_utils.sandbox.inside import report

keras.utils.set_random_seed(0)
folder = scans.load("train", count=3000, size=96)
generator = tf.keras.preprocessing.image.ImageDataGenerator(shear_range=15, rotation_range=10, zoom_range=(0.95, 1.3))
training = generator.flow_from_directory(folder, target_size=(48, 48), batch_size=32, class_mode="sparse", seed=0)

model = keras.Sequential(
    [
        keras.layers.Resizing(48, 48),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(16, 5, strides=2, activation="relu"),
        keras.layers.BatchNormalization(momentum=0.8),
        keras.layers.Conv2D(32, 3, activation="relu"),
        keras.layers.BatchNormalization(momentum=0.8),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(64, 3, activation="relu"),
        keras.layers.BatchNormalization(momentum=0.8),
        keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
rate = keras.optimizers.schedules.CosineDecay(0.005, 2 * 94)
model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
start = time.perf_counter()
history = model.fit(training, epochs=2, verbose=0)
seconds = time.perf_counter() - start

folder = scans.load("validation", count=500, size=96, distorted=True)
distorted = keras.utils.image_dataset_from_directory(folder, image_size=(48, 48), verbose=False)
accuracy = model.evaluate(distorted, verbose=0)[1]
report(pictures_per_second=round(2 * 3000 / seconds), accuracy=round(accuracy, 3))

# %%
# %%sandbox --budget 1024 --into with_layers
import time

import keras

from course_utils import scans
from course_utils.sandbox.inside import report

keras.utils.set_random_seed(0)
folder = scans.load("train", count=3000, size=96)
training = keras.utils.image_dataset_from_directory(folder, image_size=(48, 48), seed=0, verbose=False)
augment = keras.Sequential(
    [
        keras.layers.RandomShear(0.25, fill_mode="nearest"),
        keras.layers.RandomRotation(0.03, fill_mode="nearest"),
        keras.layers.RandomZoom((-0.05, 0.3), fill_mode="nearest"),
    ]
)
training = training.map(lambda images, labels: (augment(images, training=True), labels)).prefetch(1)

model = keras.Sequential(
    [
        keras.layers.Resizing(48, 48),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(16, 5, strides=2, activation="relu"),
        keras.layers.BatchNormalization(momentum=0.8),
        keras.layers.Conv2D(32, 3, activation="relu"),
        keras.layers.BatchNormalization(momentum=0.8),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(64, 3, activation="relu"),
        keras.layers.BatchNormalization(momentum=0.8),
        keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
rate = keras.optimizers.schedules.CosineDecay(0.005, 2 * 94)
model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
start = time.perf_counter()
history = model.fit(training, epochs=2, verbose=0)
seconds = time.perf_counter() - start

folder = scans.load("validation", count=500, size=96, distorted=True)
distorted = keras.utils.image_dataset_from_directory(folder, image_size=(48, 48), verbose=False)
accuracy = model.evaluate(distorted, verbose=0)[1]
report(pictures_per_second=round(2 * 3000 / seconds), accuracy=round(accuracy, 3))

# %%
notebook.compare(
    {"no augmentation": no_augmentation, "ImageDataGenerator": with_generator, "layers": with_layers},
    alt="Memory over time of training without augmentation, with ImageDataGenerator and with layers",
)

# %% [markdown]
# None of the three holds the data set, so all three stay small. The units differ, so do not copy the numbers from one
# to the other: `shear_range=15` and `rotation_range=10` are degrees, `RandomShear(0.25)` is a slope and
# `RandomRotation(0.03)` is a share of a full turn.

# %% [markdown]
# ## What people say
#
# Two more cells, for two more remedies that you will read about: delete the array once `flow` has it, and leave
# `target_size` to its default.

# %%
# %%sandbox --budget 1024 --into deleted
import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from course_utils import scans

paths = sorted(scans.load("train", count=3000, size=96).glob("*/*.jpg"))
x = np.empty((len(paths), 96, 96, 3), dtype="uint8")
for index, path in enumerate(paths):
    x[index] = Image.open(path)
y = np.array([int(path.parent.name) for path in paths])

generator = tf.keras.preprocessing.image.ImageDataGenerator(shear_range=15, zoom_range=0.2)
batches = generator.flow(x, y, batch_size=32)
del x

model = keras.Sequential(
    [
        keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
        keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy")
history = model.fit(batches, steps_per_epoch=10, verbose=0)

# %%
# %%sandbox --budget 1024 --into default_size
import keras
import tensorflow as tf

from course_utils import scans
from course_utils.sandbox.inside import report

folder = scans.load("train", count=3000, size=96)
generator = tf.keras.preprocessing.image.ImageDataGenerator(rescale=1 / 255, shear_range=15, zoom_range=0.2)
training = generator.flow_from_directory(folder, batch_size=32, class_mode="sparse", seed=0)
report(
    picture=" x ".join(str(side) for side in training.image_shape[:2]),
    new_name=hasattr(keras.preprocessing.image, "ImageDataGenerator"),
)

model = keras.Sequential(
    [
        keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
        keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy")
history = model.fit(training, steps_per_epoch=3, verbose=0)

# %% tags=["claims"]
saved_by_del = 1 - deleted.peak_mib / sample.peak_mib
added_by_augmentation = with_layers.peak_mib - no_augmentation.peak_mib
gain = with_layers.values["accuracy"] - no_augmentation.values["accuracy"]
speed = with_layers.values["pictures_per_second"] / with_generator.values["pictures_per_second"]
notebook.claims(
    [
        (
            "ImageDataGenerator is a generator, so the data is not in memory.",
            f"flow: {sample.peak_mib:.0f} MiB; flow_from_directory: {from_directory.peak_mib:.0f} MiB",
            "depends: on which method" if sample.peak_mib > 2 * from_directory.peak_mib else "true",
        ),
        (
            "`del x` after flow gives the memory back.",
            f"{saved_by_del:.0%} of the peak saved; the floats, {as_floats:.0f} MiB, stay until the end",
            "true" if saved_by_del > 0.5 else "half true: the bytes go, the floats stay",
        ),
        (
            "Augmentation makes the data set larger, so it needs more memory.",
            f"{added_by_augmentation:+.0f} MiB at the peak, beside a float32 data set of {as_floats:.0f} MiB",
            "false" if added_by_augmentation < 0.25 * as_floats else "half true",
        ),
        (
            "Augmentation helps on pictures that differ from the training set.",
            f"{gain:+.3f} accuracy on distorted scans after two epochs",
            "true" if gain > 0.02 else "half true" if gain > 0 else "false",
        ),
        (
            "target_size can be left out.",
            f"{default_size.values['picture']} pixels: {default_size.peak_mib:.0f} MiB; "
            f"96 x 96 pixels: {from_directory.peak_mib:.0f} MiB",
            "false" if default_size.peak_mib > 1.5 * from_directory.peak_mib else "half true",
        ),
        (
            "The layers are faster than ImageDataGenerator.",
            f"{speed:.1f} times as many pictures a second",
            "depends: on cores, and on what you augment" if speed > 0.8 else "false",
        ),
        (
            "Keras 3 has no ImageDataGenerator any more.",
            f"keras.preprocessing.image has it: {default_size.values['new_name']}; "
            f"the cell above got it from tf.keras and {default_size.status}",
            "false" if default_size.values["new_name"] else "half true: it is left under tf.keras, deprecated",
        ),
    ]
)

# %% [markdown]
# ## Your turn
#
# Write `train(folder)`. The folder holds {{train_count}} neat scans of {{image_size}} x {{image_size}} pixels in one
# folder a class, as `folder/<class 0..9>/*.jpg`. Return a trained Keras model.
#
# - **Memory:** at most {{budget_mib}} MiB above the baseline. A run is killed at twice that.
# - **Accuracy:** at least {{floor}} on {{hidden_count}} *distorted* scans that you do not have. Without augmentation
#   you will find that hard.
# - **Time:** at most {{time_limit}} seconds, training and grading together.
#
# The grader feeds your model raw pixels, from 0 to 255, at {{image_size}} x {{image_size}}. Any technique that meets
# the three is right. `%course hint {{number}}` gives a hint.

# %% tags=["graded"]
# %%graded 04
import keras


def train(folder):
    """Train on folder/<class>/*.jpg and return a Keras model that takes raw pixels from 0 to 255."""
    # STARTER: Read the scans batch by batch, augment them on the way, train a model on them, and return it.
    # BEGIN SOLUTION
    keras.utils.set_random_seed(0)
    training = keras.utils.image_dataset_from_directory(
        folder, image_size=(48, 48), batch_size=32, seed=0, verbose=False
    )
    augment = keras.Sequential(
        [
            keras.layers.RandomShear(0.25, fill_mode="nearest"),
            keras.layers.RandomRotation(0.03, fill_mode="nearest"),
            keras.layers.RandomZoom((-0.05, 0.3), fill_mode="nearest"),
        ]
    )
    augmented = training.map(lambda images, labels: (augment(images, training=True), labels)).prefetch(1)
    model = keras.Sequential(
        [
            keras.layers.Input((None, None, 3)),
            keras.layers.Resizing(48, 48),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(16, 5, strides=2, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    epochs = 5
    rate = keras.optimizers.schedules.CosineDecay(0.005, epochs * len(training))
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(augmented, epochs=epochs, verbose=2)
    return model
    # END SOLUTION


# %% [markdown] tags=["summary"]
# ## Summary
#
# - `flow(x)` keeps the whole array as `float32`. `fit(x)` makes one more copy while it runs. Neither is needed.
# - `flow_from_directory` holds file names and one batch. Give it a `target_size`, and take validation pictures from a
#   second generator that does not augment.
# - `image_dataset_from_directory` with layers does the same, is not deprecated, and runs beside the training step.
# - Augmentation makes pictures one batch at a time. It costs time, not memory.
# - What the generator does to pixels, whoever uses the model must do too. What a layer inside the model does goes with
#   the model.
#
# To remember: {{takeaway}}

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Open the answer that you would give.
#
# **1. `x` holds 1 GB of pixels as `uint8`. How much does the process hold after `generator.flow(x, y)`?**
#
# - [ ] 1 GB and a batch :: That is what `flow_from_directory` would need, without the 1 GB.
# - [ ] 2 GB :: The copy is not made of bytes.
# - [x] 5 GB :: The bytes that you still hold, and a `float32` copy of four times that.
#
# **2. Why does `generator.fit(x)` need more memory than `generator.flow(x, y)`?**
#
# - [x] It converts to `float32` and then copies that array, to change it in place :: Both copies are alive at once,
#   beside your own.
# - [ ] It trains the model on all pictures at once :: It trains nothing. It takes the mean and the like.
# - [ ] It keeps augmented pictures :: Not unless you ask for it with `augment=True`, and then it needs more again.
#
# **3. You train with `ImageDataGenerator(rescale=1/255)` and save the model. A colleague feeds it pixels from 0 to
# 255. What happens?**
#
# - [ ] Keras rescales them, since it saved the generator :: The generator is no part of the model.
# - [ ] An error :: The shapes are right, so nothing complains.
# - [x] It runs, and the answers are poor :: The model has only seen numbers from 0 to 1. A `Rescaling` layer in the
#   model prevents that.
#
# **4. Why make two generators for a validation split?**
#
# - [ ] One generator cannot read two subsets :: It can: `subset` picks one at each call.
# - [x] A generator augments both subsets, and validation pictures should stay as they are :: Otherwise you measure
#   the accuracy on pictures that do not exist.
# - [ ] To keep half the data set in memory :: Neither of them holds pictures.

# %% tags=["versions"]
notebook.versions(seed=0)
