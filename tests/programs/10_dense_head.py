# budget_mib: 600
# dies: 30
# blame: 23
# cause: the Dense layer joins 64 x 64 x 16 = 65,536 values to 480 units, 31 million weights or 120 MiB; with the
#   gradient and Adam's two averages that is 480 MiB, and the update needs more, whatever the batch size.
"""A smaller batch did not help. After tensorflow/tensorflow#16768 and tensorflow/tensor2tensor#782."""

import keras
import numpy as np

keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)
batch_size = 4  # 16, 32 and 64 died too
x = rng.random((64, 128, 128, 3), dtype="float32")
y = rng.integers(0, 10, 64)

model = keras.Sequential(
    [
        keras.Input((128, 128, 3)),
        keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
        keras.layers.MaxPooling2D(2),
        keras.layers.Flatten(),
        keras.layers.Dense(480, activation="relu"),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
early_stopping = keras.callbacks.EarlyStopping(monitor="loss", patience=2)
model.fit(x, y, batch_size=batch_size, epochs=3, callbacks=[early_stopping], verbose=0)
print("done")
