# budget_mib: 350
# dies: 53
# blame: 38
# cause: the shuffle buffer stands after the map, so it holds all 2,000 decoded float32 pictures: 160*160*3*4 bytes
#   = 0.29 MiB each, 586 MiB; cache() before the map keeps only paths, prefetch and batch are innocent; shuffle the
#   paths or take a buffer of 100.
"""Pictures of flowers from a folder. After tensorflow/tensorflow#32376 and tensorflow/models#7725."""

import pathlib

import keras
import numpy as np
import tensorflow as tf

IMG_SIZE = 160
BATCH_SIZE = 32
AUTOTUNE = tf.data.AUTOTUNE

folder = pathlib.Path("flowers")
folder.mkdir()
for number in range(20):
    noise = np.random.default_rng(number).integers(0, 256, (200, 200, 3), dtype="uint8")
    (folder / f"{number % 5}_{number}.jpg").write_bytes(tf.io.encode_jpeg(noise).numpy())


def load_image(path, label):
    img = tf.io.read_file(path)
    img = tf.io.decode_jpeg(img, channels=3)
    img = tf.image.resize(img, [IMG_SIZE, IMG_SIZE])
    return img / 255.0, label


def prepare(paths, labels, training):
    ds = tf.data.Dataset.from_tensor_slices((paths, labels))
    ds = ds.cache()
    ds = ds.map(load_image, num_parallel_calls=2)
    if training:
        ds = ds.shuffle(buffer_size=len(paths))
    ds = ds.batch(BATCH_SIZE)
    return ds.prefetch(AUTOTUNE)


paths = sorted(str(p) for p in folder.glob("*.jpg")) * 100
labels = [int(pathlib.Path(p).name[0]) for p in paths]
train_ds = prepare(paths, labels, training=True)
val_ds = prepare(paths[:64], labels[:64], training=False)

model = keras.Sequential([keras.Input((IMG_SIZE, IMG_SIZE, 3))])
model.add(keras.layers.Conv2D(8, 3, strides=4, activation="relu"))
model.add(keras.layers.GlobalMaxPooling2D())
model.add(keras.layers.Dense(5, activation="softmax"))
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(train_ds, validation_data=val_ds, epochs=2, verbose=0)
print("done")
