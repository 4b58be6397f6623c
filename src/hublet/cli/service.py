"""`hublet service`: hublet as a background service of the user, on systemd and launchd."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

from hublet.cli.keyring_offer import offer
from hublet.cli.main import config_of
from hublet.core.errors import KeySourceError, NotRunning, ServiceError, UsageError

if TYPE_CHECKING:
    from hublet.config.loading import Config
    from hublet.host.steps import Plan, Step

_INHERITED = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
_SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD", "PASSPHRASE")


class Manager(Protocol):
    """What host/systemd.py and host/launchd.py have in common."""

    def check(self) -> None: ...
    @property
    def paths(self) -> tuple[Path, ...]: ...
    @property
    def installed(self) -> bool: ...
    def files(self, plan: Plan) -> dict[Path, str]: ...
    def install(self, plan: Plan, *, linger: bool = False) -> tuple[Step, ...]: ...
    def uninstall(self) -> tuple[Step, ...]: ...
    def start(self) -> tuple[Step, ...]: ...
    def stop(self) -> tuple[Step, ...]: ...
    def restart(self) -> tuple[Step, ...]: ...
    def logs(self, *, follow: bool, lines: int) -> tuple[str, ...]: ...
    def state(self) -> tuple[bool, list[str]]: ...


def _manager() -> Manager:
    """The service manager of this system. Raises NoServiceManager when it does not answer."""
    manager: Manager
    if sys.platform == "darwin":
        from hublet.host.launchd import Launchd

        manager = Launchd(os.environ)
    else:
        from hublet.host.systemd import Systemd, manager_environment

        os.environ.update(manager_environment(os.environ))
        manager = Systemd(os.environ)
    manager.check()
    return manager


def _installed() -> Manager:
    manager = _manager()
    if not manager.installed:
        raise NotRunning("the service is not installed", hint="run `hublet service install`")
    return manager


_dry = click.option("--dry-run", is_flag=True, help="Only show the files and commands.")
_force = click.option("--force", is_flag=True, help="Also replace or remove units that were edited by hand.")


@click.group()
def service() -> None:
    """Run hublet as a background service of your user.

    systemd runs it on Linux, launchd on macOS.
    """


@service.command()
@click.option("--no-socket", is_flag=True, help="Let hublet open the port itself, not the service manager.")
@click.option("--linger", is_flag=True, help="Keep hublet running while you are not logged in (systemd).")
@click.option(
    "--env",
    "variables",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set this environment variable for hublet, such as a proxy.",
)
@click.option(
    "--credential",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The file with the key for `keys.source: credential` (systemd). Weakens the sandbox.",
)
@_force
@_dry
@click.pass_context
def install(
    ctx: click.Context,
    *,
    no_socket: bool,
    linger: bool,
    variables: tuple[str, ...],
    credential: Path | None,
    force: bool,
    dry_run: bool,
) -> None:
    """Install the service, or bring it up to date. Your first request starts it, and so does your next login."""
    from hublet.host.steps import refuse_edited

    config, manager = config_of(ctx), _manager()
    if not dry_run:
        config = offer(ctx, config)
    plan = _plan(ctx, config, socket=not no_socket, variables=variables, credential=credential)
    if not force:
        refuse_edited(manager.paths, "overwritten")
    if not dry_run and not manager.state()[0]:
        _free(plan.port)
    _do(manager.install(plan, linger=linger), dry_run=dry_run)
    if not dry_run:
        how = "Your next request starts it." if plan.socket else "It runs."
        click.echo(f"hublet serves http://localhost:{plan.port} from now on. {how}")


@service.command()
@click.option("--purge", is_flag=True, help="Also delete the cache and its key.")
@click.option("--yes", is_flag=True, help="Don't ask before deleting.")
@_force
@_dry
@click.pass_context
def uninstall(ctx: click.Context, *, purge: bool, yes: bool, force: bool, dry_run: bool) -> None:
    """Stop the service and remove the files of install. Your config stays, and your cache too, unless you add
    --purge."""
    from hublet.host.steps import refuse_edited

    config = config_of(ctx) if purge else None
    if config is not None:
        _judge_purge(config)
        if not dry_run and not yes:
            click.confirm(f"Delete the cache {config.locate().data} and its key for good?", abort=True)
    manager = _manager()
    if not force:
        refuse_edited(manager.paths, "removed")
    steps = manager.uninstall()
    _do(steps, dry_run=dry_run)
    if config is not None:
        _purge(config, dry_run=dry_run)
    if not dry_run:
        click.echo("The service is removed." if steps else "No service was installed.")


@service.command()
@_dry
def start(*, dry_run: bool) -> None:
    """Start the service now."""
    _do(_installed().start(), dry_run=dry_run)


@service.command()
@_dry
def stop(*, dry_run: bool) -> None:
    """Stop the service until your next login or `hublet service start`. Requests in progress are answered."""
    _do(_installed().stop(), dry_run=dry_run)


@service.command()
@_dry
def restart(*, dry_run: bool) -> None:
    """Stop and start the service. Requests that come meanwhile wait and are answered."""
    _do(_installed().restart(), dry_run=dry_run)


@service.command()
def status() -> None:
    """Show what the service manager says of the service. The exit code is 9 when it neither runs nor listens."""
    up, lines = _installed().state()
    for line in lines:
        click.echo(line)
    if not up:
        raise NotRunning("the service does not run", hint="`hublet service start`, and see `hublet service logs`")


@service.command()
@click.option("-f", "--follow", is_flag=True, help="Print new lines as they come.")
@click.option("-n", "--lines", type=click.IntRange(1), default=100, show_default=True, help="How many lines.")
def logs(*, follow: bool, lines: int) -> None:
    """Show the log of the service."""
    words = _installed().logs(follow=follow, lines=lines)
    sys.stdout.flush()
    try:
        os.execvp(words[0], words)  # noqa: S606  the program takes over this process, with its output and signals
    except OSError as error:
        raise ServiceError(f"{words[0]} can't be run: {error.strerror}") from error


def _plan(
    ctx: click.Context, config: Config, *, socket: bool, variables: tuple[str, ...], credential: Path | None
) -> Plan:
    """The service to install: it must use the same config, directories and variables as this shell."""
    from hublet.config.loading import find_config
    from hublet.host.program import find_program
    from hublet.host.proving import has_ipv6
    from hublet.host.steps import Plan

    if config.serve.port == 0:
        raise UsageError("a service needs a port that stays", hint="set serve.port, 3001 by default")
    if credential is not None and not credential.is_absolute():
        credential = credential.absolute()
    home = Path(os.environ.get("HOME") or Path.home())
    named = ctx.find_root().obj or os.environ.get("HUBLET_CONFIG")
    file = find_config(ctx.find_root().obj, os.environ)
    places = config.locate()
    writable = [places.data, places.key_file.parent]
    if config.cache.runtime_directory is not None:
        writable.append(places.runtime)
    if config.export.directory is not None:
        writable.append(config.export.directory)
    if config.export.env is not None:
        writable.append(config.export.env.parent)
    environment = {name: os.environ[name] for name in _INHERITED if _is_elsewhere(name, home)}
    environment |= dict(_variable(text) for text in variables)
    return Plan(
        program=find_program(os.environ),
        home=home,
        port=config.serve.port,
        options=("--config", str(file.absolute())) if named and file is not None else (),
        writable=tuple(dict.fromkeys(writable)),
        environment=environment,
        socket=socket,
        ipv6=has_ipv6(),
        credential=credential,
    )


def _is_elsewhere(name: str, home: Path) -> bool:
    usual = {"XDG_CONFIG_HOME": ".config", "XDG_DATA_HOME": ".local/share", "XDG_STATE_HOME": ".local/state"}
    return bool(os.environ.get(name)) and Path(os.environ[name]) != home / usual[name]


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier() or not value.isprintable():
        raise UsageError("--env takes NAME=VALUE")
    if any(word in name.upper() for word in _SECRET):
        raise UsageError(
            f"{name} looks like a secret, and a unit file is none", hint="`hublet login` keeps the Hub key sealed"
        )
    return name, value


def _free(port: int) -> None:
    """Raises PortTaken when another program listens on the port: the service manager would not say why it failed."""
    from hublet.door.binding import bind_loopback

    for each in bind_loopback(port):
        each.close()


def _do(steps: Iterable[Step], *, dry_run: bool) -> None:
    from hublet.host.steps import Write, describe, perform

    steps = tuple(steps)
    if not dry_run:
        perform(steps)
        return
    for step in steps:
        click.echo(describe(step))
        if isinstance(step, Write):
            click.echo("".join(f"    {line}\n" for line in step.text.splitlines()), nl=False)
    if not steps:
        click.echo("nothing to do")


def _judge_purge(config: Config) -> None:
    """Raises UsageError when the data directory should not be deleted: clients still point here, or it is not ours."""
    from hublet.store.lock import lock_name

    places = config.locate()
    if (places.data / "pointing.json").exists():
        raise UsageError("clients still point here", hint="`hublet unpoint` takes that back; then purge")
    if places.data.exists() and not (places.data / lock_name).exists():
        raise UsageError(f"{places.data} does not look like a cache of hublet: delete it yourself")


def _purge(config: Config, *, dry_run: bool) -> None:
    """What `hublet forget` does, and then the data directory itself and the key's folder."""
    import shutil

    from hublet.serve.forgetting import erase, sources_of
    from hublet.serve.keysource import named_source
    from hublet.store.destroy import databases
    from hublet.store.lock import Lock

    places = config.locate()
    stores = databases(places.data)
    # Without a store nothing says where a key is, and the config's source may still hold one.
    sources = sources_of(config, stores)[0] if stores else [named_source(config, None)]
    if dry_run:
        click.echo(f"delete {places.data} and {', '.join(source.describe() for source in sources)}")
        return
    try:
        if places.data.exists():
            erase(config)
            lock = Lock.take(places.data)
            shutil.rmtree(places.data)
            lock.release()
        if not stores:
            sources[0].discard()
        _remove_key_folder(places.key_file.parent)
    except (KeySourceError, OSError) as error:
        hint = error.hint if isinstance(error, KeySourceError) else ""
        raise ServiceError(f"not everything could be deleted: {error}", hint=hint) from error


def _remove_key_folder(folder: Path) -> None:
    """Remove the folder of the key, if nothing but the tag that excludes it from backups is left in it."""
    from hublet.keys.file import tag_name

    if folder.is_dir() and {entry.name for entry in folder.iterdir()} <= {tag_name}:
        (folder / tag_name).unlink(missing_ok=True)
        folder.rmdir()
