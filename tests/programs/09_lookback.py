# budget_mib: 300
# dies: 23
# blame: 23
# cause: `np.array` turns overlapping views into copies: each of the 109,900 windows holds 100 x 8 float32 values, so
#   the 3 MiB of readings are written 100 times, 335 MiB.
"""Sensor readings cut into windows for an LSTM. After keras-team/keras#5951 and petrobras/3W#118."""

import keras
import numpy as np

keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)
readings = np.cumsum(rng.normal(size=(110_000, 8)), axis=0).astype("float32")
readings = (readings - readings.mean(axis=0)) / readings.std(axis=0)
lookback = 100


def create_sequences(series):
    x, y = [], []
    for i in range(len(series) - lookback):
        x.append(series[i : i + lookback])
        y.append(series[i + lookback, 0])
    return np.array(x), np.array(y)


x, y = create_sequences(readings)
print(x.shape, y.shape)

model = keras.Sequential(
    [
        keras.Input((lookback, 8)),
        keras.layers.LSTM(16, return_sequences=True),
        keras.layers.LSTM(16),
        keras.layers.Dense(1),
    ]
)
model.compile("adam", "mse")
model.fit(x, y, batch_size=128, epochs=1, steps_per_epoch=10, shuffle=False, verbose=0)
print("done")
