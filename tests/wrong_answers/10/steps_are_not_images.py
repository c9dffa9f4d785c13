# expected: inaccurate
# The lab's own trap: it accumulates over 256 micro-batches, not 256 images, so there are hardly any updates.
import keras
import numpy as np
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
    model.compile(keras.optimizers.Adam(0.003, gradient_accumulation_steps=256), "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=16, epochs=4, verbose=0)
    return model
