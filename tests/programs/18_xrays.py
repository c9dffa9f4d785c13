# budget_mib: 400
# dies: 33
# blame: 19
# cause: `/ 255.0` makes float64: 128*128*3*8 bytes = 0.375 MiB a picture, so the list of 800 holds 300 MiB (the
#   mirrored copies are views and cost nothing), and np.array makes a second copy of all 1,200 (450 MiB) while the
#   list is alive: 750 MiB; as bytes it would be 38 + 56.
"""Chest X-rays, normal or not. After gregwchase/eyenet#3 and dfaker/df#17."""

import keras
import numpy as np

SIZE = 128
rng = np.random.default_rng(0)


def read_xray(number):
    """Stands for cv2.imread and cv2.resize: a picture of bytes."""
    img = rng.integers(0, 256, (SIZE, SIZE, 3), dtype="uint8")
    img = img / 255.0
    return img


def load_data(count):
    images, labels = [], []
    for number in range(count):
        img = read_xray(number)
        images.append(img)
        labels.append(number % 2)
        if number % 2:  # a mirrored copy of the rare class
            images.append(img[:, ::-1])
            labels.append(1)
    print("loaded", len(images), "pictures")
    return np.array(images), np.array(labels)


X, y = load_data(800)
X = X.astype("float32")
y = keras.utils.to_categorical(y, 2)

model = keras.Sequential()
model.add(keras.Input((SIZE, SIZE, 3)))
model.add(keras.layers.Conv2D(8, 3, strides=4, activation="relu"))
model.add(keras.layers.GlobalAveragePooling2D())
model.add(keras.layers.Dense(2, activation="softmax"))
model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
hist = model.fit(X, y, batch_size=64, epochs=1, verbose=0)
print("done")
