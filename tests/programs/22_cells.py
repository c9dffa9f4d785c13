# budget_mib: 700
# dies: 59
# blame: 49
# cause: the outputs of all layers are kept for the backward pass: about 30 MiB a picture at 256x256 (8 to 24
#   channels at full resolution, 2 to 6 MiB each) times batch(32) = about 960 MiB; the pictures (16 MiB), the
#   shuffle buffer and the weights are small.
"""A U-Net for cells. After Hsankesara/DeepResearch#5, HLearning/unet_keras#1 and jakeret/tf_unet#61."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers


class Config:
    image_size = 256
    filters = 8
    epochs = 1
    shuffle_buffer = 64


def double_conv(x, filters):
    x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    return layers.Conv2D(filters, 3, padding="same", activation="relu")(x)


def build_unet(cfg):
    inputs = keras.Input((cfg.image_size, cfg.image_size, 1))
    c1 = double_conv(inputs, cfg.filters)
    p1 = layers.MaxPooling2D()(c1)
    c2 = double_conv(p1, 2 * cfg.filters)
    p2 = layers.MaxPooling2D()(c2)
    c3 = double_conv(p2, 4 * cfg.filters)
    u2 = layers.concatenate([layers.UpSampling2D()(c3), c2])
    c4 = double_conv(u2, 2 * cfg.filters)
    u1 = layers.concatenate([layers.UpSampling2D()(c4), c1])
    c5 = double_conv(u1, cfg.filters)
    outputs = layers.Conv2D(1, 1, activation="sigmoid")(c5)
    return keras.Model(inputs, outputs)


cfg = Config()
rng = np.random.default_rng(7)
imgs = rng.random((64, cfg.image_size, cfg.image_size, 1), dtype="float32")
masks = (imgs > 0.5).astype("float32")

dataset = tf.data.Dataset.from_tensor_slices((imgs, masks))
dataset = dataset.shuffle(cfg.shuffle_buffer)
dataset = dataset.batch(32, drop_remainder=True)
dataset = dataset.repeat(2).prefetch(1)

model = build_unet(cfg)
model.compile(optimizer="adam", loss="binary_crossentropy")
print(model.count_params(), "parameters")

# a look at two pictures first
print("before:", model.predict(imgs[:2], verbose=0).mean())

model.fit(dataset, epochs=cfg.epochs, verbose=0)
print("done")
