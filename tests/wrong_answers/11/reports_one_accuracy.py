# expected: raised
# Reports the accuracy of one configuration, so nobody can tell whether the others were tried.
import keras
import numpy as np
from PIL import Image


def load(folder):
    """All scans as bytes, with their labels, in a random order."""
    paths = sorted(folder.glob("*/*.jpg"))
    np.random.default_rng(0).shuffle(paths)
    return np.stack([np.asarray(Image.open(path)) for path in paths]), np.array([int(p.parent.name) for p in paths])


def build(learning_rate):
    """A compiled model that takes raw pixels."""
    model = keras.Sequential(
        [
            keras.layers.Input((32, 32, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(16, 5, strides=2, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.BatchNormalization(momentum=0.8),
            *[keras.layers.Dense(1024, activation="relu") for _ in range(4)],
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(learning_rate), "sparse_categorical_crossentropy")
    return model


def search(folder, configurations):
    keras.utils.set_random_seed(0)
    x, y = load(folder)
    model = build(configurations[4]["learning_rate"])
    model.fit(x[:480], y[:480], batch_size=40, epochs=2, verbose=0)
    guesses = np.argmax(model(x[480:], training=False), axis=1)
    return model, [float(np.mean(guesses == y[480:]))]
