# budget_mib: 300
# dies: 26
# blame: 20
# cause: zca_whitening makes a square matrix over all values of a picture: (48*48*3)^2 = 6,912^2, in float64 8 bytes
#   each = 364 MiB, however few pictures it is fitted on; the pictures take 11 MiB (400) and 4 MiB (150).
"""Augmentation as in an old tutorial. After keras-team/keras-preprocessing#55 and keras-team/keras#1531."""

import keras
import numpy as np
from keras.src.legacy.preprocessing.image import ImageDataGenerator

np.random.seed(0)
X_train = np.random.randint(0, 256, (400, 48, 48, 3)).astype("float32")
Y_train = keras.utils.to_categorical(np.random.randint(0, 10, 400), 10)

datagen = ImageDataGenerator(
    rescale=1.0 / 255,
    featurewise_center=True,
    featurewise_std_normalization=True,
    zca_whitening=True,
    horizontal_flip=True,
    rotation_range=20,
)

# a sample of the pictures is enough for the statistics
datagen.fit(X_train[:150])

model = keras.Sequential([keras.Input((48, 48, 3))])
model.add(keras.layers.Conv2D(16, 3, activation="relu"))
model.add(keras.layers.GlobalAveragePooling2D())
model.add(keras.layers.Dense(10, activation="softmax"))
model.compile("rmsprop", "categorical_crossentropy")
model.fit(datagen.flow(X_train, Y_train, batch_size=16), epochs=1, steps_per_epoch=10, verbose=0)
print("done")
