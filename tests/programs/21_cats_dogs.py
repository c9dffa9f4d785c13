# budget_mib: 400
# dies: 35
# blame: 28
# cause: Flatten gives 32*32*32 = 32,768 values and Dense(512) has 16.8 million weights, 64 MiB, and training needs
#   them at least four times (weight, gradient, Adam's two slots: 256 MiB, with temporaries about 400); pool more
#   before Flatten or use GlobalAveragePooling.
"""A first convolutional network. After PacktPublishing/Mastering-Computer-Vision-with-TensorFlow-2.0#6."""

import numpy as np
from keras.layers import Conv2D, Dense, Dropout, Flatten, Input, MaxPooling2D
from keras.models import Sequential

np.random.seed(42)
X_train = np.random.rand(120, 128, 128, 3)
y_train = np.random.randint(0, 2, size=120)
X_train = X_train.astype("float32")

model = Sequential()
model.add(Input(shape=(128, 128, 3)))
model.add(Conv2D(16, (3, 3), padding="same", activation="relu"))
model.add(MaxPooling2D((2, 2)))
model.add(Conv2D(16, (3, 3), padding="same", activation="relu"))
model.add(MaxPooling2D((2, 2)))
model.add(Conv2D(32, (3, 3), padding="same", activation="relu"))
model.add(Dropout(0.25))
model.add(Flatten())
# the dense part
model.add(Dense(512, activation="relu"))
model.add(Dropout(0.5))
model.add(Dense(256, activation="relu"))
model.add(Dense(1, activation="sigmoid"))
model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])

print("training")
history = model.fit(X_train, y_train, batch_size=20, epochs=1, verbose=0)
print("done")
