# expected: inaccurate
# Saves memory by leaving out the shuffling, so each batch holds only one class.
import keras
import tensorflow as tf


def make_dataset(folder):
    def load(path, label):
        return tf.ensure_shape(tf.io.decode_jpeg(tf.io.read_file(path), channels=3), (64, 64, 3)), label

    paths = sorted(folder.glob("*/*.jpg"))
    names = [str(path) for path in paths]
    labels = [int(path.parent.name) for path in paths]
    dataset = tf.data.Dataset.from_tensor_slices((names, labels))
    dataset = dataset.map(load, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.batch(32).prefetch(2)


def train(folder):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Input((64, 64, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(8, 5, strides=2, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(make_dataset(folder), epochs=5, verbose=0)
    return model
