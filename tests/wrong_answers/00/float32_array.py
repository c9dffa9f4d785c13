# expected: over_budget
# Goes half way: there is no list, but each pixel still takes four bytes.
import keras
import numpy as np
from PIL import Image


def fit_model(x, y):
    """Train a small model on pixels from 0 to 255 of shape (count, 96, 96, 3) and labels of shape (count,)."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Input((96, 96, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(16, 5, strides=3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.Conv2D(32, 3, strides=2, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=32, epochs=7, verbose=0)
    return model


def train(folder):
    paths = sorted(folder.glob("*/*.jpg"))
    x = np.empty((len(paths), 96, 96, 3), dtype="float32")
    for index, path in enumerate(paths):
        x[index] = Image.open(path)
    y = np.array([int(path.parent.name) for path in paths])
    return fit_model(x, y)
