# budget_mib: 460
# dies: 26
# blame: 25-26
# cause: `np.array` copies the 500 pictures while the list still holds them: 224 x 224 x 3 float32 values are 0.57
#   MiB a picture, so 287 MiB in the list and 287 MiB again in the array.
"""Scans from a folder, one after the other. After gregwchase/eyenet#3 and nengo/nengo#1414."""

import keras
import numpy as np
from PIL import Image

keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)
paths = [f"scans/{number}.png" for number in range(500)]


def load(path):
    """Stands for Image.open(path)."""
    return Image.fromarray(rng.integers(0, 256, (240, 240, 3), dtype="uint8"))


images = []
for path in paths:
    image = load(path).resize((224, 224))
    images.append(keras.utils.img_to_array(image))
x = np.array(images)
y = rng.integers(0, 2, len(x))

model = keras.Sequential(
    [
        keras.Input((224, 224, 3)),
        keras.layers.Rescaling(1 / 255),
        keras.layers.MaxPooling2D(8),
        keras.layers.Flatten(),
        keras.layers.Dense(2, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(x, y, batch_size=16, epochs=1, validation_split=0.1, verbose=0)
print("done")
