"""What training and loops keep: the post-mortem of real runs names the cause, with its evidence, and the line to blame.

In each program, the line that ends with ``# blame`` is the one to be named.
"""

from __future__ import annotations

import textwrap

import pytest

from course_utils import causes, sandbox
from course_utils.postmortem import Outcome

IMPORTS = """
import keras, numpy as np, tensorflow as tf
keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)
"""
CONVOLUTIONS = """
model = keras.Sequential([
    keras.Input((64, 64, 3)),
    keras.layers.Conv2D(32, 3, activation="relu"),
    keras.layers.Conv2D(32, 3, activation="relu"),
    keras.layers.GlobalAveragePooling2D(),
    keras.layers.Dense(4, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy")
"""
DENSE = """
def build(units=1500):
    network = keras.Sequential([keras.Input((2000,)), keras.layers.Dense(units), keras.layers.Dense(1)])
    network.compile("adam", "mse")
    return network
features, target = rng.random((200, 2000), dtype="float32"), np.ones(200)
"""


def died(code: str, budget_mib: float) -> tuple[Outcome, int]:
    """The outcome of a program that runs out of memory, and the number of its line to blame."""
    code = textwrap.dedent(code)
    outcome = sandbox.run(code, budget_mib=budget_mib, time_limit=120)
    assert outcome.status == "out_of_memory", outcome.post_mortem()
    marked = [number for number, line in enumerate(code.split("\n"), 1) if line.endswith("# blame")]
    return outcome, marked[0] if marked else 0


