# expected: inaccurate
# Fits in memory at the cost of accuracy: it cuts the sequence after the top quarter of the scan.
import keras


def train(folder):
    keras.utils.set_random_seed(0)
    dataset = keras.utils.image_dataset_from_directory(
        folder, image_size=(96, 96), batch_size=32, seed=0, verbose=False
    )
    inputs = keras.Input((96, 96, 3))
    pixels = keras.layers.Rescaling(-1 / 127.5, 1)(inputs)
    patches = keras.layers.Conv2D(32, 8, strides=8)(pixels)
    tokens = keras.layers.Reshape((12 * 12, 32))(patches)[:, : 3 * 12]
    normal = keras.layers.LayerNormalization()(tokens)
    tokens = tokens + keras.layers.MultiHeadAttention(num_heads=4, key_dim=8)(normal, normal)
    outputs = keras.layers.Dense(10, activation="softmax")(keras.layers.Flatten()(tokens))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(dataset, epochs=3, verbose=0)
    return model
