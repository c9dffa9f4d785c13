# %% [markdown]
# # Long sequences and big inputs
#
# A network with one attention head and a few hundred weights gets one scan, and does not fit into half a gigabyte. In
# this lab you find the large square array inside attention, avoid it in five ways, and learn about two more arrays of
# the same kind.
#
# **Objectives**
#
# - Work out the size of the scores of an attention layer, and how many copies of them a training step holds.
# - Use patches, pooling, windows, tiles, and truncation, and know the cost of each.
# - Work out the memory of an embedding with its optimizer, and of a softmax over many classes at each position.
#
# **Prerequisites**
#
# - Lab 02: activations grow with the batch. Lab 07: weights count several times with Adam.
# - You know that in attention each token looks at all tokens, and takes information from those that matter to it.

# %%
from course_utils import notebook, scans

folder = scans.load("train", count=1000, size=48)
scans.load("train", count=100, size=96)
print(f"{len(list(folder.glob('*/*.jpg')))} scans of 48 x 48 pixels are ready, and a hundred of 96 x 96.")

# %% [markdown]
# Every sandboxed cell starts in an empty process. `--name` gives a cell a name. A later cell that lists this name in
# `--after` runs the named cell first, in its own process. Both count toward the peak. The cells of this lab share their
# imports, and the networks of the crash and of the steps share one scan and their first layers:

# %%
# %%sandbox --budget 512 --name start
import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from course_utils import scans
from course_utils.sandbox.inside import report

# %%
# %%sandbox --budget 512 --name scan --after start
path = sorted(scans.load("train", count=100, size=96).glob("*/*.jpg"))[0]
x = np.asarray(Image.open(path))[np.newaxis]
y = np.array([int(path.parent.name)])

inputs = keras.Input((96, 96, 3))
pixels = keras.layers.Rescaling(1 / 255)(inputs)

# %% [markdown] tags=["predict"]
# ## Predict
#
# The network below takes one scan at full resolution, 96 x 96 pixels. Each pixel is a token of eight numbers. One
# attention layer with one head lets all pixels look at each other, and a small Dense layer names the digit.
#
# How much memory will it need to train on this one scan? Write your number in MiB after `--predict`, in place of the
# 40, and run the cell.

# %% [markdown]
# ## Crash

# %% tags=["crash"]
# %%sandbox --budget 512 --predict 40 --into crash --after scan
tokens = keras.layers.Dense(8)(keras.layers.Reshape((96 * 96, 3))(pixels))
mixed = keras.layers.MultiHeadAttention(num_heads=1, key_dim=8)(tokens, tokens)
best = keras.layers.GlobalMaxPooling1D()(mixed)
outputs = keras.layers.Dense(10, activation="softmax")(best)
model = keras.Model(inputs, outputs)
model.compile("adam", "sparse_categorical_crossentropy")
loss = model.train_on_batch(x, y)

# %% [markdown]
# The run died in the training step. The card names the attention layer and the shape of its scores. A smaller batch
# cannot help, because no batch is smaller: this one has one scan, and the layer has one head.

# %% [markdown]
# ## Explain
#
# An attention layer compares each token with every token. For each pair it stores one number, the score.
#
# > scores = batch x heads x N x N x 4 bytes
#
# Here N is the number of pixels, so the scores are a square of a square: **twice the side of the scan means four times
# the pixels and sixteen times the scores.**
#
# How many arrays of that size does a training step hold at once? The next cell measures four things: the step of the
# crash with enough room; the same step on a scan of 8 x 8 pixels, which shows the cost of everything else; the forward
# pass of the crash alone; and one bare array of N x N numbers. The line about threads makes TensorFlow do one operation
# at a time, so that the same step always has the same peak. `notebook.run` runs a text in the same way as `%%sandbox
# --after` runs a cell.

