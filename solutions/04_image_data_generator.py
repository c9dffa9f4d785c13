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
# You train on neat scans and are tested on careless ones: slanted, turned, smaller and off the middle. That is the
# purpose of augmentation. You have no careless scans to train on, so you make some from the neat ones while you train.

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

# %% [markdown]
# Every sandboxed cell starts in an empty process. To keep the cells of this lab short, the parts that they share have a
# name, which you give with `--name`. A cell with `--after NAME` first runs the cell of that name in its own process, so
# it knows all its variables. The memory counts as usual; output and values are not shown a second time.
#
# Here are the first three: the imports, a small model, and all 3,000 scans in one array. The array is made well: its
# numbers are bytes.

# %%
# %%sandbox --budget 256 --name basics
import time

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from course_utils import scans
from course_utils.sandbox.inside import report

ImageDataGenerator = tf.keras.preprocessing.image.ImageDataGenerator
folder = scans.load("train", count=3000, size=96)

# %%
# %%sandbox --budget 256 --name model --after basics
model = keras.Sequential(
    [
        keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
        keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy")

# %%
# %%sandbox --budget 256 --name pictures --after basics
paths = sorted(folder.glob("*/*.jpg"))
x = np.empty((len(paths), 96, 96, 3), dtype="uint8")
for index, path in enumerate(paths):
    x[index] = Image.open(path)
y = np.array([int(path.parent.name) for path in paths])

# %% [markdown] tags=["predict"]
# ## Predict
#
# The cell below starts with that array of 3,000 scans of 96 x 96 pixels. It makes a generator, lets it learn the mean
# of the pixels with `fit`, and asks it for batches with `flow`.
#
# A generator makes one batch at a time. So how much memory will this need at its peak? Write your number in MiB after
# `--predict`, in place of the 100 that stands there.

# %% [markdown]
# ## Crash

# %% tags=["crash"]
# %%sandbox --budget 256 --predict 100 --into crash --after pictures,model
generator = ImageDataGenerator(featurewise_center=True, shear_range=15, zoom_range=0.2)
generator.fit(x)
batches = generator.flow(x, y, batch_size=32)
history = model.fit(batches, verbose=0)

# %% [markdown]
# The bytes fit the budget. `generator.fit(x)`, which trains nothing and only takes a mean, does not.

# %% [markdown]
# ## Explain
#
# Here are the same lines with more room and without the training: `fit` alone first, then `flow` alone.

# %% tags=["explain"]
# %%sandbox --budget 1024 --into fitted --after pictures
generator = ImageDataGenerator(featurewise_center=True, shear_range=15, zoom_range=0.2)
generator.fit(x)

# %% tags=["explain"]
# %%sandbox --budget 1024 --into flowing --after pictures
generator = ImageDataGenerator(shear_range=15, zoom_range=0.2)
batches = generator.flow(x, y, batch_size=32)
report(dtype=batches.x.dtype.name, same_array=bool(np.shares_memory(batches.x, x)))

# %% [markdown]
# Both methods begin with the same step: they turn your array into `float32`, four times its size as bytes. Then
#
# - `fit` copies that once more, since it subtracts the mean in place, and drops both copies when it returns;
# - `flow` keeps its copy as `batches.x` for as long as the generator exists.

# %% tags=["explain"]
pixels = 3000 * 96 * 96 * 3
as_bytes, as_floats = pixels / 2**20, 4 * pixels / 2**20
for name, expected, measured in [
    ("fit:  bytes + float32 + float32", as_bytes + 2 * as_floats, fitted.peak_mib),
    ("flow: bytes + float32", as_bytes + as_floats, flowing.peak_mib),
]:
    difference = 100 * (measured - expected) / expected
    print(f"{name:<32} expected {expected:6.1f} MiB, measured {measured:6.1f} MiB ({difference:+.1f}%)")
print(f"flow keeps {flowing.values['dtype']}; the same array as x: {flowing.values['same_array']}.")

# %% [markdown]
# So the class generates only the augmented pictures one batch at a time. Their originals are all in memory, as floats.

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
# %%sandbox --budget 1024 --into sample --after pictures,model
generator = ImageDataGenerator(featurewise_center=True, shear_range=15, zoom_range=0.2)
generator.fit(x[::30])
report(mean_off_by=round(float(np.abs(generator.mean.ravel() - x.mean(axis=(0, 1, 2))).max()), 2))
batches = generator.flow(x, y, batch_size=32)
history = model.fit(batches, steps_per_epoch=10, verbose=0)

# %% [markdown]
# ### Step 2: `flow_from_directory`
#
# It remembers file names and reads one batch. `rescale` takes the place of the mean, and `validation_split` keeps a
# share of each class's files aside.
#
# Mind the split: a generator augments *both* its subsets. So make a second one with the same split and no
# augmentation, and take the validation scans from that. The two agree on the shares, since they go by file name:
# `in_both` counts the files that are in both subsets, and should be 0.

# %%
# %%sandbox --budget 1024 --into from_directory --after model
options = {"target_size": (96, 96), "batch_size": 32, "class_mode": "sparse", "seed": 0}
augmenting = ImageDataGenerator(rescale=1 / 255, shear_range=15, zoom_range=0.2, validation_split=0.2)
training = augmenting.flow_from_directory(folder, subset="training", **options)
plain = ImageDataGenerator(rescale=1 / 255, validation_split=0.2)
validation = plain.flow_from_directory(folder, subset="validation", shuffle=False, **options)
report(in_both=len(set(training.filepaths) & set(validation.filepaths)))
history = model.fit(training, steps_per_epoch=10, validation_data=validation, validation_steps=5, verbose=0)

# %% [markdown]
# ### Step 3: `image_dataset_from_directory` and layers
#
# TensorFlow's documentation advises against `ImageDataGenerator` in new code and recommends this pair. Loading is a
# `tf.data` pipeline. Each augmentation is a layer, and the layers run inside the pipeline, on one batch at a time.
# `Rescaling` goes into the model, so everyone who uses the model later has it too.
#
# Called by themselves, as here, random layers augment by default; `training=True` makes that explicit. Inside a model
# they augment in `fit` and do nothing in `predict`.

# %%
# %%sandbox --budget 1024 --into layers --after model
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

model = keras.Sequential([keras.layers.Rescaling(1 / 255), *model.layers])
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
# Memory is one of three things that decide. The next cells train the same model for two epochs: without augmentation,
# with `ImageDataGenerator`, and with layers. The function that they share reports how many pictures per second it
# trained on, and its accuracy on 500 *distorted* scans of other handwriting.
#
# The pictures are read at 48 x 48 pixels, a quarter of the pixels, which is enough to tell a digit. The model begins
# with a `Resizing` layer, so it takes scans of any size.


# %%
# %%sandbox --budget 256 --name comparing --after basics
def train_and_report(training):
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
    model.fit(training, epochs=2, verbose=0)
    seconds = time.perf_counter() - start

    distorted = scans.load("validation", count=500, size=96, distorted=True)
    distorted = keras.utils.image_dataset_from_directory(distorted, image_size=(48, 48), verbose=False)
    accuracy = model.evaluate(distorted, verbose=0)[1]
    report(pictures_per_second=round(2 * 3000 / seconds), accuracy=round(accuracy, 3))


keras.utils.set_random_seed(0)

# %%
# %%sandbox --budget 1024 --into no_augmentation --after comparing
training = keras.utils.image_dataset_from_directory(folder, image_size=(48, 48), seed=0, verbose=False)
train_and_report(training)

# %%
# %%sandbox --budget 1024 --into with_generator --after comparing
generator = ImageDataGenerator(shear_range=15, rotation_range=10, zoom_range=(0.95, 1.3))
training = generator.flow_from_directory(folder, target_size=(48, 48), batch_size=32, class_mode="sparse", seed=0)
train_and_report(training)

# %%
# %%sandbox --budget 1024 --into with_layers --after comparing
training = keras.utils.image_dataset_from_directory(folder, image_size=(48, 48), seed=0, verbose=False)
augment = keras.Sequential(
    [
        keras.layers.RandomShear(0.25, fill_mode="nearest"),
        keras.layers.RandomRotation(0.03, fill_mode="nearest"),
        keras.layers.RandomZoom((-0.05, 0.3), fill_mode="nearest"),
    ]
)
training = training.map(lambda images, labels: (augment(images, training=True), labels)).prefetch(1)
train_and_report(training)

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
# You will read about two more remedies: delete the array once `flow` has it, and leave out `target_size`.

# %%
# %%sandbox --budget 1024 --into deleted --after pictures,model
generator = ImageDataGenerator(shear_range=15, zoom_range=0.2)
batches = generator.flow(x, y, batch_size=32)
del x
history = model.fit(batches, steps_per_epoch=10, verbose=0)

# %%
# %%sandbox --budget 1024 --into default_size --after model
generator = ImageDataGenerator(rescale=1 / 255, shear_range=15, zoom_range=0.2)
training = generator.flow_from_directory(folder, batch_size=32, class_mode="sparse", seed=0)
report(
    picture=" x ".join(str(side) for side in training.image_shape[:2]),
    new_name=hasattr(keras.preprocessing.image, "ImageDataGenerator"),
)
history = model.fit(training, steps_per_epoch=3, verbose=0)

# %% [markdown]
# And one line is copied more than any other: `ImageDataGenerator(rescale=1/255, shear_range=0.2, zoom_range=0.2)`. Its
# `zoom_range` is a share, but its `shear_range` is in degrees. The next cell shears one scan by 0.2 degrees and by 15.

# %% mystnb={"image": {"alt": "A digit as it is, the same sheared by 0.2 degrees, and slanted by 15 degrees."}}
# %%sandbox --budget 256 --into sheared --after basics
import matplotlib.pyplot as plt

picture = np.asarray(Image.open(sorted(folder.glob("4/*.jpg"))[2]), dtype="float32")
figure, axes = plt.subplots(1, 3, figsize=(6, 2.3))
for axis, (name, degrees) in zip(axes, {"none": 0, "copied": 0.2, "degrees_15": 15}.items(), strict=True):
    changed = ImageDataGenerator().apply_transform(picture, {"shear": degrees})
    axis.imshow(changed.astype("uint8"))
    axis.set_title(f"{degrees} degrees")
    axis.axis("off")
    report(**{name: float(np.abs(changed - picture).mean())})
plt.show()

# %% tags=["claims"]
saved_by_del = 1 - deleted.peak_mib / sample.peak_mib
added_by_augmentation = with_layers.peak_mib - no_augmentation.peak_mib
gain = with_layers.values["accuracy"] - no_augmentation.values["accuracy"]
speed = with_layers.values["pictures_per_second"] / with_generator.values["pictures_per_second"]
slower = no_augmentation.values["pictures_per_second"] / with_generator.values["pictures_per_second"]
more_for_generator = with_generator.peak_mib - no_augmentation.peak_mib
shear_copied, shear_15 = sheared.values["copied"], sheared.values["degrees_15"]
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
            f"{added_by_augmentation:+.0f} MiB at the peak, where a float32 data set has {as_floats:.0f} MiB",
            "false" if added_by_augmentation < 0.25 * as_floats else "half true",
        ),
        (
            "Augmentation helps on pictures that differ from the training set.",
            f"{gain:+.3f} accuracy on distorted scans after two epochs",
            "true" if gain > 0.02 else "half true" if gain > 0 else "false",
        ),
        (
            "`shear_range=0.2` slants the pictures.",
            f"a pixel changes by {shear_copied:.1f} of 255 on average; with `shear_range=15`, by {shear_15:.1f}",
            "false: it is in degrees" if shear_copied < 0.2 * shear_15 else "true",
        ),
        (
            "Its parameters make the training more efficient.",
            f"{slower:.1f} times as many pictures per second without them, {more_for_generator:+.0f} MiB with them",
            "false: they can raise the accuracy, and they cost time" if slower > 1.1 else "half true",
        ),
        (
            "target_size can be left out.",
            f"{default_size.values['picture']} pixels: {default_size.peak_mib:.0f} MiB; "
            f"96 x 96 pixels: {from_directory.peak_mib:.0f} MiB",
            "false" if default_size.peak_mib > 1.5 * from_directory.peak_mib else "half true",
        ),
        (
            "The layers are faster than ImageDataGenerator.",
            f"{speed:.1f} times as many pictures per second",
            "depends: on the cores, and on the augmentation" if speed > 0.8 else "false",
        ),
        (
            "Keras 3 has no ImageDataGenerator any more.",
            f"keras.preprocessing.image has it: {default_size.values['new_name']}; "
            f"the cell above uses that of tf.keras and {default_size.status}",
            "false" if default_size.values["new_name"] else "half true: it is still in tf.keras, deprecated",
        ),
    ]
)

