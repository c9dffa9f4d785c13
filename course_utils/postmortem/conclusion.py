"""What became of a run: the owner's measurement first, then what the run said, then how its process ended."""

from __future__ import annotations

import re
import signal
from dataclasses import fields
from typing import Any

from course_utils import causes, units
from course_utils.postmortem import gpu, phases, texts
from course_utils.postmortem.evidence import End, Limits, Measurement, Testimony
from course_utils.postmortem.growth import by_line, charge
from course_utils.postmortem.outcome import Outcome
from course_utils.postmortem.rules import judge
from course_utils.postmortem.rules.case import Case

# What TensorFlow and Keras put around an error, which says nothing by itself.
WRAPPING = re.compile(r"in user code:|Graph execution error:|Exception encountered when calling ")
PLACE = re.compile(r'File "|Detected at node |Stack trace ')
ERROR_LINE = re.compile(r"\w{0,80}(Error|Exception): ")
STARVED = 0.25  # of a run's time by the clock
Finding = tuple[str, str]  # status and message


def conclude(measurement: Measurement, testimony: Testimony) -> Outcome:
    """Turn the evidence of a run into its outcome."""
    killed = _killed(measurement)
    end = None if killed else testimony.end
    left = measurement.exit_code
    status, message = killed or (_ended(end, measurement) if end else _died(left, testimony.stderr))
    exit_code = None
    if status == "died" and not killed:
        exit_code = end.exit_code if end else left if left is not None and left >= 0 else None
    line = phases.timeline(measurement.sightings)
    ends = len(line)
    if status == "finished" and line:  # what was given back after the peak is of no interest
        ends = max(range(len(line)), key=lambda index: line[index][1].mib) + 1
    finding: dict[str, Any] = {"growth": by_line(charge(line[:ends])), "phases": phases.stretches(line)}
    if status != "finished":
        where = end.frames[-1] if end and end.frames else testimony.last_line
        text = end.text if end else testimony.stderr if not killed else ""
        shown = gpu.readable(end) if end and status == "out_of_gpu_memory" else end
        finding |= {"where": where, "blame": where, "traceback": _traceback(shown) if shown else ""}
        if status == "out_of_gpu_memory":
            finding |= gpu.explain(end) if end else gpu.outside_tensorflow()
        elif status not in ("timed_out", "out_of_disk"):
            finding["allocation"] = causes.allocation(text)
            if status == "out_of_memory":
                finding |= judge(Case(measurement, testimony, line, where, text))
            else:
                finding |= texts.explain(status, text, where.source if where else "")
    said = testimony.end
    return Outcome(
        **{limit.name: getattr(measurement.limits, limit.name) for limit in fields(Limits)},
        **{name: getattr(testimony, name) for name in ("stdout", "stderr", "figures", "values", "ledger")},
        **finding,
        status=status,
        message=message,
        peak_mib=round(measurement.peak_mib, 1),
        baseline_mib=round(measurement.baseline_mib, 1),
        seconds=round(measurement.seconds, 3),
        cpu_seconds=round(measurement.cpu_seconds, 2),
        interruption=_interruption(measurement, status, testimony.end),
        interval_ms=measurement.interval_ms,
        trace=[(round(seconds, 3), round(mib, 1)) for seconds, mib in measurement.trace],
        signal=-left if status == "died" and said is None and left is not None and left < 0 else None,
        exit_code=exit_code,
        gpu_peak_mib=said and said.gpu_peak_mib,
        gpu_in_use_mib=said and said.gpu_in_use_mib,
        device=measurement.device,
        readings=measurement.readings,
    )


