"""The app's source as syntax trees: its files, what each imports, its functions."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
APP = ("function_app.py", "functions", "shared")


@dataclass(frozen=True)
class Source:
    path: Path
    tree: ast.Module

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def module(self) -> str:
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def imports(self) -> set[str]:
        """Every module imported anywhere in the file, with what is imported from it: ``a.b`` and ``a.b.c``."""
        return set(_imports(self.tree, self.module))

    @property
    def line_count(self) -> int:
        return len(self.path.read_text("utf-8").splitlines())

    @property
    def functions(self) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def _imports(tree: ast.Module, module: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = module.rsplit(".", node.level)[0] + "." if node.level else ""
            origin = package + (node.module or "")
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)


@cache
def sources(*folders: str) -> tuple[Source, ...]:
    """The Python files in the folders (or files) named, below the project's root."""
    paths = [
        path for name in folders for path in ([ROOT / name] if name.endswith(".py") else (ROOT / name).rglob("*.py"))
    ]
    return tuple(Source(path, ast.parse(path.read_text("utf-8"))) for path in sorted(paths))


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How long it is, decorators left out."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def body_lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How long its body is, the docstring left out."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
