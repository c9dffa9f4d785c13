"""The models of ``benchmarks/fit.py``: each function returns a Keras model with random weights, not compiled.

The constants of `course_utils.fit.static` were chosen on the models of `FITTED_ON`, and on none of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers


def small_cnn() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((96, 96, 3)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(256, activation="relu"),
            layers.Dense(10, activation="softmax", dtype="float32"),
        ]
    )


def dense() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((4096,)),
            layers.Dense(4096, activation="relu"),
            layers.Dense(4096, activation="relu"),
            layers.Dense(10, activation="softmax", dtype="float32"),
        ]
    )


def lstm() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((200, 64)),
            layers.LSTM(256, return_sequences=True),
            layers.LSTM(256),
            layers.Dense(10, activation="softmax", dtype="float32"),
        ]
    )


def _twice(x: Any, filters: int) -> Any:
    for _ in range(2):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    return x


def unet() -> keras.Model:
    inputs = keras.Input((128, 128, 3))
    first = _twice(inputs, 32)
    second = _twice(layers.MaxPooling2D()(first), 64)
    x = _twice(layers.MaxPooling2D()(second), 128)
    x = _twice(layers.Concatenate()([layers.UpSampling2D()(x), second]), 64)
    x = _twice(layers.Concatenate()([layers.UpSampling2D()(x), first]), 32)
    return keras.Model(inputs, layers.Conv2D(10, 1, activation="softmax", dtype="float32")(x))


def _attend(x: Any, heads: int, width: int, dropout: float = 0.0) -> Any:
    size = x.shape[-1]
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(heads, size // heads, dropout=dropout)(x, x))
    hidden = layers.Dense(size)(layers.Dense(width, activation="relu")(x))
    return layers.LayerNormalization()(x + hidden)


def transformer() -> keras.Model:
    inputs = x = keras.Input((256, 256))
    for _ in range(4):
        x = _attend(x, 8, 1024)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax", dtype="float32")(x))


def _application(name: str, size: int) -> Callable[[], keras.Model]:
    def build() -> keras.Model:
        inputs = keras.Input((size, size, 3))
        network = getattr(keras.applications, name)(
            weights=None, include_top=False, pooling="avg", input_shape=(size, size, 3)
        )
        outputs = layers.Dense(10, activation="softmax", dtype="float32")(network(inputs))
        return keras.Model(inputs, outputs)

    return build


def vgg16_whole() -> keras.Model:
    return keras.applications.VGG16(weights=None, input_shape=(160, 160, 3), classes=10)


FITTED_ON: dict[str, Callable[[], keras.Model]] = {
    "small_cnn": small_cnn,
    "dense": dense,
    "lstm": lstm,
    "unet": unet,
    "transformer": transformer,
    "VGG16": _application("VGG16", 96),
    "MobileNetV2": _application("MobileNetV2", 96),
    "ResNet50": _application("ResNet50", 96),
}


def perceptron() -> keras.Model:
    inputs = x = keras.Input((600,))
    for width in (3000, 2000, 1000):
        x = layers.Dropout(0.3)(layers.BatchNormalization()(layers.Dense(width, activation="gelu")(x)))
    return keras.Model(inputs, layers.Dense(10, activation="softmax", dtype="float32")(x))


def gru() -> keras.Model:
    inputs = x = keras.Input((120, 32))
    x = layers.GRU(192, return_sequences=True)(x)
    x = layers.GRU(96)(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax", dtype="float32")(x))


def reviews() -> keras.Model:
    inputs = keras.Input((150,), dtype="int32")
    x = layers.Embedding(20_000, 128)(inputs)
    x = layers.Bidirectional(layers.LSTM(64))(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax", dtype="float32")(x))


def bag_of_words() -> keras.Model:
    inputs = keras.Input((400,), dtype="int32")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(50_000, 64)(inputs))
    x = layers.Dense(256, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax", dtype="float32")(x))


def vision_transformer() -> keras.Model:
    inputs = keras.Input((96, 96, 3))
    x = layers.Reshape((144, 192))(layers.Conv2D(192, 8, strides=8)(inputs))
    for _ in range(6):
        x = _attend(x, 6, 384, dropout=0.1)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax", dtype="float32")(x))


def volumes() -> keras.Model:
    inputs = x = keras.Input((32, 48, 48, 1))
    for filters in (16, 32, 64):
        x = layers.Conv3D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling3D()(x)
    x = layers.GlobalAveragePooling3D()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax", dtype="float32")(x))


def segmentation() -> keras.Model:
    inputs = x = keras.Input((96, 96, 3))
    kept = []
    for filters in (24, 48, 96):
        x = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        kept.append(x)
        x = layers.MaxPooling2D()(x)
    for filters, skip in zip((96, 48, 24), reversed(kept), strict=True):
        x = layers.Conv2DTranspose(filters, 3, strides=2, padding="same", activation="relu")(x)
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(layers.Add()([x, skip]))
    return keras.Model(inputs, layers.Conv2D(4, 1, activation="softmax", dtype="float32")(x))


def two_towers() -> keras.Model:
    users, items = keras.Input((), dtype="int32"), keras.Input((300,))
    left = layers.Dense(256, activation="relu")(layers.Embedding(100_000, 64)(users))
    right = layers.Dense(256, activation="relu")(layers.Dense(1024, activation="relu")(items))
    both = layers.Concatenate()([left, right, layers.Multiply()([left, right])])
    return keras.Model([users, items], layers.Dense(10, activation="softmax", dtype="float32")(both))


class Residual(keras.Model):
    """A model whose shapes are known only when it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = layers.Conv2D(32, 3, padding="same", activation="relu")
        self.convolutions = [layers.Conv2D(32, 3, padding="same", activation="swish") for _ in range(6)]
        self.pool = layers.GlobalAveragePooling2D()
        self.head = layers.Dense(10, activation="softmax", dtype="float32")

    def call(self, inputs: Any) -> Any:
        x = self.stem(inputs)
        for convolution in self.convolutions:
            x = x + convolution(x)
        return self.head(self.pool(x))


