# %% [markdown]
# # Pipelines with tf.data
#
# `tf.data` can feed a model from files in a few megabytes of memory. Written the way most people write it, it holds the
# data set three times. In this lab you crash the usual version, then turn it step by step into one that is small and
# fast.
#
# **Objectives**
#
# - Say what each stage of a pipeline keeps in memory: `from_tensor_slices`, `shuffle`, `cache`, `prefetch`.
# - Put the stages in an order that is right, small and fast.
# - Shuffle names instead of pictures, cache bytes instead of floats, and read TFRecord shards.
# - Restore the shape that a `py_function` loses.
#
# **Prerequisites**
#
# - You know that an array takes count x height x width x channels x itemsize bytes (lab 01).
# - You have called `model.fit` before.

# %% [markdown]
# ## The scans
#
# You work with a thousand scans of 96 x 96 pixels. As `float32`, one array of them all takes this much:

# %%
from course_utils import notebook, scans

folder = scans.load("train", count=1000, size=96)
array_mib = 1000 * 96 * 96 * 3 * 4 / 2**20
files_mib = sum(path.stat().st_size for path in folder.glob("*/*.jpg")) / 2**20
print(f"float32 array: {array_mib:.1f} MiB; as bytes: {array_mib / 4:.1f} MiB; JPEG files: {files_mib:.1f} MiB")

# %% [markdown]
# Every sandboxed cell starts in an empty process. To keep the cells of this lab short, the parts that they share have a
# name, which you give with `--name`. A cell with `--after NAME` first runs the cell of that name in its own process, so
# it knows all its variables. The memory counts as usual; output and values are not shown a second time.
#
# The first shared cell has the imports, the file names and a small model.

# %%
# %%sandbox --budget 256 --name basics
import time

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from course_utils import scans
from course_utils.sandbox.inside import report

paths = sorted(scans.load("train", count=1000, size=96).glob("*/*.jpg"))
names = [str(path) for path in paths]
labels = [int(path.parent.name) for path in paths]
model = keras.Sequential(
    [
        keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
        keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy")

# %% [markdown]
# The second one reads all the scans into the array.

# %%
# %%sandbox --budget 256 --name pictures --after basics
x = np.empty((len(paths), 96, 96, 3), dtype="float32")
for index, path in enumerate(paths):
    x[index] = np.asarray(Image.open(path), dtype="float32") / 255
y = np.array(labels)

# %% [markdown] tags=["predict"]
# ## Predict
#
# The cell below puts that array into a data set, shuffles it well, and trains for one epoch with batches of 32.
#
# How much memory does it need at its peak? Write your number in MiB after `--predict`, in place of the 110 that
# stands there.

# %% [markdown]
# ## Crash

# %% tags=["crash"]
# %%sandbox --budget 256 --predict 110 --into crash --after pictures
dataset = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x)).batch(32).prefetch(tf.data.AUTOTUNE)
history = model.fit(dataset, verbose=0)

# %% [markdown]
# The array alone fits the budget. The post-mortem names the line that made a data set of it.

# %% [markdown]
# ## Explain
#
# Give the same pipeline more room, and run through it once without a model.

# %% tags=["explain"]
# %%sandbox --budget 512 --into slices --after pictures
dataset = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x)).batch(32).prefetch(tf.data.AUTOTUNE)
for _batch in dataset:
    pass

# %% tags=["explain"]
rows = {
    "the array x": array_mib,
    "the tensor that from_tensor_slices makes of it": array_mib,
    "the shuffle buffer, len(x) pictures": array_mib,
}
for name, size in rows.items():
    print(f"{name:<48}{size:8.1f} MiB")
expected = sum(rows.values())
difference = 100 * (slices.peak_mib - expected) / expected
print(f"{'expected at the peak':<48}{expected:8.1f} MiB")
print(f"{'measured':<48}{slices.peak_mib:8.1f} MiB ({difference:+.1f}%)")

# %% [markdown]
# Look at the curve. It reaches three arrays early on as well: while TensorFlow makes the tensor, one more copy exists
# for a moment. The crash came there. Later the shuffle buffer takes the place of that copy.
#
# `from_tensor_slices` does not read your data in slices. It receives the whole array, copies it, and cuts the slices
# from the copy.

