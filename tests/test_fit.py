"""Will it fit? Predictions of real models in real sandboxes, and what cannot be predicted, in a sentence."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from course_utils import fit, sandbox
from course_utils.cards import render
from course_utils.cards.predictions import prediction_card

MODELS = '''
import keras
from keras import layers


def pictures():
    """Its peak comes from its activations: 3 MiB a sample."""
    model = keras.Sequential([layers.Input((64, 64, 3)), layers.Conv2D(32, 3), layers.ReLU(), layers.Conv2D(32, 3),
                              layers.GlobalMaxPooling2D(), layers.Dense(10, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def towers():
    words, numbers = layers.Input((20,), dtype="int32", name="words"), layers.Input((5,), name="numbers")
    both = layers.Concatenate()([layers.GRU(8)(layers.Embedding(50, 8)(words)), numbers])
    outputs = {"price": layers.Dense(1)(both), "kind": layers.Dense(7, activation="softmax")(both)}
    model = keras.Model({"words": words, "numbers": numbers}, outputs)
    model.compile("sgd", {"price": "mse", "kind": "sparse_categorical_crossentropy"})
    return model


class Own(keras.Model):
    """A subclass, of which nobody knows the shape, with a training step of its own."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, x):
        return self.dense(x)

    def train_step(self, data):
        x, y = data
        return {"loss": self.compute_loss(x, y, self(x))}


def own():
    model = Own()
    model.compile("adam", "mse")
    return model


def wide():
    return keras.Sequential([layers.Input((4000,)), layers.Dense(9000)])  # 137 MiB of weights


def broken():
    return keras.Sequential([layers.Input((4,)), layers.Dense(-1)])


def batch(batch_size):
    import numpy as np

    return np.zeros((batch_size, 6)), np.zeros((batch_size, 3))


def nothing():
    pass