def subclassed() -> keras.Model:
    model = Residual()
    model(keras.ops.zeros((1, 64, 64, 3)))
    return model


def waves() -> keras.Model:
    inputs = x = keras.Input((4096, 2))
    for filters in (32, 64, 96, 128):
        x = layers.Conv1D(filters, 9, strides=2, padding="same")(x)
        x = layers.ELU()(layers.LayerNormalization()(x))
    x = layers.GlobalMaxPooling1D()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax", dtype="float32")(x))


def depthwise() -> keras.Model:
    inputs = x = keras.Input((112, 112, 3))
    for filters in (32, 64, 128):
        x = layers.DepthwiseConv2D(5, padding="same")(layers.Conv2D(filters, 1)(x))
        x = layers.LeakyReLU()(layers.GroupNormalization(8)(x))
        x = layers.AveragePooling2D(2)(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax", dtype="float32")(layers.Flatten()(x)))


OTHERS: dict[str, Callable[[], keras.Model]] = {
    function.__name__: function
    for function in (
        perceptron,
        gru,
        reviews,
        bag_of_words,
        vision_transformer,
        volumes,
        segmentation,
        two_towers,
        subclassed,
        waves,
        depthwise,
    )
} | {
    name: _application(name, size)
    for name, size in {
        "MobileNet": 96,
        "MobileNetV3Small": 96,
        "MobileNetV3Large": 96,
        "EfficientNetB0": 96,
        "EfficientNetV2B0": 96,
        "ResNet50V2": 96,
        "VGG19": 96,
        "DenseNet121": 64,
        "Xception": 96,
        "InceptionV3": 96,
        "NASNetMobile": 64,
        "ConvNeXtTiny": 64,
    }.items()
}
OPTIMIZERS: dict[str, Callable[[], keras.optimizers.Optimizer]] = {
    "adam": lambda: keras.optimizers.Adam(1e-3),
    "momentum": lambda: keras.optimizers.SGD(1e-2, momentum=0.9),
}


def compiled(name: str, optimizer: str, policy: str) -> keras.Model:
    """Return the model of this name, ready to train."""
    keras.config.set_dtype_policy(policy)
    model = (FITTED_ON | OTHERS)[name]()
    model.compile(optimizer=OPTIMIZERS[optimizer](), loss="sparse_categorical_crossentropy")
    return model
