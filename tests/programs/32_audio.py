# budget_mib: 350
# dies: 24
# blame: 24
# cause: tf.signal.stft on all 300 clips at once: frames that overlap (1,024 long, every 128) are 8 times the waves (73
#   MiB) = 586 MiB float32 before the transform; make the spectrogram in map() or in a layer, a clip at a time.
"""Keywords in speech, as spectrograms. After a question on the simple audio tutorial with one's own recordings."""

import keras
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(2)


def load_waves(count=300, seconds=4, rate=16000):
    waves = np.zeros((count, seconds * rate), dtype="float32")
    for i in range(count):
        waves[i] = rng.normal(0, 0.1, seconds * rate)
    return waves


waves = load_waves()
labels = rng.integers(0, 8, len(waves))
spec = tf.abs(tf.signal.stft(waves, frame_length=1024, frame_step=128))
spec = spec[..., tf.newaxis]

model = keras.Sequential([keras.Input(spec.shape[1:]), keras.layers.Resizing(32, 32)])
model.add(keras.layers.Conv2D(16, 3, activation="relu"))
model.add(keras.layers.GlobalMaxPooling2D())
model.add(keras.layers.Dense(8, activation="softmax"))
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(spec, labels, batch_size=16, epochs=1, verbose=0)
print("done")
