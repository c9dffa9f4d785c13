"""The card of a prediction: how much memory a training run will take, and what takes it."""

from __future__ import annotations

from course_utils.cards import document as card
from course_utils.fit.prediction import Prediction
from course_utils.units import mib, percent, seconds

METHODS = {"probe": "by training a few steps", "static": "without training a step"}
WHAT = {
    "data": "batches on their way to the model",
    "weights": "the model's variables",
    "gradients": "one for each trainable variable",
    "optimizer": "what the optimizer keeps for each variable",
    "activations": "outputs of layers, kept for the backward pass",
    "graph": "the traced graph, and small tensors",
    "workspace": "scratch memory of operations, and holes",
}


def prediction_card(prediction: Prediction) -> card.Document:
    """The card of a prediction, with a stacked bar of its parts and a table of them."""
    memory, fits = prediction.memory_mib, prediction.fits
    between = f"between {mib(prediction.low_mib)} and {mib(prediction.high_mib)}"
    expected = f"A batch of {prediction.batch_size} is expected to peak at {mib(prediction.predicted_mib)}, {between}."
    head, tone = card.Head("→", f"Expected peak: {mib(prediction.predicted_mib)}"), "plain"
    blocks: list[card.Block] = [card.Paragraph(expected)]
    whole = prediction.predicted_mib + prediction.feed_mib
    if memory is not None:
        surely = prediction.low_mib + prediction.feed_mib >= memory
        head, tone = {
            (True, False): (card.Head("✓", "Fits"), "good"),
            (False, True): (card.Head("✕", "Does not fit"), "bad"),
        }.get((bool(fits), surely), (card.Head("✕", "May not fit"), "warn"))
        blocks.append(card.Fact("Memory", f"{mib(whole)} of {mib(memory)}", card.Bar(whole, memory, "Expected peak")))
        blocks.append(card.Fact("Largest batch that fits", _largest(prediction.largest_batch_size)))
    if prediction.feed:
        blocks.append(card.Fact("The data take besides", f"{mib(prediction.feed_mib)}. {prediction.feed}"))
    shares = [(part, amount) for part, amount in prediction.breakdown.items() if amount >= 0.05]
    blocks.append(card.Stack(shares, ", ".join(f"{part} {mib(amount)}" for part, amount in shares)))
    rows = [
        (card.Cell(part, series=number), WHAT[part], mib(amount), percent(amount / prediction.predicted_mib, 0))
        for number, (part, amount) in enumerate(shares)
    ]
    blocks.append(card.Table(("Part", "What it is", "Memory", "Share"), rows, 2, stacked=False))
    blocks.append(card.Fact("The peak comes", prediction.moment))
    how = (
        f"Predicted {METHODS[prediction.method]} in {seconds(prediction.seconds)}, for the {prediction.device.upper()}"
    )
    foot = f"{how}. {prediction.note}".strip()
    return card.Document([head, *blocks, card.Paragraph(foot, foot=True)], tone)


def _largest(batch_size: int | None) -> str:
    return f"{batch_size:,}" if batch_size else "not even one sample"
