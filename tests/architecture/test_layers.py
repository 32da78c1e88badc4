"""Who may know whom. The layout is in docs/architecture.md; these arrows are all there are.

functions → bootstrap → adapters, providers → ports → domain; the pipeline sees the world through ports only.
"""

import sys

import pytest

from tests.architecture.source_tree import APP, Source, sources

# Where each layer's files are, and what of this project they may import. The longest matching layer decides.
ARROWS: dict[str, set[str]] = {
    "function_app": {"functions"},
    "functions": {
        "functions", "shared.bootstrap", "shared.pipeline", "shared.contracts", "shared.domain", "shared.ports",
        "shared.channels", "shared.adapters.durable_orchestrations",
    },
    "shared.bootstrap": {
        "shared.settings", "shared.ports", "shared.pipeline", "shared.adapters", "shared.providers", "shared.domain",
        "shared.channels", "shared.contracts",
    },
    "shared.settings": {"shared.adapters", "shared.providers", "shared.pipeline", "shared.domain"},
    "shared.pipeline": {"shared.pipeline", "shared.ports", "shared.channels", "shared.domain", "shared.contracts"},
    "shared.adapters": {"shared.adapters", "shared.ports", "shared.channels", "shared.domain", "shared.contracts"},
    "shared.providers": {"shared.providers", "shared.ports", "shared.channels", "shared.domain", "shared.contracts"},
    "shared.ports": {"shared.domain", "shared.contracts"},
    "shared.contracts": {"shared.contracts", "shared.channels", "shared.domain"},
    "shared.channels": {"shared.channels", "shared.domain", "shared.contracts.field_types"},
    "shared.domain": {"shared.domain"},
}  # fmt: skip

# Libraries that only the edge may touch, and who is the edge.
EDGE_LIBRARIES = {
    "azure.functions": ("function_app", "functions"),
    "azure.durable_functions": ("functions", "shared.adapters.durable_orchestrations"),
    "azure": ("function_app", "functions", "shared.adapters", "shared.providers"),
    "aiohttp": ("shared.adapters", "shared.providers"),
    "twilio": ("shared.providers.twilio",),
    "sendgrid": ("shared.providers.sendgrid",),
    "aiosmtplib": ("shared.providers.smtp_connections",),
    "python_http_client": ("shared.providers.sendgrid",),
    "jwt": ("shared.adapters", "shared.providers"),
    "cryptography": ("shared.adapters", "shared.providers"),
    "jinja2": ("shared.adapters",),
    "yarl": ("shared.adapters",),
}
OURS = ("shared", "functions", "function_app", "local_azure", "tests", "bench", "tools")
every_app_file = pytest.mark.parametrize("source", sources(*APP), ids=lambda source: source.name)


def _within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def _layer(module: str) -> str:
    return max((layer for layer in ARROWS if _within(module, layer)), key=len)


def _own_imports(source: Source) -> set[str]:
    return {each for each in source.imports if each.split(".", maxsplit=1)[0] in OURS and each != "shared"}


@every_app_file
def test_an_arrow_goes_only_where_the_layout_says(source: Source) -> None:
    if source.module == "shared":
        return
    allowed = ARROWS[_layer(source.module)]

    strangers = {each for each in _own_imports(source) if not any(_within(each, layer) for layer in allowed)}

    assert strangers == set()


@pytest.mark.parametrize("source", sources("shared/domain"), ids=lambda source: source.name)
def test_the_domain_knows_the_standard_library_only(source: Source) -> None:
    foreign = {each.split(".", maxsplit=1)[0] for each in source.imports} - {"shared"}

    assert foreign <= sys.stdlib_module_names


@every_app_file
def test_libraries_of_the_edge_stay_at_the_edge(source: Source) -> None:
    for library, edge in EDGE_LIBRARIES.items():
        if any(_within(each, library) for each in source.imports):
            assert any(_within(source.module, place) for place in edge), f"{source.name} imports {library}"


@every_app_file
def test_the_app_imports_neither_stand_in_nor_tests_nor_tools(source: Source) -> None:
    strangers = {"local_azure", "tests", "bench", "tools", "pytest", "hypothesis"}

    assert not {each.split(".", maxsplit=1)[0] for each in source.imports} & strangers


@pytest.mark.parametrize("source", sources("local_azure"), ids=lambda source: source.name)
def test_the_stand_in_imports_nothing_of_the_app(source: Source) -> None:
    app = {"shared", "functions", "function_app"}

    assert not {each.split(".", maxsplit=1)[0] for each in source.imports} & app


@every_app_file
def test_only_the_composition_root_reads_the_environment(source: Source) -> None:
    text = source.path.read_text("utf-8")

    if source.module != "shared.bootstrap":
        assert "os.environ" not in text
        assert "getenv" not in text


def test_every_layer_named_here_exists() -> None:
    modules = {source.module for source in sources(*APP)}

    assert {layer for layer in ARROWS if not any(_within(module, layer) for module in modules)} == set()
