# budget_mib: 400
# dies: 27
# blame: 27
# cause: pairs holds 2 x 36,000 views of pictures that exist once (14 MiB); np.array(pairs) copies each, 36,000 x 2 x
#   48 x 48 float64 = 1,266 MiB, although the pictures are only 800; draw pairs batch by batch.
"""Pairs of signatures for a siamese network. After a question on MemoryError in create_pairs of the Keras example."""

import random

import keras
import numpy as np

rng = np.random.default_rng(0)
x_train = rng.random((800, 48, 48))
y_train = rng.integers(0, 10, 800)


def make_pairs(x, digit_indices):
    pairs, labels = [], []
    each = 36_000 // 20
    for d in range(10):
        for _ in range(each):
            pairs += [[x[random.choice(digit_indices[d])], x[random.choice(digit_indices[d])]]]
            other = digit_indices[(d + random.randrange(1, 10)) % 10]
            pairs += [[x[random.choice(digit_indices[d])], x[random.choice(other)]]]
            labels += [1, 0]
    return np.array(pairs), np.array(labels)


digit_indices = [np.where(y_train == i)[0] for i in range(10)]
tr_pairs, tr_y = make_pairs(x_train, digit_indices)
a, b = keras.Input((48, 48)), keras.Input((48, 48))
base = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(64, activation="relu")])
model = keras.Model([a, b], keras.layers.Dense(1)(keras.layers.Subtract()([base(a), base(b)])))
model.compile("adam", "mse")
model.fit([tr_pairs[:, 0], tr_pairs[:, 1]], tr_y, batch_size=128, epochs=1, verbose=0)
print("done")
