# expected: over_budget
# Trains the right student, but `save` also writes Adam's state into the file: two more numbers for each weight.
import keras


def compress(folder, file):
    keras.utils.set_random_seed(0)
    dataset = keras.utils.image_dataset_from_directory(
        folder, image_size=(48, 48), batch_size=32, seed=0, verbose=False
    )
    student = keras.Sequential(
        [
            keras.layers.Input((48, 48, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(12, 5, strides=2, padding="same", activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.Conv2D(24, 3, strides=2, padding="same", activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.Conv2D(48, 3, padding="same", activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    epochs = 7
    rate = keras.optimizers.schedules.CosineDecay(0.01, epochs * len(dataset))
    student.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    student.fit(dataset, epochs=epochs, verbose=2)
    student.save(file)
