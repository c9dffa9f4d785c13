import keras
import numpy as np

rng = np.random.default_rng(0)
pictures = rng.integers(0, 256, (3000, 96, 96, 3), dtype=np.uint8)  # as read from files
digits = rng.integers(0, 10, 3000)

pictures = pictures / 255
layers = keras.layers.Conv2D(16, 3, activation="relu"), keras.layers.Flatten(), keras.layers.Dense(10)
model = keras.Sequential(layers)
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(pictures, digits, batch_size=32, epochs=2)
