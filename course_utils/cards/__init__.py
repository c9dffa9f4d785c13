"""What a person sees of a run: documents (`document`), their builders (`runs`, `graded`, `tables`), two renderers.

A builder makes a `Document` and knows nothing of HTML; `render` writes any document as HTML and as text.
"""

from course_utils.cards.document import Document
from course_utils.cards.render import bundle, html, page, svg, text

__all__ = ["Document", "bundle", "html", "page", "svg", "text"]
