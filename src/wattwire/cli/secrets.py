"""`wattwire secrets`: the key that seals them."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from wattwire.cli.output import CommandError, show
from wattwire.cli.reach import DataDirOption, Desk, JsonOption, Where, at_desk, load_settings
from wattwire.engines.datadir import KEY_FILE
from wattwire.engines.errors import EngineError
from wattwire.engines.rotation import GRACE_SECONDS, rotate
from wattwire.engines.secrets import Sealer

app = typer.Typer(name="secrets", help="The key that seals secrets.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `rotate` a command of its own, although it is the only one."""


@app.command("rotate")
def rotate_key(
    data_dir: DataDirOption = None,
    grace: Annotated[
        float,
        typer.Option(
            "--grace",
            min=0,
            help="Seconds until the old key goes, for calls under way.",
        ),
    ] = GRACE_SECONDS,
    as_json: JsonOption = False,
) -> None:
    """Make a new key, seal every secret with it and remove the old key, while the hub runs.

    Run it where the key file is; hubs on other machines need a copy of the new file. Interrupted at
    any point, nothing is lost: run it again, and it finishes. Make a new backup of the key file.
    """

    async def work(desk: Desk) -> dict[str, Any]:
        try:
            sealer = Sealer.open(key_file(data_dir, desk))
            async with desk.pool.acquire(timeout=10) as connection:
                done = await rotate(connection, sealer, grace_seconds=grace, say=_say)
            await desk.record(desk.pool, "secrets.rotated", done.key, resealed=done.resealed)
        except EngineError as error:
            raise CommandError(str(error)) from error
        return dataclasses.asdict(done)

    show(at_desk(Where(data_dir), work), as_json=as_json)


def key_file(data_dir: Path | None, desk: Desk) -> Path:
    """Return the key file of the hub; a new one must not be made: it would open nothing."""
    settings = load_settings(data_dir)
    told = desk.info.get("secret_key_file")
    path = Path(told) if told else settings.secret_key_file or settings.data_dir / KEY_FILE
    if not path.exists():
        raise CommandError(
            f"{path} is not there: give --data-dir, or name the key file with "
            "WATTWIRE_SECRET_KEY_FILE"
        )
    return path


def _say(text: str) -> None:
    print(f"wattwire: {text}", file=sys.stderr, flush=True)
