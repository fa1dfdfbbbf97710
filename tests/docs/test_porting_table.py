"""The table of Apollo's exports is complete, and what it names is there.

The names were listed with TypeScript's own compiler from the ``index.d.ts`` of each entry point of ``@apollo/client``
4.3.8, members of namespaces and static methods included, those of ``incremental`` without.
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

import rxlink
import rxlink.testing
from rxlink.auth.attempts import FirstAttempt
from rxlink.auth.authorization import Authorization
from rxlink.auth.single_flight import SingleFlight

DOCS = Path(__file__).parents[2] / "docs"
TABLE = (DOCS / "porting-table.md").read_text(encoding="utf-8")
PAGES = TABLE + (DOCS / "porting-from-apollo.md").read_text(encoding="utf-8")
SECTION = re.compile(r"^## (.*?)$(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")  # GraphQL's own tag stands in two of them
CALL = re.compile(r"([A-Za-z_][\w.]*)(?:\(([\w, ]*)\))?")

EXPORTS = {
    "@apollo/client/link": """
        ApolloLink ApolloLink.AdditionalResultTypes ApolloLink.ExecuteContext ApolloLink.ForwardFunction
        ApolloLink.Operation ApolloLink.OperationContext ApolloLink.Request ApolloLink.RequestHandler
        ApolloLink.Result ApolloLink.concat ApolloLink.empty ApolloLink.execute ApolloLink.from ApolloLink.split
        ApolloPayloadResult DocumentNode FetchResult GraphQLRequest Operation RequestHandler concat empty
        execute from split
    """,
    "@apollo/client/link/batch": """
        BatchLink BatchLink.BatchHandler BatchLink.Options BatchLink.Shared BatchLink.Shared.Options
    """,
    "@apollo/client/link/batch-http": """
        BaseBatchHttpLink BaseBatchHttpLink.ContextOptions BaseBatchHttpLink.Options BatchHttpLink
        BatchHttpLink.ContextOptions BatchHttpLink.Options
    """,
    "@apollo/client/link/client-awareness": """
        ClientAwarenessLink ClientAwarenessLink.ClientAwarenessOptions ClientAwarenessLink.ContextOptions
        ClientAwarenessLink.EnhancedClientAwarenessOptions ClientAwarenessLink.Options
    """,
    "@apollo/client/link/context": """
        SetContextLink SetContextLink.ContextSetter SetContextLink.LegacyContextSetter
        SetContextLink.SetContextOperation setContext
    """,
    "@apollo/client/link/error": """
        ErrorLink ErrorLink.ErrorHandler ErrorLink.ErrorHandlerOptions onError
    """,
    "@apollo/client/link/http": """
        BaseHttpLink BaseHttpLink.Body BaseHttpLink.ContextOptions BaseHttpLink.HttpOptions BaseHttpLink.Options
        BaseHttpLink.Printer BaseHttpLink.Shared BaseHttpLink.Shared.Options BaseHttpLink.UriFunction HttpLink
        HttpLink.ContextOptions HttpLink.Options checkFetcher createHttpLink createSignalIfSupported
        defaultPrinter fallbackHttpConfig parseAndCheckHttpResponse rewriteURIForGET selectHttpOptionsAndBody
        selectHttpOptionsAndBodyInternal selectURI
    """,
    "@apollo/client/link/persisted-queries": """
        PersistedQueryLink PersistedQueryLink.Base PersistedQueryLink.Base.Options
        PersistedQueryLink.DisableFunctionOptions PersistedQueryLink.ErrorMeta
        PersistedQueryLink.GenerateHashFunction PersistedQueryLink.GenerateHashOptions
        PersistedQueryLink.Options PersistedQueryLink.RetryFunctionOptions PersistedQueryLink.SHA256Function
        PersistedQueryLink.SHA256Options VERSION createPersistedQueryLink
    """,
    "@apollo/client/link/retry": """
        RetryLink RetryLink.AttemptsFunction RetryLink.AttemptsOptions RetryLink.DelayFunction
        RetryLink.DelayOptions RetryLink.Options
    """,
    "@apollo/client/link/remove-typename": """
        KEEP RemoveTypenameFromVariablesLink RemoveTypenameFromVariablesLink.KeepTypenameConfig
        RemoveTypenameFromVariablesLink.Options removeTypenameFromVariables
    """,
    "@apollo/client/link/schema": """
        SchemaLink SchemaLink.Options SchemaLink.ResolverContext SchemaLink.ResolverContextFunction
    """,
    "@apollo/client/link/subscriptions": """
        GraphQLWsLink
    """,
    "@apollo/client/link/utils": """
        createOperation filterOperationVariables
    """,
    "@apollo/client/link/ws": """
        WebSocketLink WebSocketLink.Configuration
    """,
    "@apollo/client/errors": """
        CombinedGraphQLErrors CombinedGraphQLErrors.MessageFormatter
        CombinedGraphQLErrors.MessageFormatterOptions CombinedGraphQLErrors.formatMessage
        CombinedGraphQLErrors.is CombinedProtocolErrors CombinedProtocolErrors.MessageFormatter
        CombinedProtocolErrors.MessageFormatterOptions CombinedProtocolErrors.formatMessage
        CombinedProtocolErrors.is LinkError LocalStateError LocalStateError.Options LocalStateError.is
        PROTOCOL_ERRORS_SYMBOL ServerError ServerError.Options ServerError.is ServerParseError
        ServerParseError.Options ServerParseError.is UnconventionalError UnconventionalError.is
        graphQLResultHasProtocolErrors isErrorLike registerLinkError toErrorLike
    """,
    "@apollo/client/testing": """
        MockLink MockLink.DefaultOptions MockLink.Delay MockLink.DelayFunction MockLink.MockedRequest
        MockLink.MockedResponse MockLink.Options MockLink.ResultFunction MockLink.defaultOptions MockLinkOptions
        MockSubscriptionLink MockSubscriptionLink.Result MockedRequest MockedResponse ResultFunction
        realisticDelay
    """,
}


def _rows(text: str) -> list[list[str]]:
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [row for row in rows if row[0] not in ("Apollo", "rxlink")]


def _named(cell: str) -> list[str]:
    return CODE.findall(cell)


def _resolved(path: str) -> object:
    """Find what a dotted name stands for: in a module, or without one in `rxlink`."""
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        parts = parts[length:]
        break
    else:
        found = rxlink
    for part in parts:
        found = getattr(found, part)
    return found


SECTIONS = {title.strip("`"): _rows(text) for title, text in SECTION.findall(TABLE)}
OURS = "What Apollo Client does not have"
CELLS = [row[1] for title, rows in SECTIONS.items() for row in rows if title != OURS]
SPANS = sorted({span for cell in [*CELLS, *(row[0] for row in SECTIONS[OURS])] for span in _named(cell)})


@pytest.mark.parametrize("entry_point", EXPORTS)
def test_every_export_of_apollo_has_a_row_and_nothing_else_has(entry_point: str) -> None:
    exported = EXPORTS[entry_point].split()

    listed = [name for row in SECTIONS[entry_point] for name in _named(row[0])]

    assert sorted(exported) == sorted(listed)


@pytest.mark.parametrize("span", SPANS)
def test_every_name_in_the_table_exists_and_takes_the_arguments_that_stand_there(span: str) -> None:
    matched = CALL.fullmatch(span)
    assert matched is not None, f"{span} is no name"
    path, arguments = matched.groups()

    found = _resolved(path)

    taken = inspect.signature(found).parameters if arguments else {}  # type: ignore[arg-type]
    assert [] == [name for name in re.findall(r"\w+", arguments or "") if name not in taken]


def test_a_row_without_a_name_says_that_there_is_none() -> None:
    nameless = {cell for cell in CELLS if not _named(cell)}

    assert {"none", "not yet"} == nameless


@pytest.mark.parametrize("name", [*rxlink.__all__, *rxlink.testing.__all__])
def test_every_public_name_stands_in_the_table_or_the_guide(name: str) -> None:
    spans = _named(FENCE.sub("", PAGES))

    assert any(re.match(rf"(rxlink\.testing\.)?{name}(\(|$)", span) for span in spans)


def test_the_engine_has_the_names_by_which_it_is_read() -> None:
    table = dict(SECTION.findall(PAGES))["Reading the engine"]
    homes = {home.__name__: inspect.getsource(home) for home in (SingleFlight, FirstAttempt, Authorization)}

    named = re.findall(r"`([A-Z]\w+)\.(\w+)`", table)

    assert {owner for owner, _ in named} == set(homes)
    assert [] == [name for owner, name in named if not re.search(rf"(def |self\.){name}\b", homes[owner])]
