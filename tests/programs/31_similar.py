# budget_mib: 450
# dies: 30
# blame: 30
# cause: a 12,000 x 12,000 float32 matrix of similarities = 549 MiB from embeddings of 5.9 MiB; only the nearest few of
#   each row are used; do it in blocks of rows.
"""Which products look alike: embeddings and their cosine similarity. After a question on recommender notebooks."""

import keras
import numpy as np

rng = np.random.default_rng(1)
items = rng.random((12000, 300), dtype="float32")

encoder = keras.Sequential(
    [
        keras.Input((300,)),
        keras.layers.Dense(256, activation="relu"),
        keras.layers.Dense(128),
    ]
)
decoder = keras.Sequential([keras.Input((128,)), keras.layers.Dense(300)])
auto = keras.Sequential([encoder, decoder])
auto.compile("adam", "mse")
auto.fit(items, items, batch_size=256, epochs=1, verbose=0)

emb = encoder.predict(items, batch_size=512, verbose=0)
emb = emb / np.linalg.norm(emb, axis=1, keepdims=True)

# top ten neighbours of every item
sim = np.matmul(emb, emb.T)
neighbours = np.argsort(-sim, axis=1)[:, 1:11]
print("done", neighbours.shape)
