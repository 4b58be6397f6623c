"""A server of the Model Context Protocol on standard input and output: one tool, whose description is TOKEN's value.

Clients put descriptions of tools into the prompt, so that a model can tell what the server got.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

TOOL = {
    "name": "say_nothing",
    "description": f"Says nothing. The token is {os.environ.get('TOKEN')}",
    "inputSchema": {"type": "object", "properties": {}},
}


def answer(message: dict[str, Any]) -> dict[str, Any] | None:
    """The result of a request; None for a notification."""
    if "id" not in message:
        return None
    match message["method"]:
        case "initialize":
            about = {"name": "one-tool", "version": "1.0.0"}
            version = message["params"]["protocolVersion"]
            return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": about}
        case "tools/list":
            return {"tools": [TOOL]}
    return {}


for line in sys.stdin:
    message = json.loads(line)
    result = answer(message)
    if result is not None:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
