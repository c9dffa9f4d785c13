# expected: out_of_memory
# Attends to neighbors only, but through a mask: the whole square is computed first, and the mask is a second one.
import keras


def train(folder):
    keras.utils.set_random_seed(0)
    dataset = keras.utils.image_dataset_from_directory(
        folder, image_size=(96, 96), batch_size=32, seed=0, verbose=False
    )
    inputs = keras.Input((96, 96, 3))
    pixels = keras.layers.Rescaling(-1 / 127.5, 1)(inputs)
    patches = keras.layers.Conv2D(32, 4, strides=4)(pixels)
    tokens = keras.layers.Reshape((24 * 24, 32))(patches)
    place = keras.ops.arange(24 * 24)
    row, column = place // 24, place % 24
    near = keras.ops.abs(row[:, None] - row) + keras.ops.abs(column[:, None] - column) < 3
    attention = keras.layers.MultiHeadAttention(num_heads=4, key_dim=8)
    tokens = tokens + attention(tokens, tokens, attention_mask=near[None])
    outputs = keras.layers.Dense(10, activation="softmax")(keras.layers.Flatten()(tokens))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(dataset, epochs=1, verbose=0)
    return model
