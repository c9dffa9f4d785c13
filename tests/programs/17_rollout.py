# budget_mib: 400
# dies: 29-30
# blame: 29
# cause: one tape around 80 calls of the model keeps what each call made until the gradient is taken: 4 x 96 x 96 x
#   32 float32 values, 4.5 MiB, and the states, measured at 8.6 MiB a step and 690 MiB in all.
"""A learned simulator, trained on what it says after many steps. After tensorflow/tensorflow#55798."""

import keras
import tensorflow as tf

keras.utils.set_random_seed(1)
fields = tf.random.normal((4, 96, 96, 8))
targets = tf.random.normal((4, 96, 96, 8))
rollout_steps = 80

simulator = keras.Sequential(
    [
        keras.Input((96, 96, 8)),
        keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
        keras.layers.Conv2D(8, 1, kernel_initializer="zeros"),
    ]
)
optimizer = keras.optimizers.Adam(1e-3, clipnorm=1.0)

for iteration in range(2):
    with tf.GradientTape() as tape:
        state = fields
        for _ in range(rollout_steps):
            change = simulator(state, training=True)
            state = state + 0.1 * change
        loss = tf.reduce_mean(tf.square(state - targets))
    gradients = tape.gradient(loss, simulator.trainable_variables)
    optimizer.apply_gradients(zip(gradients, simulator.trainable_variables, strict=True))
    print("iteration", iteration, "loss", float(loss))
print("done")