# %% tags=["explain"]
NETWORK = """
tf.config.threading.set_inter_op_parallelism_threads(1)
{setting}
x = np.zeros(({batch}, {side}, {side}, 3), dtype="uint8")
y = np.zeros({batch}, dtype="int32")
inputs = keras.Input(x.shape[1:])
pixels = keras.layers.Rescaling(1 / 255)(inputs)
tokens = keras.layers.Dense(8)(keras.layers.Reshape(({side} * {side}, 3))(pixels))
mixed = keras.layers.MultiHeadAttention({heads}, 8 // {heads}{options})(tokens, tokens)
best = keras.layers.GlobalMaxPooling1D()(mixed)
outputs = keras.layers.Dense(10, activation="softmax", dtype="float32")(best)
model = keras.Model(inputs, outputs)
model.compile("adam", "sparse_categorical_crossentropy")
{run}
"""
TRAIN = "model.train_on_batch(x, y)"
ARRAY = "square = tf.ones(({tokens}, {tokens}))"
MIB = 2**20


def attention(side, batch=1, heads=1, options="", setting="", run=TRAIN):
    """Run the network of the crash in a sandbox with these changes; returns the outcome."""
    code = NETWORK.format(side=side, batch=batch, heads=heads, options=options, setting=setting, run=run)
    return notebook.run(code, after="start", budget_mib=1500)


whole = attention(96)
rest = attention(8)
forward = attention(96, run="model.predict_on_batch(x)")
nothing, bare = (notebook.run(ARRAY.format(tokens=tokens), after="start", budget_mib=512) for tokens in (8, 96 * 96))
square = (96 * 96) ** 2 * 4 / MIB
taken = bare.peak_mib - nothing.peak_mib
expected = rest.peak_mib + 3 * taken
print(f"tokens                                    {96 * 96:8,}")
print(f"one array of N x N numbers, computed      {square:8.1f} MiB")
print(f"one array of N x N numbers, measured      {taken:8.1f} MiB")
print(f"everything that is not N x N              {rest.peak_mib:8.1f} MiB")
print(f"forward pass alone                        {forward.peak_mib:8.1f} MiB: {forward.peak_mib / taken:.1f} arrays")
print(
    f"training step                             {whole.peak_mib:8.1f} MiB: "
    f"{(whole.peak_mib - rest.peak_mib) / taken:.1f} arrays and the rest"
)
print(f"expected, with three arrays               {expected:8.1f} MiB ({whole.peak_mib / expected - 1:+.1%} measured)")

# %% [markdown]
# The computed and the measured size differ a little. TensorFlow takes memory in regions whose size is a power of two,
# and for each region it keeps a table of a 32nd of that size. Large arrays pay a few percent for it.
#
# The forward pass needs one array: it scales the scores and turns them into weights in place. The backward pass
# brings it to three:
#
# - the weights, which are the softmax of the scores, kept since the forward pass;
# - their gradient;
# - the product of these two, from which the gradient of a softmax is made.
#
# Without the line about threads, some runs briefly hold one more such array, most often with several scans or steps.
# Their peaks then differ by a whole square. The three squares explain the crash; everything else is small.
#
# ### The cost of resolution
#
# Now do the same arithmetic for scans of other sizes. The table is for one scan, in `float32`: the pixels, the output
# of a convolution of 16 filters at full resolution, and the scores of one head.

# %% tags=["explain"]
print(f"{'side':>6}{'tokens':>12}{'pixels':>12}{'convolution':>14}{'scores':>18}")
for side in (48, 96, 192, 384, 768):
    pixels, convolution, scores = (numbers * 4 / MIB for numbers in (3 * side**2, 16 * side**2, side**4))
    print(f"{side:>6}{side**2:>12,}{pixels:>8.2f} MiB{convolution:>10.1f} MiB{scores:>14,.0f} MiB")

# %% [markdown]
# The output of a convolution grows with the number of pixels, and attention grows with the square of that number. Labs
# 01 and 07 deal with the first. For the second, there are two ways: make fewer pairs, or hold fewer of them at a time.

# %% [markdown]
# ## Fix it, step by step
#
# Each step trains on the same scan as the crash, within its budget. Only the tokens and the attention change. The end
# of the network and the training step stay the same, so their cell gets a name too:


# %%
# %%sandbox --budget 512 --name ending --after scan
def train_once(mixed):
    best = keras.layers.GlobalMaxPooling1D()(mixed)
    outputs = keras.layers.Dense(10, activation="softmax")(best)
    model = keras.Model(inputs, outputs)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.train_on_batch(x, y)


