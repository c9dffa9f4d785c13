# expected: out_of_memory
# Fixes nothing: every pixel attends to every pixel, as in the crash. A batch of one with one head is still N x N.
import keras


def train(folder):
    keras.utils.set_random_seed(0)
    dataset = keras.utils.image_dataset_from_directory(folder, image_size=(96, 96), batch_size=1, seed=0, verbose=False)
    inputs = keras.Input((96, 96, 3))
    pixels = keras.layers.Rescaling(-1 / 127.5, 1)(inputs)
    tokens = keras.layers.Dense(8)(keras.layers.Reshape((96 * 96, 3))(pixels))
    tokens = tokens + keras.layers.MultiHeadAttention(num_heads=1, key_dim=8)(tokens, tokens)
    outputs = keras.layers.Dense(10, activation="softmax")(keras.layers.GlobalMaxPooling1D()(tokens))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(dataset, epochs=1, verbose=0)
    return model
