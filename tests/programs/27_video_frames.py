# budget_mib: 550
# dies: 47
# blame: 44
# cause: max_queue_size=100 lets the four workers run ahead of the slower training: each batch is 32*160*160*3*4
#   bytes = 9.4 MiB, 100 waiting = 940 MiB; the rest, about 200 MiB, is the batch in training; a queue of 10 is
#   enough.
"""A Sequence that reads batches of frames. After keras-team/keras#11671 and keras-team/keras#8668."""

import keras
import numpy as np


class FrameSequence(keras.utils.PyDataset):
    """Batches are made when they are asked for, so nothing is kept in memory."""

    def __init__(self, ids, batch_size, **kwargs):
        super().__init__(**kwargs)
        self.ids = ids
        self.batch_size = batch_size

    def __len__(self):
        return len(self.ids) // self.batch_size

    def __getitem__(self, index):
        chosen = self.ids[index * self.batch_size : (index + 1) * self.batch_size]
        rng = np.random.default_rng(index)
        X = rng.random((len(chosen), 160, 160, 3), dtype="float32")
        y = chosen % 6
        return X, y


model = keras.Sequential(
    [
        keras.Input((160, 160, 3)),
        keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
        keras.layers.MaxPooling2D(4),
        keras.layers.Conv2D(16, 3, activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(6, activation="softmax"),
    ]
)
model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")

train_gen = FrameSequence(np.arange(4800), batch_size=32, workers=4, use_multiprocessing=False, max_queue_size=100)
val_gen = FrameSequence(np.arange(64), batch_size=8)

model.fit(train_gen, validation_data=val_gen, epochs=1, verbose=0)
print("done")
