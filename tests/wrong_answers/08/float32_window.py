# expected: over_budget
# The lab's own trap: the policy is set, but a float32 window turns the features back into four-byte numbers.
import keras
import numpy as np
from PIL import Image


def train(folder):
    keras.utils.set_random_seed(0)
    paths = sorted(folder.glob("*/*.jpg"))
    x = np.empty((len(paths), 96, 96, 3), dtype="uint8")
    for index, path in enumerate(paths):
        x[index] = Image.open(path)
    y = np.array([int(path.parent.name) for path in paths])

    keras.config.set_dtype_policy("mixed_bfloat16")
    row = np.linspace(-1, 1, 96)
    window = np.exp(-(row[:, None] ** 2) - row**2)[..., None]
    inputs = keras.Input((96, 96, 3))
    features = keras.layers.Rescaling(1 / 255)(inputs)
    features = keras.layers.Conv2D(40, 3, padding="same")(features)
    features = keras.ops.relu(features * window.astype("float32"))
    features = keras.layers.AveragePooling2D(8)(features)
    for filters in (32, 64, 64):
        features = keras.layers.BatchNormalization(momentum=0.8, dtype="float32")(features)
        features = keras.layers.Conv2D(filters, 3, activation="relu", dtype="float32")(features)
    features = keras.layers.BatchNormalization(momentum=0.8, dtype="float32")(features)
    features = keras.layers.GlobalMaxPooling2D(dtype="float32")(features)
    outputs = keras.layers.Dense(10, activation="softmax", dtype="float32")(features)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")

    generator = np.random.default_rng(0)
    for _ in range(4):
        order = generator.permutation(len(x))
        for start in range(0, len(x), 128):
            rows = order[start : start + 128]
            loss = model.train_on_batch(x[rows], y[rows])
        print("loss", loss)
    return model
