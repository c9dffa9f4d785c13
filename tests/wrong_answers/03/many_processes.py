# expected: over_budget
# Saves memory everywhere else, then starts five processes, each with memory of its own.
import random

import keras
import numpy as np
from PIL import Image


def load(paths):
    x = np.empty((len(paths), 96, 96, 3), dtype="uint8")
    for row, path in enumerate(paths):
        x[row] = Image.open(path)
    return x, np.array([int(path.parent.name) for path in paths])


class Scans(keras.utils.PyDataset):
    def __init__(self, paths, **options):
        super().__init__(**options)
        self.paths = list(paths)
        self.on_epoch_end()

    def __len__(self):
        return -(-len(self.paths) // 32)

    def __getitem__(self, index):
        return load(self.paths[32 * index : 32 * index + 32])

    def on_epoch_end(self):
        random.shuffle(self.paths)


def train(folder):
    keras.utils.set_random_seed(0)
    paths = sorted(folder.glob("*/*.jpg"))
    model = keras.Sequential(
        [
            keras.layers.Input((96, 96, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.AveragePooling2D(2),
            keras.layers.Conv2D(16, 5, strides=2, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(Scans(paths, workers=5, use_multiprocessing=True), epochs=3, verbose=0)
    return model