'''

TRUTH = """
import numpy as np
import models
model = models.pictures()
model.fit(((np.random.rand(32, 64, 64, 3).astype("float32"), np.zeros(32, "int32")) for _ in range(10)), verbose=0)
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fit") / "models.py"
    path.write_text(MODELS)
    return path


@pytest.fixture(scope="module")
def predicted(models: Path) -> fit.Prediction:
    return fit.predict(f"{models}:pictures", 32, memory_mib=400)


def test_the_peak_is_what_the_run_then_takes(models: Path, predicted: fit.Prediction) -> None:
    measured = sandbox.run(TRUTH, budget_mib=4000, directory=models.parent)
    assert measured.status == "finished"
    assert predicted.predicted_mib == pytest.approx(measured.peak_mib, rel=0.25)
    assert predicted.low_mib < predicted.predicted_mib < predicted.high_mib
    assert predicted.high_mib - predicted.low_mib <= 0.3 * predicted.predicted_mib * 1.001


def test_the_parts_are_the_whole(predicted: fit.Prediction) -> None:
    parts = predicted.breakdown
    assert set(parts) == set(fit.PARTS) and min(parts.values()) >= 0
    assert sum(parts.values()) == pytest.approx(predicted.predicted_mib)
    assert parts["activations"] > 0.5 * predicted.predicted_mib
    assert parts["weights"] == pytest.approx((3 * 9 * 32 + 32 + 32 * 9 * 32 + 32 + 330) * 4 / 2**20)
    assert predicted.sample_mib == pytest.approx((64 * 64 * 3 + 1) * 4 / 2**20)


def test_the_largest_batch_is_where_the_line_meets_the_memory(models: Path, predicted: fit.Prediction) -> None:
    largest = fit.find_batch_size(f"{models}:pictures", 150)
    assert predicted.fits is (predicted.high_mib < 400)
    assert predicted.largest_batch_size > largest >= 8
    assert not fit.predict(f"{models}:pictures", 4 * largest, memory_mib=150).fits


def test_the_card_says_all_of_it(predicted: fit.Prediction) -> None:
    card = prediction_card(predicted)
    words, page = render.text(card), render.html(card)
    for part, amount in predicted.breakdown.items():
        assert (part in words) is (amount >= 0.05)
    assert f"Largest batch that fits: {predicted.largest_batch_size}" in words
    assert 'role="img" aria-label="data ' in page


def test_integers_of_an_embedding_and_several_inputs_and_outputs(models: Path) -> None:
    found = fit.predict(f"{models}:towers", 4, samples=2_000_000, memory_mib=300)
    assert found.sample_mib == pytest.approx((20 + 5 + 1 + 1) * 4 / 2**20)
    assert found.feed_mib == pytest.approx(2.05 * 2_000_000 * found.sample_mib)
    assert (found.fits, found.largest_batch_size) == (False, 0)


def test_a_model_that_does_not_know_its_shapes_is_told_them(models: Path) -> None:
    with pytest.raises(fit.CannotPredict, match=r"does not know the shape.*input_shape=.*example="):
        fit.predict(f"{models}:own", 4)
    told = fit.predict(f"{models}:own", 4, input_shape=(6,))
    shown = fit.predict(f"{models}:own", 4, example="batch")
    assert told.breakdown["weights"] == shown.breakdown["weights"] == pytest.approx(21 * 4 / 2**20)


def test_a_function_of_the_notebook_is_taken_with_what_it_uses() -> None:
    units = 5

    def build():
        import keras

        return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(units)])

    found = fit.predict(lambda: build(), 2)
    assert found.breakdown["weights"] == pytest.approx(25 * 4 / 2**20)
    assert "Adam and the mean squared error" in found.note


@pytest.mark.parametrize(
    ("function", "options", "sentence"),
    [
        ("missing.py:build", {}, r"There is no file missing.py."),
        ("{models}", {}, r"names no function: write it like"),
        ("{models}:other", {}, r"models.py has no function other; it has pictures, towers"),
        ("{models}:nothing", {}, r"returned None, not a Keras model"),
        ("{models}:broken", {}, r"Building the model failed at models.py, line \d+, `return .*: ValueError"),
        ("{models}:wide", {"batch_size": 0}, r"The batch size is 0; it is a number from 1 on."),
        ("{models}:wide", {"memory_mib": 200}, r"fit"),
        ("{models}:wide", {"memory_mib": -5}, r"-5 MiB of memory is not above 0"),
        ("{models}:own", {"input_shape": "six"}, r"'six'\] is no shape"),
        (lambda: 1 / 0, {}, r"Building the model failed at test_fit.py, line \d+, .*ZeroDivisionError"),
        (Path, {"batch_size": 2}, r"not a Keras model"),
        (3, {}, r"not a function"),
        (partial(print, threading.Lock()), {}, r"cannot be handed to a sandbox"),
    ],
)
def test_what_cannot_be_predicted_is_said_in_a_sentence(
    models: Path, function: object, options: dict, sentence: str
) -> None:
    if isinstance(function, str):
        function = function.format(models=models)
    with pytest.raises(fit.CannotPredict, match=sentence):
        fit.predict(function, **({"batch_size": 2} | options))


def test_the_command(models: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "course_utils", "fit", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=models.parent)

    done = run("models.py:own", "--batch-size", "2", "--input-shape", "6", "--memory", "1GiB", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["method"] == "probe" and told["fits"] is True and told["largest_batch_size"] > 100
    assert told["low_mib"] < told["predicted_mib"] < told["high_mib"]
    refused = run("models.py:own", "--batch-size", "2", "--input-shape", "six")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "['six'] is no shape" in refused.stderr


def test_tensorflow_stays_out_of_the_caller(models: Path) -> None:
    code = f"""
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "course_utils")
shell.run_line_magic("course", "fit {models}:own --batch-size 2 --input-shape 6")
assert "tensorflow" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "EXPECTED PEAK" in done.stdout
