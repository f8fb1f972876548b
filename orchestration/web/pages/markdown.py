"""Renders Markdown as inert HTML: no embedded HTML, no links, no images, no styles.

Runbooks are edited by users, and reports quote model output and log lines, so nothing in the text may be trusted.
"""

from __future__ import annotations

import re
from itertools import count

import nh3
from markdown_it import MarkdownIt

_TAGS = {
    "h1", "h2", "h3", "h4", "p", "ul", "ol", "li", "strong", "em", "code", "pre", "blockquote", "hr", "br",
    "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
# Two layers: the parser treats HTML as text, and nh3 removes whatever a flaw in the parser lets through.
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


def html(text: str) -> str:
    """The text as HTML. Wide tables and code blocks scroll, and can be focused so that the keyboard scrolls them
    too."""
    # Without attributes there is no `href`, `src`, `style` or event handler. The classes below are added afterwards.
    clean = nh3.clean(_MARKDOWN.render(text), tags=_TAGS, attributes={})
    numbers = count(1)

    def begin(_: re.Match[str]) -> str:
        return f'<div class="scroll" role="region" aria-label="Table {next(numbers)}" tabindex="0"><table class="rows">'

    framed = re.sub("<table>", begin, clean).replace("</table>", "</table></div>")
    # A header cell without a text is no header (https://www.w3.org/WAI/tutorials/tables/one-header/).
    return framed.replace("<th></th>", "<td></td>").replace("<pre>", '<pre tabindex="0">')
