"""The page that describes the addresses to people: all of it is in the page, and nothing is loaded from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1c2733; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.1rem; margin-top: 2rem; border-bottom: 1px solid #d5dde5; }
code, pre { font: 14px/1.45 ui-monospace, monospace; } pre { background: #f4f6f8; padding: 1rem; overflow-x: auto; }
b { display: inline-block; min-width: 3.5rem; color: #05647d; } summary { cursor: pointer; }
"""


def page_of(description: Mapping[str, Any]) -> str:
    """Writes the page.

    Args:
        description: The OpenAPI description.

    Returns:
        HTML.
    """
    about = description["info"]
    title = f"{escape(about['title'])} {escape(about['version'])}"
    sections = "".join(_sections(description["paths"]))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title}</h1><p>{escape(about.get('description', ''))} "
        f'For programs: <a href="openapi.json">openapi.json</a>.</p>{sections}</html>'
    )


def _sections(paths: Mapping[str, Any]) -> Iterator[str]:
    for path, operations in paths.items():
        for method, operation in operations.items():
            yield f"<h2><b>{escape(method.upper())}</b> <code>{escape(path)}</code></h2>"
            yield f"<p>{escape(operation.get('description') or operation.get('summary', ''))}</p>"
            for content, body in operation.get("requestBody", {}).get("content", {}).items():
                yield _folded(f"Body: {content}", body.get("schema", {}))
            yield _folded("Answers", {status: _answer(one) for status, one in operation["responses"].items()})


def _answer(response: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON values are of any type
    schemas = [content.get("schema", {}) for content in response.get("content", {}).values()]
    return {"description": response["description"], **({"schema": schemas[0]} if schemas and schemas[0] else {})}


def _folded(title: str, value: Any) -> str:  # noqa: ANN401
    shown = escape(json.dumps(value, indent=2))
    return f"<details><summary>{escape(title)}</summary><pre>{shown}</pre></details>"
