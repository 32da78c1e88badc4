from shared.pipeline.recently import Recently


def test_it_remembers_the_newest_and_forgets_the_oldest() -> None:
    recently = Recently(3)
    for name in "abcd":
        recently.add(name)

    assert [name in recently for name in "abcd"] == [False, True, True, True]


def test_it_never_grows_beyond_its_capacity_by_repetition() -> None:
    recently = Recently(2)
    for _ in range(10):
        recently.add("a")
    recently.add("b")

    assert "a" in recently
