# budget_mib: 600
# dies: 46
# blame: 46
# cause: every new Python number in `train_step(start)` makes a new trace, which TensorFlow keeps with a copy of all
#   images as a constant: 640 x 48 x 48 x 3 float32 values are 17 MiB, about four copies or 69 MiB a trace, and
#   16 numbers come in an epoch.
"""A compiled step that is told which batch to take. After tensorflow/tensorflow#29027 and instadeepai/Mava#346."""

import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)
batch_size = 40
images = rng.random((640, 48, 48, 3), dtype="float32")
labels = rng.integers(0, 3, 640)

model = keras.Sequential(
    [
        keras.Input((48, 48, 3)),
        keras.layers.Conv2D(4, 3, strides=2, activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3),
    ]
)
optimizer = keras.optimizers.Adam()
optimizer.build(model.trainable_variables)
loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@tf.function
def train_step(start):
    x = tf.constant(images)[start : start + batch_size]
    y = tf.constant(labels)[start : start + batch_size]
    with tf.GradientTape() as tape:
        loss = loss_function(y, model(x, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    return loss


for epoch in range(2):
    losses = []
    for start in range(0, len(images), batch_size):
        losses.append(float(train_step(start)))
    print("epoch", epoch, "loss", np.mean(losses))
print("done")
