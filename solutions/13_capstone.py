# %% [markdown]
# # Capstone: eight mistakes in one notebook
#
# A colleague leaves you a notebook that "only crashes". It holds eight mistakes from this course at once. You repair it
# on a machine with 2 GiB of memory, one crash at a time, and its post-mortems are your only clues.
#
# **Objectives**
#
# - Name a cause from a post-mortem, and check by arithmetic whether it is the mistake to repair.
# - Work out how much memory a line needs before you change it.
# - Make one change at a time, and measure how much it saved.
# - Meet a tight budget and a high floor together.
#
# **Prerequisites**
#
# - Labs 01, 02, 04, 05, 07, 09, and 11. Each mistake comes from one of them.

# %% [markdown]
# ## The machine and the scans
#
# On a machine with 2 GiB, about 1,024 MiB are left for you after the system, the notebook, and TensorFlow have taken
# their share. That is the budget of every cell here. The data are {{train_count}} scans of {{image_size}} x
# {{image_size}} pixels. The next cell draws them once.

# %%
from course_utils import scans

folder = scans.load("train", count=2700, size=192)
held_back = scans.load("validation", count=300, size=192)
size_on_disk = sum(path.stat().st_size for path in folder.glob("*/*.jpg")) / 2**20
print(f"{len(list(folder.glob('*/*.jpg')))} scans, {size_on_disk:.0f} MiB on disk.")

# %% [markdown]
# Every sandboxed cell starts in an empty process. `--name` gives a cell a name. A later cell that lists this name in
# `--after` runs the named cell first, in its own process. Both count toward the peak. All cells of the notebook need
# the next one. `done` is a stopwatch: it records when a stage of the notebook was over.

# %%
# %%sandbox --budget 1024 --name start
import time

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from course_utils import scans
from course_utils.sandbox.inside import report

moments = {}


def done(stage):
    moments[stage] = time.time()


# %% [markdown] tags=["predict"]
# ## Predict
#
# Here is the notebook that you inherited. Read it from top to bottom, and mark each line that you distrust. There are
# eight mistakes.
#
# ```python
# # Load the scans
# paths = sorted(scans.load("train", count=2700, size=192).glob("*/*.jpg"))
# labels = np.array([int(path.parent.name) for path in paths])
# images = []
# for path in paths:
#     images.append(np.asarray(Image.open(path)) / 255)
# x = np.array(images)
#
# # Find the mean and the deviation of the pixels
# ImageDataGenerator = tf.keras.preprocessing.image.ImageDataGenerator
# generator = ImageDataGenerator(featurewise_center=True, featurewise_std_normalization=True)
# generator.fit(x)
#
# def prepare(image, label):
#     return (tf.cast(image, "float32") - generator.mean) / generator.std, label
#
# # Shuffle well, and keep the prepared scans for the next epoch
# data = tf.data.Dataset.from_tensor_slices((x, labels)).map(prepare)
# data = data.shuffle(len(x)).batch(256).cache()
# pictures, _ = next(iter(data))
# print("one batch:", pictures.shape)
# steps = sum(1 for _ in data)
# print("batches:", steps)
#
# # Convolutions, attention, a dense layer
# inputs = keras.Input((192, 192, 3))
# maps = keras.layers.Conv2D(32, 3, padding="same", activation="relu")(inputs)
# smaller = keras.layers.MaxPooling2D()(maps)
# smaller = keras.layers.Conv2D(32, 3, padding="same", activation="relu")(smaller)
# smaller = keras.layers.MaxPooling2D()(smaller)
# places = keras.layers.Reshape((-1, 32))(smaller)
# places = keras.layers.MultiHeadAttention(4, 8)(places, places)
# vector = keras.layers.Flatten()(places)
# vector = keras.layers.Dense(4096, activation="relu")(vector)
# outputs = keras.layers.Dense(10, activation="softmax")(vector)
# model = keras.Model(inputs, outputs)
# model.compile("adam", "sparse_categorical_crossentropy")
#
# # Two steps, to see that it trains
# history = model.fit(data.take(2), verbose=0)
#
# # How strongly does each filter respond?
# answers = keras.Model(inputs, maps).predict(data.take(16), verbose=0)
# print("responses:", answers.mean(axis=(0, 1, 2)).round(2)[:4])
# ```
#
# Then predict the first crash. How many MiB would the loading alone take, up to and including `x = np.array(images)`?
# Write your number after `--predict`, in place of the 300, and run the cell.

