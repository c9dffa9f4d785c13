# budget_mib: 400
# dies: 17
# blame: 17
# cause: one float64 column for each of 8,000 customers in 8,000 rows, nearly all zeros: 8,000 x 8,000 x 8 bytes are
#   488 MiB, where integer codes and an Embedding need next to nothing.
"""A table with a column of customer numbers. After tensorflow/tensorflow#50494."""

import keras
import numpy as np

keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)
customers = 8000
ids = rng.permutation(customers)
churned = rng.integers(0, 2, customers)

columns = np.eye(customers)[ids]

model = keras.Sequential([keras.Input((customers,)), keras.layers.Dense(8), keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(columns, churned, batch_size=256, epochs=1, verbose=0)
print("done")
