# expected: over_budget
# The lab's own trap: nine of ten weights are zero now, but a zero still takes four bytes in memory and in the file.
import keras
import numpy as np


def compress(folder, file):
    keras.utils.set_random_seed(0)
    dataset = keras.utils.image_dataset_from_directory(folder, image_size=(48, 48), batch_size=64)
    model = keras.Sequential(
        [
            keras.layers.Input((48, 48, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(16, 5, strides=4, activation="relu"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(1536, activation="relu"),
            keras.layers.Dense(1536, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(dataset, epochs=1, verbose=0)
    weights = model.get_weights()
    for index, values in enumerate(weights):
        if values.ndim > 1:
            weights[index] = np.where(abs(values) > np.quantile(abs(values), 0.9), values, 0)
    model.set_weights(weights)
    keras.Model(model.inputs, model.outputs).save(file)
