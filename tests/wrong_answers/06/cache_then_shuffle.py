# expected: out_of_memory
# Fixes nothing: it is the recipe from the crash, which caches every scan as float32.
from pathlib import Path

import keras
import tensorflow as tf
import tensorflow_datasets as tfds


def train(folder):
    keras.utils.set_random_seed(0)
    root = Path("splits")
    root.mkdir(exist_ok=True)
    (root / "train").symlink_to(folder)
    builder = tfds.ImageFolder(str(root), shape=(96, 96, 3))
    dataset = builder.as_dataset(split="train", as_supervised=True)
    dataset = dataset.map(lambda pixels, label: (tf.cast(pixels, tf.float32), label))
    dataset = dataset.cache().shuffle(builder.info.splits["train"].num_examples).batch(32).prefetch(2)
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
