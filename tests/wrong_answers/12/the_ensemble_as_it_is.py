# expected: out_of_memory
# Fixes nothing: three wide networks in one file are three wide networks in memory.
import keras


def member(number):
    return keras.Sequential(
        [
            keras.layers.Input((48, 48, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(16, 5, strides=4, activation="relu"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(1536, activation="relu"),
            keras.layers.Dense(1536, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ],
        name=f"member_{number}",
    )


def compress(folder, file):
    keras.utils.set_random_seed(0)
    dataset = keras.utils.image_dataset_from_directory(folder, image_size=(48, 48), batch_size=64)
    inputs = keras.Input((48, 48, 3))
    members = [member(number) for number in range(3)]
    ensemble = keras.Model(inputs, keras.layers.average([member(inputs) for member in members]))
    ensemble.compile("adam", "sparse_categorical_crossentropy")
    ensemble.fit(dataset, epochs=1, verbose=0)
    ensemble.save(file)