# %% [markdown]
# ### Step 1: patches
#
# Make one token from 8 x 8 pixels. A convolution whose stride equals its size does that: it looks at each patch once.
# There is one patch for every 64 pixels, and one pair of patches for every 4,096 pairs of pixels. The cost: within a
# patch, no pixel looks at any other.

# %%
# %%sandbox --budget 512 --into patches --after ending
tokens = keras.layers.Reshape((12 * 12, 8))(keras.layers.Conv2D(8, 8, strides=8)(pixels))
train_once(keras.layers.MultiHeadAttention(num_heads=1, key_dim=8)(tokens, tokens))

# %% [markdown]
# ### Step 2: look at averages
#
# Let every pixel look at 12 x 12 averages instead of all pixels. The second argument of the layer holds the tokens to
# look at. The square becomes a narrow rectangle, N x 144. The cost: a pixel sees no detail, far or near.

# %%
# %%sandbox --budget 512 --into pooled --after ending
grid = keras.layers.Dense(8)(pixels)
tokens = keras.layers.Reshape((96 * 96, 8))(grid)
averages = keras.layers.Reshape((12 * 12, 8))(keras.layers.AveragePooling2D(8)(grid))
train_once(keras.layers.MultiHeadAttention(num_heads=1, key_dim=8)(tokens, averages))

# %% [markdown]
# ### Step 3: windows
#
# Cut the scan into 144 windows of 8 x 8 pixels, and let each pixel look only at its own window. That makes 144 small
# squares in place of one large square. `attention_axes=2` tells the layer which axis counts the tokens. The cost: no
# pixel looks beyond its window, so a network needs a second layer with other windows, or pooling, to see the whole.

# %%
# %%sandbox --budget 512 --into windows --after ending
grid = keras.layers.Reshape((12, 8, 12, 8, 8))(keras.layers.Dense(8)(pixels))
tokens = keras.layers.Reshape((144, 64, 8))(keras.layers.Permute((1, 3, 2, 4, 5))(grid))
mixed = keras.layers.MultiHeadAttention(num_heads=1, key_dim=8, attention_axes=2)(tokens, tokens)
train_once(keras.layers.Reshape((96 * 96, 8))(mixed))

# %% [markdown]
# ### Step 4: tiles, without a loss
#
# A row of weights needs only its own scores. So split the rows of the square into 144 tiles, compute one tile after the
# other, and keep only the result of each. `keras.ops.map` goes through the tiles. `keras.remat` makes the backward pass
# compute a tile again instead of keeping it. Every pixel still looks at every pixel. The cost: each tile is computed
# twice.
#
# The first cell defines attention in both ways, and compares their results and gradients on a few tokens.


# %%
# %%sandbox --budget 512 --name compared --after start
def attend(query, key, value):
    """Return the attention of these queries to all keys."""
    query, key, value = (keras.ops.reshape(part, (1, -1, 8)) for part in (query, key, value))  # the map forgets shapes
    scores = keras.ops.matmul(query, keras.ops.transpose(key, (0, 2, 1))) / 8**0.5
    return keras.ops.matmul(keras.ops.softmax(scores), value)


def attend_in_tiles(query, key, value, tiles):
    """Return the same numbers as attend, but compute one tile of queries at a time."""
    again = keras.remat(attend)
    parts = keras.ops.stack(keras.ops.split(query, tiles, axis=1))
    parts = keras.ops.map(lambda part: again(part, key, value), parts)
    return keras.ops.concatenate(keras.ops.unstack(parts, tiles), axis=1)


few = [tf.Variable(numbers) for numbers in np.random.default_rng(0).normal(size=(3, 1, 96, 8)).astype("float32")]


@tf.function
def result_and_gradients(tiles):
    with tf.GradientTape() as tape:
        result = attend_in_tiles(*few, tiles) if tiles else attend(*few)
        loss = keras.ops.sum(result**2)
    return [result, *tape.gradient(loss, few)]


pairs = zip(result_and_gradients(0), result_and_gradients(4), strict=True)
difference = max(float(np.abs(one - other).max()) for one, other in pairs)
print(f"largest difference of results and gradients: {difference:.0e}")


