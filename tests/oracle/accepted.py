"""Every difference between Apollo Client and rxlink that is meant, each with its reason: the one list.

Those of the client stand in `accepted_client.py`, of WebSockets in `accepted_sockets.py`, of answers in pieces in
`accepted_streams.py`. An entry says in which scenarios it may appear (`applies`, of `properties.py`), and how Apollo's
events of one subscription must be changed to be rxlink's (`rewrite`, of `rewriting*.py`; None where it has nothing to
do with them). Only where that makes them equal the difference is accepted, so an entry cannot hide another one. An
entry that no hand-written scenario meets makes a test fail.
"""

from __future__ import annotations

from tests.oracle.accepted_client import ACCEPTED_OF_CLIENTS
from tests.oracle.accepted_sockets import ACCEPTED_OF_SOCKETS
from tests.oracle.accepted_streams import ACCEPTED_OF_STREAMS
from tests.oracle.pair import Accepted
from tests.oracle.properties import (
    both,
    error_handler_does,
    handler_does,
    has,
    has_default_attempts,
    has_no_end,
    has_signal,
    is_subscribed_again,
    sends_several,
    server_knows_no_hashes,
    server_says,
    thrown_by_batch_handlers,
    waits_for_a_promise,
)
from tests.oracle.rewriting import (
    answer_comes_once,
    end_is_an_error,
    first_stream_stops,
    handler_error_is_the_operations,
    hopeless_errors_pass,
    raised_error_is_answered,
    raised_error_is_retried,
    type_error_is_named,
    who_has_left_is_not_sent,
)
from tests.oracle.rewriting_http import (
    connection_closes_a_turn_later,
    disabled_stays_disabled,
    members_get_the_handlers_error,
    next_batch_keeps_its_time,
    no_object_is_malformed,
    parameters_go_once,
    request_errors_in_other_words,
    subscriptions_abort_alone,
    text_goes_by_post,
    wrong_length_is_named,
)
from tests.oracle.scenario import links_of

__all__ = ["ACCEPTED"]

ACCEPTED: tuple[Accepted, ...] = (
    Accepted(
        "a handler without an Observable is named",
        "Differs of rxlink/core/link.py: Apollo fails with V8's TypeError; here the handler and the cure are named",
        handler_does("nothing", "wrong"),
        type_error_is_named,
    ),
    Accepted(
        "a chain without an end is an error",
        "Differs of rxlink/core/link.py: Apollo warns in development and completes without a result",
        has_no_end,
        end_is_an_error,
    ),
    Accepted(
        "answering stops the first stream",
        "Differs of rxlink/links/error.py: Apollo lets it run on below the answer",
        both(has("error"), has("observe")),
        first_stream_stops,
    ),
    Accepted(
        "an answer comes once",
        "a defect of Apollo: whatever the first stream still sends subscribes to the answer once more, so that its "
        "values come several times; Differs of rxlink/links/error.py, answering stops the first stream",
        both(has("error"), sends_several),
        answer_comes_once,
    ),
    Accepted(
        "what a link raises at once can be answered",
        "Differs of rxlink/links/error.py: Apollo asks the handler, but throws its answer away",
        both(has("error"), handler_does("throw", "throw-first")),
        raised_error_is_answered,
    ),
    Accepted(
        "what an error handler raises is the operation's error",
        "Differs of rxlink/links/error.py: in Apollo the exception is unhandled, and the operation hangs or completes",
        error_handler_does("throw", "wrong"),
        handler_error_is_the_operations,
    ),
    Accepted(
        "JSON that is no object is malformed",
        "Differs of rxlink/transport/http.py: Apollo gives a list to the subscriber, and trips over null",
        server_says(lambda body: body is None or isinstance(body, list)),
        no_object_is_malformed,
    ),
    Accepted(
        "each subscription to an HttpLink aborts its own request",
        "a defect of Apollo: the controller is made once, when the link is called, and shared by all subscriptions to "
        "what it returned, so leaving one aborts another, or nothing",
        both(has("http", "base-http"), is_subscribed_again),
        subscriptions_abort_alone,
    ),
    Accepted(
        "a GET that is subscribed again has its parameters once",
        "Differs of rxlink/transport/http.py: in Apollo each subscription adds all parameters to the address again",
        both(has("http", "base-http"), is_subscribed_again),
        parameters_go_once,
    ),
    Accepted(
        "the connection of an aborted request closes a turn of the loop later",
        "the request is a task, and asyncio cancels a task in the next turn; the moment is the same",
        has_signal,
        connection_closes_a_turn_later,
    ),
    Accepted(
        "the retry link leaves alone who was refused",
        "Differs of rxlink/links/retry.py: the default does not retry what no repetition cures, such as a 401",
        lambda scenario: any(link["link"] == "retry" and has_default_attempts(link) for link in links_of(scenario)),
        hopeless_errors_pass,
    ),
    Accepted(
        "what a link raises at once is retried",
        "Differs of rxlink/links/retry.py: in Apollo it is past RetryLink, and only the first time",
        both(has("retry"), handler_does("throw-first")),
        raised_error_is_retried,
    ),
    Accepted(
        "who has left is not sent",
        "Differs of rxlink/links/retry.py and defect of Apollo in persisted queries: what waits for a promise goes on "
        "after the subscriber has left, up to a request that nobody wants",
        waits_for_a_promise,
        who_has_left_is_not_sent,
    ),
    Accepted(
        "the end of a batch leaves the next one alone",
        "Differs of rxlink/links/batch.py: in Apollo it sends the next batch at once, before its interval is over",
        has("batch", "batch-http", "base-batch-http"),
        next_batch_keeps_its_time,
    ),
    Accepted(
        "what a batch handler raises is the error of each member",
        "Differs of rxlink/links/batch.py: in Apollo the exception is unhandled, and the members never end",
        lambda scenario: any(thrown_by_batch_handlers(scenario)),
        members_get_the_handlers_error,
    ),
    Accepted(
        "a list of a wrong length has an error of its own class",
        "Differs of rxlink/transport/batch_http.py and rxlink/links/batch.py: a plain Error in Apollo",
        has("batch", "batch-http", "base-batch-http"),
        wrong_length_is_named,
    ),
    Accepted(
        "persisted queries stay disabled",
        "Differs of rxlink/links/persisted_queries.py: in Apollo one unrelated error enables them again",
        both(has("persisted-queries"), server_knows_no_hashes),
        disabled_stays_disabled,
    ),
    Accepted(
        "a text goes by POST at each subscription",
        "Differs of rxlink/links/persisted_queries.py: in Apollo the second subscription takes the GET of the "
        "first one's hash for the user's own choice, and sends the text with it",
        both(has("persisted-queries"), is_subscribed_again),
        text_goes_by_post,
    ),
    Accepted(
        "graphql-core has its own words for a wrong request",
        "the texts of validation and coercion are those of the GraphQL library: graphql-js 16 there, graphql-core here",
        has("schema"),
        request_errors_in_other_words,
    ),
    *ACCEPTED_OF_CLIENTS,
    *ACCEPTED_OF_SOCKETS,
    *ACCEPTED_OF_STREAMS,
)
