"""Sealed secrets open for whom they were sealed, and for nobody else."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wattwire.engines.errors import EngineError
from wattwire.engines.secrets import Sealer, SealError


@pytest.fixture
def path(folder):
    return folder / "secret.key"


@pytest.fixture
def sealer(path):
    return Sealer.open(path)


def test_round_trip_after_a_restart(sealer, path):
    """What one run sealed, the next run opens."""
    blob = sealer.seal(b"s3cr3t", context="integration:12")

    assert b"s3cr3t" == Sealer.open(path).unseal(blob, context="integration:12")
    assert b"s3cr3t" not in blob


def test_the_same_twice_looks_different(sealer):
    """Nobody sees that two secrets are equal."""
    assert sealer.seal(b"x", context="c") != sealer.seal(b"x", context="c")


def test_every_changed_bit_is_noticed(sealer):
    """A blob with any one bit changed does not open."""
    blob = sealer.seal(b"s3cr3t", context="c")
    for bit in range(len(blob) * 8):
        changed = bytearray(blob)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SealError):
            sealer.unseal(bytes(changed), context="c")


def test_a_moved_blob_is_noticed(sealer):
    """A blob copied to another integration does not open there."""
    blob = sealer.seal(b"s3cr3t", context="integration:12")

    with pytest.raises(SealError, match="integration:13 was changed"):
        sealer.unseal(blob, context="integration:13")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.integers(0, 23), st.binary(max_size=64))
def test_any_bytes_give_the_error(sealer, kept, tail):
    """Whatever stands in the database, even with a true beginning, only SealError comes of it."""
    with pytest.raises(SealError):
        sealer.unseal(sealer.seal(b"", context="c")[:kept] + tail, context="c")


def test_a_new_key_leaves_old_blobs_open(sealer, path):
    """After a rotation old blobs open, new ones use the new key, and resealing brings them over."""
    old = sealer.seal(b"s3cr3t", context="c")
    sealer.add_key()
    new = sealer.reseal(old, context="c")

    assert not sealer.is_current(old)
    assert sealer.is_current(new)
    assert new == sealer.reseal(new, context="c")
    assert b"s3cr3t" == sealer.unseal(old, context="c") == sealer.unseal(new, context="c")
    sealer.drop_old_keys()
    assert b"s3cr3t" == Sealer.open(path).unseal(new, context="c")
    with pytest.raises(SealError, match=r"which is not in .*secret.key: restore"):
        sealer.unseal(old, context="c")


def test_another_process_key_is_found(sealer, path):
    """A key that a command added while we run is found when it is needed."""
    command = Sealer.open(path)
    command.add_key()
    blob = command.seal(b"s3cr3t", context="c")

    assert b"s3cr3t" == sealer.unseal(blob, context="c")
    assert sealer.is_current(blob)


def test_the_key_file_is_private(sealer, path):
    """The file is made 0600, stays so, and one that others may read is refused."""
    sealer.add_key()
    assert 0o600 == path.stat().st_mode & 0o777
    path.chmod(0o644)

    with pytest.raises(SealError, match="others may read it: chmod 600"):
        Sealer.open(path)


@pytest.mark.parametrize(
    "content", [b"", b"# nothing\n", b"not base64!\n", b"YWJj\n", bytes(range(128, 227))]
)
def test_a_damaged_key_file_is_explained(path, content):
    """Anything but keys is refused rather than replaced: the keys may be in a backup."""
    path.write_bytes(content)
    path.chmod(0o600)

    with pytest.raises(SealError, match="restore it from a backup"):
        Sealer.open(path)
    assert content == path.read_bytes()


def test_nothing_shows_the_key(sealer, path):
    """Neither repr nor an error shows a key."""
    key = path.read_text().splitlines()[-1]
    with pytest.raises(SealError) as caught:
        sealer.unseal(b"WS1" + bytes(60), context="c")

    assert key not in f"{sealer!r} {caught.value} {vars(sealer)}"


def test_a_bound_sealer_is_what_the_store_wants(sealer):
    """It seals and opens for its one context."""
    box = sealer.bound("integration")

    assert b"x" == box.open(box.seal(b"x"))
    with pytest.raises(SealError):
        sealer.bound("source").open(box.seal(b"x"))


def test_an_unwritable_place_is_explained(folder):
    """A key file that cannot be made is a sentence, not a traceback."""
    (folder / "file").write_text("")

    with pytest.raises(EngineError, match="a file is in the way"):
        Sealer.open(folder / "file" / "secret.key")
