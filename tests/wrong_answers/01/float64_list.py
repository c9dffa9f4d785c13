# expected: out_of_memory
# Fixes nothing: it makes the list of float64 images and an array of the list, as in the crash.
import keras
import numpy as np
from PIL import Image


def train(folder):
    paths = sorted(folder.glob("*/*.jpg"))
    images = [np.asarray(Image.open(path)) / 255 for path in paths]
    x = np.array(images)
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
