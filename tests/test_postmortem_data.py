"""The cause of a death by data: each rule is shown a real run, and innocent data beside it are not blamed."""

from __future__ import annotations

import textwrap

import pytest

from course_utils import causes, sandbox

HEAD = """
import time
import keras
import numpy as np
import tensorflow as tf
rng = np.random.default_rng(1)
"""


def died(source: str, budget_mib: float, time_limit: float = 120) -> sandbox.Outcome:
    """Run a program that must die of memory. Its lines are counted from 1 at its own first line."""
    cells = [("head", HEAD), ("cell", textwrap.dedent(source).strip("\n"))]
    outcome = sandbox.run(cells, budget_mib=budget_mib, time_limit=time_limit)
    assert outcome.status == "out_of_memory", outcome.post_mortem()
    return outcome


def check(outcome: sandbox.Outcome, cause: str, line: int, *words: str) -> None:
    """The cause, its lab and remedy, the line to blame, and words of the evidence."""
    known = causes.explanation(cause)
    said = outcome.post_mortem()
    assert known.why in outcome.cause, said
    assert (outcome.cause_lab, outcome.remedy) == (known.lab, known.fix), said
    assert outcome.blame is not None and (outcome.blame.cell, outcome.blame.line) == ("cell", line), said
    for word in words:
        assert word in outcome.cause, said


def test_an_array_of_float64_that_is_filled_is_blamed_on_the_line_that_chose_its_type() -> None:
    outcome = died(
        """
        photos = np.zeros((1500, 128, 128, 3))
        for number in range(1500):
            photos[number] = rng.integers(0, 256, (128, 128, 3), dtype="uint8")
        """,
        200,
    )
    check(outcome, "float64_data", 1, "`photos` is float64 (1500, 128, 128, 3)", "1,500 x 128 x 128 x 3 x 8 bytes")
    assert outcome.where.line == 3


def test_bytes_divided_by_255_become_float64() -> None:
    outcome = died(
        """
        scans = rng.integers(0, 256, (1000, 128, 128, 3), dtype="uint8")
        time.sleep(0.3)
        scans = scans / 255
        """,
        280,
    )
    check(outcome, "float64_data", 3, "`scans` (uint8 array (1000, 128, 128, 3)", "float64")


def test_bytes_that_become_float32_in_two_steps_are_copies_and_not_float64() -> None:
    outcome = died(
        """
        scans = rng.integers(0, 256, (1000, 128, 128, 3), dtype="uint8")
        time.sleep(0.3)
        scans = scans.astype("float32") / 255
        """,
        300,
    )
    check(outcome, "copy_of_array", 3, "`scans` (uint8 array (1000, 128, 128, 3)")
    assert "float64" not in outcome.cause


@pytest.mark.parametrize(
    "line",
    ["scaled = (spectra - spectra.mean(axis=0)) / 2", "shuffled = spectra[rng.permutation(4000)]"],
    ids=["formula", "shuffled"],
)
def test_a_copy_beside_its_original(line: str) -> None:
    source = f"spectra = rng.random((4000, 8000), dtype='float32')\nsmall = np.ones(1000)\ntime.sleep(0.3)\n{line}\n"
    check(died(source, 200), "copy_of_array", 4, "`spectra` (float32 array (4000, 8000), 122 MiB)", "stays until")


def test_a_whole_data_set_made_larger() -> None:
    outcome = died(
        """
        digits = rng.integers(0, 256, (2000, 32, 32, 3), dtype="uint8")
        time.sleep(0.3)
        large = tf.image.resize(digits, (160, 160))
        """,
        250,
    )
    check(outcome, "enlarged_data", 3, "`digits` (uint8 array (2000, 32, 32, 3), 5.9 MiB)", "times as much")


def test_an_array_of_bytes_is_the_data_set_itself() -> None:
    outcome = died(
        """
        movie = np.empty((3000, 200, 200, 3), "uint8")
        for frame in range(3000):
            movie[frame] = rng.integers(0, 256, (200, 200, 3), dtype="uint8")
        """,
        200,
    )
    check(outcome, "whole_data", 1, "`movie` is uint8 (3000, 200, 200, 3)", "= 343 MiB")


def test_a_list_that_is_filled() -> None:
    outcome = died(
        """
        def read(number):
            return rng.random((128, 128, 3), dtype="float32")

        pictures, labels = [], []
        for number in range(3000):
            pictures.append(read(number))
            labels.append(number % 2)
        """,
        200,
    )
    check(outcome, "list_of_images", 6, "`pictures` is a list of", "x float32 array (128, 128, 3)")


def test_a_list_that_is_made_in_one_line() -> None:
    outcome = died(
        """
        def read(number):
            return rng.random((128, 128, 3), dtype="float32")

        pictures = [read(number) for number in range(3000)]
        """,
        200,
    )
    check(outcome, "list_of_images", 4, "Line 4 was making a list")