# cause, budget in MiB, program, words of the evidence
DEATHS = {
    "arrays become tensors": (
        "arrays_to_tensors",
        400,
        IMPORTS
        + """
x_train, x_test = rng.random((20_000, 1500), dtype="float32"), rng.random((10_000, 1500), dtype="float32")
model = keras.Sequential([keras.Input((1500,)), keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(x_train, np.ones(20_000), batch_size=8, validation_data=(x_test, np.ones(10_000)), verbose=0)  # blame
""",
        ["`x_train` (114 MiB), `x_test` (57 MiB)", "of tensors had come on top of 172 MiB of arrays"],
    ),
    "a batch": (
        "activations",
        220,
        IMPORTS
        + CONVOLUTIONS
        + """
photos = rng.integers(0, 255, (400, 64, 64, 3), dtype="uint8")
model.fit(photos, np.arange(400) % 4, batch_size=150, verbose=0)  # blame
""",
        ["150 x 0.9 MiB = 136 MiB", "`conv2d` (150, 62, 62, 32) 70 MiB"],
    ),
    "large pictures": (
        "activations",
        200,
        IMPORTS
        + """
def pictures():
    for number in range(3):
        yield np.ones((1, 640, 640, 3), "uint8"), np.ones(1)
model = keras.Sequential([
    keras.Input((640, 640, 3)),
    keras.layers.Conv2D(40, 3, activation="relu"),
    keras.layers.Conv2D(40, 3, activation="relu"),
    keras.layers.GlobalAveragePooling2D(),
    keras.layers.Dense(1),
])
model.compile("adam", "mse")
for picture, answer in pictures():
    model.train_on_batch(picture, answer)  # blame
""",
        ["A batch of 1 ", "(1, 638, 638, 40)"],
    ),
    "a step of one's own": (
        "activations",
        200,
        IMPORTS
        + CONVOLUTIONS
        + """
faces, names = rng.random((300, 64, 64, 3), dtype="float32"), np.arange(300) % 4
measure, optimizer = keras.losses.SparseCategoricalCrossentropy(), keras.optimizers.Adam()
for start in (0, 150):
    with tf.GradientTape() as tape:
        loss = measure(names[start : start + 150], model(faces[start : start + 150], training=True))  # blame
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
""",
        ["150 x 0.9 MiB = 136 MiB"],
    ),
    "Flatten and Dense": (
        "wide_dense",
        450,  # more than the weights and the slots, which take a moment to make
        IMPORTS
        + """
model = keras.Sequential([  # blame
    keras.Input((64, 64, 4)),
    keras.layers.Flatten(),
    keras.layers.Dense(1500),
    keras.layers.Dense(1),
])
model.compile("adam", "mse")
model.fit(np.ones((8, 64, 64, 4), "float32"), np.ones(8), batch_size=2, verbose=0)
""",
        ["`sequential/dense/kernel` (16384, 1500) with 94 MiB", "Adam keeps"],
    ),
    "an embedding": (
        "large_weights",
        200,
        IMPORTS + "words = keras.layers.Embedding(1_000_000, 64)\nwords.build((None, 10))  # blame\n",
        ["Embedding"],
    ),
    "attention": (
        "attention_scores",
        300,
        IMPORTS
        + """
notes = rng.random((4, 3000, 4), dtype="float32")
inputs = keras.Input((3000, 4))
mixed = keras.layers.MultiHeadAttention(2, 4)(inputs, inputs)
model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.GlobalAveragePooling1D()(mixed)))
model.compile("adam", "mse")
model.fit(notes, np.ones(4), batch_size=2, verbose=0)  # blame
""",
        ["2 x 2 x 3,000 x 3,000 numbers", "137 MiB"],
    ),
    "a vocabulary": (
        "wide_softmax",
        230,
        IMPORTS
        + """
text = rng.integers(0, 20_000, (32, 101))
model = keras.Sequential([
    keras.Input((100,), dtype="int32"),
    keras.layers.Embedding(20_000, 8),
    keras.layers.Dense(20_000, activation="softmax"),
])
model.compile("sgd", "sparse_categorical_crossentropy")
model.fit(text[:, :-1], text[:, 1:], batch_size=32, verbose=0)  # blame
""",
        ["32 x 100 x 20,000 numbers"],
    ),
    "time steps": (
        "time_steps",
        150,
        IMPORTS
        + """
series = rng.random((64, 1500, 4), dtype="float32")
model = keras.Sequential([keras.Input((1500, 4)), keras.layers.LSTM(64), keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(series, np.ones(64), batch_size=64, verbose=0)  # blame
""",
        ["`series` has 1,500 time steps", "64 x 1,500"],
    ),
    "the model is called with everything": (
        "one_batch",
        250,
        IMPORTS
        + CONVOLUTIONS
        + """
held_out = rng.random((400, 64, 64, 3), dtype="float32")
scores = model(held_out)  # blame
""",
        ["`held_out` has 400 rows"],
    ),
    "validation in one batch": (
        "one_batch",
        250,
        IMPORTS
        + CONVOLUTIONS
        + """
x, y = rng.random((400, 64, 64, 3), dtype="float32"), np.arange(400) % 4
model.fit(x[:8], y[:8], batch_size=4, validation_data=(x, y), validation_batch_size=400, verbose=0)  # blame
""",
        ["400 x 0.9 MiB = 364 MiB"],
    ),
    "predict joins its outputs": (
        "predict_in_a_loop",
        250,
        IMPORTS
        + """
model = keras.Sequential([keras.Input((96, 96, 1)), keras.layers.Conv2D(24, 1, activation="softmax")])
slides = rng.integers(0, 255, (160, 96, 96, 1), dtype="uint8")
masks = model.predict(slides, batch_size=4, verbose=0)  # blame
""",
        ["float32 array (4, 96, 96, 24)", "160 rows of `slides`"],
    ),
    "one tape over many batches": (
        "one_tape",
        150,
        IMPORTS
        + CONVOLUTIONS
        + """
faces, names = rng.random((200, 64, 64, 3), dtype="float32"), np.arange(200) % 4
measure, total = keras.losses.SparseCategoricalCrossentropy(), 0.0
with tf.GradientTape() as tape:
    for start in range(0, 200, 4):
        total += measure(names[start : start + 4], model(faces[start : start + 4], training=True))  # blame
gradients = tape.gradient(total, model.trainable_variables)
""",
        ["The tape `tape`", "for a batch of 4"],
    ),
    "a list of models": (
        "models_kept",
        350,
        IMPORTS
        + DENSE
        + """
ensemble = []
for seed in range(12):
    network = build()
    network.fit(features, target, batch_size=100, verbose=0)
    ensemble.append(network)  # blame
""",
        ["`ensemble` holds", "models are alive"],
    ),
    "models that no one holds": (
        "models_kept",
        350,
        IMPORTS
        + DENSE
        + """
for units in range(1500, 1530):
    network = build(units)
    network.fit(features, target, batch_size=100, verbose=0)
""",
        ["MiB were in use"],
    ),
    "outputs in a list": (
        "results_kept",
        200,
        IMPORTS
        + CONVOLUTIONS
        + """
inside = keras.Model(model.inputs, model.layers[0].output)
maps = []
for turn in range(200):
    found = inside(rng.random((8, 64, 64, 3), dtype="float32"))
    maps.append(found)  # blame
""",
        ["`maps` is a list of ", "float32 array (8, 62, 62, 32)"],
    ),
    "weights in a callback": (
        "results_kept",
        250,
        IMPORTS
        + DENSE
        + """
class Snapshots(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.every_epoch = []
    def on_epoch_end(self, epoch, logs=None):
        self.every_epoch.append(self.model.get_weights())  # blame
network = build(1000)
network.compile("sgd", "mse")
network.fit(features[:8], target[:8], epochs=200, verbose=0, callbacks=[Snapshots()])
""",
        ["every_epoch` is a list of"],
    ),
    "predictions of every epoch": (
        "results_kept",
        200,
        IMPORTS
        + """
pictures = rng.random((400, 64, 64, 1), dtype="float32")
class Watch(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.frames = []
    def on_epoch_end(self, epoch, logs=None):
        self.frames.append(self.model.predict(pictures, verbose=0))  # blame
model = keras.Sequential([keras.Input((64, 64, 1)), keras.layers.Conv2D(1, 3, padding="same")])
model.compile("adam", "mse")
model.fit(pictures[:8], pictures[:8], epochs=200, batch_size=8, callbacks=[Watch()], verbose=0)
""",
        ["frames` is a list of ", "float32 array (400, 64, 64, 1)"],
    ),
    "Python numbers in a tf.function": (
        "retracing",
        150,
        IMPORTS
        + """
table = rng.random((200, 1_000), dtype="float32")
@tf.function
def shifted(start):
    return tf.reduce_sum(tf.constant(table)[start:])
for number in range(1000):
    shifted(number)  # blame
""",
        ["`shifted` was traced"],
    ),
    "open figures": (
        "open_figures",
        250,
        """
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
for number in range(500):
    figure, axes = plt.subplots(figsize=(10, 10))
    axes.imshow(np.ones((400, 400)))
    figure.savefig("picture.png")  # blame
""",
        ["figures of pyplot are open"],
    ),
}


