import pytest

from shared.domain.gateway_proof import GatewayProof

OLD, NEW = "old-secret-of-the-gateway", "new-secret-of-the-gateway"


def test_without_a_secret_every_way_in_is_open():
    assert GatewayProof.of("").admits(None)
    assert GatewayProof.of(" ").admits("anything")


@pytest.mark.parametrize("shown", [OLD, NEW])
def test_both_secrets_of_a_rotation_are_good(shown: str):
    assert GatewayProof.of(f"{NEW} {OLD}").admits(shown)


@pytest.mark.parametrize("shown", [None, "", " ", OLD[:-1], OLD + "x", OLD.upper(), f"{NEW} {OLD}", "\u00e9" * 24])
def test_nothing_else_is(shown: str | None):
    assert not GatewayProof.of(f"{NEW} {OLD}").admits(shown)


@pytest.mark.parametrize("setting", ["short", f"{OLD} short", "\u00e9" * 24])
def test_a_weak_secret_is_refused_without_being_shown(setting: str):
    with pytest.raises(ValueError, match="GATEWAY_PROOF") as refused:
        GatewayProof.of(setting)

    assert setting not in str(refused.value)


def test_it_does_not_show_its_secrets():
    assert OLD not in repr(GatewayProof.of(OLD))