# %% [markdown]
# ## Crash

# %% tags=["crash"]
# %%sandbox --budget 1024 --predict 300 --into death_1 --after start
# Load the scans
paths = sorted(scans.load("train", count=2700, size=192).glob("*/*.jpg"))
labels = np.array([int(path.parent.name) for path in paths])
images = []
for path in paths:
    images.append(np.asarray(Image.open(path)) / 255)
x = np.array(images)

# %% [markdown]
# Stop here before you read on. On which line did the run die? Which objects were alive? Is the cause that the card
# names the mistake? Decide on a change.

# %% [markdown]
# ## Explain
#
# The list was never finished. To check the arithmetic, load a tenth of the scans in the same way.

# %% tags=["explain"]
# %%sandbox --budget 1024 --into tenth --after start
images = []
for path in sorted(scans.load("train", count=2700, size=192).glob("*/*.jpg"))[::10]:
    images.append(np.asarray(Image.open(path)) / 255)
x = np.array(images)

# %% tags=["explain"]
MIB = 2**20
pixels = 192 * 192 * 3
as_list = 270 * pixels * 8 / MIB
expected = 2 * as_list
print(f"270 scans as float64:       {as_list:7,.0f} MiB")
print(f"the list and the array:     {expected:7,.0f} MiB")
print(f"measured:                   {tenth.peak_mib:7,.0f} MiB, {100 * (tenth.peak_mib / expected - 1):+.1f}%")
print(f"all 2,700 would have taken: {10 * expected:7,.0f} MiB")

# %% [markdown]
# The arithmetic holds, so you can use it for a figure that no run will ever show: how much memory a line **would have**
# needed. Do that at every crash below, before you read the text under it.
#
# ## Fix it, one crash at a time
#
# Go through the notebook from top to bottom. Repair each mistake in its place, and run the next lines after the
# repaired ones. Each run is then the whole notebook up to that line, with every fix so far. It gets a little further,
# and dies at the next mistake.
#
# ### Fix 1: keep bytes
#
# The list of `float64` scans caused crash 1 (lab 01). Use one array of bytes, and fill it in place. Leave out the
# division by 255 for now; the scaling further down does the same work.

# %%
# %%sandbox --budget 1024 --name loading --after start
# Load the scans
paths = sorted(scans.load("train", count=2700, size=192).glob("*/*.jpg"))
labels = np.array([int(path.parent.name) for path in paths])
x = np.empty((len(paths), 192, 192, 3), dtype="uint8")
for index, path in enumerate(paths):
    x[index] = Image.open(path)

# %% [markdown]
# The loading fits. Now for the lines after it, as you inherited them:

# %%
# %%sandbox --budget 1024 --into death_2 --after loading
# Find the mean and the deviation of the pixels
ImageDataGenerator = tf.keras.preprocessing.image.ImageDataGenerator
generator = ImageDataGenerator(featurewise_center=True, featurewise_std_normalization=True)
generator.fit(x)

# %% [markdown]
# The run died on another line, and the bytes are small. The card names the line and the type. Which copies does this
# line make?
#
# ### Fix 2: no statistics of everything
#
# `generator.fit(x)` turns all scans into `float32` and copies that array. Then it drops the first array, and makes
# another for the deviation. So it holds two `float32` arrays at a time, in addition to the bytes (lab 04). A division
# by 255 in the pipeline works as well, one scan at a time. It is in the first lines of the next cell; the rest is as
# you inherited it.


# %%
# %%sandbox --budget 1024 --into death_3 --after loading
def prepare(image, label):
    return tf.cast(image, "float32") / 255, label


# Shuffle well, and keep the prepared scans for the next epoch
data = tf.data.Dataset.from_tensor_slices((x, labels)).map(prepare)
data = data.shuffle(len(x)).batch(256).cache()
pictures, _ = next(iter(data))
print("one batch:", pictures.shape)

