# budget_mib: 400
# dies: 37-40
# blame: 37
# cause: `/ 255.0` makes each state 84*84*4*8 bytes = 0.215 MiB float64, and the replay memory (deque, maxlen
#   50,000, line 31) keeps one more each step: 3,000 steps = 646 MiB, 50,000 would be 10.5 GiB; keep bytes (an
#   eighth), and a maxlen that fits; the network is innocent.
"""A player of games. After ageron/handson-ml#119 and Kautenja/playing-mario-with-deep-reinforcement-learning#36."""

import random
from collections import deque

import keras
import numpy as np


class Game:
    """Stands for the Atari emulator: frames of bytes."""

    def __init__(self):
        self.recording = np.random.default_rng(1).integers(0, 256, (200, 84, 84), dtype="uint8")
        self.time = 0

    def step(self, action):
        self.time += 1
        return self.recording[self.time % 200], random.choice([-1, 0, 1]), self.time % 200 == 0


class Agent:
    def __init__(self, actions, memory_size=50_000):
        self.actions = actions
        self.memory = deque(maxlen=memory_size)
        self.frames = deque([np.zeros((84, 84), "uint8")] * 4, maxlen=4)
        self.model = self.build()

    def observe(self, frame):
        self.frames.append(frame)
        return np.stack(self.frames, axis=-1) / 255.0

    def remember(self, *transition):
        self.memory.append(transition)

    def build(self):
        net = keras.Sequential([keras.Input((84, 84, 4))])
        net.add(keras.layers.Conv2D(16, 8, strides=4, activation="relu"))
        net.add(keras.layers.Flatten())
        net.add(keras.layers.Dense(64, activation="relu"))
        net.add(keras.layers.Dense(self.actions))
        net.compile("adam", "mse")
        return net

    def learn(self, batch_size=32):
        states, actions, rewards, nexts, dones = zip(*random.sample(self.memory, batch_size))
        targets = np.array(self.model.predict_on_batch(np.array(states)))
        best = np.max(self.model.predict_on_batch(np.array(nexts)), axis=1)
        targets[np.arange(batch_size), actions] = np.array(rewards) + 0.99 * best * (1 - np.array(dones))
        return self.model.train_on_batch(np.array(states), targets)


env, agent = Game(), Agent(actions=4)
scores = []
state = agent.observe(env.step(0)[0])
for t in range(3000):
    action = random.randrange(4)
    frame, reward, done = env.step(action)
    next_state = agent.observe(frame)
    agent.remember(state, action, reward, next_state, done)
    state = next_state
    if t > 0 and t % 1000 == 0:
        scores.append(agent.learn())
print("done")
