# expected: over_budget
# Uses patches, but too many: 24 x 24 tokens with three heads make more pairs than the budget holds.
import keras


def train(folder):
    keras.utils.set_random_seed(0)
    dataset = keras.utils.image_dataset_from_directory(
        folder, image_size=(96, 96), batch_size=12, seed=0, verbose=False
    )
    inputs = keras.Input((96, 96, 3))
    pixels = keras.layers.Rescaling(-1 / 127.5, 1)(inputs)
    tokens = keras.layers.Reshape((24 * 24, 32))(keras.layers.Conv2D(32, 4, strides=4)(pixels))
    normal = keras.layers.LayerNormalization()(tokens)
    tokens = tokens + keras.layers.MultiHeadAttention(num_heads=3, key_dim=8)(normal, normal)
    outputs = keras.layers.Dense(10, activation="softmax")(keras.layers.Flatten()(tokens))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(dataset.take(40), epochs=1, verbose=0)
    return model