# %% [markdown]
# The run died when it asked for **one** batch. That line is not the mistake. Two stages in the card's list of the
# largest objects may grow to hold all scans as floats, and the card blames one of them. Why does that one have to be
# full before the pipeline can return its first batch, and the other not?
#
# ### Fix 3: shuffle names
#
# `shuffle(len(x))` fills its buffer with every scan, and after `map` the scans are `float32` (lab 05). Shuffle the file
# names, and decode after that. Then you need neither `x` nor the copy that `from_tensor_slices` made of it. So the
# loading becomes shorter too:

# %%
# %%sandbox --budget 1024 --name names --after start
# Load the names of the scans
paths = sorted(scans.load("train", count=2700, size=192).glob("*/*.jpg"))
labels = np.array([int(path.parent.name) for path in paths])
names = [str(path) for path in paths]
done("loading")


def prepare(name, label):
    image = tf.io.decode_jpeg(tf.io.read_file(name))
    return tf.cast(image, "float32") / 255, label


# %%
# %%sandbox --budget 1024 --into death_4 --after names
# Shuffle well, and keep the prepared scans for the next epoch
data = tf.data.Dataset.from_tensor_slices((names, labels)).shuffle(len(names))
data = data.map(prepare).batch(256).cache()
pictures, _ = next(iter(data))
print("one batch:", pictures.shape)
steps = sum(1 for _ in data)
print("batches:", steps)

# %% [markdown]
# The run gets the first batch. It dies while it counts the batches, but the card blames another line. A post-mortem
# names a *likely* cause, so check it: `sum` makes no list, and keeps no batch that it has counted. Which stage keeps
# the scans that pass through?
#
# ### Fix 4: no cache of floats
#
# `cache()` at the end of the pipeline keeps every scan as `float32` (lab 05). Without it, TensorFlow reads the files
# again in each epoch. `len` knows the number of batches without reading any.

# %%
# %%sandbox --budget 1024 --name pipeline --after names
# Shuffle well
data = tf.data.Dataset.from_tensor_slices((names, labels)).shuffle(len(names))
data = data.map(prepare).batch(256)
pictures, _ = next(iter(data))
print("one batch:", pictures.shape)
steps = len(data)
print("batches:", steps)

# %% [markdown]
# The data pipeline is repaired. Next comes the model, as you inherited it:

# %%
# %%sandbox --budget 1024 --into death_5 --after pipeline
# Convolutions, attention, a dense layer
inputs = keras.Input((192, 192, 3))
maps = keras.layers.Conv2D(32, 3, padding="same", activation="relu")(inputs)
smaller = keras.layers.MaxPooling2D()(maps)
smaller = keras.layers.Conv2D(32, 3, padding="same", activation="relu")(smaller)
smaller = keras.layers.MaxPooling2D()(smaller)
places = keras.layers.Reshape((-1, 32))(smaller)
places = keras.layers.MultiHeadAttention(4, 8)(places, places)
vector = keras.layers.Flatten()(places)
vector = keras.layers.Dense(4096, activation="relu")(vector)
outputs = keras.layers.Dense(10, activation="softmax")(vector)

# %% [markdown]
# Now the run dies while it builds a layer, before any training. How many weights does that layer have?
#
# ### Fix 5: no dense layer on everything
#
# `Flatten` passes 48 x 48 x 32 numbers to 4,096 units (lab 07). With pooling, 32 numbers are left, and 64 units are
# enough. The next cell defines the model in two parts, because you will need them separately.


# %%
# %%sandbox --budget 1024 --name layers --after start
# Convolutions, then attention and a dense layer
def convolutions(inputs, pool):
    maps = keras.layers.Conv2D(32, 3, padding="same", activation="relu")(inputs)
    smaller = keras.layers.MaxPooling2D()(maps)
    smaller = keras.layers.Conv2D(32, 3, padding="same", activation="relu")(smaller)
    return maps, keras.layers.MaxPooling2D(pool)(smaller)


def classified(smaller):
    places = keras.layers.Reshape((-1, 32))(smaller)
    places = keras.layers.MultiHeadAttention(4, 8)(places, places)
    vector = keras.layers.GlobalMaxPooling1D()(places)
    vector = keras.layers.Dense(64, activation="relu")(vector)
    return keras.layers.Dense(10, activation="softmax")(vector)


