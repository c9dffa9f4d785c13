# expected: over_budget
# The lab's own trap: it has hardly any parameters, but wide activations at full resolution.
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
            keras.layers.SeparableConv2D(64, 3, padding="same", activation="relu"),
            keras.layers.SeparableConv2D(64, 3, padding="same", activation="relu"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(dataset, epochs=1, verbose=0)
    return model
