"""Why some of the mistakes that `mutants.py` makes are noticed by no test, and need not be.

A mistake at one place is known by the change of the text, as in `mutants_fixed.py`, wherever that stands by now; a
reason whose text has gone makes `test_mutations.py` fail. What is the same at many places is a rule. Neither takes a
mistake out of the count.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mutations import Mutation

__all__ = ["REASONS", "RULES", "Reason", "reason_of"]


@dataclass(frozen=True)
class Reason:
    """Why one mistake makes no difference, or none that a test should pin.

    Attributes:
        module: Where, such as `links/retry`.
        old: The text as it is, with as much around it as makes it the only one.
        new: The text that takes its place.
        why: In one sentence.
    """

    module: str
    old: str
    new: str
    why: str

    def is_of(self, module: str, mutation: Mutation) -> bool:
        source = mutation.original
        is_there = module == self.module and source.count(self.old) == 1
        return is_there and source.replace(self.old, self.new) == mutation.source


REASONS: tuple[Reason, ...] = (
    Reason(
        "auth/credential",
        'self.parting = ""',
        'self.parting = "XX"',
        "it is read once an epoch has ended, which has set it",
    ),
    Reason(
        "auth/pacing",
        'names.get("retry-after", "")',
        'names.get("retry-after", "XX")',
        "neither is a number or a date, so that no pause is asked for",
    ),
    Reason(
        "auth/pacing",
        "self._delay = 0.0",
        "self._delay = 1.0",
        "it is read after a failure only, which has set it",
    ),
    Reason(
        "auth/pacing",
        "self._failures + 1, 32)",
        "self._failures + 1, 33)",
        "the delay has reached its longest after five failures; the number only keeps the power small",
    ),
    Reason(
        "auth/keeper",
        "await self._vault.save_refreshed(kept, turn)\n        return renewed",
        "await self._vault.save_refreshed(kept, turn)\n        return None",
        "those who wait only hear that there are tokens, and find them in the wallet",
    ),
    Reason(
        "auth/token_renewal",
        "async def _as_it_is(operation: Operation, token: Any) -> Any:\n    return token",
        "async def _as_it_is(operation: Operation, token: Any) -> Any:\n    return None",
        "those who wait only hear that it has come: the application has stored it, and a link behind puts it on",
    ),
    Reason(
        "auth/vault",
        "self._owner.adopt(*loaded)\n        return loaded",
        "self._owner.adopt(*loaded)\n        return None",
        "those who wait only hear that it is loaded, and find the tokens in the wallet",
    ),
    Reason(
        "transport/_multipart_parts",
        "self._begin = max(begin, end - 1)",
        "self._begin = max(begin, end - 2)",
        "one blank is enough to tell that dashes are no end, and two are no harm",
    ),
    Reason(
        "transport/_multipart_parts",
        "are no end\n        return False",
        "are no end\n        return None",
        "it is asked only whether it is true",
    ),
    Reason(
        "transport/_multipart_parts",
        "self._has_headers(delimiter + 1)",
        "self._has_headers(delimiter + 2)",
        "what comes then is a dash, and the headers end with a line feed",
    ),
    Reason(
        "transport/_multipart_parts",
        "size - len(self._delimiter) + 1)",
        "size - len(self._delimiter) - 1)",
        "two bytes that were searched are searched again",
    ),
    Reason(
        "transport/_multipart_parts",
        "max(self._looked, end - 2)\n            return False",
        "max(self._looked, end - 3)\n            return False",
        "a byte that was searched is searched again",
    ),
    Reason(
        "transport/_multipart_parts",
        "max(self._looked, end - 2)\n            return False",
        "max(self._looked, end - 2)\n            return None",
        "it is asked only whether it is true",
    ),
    Reason(
        "transport/_json_end",
        "AT_A_TIME: Final = 1 << 16",
        "AT_A_TIME: Final = 1 << 17",
        "another number of bytes is as good",
    ),
    Reason(
        "transport/_json_end",
        "AT_A_TIME: Final = 1 << 16",
        "AT_A_TIME: Final = 2 << 16",
        "another number of bytes is as good",
    ),
    Reason(
        "transport/_json_end",
        'len(piece) - len(piece.rstrip(b"\\\\"))',
        'len(piece) + len(piece.rstrip(b"\\\\"))',
        "it matters only whether the number is even",
    ),
    Reason(
        "transport/_json_end",
        '.replace(b"\\\\\\\\", b"")',
        ".replace(b\"\\\\\\\\\", b'XX')",
        "letters are neither quotes nor brackets",
    ),
    Reason(
        "transport/_json_end",
        '.replace(b\'\\\\"\', b"")',
        ".replace(b'\\\\\"', b'XX')",
        "letters are neither quotes nor brackets",
    ),
    Reason(
        "transport/_json_end",
        'outside = b"".join',
        "outside = b'XX'.join",
        "letters are neither quotes nor brackets",
    ),
    Reason(
        "transport/_json_end",
        "self._depth += outside",
        "self._depth -= outside",
        "it matters only whether it is 0",
    ),
    Reason(
        "transport/_sse_parser",
        'value.lstrip(b"0")',
        "value.lstrip(b'XX0')",
        "there are only digits",
    ),
    Reason(
        "links/_batching",
        "zip(self._sent, answers, strict=True)",
        "zip(self._sent, answers, strict=False)",
        "they are as many: another number of answers has ended the batch a few lines above",
    ),
    Reason(
        "links/_batching",
        "zip(self._sent, results, strict=True)",
        "zip(self._sent, results, strict=False)",
        "they are as many: who gives the last results has counted them",
    ),
    Reason(
        "links/_batching",
        'bound="Member"',
        'bound="XXMember"',
        "only who checks types reads it",
    ),
    Reason(
        "links/retry",
        'else to_seconds("delay.max", options.max)',
        'else to_seconds("XXdelay.max", options.max)',
        "it is the name for a message that DelayOptions has given before, when it was made",
    ),
    Reason(
        "links/retry",
        "LARGEST_EXPONENT = 1000",
        "LARGEST_EXPONENT = 1001",
        "it is there so that no power overflows, and 1001 does not: both mean more seconds than there will be",
    ),
    Reason(
        "transport/_execution",
        "return await self._outcome\n        finally:\n            self.close()",
        "return await self._outcome\n        finally:\n            pass",
        "graphql-core 3.3 closes these coroutines itself, 3.2 does not: CI's oldest dependencies turn the tests red",
    ),
    Reason(
        "transport/_incremental",
        "MOST_KEPT = 1000",
        "MOST_KEPT = 1001",
        "how often those are looked for that have ended is seen in the time and the memory that it takes only",
    ),
    Reason(
        "transport/_incremental",
        "len(self._coroutines) > self._most_kept",
        "len(self._coroutines) >= self._most_kept",
        "how often those are looked for that have ended is seen in the time and the memory that it takes only",
    ),
    Reason(
        "transport/_incremental",
        "            self._most_kept = MOST_KEPT + 2 * len(self._coroutines)",
        "            pass",
        "how often those are looked for that have ended is seen in the time and the memory that it takes only",
    ),
    Reason(
        "transport/_incremental",
        "MOST_KEPT + 2 * len",
        "MOST_KEPT - 2 * len",
        "how often those are looked for that have ended is seen in the time and the memory that it takes only",
    ),
    Reason(
        "transport/_incremental",
        "MOST_KEPT + 2 * len(",
        "MOST_KEPT + 2 / len(",
        "how often those are looked for that have ended is seen in the time and the memory that it takes only",
    ),
    Reason(
        "transport/_incremental",
        "MOST_KEPT + 2 * len",
        "MOST_KEPT + 3 * len",
        "how often those are looked for that have ended is seen in the time and the memory that it takes only",
    ),
    Reason(
        "transport/_files",
        "CHUNK: Final = 2**16",
        "CHUNK: Final = 2**17",
        "how much is read at a time is seen in the time and the memory that it takes only",
    ),
    Reason(
        "transport/_headers",
        "KNOWN_NAMES = 1000",
        "KNOWN_NAMES = 1001",
        "how many names are remembered is seen in the time that it takes only",
    ),
    Reason(
        "transport/_headers",
        "if len(_known_names) >= KNOWN_NAMES:",
        "if len(_known_names) > KNOWN_NAMES:",
        "how many names are remembered is seen in the time that it takes only",
    ),
    Reason(
        "transport/_multipart",
        'errors: str = "strict"',
        'errors: str = "XXstrict"',
        "the parameter is there because aiohttp's method has it; the method always refuses",
    ),
    Reason(
        "transport/_response",
        '"application/json; charset=utf-8"',
        '"XXapplication/json; charset=utf-8"',
        "a type that is not among the usual ones is looked at more closely, and found to be in UTF-8 all the same",
    ),
    Reason(
        "transport/_response",
        'response.headers.get("content-type", "").partition(";")',
        'response.headers.get("content-type", "XX").partition(";")',
        "no other link reads either",
    ),
    Reason(
        "transport/_uri",
        'if ":" in (url.user or ""):',
        'if ":" in (url.user or "XX"):',
        "there is a colon in neither",
    ),
    Reason(
        "links/client_awareness",
        '"version": _library_version()}}',
        '"XXversion": _library_version()}}',
        "it says which extensions were encoded beforehand; others are encoded when they are sent",
    ),
    Reason(
        "transport/_body",
        "variables.keys() <= document.used_variables):",
        "variables.keys() < document.used_variables):",
        "where the names are the same, those that are used are all, which then is looked at once more",
    ),
    Reason(
        "transport/_request",
        "if not self._takes_files:\n            return False",
        "if not self._takes_files:\n            return None",
        "it is asked whether it is true",
    ),
    Reason(
        "transport/_response",
        "value, end = None, -1",
        "value, end = None, -2",
        "any number below zero says that there was no JSON",
    ),
    Reason(
        "transport/_response",
        '"application/json", "application/json; charset=utf-8"',
        '"XXapplication/json", "application/json; charset=utf-8"',
        "a type that is not among the usual ones is looked at more closely, and found to be in UTF-8 all the same",
    ),
)


def _constructor_of_a_link(mutation: Mutation) -> bool:
    """Tell whether a link no longer calls the constructor of ApolloLink, which only stores the handler it gets."""
    if (mutation.kind, mutation.old, mutation.new) != ("statement", "super().__init__()", "pass"):
        return False
    owners = [node for node in _around(mutation) if isinstance(node, ast.ClassDef)]
    return bool(owners) and [ast.unparse(base) for base in owners[-1].bases] == ["ApolloLink"]


def _name_of_a_type_variable(mutation: Mutation) -> bool:
    """Tell whether a type variable is called otherwise."""
    if mutation.kind != "constant":
        return False
    *_, parent, node = [None, *_around(mutation)]
    return (
        isinstance(parent, ast.Call)
        and isinstance(parent.func, ast.Name)
        and parent.func.id in {"TypeVar", "ParamSpec"}
        and parent.args[:1] == [node]
    )


RULES: dict[Callable[[Mutation], bool], str] = {
    _constructor_of_a_link: "the constructor of ApolloLink only stores a handler, and this link gives it none",
    _name_of_a_type_variable: "the name of a type variable is for type checkers",
}


def reason_of(module: str, mutation: Mutation) -> str | None:
    """Return why no test has to notice a mistake; None where one should."""
    for reason in REASONS:
        if reason.is_of(module, mutation):
            return reason.why
    for rule, why in RULES.items():
        if rule(mutation):
            return why
    return None


def _around(mutation: Mutation) -> Iterator[ast.AST]:
    """Yield what stands around the changed text in the unbroken module, from the outside in, down to that itself."""
    source = mutation.original
    offsets = [0]
    for line in source.splitlines(keepends=True):
        offsets.append(offsets[-1] + len(line.encode()))
    begin = len(source[: mutation.place].encode())
    end = begin + len(mutation.old.encode())
    for node in ast.walk(ast.parse(source)):  # level by level
        line = getattr(node, "lineno", None)
        if line is None:
            continue
        first = offsets[line - 1] + node.col_offset
        last = offsets[node.end_lineno - 1] + node.end_col_offset
        if first <= begin and end <= last:
            yield node
