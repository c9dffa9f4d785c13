# budget_mib: 600
# dies: 21
# blame: 21
# cause: calling the model makes one batch of all 400 validation pictures: 400 x 96 x 96 x 32 float32 outputs of the
#   convolution are 450 MiB at once, where training at batch 8 makes 9 MiB.
"""A figure of one's own after each epoch. After keras-team/keras#246 and the advice in tensorflow/tensorflow#44711."""

import keras
import numpy as np

keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)
x_train = rng.random((256, 96, 96, 3), dtype="float32")
y_train = rng.integers(0, 4, 256)
x_val = rng.random((400, 96, 96, 3), dtype="float32")
y_val = rng.integers(0, 4, 400)


class Balanced(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        answer = np.argmax(self.model(x_val, training=False), axis=-1)
        print("balanced accuracy", np.mean([np.mean(answer[y_val == k] == k) for k in range(4)]))


model = keras.Sequential(
    [
        keras.Input((96, 96, 3)),
        keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
        keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dense(4, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(x_train, y_train, batch_size=8, epochs=1, callbacks=[Balanced()], verbose=0)
print("done")
