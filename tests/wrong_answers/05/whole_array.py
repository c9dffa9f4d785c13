# expected: out_of_memory
# Fixes nothing: it holds the whole array, the copy that `from_tensor_slices` makes, and a shuffle buffer of it all.
import keras
import numpy as np
import tensorflow as tf
from PIL import Image


def make_dataset(folder):
    paths = sorted(folder.glob("*/*.jpg"))
    x = np.empty((len(paths), 64, 64, 3), dtype="float32")
    for index, path in enumerate(paths):
        x[index] = np.asarray(Image.open(path))
    y = np.array([int(path.parent.name) for path in paths])
    return tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x), seed=0).batch(32)


def train(folder):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Input((64, 64, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(8, 5, strides=2, activation="relu"),
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
    model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(make_dataset(folder), epochs=5, verbose=0)
    return model
