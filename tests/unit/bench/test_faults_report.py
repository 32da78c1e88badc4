from bench.faults.ledger import Line
from bench.faults.play import Played
from bench.faults.report import Caught, document, ledger_line, page

CLEAN = Played("kills", "3: nothing lost", 42, 12.0, Line(5, 5, 0, calls=6), [], {"deaths": {"worker": 3}})
BROKEN = Played("poison", "7: unaffected", 42, 3.0, Line(5, 4, 0, lost=["A"]), ["1 lost, such as A"])


def test_a_line_names_counts_seed_and_findings():
    assert ledger_line(CLEAN).startswith("ok     kills (seed 42, 12 s): accepted 5, final 5, in flight 0, lost 0")
    assert ledger_line(BROKEN).startswith("BROKEN poison")
    assert "1 lost, such as A" in ledger_line(BROKEN)


def test_the_page_has_every_scenario_and_every_broken_build():
    caught = Caught("settle before send", "store-refuses", is_caught=False, findings=[], seconds=1.0, seed=42)

    text = page(document([CLEAN, BROKEN], [caught], {"seed": 42}))

    assert "| kills | 5 | 5 | 0 | 0 |" in text
    assert "**1 lost, such as A**" in text
    assert "| settle before send | store-refuses | MISSED |" in text
