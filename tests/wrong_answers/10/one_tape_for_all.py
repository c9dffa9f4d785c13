# expected: over_budget
# Falls into the trap of the loop: one tape around all micro-batches keeps the outputs of each.
import keras
import numpy as np
import tensorflow as tf
from PIL import Image


def load(folder):
    """Return pixels from 0 to 255 of shape (count, 48, 48, 3), and labels of shape (count,)."""
    paths = sorted(folder.glob("*/*.jpg"))
    x = np.empty((len(paths), 48, 48, 3), dtype="uint8")
    for index, path in enumerate(paths):
        x[index] = Image.open(path)
    return x, np.array([int(path.parent.name) for path in paths])


def build_model():
    """Return the network of the recipe. It takes raw pixels from 0 to 255."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.layers.Input((48, 48, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(32, 5, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def train(folder):
    x, y = load(folder)
    model = build_model()
    optimizer = keras.optimizers.Adam(0.003)
    loss_function = keras.losses.SparseCategoricalCrossentropy()
    order = np.random.default_rng(0).permutation(len(x))
    for start in range(0, len(x), 256):
        with tf.GradientTape() as tape:
            loss = 0.0
            for first in range(start, start + 256, 16):
                rows = order[first : first + 16]
                loss += loss_function(y[rows], model(x[rows], training=True)) / 16
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    return model
