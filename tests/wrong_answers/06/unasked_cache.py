# expected: over_budget
# The lab's own trap: it reads its own builder with the default options, so TFDS caches every decoded scan.
import keras
import tensorflow_datasets as tfds


class Digits(tfds.core.GeneratorBasedBuilder):
    """Scans of handwritten digits."""

    VERSION = tfds.core.Version("1.0.0")
    FOLDER = None

    def _info(self):
        image = tfds.features.Image(shape=(96, 96, 3), encoding_format="jpeg")
        features = {"image": image, "label": tfds.features.ClassLabel(num_classes=10)}
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for path in sorted(self.FOLDER.glob("*/*.jpg")):
            yield f"{path.parent.name}/{path.name}", {"image": path, "label": int(path.parent.name)}


def train(folder):
    keras.utils.set_random_seed(0)
    Digits.FOLDER = folder
    builder = Digits(data_dir="prepared")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
    dataset = builder.as_dataset(split="train", as_supervised=True)
    dataset = dataset.shuffle(64, seed=0).batch(32).prefetch(2)
    model = keras.Sequential(
        [
            keras.layers.Input((96, 96, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(8, 5, strides=2, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy")
    model.fit(dataset, epochs=4, verbose=0)
    return model