# %% [markdown]
# ## Your turn
#
# Write `train(folder)`. The folder holds {{train_count}} neat scans of {{image_size}} x {{image_size}} pixels in one
# folder per class, as `folder/<class 0..9>/*.jpg`. Return a trained Keras model.
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


# %% [markdown] tags=["solution"]
# ## Why it works
#
# `image_dataset_from_directory` holds {{train_count}} file names and a few batches. The augmentation makes new pictures
# from one batch, and they are free again after the step. Reading at 48 x 48 pixels makes each batch a quarter as large.

# %% tags=["solution"]
from course_utils import labs

lab = labs.get("04")
batch_mib = 32 * 48 * 48 * 3 * 4 / 2**20
bytes_mib = lab.train_count * lab.image_size**2 * 3 / 2**20
print(f"A batch at 48 x 48 pixels as float32: {batch_mib:.1f} MiB")
print(f"All scans as bytes: {bytes_mib:.0f} MiB")
print(f"The copy of them that flow keeps: {4 * bytes_mib:.0f} MiB")

# %% [markdown] tags=["solution"]
# Shear, rotation and zoom repeat the ways in which the hidden scans differ from yours, so the model has seen such
# pictures. The learning rate falls to zero along a cosine, which makes the last steps small and the result steady.
#
# ## What else would pass
#
# - `ImageDataGenerator` with `flow_from_directory` and `target_size=(48, 48)`. It holds names and a batch as well, so
#   the memory is about the same. It runs Python code for each picture, so it is slower where there are few cores.
# - The augmentation layers inside the model, after `Resizing`. They work in `fit` and do nothing in `predict`. They
#   are then part of the training step instead of running at the same time.
# - A `RandomTranslation` in addition. It costs no memory worth mentioning, and some time.

