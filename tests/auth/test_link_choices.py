"""What an application decides for one operation, and what counts as a refusal: AuthLink from end to end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxlink.auth.classify import AuthErrorClassifier
from rxlink.auth.events import CallbackFailed, RefreshReason
from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.links.context import set_context
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import (
    REFUSED,
    UNAUTHENTICATED,
    Bench,
    Issuer,
    ScriptedStorage,
    bench,
    fresh,
    good,
    names_of,
    never,
    request,
)
from tests.recording import END, Recorder, subscribed

NONE = {"auth": "none"}


def started(built: Bench, name: str = "Q", *, kind: str = "query", **context: Any) -> Recorder:
    return subscribed(execute(built.link, request(name, kind=kind, context=context)))


class TestOptingOut:
    """S39, E06, E85: an operation whose context says `"auth": "none"` passes AuthLink untouched."""

    @virtual
    async def test_its_401_is_its_own_and_costs_the_session_nothing(self, time: VirtualTime) -> None:
        """E06, S39: a login with a wrong password is no reason to refresh."""
        built = bench(time=time)
        login = started(built, "Login", **NONE)
        await asyncio.sleep(1)

        assert ([UNAUTHENTICATED, END], [None]) == (login.seen, built.server.tokens)
        assert ([], REFUSED, False) == (
            built.issuer.calls,
            built.session.wallet.tokens,
            built.session.wallet.credential.is_rejected,
        )

    @virtual
    async def test_headers_of_its_own_stay(self, time: VirtualTime) -> None:
        """S39, S51: also the one under the link's name: a refresh that carries the refresh token as its bearer."""
        built = bench(time=time, valid=["R0"])
        result = started(built, headers={"authorization": "Bearer R0", "x": "1"}, **NONE)
        await asyncio.sleep(1)

        (send,) = built.server.sends
        assert (good(), {"authorization": "Bearer R0", "x": "1"}) == (result.seen, send.headers)

    @virtual
    async def test_it_does_not_wait_for_the_first_load(self, time: VirtualTime) -> None:
        """E85, S39: who is signed in is no question for it, and nobody asks the storage."""
        storage = ScriptedStorage(REFUSED, load=[never])
        built = bench(None, time=time, storage=storage, valid=[None])
        built.server.valid = {None}
        result = started(built, **NONE)
        await asyncio.sleep(1)

        assert (good(), []) == (result.seen, storage.log)

    @virtual
    async def test_it_does_not_wait_for_a_refresh(self, time: VirtualTime) -> None:
        """S39, E06: not even where the token has ended."""
        built = bench(fresh(time, -1), time=time, issuer=Issuer(delay=5))
        waiting = built.start("Waiting")
        built.server.valid = {None}
        result = started(built, **NONE)
        await asyncio.sleep(1)
        during = list(result.seen), list(waiting.seen)
        await asyncio.sleep(9)

        assert ((good(), []), good("Waiting"), 1) == (during, waiting.seen, len(built.issuer.calls))

    @virtual
    async def test_it_goes_out_after_the_session_was_closed(self, time: VirtualTime) -> None:
        """S39: it has nothing to do with the session."""
        built = bench(time=time)
        built.server.valid = {None}
        await built.session.aclose()
        result = started(built, **NONE)
        await asyncio.sleep(1)

        assert good() == result.seen

    @pytest.mark.parametrize("word", [None, "", "bearer", True])
    @virtual
    async def test_other_words_mean_nothing(self, word: Any, time: VirtualTime) -> None:
        """S39: a typing error must not take the token off an operation."""
        built = bench(time=time, valid=["A0"])
        started(built, auth=word)
        await asyncio.sleep(1)

        assert ["Bearer A0"] == built.server.tokens

    @virtual
    async def test_a_link_above_may_say_so(self, time: VirtualTime) -> None:
        """S39: such as for all operations of a name."""
        built = bench(time=time)
        opt_out = set_context(lambda operation, context: NONE if operation.operation_name == "Login" else {})
        chain = from_([opt_out, built.link])
        for name in ("Login", "Q"):
            subscribed(execute(chain, request(name)))
        await asyncio.sleep(1)

        assert [("Login", None), ("Q", "Bearer A0"), ("Q", "Bearer A1")] == [
            (send.name, send.token) for send in built.server.sends
        ]