# %%
# %%sandbox --budget 1024 --into death_6 --after pipeline,layers
inputs = keras.Input((192, 192, 3))
maps, smaller = convolutions(inputs, pool=2)
model = keras.Model(inputs, classified(smaller))
model.compile("adam", "sparse_categorical_crossentropy")

# Two steps, to see that it trains
history = model.fit(data.take(2), verbose=0)

# %% [markdown]
# The run dies in its first training step. The scores of the attention would need the most memory of all, but the card
# names the outputs of the layers. Work out the size of the first convolution's output for one batch: does the run get
# as far as the attention? (The lines under the card are TensorFlow's own log, and none of them is an error.)
#
# ### Fix 6: a smaller batch
#
# The first convolution makes 192 x 192 x 32 numbers for each of the 256 scans, and training keeps them (lab 02). That
# is 1,152 MiB, more than the budget, so this run died before it came to the attention. Use a batch of 32.

# %%
# %%sandbox --budget 1024 --name small_batches --after names
# Shuffle well
data = tf.data.Dataset.from_tensor_slices((names, labels)).shuffle(len(names))
data = data.map(prepare).batch(32)
pictures, _ = next(iter(data))
print("one batch:", pictures.shape)
steps = len(data)
print("batches:", steps)
done("pipeline")

# %%
# %%sandbox --budget 1024 --into death_7 --after small_batches,layers
inputs = keras.Input((192, 192, 3))
maps, smaller = convolutions(inputs, pool=2)
model = keras.Model(inputs, classified(smaller))
model.compile("adam", "sparse_categorical_crossentropy")
history = model.fit(data.take(2), verbose=0)

# %% [markdown]
# The run dies on the same line again, but now the card names the scores of the attention. They have shrunk to an
# eighth, and so has the convolution's output, to 144 MiB. So this time the run gets past the convolutions. Compare both
# figures with the budget.
#
# ### Fix 7: fewer places to attend to
#
# Attention compares every place with every other, and 48 x 48 places make 2,304 x 2,304 scores, for each head and each
# scan (lab 09). For a batch of 32 and four heads, that is 2,592 MiB, so this time the attention is the cause. Pool to
# 12 x 12 places first.

# %%
# %%sandbox --budget 1024 --name network --after small_batches,layers
inputs = keras.Input((192, 192, 3))
maps, smaller = convolutions(inputs, pool=8)
model = keras.Model(inputs, classified(smaller))
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
done("model")

# %%
# %%sandbox --budget 1024 --into death_8 --after network
# Two steps, to see that it trains
history = model.fit(data.take(2), verbose=0)

# How strongly does each filter respond?
answers = keras.Model(inputs, maps).predict(data.take(16), verbose=0)
print("responses:", answers.mean(axis=(0, 1, 2)).round(2)[:4])

# %% [markdown]
# It trains. The last lines of the notebook kill it: they look at the filters after the training is done.
#
# The card blames `predict`, although most of the memory came in `fit`. TensorFlow keeps the memory that a step gives
# back and uses it again, so the answers of `predict` fill it without any growth to be seen. Multiply: how much would
# `predict` collect from 16 batches? The largest objects show how far it got.
#
# ### Fix 8: reduce before you collect
#
# `predict` keeps all answers and joins them, and each answer is a stack of 32 full pictures (lab 11). For 16 batches of
# 32 scans, that is 2,304 MiB before they are joined: more than twice the budget, even if the training had left nothing.
# You want only their mean. So let the model compute it, and collect 32 numbers per scan.
#
# The end of this cell measures the accuracy of the model. It also reports when each stage was over, to tell the stages
# of the curve apart.

# %%
# %%sandbox --budget 1024 --into repaired --after network
# Two steps, to see that it trains
history = model.fit(data.take(2), verbose=0)
done("training")

# How strongly does each filter respond?
means = keras.layers.GlobalAveragePooling2D()(maps)
answers = keras.Model(inputs, means).predict(data.take(16), verbose=0)
print("responses:", answers.mean(axis=0).round(2)[:4])
done("responses")

# How accurate is it after two steps?
paths = sorted(scans.load("validation", count=300, size=192).glob("*/*.jpg"))
labels = np.array([int(path.parent.name) for path in paths])
fresh = tf.data.Dataset.from_tensor_slices(([str(path) for path in paths], labels)).map(prepare).batch(32)
accuracy = model.evaluate(fresh, verbose=0)[1]
report(accuracy=accuracy, **{f"_{stage}": time.time() - moment for stage, moment in moments.items()})

