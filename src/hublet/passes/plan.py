"""What the config says of passes."""

from __future__ import annotations

from typing import Literal

from hublet.core.pace import LONGEST_STRETCHED
from hublet.core.values import dataclass
from hublet.upstream.order import Hub


@dataclass(frozen=True, slots=True)
class Plan:
    """Which Hub is asked, and how. `interval` is the time between passes, `longest` the longest time that a slow pace
    may leave between them, both in seconds. `proxied` says whether the variants of assistants that use the Hub's proxy
    are asked for: where a client has asked for them (`auto`), everywhere, or nowhere. With `hold_commands` an assistant
    that changes what it runs or where it sends data is held for the user to accept."""

    hub: Hub
    interval: float
    longest: float = LONGEST_STRETCHED
    proxied: Literal["auto", "always", "never"] = "auto"
    hold_commands: bool = False
