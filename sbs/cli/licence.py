"""``sbs licence``."""

from __future__ import annotations

from collections.abc import Iterator
from gettext import gettext as _
from typing import TYPE_CHECKING

import click

from sbs.cli.forms import json_option, show_object
from sbs.cli.help import VerbatimCommand, VerbatimGroup
from sbs.cli.options import config_option, load_config
from sbs.cli.text import plain, warn
from sbs.errors import LicenceError

if TYPE_CHECKING:
    from sbs.config import Config
    from sbs.core.licence import Standing
    from sbs.ports import LicenceOptions


@click.group(cls=VerbatimGroup, epilog="Example:\n  sbs licence show")
def licence() -> None:
    """Look at the licence: what it allows, and until when.

    A node without a licence that counts withholds its services; docs/licences.md says when.
    """


@licence.command(
    cls=VerbatimCommand,
    epilog="Examples:\n  sbs licence show -c alpha.toml\n  sbs licence show --json",
)
@json_option
@config_option
def show(config_path: str, as_json: bool) -> None:
    """Show what the configured licence says, and whether it counts.

    Changes nothing. Looks at the licence itself, no node needs to run; what a running node makes
    of it: sbs status. One that has ended is shown, too. Exit code 4 if there is none that counts
    or ever did here.
    """
    config = load_config(config_path)
    found = _look(config)
    if found.licence is None and found.problem:
        raise LicenceError(found.problem)
    if as_json:
        from sbs.runtime.serving.licence_status import LicenceStatus  # noqa: PLC0415 - slow

        status = LicenceStatus.of(found)
        show_object(None if status is None else status.to_json())
        return
    for label, value in _rows(config, found):
        click.echo(f"{label:<11} {plain(value)}")


def _rows(config: Config, found: Standing) -> Iterator[tuple[str, str]]:
    licence = found.licence
    if licence is None:
        text = _('none is needed: licence.adapter = "{adapter}"')
        yield _("licence"), text.format(adapter=config.licence.adapter)
        return
    yield _("kind"), licence.kind.value
    yield _("holder"), licence.holder
    yield _("node"), licence.node
    yield _("serial"), licence.serial
    yield _("issued"), str(licence.issued)
    yield _("expires"), _("never") if licence.expires is None else str(licence.expires)
    for label, text in ((_("problem"), found.problem), (_("warning"), found.warning)):
        if text:
            yield label, text


@licence.command(
    cls=VerbatimCommand,
    epilog="Examples:\n  sbs licence verify -c alpha.toml\n  sbs licence verify new.licence",
)
@click.argument(
    "file", type=click.Path(), required=False, help="A licence; without it the configured one."
)
@config_option
def verify(file: str | None, config_path: str) -> None:
    """Say whether a licence would count on this node.

    Before a new one is put in the place of the old. Verified are the signature, by
    licence.trusted_keys, the node's name and the last day. Exit code 4 if it would not, with one
    line that says why and what to do.
    """
    import attrs  # noqa: PLC0415 - slow

    config = load_config(config_path)
    options = _options(config)
    found = _look(config, options if file is None else attrs.evolve(options, path=file))
    if found.problem:
        raise LicenceError(found.problem)
    if found.licence is None:
        text = _('no licence is needed: licence.adapter = "{adapter}"')
        click.echo(text.format(adapter=config.licence.adapter))
        return
    kind, serial = found.licence.kind.value, found.licence.serial
    text = _("valid: {kind}, serial {serial}, for {node}")
    click.echo(text.format(kind=kind, serial=plain(serial), node=plain(found.licence.node)))
    if found.warning:
        warn(found.warning)


def _options(config: Config) -> LicenceOptions:
    from sbs.ports import LicenceOptions  # noqa: PLC0415 - slow

    licence = config.licence
    return LicenceOptions(
        node=config.node.name, path=licence.path, trusted_keys=licence.trusted_keys
    )


def _look(config: Config, options: LicenceOptions | None = None) -> Standing:
    import trio  # noqa: PLC0415 - slow

    from sbs.adapters import licences  # noqa: PLC0415 - slow

    async def look() -> Standing:
        factory = licences.load(config.licence.adapter)
        async with factory(_options(config) if options is None else options) as policy:
            return await policy.look()

    return trio.run(look)
