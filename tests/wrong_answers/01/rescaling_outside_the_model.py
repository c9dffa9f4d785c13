# expected: inaccurate
# The lab's own trap: it streams from files but rescales in the pipeline, so the model has never seen raw pixels.
import keras


def train(folder):
    keras.utils.set_random_seed(0)
    dataset = keras.utils.image_dataset_from_directory(folder, image_size=(96, 96), batch_size=32, seed=0)
    dataset = dataset.map(lambda images, labels: (images / 255, labels))
    model = keras.Sequential(
        [
            keras.layers.Input((96, 96, 3)),
            keras.layers.Conv2D(8, 5, strides=2, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(dataset, epochs=4, verbose=0)
    return model
