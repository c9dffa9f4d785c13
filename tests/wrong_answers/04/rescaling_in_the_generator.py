# expected: inaccurate
# The lab's own trap: the generator rescales, so the model has never seen the raw pixels that it is given.
import keras
import tensorflow as tf


def train(folder):
    keras.utils.set_random_seed(0)
    generator = tf.keras.preprocessing.image.ImageDataGenerator(
        rescale=1 / 255, shear_range=15, rotation_range=10, zoom_range=(0.95, 1.3)
    )
    batches = generator.flow_from_directory(folder, target_size=(48, 48), batch_size=32, class_mode="sparse", seed=0)
    model = keras.Sequential(
        [
            keras.layers.Input((None, None, 3)),
            keras.layers.Resizing(48, 48),
            keras.layers.Conv2D(16, 5, strides=2, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    rate = keras.optimizers.schedules.CosineDecay(0.005, 4 * 94)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    model.fit(batches, epochs=4, verbose=0)
    return model
