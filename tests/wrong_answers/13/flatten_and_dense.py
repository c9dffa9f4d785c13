# expected: out_of_memory
# Leaves mistake 5: it puts everything into a wide dense layer.
import keras
import numpy as np
import tensorflow as tf


def load(name):
    return tf.io.decode_jpeg(tf.io.read_file(name), channels=3, ratio=4)


def train(folder):
    keras.utils.set_random_seed(0)
    paths = sorted(folder.glob("*/*.jpg"))
    names, labels = [str(path) for path in paths], [int(path.parent.name) for path in paths]
    data = tf.data.Dataset.from_tensor_slices((names, labels)).shuffle(len(names), seed=0)
    data = data.map(lambda name, label: (load(name), label)).batch(32).prefetch(1)
    model = keras.Sequential(
        [
            keras.layers.Input((48, 48, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(16, 5, strides=2, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.Flatten(),
            keras.layers.Dense(4096, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    rate = keras.optimizers.schedules.CosineDecay(0.005, 5 * len(data))
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    model.fit(data, epochs=5, verbose=0)
    return model


def predict(model, paths):
    answers = []
    for start in range(0, len(paths), 32):
        pictures = np.stack([load(path) for path in paths[start : start + 32]])
        answers.append(model.predict_on_batch(pictures).argmax(axis=1))
    return np.concatenate(answers)
