# budget_mib: 300
# dies: 23
# blame: 23
# cause: `flow` makes a float32 copy of the whole uint8 array: 1,200 x 160 x 160 x 3 values are 88 MiB as bytes and
#   352 MiB more as float32; turning, scaling and the batch of 64 have not begun.
"""Pictures turned and flipped while training. After 1297rohit/RCNN#2 and mjkvaak/ImageDataAugmentor#19."""

import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)
pictures = rng.integers(0, 256, (1200, 160, 160, 3), dtype="uint8")
labels = keras.utils.to_categorical(rng.integers(0, 5, 1200))

augment = tf.keras.preprocessing.image.ImageDataGenerator(
    rescale=1 / 255,
    rotation_range=15,
    zoom_range=0.1,
    horizontal_flip=True,
)
train = augment.flow(pictures, labels, batch_size=64)

model = keras.Sequential(
    [
        keras.Input((160, 160, 3)),
        keras.layers.Conv2D(8, 3, strides=2, activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(5, activation="softmax"),
    ]
)
model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
model.fit(train, steps_per_epoch=4, epochs=1, verbose=0)
print("done")