class TestMutations:
    @pytest.mark.parametrize(
        ("option", "choice", "is_sent_again"),
        [(True, None, True), (False, None, False), (True, False, False), (False, True, True), (False, False, False)],
    )
    @virtual
    async def test_are_sent_again_or_not_as_the_option_and_the_operation_say(
        self, option: bool, choice: bool | None, is_sent_again: bool, time: VirtualTime
    ) -> None:
        """E37: the operation's own word counts; the token is refreshed in any case."""
        built = bench(time=time, link={"retry_mutations": option})
        pay = started(built, "Pay", kind="mutation", retry_mutations=choice)
        await asyncio.sleep(1)

        assert (good("Pay") if is_sent_again else [UNAUTHENTICATED, END]) == pay.seen
        assert ({"Pay": 1 + is_sent_again}, [RefreshReason.REJECTED]) == (
            built.server.per_operation,
            built.issuer.reasons,
        )
        assert "A1" == built.session.wallet.tokens.access_token

    @pytest.mark.parametrize("kind", ["query", "subscription"])
    @virtual
    async def test_others_are_sent_again_whatever_it_says(self, kind: str, time: VirtualTime) -> None:
        """E37: it is about mutations."""
        built = bench(time=time, link={"retry_mutations": False})
        result = started(built, kind=kind, retry_mutations=False)
        await asyncio.sleep(1)

        assert (good(), {"Q": 2}) == (result.seen, built.server.per_operation)

    @virtual
    async def test_one_that_is_not_sent_again_is_answered_before_the_refresh_ends(self, time: VirtualTime) -> None:
        """E37: its error is there already; those that come after it wait."""
        built = bench(time=time, issuer=Issuer(delay=5), link={"retry_mutations": False})
        pay = started(built, "Pay", kind="mutation")
        await asyncio.sleep(1)
        during = list(pay.seen)
        following = started(built, "Pay2", kind="mutation")
        await asyncio.sleep(9)

        assert ([UNAUTHENTICATED, END], good("Pay2")) == (during, following.seen)
        assert ({"Pay": 1, "Pay2": 1}, 1) == (built.server.per_operation, len(built.issuer.calls))

    @pytest.mark.parametrize("where", ["above", "context"])
    @virtual
    async def test_both_sends_have_the_same_idempotency_key(self, where: str, time: VirtualTime) -> None:
        """E37, S03: so that the server may tell that it is one payment."""
        built = bench(time=time)
        keys = iter(["k1", "k2", "k3"])
        above = ApolloLink(
            lambda operation, forward: (
                operation.set_context({"headers": {"Idempotency-Key": next(keys)}}),
                forward(operation),
            )[1]
        )
        chain = from_([above, built.link]) if where == "above" else built.link
        context = {"headers": {"Idempotency-Key": "k1"}} if where == "context" else None
        pay = subscribed(execute(chain, request("Pay", kind="mutation", context=context)))
        await asyncio.sleep(1)

        assert good("Pay") == pay.seen
        assert [("k1", "Bearer A0"), ("k1", "Bearer A1")] == [
            (send.headers["Idempotency-Key"], send.token) for send in built.server.sends
        ]

    @virtual
    async def test_an_upload_that_is_used_up_gets_its_own_answer_beside_the_refresh(self, time: VirtualTime) -> None:
        """E36: its body is gone; the next one finds a good token."""
        built = bench(time=time)
        auth, server = built.link.children()

        def spend(operation: Any, forward: Any) -> Any:
            operation.spend()
            return forward(operation)

        chain = from_([auth, ApolloLink(spend), server])
        upload = subscribed(execute(chain, request("Upload", kind="mutation", context={"retry_mutations": True})))
        await asyncio.sleep(1)
        following = subscribed(execute(chain, request("Next", kind="mutation")))
        await asyncio.sleep(1)

        assert ([UNAUTHENTICATED, END], good("Next")) == (upload.seen, following.seen)
        assert ["Bearer A0", "Bearer A1"] == built.server.tokens


class TestPredicatesThatRaise:
    @pytest.mark.parametrize("wrap", [lambda raising: raising, lambda raising: AuthErrorClassifier(predicate=raising)])
    @virtual
    async def test_have_seen_no_refusal_and_are_reported_twice_over(self, wrap: Any, time: VirtualTime) -> None:
        """E08, E51: to the loop's handler with the exception, and to the listeners without its text."""
        complaints: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint["exception"]))
        error = KeyError("s3cret")

        def careless(answer: Any) -> bool:
            raise error

        built = bench(time=time, link={"is_auth_error": wrap(careless)})
        built.server.refusal = lambda: {"data": None, "errors": [{"message": "no"}]}
        events = subscribed(built.session.events)
        result = built.start()
        await asyncio.sleep(1)

        assert [{"data": None, "errors": [{"message": "no"}]}, END] == result.seen
        assert ([error], [CallbackFailed(1, "is_auth_error", "KeyError")]) == (complaints, events.seen)
        assert ([], "s3cret" in repr(events.seen)) == (built.issuer.calls, False)

    @virtual
    async def test_on_the_retry_cost_nothing_but_the_report(self, time: VirtualTime) -> None:
        """E08, E51: the answer of the second attempt is delivered as it is."""
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        answers = iter([True, KeyError()])

        def judge(answer: Any) -> bool:
            verdict = next(answers)
            if isinstance(verdict, Exception):
                raise verdict
            return verdict

        built = bench(time=time, link={"is_auth_error": judge})
        events = subscribed(built.session.events)
        result = built.start()
        await asyncio.sleep(1)

        assert good() == result.seen
        assert "CallbackFailed" == names_of(events.seen)[-1]