# %% [markdown]
# ### The 2 GB limit
#
# Some functions become a graph, such as the one that `map` takes. Inside them an array is worse than a copy: TensorFlow
# writes it into the graph as a constant, and a graph holds no constant above 2 GB. The array below is all zeros, and
# nobody has written to it. The system provides such memory only when it is used, so it costs nothing.

# %%
# %%sandbox --budget 256 --into graph_limit --after basics
pixels = np.zeros((80_000, 96, 96, 3), dtype="uint8")
print(f"The array has {pixels.nbytes / 1e9:.2f} GB.")
try:
    dataset = tf.data.Dataset.range(len(pixels)).map(lambda index: tf.gather(pixels, index))
except ValueError as error:
    print(str(error).rpartition("Error: ")[2].strip())

# %% [markdown]
# ## Fix it, step by step
#
# ### Step 1: names instead of pixels
#
# Hand `from_tensor_slices` the file names. They are small, so its copy is small too. `map` decodes a picture when its
# turn comes. These are the stages from which the next steps build their pipelines:

# %%
# %%sandbox --budget 256 --name stages --after basics
files = tf.data.Dataset.from_tensor_slices((names, labels))


def decode(name, label):
    return tf.io.decode_jpeg(tf.io.read_file(name), channels=3), label


def scale(pixels, label):
    return tf.cast(pixels, tf.float32) / 255, label


def load(name, label):
    return scale(*decode(name, label))


# %% [markdown]
# The rest stays as it was: the shuffle buffer still asks for `len(names)` pictures.

# %%
# %%sandbox --budget 512 --into shuffle_pictures --after stages
for _batch in files.map(load).shuffle(len(names)).batch(32):
    pass

# %% [markdown]
# ### Step 2: shuffle the names
#
# A shuffle buffer holds whatever comes before it. Put `shuffle` before `map`, and it holds a thousand names. The order
# is just as random. `tf.data.Dataset.list_files("folder/*/*.jpg")` does the same in one call: it shuffles the names
# that it finds, and you take the label out of the path.

# %%
# %%sandbox --budget 512 --into shuffle_names --after stages
folder = scans.load("train", count=1000, size=96)


def load_by_name(name):
    return load(name, tf.strings.to_number(tf.strings.split(name, "/")[-2], tf.int32))


for _batch in tf.data.Dataset.list_files(f"{folder}/*/*.jpg", seed=0).map(load_by_name).batch(32):
    pass

# %% [markdown]
# A small buffer after `map` is no way out. The files are sorted by class, and the first picture out of a buffer of 100
# is one of the first 100. Count how many of the ten classes meet in a batch of 32, with numbers in place of pictures:

