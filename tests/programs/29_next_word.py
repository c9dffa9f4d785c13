# budget_mib: 300
# dies: 43
# blame: 36
# cause: Dense(20,000) at each of 60 places: the output is 32*60*20,000*4 bytes = 146 MiB, and logits, softmax and
#   gradients need two to three of them (about 315 of the 432 MiB); the weights and the embedding are 5 MiB each; a
#   smaller batch or vocabulary.
"""The next word at each place of a sentence. After keras-team/keras#9150 and keras-team/keras#20005."""

import keras
import numpy as np

vocab_size = 20_000
maxlen = 60
embedding_dim = 64

rng = np.random.default_rng(9)
corpus = rng.integers(1, vocab_size, 40_000)


def make_sequences(corpus):
    inputs, targets = [], []
    for start in range(0, len(corpus) - maxlen - 1, 20):
        inputs.append(corpus[start : start + maxlen])
        targets.append(corpus[start + 1 : start + maxlen + 1])
    return np.array(inputs), np.array(targets)


inputs, targets = make_sequences(corpus)
print("sequences", inputs.shape, targets.shape)

model = keras.Sequential(
    [
        keras.Input((maxlen,), dtype="int32"),
        keras.layers.Embedding(vocab_size, embedding_dim),
        keras.layers.LSTM(64, return_sequences=True),
        keras.layers.Dense(vocab_size, activation="softmax"),
    ]
)
# integer targets: no one-hot needed
model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")
model.summary()

model.fit(inputs, targets, batch_size=32, epochs=1, steps_per_epoch=8, verbose=0)
print("done")
