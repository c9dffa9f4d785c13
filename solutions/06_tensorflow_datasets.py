# %% [markdown]
# # TensorFlow Datasets
#
# TensorFlow Datasets (TFDS) gives you data as ready-made `tf.data` pipelines, and a recipe to speed them up: cache,
# then shuffle everything. In this lab you crash that recipe on data that is too big for it, and find out which step has
# to move.
#
# **Objectives**
#
# - Read your own files with TFDS, without a network: `tfds.ImageFolder`, and a small builder of your own.
# - Cut splits, and choose with `ReadConfig` how they are read.
# - Cache and shuffle encoded pictures with `SkipDecoding`, and turn off a cache that you never asked for.
#
# **Prerequisites**
#
# - You know that an array takes count x height x width x channels x itemsize bytes (lab 01).
# - You know what `map`, `cache`, `shuffle` and `batch` do in `tf.data` (lab 05 is all about them).

# %% [markdown]
# ## Before you begin
#
# TFDS needs the package `tensorflow-metadata`. Its newest version may be too new for the `protobuf` beside it, as it
# was in Colab at the time of writing. Then `import tensorflow_datasets` shows a long message, seems to work, and leaves
# you an empty module: "no attribute 'ImageFolder'". The next cell tries the import in a process of its own, and
# installs an older version only where it fails.

# %%
import subprocess
import sys


def tfds_works():
    """Try TFDS in a process of its own, because a failed import cannot be repeated in this one."""
    program = "import tensorflow_datasets; tensorflow_datasets.ImageFolder"
    return subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0


repair = "tensorflow-metadata==1.17.3"
if tfds_works():
    print("TFDS works here as it is.")
else:
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", repair])
    print(f"Installed {repair}." if tfds_works() else f"TFDS still fails: install tensorflow-datasets and {repair}.")

# %% [markdown]
# ## The scans
#
# You work with a thousand scans of 96 x 96 pixels. TFDS can hold them in three forms:

# %%
from course_utils import notebook, scans

folder = scans.load("train", count=1000, size=96)
encoded_mib = sum(path.stat().st_size for path in folder.glob("*/*.jpg")) / 2**20
bytes_mib = 1000 * 96 * 96 * 3 / 2**20
floats_mib = 4 * bytes_mib
print(f"encoded, as JPEG: {encoded_mib:6.1f} MiB")
print(f"decoded, uint8:   {bytes_mib:6.1f} MiB")
print(f"scaled, float32:  {floats_mib:6.1f} MiB")

# %% [markdown]
# Every sandboxed cell starts in an empty process. To keep the cells of this lab short, the parts that they share have a
# name, which you give with `--name`. A cell with `--after NAME` first runs the cell of that name in its own process, so
# it knows all its variables. The memory counts as usual; output and values are not shown a second time.
#
# The first shared cell opens the scans with `tfds.ImageFolder`. That reads a folder of splits, with a folder for each
# class in them. The scans have one folder per class, so a link called `train` makes a split of them. Each sandbox
# begins in an empty folder of its own, so it needs that link again each time.

# %%
# %%sandbox --budget 128 --name scans_folder
from pathlib import Path

import keras
import tensorflow as tf
import tensorflow_datasets as tfds

from course_utils import scans
from course_utils.sandbox.inside import report

Path("scans").mkdir()
Path("scans/train").symlink_to(scans.load("train", count=1000, size=96))
builder = tfds.ImageFolder("scans", shape=(96, 96, 3))
size = builder.info.splits["train"].num_examples

# %% [markdown]
# The second one begins a pipeline: it decodes the pictures and scales them.


# %%
# %%sandbox --budget 128 --name scaled --after scans_folder
def scale(pixels, label):
    return tf.cast(pixels, tf.float32) / 255, label


dataset = builder.as_dataset(split="train", as_supervised=True)
dataset = dataset.map(scale, num_parallel_calls=tf.data.AUTOTUNE)

