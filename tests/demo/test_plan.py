"""How the demo deals its operations to chapters and waves."""

from hypothesis import given
from hypothesis import strategies as st

from rxlink.demo.plan import Plan, Twist, chapters_of


@st.composite
def plans(draw):
    expiries = draw(st.integers(1, 12))
    operations = draw(st.integers(expiries, 400))
    return Plan(operations=operations, expiries=expiries, seed=draw(st.integers()))


@given(plans())
def test_every_operation_is_dealt_once_and_in_order(plan):
    dealt = [call.number for chapter in chapters_of(plan) for wave in (*chapter.calm, chapter.last) for call in wave]

    assert list(range(1, plan.operations + 1)) == dealt


@given(plans())
def test_there_is_a_chapter_for_each_expiry_with_an_operation_that_meets_it(plan):
    chapters = chapters_of(plan)

    assert plan.expiries == len(chapters)
    assert all(chapter.last for chapter in chapters)
    assert all(wave for chapter in chapters for wave in chapter.calm)


def test_three_chapters_hold_an_outage_and_a_revocation():
    twists = [chapter.twist for chapter in chapters_of(Plan(expiries=3))]

    assert [Twist.ENDED, Twist.OUTAGE, Twist.REVOKED] == twists


def test_the_seed_chooses_the_mutations():
    one, again, other = (chapters_of(Plan(seed=seed)) for seed in (1, 1, 2))

    assert one == again
    assert one != other