def test_a_list_and_an_array_of_the_same() -> None:
    outcome = died(
        """
        def load_all(count):
            frames = [rng.integers(0, 256, (128, 128, 3), dtype="uint8") for _ in range(count)]
            time.sleep(0.3)
            return np.stack(frames)

        video = load_all(3000)
        """,
        210,
    )
    check(outcome, "list_then_array", 4, "`frames` in `load_all()` is a list of 3,000 x uint8 array (128, 128, 3)")


def test_a_list_of_python_numbers() -> None:
    outcome = died(
        """
        rows = []
        for number in range(400):
            rows.append(rng.random(20_000).tolist())
        """,
        150,
    )
    check(outcome, "python_objects", 3, "`rows` is a list of", "Python float")


def test_windows_that_share_their_series_until_they_become_an_array() -> None:
    outcome = died(
        """
        prices = rng.random((60000, 5))
        windows = [prices[start : start + 250] for start in range(59000)]
        time.sleep(0.3)
        x = np.array(windows)
        """,
        150,
    )
    check(outcome, "overlapping_windows", 4, "`windows` has 59,000 windows of one array", "own copy")


def test_a_bag_of_words_is_told_by_its_zeros() -> None:
    outcome = died(
        """
        texts = [rng.integers(0, 5000, 200) for _ in range(7000)]
        matrix = np.zeros((len(texts), 5000))
        for row, words in enumerate(texts):
            matrix[row, words] = 1.0
        """,
        200,
    )
    check(outcome, "mostly_zeros", 2, "`matrix` is float64 (7000, 5000)", "of it is zeros")


def test_a_column_for_each_class() -> None:
    outcome = died("tokens = rng.integers(0, 5000, (400, 50))\ntargets = tf.one_hot(tokens, 5000)", 200)
    check(outcome, "one_hot_labels", 2, "`one_hot`")


def test_a_row_and_a_column_of_numbers_make_a_table() -> None:
    outcome = died(
        """
        prices = rng.random(6000)
        guesses = rng.random((6000, 1))
        time.sleep(0.3)
        error = np.sqrt(np.mean((prices - guesses) ** 2))
        """,
        220,
    )
    check(outcome, "broadcast", 4, "`prices` has the shape (6000,)", "6,000 x 6,000 x 8 bytes = 275 MiB")


def test_every_row_with_every_other() -> None:
    outcome = died(
        """
        vectors = rng.random((7000, 50), dtype="float32")
        time.sleep(0.3)
        near = vectors @ vectors.T
        """,
        120,
    )
    check(outcome, "every_pair", 3, "every pair of the 7,000 rows of `vectors`", "7,000 x 7,000 x 4 bytes = 187 MiB")


def test_a_cache_of_pictures_whose_size_is_not_known() -> None:
    outcome = died(
        """
        def read(number):
            width = tf.cast(160 + number % 2, tf.int32)
            return tf.random.uniform(tf.stack([160, width, 3]))

        pictures = tf.data.Dataset.range(1000).map(read)
        pictures = pictures.cache()
        count = sum(1 for _ in pictures)
        """,
        150,
    )
    check(outcome, "cache_in_memory", 6, "`cache()` keeps 1,000 elements", "came while they were read")
    assert outcome.where.line == 7


def test_the_longest_text_decides_the_width_of_all() -> None:
    outcome = died(
        """
        reviews = ["good film"] * 4000 + ["a script " * 800]
        texts = np.array(reviews)
        time.sleep(0.3)
        shuffled = texts[rng.permutation(4001)]
        """,
        160,
    )
    check(outcome, "text_width", 2, "`texts` is a NumPy array of 4,001 texts", "7,200 characters of the longest")


def test_whitening_makes_a_matrix_of_all_values_of_a_picture() -> None:
    outcome = died(
        """
        pictures = rng.random((100, 40, 40, 3), dtype="float32")
        generator = tf.keras.preprocessing.image.ImageDataGenerator(
            rotation_range=10,
            zca_whitening=True,
        )
        generator.fit(pictures)
        """,
        150,
    )
    check(outcome, "whitening", 4, "40 x 40 x 3 = 4,800 values")


def test_one_long_text_makes_all_rows_long() -> None:
    outcome = died(
        """
        documents = [rng.integers(1, 20_000, int(words)) for words in rng.integers(50, 400, 4000)]
        documents.append(rng.integers(1, 20_000, 25_000))
        time.sleep(0.3)
        x = keras.utils.pad_sequences(documents, padding="post")
        """,
        200,
    )
    check(outcome, "padding", 4, "(4001, 25000)", "One sequence of 25,000", "those in `documents` have 2")


PIPELINE = """
def load(number):
    return tf.random.stateless_uniform((128, 128, 3), seed=tf.stack([number, 3])), number % 3

train = tf.data.Dataset.range(4000).map(load)
train = train.{stage}
train = train.batch(16)
model = keras.Sequential(
    [keras.Input((128, 128, 3)), keras.layers.AveragePooling2D(16), keras.layers.Flatten(), keras.layers.Dense(3)]
)
model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(train, epochs=2, verbose=0)
"""


