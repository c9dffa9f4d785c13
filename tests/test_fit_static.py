"""Predictions without a step: what a traced graph and the layers' shapes say of real models, in a sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from course_utils import fit, sandbox

MODELS = '''
import keras
from keras import layers

def convolutions(optimizer="adam", trainable=True):
    model = keras.Sequential([
        keras.Input((64, 64, 3)),
        layers.Conv2D(16, 3, activation="relu"),
        layers.Conv2D(16, 3, activation="relu"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(10, activation="softmax"),
    ])
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model

def dense():
    model = keras.Sequential([keras.Input((1024,)), layers.Dense(2048), layers.Dense(1024)])
    model.compile("adam", "mse")
    return model

def frozen():
    model = dense()
    model.layers[0].trainable = False
    model.compile("adam", "mse")
    return model

def plain():
    model = dense()
    model.compile(keras.optimizers.SGD(), "mse")
    return model

def recurrent(steps=100):
    model = keras.Sequential([keras.Input((steps, 8)), layers.LSTM(32, return_sequences=True), layers.Dense(1)])
    model.compile("adam", "mse")
    return model

def unending():
    """A loop whose end nobody knows before it runs."""
    import tensorflow as tf

    class Until(layers.Layer):
        def call(self, x):
            return tf.while_loop(lambda y: tf.reduce_sum(y) < 100.0, lambda y: (y * 2.0 + 1.0,), (x,))[0]

    model = keras.Sequential([keras.Input((64,)), Until(), layers.Dense(1)])
    model.compile("adam", "mse")
    return model


def odd():
    """Its step cannot be traced: it asks for a value."""
    class Odd(keras.Model):
        def train_step(self, data):
            return {"loss": float(self(data[0]).numpy().sum())}

    inputs = keras.Input((1024,))
    model = Odd(inputs, layers.Dense(2048)(inputs))
    model.compile("adam", "mse", run_eagerly=True)
    return model
'''


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the models."""
    file = tmp_path_factory.mktemp("static") / "models.py"
    file.write_text(MODELS)
    return file


@pytest.fixture(scope="module")
def predict(models: Path):
    """Ask for a static prediction of one of the models, once for each batch size."""
    known = {}

    def ask(name: str, batch_size: int, **options) -> fit.Prediction:
        key = (name, batch_size, *options.items())
        if key not in known:
            known[key] = fit.predict(f"{models}:{name}", batch_size, static=True, **options)
        return known[key]

    return ask


def test_weights_slots_and_gradients_are_counted(predict) -> None:
    adam, plain, frozen = (predict(name, 8).breakdown for name in ("dense", "plain", "frozen"))
    weights = (1024 * 2048 + 2048 + 2048 * 1024 + 1024) * 4 / 2**20
    for found in (adam, plain, frozen):
        assert found["weights"] == pytest.approx(weights)
    assert adam["optimizer"] == pytest.approx(2 * weights, rel=0.001)
    assert plain["optimizer"] < 0.001
    assert adam["gradients"] == pytest.approx(weights, rel=0.001)
    assert frozen["gradients"] == pytest.approx(weights / 2, rel=0.001), "a frozen layer has no gradient"
    assert frozen["optimizer"] == pytest.approx(weights, rel=0.001)


def test_twice_the_batch_has_twice_the_activations(predict) -> None:
    once, twice = predict("convolutions", 32), predict("convolutions", 64)
    assert twice.breakdown["activations"] == pytest.approx(2 * once.breakdown["activations"], rel=0.02)
    assert twice.breakdown["data"] == pytest.approx(2 * once.breakdown["data"])
    assert once.breakdown["activations"] > 2 * 32 * 16 * 60**2 * 4 / 2**20, "two layers' outputs are kept at least"
    assert once.low_mib < once.predicted_mib < once.high_mib
    assert sum(once.breakdown.values()) == pytest.approx(once.predicted_mib)
    assert "traced graph" in once.note


def test_a_run_stays_below_what_was_foreseen(predict, models: Path) -> None:
    train = f"""
import sys
sys.path.insert(0, {str(models.parent)!r})
from models import convolutions
from course_utils.fit.batches import Batches
model = convolutions()
batches = Batches(model)
model.fit((batches(64) for _ in range(10)), verbose=0)
"""
    outcome = sandbox.run(train, budget_mib=4000, time_limit=300)
    assert outcome.status == "finished"
    found = predict("convolutions", 64)
    assert outcome.peak_mib < found.high_mib
    assert found.predicted_mib < 2 * outcome.peak_mib


def test_the_turns_of_a_loop_are_counted_and_a_loop_without_a_known_end_is_said(predict) -> None:
    short, unending = predict("recurrent", 64), predict("unending", 64)
    kept = 64 * 32 * 100 * 4 / 2**20  # one array for each step
    assert 4 * kept < short.breakdown["activations"] < 16 * kept
    assert "loop" in short.note
    assert "not known" in unending.note
    assert unending.high_mib / unending.predicted_mib > short.high_mib / short.predicted_mib


def test_a_step_that_cannot_be_traced_is_predicted_from_its_layers(predict) -> None:
    found = predict("odd", 64)
    assert "layers" in found.note and "could not be traced" in found.note
    assert found.breakdown["weights"] == pytest.approx((1024 * 2048 + 2048) * 4 / 2**20)


def test_an_estimate_for_a_gpu_says_what_it_is(predict) -> None:
    found = predict("convolutions", 32, device="gpu")
    assert found.device == "gpu"
    assert "not run on a GPU" in found.note and "T4" in found.note
    assert sum(found.breakdown.values()) == pytest.approx(found.predicted_mib)
    assert found.low_mib < found.predicted_mib < found.high_mib
