"""What a run writes down about what is alive, in real runs; and that looking does not disturb what it looks at."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from course_utils import memory
from course_utils.files import scratch
from course_utils.postmortem import Testimony
from course_utils.sandbox import Listener, slots
from course_utils.sandbox.order import Order
from course_utils.sandbox.watch import watch

LOOK = """
import threading
from course_utils.sandbox.ledger import Ledger
_taken, _enough, _take = threading.Semaphore(0), threading.Event(), Ledger.take
def _took(self, frames):
    record = _take(self, frames)
    if _enough.is_set():
        raise RuntimeError  # so that the ledger before stays
    _taken.release()
    return record
Ledger.take = _took
def look(last=False):
    '''Wait until the sandbox has looked twice: what the first look saw is written down by then.'''
    while _taken.acquire(blocking=False):
        pass
    _taken.acquire()
    _taken.acquire()
    if last:
        _enough.set()
"""
MODEL = """
import keras
import numpy as np
model = keras.Sequential([keras.Input((64, 64, 3)), keras.layers.Conv2D(8, 3, name="wide"),
                          keras.layers.GlobalMaxPooling2D(), keras.layers.Dense(2)])
model.compile("adam", "mse")
class Look(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 2:
            self.times = getattr(self, "times", 0) + 1
            look(last=self.times == 2)
    def on_predict_batch_begin(self, batch, logs=None):
        if batch == 4:
            look(last=True)
"""


def said(source: str, budget_mib: float = 900, finishes: bool = True) -> Testimony:
    """What a run of this code has left, in which `look()` waits for the sandbox to look."""
    with scratch("ledger-") as folder:
        order = Order(
            cells=(("look", LOOK), ("cell", textwrap.dedent(source))),
            directory=str(folder),
            budget_mib=budget_mib,
            cap_mib=budget_mib,
            time_limit=60,
            isolation="process",
            method=memory.choose(),
            processors=(0, 1),
        )
        measurement, testimony = watch(order, Listener())
    if finishes:
        assert testimony.end and testimony.end.status == "finished", testimony.end
    return testimony


def entries(testimony: Testimony, kind: str) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in testimony.ledger if entry["kind"] == kind}


def test_arrays_are_weighed_once_and_looked_into() -> None:
    found = said(
        """
        import numpy as np
        dense = np.random.default_rng(1).random((1000, 1000))
        part, same = dense[10:20], dense.T
        codes = np.eye(2000, dtype="float32")[np.arange(4000) % 2000]
        both = dense, codes
        mapped = np.lib.format.open_memmap("file.npy", mode="w+", shape=(1000, 1000))
        def work():
            inner = np.zeros((1000, 500))
            inner[:, 0] = 1
            look(last=True)
        work()
        """
    )
    arrays = entries(found, "array")
    assert set(arrays) == {"dense", "codes", "inner"}
    assert arrays["dense"]["mib"] == pytest.approx(7.63, abs=0.01) and arrays["dense"]["zeros"] == 0
    assert arrays["codes"]["one_hot"] and arrays["codes"]["zeros"] > 0.99
    assert arrays["codes"]["shape"] == [4000, 2000] and arrays["codes"]["dtype"] == "float32"
    assert arrays["inner"]["scope"] == "work" and arrays["dense"]["scope"] == ""
    assert entries(found, "list") == {}  # the pair's arrays have names of their own


def test_what_only_a_library_names_is_found_in_its_function() -> None:
    found = said(
        MODEL
        + """
answer = keras.Sequential([keras.Input((64, 64, 3)), keras.layers.Rescaling(0.5)]).predict(
    np.ones((80, 64, 64, 3), "float32"), batch_size=16, callbacks=[Look()], verbose=0)
"""
    )
    outputs, pictures = entries(found, "list")["outputs"], entries(found, "array")["x"]
    assert outputs["scope"] == pictures["scope"] == "predict"
    assert outputs["library"] and pictures["library"]
    assert outputs["count"] == 4 and outputs["what"] == "list of 4 x float32 array (16, 64, 64, 3)"
    assert found.facts["training"]["function"] == "predict"


def test_lists_are_weighed_by_their_members_and_seen_to_grow() -> None:
    found = said(
        """
        import collections, time
        import keras, numpy as np, tensorflow as tf
        kept = []
        for number in range(20):
            kept.append(tf.ones((64, 1024)))
            if number > 10:
                look()
        history = {"loss": [np.ones((512, 512)) for _ in range(3)], "accuracy": [np.ones((512, 512))]}
        queue = collections.deque(np.ones((512, 512)) for _ in range(12))
        numbers = [float(number) for number in range(200_000)]
        look()
        """
    )
    lists = entries(found, "list")
    assert lists["kept"]["count"] == 20 and lists["kept"]["what"] == "list of 20 x float32 array (64, 1024)"
    assert lists["kept"]["mib"] == pytest.approx(5, abs=0.01)
    assert lists["kept"]["grows"] and not lists["queue"]["grows"]
    assert lists["history"]["mib"] == pytest.approx(8, abs=0.01)
    assert lists["queue"]["mib"] == pytest.approx(24, abs=0.01) and lists["queue"]["shape"] == [512, 512]
    assert lists["numbers"]["dtype"] == "float" and lists["numbers"]["mib"] > 4


def test_models_and_their_optimizers_are_counted_while_anything_holds_them() -> None:
    found = said(
        """
        import gc
        import keras, numpy as np
        def build():
            network = keras.Sequential([keras.Input((500,)), keras.layers.Dense(1000), keras.layers.Dense(1)])
            network.compile("adam", "mse")
            network.optimizer.build(network.trainable_variables)
            return network
        results = [(0.5, build()), (0.6, build())]
        model = build()
        for _ in range(2):
            build()
        gc.collect()
        weights = [one.get_weights() for _, one in results]
        look()
        """
    )
    [weights], [slots_of] = entries(found, "weights").values(), entries(found, "optimizer").values()
    assert weights["models"] == 3 and weights["what"].startswith("3 models alive, 1,506,0")
    assert weights["mib"] == pytest.approx(3 * 502001 * 4 / memory.MIB, abs=0.1)
    assert weights["holders"] == [["results", 2], ["model", 1]]
    assert weights["largest"][0][1] == [500, 1000]
    assert slots_of["mib"] == pytest.approx(2 * weights["mib"], abs=0.1)
    assert "Adam: 2 slots for each weight" in slots_of["what"]
    assert entries(found, "list")["weights"]["mib"] == pytest.approx(2 * 502001 * 4 / memory.MIB, abs=0.1)


def test_fit_is_read_from_its_own_variables() -> None:
    found = said(
        MODEL
        + """
pictures = np.ones((80, 64, 64, 3), "float32")
model.fit(pictures, np.ones((80, 2)), batch_size=16, epochs=2, callbacks=[Look()], verbose=0)
"""
    )
    training, layers = found.facts["training"], found.facts["layers"]
    assert (training["function"], training["batch_size"], training["epoch"], training["step"]) == ("fit", 16, 1, 2)
    assert training["arguments"][0]["variable"] == "pictures" and training["inner"] is False
    assert layers["batch"] == 16 and layers["largest"][0][:3] == ["wide", "Conv2D", [16, 62, 62, 8]]
    assert layers["mib"] == pytest.approx(16 * 62 * 62 * 8 * 4 / memory.MIB, rel=0.01)
    copies = [entry for entry in found.ledger if entry["kind"] == "pipeline" and entry["op"] == "from_tensors"]
    assert copies[0]["mib"] == pytest.approx(entries(found, "array")["pictures"]["mib"], rel=0.01)


def test_a_model_that_is_called_takes_all_as_one_batch() -> None:
    found = said(
        MODEL
        + """
everything = np.ones((200, 64, 64, 3), "float32")
class Slow(keras.layers.Layer):
    def call(self, inputs):
        if hasattr(inputs, "numpy"):  # not while the model is being built
            look(last=True)
        return inputs
called = keras.Sequential([Slow(), *model.layers])
called(everything)
"""
    )
    training = found.facts["training"]
    assert (training["function"], training["batch_size"], training["inner"]) == ("call", 200, False)
    assert training["arguments"][0]["variable"] == "everything"


def test_the_stages_of_a_pipeline_say_what_they_can_hold() -> None:
    found = said(
        """
        import numpy as np, tensorflow as tf
        small = tf.data.Dataset.range(3000).map(lambda number: (tf.zeros((64, 64, 3)), number))
        train = small.cache().shuffle(500).batch(32).prefetch(4)
        on_disk = small.cache("file").batch(16)
        sliced = tf.data.Dataset.from_tensor_slices(np.ones((100, 64, 64)))
        look()
        """
    )
    stages = {(entry["name"], entry["op"]): entry for entry in found.ledger if entry["kind"] == "pipeline"}
    each = (64 * 64 * 3 * 4 + 8) / memory.MIB
    for stage, count, mib in (("cache", 3000, each), ("shuffle", 500, each), ("prefetch", 4, 32 * each)):
        entry = stages["train", stage]
        assert entry["count"] == count and entry["mib"] == pytest.approx(count * mib, rel=0.01)
    assert stages["train", "cache"]["what"] == "cache() of 3,000 elements, each float32 (64, 64, 3)"
    assert ("on_disk", "cache") not in stages
    assert stages["sliced", "from_tensor_slices"]["mib"] == pytest.approx(3.125, rel=0.01)


def test_looking_keeps_nothing_alive_and_changes_no_variable() -> None:
    """`frame.f_locals` keeps every object that it names in a dictionary of the frame, before Python 3.13."""
    said(
        """
        import weakref
        import numpy as np
        def work(argument):
            large, other = np.ones((1000, 1000)), np.ones((1000, 1000))
            inner = [number for number in range(3)]
            def closure():
                return inner, large.shape
            for _ in range(3):
                look()
                assert closure() == ([0, 1, 2], (1000, 1000)) and other.shape == (1000, 1000) and argument == "word"
            freed, replaced = weakref.ref(large), weakref.ref(other)
            del large
            other = None
            kept = [reference for reference in (freed, replaced) if reference() is not None]
            if kept:  # at this moment a look may have it in its hands: after that look, nothing has
                kept = None
                look()
            assert freed() is None and replaced() is None
            return closure.__closure__[0].cell_contents
        for _ in range(5):
            assert work("word") == [0, 1, 2]
        def holds_its_locals(argument):
            held = locals()
            number = 1
            for _ in range(3):
                look()
            assert held == {"argument": "word"}, held
            return eval("argument + look.__name__")
        assert holds_its_locals("word") == "wordlook"
        class Body:
            first = np.ones((1000, 1000))
            look()
            second = first.shape
        assert Body.second == (1000, 1000)
        """
    )


def test_a_kill_in_the_middle_of_writing_leaves_the_ledger_before() -> None:
    state = bytearray(slots.START + 2 * slots.SIZE)
    for turn in (7, 8):
        start, packed = slots.pack(turn, {"turn": turn})
        state[start : start + len(packed)] = packed
    assert slots.newest(bytes(state)) == {"turn": 8}
    start, packed = slots.pack(9, {"turn": 9, "entries": ["x" * 3000]})
    for length in (3, slots.HEADER.size, len(packed) // 2, len(packed) - 1):
        torn = bytearray(state)
        torn[start : start + length] = packed[:length]
        assert slots.newest(bytes(torn)) == {"turn": 8}
    assert slots.newest(b"") is None