# %% [markdown] tags=["predict"]
# ## Predict
#
# The cell below continues with the recipe from the TFDS guide: normalize, as above, then cache, shuffle with a buffer
# as large as the split, batch, prefetch. The guide recommends it for data that fits in memory, and people forget that
# part when they copy it.
#
# How much memory does it need for the thousand scans? Write your number in MiB after `--predict`, in place of the 26.

# %% [markdown]
# ## Crash

# %% tags=["crash"]
# %%sandbox --budget 128 --predict 26 --into crash --after scaled
model = keras.Sequential(
    [
        keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
        keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy")
history = model.fit(dataset.cache().shuffle(size).batch(32).prefetch(tf.data.AUTOTUNE), verbose=0)

# %% [markdown]
# The post-mortem names the line that trains. A pipeline does nothing until someone reads from it, so this is where it
# fills up, before the model has seen one batch. The card counts that time as part of the *first step*.

# %% [markdown]
# ## Explain
#
# Four cells, without a model, take the recipe apart: the import alone; the same pipeline with neither cache nor
# shuffle; with the cache; and the whole recipe.

# %% tags=["explain"]
# %%sandbox --budget 384 --into imported
import tensorflow_datasets as tfds

assert tfds.ImageFolder

# %% tags=["explain"]
# %%sandbox --budget 384 --into plain --after scaled
dataset = dataset.batch(32).prefetch(tf.data.AUTOTUNE)
for _ in range(2):
    for _batch in dataset:
        pass

# %% tags=["explain"]
# %%sandbox --budget 384 --into cached --after scaled
dataset = dataset.cache()
dataset = dataset.batch(32).prefetch(tf.data.AUTOTUNE)
for _ in range(2):
    for _batch in dataset:
        pass

# %% tags=["explain"]
# %%sandbox --budget 384 --into recipe --after scaled
dataset = dataset.cache()
dataset = dataset.shuffle(size)
dataset = dataset.batch(32).prefetch(tf.data.AUTOTUNE)
for _ in range(2):
    for _batch in dataset:
        pass

# %% tags=["explain"]
rows = {
    "import tensorflow_datasets": imported.peak_mib,
    "the pipeline without a cache": plain.peak_mib - imported.peak_mib,
    "the cache: 1000 scans as float32": floats_mib,
}
for name, size in rows.items():
    print(f"{name:<36}{size:8.1f} MiB")
expected = sum(rows.values())
difference = 100 * (recipe.peak_mib - expected) / expected
print(f"{'expected at the peak':<36}{expected:8.1f} MiB")
print(f"{'measured, the whole recipe':<36}{recipe.peak_mib:8.1f} MiB ({difference:+.1f}%)")
print(f"{'measured, without the shuffle':<36}{cached.peak_mib:8.1f} MiB")

# %% [markdown]
# There is no row for the shuffle buffer. It holds a thousand pictures too, but the same ones that the cache holds: in
# memory there is one copy of each. So the cache causes this crash, together with the normalizing before it, which makes
# every picture four times as large.

# %% [markdown]
# ## Fix it, step by step
#
# ### Step 1: shuffle everything, without the cache
#
# Take the `cache` line out of the recipe, and look at the peak again. Now nothing shares the buffer.

# %%
# %%sandbox --budget 384 --into shuffled --after scaled
dataset = dataset.shuffle(size)
dataset = dataset.batch(32).prefetch(tf.data.AUTOTUNE)
for _ in range(2):
    for _batch in dataset:
        pass

# %% [markdown]
# This saves nothing: the buffer holds every picture as floats, as the cache did. The curve shows more. Each epoch fills
# a new buffer, and the second one rises before all the memory of the first has gone back to the system. So this needs
# even more than the recipe.
#
# ### Step 2: shuffle the files
#
# With `shuffle_files=True`, `ImageFolder` shuffles the file names instead, again in each epoch. Without it,
# `ImageFolder` mixes the names once, always in the same way.

# %%
# %%sandbox --budget 384 --into files --after scaled
dataset = builder.as_dataset(split="train", as_supervised=True, shuffle_files=True)
dataset = dataset.map(scale, num_parallel_calls=tf.data.AUTOTUNE)
dataset = dataset.batch(32).prefetch(tf.data.AUTOTUNE)
for _ in range(2):
    for _batch in dataset:
        pass

# %% [markdown]
# ### Step 3: keep the recipe, skip the decoding
#
# `SkipDecoding` leaves the pictures as they are in the files. Cache those, shuffle all of those, and decode afterwards.
# The recipe is the same as in the crash, but the pictures that flow through it are small.

# %%
# %%sandbox --budget 384 --into encoded --after scans_folder
image = builder.info.features["image"]


def decode(encoded, label):
    return tf.cast(image.decode_example(encoded), tf.float32) / 255, label


dataset = builder.as_dataset(split="train", as_supervised=True, decoders={"image": tfds.decode.SkipDecoding()})
dataset = dataset.cache().shuffle(size)
dataset = dataset.map(decode, num_parallel_calls=tf.data.AUTOTUNE).batch(32).prefetch(2)
for _ in range(2):
    for _batch in dataset:
        pass

# %% [markdown]
# ### Step 4: a builder of your own
#
# `ImageFolder` reads the files where they are. A builder of your own packs them once into TFRecord shards, with names,
# types and splits. Three methods are enough: one describes an example, one names the splits, and one generates the
# examples. The images are given as paths, so nothing is decoded on the way. No network is needed. The message
# "Downloading and preparing" is printed all the same.


# %%
# %%sandbox --budget 384 --name digits --after scans_folder
class Digits(tfds.core.GeneratorBasedBuilder):
    """Scans of handwritten digits, from a local folder."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        image = tfds.features.Image(shape=(96, 96, 3), encoding_format="jpeg")
        features = {"image": image, "label": tfds.features.ClassLabel(num_classes=10)}
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(scans.load("train", count=1000, size=96))}

    def _generate_examples(self, folder):
        for path in sorted(folder.glob("*/*.jpg")):
            yield f"{path.parent.name}/{path.name}", {"image": path, "label": int(path.parent.name)}


tfds.disable_progress_bar()
offline = tfds.download.DownloadConfig(try_download_gcs=False, num_shards=4)

# %% [markdown]
# Splits are then cut with text, as in `train[:80%]`. `ImageFolder` has no such cuts: there you make two folders.

# %%
# %%sandbox --budget 384 --into built --after digits
prepared = Digits(data_dir="prepared")
prepared.download_and_prepare(download_config=offline)
for split in ("train[:80%]", "train[80%:]", "train[:100]"):
    print(split, prepared.info.splits[split].num_examples)
report(shards=prepared.info.splits["train"].num_shards, stored_mib=round(prepared.info.dataset_size / 2**20, 1))

try:
    builder.as_dataset(split="train[:80%]")
except ValueError as error:
    print(error)

# %% [markdown]
# ### Step 5: the cache that you did not ask for
#
# Reading prepared data comes with a surprise. TFDS caches "small" data sets by itself. Small means up to 250 MiB of
# stored data, but the cache holds decoded pictures. Each of the next two cells prepares the same shards and reads them
# twice. The second one turns the cache off with a `ReadConfig`.

# %%
# %%sandbox --budget 384 --into autocached --after digits
prepared = Digits(data_dir="prepared")
prepared.download_and_prepare(download_config=offline)
dataset = prepared.as_dataset(split="train", as_supervised=True)
for _ in range(2):
    for _batch in dataset.batch(32):
        pass

# %%
# %%sandbox --budget 384 --into not_cached --after digits
prepared = Digits(data_dir="prepared")
prepared.download_and_prepare(download_config=offline)
reading = tfds.ReadConfig(try_autocache=False)
dataset = prepared.as_dataset(split="train", as_supervised=True, read_config=reading)
for _ in range(2):
    for _batch in dataset.batch(32):
        pass

# %%
grows = bytes_mib / built.values["stored_mib"]
added = autocached.peak_mib - not_cached.peak_mib
print(f"Decoding makes these scans {grows:.1f} times as large as they are stored.")
print(f"The cache added {added:.0f} MiB; the decoded scans are {bytes_mib:.0f} MiB.")
print(f"At this rate, 250 MiB on disk would become {250 * grows / 1024:.1f} GiB of cache that you never asked for.")

# %% [markdown]
# ### Step 6: other read options
#
# There are more options. The first of these three belongs to `as_dataset`, and the other two to `ReadConfig`. The cell
# shows their effects, on four shards and on one, which is the default:
#
# - `shuffle_files=True` shuffles the order of the shards. With one shard there is nothing to shuffle.
# - `shuffle_seed` makes that order repeatable.
# - `add_tfds_id` tells you where each example is stored, so that you can find the one that spoils your training.

# %%
# %%sandbox --budget 384 --into options --after digits
four = Digits(data_dir="four_shards")
four.download_and_prepare(download_config=offline)
one = Digits(data_dir="one_shard")
one.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))

tf.get_logger().setLevel("ERROR")  # add_tfds_id brings a deprecation warning of its own


def order(builder, **options):
    reading = tfds.ReadConfig(try_autocache=False, add_tfds_id=True, **options)
    dataset = builder.as_dataset(split="train", shuffle_files=True, read_config=reading)
    return [bytes(example["tfds_id"].numpy()).decode() for example in dataset.take(100)]


report(
    one_shard_differs=int(order(one) != order(one)),
    four_shards_seeded_differ=int(order(four, shuffle_seed=0) != order(four, shuffle_seed=0)),
    four_shards_two_seeds_differ=int(order(four, shuffle_seed=0) != order(four, shuffle_seed=1)),
)
print(order(four, shuffle_seed=0)[0])

# %%
for name, differs in options.values.items():
    print(f"{name.replace('_', ' '):<32}{'yes' if differs else 'no'}")

# %% [markdown]
# ### Step 7: a public data set, if you are in Colab
#
# The code of step 3 works for every data set with one picture, called `image`, and one label per example. Where the
# pictures differ in size, resize them before `batch`. This cell fetches MNIST, about 12 MB, and needs a network, so it
# does nothing until you change `False` to `True` in its first line.

# %%
# %%sandbox --budget 384 --into public --after scans_folder
download = False

if not download:
    print("Skipped: nothing is fetched while download is False.")
else:
    builder = tfds.builder("mnist", data_dir="downloaded")
    builder.download_and_prepare()
    image = builder.info.features["image"]

    def decode(encoded, label):
        return tf.cast(image.decode_example(encoded), tf.float32) / 255, label

    decoders = {"image": tfds.decode.SkipDecoding()}
    dataset = builder.as_dataset(split="train", as_supervised=True, decoders=decoders)
    dataset = dataset.shuffle(builder.info.splits["train"].num_examples)
    for images, labels in dataset.map(decode, num_parallel_calls=tf.data.AUTOTUNE).batch(32):
        print(images.shape, labels.shape)
        break

# %% [markdown]
# ### The steps side by side

# %%
steps = {
    "no cache, no shuffle": plain,
    "the recipe": recipe,
    "shuffle without cache": shuffled,
    "shuffle_files": files,
    "recipe, SkipDecoding": encoded,
    "own builder": autocached,
    "own builder, autocache off": not_cached,
}
notebook.compare(steps, alt="Memory over time of seven ways to read a thousand scans with TensorFlow Datasets")

# %% [markdown]
# ## What people say

# %% tags=["claims"]
by_shuffle = recipe.peak_mib - cached.peak_mib
by_recipe = recipe.peak_mib - plain.peak_mib
by_encoded = encoded.peak_mib - plain.peak_mib
share = imported.peak_mib / crash.budget_mib
notebook.claims(
    [
        (
            "Cache, then shuffle everything, is how to read a TFDS data set.",
            f"{by_recipe:+.0f} MiB for floats, {by_encoded:+.0f} MiB for encoded pictures",
            "depends: on the form of the cached pictures" if by_recipe > 2 * max(by_encoded, 1) else "true",
        ),
        (
            "The large shuffle buffer fills the memory.",
            f"after cache(): {by_shuffle:+.0f} MiB; without the cache: {shuffled.peak_mib - plain.peak_mib:+.0f} MiB",
            "depends: after a cache in memory, the two share the pictures" if by_shuffle < floats_mib / 3 else "true",
        ),
        (
            "TFDS reads from disk, so it needs no memory.",
            f"own builder with the default: {added:+.0f} MiB compared with try_autocache=False",
            "false: it caches small data sets" if added > bytes_mib / 3 else "true",
        ),
        (
            "import tensorflow_datasets is heavy.",
            f"{imported.peak_mib:.0f} MiB on top of TensorFlow",
            "false" if share < 0.15 else "true",
        ),
    ]
)

# %% [markdown]
# ## Your turn
#
# Write `train(folder)`. The folder holds {{train_count}} scans of {{image_size}} x {{image_size}} pixels in one folder
# per class, as `folder/<class 0..9>/*.jpg`. Read them with TFDS, and return a trained Keras model.
#
# - **Memory:** at most {{budget_mib}} MiB above the baseline. A run is killed at twice that.
# - **Accuracy:** at least {{floor}} on {{hidden_count}} scans that you do not have.
# - **Time:** at most {{time_limit}} seconds, training and grading together.
#
# The working directory is yours to write in, and `folder` is a `pathlib.Path`. The grader feeds your model raw pixels,
# from 0 to 255. Any way of reading the scans with TFDS that meets the three is right. `%course hint {{number}}` gives a
# hint.

# %% tags=["graded"]
# %%graded 06
from pathlib import Path

import keras
import tensorflow as tf
import tensorflow_datasets as tfds


def train(folder):
    """Train on folder/<class>/*.jpg, read with TFDS, and return a Keras model that takes raw pixels from 0 to 255."""
    # STARTER: Read the scans with TFDS without holding them all decoded, train a model, and return it.
    # BEGIN SOLUTION
    keras.utils.set_random_seed(0)
    root = Path("splits")
    root.mkdir(exist_ok=True)
    (root / "train").symlink_to(folder)
    builder = tfds.ImageFolder(str(root), shape=(96, 96, 3))
    image = builder.info.features["image"]

    def decode(encoded, label):
        return image.decode_example(encoded), label

    decoders = {"image": tfds.decode.SkipDecoding()}
    dataset = builder.as_dataset(split="train", as_supervised=True, decoders=decoders)
    dataset = dataset.cache().shuffle(builder.info.splits["train"].num_examples)
    dataset = dataset.map(decode, num_parallel_calls=tf.data.AUTOTUNE).batch(32).prefetch(2)
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
    model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy")
    model.fit(dataset, epochs=4, verbose=2)
    return model
    # END SOLUTION


# %% [markdown] tags=["solution"]
# ## Why it works
#
# `SkipDecoding` lets the files through as they are. So the cache and the shuffle buffer hold {{train_count}} encoded
# scans, and both hold the same ones. After `map` there are pixels, and only a few batches of them: the one in the
# making, the two of `prefetch`, and the one that the model works on. They stay bytes until the `Rescaling` layer.

# %% tags=["solution"]
from course_utils import labs, scans

lab = labs.get("06")
folder = scans.load("train", count=lab.train_count, size=lab.image_size)
encoded_mib = sum(path.stat().st_size for path in folder.glob("*/*.jpg")) / 2**20
scan_mib = lab.image_size**2 * 3 / 2**20
print(f"all scans, encoded:         {encoded_mib:6.1f} MiB")
print(f"four batches, decoded:      {4 * 32 * scan_mib:6.1f} MiB")
print(f"all scans, decoded:         {lab.train_count * scan_mib:6.1f} MiB")
print(f"all scans, scaled to floats:{4 * lab.train_count * scan_mib:6.1f} MiB")

# %% [markdown] tags=["solution"]
# The rest of the peak is TFDS itself and the training: the model's graph, and the activations of a batch.
#
# ## What else would pass
#
# - `shuffle_files=True` without a cache. It shuffles the names, so it needs even less memory, but it reads and decodes
#   each file again in every epoch.
# - The same pipeline without `cache()`. The shuffle buffer then holds the encoded scans by itself. The files are read
#   again in each epoch, and each epoch fills a new buffer, so it needs a little more memory.
# - A builder of your own with several shards, `shuffle_files=True`, `try_autocache=False` and a small shuffle buffer.
#   It passes with little room to spare, and pays off only if you read the shards many times.

# %% [markdown] tags=["own"]
# ## In your own notebook
#
# Here `files` is a folder that holds `train/CLASS/*.jpg`, all pictures have the same size, and `model` is your compiled
# model. Nothing of the course is needed.
#
# ```python
# import tensorflow as tf
# import tensorflow_datasets as tfds
#
# builder = tfds.ImageFolder("files")
# decoders = {"image": tfds.decode.SkipDecoding()}
# data = builder.as_dataset(split="train", as_supervised=True, decoders=decoders)
# data = data.cache().shuffle(builder.info.splits["train"].num_examples)
#
#
# def decode(encoded, label):
#     return builder.info.features["image"].decode_example(encoded), label
#
#
# model.fit(data.map(decode, num_parallel_calls=tf.data.AUTOTUNE).batch(32).prefetch(2))
# ```
#
# **With a GPU:** nothing changes. The cache and the buffer stay in the machine's own memory.

# %% [markdown] tags=["summary"]
# ## Summary
#
# - `tfds.ImageFolder` reads local pictures, and a builder of your own packs them. Both work offline.
# - A cache keeps the result of everything before it. With `SkipDecoding` that is the file, not the pixels.
# - A shuffle buffer after a cache in memory shares its pictures. Without the cache it holds them itself.
# - TFDS caches data sets of up to 250 MiB on disk by itself, decoded, unless `shuffle_files` shuffles several shards.
#   `try_autocache=False` prevents that.
# - `shuffle_files` shuffles the file names of an `ImageFolder`, and the shards of a builder. With one shard it does
#   nothing.
#
# To remember: {{takeaway}}

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Open the answer that you would give.
#
# **1. Your data set takes 200 MiB of JPEG files in TFRecord shards. What does `as_dataset` cache by default?**
#
# - [ ] Nothing, unless you call `cache()` :: TFDS calls it for you where the stored size is at most 250 MiB.
# - [x] All pictures, decoded :: The limit is on the stored size, and the cache holds decoded pictures.
# - [ ] 200 MiB of JPEG files :: It would with `SkipDecoding`.
#
# **2. Where does `shuffle(n)` with the whole split cost least?**
#
# - [x] Before the decoding, on encoded pictures :: The buffer holds small things.
# - [ ] After `batch` :: It holds batches there, and shuffles whole batches.
# - [ ] After the cast to `float32` :: It holds floats there, the largest form of all.
#
# **3. What do you change to use half of an `ImageFolder` split for validation?**
#
# - [ ] `split="train[:50%]"` :: `ImageFolder` knows no cuts, and raises an error.
# - [x] The folders: one for each split :: Links are enough. A builder of your own can be cut with text.
# - [ ] `ReadConfig(split=0.5)` :: There is no such option.

# %% tags=["versions"]
notebook.versions(seed=0)
