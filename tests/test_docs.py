"""What the pages say is what the code does."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

import wattwire.integrations
import wattwire.sources
from documented import ROOT, blocks
from test_architecture import MAY_IMPORT
from wattwire.api.application import create_description
from wattwire.cli import create_app
from wattwire.integrations import TYPES as INTEGRATION_TYPES
from wattwire.reference import pages
from wattwire.reference.api import operations
from wattwire.reference.commands import walk
from wattwire.reference.markdown import NOTICE, fields
from wattwire.settings import Settings
from wattwire.sources import TYPES as SOURCE_TYPES

DOCS = ROOT / "docs"
COMMAND = typer.main.get_command(create_app())
PAGES = pages(COMMAND)
COMMANDS = dict(walk(COMMAND, ("wattwire",)))
#: Folders that hold nothing of ours.
NOT_OURS = {"node_modules", "__pycache__", "build", "dist", "wattwire-data", "out"}
TEXT = {".py", ".md", ".toml", ".sql", ".yml", ".yaml", ".json", ".cjs", ".txt", ".lock", ".sh", ""}
#: Variables of the environment that are no settings of the hub.
OTHER_VARIABLES = {"WATTWIRE_SIMULATE_PASSWORD", "WATTWIRE_TEST_DATABASE_URL"}
#: Named in a description, and not there. Take it out when it is.
MISSING_VARIABLES: set[str] = set()


def ours(*suffixes):
    """Every file of the repository with one of these suffixes."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(f for f in folders if f not in NOT_OURS and not f.startswith("."))
        for name in sorted(names):
            if Path(name).suffix in suffixes:
                yield Path(folder) / name


MARKDOWN = [str(path.relative_to(ROOT)) for path in ours(".md")]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_current(name):
    """The committed page is what the code says today. `make docs` rewrites it."""
    assert (DOCS / name).read_text() == PAGES[name]


def test_no_page_outlives_what_it_describes():
    """A page with the notice of generated pages is one that is still generated."""
    found = {str(p.relative_to(DOCS)) for p in DOCS.rglob("*.md") if NOTICE in p.read_text()}

    assert found == set(PAGES)


@pytest.mark.parametrize("seed", ["1", "2"])
def test_pages_do_not_depend_on_the_process(seed, tmp_path):
    """`wattwire docs` writes the same pages, whatever order sets have."""
    subprocess.run(
        [sys.executable, "-m", "wattwire", "docs", "--folder", str(tmp_path)],
        env={**os.environ, "PYTHONHASHSEED": seed}, check=True, timeout=60, capture_output=True,
    )  # fmt: skip

    assert {str(p.relative_to(tmp_path)): p.read_text() for p in tmp_path.rglob("*.md")} == PAGES


def all_fields():
    yield from (("settings", *one) for one in fields(Settings))
    for kind in (*INTEGRATION_TYPES.values(), *SOURCE_TYPES.values()):
        yield from ((kind.name, *one) for one in fields(kind.settings))


def test_every_field_is_explained():
    """Every setting, nested ones too, carries a description: form, API and page are made of it."""
    assert [] == [f"{where}.{name}" for where, name, field in all_fields() if not field.description]


@pytest.mark.parametrize(
    ("room", "types"),
    [(wattwire.integrations, INTEGRATION_TYPES), (wattwire.sources, SOURCE_TYPES)],
    ids=["integrations", "sources"],
)
def test_every_file_is_listed(room, types):
    """A file that is not in the registry is a mistake, not a secret."""
    files = {p.stem for p in Path(room.__file__).parent.glob("*.py") if p.stem[0] != "_"}

    assert set(types) == files - {"contract", "routing"}


def test_every_command_and_option_is_explained():
    """Each has a help text, and a heading on the page."""
    silent = [" ".join(path) for path, command in COMMANDS.items() if not command.help]
    silent += [
        f"{' '.join(path)} {parameter.name}"
        for path, command in COMMANDS.items()
        for parameter in command.params
        if not parameter.help
    ]

    assert [] == silent
    assert all(f"\n## {' '.join(path)}\n" in PAGES["cli.md"] for path in COMMANDS)


def test_every_operation_has_its_place():
    """Each operation of the API has a heading on its page, once."""
    found = [f"\n### {method} {path}\n" for method, path, _ in operations(create_description())]

    assert len(found) == len(set(found))
    assert [] == [heading for heading in found if PAGES["api.md"].count(heading) != 1]


