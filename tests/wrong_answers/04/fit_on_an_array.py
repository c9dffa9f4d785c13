# expected: out_of_memory
# Streams the training data, but computes the mean with `fit`, which makes two float32 copies of the data set.
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
    generator = tf.keras.preprocessing.image.ImageDataGenerator(
        featurewise_center=True, featurewise_std_normalization=True, shear_range=15
    )
    generator.fit(x)
    del x
    batches = generator.flow_from_directory(folder, target_size=(48, 48), batch_size=32, class_mode="sparse", seed=0)
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