# %%
# %%sandbox --budget 512 --into tiled --after compared,ending
class TiledAttention(keras.layers.Layer):
    """Attention with one head of eight numbers, in tiles."""

    def __init__(self, tiles):
        super().__init__()
        self.tiles = tiles
        self.query, self.key, self.value, self.out = (keras.layers.Dense(8) for _ in range(4))

    def build(self, shape):
        for layer in (self.query, self.key, self.value, self.out):
            layer.build(shape)

    def call(self, tokens):
        return self.out(attend_in_tiles(self.query(tokens), self.key(tokens), self.value(tokens), self.tiles))


report(difference=difference)
tokens = keras.layers.Dense(8)(keras.layers.Reshape((96 * 96, 3))(pixels))
train_once(TiledAttention(144)(tokens))

# %% [markdown]
# ### Step 5: truncation
#
# Keep the first quarter of the sequence, and drop the rest. It takes one line, and the arithmetic tells you how much it
# saves. The cost: you lose the information in the rest. Here that is the lower three quarters of the scan.

# %%
# %%sandbox --budget 512 --into truncated --after ending
tokens = keras.layers.Dense(8)(keras.layers.Reshape((96 * 96, 3))(pixels))
tokens = tokens[:, : 24 * 96]
train_once(keras.layers.MultiHeadAttention(num_heads=1, key_dim=8)(tokens, tokens))

# %% [markdown]
# ### The steps side by side

