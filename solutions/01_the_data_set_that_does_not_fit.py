# %% [markdown]
# # The data set that does not fit
#
# A folder of small pictures can kill a training run before the first step. In this lab you crash such a run on purpose,
# find the line that caused the crash, and bring the peak down in four steps, each of them measured.
#
# **Objectives**
#
# - Work out how many bytes a data set takes before you load it.
# - Read a memory curve and a post-mortem.
# - Keep pixels small: as `float32`, as `uint8`, on disk, and finally as files that are read batch by batch.
#
# **Prerequisites**
#
# - You have trained a small Keras model before.
# - You know what a NumPy array is. You need no other lab.

# %% [markdown]
# ## The pictures
#
# The data set is a folder of scanned handwritten digits, one folder per class. Each scan is a color picture of
# {{image_size}} x {{image_size}} pixels. The next cell draws a thousand of them, once, and shows the first of each
# class.

# %% mystnb={"image": {"alt": "A strip of ten scans: the digits 0 to 9, each written by hand in ink on paper."}}
from IPython.display import display
from PIL import Image

from course_utils import scans

folder = scans.load("train", count=1000, size=96)
strip = Image.new("RGB", (10 * 96, 96))
for digit in range(10):
    first = sorted(folder.glob(f"{digit}/*.jpg"))[0]
    strip.paste(Image.open(first), (digit * 96, 0))
display(strip)

# %% tags=["predict"]
size_on_disk = sum(path.stat().st_size for path in folder.glob("*/*.jpg")) / 2**20
print(f"The thousand files take {size_on_disk:.1f} MiB on disk.")

# %% [markdown]
# `%%sandbox` runs a cell in a process of its own. That process starts empty. To keep the cells of this lab short, the
# parts that they share have a name, which you give with `--name`. A cell with `--after NAME` first runs the cell of
# that name in its own process, so it knows all its variables. The memory counts as usual; output and values are not
# shown a second time. Here are the first two: the imports with the names of the files, and a small model.

# %%
# %%sandbox --budget 256 --name basics
import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from course_utils import scans

folder = scans.load("train", count=1000, size=96)
paths = sorted(folder.glob("*/*.jpg"))

