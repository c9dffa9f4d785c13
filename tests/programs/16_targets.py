# budget_mib: 450
# dies: 20
# blame: 20
# cause: a column for each of 400 characters at each of 40 places, as float64: 3,999 x 40 x 400 x 8 bytes are 488
#   MiB, where integers with sparse_categorical_crossentropy need 1 MiB.
"""The next character at each place of a text. After keras-team/keras#9468 and ChunML/text-generator#2."""

import keras
import numpy as np

keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)
characters = 400
length = 40
text = rng.integers(0, characters, 200_000)
starts = np.arange(0, len(text) - length - 1, 50)

x = np.stack([text[s : s + length] for s in starts])
y = np.stack([text[s + 1 : s + length + 1] for s in starts])
y = keras.utils.to_categorical(y, num_classes=characters)

model = keras.Sequential(
    [
        keras.Input((length,), dtype="int32"),
        keras.layers.Embedding(characters, 32),
        keras.layers.GRU(32, return_sequences=True),
        keras.layers.Dense(characters, activation="softmax"),
    ]
)
model.compile("adam", "categorical_crossentropy")
model.fit(x, y, batch_size=32, epochs=1, steps_per_epoch=10, verbose=0)
print("done")
