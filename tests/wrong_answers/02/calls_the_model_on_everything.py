# expected: out_of_memory
# The lab's own trap: it fits with small batches, then checks the model on all scans in one batch.
import keras
import numpy as np
from PIL import Image


def train(folder):
    keras.utils.set_random_seed(0)
    paths = sorted(folder.glob("*/*.jpg"))
    x = np.stack([np.asarray(Image.open(path)) for path in paths])
    y = np.array([int(path.parent.name) for path in paths])
    model = keras.Sequential(
        [
            keras.layers.Input((64, 64, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(16, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=32, epochs=4, verbose=0)
    guesses = np.argmax(model(x, training=False), axis=1)
    print(f"Accuracy on the training scans: {np.mean(guesses == y):.3f}")
    return model
