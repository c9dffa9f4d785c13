# budget_mib: 600
# dies: 27
# blame: 27
# cause: `predict` keeps the output of every batch and joins them at the end: 300 x 128 x 128 x 21 float32
#   probabilities are 394 MiB, and 394 MiB again in the joined array; a batch of 8 makes only 10 MiB.
"""A mask for each of the test pictures. After keras-team/keras#21642 and tensorflow/tensorflow#42862."""

import keras
import numpy as np

keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)
classes = 21
x_test = rng.random((300, 128, 128, 3), dtype="float32")

model = keras.Sequential(
    [
        keras.Input((128, 128, 3)),
        keras.layers.Conv2D(8, 3, padding="same", activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Conv2D(classes, 1, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy")

# model.load_weights("unet.weights.h5")
probabilities = model.predict(x_test, batch_size=8, verbose=0)
masks = np.argmax(probabilities, axis=-1).astype("uint8")
np.save("masks.npy", masks)
print("done")
