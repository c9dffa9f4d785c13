"""For authors of labs: makes the two notebooks of a lab from its source, ``solutions/NN_name.py``, and checks it."""
