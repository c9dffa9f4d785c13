# expected: out_of_memory
# Halves the bytes and drops the list, but keeps the whole array and the copies that `fit` makes of it.
import keras
import numpy as np
from PIL import Image


def train(folder):
    paths = sorted(folder.glob("*/*.jpg"))
    x = np.empty((len(paths), 96, 96, 3), dtype="float32")
    for index, path in enumerate(paths):
        x[index] = np.asarray(Image.open(path), dtype="float32") / 255
    y = np.array([int(path.parent.name) for path in paths])
    model = keras.Sequential(
        [
            keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=4, verbose=0)
    return model