def _killed(measurement: Measurement) -> Finding | None:
    """What the owner saw and did itself, which stands whatever the run said; None if it only watched."""
    reason = measurement.killed_for
    if reason == "tasks" or (measurement.too_many_tasks and reason != "memory"):
        return "died", "It started more processes or threads than a sandbox allows, and was killed."
    if reason in ("memory", "kernel") or measurement.killed_by_kernel:
        over = f"It needed more than {units.mib(measurement.limits.cap_mib)} above its baseline and was killed"
        by = "" if reason == "memory" else " by the kernel"
        return "out_of_memory", f"{over}{by} after {units.seconds(measurement.seconds)}."
    if reason == "gpu":
        held = f"It held {units.mib(measurement.device.peak_mib if measurement.device else None)} on the GPU"
        over = f"more than its budget of {units.mib(measurement.limits.gpu_budget_mib)} and the code of libraries take"
        return "out_of_gpu_memory", f"{held}, {over}, and was killed after {units.seconds(measurement.seconds)}."
    if reason == "cpu":
        used = f"It used up its time limit of {units.seconds(measurement.limits.cpu_limit)} of CPU time"
        clock = units.seconds(measurement.seconds)
        return "timed_out", f"{used}, all its processes together, after {clock} by the clock."
    if reason == "disk":
        held, most = measurement.readings, units.mib(measurement.limits.disk_mib)
        mapped = f"{units.mib(held.mapped_peak_mib)} in files that it wrote through memory"
        wrote = f"{units.mib(held.disk_peak_mib)} in {held.files:,} files, {mapped}"
        return "out_of_disk", f"It put more on the disk than its {most}, and was killed: {wrote}."
    if reason == "time":
        if measurement.limits.cpu_limit is None:
            limit = units.seconds(measurement.limits.time_limit)
            return "timed_out", f"It was still running at its time limit of {limit}."
        clock, computed = units.seconds(measurement.seconds), units.seconds(measurement.cpu_seconds)
        used = f"after {clock} by the clock, of which it computed for {computed}"
        return "timed_out", f"It was still running {used}: it waited for something most of the time."
    if reason == "message":
        return "died", "It wrote to a file that it had not opened, the sandbox's own channel, and was killed."
    return None


def _interruption(measurement: Measurement, status: str, end: End | None) -> str:
    """What ended the run from outside: see `Outcome.interruption`."""
    limits = measurement.limits
    # Waiting for its own threads it cannot have stood in line so long, since its CPU time would have been over before.
    if measurement.killed_for == "time" and limits.cpu_limit is not None:
        return "machine_busy" if measurement.waited_seconds > STARVED * limits.time_limit else ""
    if status != "died" or measurement.killed_for or end or measurement.exit_code not in (None, -signal.SIGKILL):
        return ""
    return "machine_memory" if measurement.machine_kills else "killed"


def _ended(end: End, measurement: Measurement) -> Finding:
    """How the code says that it ended."""
    if end.status == "finished":
        return "finished", f"It finished in {units.seconds(measurement.seconds)}."
    if end.status == "died":
        return "died", f"It left by itself, with exit code {end.exit_code}: sys.exit() or exit()."
    kind, text = end.kinds[0], first_line(end.text)
    if gpu.is_memory(end.kinds, end.text, measurement.limits):
        return "out_of_gpu_memory", f"The GPU ran out of memory: {gpu.sentence(end.text) or f'{kind}: {text}'}"
    if "MemoryError" in end.kinds or "ResourceExhaustedError" in end.kinds:
        return "out_of_memory", f"An allocation was refused: {kind}{f': {text}' if text else '.'}"
    return "raised", f"{kind}: {text}" if text else kind


def _died(exit_code: int | None, stderr: str) -> Finding:
    """How the process ended without a word."""
    if exit_code is None:
        return "died", "The sandbox around it was killed, by the code itself or by the machine."
    if exit_code >= 0:
        return "died", f"The process left by itself, with exit code {exit_code}."
    number = -exit_code
    if number == signal.SIGABRT and "bad_alloc" in stderr:
        return "out_of_memory", "A C++ library asked for memory and was refused (std::bad_alloc)."
    hint = ""
    if number == signal.SIGKILL:
        hint = " The code itself did it, or closed files that it had not opened, or the machine ran out of memory."
    elif number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE):
        hint = " That is a crash inside compiled code."
    name = {known.value: known.name for known in signal.Signals}.get(number, f"signal {number}")
    return "died", f"The process was killed by {name}.{hint}"


def _traceback(end: End) -> str:
    """Return the learner's own lines of a traceback, and the exception."""
    lines = ["Traceback (your own lines only, most recent call last):"] if end.frames else []
    for frame in end.frames:
        inside = f", in {frame.function}" if frame.function else ""
        lines += [f"  {frame.cell}, line {frame.line}{inside}", f"    {frame.source}"]
    return "\n".join([*lines, f"{end.kinds[0]}: {end.text[:3000]}".rstrip(": "), *end.reasons])


def first_line(text: str) -> str:
    """Return the first line of a text that says something, at most 300 characters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines and WRAPPING.match(lines[0]):
        inner = [line for line in lines[1:] if not PLACE.match(line)]
        lines = [line.partition(": ")[2] for line in inner if ERROR_LINE.match(line)] or inner or lines
    return lines[0][:300] if lines else ""
