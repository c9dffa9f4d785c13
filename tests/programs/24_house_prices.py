# budget_mib: 350
# dies: 20
# blame: 20
# cause: y_true is (8500,) and y_pred (8500, 1), so the difference broadcasts to 8,500 x 8,500 float64 = 551 MiB
#   (and the figure would be wrong); flatten y_pred (line 36 made it); batch_size=8192 and the data (16 MiB) are
#   innocent.
"""Prices of houses, and how far off they are. After zygmuntz/hyperband#17 and keras-team/keras#14627."""

import keras
import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

rng = np.random.default_rng(5)
X = rng.normal(size=(34000, 60))
y = X[:, 0] * 3 + rng.normal(size=34000)


def rmse(y_true, y_pred):
    return np.sqrt(np.mean((y_true - y_pred) ** 2))


X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=0)
scaler = StandardScaler()
X_train = scaler.fit_transform(X_train)
X_test = scaler.transform(X_test)

model = keras.Sequential()
model.add(keras.Input((60,)))
model.add(keras.layers.Dense(128, activation="relu"))
model.add(keras.layers.Dense(128, activation="relu"))
model.add(keras.layers.Dense(1))
model.compile(loss="mse", optimizer="adam")
model.fit(X_train, y_train, epochs=1, batch_size=2048, validation_split=0.1, verbose=0)

y_pred = model.predict(X_test, batch_size=8192, verbose=0)
print("mse by Keras", model.evaluate(X_test, y_test, batch_size=8192, verbose=0))
print("rmse", rmse(y_test, y_pred))
print("done")
