# expected: out_of_memory
# Fixes nothing: the generator loops forever, but it still makes its list of all scans before the first `yield`.
import random

import keras
import numpy as np


def batches(paths):
    pictures = []
    for path in paths:
        pixels = keras.utils.img_to_array(keras.utils.load_img(path))
        pictures.append((pixels, int(path.parent.name)))
    while True:
        random.shuffle(pictures)
        for start in range(0, len(pictures), 32):
            batch = pictures[start : start + 32]
            yield np.stack([pixels for pixels, _ in batch]), np.array([label for _, label in batch])


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
    model.fit(batches(paths), steps_per_epoch=125, epochs=3, verbose=0)
    return model
