# budget_mib: 400
# dies: 33
# blame: 21
# cause: `cache()` keeps all 6,000 float32 pictures of 96 x 96 x 3, 633 MiB; the shuffle buffer of 100 beside it
#   holds 11 MiB and is innocent.
"""A tf.data pipeline. After google/automl#1068 and larq/zoo#258."""

import keras
import tensorflow as tf

keras.utils.set_random_seed(1)


def picture(number):
    image = tf.random.stateless_uniform((96, 96, 3), seed=tf.stack([number, number + 1]))
    return image, number % 4


train = tf.data.Dataset.range(6000)
train = train.map(picture, num_parallel_calls=2)
train = train.cache().shuffle(100).batch(32)
train = train.prefetch(1)

model = keras.Sequential(
    [
        keras.Input((96, 96, 3)),
        keras.layers.AveragePooling2D(8),
        keras.layers.Flatten(),
        keras.layers.Dense(4, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(train, epochs=2, verbose=0)
print("done")
