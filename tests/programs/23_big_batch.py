# budget_mib: 350
# dies: 37
# blame: 35
# cause: one tape is open around the loop over all 128 batches, so it keeps every batch's layer outputs until
#   gradient(): 4*64*64*32*4 bytes = 2 MiB for each of two layers, about 4.8 MiB a step, 610 MiB an epoch, a steady
#   climb; a tape for each batch, with the gradients added up; the list of floats is innocent.
"""Gradients of many small batches added up, for a large batch on a small machine. After tensorflow/addons#2686 and
tensorflow/tensorflow#32276."""

import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(11)
x_train = np.random.rand(512, 64, 64, 3).astype("float32")
y_train = np.random.randint(0, 10, 512)
train_dataset = tf.data.Dataset.from_tensor_slices((x_train, y_train)).shuffle(512).batch(4)

model = keras.Sequential(
    [
        keras.Input((64, 64, 3)),
        keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
        keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(10),
    ]
)
optimizer = keras.optimizers.Adam(1e-3)
loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
losses = []

for epoch in range(3):
    total_loss = 0.0
    steps = 0
    with tf.GradientTape() as tape:
        for x_batch, y_batch in train_dataset:
            logits = model(x_batch, training=True)
            loss = loss_fn(y_batch, logits)
            losses.append(float(loss))
            total_loss += loss
            steps += 1
        total_loss /= steps
    grads = tape.gradient(total_loss, model.trainable_variables)
    optimizer.apply_gradients(zip(grads, model.trainable_variables))
    print("epoch", epoch, "loss", np.mean(losses[-steps:]))
print("done")
