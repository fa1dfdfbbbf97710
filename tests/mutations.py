"""Small mistakes for a module's source: each is one operator, one constant or one statement made wrong.

The kinds: comparisons swapped (`<` for `<=`, `==` for `!=`, `is` for `is not`, `in` for `not in`), conditions negated,
`and` for `or`, arithmetic exchanged, constants changed (those of default arguments are told apart), statements
removed, results replaced by None. Left alone is what no test of behaviour should pin: annotations, docstrings,
assertions, decorators, types given to `cast`, `__all__` and `__slots__`, and the words of errors and log records.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Mutation", "mutations_of"]

COMPARISONS = {
    ast.Eq: (r"==", "!="),
    ast.NotEq: (r"!=", "=="),
    ast.Lt: (r"<", "<="),
    ast.LtE: (r"<=", "<"),
    ast.Gt: (r">", ">="),
    ast.GtE: (r">=", ">"),
    ast.Is: (r"\bis\b", "is not"),
    ast.IsNot: (r"\bis\s+not\b", "is"),
    ast.In: (r"\bin\b", "not in"),
    ast.NotIn: (r"\bnot\s+in\b", "in"),
}
ARITHMETIC = {
    ast.Add: (r"\+", "-"),
    ast.Sub: (r"-", "+"),
    ast.Mult: (r"\*", "/"),
    ast.Div: (r"/", "*"),
    ast.FloorDiv: (r"//", "*"),
    ast.Mod: (r"%", "*"),
    ast.BitAnd: (r"&", "|"),
    ast.BitOr: (r"\|", "&"),
    ast.LShift: (r"<<", ">>"),
    ast.RShift: (r">>", "<<"),
}
REMOVED = (ast.Expr, ast.AugAssign, ast.Delete, ast.Raise, ast.Continue, ast.Break)
SPEECH = frozenset({"debug", "info", "warning", "error", "exception", "log"})


@dataclass(frozen=True, slots=True)
class Mutation:
    """One mistake.

    Attributes:
        kind: What sort of mistake.
        line: The line on which it begins.
        place: Where that is, in characters from the beginning of the module.
        old: The text as it is.
        new: What takes its place.
        source: The whole module with the mistake in it.
    """

    kind: str
    line: int
    place: int
    old: str
    new: str
    source: str

    @property
    def original(self) -> str:
        """The whole module without the mistake."""
        return self.source[: self.place] + self.old + self.source[self.place + len(self.new) :]

    def __str__(self) -> str:
        old, new = (" ".join(text.split()) for text in (self.old, self.new))
        return f"{self.kind}: {old} -> {new}"


def mutations_of(source: str) -> list[Mutation]:
    """Return every mistake that still compiles, in the order of the source."""
    found = _Finder(source).find()
    unique = {mutation.source: mutation for mutation in found if mutation.source != source}
    return [mutation for mutation in unique.values() if _compiles(mutation.source)]


def _compiles(source: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, "<mutation>", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


class _Finder:
    """Walks through a module; positions are offsets in its UTF-8, as those of `ast`."""

    def __init__(self, source: str) -> None:
        self._text = source.encode()
        self._is_new = False  # inside of a constructor: everything finds an attribute that was never set
        self._lines = [0]
        for line in self._text.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    def find(self) -> Iterator[Mutation]:
        yield from self._inside(ast.parse(self._text))

    def _inside(self, node: ast.AST) -> Iterator[Mutation]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            self._is_new = node.name == "__init__"
        for child in _looked_at(node):
            yield from self._at(child)
            yield from self._inside(child)

    def _at(self, node: ast.AST) -> Iterator[Mutation]:
        if isinstance(node, ast.stmt | ast.comprehension):
            yield from self._statement(node)
        elif isinstance(node, ast.expr):
            yield from self._expression(node)
        if isinstance(node, ast.If | ast.While | ast.IfExp):
            yield from self._negated(node.test)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            for default in [*node.args.defaults, *node.args.kw_defaults]:
                if isinstance(default, ast.Constant):
                    yield from self._constant(default, "default argument")

    def _expression(self, node: ast.expr) -> Iterator[Mutation]:
        match node:
            case ast.Compare(ops=[operator], left=left, comparators=[right]):
                yield from self._between(left, right, COMPARISONS.get(type(operator)), "comparison")
            case ast.BoolOp(op=operator, values=values):
                swap = (r"\band\b", "or") if isinstance(operator, ast.And) else (r"\bor\b", "and")
                for left, right in pairwise(values):
                    yield from self._between(left, right, swap, "and/or")
            case ast.BinOp(left=left, op=operator, right=right):
                yield from self._between(left, right, ARITHMETIC.get(type(operator)), "arithmetic")
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                yield self._made(node, self._of(operand), "arithmetic")
            case ast.Constant():
                yield from self._constant(node, "constant")

    def _statement(self, node: ast.stmt | ast.comprehension) -> Iterator[Mutation]:
        match node:
            case ast.Return(value=ast.expr() as value) if not _is_none(value):
                yield self._made(value, "None", "result")
            case ast.AugAssign(target=target, op=operator, value=value):
                yield from self._between(target, value, ARITHMETIC.get(type(operator)), "arithmetic")
            case ast.comprehension(ifs=conditions):
                for condition in conditions:
                    yield from self._negated(condition)
        if isinstance(node, REMOVED) or (_sets_state(node) and not self._is_new):
            yield self._made(node, "pass", "statement")

    def _negated(self, test: ast.expr) -> Iterator[Mutation]:
        match test:
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield self._made(test, f"({self._of(operand)})", "condition")
            case ast.Compare(ops=[_]) | ast.Constant():
                pass  # a swapped comparison, or a changed constant, is the same
            case ast.NamedExpr():
                pass  # it may stand without parentheses only where it stands
            case _:
                yield self._made(test, f"(not ({self._of(test)}))", "condition")

    def _constant(self, node: ast.Constant, kind: str) -> Iterator[Mutation]:
        match node.value:
            case bool() as value:
                yield self._made(node, str(not value), kind)
            case int() | float() as value:
                yield self._made(node, repr(value + 1), kind)
            case str() if self._of(node)[:1] in "'\"":
                yield self._made(node, self._of(node)[0] + "XX" + self._of(node)[1:], kind)
            case bytes() as value:
                yield self._made(node, repr(b"XX" + value), kind)

    def _between(self, left: ast.expr, right: ast.expr, swap: tuple[str, str] | None, kind: str) -> Iterator[Mutation]:
        if swap is None:
            return
        begin, end = self._end(left), self._begin(right)
        found = re.search(swap[0].encode(), self._text[begin:end])
        if found:
            start, stop = begin + found.start(), begin + found.end()
            new = self._text[self._begin(left) : start] + swap[1].encode() + self._text[stop : self._end(right)]
            yield self._replaced(self._begin(left), self._end(right), new.decode(), left.lineno, kind)

    def _made(self, node: ast.AST, new: str, kind: str) -> Mutation:
        return self._replaced(self._begin(node), self._end(node), new, node.lineno, kind)

    def _replaced(self, begin: int, end: int, new: str, line: int, kind: str) -> Mutation:
        before, old, after = (part.decode() for part in (self._text[:begin], self._text[begin:end], self._text[end:]))
        return Mutation(kind, line, len(before), old, new, before + new + after)

    def _of(self, node: ast.AST) -> str:
        return self._text[self._begin(node) : self._end(node)].decode()

    def _begin(self, node: ast.AST) -> int:
        return self._lines[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.AST) -> int:
        return self._lines[node.end_lineno - 1] + node.end_col_offset


def _looked_at(node: ast.AST) -> Iterator[ast.AST]:
    """Return the parts of a node in which mistakes are made."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "cast":
        yield from node.args[1:]
        return
    for name, value in ast.iter_fields(node):
        if name in {
            "annotation",
            "returns",
            "decorator_list",
            "type_comment",
            "type_params",
            "defaults",
            "kw_defaults",
        }:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_passed_over(child):
                yield child


def _is_passed_over(node: ast.AST) -> bool:
    match node:
        case ast.Assert() | ast.Import() | ast.ImportFrom() | ast.JoinedStr():
            return True
        case ast.Expr(value=ast.Constant()):  # docstrings, and the bodies of protocols
            return True
        case ast.Assign(targets=[ast.Name(id="__all__" | "__slots__")]):
            return True
        case ast.AnnAssign(annotation=ast.Name(id="TypeAlias")):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case _:
            return _is_speech(node)


def _is_speech(node: ast.AST) -> bool:
    """Tell whether this only makes the words of an error or of a log record."""
    match node:
        case ast.Call(func=ast.Name(id=name)) if name.endswith(("Error", "Ended", "Closed", "Timeout", "TooLarge")):
            return True
        case ast.Call(func=ast.Attribute(value=ast.Name(id="logger"), attr=name)) if name in SPEECH:
            return True
        case _:
            return False


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _sets_state(node: ast.AST) -> bool:
    """Tell whether a statement changes an attribute or an item; a name that is not set is found by everything."""
    return isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute | ast.Subscript)