# %% [markdown]
# It finishes.
#
# ### How far each run got

# %%
from course_utils import notebook

deaths = [death_1, death_2, death_3, death_4, death_5, death_6, death_7, death_8]
runs = {"as inherited": death_1}
runs |= {f"after fix {number}": outcome for number, outcome in enumerate([*deaths[1:], repaired], start=1)}
notebook.compare(runs, alt="Memory over time of nine runs of the notebook; each gets further than the one before")

# %% [markdown]
# ### How much each fix saved
#
# The column "needed" comes from arithmetic, because no run shows how much memory a fatal line would have taken. The
# column "now" is measured: it is the highest point of the last curve within the same stage of the notebook, and it
# includes memory left over from earlier stages. "Saved" is "killed at" minus "now". A killed run never shows its whole
# need, so read this figure as **at least**.

# %%
scores = 4 * (48 * 48) ** 2 * 4
first_output = 192 * 192 * 32 * 4
fixes = [
    ("1 bytes, not float64", "loading", 2 * 2700 * pixels * 8),
    ("2 no statistics of everything", "pipeline", 2700 * pixels * (1 + 2 * 4)),
    ("3 shuffle names", "pipeline", 2700 * pixels * (2 + 4)),
    ("4 no cache of floats", "pipeline", 2700 * pixels * 4),
    ("5 pool before the dense layer", "model", 48 * 48 * 32 * 4096 * 4),
    ("6 a batch of 32", "training", 256 * (first_output + scores)),
    ("7 attention over 144 places", "training", 32 * (first_output + scores)),
    ("8 reduce, then collect", "responses", 2 * 16 * 32 * first_output),
]
now, before = {}, 0.0
for stage in ("loading", "pipeline", "model", "training", "responses"):
    end = repaired.seconds - repaired.values[f"_{stage}"]
    now[stage] = max((mib for second, mib in repaired.trace if before <= second <= end), default=0.0)
    before = end

print(f"{'':<31}{'needed':>10}{'killed at':>11}{'now':>7}{'saved':>9}   stage")
for (fix, stage, needed), death in zip(fixes, deaths, strict=True):
    bought = death.peak_mib - now[stage]
    print(f"{fix:<31}{needed / MIB:10,.0f}{death.peak_mib:11,.0f}{now[stage]:7,.0f}{bought:9,.0f}   {stage}")

# %% [markdown]
# The need at crash 6 comes from two mistakes: 1,152 MiB for the output of the first convolution, and 20,736 MiB for the
# scores of the attention.
#
# Note three things. Fixes 6 and 7 share a stage: neither is enough without the other. A fix of the data saves in
# proportion to the amount of data, but a fix of the model saves the same for one scan as for a million. And a notebook
# crashes in the order of its lines, not in the order of how bad its mistakes are.

# %% [markdown]
# ## What people say
#
# The repaired notebook fits, but it still takes most of the budget, and after two steps it has learned next to nothing.
# Here are three lean answers, trained for two epochs each. They differ in one number, `ratio`. The JPEG decoder itself
# can make a picture 2, 4, or 8 times smaller along each side while it reads the file, so the large picture is never in
# memory.


# %%
# %%sandbox --budget 1024 --name lean --after start
def batches(split, count, ratio):
    paths = sorted(scans.load(split, count=count, size=192).glob("*/*.jpg"))
    names, labels = [str(path) for path in paths], [int(path.parent.name) for path in paths]
    data = tf.data.Dataset.from_tensor_slices((names, labels)).shuffle(len(names), seed=0)

    def load(name, label):
        return tf.io.decode_jpeg(tf.io.read_file(name), channels=3, ratio=ratio), label

    return data.map(load).batch(32).prefetch(1)