# %%
# %%sandbox --budget 256 --into small_buffer --after basics
classes = tf.data.Dataset.range(1000).map(lambda number: number // 100)
for buffer in (1, 100, 1000):
    batches = [len(set(batch.numpy())) for batch in classes.shuffle(buffer, seed=0).batch(32)]
    report(**{f"classes_with_{buffer}": sum(batches) / len(batches)})

# %%
for name, classes in small_buffer.values.items():
    print(f"buffer of {name.rpartition('_')[2]:>4}: {classes:4.1f} classes in a batch")

# %% [markdown]
# The order of the names decides, so shuffle the names, and all of them.
#
# ### Step 3: the order of the stages, and the speed
#
# Memory is solved, so look at the clock. The cell measures how many images per second come out of a plain loop and of
# four pipelines. Each makes four passes, and the best one counts:
#
# - `plain_loop`: `load_img` and `img_to_array`, one after the other, stacked into batches;
# - `one_at_a_time`: step 2, where `map` works on one picture at a time, in TensorFlow's own code;
# - `parallel`: with `num_parallel_calls`, and with `prefetch`, so that the next batch is ready in time;
# - `cast_batches`: the cast and the division moved after `batch`, once for 32 pictures;
# - `bytes_only`: no cast at all, since the model can begin with a `Rescaling` layer.


# %%
# %%sandbox --budget 512 --into speed --after stages
def plain_loop():
    for start in range(0, len(paths), 32):
        batch = [keras.utils.img_to_array(keras.utils.load_img(path)) for path in paths[start : start + 32]]
        yield np.stack(batch) / 255


shuffled = files.shuffle(len(names))
parallel = {"num_parallel_calls": tf.data.AUTOTUNE}
ways = {
    "plain_loop": plain_loop,
    "one_at_a_time": shuffled.map(load).batch(32).__iter__,
    "parallel": shuffled.map(load, **parallel).batch(32).prefetch(2).__iter__,
    "cast_batches": shuffled.map(decode, **parallel).batch(32).map(scale, **parallel).prefetch(2).__iter__,
    "bytes_only": shuffled.map(decode, **parallel).batch(32).prefetch(2).__iter__,
}
best = dict.fromkeys(ways, 0.0)
for _ in range(4):
    for way, run in ways.items():
        start = time.perf_counter()
        for _batch in run():
            pass
        best[way] = max(best[way], len(paths) / (time.perf_counter() - start))
report(**{way: round(rate) for way, rate in best.items()})

# %%
for way, rate in speed.values.items():
    print(f"{way:<16}{rate:>8,.0f} images per second, {rate / speed.values['plain_loop']:4.1f} times the plain loop")

# %% [markdown]
# Figures like these depend on the machine and on its other work. Here the loop does nothing with a batch, the
# pictures are small, and there may be only two cores, so reading in parallel may gain nothing. It pays when decoding is
# heavy and a training step runs at the same time. The order matters in three more ways:
# `batch` before `shuffle` shuffles whole batches, `repeat` before `shuffle` mixes epochs, and `cache` keeps the result
# of everything before it.
#
# ### Step 4: cache bytes, not floats
#
# `cache()` saves the decoding from the second epoch on. It keeps what reaches it: floats if the cast comes first, and
# a quarter of that if the cast comes after it. `cache("name")` writes to a file instead. The next cells share a
# function that runs through a data set four times. It reports how many images one second of processor time gives in
# the first epoch and in the best later one.


# %%
# %%sandbox --budget 256 --name measuring --after stages
def measure_epochs(dataset):
    rates = []
    for _ in range(4):
        start = time.process_time()
        for _batch in dataset:
            pass
        rates.append(round(len(names) / (time.process_time() - start)))
    report(first_epoch=rates[0], later_epochs=max(rates[1:]))


# %% [markdown]
# The first cell has no cache, for comparison.

# %%
# %%sandbox --budget 512 --into no_cache --after measuring
measure_epochs(files.map(decode, num_parallel_calls=2).batch(32))

# %%
# %%sandbox --budget 512 --into cache_floats --after measuring
measure_epochs(files.map(load, num_parallel_calls=2).cache().batch(32))

# %%
# %%sandbox --budget 512 --into cache_bytes --after measuring
measure_epochs(files.map(decode, num_parallel_calls=2).cache().batch(32))

# %%
# %%sandbox --budget 512 --into cache_file --after measuring
measure_epochs(files.map(decode, num_parallel_calls=2).cache("decoded").batch(32))

# %% [markdown]
# Run through a cached data set to its end before you rely on it: TensorFlow does not use a cache that is only half
# full. And put `shuffle` after `cache`, or every epoch has the order of the first. A shuffle buffer after the cache
# only refers to the elements of the cache.
#
# ### Step 5: how far ahead to work
#
# `prefetch(n)` keeps up to n finished elements, and after `batch` an element is a batch. The first two cells differ in
# that number alone. The loop takes ten milliseconds per batch, as a model would. In the third, `AUTOTUNE` chooses that
# number and the number of parallel calls while it runs. It may take up to half of the free RAM. You can lower that with
# `options.autotune.ram_budget`, a number of bytes. That is no hard limit: before `AUTOTUNE` has seen anything, it
# starts with `initial_parallelism` calls, 16 unless you say otherwise, and each holds an element. Where one element is
# large, say 1.

# %%
# %%sandbox --budget 512 --into prefetch_none --after stages
for _batch in files.map(load, num_parallel_calls=2).batch(32):
    time.sleep(0.01)

# %%
# %%sandbox --budget 512 --into prefetch_16 --after stages
for _batch in files.map(load, num_parallel_calls=2).batch(32).prefetch(16):
    time.sleep(0.01)

# %%
# %%sandbox --budget 512 --into prefetch_auto --after stages
options = tf.data.Options()
options.autotune.ram_budget = 64 * 2**20
options.autotune.initial_parallelism = 1
dataset = files.map(load, num_parallel_calls=tf.data.AUTOTUNE).batch(32).prefetch(tf.data.AUTOTUNE)
for _batch in dataset.with_options(options):
    time.sleep(0.01)

# %%
ahead = {"no prefetch": prefetch_none, "prefetch(16)": prefetch_16, "AUTOTUNE": prefetch_auto}
notebook.compare(ahead, alt="Memory over time of three ways to work ahead")
batch_mib = 32 * 96 * 96 * 3 * 4 / 2**20
print(f"One batch takes {batch_mib:.1f} MiB, so 16 of them take {16 * batch_mib:.0f} MiB.")

# %% [markdown]
# ### Step 6: TFRecord shards
#
# A million small files are slow to open, most of all on Drive or over a network. Pack them once into a few large files,
# with the JPEG bytes as they are. TFRecord is TensorFlow's format for that, one record after another, and each file is
# called a shard. Readers then take several shards in turn. Shuffling has two parts: the order of the shards, and a
# small buffer of records that are not decoded yet.

# %%
# %%sandbox --budget 512 --into shards --after basics
np.random.default_rng(0).shuffle(paths)  # once, before they are packed, so that no shard is all of one class
for shard in range(4):
    with tf.io.TFRecordWriter(f"scans-{shard}.tfrecord") as writer:
        for path in paths[shard::4]:
            image = tf.train.Feature(bytes_list=tf.train.BytesList(value=[path.read_bytes()]))
            label = tf.train.Feature(int64_list=tf.train.Int64List(value=[int(path.parent.name)]))
            features = tf.train.Features(feature={"image": image, "label": label})
            writer.write(tf.train.Example(features=features).SerializeToString())

LAYOUT = {"image": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}


def decode_record(record):
    example = tf.io.parse_single_example(record, LAYOUT)
    return tf.io.decode_jpeg(example["image"], channels=3), example["label"]


dataset = (
    tf.data.Dataset.list_files("scans-*.tfrecord")
    .interleave(tf.data.TFRecordDataset, cycle_length=4, num_parallel_calls=tf.data.AUTOTUNE)
    .shuffle(200)
    .map(decode_record, num_parallel_calls=tf.data.AUTOTUNE)
    .batch(32)
    .prefetch(2)
)
best = 0
for _ in range(3):
    start = time.perf_counter()
    seen = 0
    for _images, batch_labels in dataset:
        seen += len(batch_labels)
    best = max(best, seen / (time.perf_counter() - start))
report(images=seen, images_per_second=round(best))

# %% [markdown]
# Opening a file is cheap on a local disk, so compare these figures with `bytes_only` in step 3 before you pack
# anything. Shards give you a few large reads, which helps where opening a file is slow.
#
# ### Step 7: a Python function in the pipeline
#
# Sometimes only Python can read a format. `tf.py_function` calls Python. The version of it that is copied most looks
# like this:

# %%
COPIED = """
def load_picture(path):
    picture = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
    return tf.image.resize(picture, (96, 96)) / 255, label

def in_python(path):
    return tf.py_function(load_picture, [path], [tf.float32, tf.int64])

dataset = tf.data.Dataset.list_files(names).map(in_python).batch(32).prefetch(tf.data.AUTOTUNE)
"""
for use in ("next(iter(dataset))", "model.fit(dataset, verbose=0)"):
    copied = notebook.run(COPIED + use, after="basics", budget_mib=512)
    [why] = [line for line in copied.message.splitlines() if "NameError" in line or "as_list" in line][:1]
    print(f"{use}: {why}")

# %% [markdown]
# It has two mistakes. Nobody has made a `label`: the path goes in, and a name that does not exist is to come out. Steps
# 2 and 3 repair that without any `py_function`, because TensorFlow can do all of this by itself.
#
# The other mistake stays when you pass the label along, as the next cell does. TensorFlow cannot know the shape of what
# Python returns, and the model needs it.


# %%
# %%sandbox --budget 512 --into lost_shape --after stages
def read(name):
    return np.asarray(Image.open(name.numpy().decode()))


def load_in_python(name, label):
    return tf.py_function(read, [name], tf.uint8), label


dataset = files.map(load_in_python, num_parallel_calls=2).batch(32)
print(dataset.element_spec)

model = keras.Sequential([keras.layers.Rescaling(1 / 255), *model.layers])
model.compile("adam", "sparse_categorical_crossentropy")
history = model.fit(dataset, verbose=0)

# %% [markdown]
# You know the shape, so state it: call `set_shape` or `tf.ensure_shape` on the result, before `batch`. The second one
# also checks each picture.


# %%
# %%sandbox --budget 512 --into py_function --after stages
def read(name):
    return np.asarray(Image.open(name.numpy().decode()))


def load_in_python(name, label):
    return tf.ensure_shape(tf.py_function(read, [name], tf.uint8), (96, 96, 3)), label


dataset = files.map(load_in_python, num_parallel_calls=2).batch(32).prefetch(2)
print(dataset.element_spec)
best = 0
for _ in range(2):
    start = time.perf_counter()
    for _batch in dataset:
        pass
    best = max(best, len(names) / (time.perf_counter() - start))
report(images_per_second=round(best))

# %% [markdown]
# ### The steps side by side

# %%
steps = {
    "from_tensor_slices": slices,
    "names, pictures shuffled": shuffle_pictures,
    "names shuffled": shuffle_names,
    "no cast, no cache": no_cache,
    "cache of floats": cache_floats,
    "cache of bytes": cache_bytes,
    "cache in a file": cache_file,
    "TFRecord shards": shards,
    "py_function": py_function,
}
notebook.compare(steps, alt="Memory over time of nine pipelines over the same thousand scans")

# %% [markdown]
# ## What people say
#
# The first claim comes with an example that is often copied. It is said to avoid loading the entire data set.

# %%
# %%sandbox --budget 1024 --into example --after basics
data = np.random.rand(10000, 32, 32, 3)
labels = np.random.randint(0, 10, 10000)
dataset = tf.data.Dataset.from_tensor_slices((data, labels)).shuffle(len(data)).batch(32)
for _batch in dataset:
    pass
report(array_mib=data.nbytes / 2**20)

# %% tags=["claims"]
plain = speed.values["plain_loop"]
saved_by_names = 1 - shuffle_names.peak_mib / shuffle_pictures.peak_mib
more_for_file = cache_file.peak_mib - no_cache.peak_mib
more_for_prefetch = prefetch_16.peak_mib - prefetch_none.peak_mib
python = py_function.values["images_per_second"]
fast_cache = cache_bytes.values["later_epochs"] / no_cache.values["later_epochs"]
notebook.claims(
    [
        (
            "from_tensor_slices avoids loading the data into memory.",
            f"{slices.peak_mib:.0f} MiB for an array of {array_mib:.0f} MiB; the copied example: "
            f"{example.peak_mib:.0f} MiB for {example.values['array_mib']:.0f} MiB of float64",
            "false" if slices.peak_mib > 1.5 * array_mib else "half true",
        ),
        (
            "A good shuffle needs shuffle(len(data)) on the pictures.",
            f"pictures: {shuffle_pictures.peak_mib:.0f} MiB; names, in an order just as random: "
            f"{shuffle_names.peak_mib:.0f} MiB",
            "false" if saved_by_names > 0.5 else "half true",
        ),
        (
            "cache() makes training faster.",
            f"{fast_cache:.1f} times the images for the same processor time in a later epoch, for "
            f"{cache_bytes.peak_mib:.0f} MiB as bytes or {cache_floats.peak_mib:.0f} MiB as floats",
            "depends: on whether it fits, and on whether the model waits for data" if fast_cache > 1.2 else "false",
        ),
        (
            "cache(filename) uses no RAM.",
            f"{more_for_file:+.0f} MiB compared with the same pipeline without a cache; in memory "
            f"{cache_bytes.peak_mib - no_cache.peak_mib:+.0f} MiB",
            "true" if more_for_file < 2 else "half true: buffers" if more_for_file < array_mib / 4 else "false",
        ),
        (
            "prefetch saves memory.",
            f"prefetch(16) costs {more_for_prefetch:+.0f} MiB",
            "false" if more_for_prefetch > 2 else "half true",
        ),
        (
            "A pipeline in Python code is fast enough, since num_parallel_calls runs it in parallel.",
            f"py_function with two calls: {python / plain:.1f} times the plain loop",
            "false" if python < plain else "half true",
        ),
    ]
)

# %% [markdown]
# ## Your turn
#
# Write `make_dataset(folder)`. The folder holds {{train_count}} scans of {{image_size}} x {{image_size}} pixels, as
# `folder/<class 0..9>/*.jpg`, and is a `pathlib.Path`. Return batches of images with pixels from 0 to 255, and labels
# from 0 to 9. The function `train` below is given, and fits a model on them.
#
# - **Memory:** at most {{budget_mib}} MiB above the baseline, training included. A run is killed at twice that.
# - **Speed:** for each second of processor time, at least {{least_speed}} times the images of a plain loop of
#   `load_img` and `img_to_array`. The grader runs through both in turn, four times. Other programs on the machine
#   hardly change processor time; Python code in the pipeline wastes it. A pipeline below that gets no points, and the
#   card says that it timed out.
# - **Accuracy:** at least {{floor}} on {{hidden_count}} scans that you do not have.
# - **Time:** at most {{time_limit}} seconds for everything.
#
# Anything that meets them is right. `%course hint {{number}}` gives a hint.

# %% tags=["graded"]
# %%graded 05
import keras
import tensorflow as tf


def make_dataset(folder):
    """Return a tf.data.Dataset of batches (images, labels) from folder/<class 0..9>/*.jpg."""
    # STARTER: Return a data set that decodes the scans while the model trains.
    # BEGIN SOLUTION
    paths = sorted(folder.glob("*/*.jpg"))
    names = [str(path) for path in paths]
    labels = [int(path.parent.name) for path in paths]

    def load(name, label):
        pixels = tf.io.decode_jpeg(tf.io.read_file(name), channels=3)
        return tf.ensure_shape(pixels, (64, 64, 3)), label

    dataset = tf.data.Dataset.from_tensor_slices((names, labels)).shuffle(len(names), seed=0)
    return dataset.map(load, num_parallel_calls=tf.data.AUTOTUNE).batch(32).prefetch(2)
    # END SOLUTION


def train(folder):
    """Fit a small model on make_dataset(folder). There is no need to change it."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Input((64, 64, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(8, 5, strides=2, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(make_dataset(folder), epochs=5, verbose=2)
    return model


# %% [markdown] tags=["solution"]
# ## Why it works
#
# A stage holds what reaches it. `shuffle` stands before `map`, so its buffer holds {{train_count}} names with their
# labels, and not one picture. Pictures exist only from `map` on: those of the batch in the making, of the two batches
# that `prefetch` keeps ready, and of the batch that the model works on. They are still bytes. The cast to `float32`
# happens in the model, in its `Rescaling` layer, for one batch at a time.

# %% tags=["solution"]
from course_utils import labs

lab = labs.get("05")
scan_mib = lab.image_size**2 * 3 / 2**20
rows = {
    "four batches of bytes": 4 * 32 * scan_mib,
    "all scans as bytes": lab.train_count * scan_mib,
    "all scans as float32": 4 * lab.train_count * scan_mib,
}
for name, size in rows.items():
    print(f"{name:<24}{size:6.1f} MiB")

# %% [markdown] tags=["solution"]
# The rest of the peak is the training: the model's graph, and the activations of a batch. No pipeline can save those.
# Decoding runs in parallel in TensorFlow's own code, so the plain loop in Python is no match for it.
#
# ## What else would pass
#
# - `tf.data.Dataset.list_files(f"{folder}/*/*.jpg")`, with the label taken out of the path. It shuffles the names
#   itself, and needs the same memory.
# - `keras.utils.image_dataset_from_directory(folder, image_size=(64, 64), batch_size=32)`. It is one line. Its batches
#   are floats, four times as large, but there are only a few of them.
# - `cache()` after the decoding and before `shuffle`. It costs the second line of the table and saves the decoding in
#   later epochs. A cache of floats would cost the third line, and that is over the budget.
# - `cache()` between `tf.io.read_file` and `tf.io.decode_jpeg`. It keeps the files as they are, which costs little, but
#   it decodes in every epoch.

# %% [markdown] tags=["own"]
# ## In your own notebook
#
# Here `pictures` is a folder that holds one folder per class, all its pictures have 96 x 96 pixels, and `model` is your
# compiled model. Nothing of the course is needed.
#
# ```python
# import tensorflow as tf
#
# names = tf.io.gfile.glob("pictures/*/*.jpg")
# classes = sorted({name.split("/")[-2] for name in names})
# labels = [classes.index(name.split("/")[-2]) for name in names]
#
#
# def load(name, label):
#     return tf.ensure_shape(tf.io.decode_jpeg(tf.io.read_file(name), channels=3), (96, 96, 3)), label
#
#
# data = tf.data.Dataset.from_tensor_slices((names, labels)).shuffle(len(names))
# model.fit(data.map(load, num_parallel_calls=tf.data.AUTOTUNE).batch(32).prefetch(2))
# ```
#
# **With a GPU:** `prefetch` pays more there, because decoding and training no longer share the processor.

# %% [markdown] tags=["summary"]
# ## Summary
#
# - `from_tensor_slices` copies its argument. Give it names.
# - `shuffle` and `cache` hold the elements that reach them. Shuffle names, cache bytes, cast afterwards.
# - Names, shuffle, parallel `map` with TensorFlow's own decoding, batch, prefetch: in this order.
# - `prefetch` buys speed with memory. A few batches are enough, and `ram_budget` limits `AUTOTUNE`.
# - An array inside a mapped function becomes part of the graph, which ends at 2 GB.
# - Python code in a pipeline loses the shape, and the speed too.
#
# To remember: {{takeaway}}

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Open the answer that you would give.
#
# **1. What does `dataset.map(decode).shuffle(10_000)` hold in memory?**
#
# - [ ] Ten thousand file names :: It would if `shuffle` came before `map`.
# - [x] Ten thousand decoded pictures :: The buffer holds what reaches it, and pictures reach it.
# - [ ] One batch :: Nothing makes batches here, and the buffer is filled before the first picture comes out.
#
# **2. Your data set fits in memory as bytes but not as floats. Where does `cache()` go?**
#
# - [x] After decoding, before the cast :: It keeps bytes, and the cast happens again for each batch, cheaply.
# - [ ] After the cast, so that it is not repeated :: It keeps floats, which are four times as large.
# - [ ] At the very end, after `batch` and `prefetch` :: It keeps floats there, and every epoch gets the same batches.
#
# **3. Training has plenty of memory left but the GPU waits. What do you try first?**
#
# - [ ] A `py_function` with `num_parallel_calls=16` :: Python runs one thread at a time, so the calls wait for
#   each other.
# - [x] `num_parallel_calls` in `map`, and `prefetch` :: Decoding uses all cores, and runs while the model works.
# - [ ] `shuffle(len(data))` :: It delays the first batch until the buffer is full.
#
# **4. "ValueError: as_list() is not defined on an unknown TensorShape". What happened?**
#
# - [x] A `py_function` returned a tensor whose shape nobody stated :: `tf.ensure_shape` restores it.
# - [ ] A picture has the wrong size :: Then the error names two shapes that differ.
# - [ ] The batch is too large :: That would be a memory error.

# %% tags=["versions"]
notebook.versions(seed=0)
