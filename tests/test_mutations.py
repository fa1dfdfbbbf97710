"""The mistakes that `mutants.py` makes."""

from pathlib import Path

import pytest

from tests.mutations import mutations_of

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("source", "kind", "expected"),
    [
        ("a = b == c", "comparison", ["a = b != c"]),
        ("a = (b) <= (c)", "comparison", ["a = (b) < (c)"]),
        ("a = b is not c", "comparison", ["a = b is c"]),
        ("a = b not in c", "comparison", ["a = b in c"]),
        ("a = f('ü') is b", "comparison", ["a = f('ü') is not b"]),
        ("if a:\n    b", "condition", ["if (not (a)):\n    b"]),
        ("if not a:\n    b", "condition", ["if (a):\n    b"]),
        ("a = b if c else d", "condition", ["a = b if (not (c)) else d"]),
        ("a = [b for b in c if b]", "condition", ["a = [b for b in c if (not (b))]"]),
        ("a = b and c and d", "and/or", ["a = b or c and d", "a = b and c or d"]),
        ("a = b + c", "arithmetic", ["a = b - c"]),
        ("a += b", "arithmetic", ["a -= b"]),
        ("a = -b", "arithmetic", ["a = b"]),
        ("a = True", "constant", ["a = False"]),
        ("a = 1", "constant", ["a = 2"]),
        ("a = 'b'", "constant", ["a = 'XXb'"]),
        (
            "def f(a=1, *, b=True): ...",
            "default argument",
            ["def f(a=2, *, b=True): ...", "def f(a=1, *, b=False): ..."],
        ),
        ("def f(): a.b = c", "statement", ["def f(): pass"]),
        ("def __init__(self): self.b = c", "statement", []),
        ("raise ValueError('why')", "statement", ["pass"]),
        ("def f():\n    return a", "result", ["def f():\n    return None"]),
    ],
)
def test_each_mistake_is_one_change(source: str, kind: str, expected: list[str]):
    actual = [mutation.source for mutation in mutations_of(source) if mutation.kind == kind]

    assert expected == actual


@pytest.mark.parametrize(
    "source",
    [
        '"""A docstring."""',
        "a: 'b | c'",
        "def f(a: int | str) -> int | None: ...",
        "assert a == 1",
        "@a(b=True)\nclass C: ...",
        "__slots__ = ('a',)",
        "a = f'b'",
        "a = cast('b | c', d)",
        "a = InvariantError('b' + c)",
        "if TYPE_CHECKING:\n    a = 1",
    ],
)
def test_what_no_test_of_behaviour_should_pin_is_left_alone(source: str):
    assert [] == [mutation.source for mutation in mutations_of(source) if mutation.kind != "statement"]


@pytest.mark.parametrize("folder", ["links", "auth", "transport"])
def test_every_mistake_in_the_package_is_where_it_says(folder: str):
    for module in (ROOT / "rxlink" / folder).rglob("*.py"):
        source = module.read_text(encoding="utf-8")

        mutations = mutations_of(source)

        for mutation in mutations:
            end = mutation.place + len(mutation.old)
            assert mutation.old == source[mutation.place : end]
            assert source[: mutation.place] + mutation.new + source[end:] == mutation.source
            assert 1 + source.count("\n", 0, mutation.place) == mutation.line


def test_a_mistake_is_shown_on_one_line():
    (mutation, *_) = mutations_of("a = (b\n     == c)")

    assert "comparison: b == c -> b != c" == str(mutation)