@pytest.mark.parametrize("name", DEATHS)
def test_the_cause_is_named_with_its_evidence_and_its_line(name: str) -> None:
    cause, budget_mib, code, words = DEATHS[name]
    outcome, line = died(code, budget_mib)
    explained = causes.explanation(cause)
    assert explained.why in outcome.cause, outcome.post_mortem()
    assert (outcome.cause_lab, outcome.remedy) == (explained.lab, explained.fix)
    for text in words:
        assert text in outcome.cause, outcome.cause
    if line:
        assert outcome.blame.line == line, outcome.post_mortem()


# budget in MiB, program, causes that it does not have
NEAR_MISSES = {
    "a shuffle buffer beside a small batch": (
        250,
        IMPORTS
        + CONVOLUTIONS
        + """
data = tf.data.Dataset.range(20_000).map(lambda number: (tf.random.uniform((64, 64, 3)), number % 4))
model.fit(data.shuffle(10_000).batch(4), steps_per_epoch=5, verbose=0)
""",
        ["activations", "models_kept", "results_kept"],
    ),
    "two networks that are both needed": (
        200,
        IMPORTS
        + DENSE
        + """
generator, critic = build(200), build(201)
data = []
while True:
    data.append(rng.random((100, 2000)))
""",
        ["models_kept", "large_weights", "activations"],
    ),
    "answers kept while one model is fitted again and again": (
        250,
        IMPORTS
        + DENSE
        + """
network, kept = build(20), []
for turn in range(100):
    network.fit(features, target, verbose=0)
    kept.append(np.repeat(network.predict(features, verbose=0), 20_000, axis=1))
""",
        ["models_kept", "retracing", "large_weights", "activations"],
    ),
    "a large array and then a small training": (
        250,
        IMPORTS
        + CONVOLUTIONS
        + """
pictures = rng.random((20, 64, 64, 3), dtype="float32")
large = np.ones((150, 2**18), "float32")
model.fit(pictures, np.arange(20) % 4, batch_size=4, verbose=0)
larger = np.ones((200, 2**18), "float32")
""",
        ["activations", "arrays_to_tensors", "one_batch"],
    ),
}


@pytest.mark.parametrize("name", NEAR_MISSES)
def test_what_stands_beside_the_cause_is_not_blamed(name: str) -> None:
    budget_mib, code, wrong = NEAR_MISSES[name]
    outcome, _ = died(code, budget_mib)
    for cause in wrong:
        assert causes.explanation(cause).why not in outcome.cause, outcome.post_mortem()
