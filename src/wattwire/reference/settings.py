"""The page of the process' own settings."""

from wattwire.reference.markdown import NOTICE, code, default_of, explained, kind_of, table
from wattwire.settings import Durability, Settings


def page() -> str:
    """Return the page: every variable, its default and what it means."""
    rows = (
        (code(f"WATTWIRE_{name.upper()}"), kind_of(field), default_of(field), field.description)
        for name, field in Settings.model_fields.items()
    )
    survives = ((code(word), meaning) for word, meaning in explained(Durability).items())
    return (
        f"{NOTICE}# Settings\n\nThe environment wins over the file `wattwire.toml` in the current "
        "folder, where the names are written small and without `WATTWIRE_`; options of commands "
        "win over both. Unknown names in the file are refused.\n\n"
        + table(("variable", "", "default", "meaning"), rows)
        + "\n## What an acknowledgement survives\n\n"
        + table(("`WATTWIRE_DURABILITY`", "survives"), survives)
    )
