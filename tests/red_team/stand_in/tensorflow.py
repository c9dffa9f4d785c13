"""Stands in for TensorFlow, which most attacks have no use for and which takes seconds to import."""

data = io = None


class keras:
    layers = None
