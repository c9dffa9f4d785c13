# budget_mib: 400
# dies: 21
# blame: 19
# cause: a dense float64 matrix of 7,000 x 10,000 has 534 MiB, 2 % of it not zero; `zeros` cost nothing until the
#   loop wrote to every row.
"""A bag of words for each text. After sararob/keras-wine-model#1 and tensorflow/tensorflow#30261."""

import keras
import numpy as np

keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)
vocabulary = 10_000
texts = [rng.integers(0, vocabulary, 200) for _ in range(7000)]
points = rng.random(7000, dtype="float32")


def bag_of_words(texts):
    matrix = np.zeros((len(texts), vocabulary))
    for row, words in enumerate(texts):
        matrix[row, words] = 1.0
    return matrix


x = bag_of_words(texts)

model = keras.Sequential([keras.Input((vocabulary,)), keras.layers.Dense(16, activation="relu"), keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(x, points, batch_size=128, epochs=1, verbose=0)
print("done")
