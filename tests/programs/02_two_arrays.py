# budget_mib: 600
# dies: 27
# blame: 27
# cause: `fit` makes a tensor of each array, training and validation, beside the array: 2 x 187.5 = 375 MiB of arrays
#   need 750 MiB; the batch of 4 is innocent.
"""A small network on arrays, with validation data. After tensorflow/tensorflow#40942 and keras-team/keras#15887."""

import keras
import numpy as np

keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)
x_train = rng.random((3000, 128, 128, 1), dtype="float32")
y_train = rng.integers(0, 2, 3000)
x_val = rng.random((3000, 128, 128, 1), dtype="float32")
y_val = rng.integers(0, 2, 3000)

model = keras.Sequential(
    [
        keras.Input((128, 128, 1)),
        keras.layers.Conv2D(4, 5, strides=4, activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(2, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(x_train, y_train, batch_size=4, epochs=1, validation_data=(x_val, y_val), verbose=0)
print("done")
