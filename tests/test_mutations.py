"""The mistakes that `mutants.py` makes, the reasons why some of them stay unnoticed, and what it prints of them."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from rxlink.core.link import ApolloLink
from tests.mutants_reasons import REASONS, Reason, reason_of
from tests.mutations import mutations_of

ROOT = Path(__file__).parents[1]
TESTS = str(ROOT / "tests")


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


def test_a_mistake_knows_the_module_without_it():
    source = "a = 'ü' == b\nif not c:\n    raise d\n"

    assert {source} == {mutation.original for mutation in mutations_of(source)}


class TestReasons:
    @pytest.mark.parametrize("reason", REASONS, ids=lambda reason: f"{reason.module}: {reason.new}")
    def test_each_is_of_one_mistake_that_can_still_be_made(self, reason: Reason):
        source = (ROOT / "rxlink" / f"{reason.module}.py").read_text(encoding="utf-8")

        found = [mutation for mutation in mutations_of(source) if reason.is_of(reason.module, mutation)]

        assert [reason.why] == [reason_of(reason.module, mutation) for mutation in found]

    @pytest.mark.parametrize(
        ("module", "source", "expected"),
        [
            ("a", "b = 1\nc = 1\n", {"c = 2"}),
            ("a", "# moved\n\nc = 1\n", {"c = 2"}),
            ("other", "c = 1\n", set()),
            ("a", "c = 1\nc = 1\n", set()),
            ("a", "c = 1 + 1\n", set()),
        ],
        ids=["beside others", "at another line", "in another module", "twice", "of another mistake"],
    )
    def test_of_a_place_are_of_that_change_only(self, module: str, source: str, expected: set[str]):
        reason = Reason("a", "c = 1\n", "c = 2\n", "why")

        found = [mutation for mutation in mutations_of(source) if reason.is_of(module, mutation)]

        assert expected == {mutation.source.splitlines()[-1] for mutation in found}

    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            ("class L(ApolloLink):\n    def __init__(self):\n        super().__init__()", True),
            ("class L(ApolloLink):\n    def __init__(self, f):\n        super().__init__(f)", False),
            ("class L(ApolloLink):\n    def close(self):\n        super().close()", False),
            ("class L(OtherLink):\n    def __init__(self):\n        super().__init__()", False),
            ("class L(Mixin, ApolloLink):\n    def __init__(self):\n        super().__init__()", False),
            (
                "class L(ApolloLink):\n    class M(N):\n        def __init__(self):\n            super().__init__()",
                False,
            ),
        ],
    )
    def test_are_known_for_the_constructor_of_a_link_and_for_no_other(self, source: str, expected: bool):
        [mutation] = [mutation for mutation in mutations_of(source) if mutation.kind == "statement"]

        assert expected == (reason_of("links/any", mutation) is not None)

    def test_for_that_constructor_are_true(self):
        """A link without a handler has nothing from it."""
        made = ApolloLink()

        assert {} == vars(made)

    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            ("T = TypeVar('T')", [True]),
            ("T = ParamSpec('T')", [True]),
            ("'ü'; T = TypeVar('T')", [True]),
            ("T = TypeVar('T', infer_variance=True)", [True, False]),
            ("v = ContextVar('T')", [False]),
            ("T = TypeVar(f('T'))", [False]),
        ],
    )
    def test_are_known_for_the_name_of_a_type_variable_and_for_nothing_beside_it(
        self, source: str, expected: list[bool]
    ):
        constants = [mutation for mutation in mutations_of(source) if mutation.kind == "constant"]

        assert expected == [reason_of("auth/any", mutation) is not None for mutation in constants]


@pytest.fixture
def mutants(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, which finds what it imports beside it."""
    monkeypatch.syspath_prepend(TESTS)
    return importlib.import_module("mutants")


class TestScript:
    def test_every_module_has_tests(self, mutants: ModuleType):
        for module in mutants.modules(ROOT, []):
            assert mutants.tests_of(ROOT, module)

    def test_a_module_without_tests_of_its_own_is_told(self, mutants: ModuleType, tmp_path: Path):
        (tmp_path / "tests").mkdir()
        (tmp_path / "tests" / "test_defaults.py").touch()

        with pytest.raises(LookupError, match=r"rxlink/links/new.py has no tests; say in ALSO"):
            mutants.tests_of(tmp_path, "links/new")

    def test_the_same_seed_draws_the_same_mistakes(self, mutants: ModuleType):
        names = mutants.modules(ROOT, ["links/polling"])

        first, again, other = (mutants.sample(ROOT, names, count=5, seed=seed) for seed in (1, 1, 2))

        assert (["links/polling"], first) == (names, again)
        assert first != other

    def test_all_survivors_count_and_those_without_a_reason_are_told(
        self, mutants: ModuleType, capsys: pytest.CaptureFixture[str]
    ):
        source = "T = TypeVar('T')\nU = TypeVar('U')\na = 1\nb = 2\n"
        explained, refuted, unexplained, killed = (mutants.Mutant("links/new", it) for it in mutations_of(source))

        share = mutants.report([explained, refuted, unexplained, killed], [explained, unexplained])

        assert 0.5 == share
        assert """\
2 of 4 killed: 50.0%

2 survivors, 1 of them without a reason:
  rxlink/links/new.py:1: constant: 'T' -> 'XXT'
      the name of a type variable is for type checkers
  rxlink/links/new.py:3: constant: 1 -> 2
      - no reason: a test is missing -

killed, although there is a reason why not:
  rxlink/links/new.py:2: constant: 'U' -> 'XXU'
      the name of a type variable is for type checkers
""" == capsys.readouterr().out.split("\n\n", 1)[1]


def test_the_line_of_each_break_and_of_each_fixed_mutant_is_there_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(TESTS)
    breaks, fixed = importlib.import_module("breaks"), importlib.import_module("mutants_fixed")
    places = [(broken.file, broken.old) for broken in breaks.BREAKS]
    places += [(f"{mutant.module}.py", mutant.old) for mutant in fixed.MUTANTS]

    counts = {place: (ROOT / "rxlink" / place[0]).read_text().count(place[1]) for place in places}

    assert {} == {place: count for place, count in counts.items() if count != 1}