def test_variables_that_are_named_exist():
    """Who reads WATTWIRE_SOMETHING anywhere can set it."""
    known = {f"WATTWIRE_{name.upper()}" for name in Settings.model_fields}
    named = {
        name
        for path in [*ours(".md"), *(ROOT / "src").rglob("*.py"), ROOT / "Makefile"]
        for name in re.findall(r"\bWATTWIRE_[A-Z_]*[A-Z]\b", path.read_text())
        if not name.startswith("WATTWIRE_CHAOS_")
    }

    assert set() == named - known - OTHER_VARIABLES - MISSING_VARIABLES
    assert set() == known & MISSING_VARIABLES


def anchors(path):
    """The anchors of a page's headings, as they are made on GitHub."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", MARKDOWN)
def test_links_lead_somewhere(name):
    """A link to a file or heading of ours has a target."""
    text = re.sub(r"^```.*?^```$", "", (ROOT / name).read_text(), flags=re.MULTILINE | re.DOTALL)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        path = (ROOT / name).parent / target if target else ROOT / name
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(link)

    assert [] == broken


def shell_lines():
    for name in MARKDOWN:
        for block in blocks(name):
            if block.language == "sh":
                joined = block.text.replace("\\\n", " ")
                yield from ((name, line.strip()) for line in joined.splitlines() if line.strip())


@pytest.mark.parametrize(("name", "line"), list(shell_lines()))
def test_a_printed_command_exists(name, line):
    """`make` has the target, `wattwire` the command and its options."""
    words = [w for w in line.split() if not re.match(r"[A-Z_]+=", w)]
    program, rest = words[0].rpartition("/")[2], words[1:]
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert rest[0] in targets
        return
    assert program == "wattwire", f"{name}: {line}"
    path = (
        ("wattwire", *rest[:1]) if ("wattwire", *rest[:1]) in COMMANDS else ("wattwire", *rest[:2])
    )
    options = {o for p in COMMANDS[path].params for o in (*p.opts, *p.secondary_opts)}
    assert [] == [w for w in rest if w.startswith("--") and w not in options]


def test_the_tests_that_are_named_exist():
    """What proves a promise is there."""
    named = set(re.findall(r"(tests/[\w/]+\.py)::(\w+)", (ROOT / "README.md").read_text()))

    assert named
    assert [] == [
        (file, test)
        for file, test in sorted(named)
        if not (ROOT / file).exists() or f"def {test}(" not in (ROOT / file).read_text()
    ]


def test_the_table_of_rooms_is_the_one_that_is_tested():
    """ARCHITECTURE.md says of each room what it may import, as the architecture test has it."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|$", text, re.MULTILINE)
    said = {room: set(re.findall(r"`(\w+)`", doors)) for room, doors in rows if room != "app"}

    assert said == MAY_IMPORT


def test_every_room_has_its_paragraph():
    """Each room of the table is introduced above it."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    introduced = text.partition("## The rooms")[2].partition("### Who may import whom")[0]
    named = set(re.findall(r"`(\w+)(?:\.py)?`", introduced))

    assert set() == (set(MAY_IMPORT) | {"app"}) - named


def test_changes_begin_with_what_they_are_about():
    """Each line of the changelog names a room, a type or a folder beside them first."""
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()}
    known = {*MAY_IMPORT, "app", *INTEGRATION_TYPES, *SOURCE_TYPES, *folders}
    lines = re.findall(r"^- (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert lines
    assert [] == [line for line in lines if line.partition(":")[0] not in known]


#: Folders of somebody's machine; written in parts, so that this file passes.
MACHINE = re.compile("|".join(["/" + "work/", "/" + "root/", "/" + r"home/\w", "/" + r"Users/\w"]))


def test_nothing_tells_where_it_was_written():
    """No file names a folder of the machine it was written on."""
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in ours(*TEXT)
        if (match := MACHINE.search(path.read_text(errors="replace")))
    ]

    assert [] == found


def test_pages_refer_to_nothing_that_is_not_here():
    """A page speaks for itself: what stands in capitals with `.md` is a file of the repository."""
    known = {path.stem for path in ours(".md")}
    named = {
        (name, word)
        for name in MARKDOWN
        for word in re.findall(r"\b([A-Z]{4,}(?:_[A-Z]+)?)\.md\b", (ROOT / name).read_text())
    }

    assert set() == {(name, word) for name, word in named if word not in known}


def test_locks_hold_no_addresses():
    """What is installed is named by version and hash, not by the place it was found at."""
    assert "://" not in (ROOT / "requirements.lock").read_text()
    locks = [path for path in ours(".json") if path.name == "package-lock.json"]
    assert locks
    assert [] == [str(path) for path in locks if '"resolved"' in path.read_text()]


def test_every_requirement_has_hashes():
    """Each pinned package of the lock is followed by hashes."""
    text = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    pins = [line for line in text.splitlines() if re.match(r"[a-z0-9]", line)]

    assert pins
    assert [] == [
        line.split()[0] for line in pins if "==" not in line or "--hash=sha256:" not in line
    ]
