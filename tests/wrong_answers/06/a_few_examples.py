# expected: inaccurate
# Fits in memory at the cost of accuracy: it caches and shuffles, but uses only a hundred examples of the split.
from pathlib import Path

import keras
import tensorflow_datasets as tfds


def train(folder):
    keras.utils.set_random_seed(0)
    root = Path("splits")
    root.mkdir(exist_ok=True)
    (root / "train").symlink_to(folder)
    builder = tfds.ImageFolder(str(root), shape=(96, 96, 3))
    dataset = builder.as_dataset(split="train", as_supervised=True).take(100)
    dataset = dataset.cache().shuffle(100).batch(32).prefetch(2)
    model = keras.Sequential(
        [
            keras.layers.Input((96, 96, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(8, 5, strides=2, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy")
    model.fit(dataset, epochs=4, verbose=0)
    return model
