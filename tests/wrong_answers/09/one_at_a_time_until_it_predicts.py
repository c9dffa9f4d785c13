# expected: out_of_memory
# The lab's own trap: a batch of one fits in training, but then it predicts 32 scans at once, each with its square.
import keras


def train(folder):
    keras.utils.set_random_seed(0)
    dataset = keras.utils.image_dataset_from_directory(folder, image_size=(96, 96), batch_size=1, seed=0, verbose=False)
    inputs = keras.Input((96, 96, 3))
    pixels = keras.layers.Rescaling(-1 / 127.5, 1)(inputs)
    patches = keras.layers.Conv2D(8, 2, strides=2)(pixels)
    tokens = keras.layers.Reshape((48 * 48, 8))(patches)
    tokens = tokens + keras.layers.MultiHeadAttention(num_heads=1, key_dim=8)(tokens, tokens)
    outputs = keras.layers.Dense(10, activation="softmax")(keras.layers.GlobalMaxPooling1D()(tokens))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(dataset.take(100), epochs=1, verbose=0)
    return model
