# expected: inaccurate
# Fits in memory and trains well, but on neat scans only: the model has never seen a distorted one.
import keras


def train(folder):
    keras.utils.set_random_seed(0)
    training = keras.utils.image_dataset_from_directory(folder, image_size=(48, 48), seed=0, verbose=False)
    model = keras.Sequential(
        [
            keras.layers.Input((None, None, 3)),
            keras.layers.Resizing(48, 48),
            keras.layers.Rescaling(1 / 255),
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
    model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy")
    model.fit(training, epochs=2, verbose=0)
    return model
