# budget_mib: 400
# dies: 38
# blame: 25
# cause: `prefetch` after `batch` counts batches, not pictures: it makes 64 batches of 64 x 96 x 96 x 3 float32
#   values ready, 6.75 MiB each and 432 MiB in all; the shuffle buffer holds only numbers.
"""Batches made ready ahead of time. After aymericdamien/TensorFlow-Examples#314 and aloyschen/tensorflow-yolo3#12."""

import keras
import tensorflow as tf

keras.utils.set_random_seed(1)
batch_size = 64


def decode(number):
    """Stands for reading and decoding a file."""
    image = tf.random.stateless_uniform((96, 96, 3), seed=tf.stack([number, 7]))
    return image, number % 4


dataset = tf.data.Dataset.range(8000)
dataset = dataset.shuffle(8000)
dataset = dataset.map(decode, num_parallel_calls=2)
dataset = dataset.batch(batch_size)
dataset = dataset.prefetch(batch_size)

model = keras.Sequential(
    [
        keras.Input((96, 96, 3)),
        keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
        keras.layers.MaxPooling2D(2),
        keras.layers.Conv2D(64, 3, padding="same", activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(4, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(dataset, epochs=1, steps_per_epoch=20, verbose=0)
print("done")
