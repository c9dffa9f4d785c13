# expected: timed_out
# Small, but far slower than the plain loop: it is the same loop, in a generator that yields one picture at a time.
import keras
import numpy as np
import tensorflow as tf


def make_dataset(folder):
    paths = sorted(folder.glob("*/*.jpg"))
    np.random.default_rng(0).shuffle(paths)

    def scans():
        for path in paths:
            yield keras.utils.img_to_array(keras.utils.load_img(path)), int(path.parent.name)

    signature = (tf.TensorSpec((64, 64, 3), tf.float32), tf.TensorSpec((), tf.int64))
    return tf.data.Dataset.from_generator(scans, output_signature=signature).batch(32).prefetch(2)


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
