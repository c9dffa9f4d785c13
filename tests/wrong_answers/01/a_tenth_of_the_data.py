# expected: inaccurate
# Fits in memory at the cost of accuracy: it trains on a tenth of the pictures.
import keras
import numpy as np
from PIL import Image


def train(folder):
    keras.utils.set_random_seed(0)
    paths = sorted(folder.glob("*/*.jpg"))[::10]
    x = np.stack([np.asarray(Image.open(path)) for path in paths])
    y = np.array([int(path.parent.name) for path in paths])
    model = keras.Sequential(
        [
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=4, verbose=0)
    return model