# %%
# %%sandbox --budget 256 --name network --after basics
model = keras.Sequential(
    [
        keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
        keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy")

# %% [markdown] tags=["predict"]
# ## Predict
#
# The cell below loads every scan, divides by 255 so that pixels lie between 0 and 1, and trains the model for one
# epoch. Most people write it like this.
#
# How much memory will it need at its peak? Write your number in MiB after `--predict`, in place of the 26 that
# stands there, and then run the cell. A guess is enough: the card compares it with the measured peak.

# %% [markdown]
# ## Crash
#
# The cell has a budget of 256 MiB. When it goes over, the system kills the process of the cell, not your notebook.

# %% tags=["crash"]
# %%sandbox --budget 256 --predict 26 --into crash --after network
images = []
for path in paths:
    images.append(np.asarray(Image.open(path)) / 255)
x = np.array(images)
y = keras.utils.to_categorical([int(path.parent.name) for path in paths])

model.compile("adam", "categorical_crossentropy")
history = model.fit(x, y, batch_size=32, verbose=0)

# %% [markdown]
# The run never got to the model. The post-mortem names the line: the list was full, and making one array of it was too
# much. (The largest objects are those of a moment shortly before the end, so the list may be some pictures short.)

# %% [markdown]
# ## Explain
#
# To see the whole curve, give the same lines more room and stop before the training.

# %% tags=["explain"]
# %%sandbox --budget 512 --into loading --after basics
images = []
for path in paths:
    images.append(np.asarray(Image.open(path)) / 255)
x = np.array(images)
y = keras.utils.to_categorical([int(path.parent.name) for path in paths])

# %% [markdown]
# Now the arithmetic. An array takes
#
# > bytes = count x height x width x channels x itemsize
#
# A pixel in a JPEG file has three channels of one byte. Dividing a `uint8` array by 255 gives `float64`, and that is
# eight bytes per channel. Then `np.array(images)` builds a second copy while the list still holds the first.

# %% tags=["explain"]
import numpy as np

pixels = 1000 * 96 * 96 * 3
rows = {
    "pixels as bytes": pixels * np.dtype("uint8").itemsize,
    "list of float64 images": pixels * np.dtype("float64").itemsize,
    "np.array of that list": pixels * np.dtype("float64").itemsize,
    "one-hot labels": 1000 * 10 * np.dtype("float64").itemsize,
}
for name, size in rows.items():
    print(f"{name:<24}{size / 2**20:8.1f} MiB")
expected = (sum(rows.values()) - rows["pixels as bytes"]) / 2**20
difference = 100 * (loading.peak_mib - expected) / expected
print(f"{'expected at the peak':<24}{expected:8.1f} MiB: the last three together")
print(f"{'measured':<24}{loading.peak_mib:8.1f} MiB ({difference:+.1f}%)")

# %% [markdown]
# The curve is that sum drawn over time: a slope while the list fills, and a second slope while the array is copied. You
# could have known it before you ran anything. That is the habit to learn in this course: **multiply first, load
# later.**

# %% [markdown]
# ## Fix it, step by step
#
# Each step below loads the same thousand scans and trains the same small model for one epoch. Only the loading
# changes.
#
# ### Step 1: half the bytes with `float32`, and one copy
#
# Keras computes in `float32`, so loading in it loses nothing. The array is made first and filled in place, so there is
# no list and no second copy. Labels stay whole numbers, one per picture, and `sparse_categorical_crossentropy` takes
# them as they are.

# %%
# %%sandbox --budget 512 --name floats --after basics
x = np.empty((len(paths), 96, 96, 3), dtype="float32")
for index, path in enumerate(paths):
    x[index] = np.asarray(Image.open(path), dtype="float32") / 255
y = np.array([int(path.parent.name) for path in paths])

# %%
# %%sandbox --budget 512 --into float32 --after floats,network
history = model.fit(x, y, batch_size=32, verbose=0)

# %% [markdown]
# That is half the memory, and still about three times the array, which is over the budget of the crash: `fit` copies
# the array that you give it. Step 3 comes back to that.
#
# ### Step 2: keep bytes as bytes
#
# The file holds one byte per channel, so keep one byte per channel. The division moves into the model, as a `Rescaling`
# layer, which divides one batch at a time. The next steps share that model.

# %%
# %%sandbox --budget 512 --name rescaling --after network
model = keras.Sequential([keras.layers.Rescaling(1 / 255), *model.layers])
model.compile("adam", "sparse_categorical_crossentropy")

# %%
# %%sandbox --budget 512 --into uint8 --after rescaling
x = np.empty((len(paths), 96, 96, 3), dtype="uint8")
for index, path in enumerate(paths):
    x[index] = Image.open(path)
y = np.array([int(path.parent.name) for path in paths])
history = model.fit(x, y, batch_size=32, verbose=0)

# %% [markdown]
# ### Step 3: leave the array on disk
#
# `np.memmap` looks like an array but is a file. The operating system reads the parts that you touch and drops them when
# memory is short, so they do not count as memory that you need.

# %%
# %%sandbox --budget 512 --name mapped --after basics
x = np.memmap("scans.bin", dtype="uint8", mode="w+", shape=(len(paths), 96, 96, 3))
for index, path in enumerate(paths):
    x[index] = Image.open(path)
y = np.array([int(path.parent.name) for path in paths])

# %% [markdown]
# One thing to know: `fit` turns the array that you give it into one tensor. That is a whole copy, and for a moment two.
# So give it batches instead. A `PyDataset` cuts them out of the file one at a time.


# %%
# %%sandbox --budget 512 --into memmap --after mapped,rescaling
class Batches(keras.utils.PyDataset):
    """The scans, 32 at a time."""

    def __len__(self):
        return -(-len(x) // 32)

    def __getitem__(self, index):
        rows = slice(32 * index, 32 * index + 32)
        return x[rows], y[rows]


history = model.fit(Batches(), verbose=0)

# %% [markdown]
# ### Step 4: stream from files
#
# You never needed one array of everything. `image_dataset_from_directory` remembers the file names, and decodes a few
# batches ahead of the model. A data set ten times as large takes ten times as many names, and no more pixels.

# %%
# %%sandbox --budget 512 --into streaming --after rescaling
dataset = keras.utils.image_dataset_from_directory(folder, image_size=(96, 96), batch_size=32, verbose=False)
history = model.fit(dataset, verbose=0)

# %% [markdown]
# ### The steps side by side

# %%
from course_utils import notebook

steps = {
    "float64 list, loading only": loading,
    "float32": float32,
    "uint8": uint8,
    "memmap": memmap,
    "streaming": streaming,
}
notebook.compare(steps, alt="Memory over time of the five ways to load a thousand scans")
fits = [name for name, outcome in steps.items() if outcome.peak_mib <= 256]
print(f"Within the 256 MiB of the crash: {', '.join(fits)}.")
copies = float32.peak_mib / (pixels * np.dtype("float32").itemsize / 2**20)
print(f"The float32 run needed {copies:.1f} times its array: the array, and the copies that fit made of it.")

# %% [markdown]
# The rest in the last two is the training itself: the model's graph, a few batches, and their activations. More
# pictures do not change it. Later labs deal with that part.

# %% [markdown]
# ## What people say
#
# Three remedies come up in every forum: a smaller batch, `from_tensor_slices`, and `np.memmap` by itself. The first two
# cells below each change one thing in step 1. The third gives the whole array of step 3 to `fit`.

# %%
# %%sandbox --budget 512 --into small_batch --after floats,network
history = model.fit(x, y, batch_size=8, verbose=0)

# %%
# %%sandbox --budget 512 --into slices --after floats,network
dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(32)
history = model.fit(dataset, verbose=0)

# %%
# %%sandbox --budget 512 --into mapped_whole --after mapped,rescaling
history = model.fit(x, y, batch_size=32, verbose=0)

# %% tags=["claims"]
saved_by_batch = 1 - small_batch.peak_mib / float32.peak_mib
added_by_slices = slices.peak_mib - float32.peak_mib
added_by_whole = mapped_whole.peak_mib - memmap.peak_mib
time_for_files = streaming.seconds / uint8.seconds
notebook.claims(
    [
        (
            "A smaller batch fixes it.",
            f"batch of 32: {float32.peak_mib:.0f} MiB; batch of 8: {small_batch.peak_mib:.0f} MiB",
            "false" if saved_by_batch < 0.25 else "half true",
        ),
        (
            "tf.data.Dataset.from_tensor_slices avoids loading the data into memory.",
            f"{added_by_slices:+.0f} MiB compared with the same arrays without it",
            "false" if added_by_slices > -10 else "half true",
        ),
        (
            "np.memmap keeps the data out of memory.",
            f"given to fit whole: {mapped_whole.peak_mib:.0f} MiB; in batches: {memmap.peak_mib:.0f} MiB",
            "depends: on how it is read" if added_by_whole > 10 else "true",
        ),
        (
            "One-hot labels fill the memory.",
            f"{rows['one-hot labels'] / 2**20:.2f} MiB for a thousand labels and ten classes",
            "depends: on the number of classes, by the same arithmetic",
        ),
        (
            "Reading from files is too slow.",
            f"{time_for_files:.1f} times as long as the uint8 array, loading included",
            "true" if time_for_files > 3 else "depends: on the disk and on the work that a step does",
        ),
    ]
)

# %% [markdown]
# ## Your turn
#
# Write `train(folder)`. The folder holds {{train_count}} scans of {{image_size}} x {{image_size}} pixels in one folder
# per class, as `folder/<class 0..9>/*.jpg`. Return a trained Keras model.
#
# - **Memory:** at most {{budget_mib}} MiB above the baseline. A run is killed at twice that.
# - **Accuracy:** at least {{floor}} on {{hidden_count}} scans that you do not have.
# - **Time:** at most {{time_limit}} seconds, training and grading together.
#
# The grader feeds your model raw pixels, from 0 to 255, so the rescaling has to be part of the model. Any technique
# that meets the three is right. The small model of the steps serves only to measure memory; you need a stronger one.
# `%course hint {{number}}` gives a hint.

# %% tags=["graded"]
# %%graded 01
import keras


def train(folder):
    """Train on folder/<class>/*.jpg and return a Keras model that takes raw pixels from 0 to 255."""
    # STARTER: Load the scans without holding them all as floats, train a model on them, and return it.
    # BEGIN SOLUTION
    keras.utils.set_random_seed(0)
    dataset = keras.utils.image_dataset_from_directory(
        folder, image_size=(96, 96), batch_size=32, seed=0, verbose=False
    )
    model = keras.Sequential(
        [
            keras.layers.Input((96, 96, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(8, 5, strides=2, activation="relu"),
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
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(dataset, epochs=4, verbose=2)
    return model
    # END SOLUTION


# %% [markdown] tags=["solution"]
# ## Why it works
#
# `image_dataset_from_directory` remembers {{train_count}} file names. It decodes a few batches ahead of the model, and
# forgets a batch when the step is over. So the number of pictures is no part of the peak.

# %% tags=["solution"]
from course_utils import labs

lab = labs.get("01")
numbers = lab.image_size**2 * 3
rows = {
    "a batch as float32": 32 * numbers * 4,
    "all scans as uint8": lab.train_count * numbers,
    "all scans as float32": lab.train_count * numbers * 4,
    "all scans as float64": lab.train_count * numbers * 8,
}
for name, size in rows.items():
    print(f"{name:<24}{size / 2**20:8.1f} MiB")
print(f"{'the budget':<24}{lab.budget_mib:8.1f} MiB")

# %% [markdown] tags=["solution"]
# The rest of the peak is the training: the model's graph, and the activations of a batch. `Rescaling` is part of the
# model, so the grader can feed it raw pixels.
#
# ## What else would pass
#
# - The scans as bytes in a `np.memmap`, and a `PyDataset` that cuts batches out of it. The file costs disk space, but
#   its pages do not count as memory that you need.
# - The scans as bytes in one array, and a `PyDataset` that cuts batches out of it. It costs the second line of the
#   table, and reads each file only once. With `fit(x, y)` instead, Keras copies the array, for a moment twice. Three
#   times the second line just fits into the budget, and leaves next to no room.
# - The scans as bytes at 48 x 48 pixels, with a `Resizing` layer in the model. Each copy costs a quarter, so even
#   `fit(x, y)` is no problem, and digits of this size are still easy to tell.

# %% [markdown] tags=["own"]
# ## In your own notebook
#
# Here `pictures` is a folder that holds one folder per class. Put your own layers in the middle. Nothing of the course
# is needed.
#
# ```python
# import keras
#
# data = keras.utils.image_dataset_from_directory("pictures", image_size=(96, 96), batch_size=32)
# model = keras.Sequential(
#     [
#         keras.layers.Rescaling(1 / 255),  # the division, one batch at a time
#         keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
#         keras.layers.GlobalMaxPooling2D(),
#         keras.layers.Dense(len(data.class_names), activation="softmax"),
#     ]
# )
# model.compile("adam", "sparse_categorical_crossentropy")
# model.fit(data)
# ```
#
# **With a GPU:** nothing changes. Each batch is copied to the GPU when its turn comes.

# %% [markdown] tags=["summary"]
# ## Summary
#
# - Bytes = count x height x width x channels x itemsize. Multiply before you load.
# - `uint8 / 255` is `float64`: eight times the bytes. `np.array(list)` holds everything twice, and `fit(array)` makes
#   another copy, for a moment two.
# - Keep pixels as bytes and rescale inside the model. It then also takes raw pixels when you use it.
# - Streaming from files makes the peak independent of the number of pictures.
# - A smaller batch cannot help when the data set itself fills the memory.
#
# To remember: {{takeaway}}

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Open the answer that you would give.
#
# **1. Why does `np.asarray(image) / 255` take eight times the memory of `image`?**
#
# - [ ] Numbers between 0 and 1 need more digits :: The size of an array depends on its dtype, not on its values.
# - [x] The result is `float64`, eight bytes per value instead of one :: NumPy turns an integer array divided by a
#   whole number into `float64`.
# - [ ] NumPy keeps the old array too :: It does for a moment, but that adds one byte per value, not seven.
#
# **2. Your crash was at `x = np.array(images)`. Which change alone removes the second copy?**
#
# - [ ] `del images` on the next line :: By then both copies have existed together, and the peak is reached.
# - [x] Make the array first with `np.empty`, and fill it in the loop :: There is then no list of images at all.
# - [ ] A smaller `batch_size` in `fit` :: The crash comes before `fit` is called.
#
# **3. You have 50,000 pictures of 224 x 224 pixels in RGB. How large is a `uint8` array of all of them?**
#
# - [ ] About 2.3 GiB :: That is one byte for three channels: a factor of 3 is missing.
# - [x] About 7 GiB :: 50,000 x 224 x 224 x 3 bytes. As `float64` it would be eight times that.
# - [ ] About 7 MiB :: A single picture of this size is 147 KiB, and there are 50,000.
#
# **4. Why should the division by 255 be a layer of the model?**
#
# - [ ] Layers do not need memory :: The layer's output is `float32`, but only for one batch.
# - [x] It is applied to one batch at a time, and stays part of the model :: The data stays small, and
#   everyone who uses the model feeds it plain pixels.
# - [ ] It makes the accuracy higher :: The numbers are the same wherever you divide.

# %% tags=["versions"]
notebook.versions(seed=0)