# %%
pairs = {
    "patches": (patches, 144 * 144),
    "pooled": (pooled, 96 * 96 * 144),
    "windows": (windows, 144 * 64 * 64),
    "tiles": (tiled, 96 * 96 * 96 * 96 // 144),
    "truncated": (truncated, (24 * 96) ** 2),
}
steps = {name: outcome for name, (outcome, _) in pairs.items()}
notebook.compare(steps, alt="Memory over time of five ways to need less memory than attention over all pixels")
print(f"For comparison, all pixels take {whole.peak_mib:,.0f} MiB.")
print(f"{'':<12}{'scores in an array':>22}{'they take':>14}{'measured peak':>16}")
for name, (outcome, count) in pairs.items():
    print(f"{name:<12}{count:>22,}{count * 4 / MIB:>10.1f} MiB{outcome.peak_mib:>12.0f} MiB")

# %% [markdown]
# Where the scores are few, the graph takes the rest of the peak, and in the run with tiles the loop does too. Look at
# the column "they take" before you choose, because it grows with the scan. Patches and truncation leave fewer tokens.
# With averages and windows, each token looks at fewer others. Tiles change only the order of the work.
#
# ### Step 6: a large embedding
#
# A network for sequences of words begins with a table: one row per word.
#
# > table = rows x width x 4 bytes, and with Adam two slots of the same size
#
# A batch uses few rows. Is the gradient as large as the table, or as large as those rows? The next cell takes 100,000
# rows of 64 numbers, looks at the gradient, and trains two steps with each of two optimizers. It also puts the words
# into a tenth of the rows, so that ten words share one. The table starts with zeros here, because drawing random rows
# takes arrays of its own.

# %%
EMBEDDING = """
words = np.random.default_rng(0).integers(0, 100_000, (32, 64)) % {rows}
y = np.arange(32) % 10
model = keras.Sequential(
    [
        keras.layers.Input((64,), dtype="int32"),
        keras.layers.Embedding({rows}, 64, embeddings_initializer="zeros"),
        keras.layers.GlobalAveragePooling1D(),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
with tf.GradientTape() as tape:
    loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, model(words)))
gradient = tape.gradient(loss, model.trainable_variables)[0]
report(kind=type(gradient).__name__, rows=len(getattr(gradient, "values", gradient)))
model.compile("{optimizer}", "sparse_categorical_crossentropy")
for _ in range(2):
    model.train_on_batch(words, y)
"""
tables = {
    (optimizer, rows): notebook.run(EMBEDDING.format(optimizer=optimizer, rows=rows), after="start", budget_mib=512)
    for optimizer, rows in (("adam", 100_000), ("adam", 10_000), ("sgd", 100_000), ("sgd", 10_000))
}
for (optimizer, rows), outcome in tables.items():
    size, kind = rows * 64 * 4 / MIB, outcome.values["kind"]
    print(f"{optimizer:<5}{rows:>8,} rows: table {size:5.1f} MiB, peak {outcome.peak_mib:4.0f} MiB; gradient: {kind}")
print(f"The gradient holds {tables['adam', 100_000].values['rows']:,} rows: one for each word of the batch.")
added = 90_000 * 64 * 4 / MIB
for optimizer in ("adam", "sgd"):
    copies = (tables[optimizer, 100_000].peak_mib - tables[optimizer, 10_000].peak_mib) / added
    print(f"{optimizer}: each MiB more of table adds {copies:.1f} MiB to the peak")

# %% [markdown]
# The gradient is small: `IndexedSlices` lists the rows of the batch and holds only those. Adam wastes that advantage.
# It keeps its two slots, and its update works on all rows, with temporary arrays of the size of the table. Even SGD,
# which has no slots, needs room for the table twice. So fewer or narrower rows help, and so does an optimizer without
# slots. A smaller batch does not.
#
# ### Step 7: a wide softmax
#
# A network that predicts a word at each position ends in
#
# > scores = batch x sequence x classes x 4 bytes
#
# The next cell has 16 sequences of 64 words and 10,000 classes. It trains with whole numbers as labels, with one-hot
# labels, and on only the last position of each sequence.

# %%
SOFTMAX = """
generator = np.random.default_rng(0)
words = generator.integers(0, 100, (16, 64))
labels = generator.integers(0, 10_000, (16, 64))
inputs = keras.Input((64,), dtype="int32")
features = keras.layers.Embedding(100, 16)(inputs)
{cut}
outputs = keras.layers.Dense(10_000, activation="softmax")(features)
model = keras.Model(inputs, outputs)
model.compile("sgd", "{loss}")
for _ in range(2):
    model.train_on_batch(words, {labels})
"""
sparse, one_hot = "sparse_categorical_crossentropy", "categorical_crossentropy"
kinds = {
    "whole numbers": {"cut": "", "loss": sparse, "labels": "labels"},
    "one-hot": {"cut": "", "loss": one_hot, "labels": "keras.utils.to_categorical(labels, 10_000)"},
    "last position": {"cut": "features = features[:, -1]", "loss": sparse, "labels": "labels[:, -1]"},
}
softmaxes = {name: notebook.run(SOFTMAX.format(**kind), after="start", budget_mib=1024) for name, kind in kinds.items()}
output = 16 * 64 * 10_000 * 4 / MIB
print(f"{'output of all positions':<24}{output:5.0f} MiB")
for name, outcome in softmaxes.items():
    print(f"{name:<24}{outcome.peak_mib:5.0f} MiB: {outcome.peak_mib / output:.1f} times that")

# %% [markdown]
# With 10 classes a one-hot label is tiny. With 10,000 it is as large as the output, and `to_categorical` makes it twice
# as large, in `float64`. The cast to `float32` and the loss add more of that size.

# %% [markdown]
# ## What people say
#
# One of the claims is about flash attention. This is attention for GPUs that works in tiles, as step 4 does, and never
# stores the square.
#
# The first cell changes one thing at a time in the network of the crash, on a scan of 64 x 64 pixels. The second trains
# on patches for a few epochs, three times: on all of them, on those in the top third, and on those in the middle,
# without the margin of the paper.

# %%
import re

changed = {
    "plain": attention(64),
    "two scans": attention(64, batch=2),
    "two heads": attention(64, heads=2),
    "flash enabled": attention(64, setting="keras.config.enable_flash_attention()"),
    "flash demanded": attention(64, options=", flash_attention=True"),
    "mixed_bfloat16": attention(64, setting='keras.config.set_dtype_policy("mixed_bfloat16")'),
    "dropout": attention(64, options=", dropout=0.1"),
}
for name, outcome in changed.items():
    print(f"{name:<16}{outcome.status:<10}{outcome.peak_mib:6.0f} MiB")
reason = re.search(r"Flash attention is .*?\.", changed["flash demanded"].traceback)
print(f"Demanded: {reason[0] if reason else 'no reason given'}")

# %%
scans.load("validation", count=300, size=48)
LEARN = """
def load(split, count):
    paths = sorted(scans.load(split, count=count, size=48).glob("*/*.jpg"))
    x = np.stack([np.asarray(Image.open(path)) for path in paths])
    return x[:, {rows}, {columns}], np.array([int(path.parent.name) for path in paths])


x, y = load("train", 1000)
keras.utils.set_random_seed(0)
inputs = keras.Input(x.shape[1:])
patches = keras.layers.Conv2D(32, 8, strides=8)(keras.layers.Rescaling(-1 / 127.5, 1)(inputs))
tokens = keras.layers.Reshape((-1, 32))(patches)
normal = keras.layers.LayerNormalization()(tokens)
tokens = tokens + keras.layers.MultiHeadAttention(4, 8)(normal, normal)
features = keras.layers.Flatten()(keras.layers.LayerNormalization()(tokens))
model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(features))
model.compile(keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x, y, batch_size=32, epochs=4, verbose=0)
report(tokens=tokens.shape[1], accuracy=model.evaluate(*load("validation", 300), verbose=0)[1])
"""
cuts = {"all": (":", ":"), "top third": (":16", ":"), "middle": ("8:40", "8:40")}
learned = {
    name: notebook.run(LEARN.format(rows=rows, columns=columns), after="start", budget_mib=512)
    for name, (rows, columns) in cuts.items()
}
for name, outcome in learned.items():
    print(f"{name:<12}{outcome.values['tokens']:>4} tokens   accuracy {outcome.values['accuracy']:.2f}")

# %% tags=["claims"]
MOST = 512  # the budget of the crash
plain = changed["plain"].peak_mib
by_batch, by_heads = (1 - plain / changed[name].peak_mib for name in ("two scans", "two heads"))
flash, mixed, dropout = (changed[name].peak_mib / plain for name in ("flash enabled", "mixed_bfloat16", "dropout"))
refused = changed["flash demanded"].status == "raised"
accuracy = {name: outcome.values["accuracy"] for name, outcome in learned.items()}
lost = {name: accuracy["all"] - accuracy[name] for name in ("top third", "middle")}
some = "half true: one is the minimum, and one does not fit" if whole.peak_mib > MOST else "true"
notebook.claims(
    [
        (
            "Flash attention in Keras solves the problem.",
            f"enabled: {flash - 1:+.0%} of the peak; demanded: {'an error' if refused else 'it runs'}",
            "false: TensorFlow has none; step 4 uses the same idea" if flash > 0.9 and refused else "half true",
        ),
        (
            "A smaller batch fixes attention.",
            f"one scan instead of two: {-by_batch:.0%}; one scan of 96 x 96: {whole.peak_mib:,.0f} MiB",
            some if by_batch > 0.25 else "false",
        ),
        (
            "Fewer heads fix it.",
            f"one head instead of two, as wide as both: {-by_heads:.0%}",
            some if by_heads > 0.25 else "false",
        ),
        (
            "Mixed precision halves the scores.",
            f"mixed_bfloat16: {mixed - 1:+.0%} of the peak",
            "true"
            if mixed < 0.65
            else "half true"
            if mixed < 0.9
            else "false: the softmax is in float32, and each cast is one more array",
        ),
        (
            "Dropout on the weights of attention costs nothing.",
            f"{dropout - 1:+.0%} of the peak",
            "false: it makes one more array of that size" if dropout > 1.03 else "true",
        ),
        (
            "Truncation costs accuracy.",
            f"all patches: {accuracy['all']:.2f}; top third: {accuracy['top third']:.2f}; "
            f"without the margin: {accuracy['middle']:.2f}",
            "depends: on the part that is cut off"
            if lost["top third"] > 0.1 > lost["middle"]
            else "true"
            if lost["middle"] > 0.1
            else "half true",
        ),
        (
            "Attention in tiles is only an approximation.",
            f"largest difference of results and gradients: {tiled.values['difference']:.0e}",
            "false: it is the same sum" if tiled.values["difference"] < 1e-4 else "true",
        ),
    ]
)

# %% [markdown]
# Mixed precision is the surprise. In lab 08 it halves the activations of a convolution. In attention, Keras casts the
# scores to `float32` before the softmax under any policy, and casts the weights back after it. Each cast makes one more
# array of N x N numbers.

# %% [markdown]
# ## Your turn
#
# Write `train(folder)`. The folder holds {{train_count}} scans of {{image_size}} x {{image_size}} pixels in one folder
# per class, as `folder/<class 0..9>/*.jpg`. Return a trained Keras model that takes raw pixels, from 0 to 255. You may
# also write a `predict(model, paths)` of your own, which gets a list of image files and returns one label for each.
#
# - **Memory:** at most {{budget_mib}} MiB above the baseline. A run is killed at twice that.
# - **Accuracy:** at least {{floor}} on {{hidden_count}} scans that you do not have.
# - **Time:** at most {{time_limit}} seconds, training and grading together.
#
# A network with one token per pixel needs several times that memory, with any batch. Write a network with attention,
# because this lab is about it. Still, any technique that meets all three limits is right. You should know two things:
#
# - Attention does not know the position of a token. Add an encoding of its position to each token, or end with
#   `Flatten` and a Dense layer, which has a weight for each position.
# - Without a `predict` of your own, the grader feeds your model 32 scans at once. **The forward pass has its squares
#   too**, even if you trained with one scan at a time.
#
# `%course hint {{number}}` gives a hint.

# %% tags=["graded"]
# %%graded 09
import keras


def train(folder):
    """Train on folder/<class>/*.jpg and return a Keras model that takes raw pixels from 0 to 255."""
    # STARTER: Stream the scans, make few tokens of each, let them attend to each other, train, and return the model.
    # BEGIN SOLUTION
    keras.utils.set_random_seed(0)
    epochs, batch_size = 4, 16
    dataset = keras.utils.image_dataset_from_directory(
        folder, image_size=(96, 96), batch_size=batch_size, seed=0, verbose=False
    )
    inputs = keras.Input((96, 96, 3))
    features = keras.layers.Rescaling(-1 / 127.5, 1)(inputs)
    features = keras.layers.AveragePooling2D(2)(features)
    for filters, size in ((16, 5), (32, 3)):
        features = keras.layers.Conv2D(filters, size, strides=2, padding="same", activation="relu")(features)
        features = keras.layers.BatchNormalization(momentum=0.8)(features)
    tokens = keras.layers.Reshape((12 * 12, 32))(features)
    normal = keras.layers.LayerNormalization()(tokens)
    tokens = tokens + keras.layers.MultiHeadAttention(num_heads=4, key_dim=8)(normal, normal)
    normal = keras.layers.LayerNormalization()(tokens)
    tokens = tokens + keras.layers.Dense(32)(keras.layers.Dense(64, activation="gelu")(normal))
    outputs = keras.layers.Dense(10, activation="softmax")(keras.layers.Flatten()(tokens))
    model = keras.Model(inputs, outputs)
    rate = keras.optimizers.schedules.CosineDecay(0.003, epochs * len(dataset))
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(dataset, epochs=epochs, verbose=2)
    return model
    # END SOLUTION


# %% [markdown] tags=["solution"]
# ## Why it works
#
# Attention never sees a pixel. Average pooling and two convolutions with a stride of 2 turn the 96 x 96 pixels into 12
# x 12 places, so there are 144 tokens instead of 9,216. The scores of a batch of 16 with four heads are then small, and
# so are those of the 32 scans that the grader feeds at once.

# %% tags=["solution"]
for name, tokens, heads in (("one token per pixel, one head", 96 * 96, 1), ("this answer, four heads", 12 * 12, 4)):
    scores = heads * tokens**2 * 4 / 2**20
    print(f"{name:<28}{scores:8.2f} MiB per scan{3 * 16 * scores:12,.0f} MiB for three arrays at a batch of 16")

# %% [markdown] tags=["solution"]
# The accuracy comes from three parts. The convolutions with batch normalization learn strokes quickly. `Flatten` at the
# end preserves the position of each token. The learning rate falls to zero, so the last steps do little harm.
#
# ## What else would pass
#
# - **Patches.** `Conv2D(32, 8, strides=8)` makes 144 tokens directly. It learns more slowly than two small
#   convolutions, so give it more epochs.
# - **Pooled keys and values.** There are many tokens, and each looks at 144 averages, as in step 2. The scores grow
#   with the number of tokens, not with its square.
# - **No attention at all.** A small convolutional network with global pooling, as in lab 07, meets all three limits
#   with less memory.

# %% [markdown] tags=["own"]
# ## In your own notebook
#
# Make the sequence short before the attention sees it. Here a picture of 96 x 96 becomes 144 tokens instead of 9,216.
# Nothing of the course is needed.
#
# ```python
# import keras
#
# inputs = keras.Input((96, 96, 3))
# tokens = keras.layers.Conv2D(32, 8, strides=8)(keras.layers.Rescaling(1 / 255)(inputs))
# tokens = keras.layers.Reshape((144, 32))(tokens)
# tokens = keras.layers.Add()([tokens, keras.layers.MultiHeadAttention(4, 8)(tokens, tokens)])
# outputs = keras.layers.Dense(10, activation="softmax")(keras.layers.Flatten()(tokens))
# model = keras.Model(inputs, outputs)
# scores = 32 * 4 * 144 * 144 * 4  # batch x heads x tokens x tokens x bytes
# print(f"one array of scores: {scores / 2**20:.0f} MiB")
# ```
#
# **With a GPU:** Keras can use flash attention for `float16` and `bfloat16` on newer GPUs, which never holds all
# scores. This course has not tried it.

# %% [markdown] tags=["summary"]
# ## Summary
#
# - Attention stores batch x heads x N x N scores, and a training step holds three arrays of that size. When each pixel
#   is a token, twice the side means sixteen times the memory.
# - Patches, pooling, and windows make fewer pairs. Tiles with `keras.remat` compute all pairs but hold only a few of
#   them at once.
# - Truncation is cheap but loses the part that it cuts off. Look at that part first.
# - A large table of embeddings counts several times with Adam, although its gradient has few rows.
# - Many classes at many positions make a large output, and one-hot labels add several more arrays of that size.
#
# To remember: {{takeaway}}

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Open the answer that you would give.
#
# **1. A layer has 8 heads and 16 sequences of 1,024 tokens. How large is one array of its scores, in `float32`?**
#
# - [ ] 64 MiB :: That leaves out the heads: each head has its own square.
# - [x] 512 MiB :: 16 x 8 x 1,024 x 1,024 x 4 bytes. A training step holds three arrays of that size.
# - [ ] 16 MiB :: That grows with N, not with its square.
#
# **2. You double the height and width of your pictures, and keep patches of 8 x 8 pixels. How much larger are the
# scores?**
#
# - [ ] As large as before, because the patches are the same :: There are four times as many patches.
# - [ ] Four times as large :: That is the growth of the tokens, and the scores are for pairs.
# - [x] Sixteen times as large :: Four times as many tokens make sixteen times as many pairs. Patches of 16 x 16 pixels
#   would undo the growth.
#
# **3. You allow each token to look only at its neighbors, with `attention_mask`. What does that save?**
#
# - [ ] All scores outside the mask :: They are computed, stored, and then overwritten.
# - [x] Nothing: it adds the mask :: The square is made first. To save memory, cut the tokens into windows.
# - [ ] Half of them, by symmetry :: Scores are not symmetric, and nothing is left out.
#
# **4. Training with a batch of 1 fits. Then `model.predict(x)` runs out of memory. Why?**
#
# - [ ] Predicting needs more copies than training :: It needs one array of scores, and training needs three.
# - [x] It processes 32 scans at once, and each has its square :: Pass a `batch_size` to `predict` too.
# - [ ] The optimizer is still in memory :: It is, but it takes only as much as it did in training.
#
# **5. Which change makes a large embedding cheaper to train?**
#
# - [ ] A smaller batch :: The table and the slots do not have the batch in their shape.
# - [ ] Shorter sequences :: They change which rows are used, but Adam updates all rows.
# - [x] Fewer or narrower rows :: The table shrinks, and with it the slots and the arrays of the update.

# %% tags=["versions"]
notebook.versions(seed=0)
