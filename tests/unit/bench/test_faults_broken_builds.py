import pytest

from bench.faults.broken_builds import DEFECTS, DefectOutdated, is_caught, plant, with_defect
from bench.faults.registry import SCENARIOS, named
from bench.faults.service import ROOT


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_every_defect_fits_the_app_as_it_is_and_still_compiles(defect):
    broken = with_defect((ROOT / defect.file).read_text(), defect)

    compile(broken, defect.file, "exec")


def test_a_defect_whose_text_is_gone_is_refused():
    with pytest.raises(DefectOutdated, match=DEFECTS[0].file):
        with_defect("something else", DEFECTS[0])


def test_a_planted_copy_differs_from_the_app_in_one_file_only(tmp_path):
    defect = DEFECTS[0]
    plant(defect, tmp_path)

    copies = [path.relative_to(tmp_path) for path in tmp_path.rglob("*.py")]
    assert [str(each) for each in copies if (tmp_path / each).read_bytes() != (ROOT / each).read_bytes()] == [
        defect.file
    ]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_every_defect_has_a_scenario_and_only_its_symptoms_count(defect):
    assert named(defect.scenario) in SCENARIOS
    assert is_caught(defect, [f"3 {defect.symptoms[0]}, such as X"])
    assert not is_caught(defect, ["never began: the service did not come up"])
