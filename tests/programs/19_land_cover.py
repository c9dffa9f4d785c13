# budget_mib: 550
# dies: 38
# blame: 38
# cause: predict keeps the softmax of every picture until the end: 128*128*20*4 bytes = 1.25 MiB a picture, 320
#   pictures = 400 MiB, and joining the pieces needs up to three times that (1,305 MiB in all); batch_size=1 does
#   not help, predict and argmax by parts would.
"""Land cover from the air: a class for each pixel. After keras-team/keras#21642 and keras-team/keras#5337."""

import keras
import numpy as np
from keras import layers

NUM_CLASSES = 20

rng = np.random.default_rng(3)
train_imgs = rng.integers(0, 256, (64, 128, 128, 3), dtype="uint8")
train_masks = rng.integers(0, NUM_CLASSES, (64, 128, 128), dtype="uint8")
test_imgs = rng.integers(0, 256, (320, 128, 128, 3), dtype="uint8")
test_masks = rng.integers(0, NUM_CLASSES, (320, 128, 128), dtype="uint8")


def get_model():
    inputs = keras.Input((128, 128, 3))
    x = layers.Rescaling(1.0 / 255)(inputs)
    x = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.UpSampling2D(2)(x)
    outputs = layers.Conv2D(NUM_CLASSES, 1, activation="softmax")(x)
    return keras.Model(inputs, outputs)


model = get_model()
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
hist = model.fit(train_imgs, train_masks, batch_size=4, epochs=1, verbose=0)

ious = []
predictions = []
# one picture at a time, to be gentle with the memory
preds = model.predict(test_imgs, batch_size=1, verbose=0)
for mask, pred in zip(test_masks, preds):
    label = np.argmax(pred, axis=-1)
    predictions.append(label.astype("uint8"))
    ious.append(np.mean([((mask == c) & (label == c)).sum() / ((mask == c) | (label == c)).sum() for c in range(4)]))
print("mean IoU", np.mean(ious))
print("done")
