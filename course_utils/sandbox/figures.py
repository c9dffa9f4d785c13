"""A matplotlib backend that shows figures where the sandbox was started from."""

from __future__ import annotations

import io
from typing import Any

from matplotlib.backend_bases import FigureManagerBase, Gcf
from matplotlib.backends.backend_agg import FigureCanvasAgg as FigureCanvas

from course_utils.sandbox import inside

__all__ = ["FigureCanvas", "FigureManager", "show"]


class FigureManager(FigureManagerBase):
    """A figure without a window."""

    def show(self) -> None:
        buffer = io.BytesIO()
        self.canvas.figure.savefig(buffer, format="png", bbox_inches="tight")
        inside.show_figure(buffer.getvalue())


FigureCanvas.manager_class = FigureManager


def show(*arguments: Any, **options: Any) -> None:
    """Show every open figure, then close it: `matplotlib.pyplot.show`."""
    for manager in Gcf.get_all_fig_managers():
        manager.show()
    Gcf.destroy_all()
