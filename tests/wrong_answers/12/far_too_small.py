# expected: inaccurate
# Fits any budget but learns nothing: two filters cannot tell ten digits apart.
import keras


def compress(folder, file):
    keras.utils.set_random_seed(0)
    dataset = keras.utils.image_dataset_from_directory(folder, image_size=(48, 48), batch_size=32, seed=0)
    student = keras.Sequential(
        [
            keras.layers.Input((48, 48, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(2, 5, strides=2, activation="relu"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    student.compile("adam", "sparse_categorical_crossentropy")
    student.fit(dataset, epochs=3, verbose=0)
    student.save(file)
