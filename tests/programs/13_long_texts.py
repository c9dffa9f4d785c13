# budget_mib: 400
# dies: 31
# blame: 21
# cause: attention compares each of 1,536 tokens with every other: 4 texts x 4 heads x 1,536 x 1,536 float32 scores
#   are 144 MiB, and training holds more than four tensors of that size, about 620 MiB; half the length would
#   need a quarter.
"""A Transformer on whole documents. After CyberZHG/keras-multi-head#1 and allenai/allennlp#2185."""

import keras
import numpy as np

keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)
vocabulary = 5000
length = 1536
tokens = rng.integers(1, vocabulary, (32, length))
labels = rng.integers(0, 2, 32)

inputs = keras.Input((length,), dtype="int32")
x = keras.layers.Embedding(vocabulary, 32)(inputs)
attended = keras.layers.MultiHeadAttention(num_heads=4, key_dim=8)(x, x)
x = keras.layers.LayerNormalization()(x + attended)
hidden = keras.layers.Dense(64, activation="relu")(x)
x = keras.layers.LayerNormalization()(x + keras.layers.Dense(32)(hidden))
x = keras.layers.GlobalAveragePooling1D()(x)
x = keras.layers.Dropout(0.1)(x)
outputs = keras.layers.Dense(1, activation="sigmoid")(x)
model = keras.Model(inputs, outputs)

model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
model.fit(tokens, labels, batch_size=4, epochs=1, verbose=0)
print("done")
