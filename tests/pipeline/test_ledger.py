import pytest

from algok.errors import LedgerError
from algok.pipeline.ledger import Line, check_balance, check_handover, from_counts, from_tally, ledger_table, total
from algok.schema import LEDGER
from algok.transforms.sinks import Count


def out(source: str, language: str, outcome: str, documents: int, reason: str = "") -> Line:
    return Line(
        stage="s",
        source=source,
        language=language,
        direction="out",
        outcome=outcome,
        reason=reason,
        documents=documents,
        bytes=0,
    )


READ = from_tally("s", {"a": {"ko": [5, 50], "en": [2, 20]}, "b": {"ko": [1, 10]}})


def test_a_balanced_ledger_passes() -> None:
    lines = [*READ, out("a", "ko", "kept", 4), out("a", "ko", "rejected", 1, "r"), out("a", "en", "failed", 2)]
    check_balance("s", [*lines, out("b", "ko", "kept", 1)])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([out("a", "ko", "kept", 4)], "source a, language ko: in 5, out 4"),
        ([out("a", "ko", "kept", 6)], "source a, language ko: in 5, out 6"),
        ([out("c", "ko", "kept", 1)], "source c, language ko: in 0, out 1"),
    ],
)
def test_a_document_lost_or_doubled_is_an_error(lines: list[Line], message: str) -> None:
    with pytest.raises(LedgerError, match=message):
        check_balance("s", [*READ, *lines])


def test_losses_of_one_language_do_not_hide_behind_gains_of_another() -> None:
    lines = [*READ, out("a", "ko", "kept", 4), out("a", "en", "kept", 3), out("b", "ko", "kept", 1)]
    check_balance("s", lines, by_language=False)
    with pytest.raises(LedgerError, match="language en"):
        check_balance("s", lines)


def test_a_stage_must_read_what_its_predecessor_kept() -> None:
    before = [out("a", "ko", "kept", 5), out("a", "ko", "rejected", 9), out("a", "en", "kept", 2)]
    with pytest.raises(LedgerError, match="did not read what stage before kept: source b, language ko: read 1"):
        check_handover("s", READ, "before", before)
    check_handover("s", READ, "before", [*before, out("b", "ko", "kept", 1)])


def test_lines_from_counts_and_their_table() -> None:
    count = Count(source="a", language="ko", outcome="rejected", reason="r", documents=3, bytes=7)
    (line,) = from_counts("filter", [count])
    assert total([line], "out", ("rejected",)) == {("a", "ko"): 3}
    table = ledger_table([line])
    assert table.schema.equals(LEDGER)
    assert table.to_pylist()[0]["reason"] == "r"
