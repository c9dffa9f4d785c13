"""The phases of real runs: what Keras and TensorFlow have on the stack decides their names."""

from __future__ import annotations

import pytest

from course_utils import sandbox
from course_utils.postmortem import Frame, Sighting, Where, phases

GRAPHS = "tensorflow/python/eager/polymorphic_function/polymorphic_function.py"

NETWORK = """
import keras, numpy as np, tensorflow as tf
keras.utils.set_random_seed(1)
x, y = np.ones((512, 64, 64, 3), "float32"), np.arange(512) % 4
inputs = keras.Input((64, 64, 3))
inner = keras.layers.Conv2D(16, 3, padding="same", activation="relu")(inputs)
outputs = keras.layers.Dense(4, activation="softmax")(keras.layers.GlobalAveragePooling2D()(inner))
model = keras.Model(inputs, outputs)
model.compile("adam", "sparse_categorical_crossentropy")
"""
OWN_STEP = """
class Own(keras.Model):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        return {"loss": loss}
model = Own(inputs, outputs)
"""
OWN_LOOP = """
optimizer, measure = keras.optimizers.Adam(), keras.losses.SparseCategoricalCrossentropy()
def step(images, labels):
    with tf.GradientTape() as tape:
        loss = measure(labels, model(images, training=True))
    optimizer.apply_gradients(zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables))
"""
STEPS = (phases.FIRST_STEP, phases.LATER_STEPS)
# What a run does; in which phases together at least how many MiB came until its peak.
RUNS = {
    "fit": ("model.fit(x, y, batch_size=128, verbose=0)", [((phases.CONVERTING,), 8), (STEPS, 30)]),
    "fit in XLA": (
        'model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=True)\n'
        "model.fit(x, y, batch_size=128, verbose=0)",
        [(STEPS, 30)],
    ),
    "fit on a PyDataset": (
        "class Batches(keras.utils.PyDataset):\n"
        "    def __len__(self): return 4\n"
        "    def __getitem__(self, index):\n"
        "        self.kept = np.ones((30, 2**18), 'float32')\n"
        "        return x[index::4], y[index::4]\n"
        "model.fit(Batches(), verbose=0)",
        [((phases.LOADING,), 28), (STEPS, 30)],
    ),
    "fit on a pipeline": (
        "model.fit(tf.data.Dataset.from_tensor_slices((x, y)).batch(128), verbose=0)",
        [((phases.LOADING,), 15), (STEPS, 30)],
    ),
    "a train_step of one's own": (
        f'{OWN_STEP}model.compile("adam", "sparse_categorical_crossentropy")\n'
        "model.fit(x, y, batch_size=128, verbose=0)",
        [((phases.CONVERTING,), 8), (STEPS, 30)],
    ),
    "eager steps": (
        f'{OWN_STEP}model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)\n'
        "model.fit(x, y, batch_size=128, verbose=0)",
        [(STEPS, 30)],
    ),
    "a loop of one's own": (f"{OWN_LOOP}step(x, y)\nstep(x, y)", [((phases.CALLING,), 60)]),
    "a loop of one's own in a graph": (
        f"{OWN_LOOP}step = tf.function(step)\nstep(tf.constant(x), tf.constant(y))",
        [((phases.CALLING,), 60)],
    ),
    "predict": (
        "answer = keras.Model(inputs, inner).predict(x, batch_size=16, verbose=0)",
        [((phases.CONVERTING,), 8), ((phases.PREDICT,), 64)],
    ),
    "evaluate": ("model.evaluate(x, y, batch_size=256, verbose=0)", [((phases.EVALUATION,), 50)]),
    "validation": (
        "model.fit(x[:8], y[:8], batch_size=1, validation_data=(x, y), validation_batch_size=256, verbose=0)",
        [((phases.EVALUATION,), 50)],
    ),
    "a callback": (
        "class Keep(keras.callbacks.Callback):\n"
        "    def on_epoch_end(self, epoch, logs=None):\n"
        "        self.inside = keras.Model(inputs, inner)(x)\n"
        "        self.own = np.ones((30, 2**18), 'float32')\n"
        "model.fit(x[:8], y[:8], batch_size=4, callbacks=[Keep()], verbose=0)",
        [((phases.CALLING,), 50), ((phases.OUTSIDE,), 15)],
    ),
    "weights": (
        "large = keras.layers.Dense(4096)\nlarge.build((None, 4096))",
        [((phases.BUILDING,), 60)],
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_memory_comes_in_the_phase_that_keras_was_in(name: str) -> None:
    code, expected = RUNS[name]
    outcome = sandbox.run(NETWORK + code, budget_mib=700, time_limit=120)
    assert outcome.status == "finished", outcome.post_mortem()
    for names, least in expected:
        came = sum(one.mib for one in outcome.growth if one.phase in names)
        assert came >= least, (names, outcome.growth)


TRAINER = "keras/src/backend/tensorflow/trainer.py"
HERE = Frame("cell", "<module>", Where("cell", 3, "model.fit(x, y)"))
FIT = (Frame(TRAINER, "fit"), HERE)
RUNNING = (Frame("tensorflow/python/eager/execute.py", "quick_execute"), Frame(GRAPHS, "_call"), *FIT)


def test_steps_after_the_first_are_later_steps_until_the_next_training() -> None:
    between = (HERE,)
    tracing = (Frame("tensorflow/python/framework/func_graph.py", "func_graph_from_py_func"), *FIT)
    stacks = [between, FIT, tracing, RUNNING, FIT, RUNNING, between, FIT, RUNNING]
    sightings = [Sighting(float(second), 0.0, stack) for second, stack in enumerate(stacks)]
    assert [phase for phase, _ in phases.timeline(sightings)] == [
        phases.LOADING,
        phases.FIRST_STEP,
        phases.TRACING,
        phases.FIRST_STEP,
        phases.LATER_STEPS,
        phases.LATER_STEPS,
        phases.OUTSIDE,
        phases.FIRST_STEP,
        phases.FIRST_STEP,
    ]


def test_the_end_of_a_batch_shows_that_a_step_is_over() -> None:
    reader = phases.Reader()
    assert reader.phase(RUNNING) == phases.FIRST_STEP
    assert (
        reader.phase((Frame("keras/src/callbacks/callback_list.py", "on_train_batch_end"), *FIT)) == phases.LATER_STEPS
    )
    assert reader.phase(RUNNING) == phases.LATER_STEPS
