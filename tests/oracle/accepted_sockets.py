"""The accepted differences of WebSockets: a part of the list in `accepted.py`."""

from __future__ import annotations

import json

from tests.oracle.pair import Accepted
from tests.oracle.properties import both, has, parameters_of, sockets_have, sockets_say
from tests.oracle.rewriting_sockets import (
    another_subprotocol_is_named,
    bad_messages_are_4400,
    each_loss_is_told,
    empty_extensions_stay_out,
    errors_of_functions_are_the_operations,
    new_socket_does_not_wait,
    newcomer_does_not_wait,
    normal_close_is_waited_for,
    own_close_is_known_at_once,
    parameters_come_first,
    refused_handshake_has_its_status,
    second_acknowledgement_is_bad,
    silent_server_is_given_up,
    unneeded_socket_is_given_up,
    unused_variables_stay_out,
)
from tests.oracle.scenario import links_of

__all__ = ["ACCEPTED_OF_SOCKETS"]

ACCEPTED_OF_SOCKETS: tuple[Accepted, ...] = (
    Accepted(
        "empty extensions are not sent over a socket",
        "Differs of rxlink/transport/websocket.py: there an empty object goes with each operation",
        has("graphql-ws"),
        empty_extensions_stay_out,
    ),
    Accepted(
        "unused variables are not sent over a socket",
        "as over HTTP, where both leave them out; GraphQLWsLink sends them, and servers refuse what is not declared",
        both(has("graphql-ws"), lambda scenario: any("variables" in each for each in scenario["operations"])),
        unused_variables_stay_out,
    ),
    Accepted(
        "a socket that nobody waits for is given up at once",
        "in graphql-ws it is opened and acknowledged all the same, and closed then",
        has("graphql-ws"),
        unneeded_socket_is_given_up,
    ),
    Accepted(
        "a new socket does not wait for the end of the one before",
        "in graphql-ws who comes while a socket closes waits until the server has answered that, or for ever",
        both(has("graphql-ws"), sockets_have("closes")),
        new_socket_does_not_wait,
    ),
    Accepted(
        "who comes later does not wait for the losses of those before",
        "a defect of graphql-ws: when all have left, or the retries are used up, it is still retrying, so that the "
        "next operation waits before its first connection, and has fewer tries",
        has("graphql-ws"),
        newcomer_does_not_wait,
    ),
    Accepted(
        "after a close of one's own the wait begins at once",
        "graphql-ws waits for the close event, which a server that is gone lets come late",
        both(has("graphql-ws"), sockets_have("closes")),
        own_close_is_known_at_once,
    ),
    Accepted(
        "parameters come before the socket",
        "Differs of rxlink/transport/websocket.py: there the server's time for the first message runs meanwhile",
        lambda scenario: bool(parameters_of(scenario)),
        parameters_come_first,
    ),
    Accepted(
        "what an address or a wait raises is the operation's error",
        "a defect of graphql-ws: it is an unhandled rejection, and the operations wait for ever",
        both(has("graphql-ws"), lambda scenario: '"throws"' in json.dumps(scenario["chain"])),
        errors_of_functions_are_the_operations,
    ),
    Accepted(
        "messages that the protocol does not know close with 4400",
        "Differs of rxlink/transport/websocket.py: as PROTOCOL.md says; graphql-ws closes with 4004, and its error is "
        "of no class of its own",
        has("graphql-ws"),
        bad_messages_are_4400,
    ),
    Accepted(
        "a second acknowledgement is a bad message",
        "Differs of rxlink/transport/websocket.py: graphql-ws overlooks it",
        has("graphql-ws"),
        second_acknowledgement_is_bad,
    ),
    Accepted(
        "a refused handshake says with which status",
        "browsers do not tell it, and so graphql-ws cannot: its error has no words",
        sockets_have("status"),
        refused_handshake_has_its_status,
    ),
    Accepted(
        "another subprotocol is named",
        "browsers fail the connection by themselves; aiohttp opens it, and the link closes it and says why",
        sockets_have("protocol"),
        another_subprotocol_is_named,
    ),
    Accepted(
        "after a normal close by the server there is a wait",
        "Differs of rxlink/transport/websocket.py: graphql-ws connects at once, without end",
        sockets_say('"close": [1000'),
        normal_close_is_waited_for,
    ),
    Accepted(
        "a silent server is left with 4499",
        "graphql-ws has no time limit for pongs, only a recipe that closes with 4408; 4499 is its own code for a "
        "socket that has frozen",
        lambda scenario: any("keepAliveTimeout" in link for link in links_of(scenario)),
        silent_server_is_given_up,
    ),
    Accepted(
        "each connection that is to be kept and is given up is told",
        "graphql-ws tells of the first one; what a later operation opens is kept there too, and its end is not told",
        lambda scenario: any(link.get("lazy") is False for link in links_of(scenario)),
        each_loss_is_told,
    ),
)
