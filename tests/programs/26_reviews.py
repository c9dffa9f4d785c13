# budget_mib: 700
# dies: 32
# blame: 25
# cause: np.array(texts) is of fixed width <U22381, 4 bytes a character, because one text (line 22) is 22,381 long:
#   6,000 x 22,381 x 4 = 512 MiB, and X[train_idx] copies 5,000 of them, another 427 MiB; dtype=object or
#   tf.constant keeps the real lengths (about 4 MiB).
"""Reviews, good or bad, as plain text. After dragnet-org/dragnet#99 and numpy/numpy#24822."""

import random

import keras
import numpy as np

random.seed(2)
words = ["good", "bad", "film", "actor", "boring", "great", "the", "a", "was"] + [f"word{i}" for i in range(3000)]

texts, labels = [], []
for _ in range(6000):
    texts.append(" ".join(random.choices(words, k=random.randint(20, 150))))
    labels.append(random.randint(0, 1))
# somebody pasted the whole script of the film
texts[1234] = " ".join(random.choices(words, k=2600))

y = np.array(labels)
X = np.array(texts)
order = np.random.default_rng(0).permutation(len(y))
n_val = 1000
val_idx, train_idx = order[:n_val], order[n_val:]

vectorize = keras.layers.TextVectorization(max_tokens=20_000, output_sequence_length=200)
vectorize.adapt(texts)
X_train, X_val = vectorize(X[train_idx]), vectorize(X[val_idx])

model = keras.Sequential(
    [
        keras.Input((200,), dtype="int64"),
        keras.layers.Embedding(20_000, 64),
        keras.layers.GlobalAveragePooling1D(),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
)
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
model.fit(X_train, y[train_idx], validation_data=(X_val, y[val_idx]), batch_size=128, epochs=1, verbose=0)
print("done")