# %% [markdown] tags=["own"]
# ## In your own notebook
#
# Here `pictures` is a folder that holds one folder per class, and `model` is your compiled model. Nothing of the course
# is needed.
#
# ```python
# import keras
#
# data = keras.utils.image_dataset_from_directory("pictures", image_size=(96, 96), batch_size=32)
# augment = keras.Sequential(
#     [
#         keras.layers.RandomShear(0.25, fill_mode="nearest"),
#         keras.layers.RandomZoom(0.2, fill_mode="nearest"),
#     ]
# )
# model.fit(data.map(lambda images, labels: (augment(images, training=True), labels)).prefetch(1))
# ```
#
# **With a GPU:** mapped like this, the augmentation runs on the processor, while the GPU trains on the batch before.

# %% [markdown] tags=["summary"]
# ## Summary
#
# - `flow(x)` keeps the whole array as `float32`. `fit(x)` makes one more copy while it runs. Neither is needed.
# - `flow_from_directory` holds file names and one batch. Give it a `target_size`, and take validation pictures from a
#   second generator that does not augment.
# - `image_dataset_from_directory` with layers does the same, is not deprecated, and runs during the training step.
# - Augmentation makes pictures one batch at a time. It costs time, not memory.
# - Everyone who uses the model must do to pixels the same as the generator did. A layer inside the model goes with the
#   model.
#
# To remember: {{takeaway}}

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Open the answer that you would give.
#
# **1. `x` holds 1 GB of pixels as `uint8`. How much does the process hold after `generator.flow(x, y)`?**
#
# - [ ] 1 GB and a batch :: The array is already 1 GB, and the generator makes a copy.
# - [ ] 2 GB :: The copy is not made of bytes.
# - [x] 5 GB :: The bytes that you still hold, and a `float32` copy of four times their size.
#
# **2. Why does `generator.fit(x)` need more memory than `generator.flow(x, y)`?**
#
# - [x] It converts to `float32` and then copies that array, to change it in place :: Both copies exist at once,
#   next to your own.
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
