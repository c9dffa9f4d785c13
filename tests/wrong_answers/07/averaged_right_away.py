# expected: inaccurate
# Fits in memory at the cost of accuracy: it averages over the whole picture right away, so no shape is left to see.
import keras


def train(folder):
    keras.utils.set_random_seed(0)
    dataset = keras.utils.image_dataset_from_directory(
        folder, image_size=(64, 64), batch_size=32, seed=0, verbose=False
    )
    model = keras.Sequential(
        [
            keras.layers.Input((64, 64, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(8, 3, strides=2, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(dataset, epochs=3, verbose=0)
    return model
