"""What Terraform's own check of references would need the provider for, checked on the text.

`findings(folder)` of a module reads its files by python-hcl2 (an independent parser), and says what
is named and not there, and what is there and not named.
"""

import re
from functools import cache
from pathlib import Path

import hcl2
from terraform_blocks import blocks_of, body_of

#: What a module's own block may say beside the module's variables.
META = {"source", "version", "providers", "depends_on", "count", "for_each"}
_REFERENCE = re.compile(
    r"(?<![\w.:\"/-])((?:var|local)\.\w+|module\.\w+\.\w+|data\.aws_\w+\.\w+|aws_\w+\.\w+)"
)
#: Lines that hold texts for people.
_TEXT = re.compile(r"\s*(#|description\s+=|error_message\s+=)")


def parsed(path):
    """A file as python-hcl2 reads it; it raises on what is not HCL."""
    return _read(path.read_text())


@cache
def _read(text):
    return {k: v for k, v in hcl2.loads(text).items() if not k.startswith("__")}


def _labels(found, kind):
    for block in found.get(kind, ()):
        yield from (name.strip('"') for name in block if not name.startswith("__"))


def _pairs(found, kind):
    for block in found.get(kind, ()):
        for outer, inner in block.items():
            if not outer.startswith("__"):
                yield from ((outer.strip('"'), name.strip('"')) for name in inner
                            if not name.startswith("__"))  # fmt: skip


def declared(folder):
    """All names that the files of a module's folder declare, as they are referred to."""
    names = {"terraform.workspace"}
    for path in sorted(Path(folder).glob("*.tf")):
        found = parsed(path)
        names |= {f"var.{name}" for name in _labels(found, "variable")}
        names |= {f"module.{name}" for name in _labels(found, "module")}
        names |= {f"local.{name}" for name in _labels(found, "locals")}
        names |= {f"data.{kind}.{name}" for kind, name in _pairs(found, "data")}
        names |= {f"{kind}.{name}" for kind, name in _pairs(found, "resource")}
    return names


def labels(folder, kind):
    """The names of all variables, outputs or modules of a folder."""
    paths = sorted(Path(folder).glob("*.tf"))
    return {name for path in paths for name in _labels(parsed(path), kind)}


def _code(folder, *, variables):
    """The lines of code; `variables`: those with which variables are declared, too."""
    for block in blocks_of(Path(folder)):
        if variables or block.kind != "variable":
            yield from (line for line in block.lines if not _TEXT.match(line))


def referred(folder, *, variables=True):
    """All references of a folder's code; those to modules with the output's name."""
    return set(_REFERENCE.findall("\n".join(_code(folder, variables=variables))))


def findings(folder):
    """What is wrong with the references of a module, and of those that it calls, in words."""
    names, used = declared(folder), referred(folder)
    outputs = {name for name in used if name.startswith("module.")}
    plain = (used - outputs) | {name.rpartition(".")[0] for name in outputs}
    wrong = [f"{name} is not declared" for name in sorted(plain - names)]
    # What is named only where it is declared (by its own validation) is of no use.
    elsewhere = referred(folder, variables=False)
    unused = {name for name in names - elsewhere if name.startswith(("var.", "local."))}
    wrong += [f"{name} is not used" for name in sorted(unused)]
    for block in blocks_of(Path(folder)):
        if block.kind == "module":
            wrong += _call(folder, block, outputs)
    return wrong


def _call(folder, block, outputs):
    """What is wrong with how one module is called."""
    body, name = body_of(block.lines), block.labels[0]
    target = Path(folder) / body.attributes["source"].strip('"')
    given, known = set(body.attributes) - META, labels(target, "variable")
    needed = {b.labels[0] for b in blocks_of(target)
              if b.kind == "variable" and "default" not in body_of(b.lines).attributes}  # fmt: skip
    made = {f"module.{name}.{one}" for one in labels(target, "output")}
    asked = {one for one in outputs if one.startswith(f"module.{name}.")}
    return [
        *(f"module.{name}: {one} is no variable of it" for one in sorted(given - known)),
        *(f"module.{name}: {one} is not given" for one in sorted(needed - given)),
        *(f"{one} is no output" for one in sorted(asked - made)),
        *(f"{one} is not used" for one in sorted(made - asked)),
    ]
