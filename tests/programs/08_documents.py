# budget_mib: 300
# dies: 17
# blame: 17
# cause: one text of 25,000 words makes all 4,001 rows 25,000 long, nearly all padding: 4,001 x 25,000 x 4 bytes are
#   382 MiB.
"""Documents of different lengths. After GlassyWing/transformer-word-segmenter#14 and keras-team/keras#9007."""

import keras
import numpy as np

keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)
documents = [rng.integers(1, 20_000, int(words)) for words in rng.integers(50, 400, 4000)]
documents.append(rng.integers(1, 20_000, 25_000))
labels = rng.integers(0, 2, len(documents))

x = keras.utils.pad_sequences(documents, padding="post")
print("padded to", x.shape)

model = keras.Sequential(
    [
        keras.Input((None,), dtype="int32"),
        keras.layers.Embedding(20_000, 8),
        keras.layers.GlobalAveragePooling1D(),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
)
model.compile("adam", "binary_crossentropy")
model.fit(x, labels, batch_size=16, epochs=1, steps_per_epoch=10, verbose=0)
print("done")