@pytest.mark.parametrize(
    ("stage", "cause", "words"),
    [
        ("cache()", "cache_in_memory", ["`cache()` keeps 4,000 elements, each float32 (128, 128, 3)", "750 MiB"]),
        ("cache().shuffle(50)", "cache_in_memory", ["750 MiB", "shuffle buffer beside it holds 9.4 MiB"]),
        ("shuffle(3000)", "shuffle_buffer", ["3,000 x 0.188 MiB = 563 MiB"]),
    ],
)
def test_a_stage_of_a_pipeline_that_keeps_its_elements(stage: str, cause: str, words: list[str]) -> None:
    outcome = died(PIPELINE.format(stage=stage), 300)
    check(outcome, cause, 5, *words)
    assert outcome.where.line == 11


def test_batches_that_wait() -> None:
    outcome = died(
        """
        frames = tf.data.Dataset.range(100_000).map(lambda number: tf.random.uniform((128, 128, 3)))
        frames = frames.batch(64).prefetch(40)
        for batch in frames:
            time.sleep(1)
        """,
        200,
    )
    check(outcome, "prefetch_buffer", 2, "40 x 12 MiB = 480 MiB")


def test_from_tensor_slices_copies_the_array() -> None:
    outcome = died(
        """
        volumes = rng.random((300, 64, 64, 20), dtype="float32")
        time.sleep(0.3)
        data = tf.data.Dataset.from_tensor_slices(volumes).shuffle(50).batch(4)
        """,
        220,
    )
    check(outcome, "tensor_slices", 3, "`volumes` (float32 array (300, 64, 64, 20), 94 MiB)")


def test_image_data_generator_makes_floats_of_all_bytes() -> None:
    outcome = died(
        """
        images = rng.integers(0, 256, (1000, 128, 128, 3), dtype="uint8")
        time.sleep(0.3)
        generator = tf.keras.preprocessing.image.ImageDataGenerator(rotation_range=10)
        batches = generator.flow(images, batch_size=32)
        """,
        200,
    )
    check(outcome, "image_data_generator", 4, "`flow`", "`images` (uint8 array (1000, 128, 128, 3)")


def test_a_dataset_of_ones_own_that_keeps_what_it_reads() -> None:
    outcome = died(
        """
        class Scans(keras.utils.PyDataset):
            def __init__(self, **options):
                super().__init__(**options)
                self.seen = {}

            def __len__(self):
                return 400

            def __getitem__(self, index):
                if index not in self.seen:
                    self.seen[index] = rng.random((8, 128, 128, 3), dtype="float32")
                return self.seen[index], np.zeros(8)

        model = keras.Sequential([keras.layers.AveragePooling2D(16), keras.layers.Flatten(), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(Scans(), verbose=0)
        """,
        300,
    )
    check(outcome, "kept_elements", 11, "`self.seen`", "grows with each batch")


def test_batches_that_the_workers_of_a_dataset_make_ahead() -> None:
    outcome = died(
        """
        class Volumes(keras.utils.PyDataset):
            def __len__(self):
                return 200

            def __getitem__(self, index):
                time.sleep(0.02)
                return np.ones((4, 96, 96, 96, 1), "float32"), np.zeros(4)

        class Slow(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                time.sleep(1)

        model = keras.Sequential([keras.layers.AveragePooling3D(16), keras.layers.Flatten(), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(Volumes(workers=2, max_queue_size=40), verbose=0, callbacks=[Slow()])
        """,
        350,
    )
    check(outcome, "queued_batches", 15, "Up to 40 batches of 14 MiB each", "540 MiB")


def test_worker_processes_have_memory_of_their_own() -> None:
    outcome = died(
        """
        class Volumes(keras.utils.PyDataset):
            def __len__(self):
                return 200

            def __getitem__(self, index):
                return np.ones((8, 96, 96, 96, 1), "float32"), np.zeros(8)

        model = keras.Sequential([keras.layers.AveragePooling3D(16), keras.layers.Flatten(), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(Volumes(workers=6, use_multiprocessing=True, max_queue_size=20), verbose=0)
        """,
        700,
    )
    check(outcome, "workers", 10, "worker processes")


def test_a_small_cache_beside_a_large_array_is_innocent() -> None:
    outcome = died(
        """
        small = tf.data.Dataset.range(100).map(lambda number: tf.random.uniform((64, 64, 3))).cache().batch(10)
        for batch in small:
            pass
        atlas = np.zeros((300, 256, 256))
        for page in range(300):
            atlas[page] = rng.random((256, 256))
        """,
        110,
    )
    check(outcome, "float64_data", 4, "`atlas` is float64 (300, 256, 256)")


def test_small_arrays_beside_an_allocation_that_no_one_knows_are_innocent() -> None:
    outcome = died(
        """
        import ctypes

        table = rng.random((1000, 2000))
        pictures = [rng.random((64, 64, 3)) for _ in range(100)]
        library = ctypes.CDLL(None)
        library.malloc.restype = ctypes.c_void_p
        library.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
        for number in range(100):
            library.memset(library.malloc(8 << 20), 1, 8 << 20)
        """,
        200,
    )
    assert outcome.cause.startswith("Not known"), outcome.post_mortem()
    assert outcome.blame.line == 9, outcome.post_mortem()
