"""What is demanded of subscriptions over a WebSocket, each with a line of the code that is made wrong.

`breaks.py` makes these mistakes one at a time, beside those of the promises and of the other demands.
"""

from __future__ import annotations

from broken_copies import Break

__all__ = ["SOCKETS"]

SOCKETS = (
    Break(
        "E86",
        "the parameters of a connection are left out",
        "transport/_ws_opening.py",
        "params = await options.current_params()",
        "params = None",
        "transport/test_websocket_auth.py::test_e86_the_parameters_are_made_anew_at_each_connect",
    ),
    Break(
        "E87",
        "subscriptions that were lost with their socket are forgotten",
        "transport/_ws_placement.py",
        "        again = [operation for operation in waiting if operation.was_sent]\n",
        "        again, waiting = [], [one for one in waiting if not one.was_sent]\n",
        "transport/test_websocket_resubscribe.py::test_e87_after_a_reconnect_all_subscriptions_go_on_in_their_order_on"
        "_the_same_observables",
    ),
    Break(
        "E88",
        "a refused token is told once more",
        "transport/_ws_retrying.py",
        "            tokens.refuse(credential)\n            if was_refused:",
        "            if was_refused:",
        "transport/test_websocket_auth.py::test_e88_a_close_with_an_auth_code_has_the_token_refreshed_before_it_connects"
        "_again_at_once",
    ),
    Break(
        "E89",
        "what comes on the newer socket is thrown away until the older one is left",
        "transport/_ws_operation.py",
        "self._held.append((deliver, values))",
        "pass",
        "transport/test_websocket_handover.py::test_what_comes_on_the_newer_socket_is_held_back_until_the_older_one_has"
        "_said_all",
    ),
    Break(
        "E89",
        "the older socket is left before it has said all",
        "transport/_ws_handover.py",
        "            self._ask(self.older, self._go_over, or_else=self._go_over)\n",
        "            self._go_over()\n",
        "transport/test_websocket_handover.py::test_what_comes_on_the_newer_socket_is_held_back_until_the_older_one_has"
        "_said_all",
    ),
    Break(
        "E90",
        "one that is denied is sent again for ever",
        "transport/_ws_placement.py",
        "        operation.was_denied = True\n",
        "",
        "transport/test_websocket_denied.py::test_e90_one_that_is_denied_again_ends_alone",
    ),
    Break(
        "E91",
        "who is not signed in is refused again and again",
        "transport/_ws_retrying.py",
        "        if tokens is None or credential is None:\n            return Verdict.FAIL",
        "        if tokens is None or credential is None:\n            return Verdict.AT_ONCE",
        "transport/test_websocket_auth.py::test_e91_where_nobody_is_signed_in_the_first_refusal_is_the_end",
    ),
    Break(
        "E92",
        "a gap is told as none",
        "transport/_ws_resumption.py",
        "Resubscribed(operations, may_have_gap=True,",
        "Resubscribed(operations, may_have_gap=False,",
        "transport/test_websocket_resubscribe.py::test_e92_an_event_tells_which_operations_may_have_a_gap",
    ),
    Break(
        "E92",
        "a gap is told before the operations have begun again",
        "transport/_ws_resumption.py",
        "            self.socket.ask(self._wait)\n",
        "            self._wait()\n",
        "transport/test_websocket_resumption.py::test_it_is_told_when_a_ping_behind_them_is_answered",
    ),
    Break(
        "E93",
        "the socket is opened with whatever token there is",
        "transport/_ws_tokens.py",
        "        while (wave := keeper.gate.wave(has_waited=has_waited, is_retry=True)) is not None:",
        "        while (wave := None) is not None:",
        "transport/test_websocket_auth.py::test_e93_a_slow_refresh_comes_before_the_socket_is_opened",
    ),
    Break(
        "P8",
        "operations of the login before go on under the next one",
        "transport/_ws_placement.py",
        "            if operation.epoch not in {None, epoch}:\n                self._part_with",
        "            if operation.epoch in ():\n                self._part_with",
        "transport/test_websocket_logins.py::test_p8_a_sign_out_ends_operations_and_closes_the_socket",
    ),
    Break(
        "P11",
        "results come in the context of whoever reads the socket",
        "transport/_ws_operation.py",
        "self._root.resume_next(self._observer, result)",
        "self._observer.on_next(result)",
        "transport/test_websocket_contexts.py::TestInItsOwnContext::test_comes_each_result_error_and_completion",
    ),
    Break(
        "P7",
        "the token goes over plain ws to another machine",
        "transport/_ws_tokens.py",
        "        if self._audience.refusal(",
        "        if None is not None and self._audience.refusal(",
        "transport/test_websocket_token_ways.py::TestTheToken::test_does_not_go_over_plain_ws_to_another_machine",
    ),
)
