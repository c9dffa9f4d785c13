# expected: inaccurate
# Its generator of names does not loop forever: from the second epoch on, only two batches are left.
import random

import keras
import numpy as np
from PIL import Image


def load(paths):
    x = np.empty((len(paths), 96, 96, 3), dtype="uint8")
    for row, path in enumerate(paths):
        x[row] = Image.open(path)
    return x, np.array([int(path.parent.name) for path in paths])


def batches(paths):
    random.shuffle(paths)
    for start in range(0, len(paths), 64):
        yield load(paths[start : start + 64])


def train(folder):
    keras.utils.set_random_seed(0)
    paths = sorted(folder.glob("*/*.jpg"))
    model = keras.Sequential(
        [
            keras.layers.Input((96, 96, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.AveragePooling2D(2),
            keras.layers.Conv2D(16, 5, strides=2, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(batches(paths), epochs=8, verbose=0)
    return model
