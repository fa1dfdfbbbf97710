"""Tables that tests fill are printed as they are read."""

from types import SimpleNamespace

from tests.tables import PROPERTY, Cell, markdown, pytest_terminal_summary, read

FILLED: list[Cell] = [
    {"table": "fruit", "row": (1, "pear"), "column": (0, "colour"), "text": "green, or yellow"},
    {"table": "fruit", "row": (0, "plum"), "column": (1, "stone"), "text": "one"},
    {"table": "fruit", "row": (0, "plum"), "column": (0, "colour"), "text": "blue"},
]
PRINTED = """\
| fruit | colour | stone |
| --- | --- | --- |
| plum | blue | one |
| pear | green, or yellow | ? |"""


def test_cells_stand_in_the_order_of_their_numbers_and_what_is_missing_is_seen():
    assert PRINTED == markdown(FILLED)


def test_a_table_is_read_from_among_others():
    page = f"| vegetable | root |\n| --- | --- |\n| leek | no |\n\n{PRINTED}\nand so on\n| x |"

    table = read(page, "fruit")

    assert {"plum": {"colour": "blue", "stone": "one"}, "pear": {"colour": "green, or yellow", "stone": "?"}} == table


def test_the_end_of_a_run_shows_the_cells_of_passed_and_failed_tests():
    written: list[str] = []
    reports = {
        "passed": [SimpleNamespace(user_properties=[(PROPERTY, cell), ("other", 1)]) for cell in FILLED[:2]],
        "failed": [SimpleNamespace(user_properties=[(PROPERTY, FILLED[2])])],
    }
    reporter = SimpleNamespace(
        getreports=reports.__getitem__, write_sep=lambda _, title: written.append(title), write_line=written.append
    )

    pytest_terminal_summary(reporter)

    assert ["fruit", PRINTED] == written