def learn(ratio):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(16, 5, strides=2, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(batches("train", 2700, ratio), epochs=2, verbose=0)
    report(accuracy=model.evaluate(batches("validation", 300, ratio), verbose=0)[1])


# %%
# %%sandbox --budget 1024 --into pixels_96 --after lean
learn(ratio=2)

# %%
# %%sandbox --budget 1024 --into pixels_48 --after lean
learn(ratio=4)

# %%
# %%sandbox --budget 1024 --into pixels_24 --after lean
learn(ratio=8)

# %% [markdown]
# One more piece of advice is about money: take a larger runtime. These three programs grow until they are killed, with
# 128 MiB and with four times that. The first collects scans as `float64`, the second keeps 8 MiB after each round, as a
# leak does, and the third makes the scores of longer and longer sequences.

# %%
GROWING = {
    "scans in an array": "kept.append(np.ones((96, 96, 3)))",
    "rounds of a leak": "kept.append(np.ones((1024, 1024)))",
    "tokens of an attention": "number *= 64; kept = np.ones((number, number), dtype='float32')",
}
PROGRAM = """
import itertools
import numpy as np
from course_utils.sandbox.inside import report

kept = []
for number in itertools.count(1):
    {line}
    report(reached=number)
"""
reached = {
    name: [notebook.run(PROGRAM.format(line=line), budget_mib=mib).values["reached"] for mib in (128, 512)]
    for name, line in GROWING.items()
}
for name, (with_128, with_512) in reached.items():
    print(f"{name:<24}{with_128:>6,} with 128 MiB{with_512:>8,} with 512 MiB{with_512 / with_128:6.1f} times")

# %% tags=["claims"]
changed = [
    "images.append(",
    "generator.fit(",
    ".shuffle(",
    ".cache(",
    "Dense(4096",
    ".batch(256",
    "Reshape(",
    ".predict(",
]
at_fault = sum(text in death.where.source for text, death in zip(changed, deaths, strict=True))
needs = [needed / MIB for _, _, needed in fixes]
knows = {96: pixels_96.values["accuracy"], 48: pixels_48.values["accuracy"], 24: pixels_24.values["accuracy"]}
lean = pixels_24.peak_mib
notebook.claims(
    [
        (
            "Fix the line that crashed.",
            f"right for {at_fault} of {len(deaths)} crashes",
            "true" if at_fault == len(deaths) else "half true: it may only ask for the result of another line",
        ),
        (
            "The first crash is the worst mistake.",
            f"crash 1 would have needed {needs[0]:,.0f} MiB, the worst {max(needs):,.0f} MiB",
            "true" if needs[0] == max(needs) else "false: it is the first in the program",
        ),
        (
            "A smaller batch fixes it.",
            f"batch of 256: {death_6.status.replace('_', ' ')}; batch of 32: {death_7.status.replace('_', ' ')}",
            "false" if death_7.status != "finished" else "half true",
        ),
        (
            "Once it runs, it is repaired.",
            f"the repaired notebook: {repaired.peak_mib:,.0f} MiB, accuracy {repaired.values['accuracy']:.2f}; "
            f"24 pixels: {lean:,.0f} MiB, accuracy {knows[24]:.2f}",
            "half true: it runs, and there is much left to gain" if repaired.peak_mib > 2 * lean else "true",
        ),
        (
            "A larger runtime solves it.",
            "four times the memory: "
            + ", ".join(f"{more / less:.1f} times the {name}" for name, (less, more) in reached.items()),
            "depends: on what grows; a leak only dies later",
        ),
        (
            "More pixels give a better accuracy.",
            f"after two epochs of the same layers: 96 pixels {knows[96]:.2f}, 48 {knows[48]:.2f}, 24 {knows[24]:.2f}",
            "true"
            if knows[96] > knows[48] > knows[24]
            else "depends: these layers see little of a large picture at once, and two epochs are short",
        ),
    ]
)

# %% [markdown]
# ## Your turn
#
# Now work without the old notebook. Write `train(folder)` for the same {{train_count}} scans, in one folder per class,
# as `folder/<class 0..9>/*.jpg`. Return a trained Keras model.
#
# - **Memory:** at most {{budget_mib}} MiB above the baseline. A run is killed at twice that.
# - **Accuracy:** at least {{floor}} on {{hidden_count}} scans that you do not have.
# - **Time:** at most {{time_limit}} seconds, training and grading together.
#
# The grader feeds your model raw pixels from 0 to 255, as `float32`, at {{image_size}} x {{image_size}}. If your model
# takes other pictures, write `predict(model, paths)` as well: it gets a list of files and returns a label for each. Any
# technique that meets all three limits is right. `%course hint {{number}}` gives a hint.

# %% tags=["graded"]
# %%graded 13
import keras
import numpy as np
import tensorflow as tf


# BEGIN SOLUTION
def load(name):
    """One scan, which the decoder itself makes four times smaller: 48 x 48 pixels of three bytes."""
    return tf.io.decode_jpeg(tf.io.read_file(name), channels=3, ratio=4)


# END SOLUTION
def train(folder):
    """Train on folder/<class>/*.jpg and return a trained model."""
    # STARTER: Read the scans small, train a model in little memory, and return it.
    # BEGIN SOLUTION
    keras.utils.set_random_seed(0)
    paths = sorted(folder.glob("*/*.jpg"))
    names, labels = [str(path) for path in paths], [int(path.parent.name) for path in paths]
    data = tf.data.Dataset.from_tensor_slices((names, labels)).shuffle(len(names), seed=0)
    data = data.map(lambda name, label: (load(name), label)).batch(32).prefetch(1)
    model = keras.Sequential(
        [
            keras.layers.Input((48, 48, 3)),
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
    rate = keras.optimizers.schedules.CosineDecay(0.005, 5 * len(data))
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    model.fit(data, epochs=5, verbose=0)
    return model
    # END SOLUTION


# BEGIN SOLUTION
def predict(model, paths):
    """Return one label for each file of the list."""
    answers = []
    for start in range(0, len(paths), 32):
        pictures = np.stack([load(path) for path in paths[start : start + 32]])
        answers.append(model.predict_on_batch(pictures).argmax(axis=1))
    return np.concatenate(answers)


# END SOLUTION

# %% [markdown] tags=["solution"]
# ## Why it works
#
# The answer never holds a full-size scan. With `ratio=4`, the JPEG decoder returns 48 x 48 pixels, so from the start a
# scan has a sixteenth of its pixels. The pipeline shuffles file names, which are small, and decodes after that. One
# batch of 32 waits while the model trains on another, and both are bytes until the model rescales them.
#
# The first convolution has a stride of 2, so its output is smaller than its input, and there is no dense layer on a
# whole picture. The accuracy comes from five epochs with a falling learning rate, and from batch normalization with a
# low momentum, because an epoch has few steps.

# %% tags=["solution"]
whole, small = 192 * 192 * 3, 48 * 48 * 3
outputs = 22 * 22 * 16 + 20 * 20 * 32 + 8 * 8 * 64
print(f"One batch of full-size scans as float32: {32 * whole * 4 / 2**20:5.1f} MiB")
print(f"One batch as this answer decodes it:     {32 * small / 2**20:5.1f} MiB")
print(f"Outputs of its three convolutions:       {32 * outputs * 4 / 2**20:5.1f} MiB per batch")

# %% [markdown] tags=["solution"]
# The rest of the peak is a cost of every training run: the graph that TensorFlow builds, its threads, and the memory
# that they keep between steps.
#
# ## What else would pass
#
# - **`ratio=8`, without the stride in the first convolution.** Even 24 x 24 pixels are enough to tell the digits apart.
#   `ratio=2` is too much for this network: its outputs are four times as large.
# - **A Python generator or a `keras.utils.PyDataset` that opens each file with `draft("RGB", (48, 48))`.** Pillow asks
#   the JPEG decoder for the small picture as well. It is slower, because Python decodes one scan at a time.
# - **One array of small bytes.** Load all {{train_count}} scans at 48 x 48 once, and call `fit(x, y)`. This passes
#   narrowly, because `fit` copies the array into a tensor.

# %% [markdown]
# ### Memory against accuracy
#
# Here are the runs of this lab, and your own best answer so far. The farther down and to the right, the worse. The goal
# is the corner above the floor and left of the budget. The lean answers were scored on validation scans, and yours on
# the hidden scans.
#
# When your instructor grades a class, the same picture, with a mark for each learner, is saved next to `results.csv` as
# `memory-accuracy.svg`.

# %% mystnb={"image": {"alt": "Peak memory against accuracy: the inherited notebook, its repair, lean answers, yours."}}
from types import SimpleNamespace

from IPython.display import SVG, display

from course_utils import labs
from course_utils.notebook.progress import Progress
from course_utils.reports.picture import as_svg

lab = labs.get("13")
asked = {"lab": lab.number, "budget_mib": lab.budget_mib, "floor": lab.floor}
shown = {"as inherited": death_1, "after fix 4": death_5, "repaired": repaired}
shown |= {"96 pixels": pixels_96, "48 pixels": pixels_48, "24 pixels": pixels_24}
points = []
for name, outcome in shown.items():
    accuracy = outcome.values.get("accuracy")
    passes = accuracy is not None and accuracy >= lab.floor and outcome.peak_mib <= lab.budget_mib
    verdict = outcome.status if accuracy is None else "passed" if passes else "not enough"
    points.append({**asked, "student": name, "verdict": verdict, "peak_mib": outcome.peak_mib, "accuracy": accuracy})
mine = Progress().entry(lab)
if mine.get("peak_mib"):
    points.append({**mine, **asked, "student": "your answer"})
display(SVG(as_svg(SimpleNamespace(**point) for point in points)))

# %% [markdown] tags=["own"]
# ## In your own notebook
#
# Measure your own stages before you change any. The thread looks fifty times a second. Nothing of the course is needed.
#
# ```python
# import threading
#
# import psutil
#
#
# class Peak:
#     def __enter__(self):
#         self.mib, self.over = 0, threading.Event()
#         threading.Thread(target=self.watch, daemon=True).start()
#
#     def watch(self):
#         while not self.over.wait(0.02):
#             self.mib = max(self.mib, psutil.Process().memory_info().rss / 2**20)
#
#     def __exit__(self, *error):
#         self.over.set()
#         print(f"at most {self.mib:,.0f} MiB")
#
#
# with Peak():
#     model.fit(x, y, verbose=0)
# ```
#
# **With a GPU:** the thread sees the machine's memory. For that of the GPU, see lab 10.

# %% [markdown] tags=["summary"]
# ## Summary
#
# - Read a post-mortem in this order: where it died and where the memory came from, what was running while the memory
#   grew, the likely cause, what to do, the curve with its phases, the largest objects. Then multiply.
# - A likely cause is what the evidence shows so far. It may be one of two mistakes, or the one that comes second.
# - The line that crashes may not be the mistake. `next`, `sum`, and `fit` start the work that a line above them set up.
# - Make one change at a time. Otherwise you do not know how much each change saved.
# - A notebook crashes in the order of its lines. Repair it until it finishes, and then reduce its memory.
# - The best array is the one you never make: let the decoder return the small picture, and let the model return the
#   mean.
#
# To remember: {{takeaway}}

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Open the answer that you would give.
#
# **1. A run dies at `pictures, labels = next(iter(data))`, and a batch is small. Where do you look?**
#
# - [x] At the stages of the pipeline above, for one that must be full first :: `shuffle` returns nothing before its
#   buffer is full.
# - [ ] At the size of the batch :: The post-mortem shows a curve far above one batch.
# - [ ] At the model :: It has not been asked for anything yet.
#
# **2. You halve the batch, and the run dies at the same `fit` line, a little later. What does that tell you?**
#
# - [ ] That the batch is not the cause :: It may be one of two causes, as in this lab.
# - [ ] That you have to halve the batch again :: Perhaps. First work out how much memory one scan needs in the largest
#   layer.
# - [x] Only that the need is still above the cap :: A killed run shows where it stopped, but not how much more it
#   needed.
#
# **3. Why are the figures under "saved" only lower bounds?**
#
# - [ ] The meter is not exact :: It is exact to a few percent.
# - [x] A killed run never shows its whole need :: It stops at the cap, so the difference is taken from there.
# - [ ] The stages overlap :: Each has its own stretch of the curve.
#
# **4. `tf.io.decode_jpeg(..., ratio=4)` saves memory. Where is the large picture?**
#
# - [x] Nowhere: the decoder computes the small one directly :: It returns a sixteenth of the pixels and nothing more.
# - [ ] In memory, until the small one is complete :: That is how `resize` after decoding works.
# - [ ] In the page cache :: Only the file's own bytes are there, and those are few.

# %% tags=["versions"]
notebook.versions(seed=0)
