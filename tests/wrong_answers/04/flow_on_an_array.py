# expected: out_of_memory
# Fixes nothing that matters: the array holds bytes, but `flow` keeps a float32 copy of the whole array.
import keras
import numpy as np
import tensorflow as tf
from PIL import Image


def train(folder):
    keras.utils.set_random_seed(0)
    paths = sorted(folder.glob("*/*.jpg"))
    x = np.empty((len(paths), 96, 96, 3), dtype="uint8")
    for index, path in enumerate(paths):
        x[index] = Image.open(path)
    y = np.array([int(path.parent.name) for path in paths])
    generator = tf.keras.preprocessing.image.ImageDataGenerator(shear_range=15, rotation_range=10, zoom_range=0.3)
    batches = generator.flow(x, y, batch_size=32)
    del x
    model = keras.Sequential(
        [
            keras.layers.Input((None, None, 3)),
            keras.layers.Resizing(48, 48),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(16, 5, strides=2, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    rate = keras.optimizers.schedules.CosineDecay(0.005, 4 * 94)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    model.fit(batches, epochs=4, verbose=0)
    return model
