"""The five parts of the stand-in as the supervisor starts them: commands, ports, pages, environments."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local_azure.up.data_folder import DataFolder
from local_azure.up.part import Part
from local_azure.up.ports import HOST, Ports
from local_azure.up.settings import Settings

_TOPOLOGY = Path("local_azure/topology")


@dataclass(frozen=True)
class HostScale:
    """Worker processes of the Functions host; it checks the values itself."""

    workers: int | None = None  # None: Azure's setting, else one
    instances: tuple[str, ...] = ()  # NAME=N

    def arguments(self, environment: Mapping[str, str]) -> tuple[str, ...]:
        workers = environment.get("FUNCTIONS_WORKER_PROCESS_COUNT", "1") if self.workers is None else str(self.workers)
        return ("--workers", workers, *(f"--instances={text}" for text in self.instances))


_ONE_WORKER = HostScale()


def stand_in_parts(
    project: Path, folder: DataFolder, ports: Ports, settings: Settings, *, scale: HostScale = _ONE_WORKER
) -> tuple[Part, ...]:
    """In start order; the Functions host comes last, because its triggers connect to the others."""
    return (
        _entra(project, folder, ports, settings),
        _servicebus(project, folder, ports, settings),
        _cosmos(project, folder, ports, settings),
        _sandbox(project, folder, ports, settings),
        _functions_host(project, folder, ports, settings, scale),
    )


def _entra(project: Path, folder: DataFolder, ports: Ports, settings: Settings) -> Part:
    url = _url(ports.entra)
    return Part(
        name="entra",
        title="Entra ID stand-in",
        command=_python("local_azure.entra", "serve", "--port", ports.entra, "--data", folder.path / "entra"),
        environment=settings.for_part("entra"),
        directory=project,
        ports={"HTTP": ports.entra},
        url=url,
        health_url=f"{url}/health",
    )


def _servicebus(project: Path, folder: DataFolder, ports: Ports, settings: Settings) -> Part:
    url = _url(ports.servicebus_admin)
    command = _python(
        *("local_azure.servicebus", "--port", ports.servicebus, "--admin-port", ports.servicebus_admin),
        *("--config", _TOPOLOGY / "servicebus.json", "--data", folder.path / "servicebus"),
    )
    return Part(
        name="servicebus",
        title="Service Bus emulator",
        command=command,
        environment=settings.for_part("servicebus"),
        directory=project,
        ports={"AMQP": ports.servicebus, "admin HTTP": ports.servicebus_admin},
        url=f"sb://{HOST}:{ports.servicebus}",
        health_url=f"{url}/health",
        pages={"Service Bus page": f"{url}/"},
    )


def _cosmos(project: Path, folder: DataFolder, ports: Ports, settings: Settings) -> Part:
    url = _url(ports.cosmos)
    command = _python(
        *("local_azure.cosmos", "--port", ports.cosmos, "--data", folder.path / "cosmos"),
        *("--topology", _TOPOLOGY / "cosmos.json", "--ranges", 2),
    )
    return Part(
        name="cosmos",
        title="Cosmos DB emulator",
        command=command,
        environment=settings.for_part("cosmos"),
        directory=project,
        ports={"HTTP": ports.cosmos},
        url=url,
        health_url=f"{url}/health",
        pages={"Cosmos explorer": f"{url}/_explorer"},
    )


def _sandbox(project: Path, folder: DataFolder, ports: Ports, settings: Settings) -> Part:
    url = _url(ports.sandbox)
    data = folder.path / "provider_sandbox"
    return Part(
        name="sandbox",
        title="provider sandbox",
        command=_python(
            *("local_azure.provider_sandbox", "--port", ports.sandbox, "--smtp-port", ports.smtp, "--data", data)
        ),
        environment=settings.for_part("sandbox"),
        directory=project,
        ports={"HTTP": ports.sandbox, "SMTP": ports.smtp},
        url=url,
        health_url=f"{url}/health",
        pages={"inbox page": f"{url}/"},
    )


def _functions_host(project: Path, folder: DataFolder, ports: Ports, settings: Settings, scale: HostScale) -> Part:
    admin_url, environment = _url(ports.host_admin), settings.for_app()
    command = _python(
        *("local_azure.functions_host", "--app", ".", "--port", ports.api, "--admin-port", ports.host_admin),
        *("--data", folder.path / "functions_host", *scale.arguments(environment)),
    )
    return Part(
        name="functions_host",
        title="Functions host",
        command=command,
        environment=environment,
        directory=project,
        ports={"HTTP": ports.api, "admin HTTP": ports.host_admin},
        url=_url(ports.api),
        health_url=f"{admin_url}/health",
        stage=2,
        pages={"API": f"{_url(ports.api)}/api", "host live page": f"{admin_url}/"},
    )


def _url(port: int) -> str:
    return f"http://{HOST}:{port}"


def _python(module: str, *arguments: str | int | Path) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *map(str, arguments))
