"""The type of a channel's name in requests."""

from typing import Annotated

from pydantic import AfterValidator

from shared.channels import CHANNELS


def _known_channel(name: str) -> str:
    if name not in CHANNELS:
        raise ValueError(f"is not a channel; there are {', '.join(CHANNELS)}")
    return name


ChannelName = Annotated[str, AfterValidator(_known_channel)]
