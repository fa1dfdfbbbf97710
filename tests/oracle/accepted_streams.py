"""The accepted differences of answers in pieces: a part of the list in `accepted.py`."""

from __future__ import annotations

from tests.oracle.pair import Accepted
from tests.oracle.properties import answers_have, both, has, merges
from tests.oracle.rewriting_increments import (
    announced_end_is_waited_for,
    ends_of_nothing_are_overlooked,
    first_data_stays,
    first_stream_is_left,
    items_go_to_the_end,
    last_payload_ends_the_answer,
    what_does_not_fit_is_an_error,
)
from tests.oracle.rewriting_streams import (
    all_types_of_json_are_json,
    batches_come_as_a_whole,
    boundaries_may_be_short,
    delimiters_stand_alone,
    early_end_is_a_network_error,
    json_comes_when_it_is_complete,
    lines_may_end_with_lf,
    no_errors_are_none,
    no_result_is_malformed,
    part_has_no_blank_line,
    payload_comes_before_the_retry,
    protocol_errors_are_the_error,
    subscriptions_ask_for_their_type,
    type_of_a_part_is_a_server_error,
)

__all__ = ["ACCEPTED_OF_STREAMS"]

ACCEPTED_OF_STREAMS: tuple[Accepted, ...] = (
    Accepted(
        "protocol errors are the error of the operation",
        "Differs of rxlink/transport/_multipart_answer.py and rxlink/links/retry.py: in Apollo they stand in the "
        "extensions of a result, and the stream goes on",
        answers_have("pieces", "parts"),
        protocol_errors_are_the_error,
    ),
    Accepted(
        "an empty list of protocol errors is none",
        "Differs of rxlink/transport/_multipart_answer.py: in Apollo it makes an error without a message",
        answers_have("parts"),
        no_errors_are_none,
    ),
    Accepted(
        "a payload beside protocol errors comes before the retry",
        "Differs of rxlink/transport/_multipart_answer.py: in Apollo it is lost with the errors that it carries",
        both(has("retry"), answers_have("parts")),
        payload_comes_before_the_retry,
    ),
    Accepted(
        "a subscription asks for its own type alone",
        "Differs of rxlink/transport/http.py: in Apollo it asks for increments too, where it defers something",
        merges,
        subscriptions_ask_for_their_type,
    ),
    Accepted(
        "an answer that ends in the middle is a network error",
        "a plain Error in Apollo; here the same class as for a connection that is lost, which is what it mostly is",
        answers_have("pieces", "parts"),
        early_end_is_a_network_error,
    ),
    Accepted(
        "the body of a part begins behind its blank line",
        "the text in an error is what the server sent as the part's body; Apollo leaves the blank line on it",
        answers_have("pieces", "parts"),
        part_has_no_blank_line,
    ),
    Accepted(
        "a part that is no JSON by its type is a server error",
        "a plain Error in Apollo; here it has the status and the text, as any answer that is of no use",
        answers_have("pieces"),
        type_of_a_part_is_a_server_error,
    ),
    Accepted(
        "a part may be any type of JSON",
        "Differs of rxlink/transport/_multipart_answer.py: Apollo takes no other type than application/json",
        answers_have("pieces"),
        all_types_of_json_are_json,
    ),
    Accepted(
        "a boundary may have one letter",
        "Differs of rxlink/transport/_multipart_parts.py: in Apollo the parameters behind it belong to it",
        answers_have("pieces"),
        boundaries_may_be_short,
    ),
    Accepted(
        "nothing stands behind a delimiter",
        "Differs of rxlink/transport/_multipart_parts.py: Apollo takes it for a header without a name",
        answers_have("pieces"),
        delimiters_stand_alone,
    ),
    Accepted(
        "a batch is not answered in parts",
        "the error says so, and at once; in Apollo the parts are taken for JSON when all have come",
        both(has("batch-http"), answers_have("pieces")),
        batches_come_as_a_whole,
    ),
    Accepted(
        "lines of a multipart body may end with LF",
        "Differs of rxlink/transport/_multipart_parts.py: Apollo finds no delimiter there",
        answers_have("pieces"),
        lines_may_end_with_lf,
    ),
    Accepted(
        "JSON comes when it is complete",
        "Differs of rxlink/transport/_multipart_parts.py: Apollo waits for the delimiter, which some servers send with "
        "the next part",
        answers_have("pieces"),
        json_comes_when_it_is_complete,
    ),
    Accepted(
        "a part that is no GraphQL response is malformed",
        "Differs of rxlink/transport/_multipart_answer.py: Apollo passes it on, or skips it, or fails on null",
        answers_have("pieces", "parts"),
        no_result_is_malformed,
    ),
    Accepted(
        "answering leaves the request of the first stream",
        "Differs of rxlink/links/error.py, answering stops the first stream: in Apollo its request lasts as long as "
        "the answer",
        both(has("error"), answers_have("pieces", "parts")),
        first_stream_is_left,
    ),
    Accepted(
        "data beside increments is kept",
        "Differs of rxlink/incremental/handlers.py: in Apollo it is lost",
        merges,
        first_data_stays,
    ),
    Accepted(
        "items go to the end of their list",
        "Differs of rxlink/incremental/graphql17_alpha9.py: Apollo does not know the length of a list that has come "
        "in an item, and loses what comes for it",
        merges,
        items_go_to_the_end,
    ),
    Accepted(
        "a piece that does not fit is an error",
        "Differs of rxlink/incremental/: Apollo merges the entries of v0.2 into the root, where it asks for the format "
        "of 2022, and for those of an unknown id it asks for a report",
        merges,
        what_does_not_fit_is_an_error,
    ),
    Accepted(
        "the end of what is not pending is overlooked",
        "nothing has to be done for it; Apollo trips over it",
        merges,
        ends_of_nothing_are_overlooked,
    ),
    Accepted(
        "an end before the last piece is an error",
        "Differs of rxlink/transport/_multipart_answer.py: in Apollo the operation is complete, and the result is not",
        merges,
        announced_end_is_waited_for,
    ),
    Accepted(
        "the last piece ends an answer without a delimiter",
        "Differs of rxlink/transport/_multipart_answer.py: in Apollo it is an error, although the result is complete",
        merges,
        last_payload_ends_the_answer,
    ),
)
