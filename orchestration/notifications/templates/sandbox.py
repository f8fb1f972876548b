"""Users' templates: Jinja2, restricted to what a message needs, so that no mistake in one can stop a notification.

Jinja's own sandbox keeps a template from reaching Python, but limits neither memory nor time: `"x" * 10**10`,
`"%9999999d" % 1`, `"{:>9999999}".format(1)`, `|center(9999999)` and nested loops are all allowed in it. So only the
listed kinds of expression, filters and methods pass; what is left grows no faster than the output, which is limited.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_OUTPUT = 20_000
_MAX_SOURCE = 20_000
# Each level multiplies the time that a template may take by the length of a list.
_MAX_LOOP_DEPTH = 2

_NODES = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem,
    nodes.If, nodes.For, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Neg,
    nodes.Filter, nodes.Test, nodes.Call, nodes.Keyword, nodes.Add, nodes.Sub, nodes.Tuple, nodes.List, nodes.Slice,
)  # fmt: skip
_FILTERS = {
    "capitalize", "default", "d", "first", "int", "last", "length", "count", "list", "lower", "reverse", "round",
    "sort", "string", "title", "trim", "unique", "upper",
}  # fmt: skip
_METHODS = {"endswith", "lower", "lstrip", "rstrip", "split", "splitlines", "startswith", "strip", "upper"}


class TemplateProblem(Exception):  # noqa: N818 (control flow within this package)
    """A template cannot be used; the message says where and why."""


class _Environment(ImmutableSandboxedEnvironment):
    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        return attr in _METHODS if isinstance(obj, str) else super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """No `str.format` at all. Jinja's own replacement keeps Python out of reach, but allows a huge width."""


def compile_template(source: str, name: str) -> jinja2.Template:
    """Compile a template. Raises TemplateProblem."""
    if len(source) > _MAX_SOURCE:
        raise TemplateProblem(f"{name}: expected at most {_MAX_SOURCE:,} characters, got {len(source):,}")
    try:
        _check(_ENVIRONMENT.parse(source, name), name)
        return _ENVIRONMENT.from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise TemplateProblem(f"{name}:{error.lineno}: {error.message}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise TemplateProblem(f"{name}: it cannot be read ({type(error).__name__})") from error


def render(template: jinja2.Template, values: Mapping[str, Any], name: str) -> str:
    """Render a template. Raises TemplateProblem for an unknown name, an error, or a text that is too long."""
    parts: list[str] = []
    length = 0
    try:
        for part in template.generate(**values):
            length += len(part)
            if length > MAX_OUTPUT:
                raise TemplateProblem(f"{name}: the text is longer than {MAX_OUTPUT:,} characters")
            parts.append(part)
    except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise TemplateProblem(f"{name}: {error}") from error
    return "".join(parts)


def _check(tree: nodes.Template, name: str) -> None:
    for node, depth in _walk(tree, 0):
        if not isinstance(node, _NODES):
            allowed = "variables, if, for, comparisons, + and - and the listed filters"
            raise TemplateProblem(f"{name}:{node.lineno}: {type(node).__name__} may not be used; expected {allowed}")
        if isinstance(node, nodes.For) and (depth >= _MAX_LOOP_DEPTH or node.recursive):
            raise TemplateProblem(f"{name}:{node.lineno}: loops may not be nested deeper than {_MAX_LOOP_DEPTH}")


def _walk(node: nodes.Node, depth: int) -> Iterator[tuple[nodes.Node, int]]:
    """Every node of a template, with the number of loops around it."""
    yield node, depth
    inner = depth + 1 if isinstance(node, nodes.For) else depth
    for child in node.iter_child_nodes():
        yield from _walk(child, inner)


def _environment() -> _Environment:
    # An unknown name is an error: a misspelt variable would otherwise leave a silent gap in a page. No escaping, since
    # the texts are not HTML.
    environment = _Environment(undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True)
    environment.filters = {name: each for name, each in environment.filters.items() if name in _FILTERS}
    # Jinja's globals include `range` and `lipsum`, with which a short template makes a long text.
    environment.globals.clear()
    return environment


_ENVIRONMENT = _environment()
