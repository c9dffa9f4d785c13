"""Will it fit? The peak of a training run, predicted before it runs.

    from course_utils import fit
    fit.predict(build_model, batch_size=64, memory_mib=12_000)

The model is built, traced and trained in a sandbox: no TensorFlow is imported here.
"""

from course_utils.fit.ask import BuildModel, find_batch_size, predict
from course_utils.fit.prediction import PARTS, CannotPredict, Prediction

__all__ = ["PARTS", "BuildModel", "CannotPredict", "Prediction", "find_batch_size", "predict"]
