# budget_mib: 500
# dies: 32-33
# blame: 35
# cause: the list keeps the model of every fold, and each has 9 million weights with Adam's two averages beside them:
#   3 x 34 = about 100 MiB a fold, so the curve climbs like stairs.
"""Cross-validation. After keras-team/keras#2689, adriangb/scikeras#283 and neka-nat/image_completion_tf2#6."""

import keras
import numpy as np

keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)
x = rng.random((1000, 3000), dtype="float32")
y = rng.integers(0, 2, 1000)


def build():
    network = keras.Sequential(
        [
            keras.Input((3000,)),
            keras.layers.Dense(3000, activation="relu"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    network.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return network


results = []
for fold in range(8):
    held_out = np.arange(1000) % 8 == fold
    model = build()
    model.fit(x[~held_out], y[~held_out], batch_size=250, epochs=1, verbose=0)
    accuracy = model.evaluate(x[held_out], y[held_out], verbose=0)[1]
    results.append((accuracy, model))
    print("fold", fold, accuracy)

best = max(results, key=lambda result: result[0])[1]
print("parameters of the best:", best.count_params())
