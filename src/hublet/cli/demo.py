"""`hublet demo`: shows the main job with a pretend Hub, which is stopped half-way, in a throwaway directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from hublet.core.errors import DemoFailed

if TYPE_CHECKING:
    from hublet.daemon import Daemon

_Question = tuple[str, str, bytes | None]
_QUESTIONS: tuple[_Question, ...] = (
    ("GET", "/ide/list-assistants", None),
    ("GET", "/ide/list-assistants?organizationId=org_acme", None),
    ("GET", "/ide/get-assistant/dana/rust-smith", None),
    ("GET", "/ide/list-organizations", None),
    ("GET", "/ide/policy", None),
    ("GET", "/ide/free-trial-status", None),
    ("GET", "/ide/list-assistant-full-slugs", None),
    ("POST", "/ide/sync-secrets",
     b'{"fqsns":[{"packageSlugs":[{"ownerSlug":"dana","packageSlug":"local-chat"}],"secretName":"LLM_KEY"}]}'),
)  # fmt: skip


class _Said(NamedTuple):
    status: int
    body: bytes
    age: str


@click.command()
@click.option(
    "--once",
    is_flag=True,
    help="Check everything, say what came of it, and end: exit code 0 when all is well, else 13.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The port to serve on; a free one by default.")
def demo(once: bool, port: int) -> None:
    """Show what hublet does, without an account.

    hublet syncs from a pretend Hub, the Hub is stopped, and hublet goes on answering. The demo uses a throwaway
    directory and never touches your cache. It runs until Ctrl-C.
    """
    import asyncio
    import shutil
    import tempfile

    directory = Path(tempfile.mkdtemp(prefix="hublet-demo-"))
    try:
        asyncio.run(_demo(directory, once=once, port=port))
    except KeyboardInterrupt:
        click.echo("\nThe demo is over; its directory is removed.")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def _demo(directory: Path, *, once: bool, port: int) -> None:
    import asyncio

    from hublet.config.loading import load_config
    from hublet.daemon import Daemon
    from hublet.demo.data import DEMO_KEY
    from hublet.demo.server import HubServer
    from hublet.door.peer import token_required_because
    from hublet.running import log_to_stderr

    log_to_stderr("error")
    with HubServer() as hub:
        click.echo(f"A pretend Hub answers on {hub.url} (two organizations, sixteen assistants).")
        file = directory / "config.yaml"
        file.touch(mode=0o600)
        file.write_text(
            f"hub:\n  url: {hub.url}\nserve:\n  port: {port}\n"
            f"cache:\n  directory: {directory / 'data'}\n  runtime_directory: {directory / 'run'}\n"
            f"keys:\n  file: {directory / 'key' / 'kek'}\n"
        )
        daemon = Daemon(load_config(file), environment={})
        await daemon.start()
        try:
            token = await _token(daemon) if token_required_because() else None
            await _log_in_and_sync(daemon, DEMO_KEY)
            url = f"http://localhost:{daemon.port}"
            before = {question: await _ask(url, question, token) for question in _QUESTIONS}
            hub.stop()
            click.echo(f"\nThe pretend Hub is stopped. The same {len(_QUESTIONS)} questions again:")
            await asyncio.sleep(1.2)  # so that the answers have an age to show
            problems = await _compare(url, before, token)
            if problems:
                raise DemoFailed("; ".join(problems))
            click.echo(f"\nAll {len(_QUESTIONS)} answers are the same. hublet serves {url}; try:")
            header = f" -H 'Authorization: Bearer {token}'" if token else ""
            for _, path, _ in _QUESTIONS[:5:2]:
                click.echo(f"  curl -i{header} '{url}{path}'")
            if not once:
                click.echo("Ctrl-C ends the demo.")
                await daemon.run()
        finally:
            await daemon.stop()


async def _token(daemon: Daemon) -> str:
    """A local token, for machines where the kernel can't tell who a client is (as root, under WSL)."""
    from hublet.serve.admin import Admin

    assert daemon.service is not None
    import orjson

    body = orjson.dumps({"name": "demo", "scope": "secrets"})
    response = await Admin(daemon.service).handle("POST", ("tokens",), body)
    assert isinstance(response.body, bytes)
    return str(orjson.loads(response.body)["token"])


async def _log_in_and_sync(daemon: Daemon, key: str) -> None:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from hublet.cli.sync import show
    from hublet.core.account import Account, origin_of
    from hublet.core.secretstr import SecretStr
    from hublet.passes.summary import describe
    from hublet.upstream.order import Told, Word

    service = daemon.service
    assert service is not None
    assert service.sync is not None
    await service.keep_account(Account(SecretStr(key), origin_of(daemon.config.hub.url)))
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("syncing")

        def hear(word: Word) -> None:
            if isinstance(word, Told):
                progress.update(task, description=f"{describe(word.operation)}: {type(word.outcome).__name__}")

        summary = await service.sync.run_pass(hear)
    show(summary.to_plain())
    if summary.problems or not summary.answered:
        raise DemoFailed("the pass over the pretend Hub did not bring everything")


async def _ask(url: str, question: _Question, token: str | None) -> _Said:
    import asyncio
    import urllib.error
    import urllib.request

    method, path, body = question
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    def ask() -> _Said:
        request = urllib.request.Request(url + path, body, headers, method=method)  # noqa: S310  our own loopback URL
        try:
            with urllib.request.urlopen(request, timeout=15) as response:  # noqa: S310  as above
                return _Said(response.status, response.read(), response.headers.get("Age", ""))
        except urllib.error.HTTPError as error:
            with error:
                return _Said(error.code, error.read(), "")

    return await asyncio.to_thread(ask)


async def _compare(url: str, before: dict[_Question, _Said], token: str | None) -> list[str]:
    problems = []
    for question, first in before.items():
        again = await _ask(url, question, token)
        same = again.status == first.status == 200 and again.body == first.body
        mark = "ok" if same else "DIFFERENT"
        click.echo(f"  {mark:<9} {again.status}  age {again.age:>2} s  {len(again.body):>6} bytes  {question[1]}")
        if not same:
            problems.append(f"{question[1]} was answered {first.status}, then {again.status}")
    return problems
