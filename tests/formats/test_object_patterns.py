"""Which channels become messages of their own."""

import pytest

from wattwire.formats.object_patterns import compile_objects


@pytest.mark.parametrize(
    ("patterns", "name", "expected"),
    [
        (["*"], "anything/at all", True),
        (["adc_*"], "adc_vbterm", True),
        (["adc_*"], "Adc_vb_f", False),
        (["adc_*"], "x_adc_", False),
        (["adc_?"], "adc_va", False),
        (["a", "T_hs"], "T_hs", True),
        (["T_ind[U|V|W]"], "T_ind[U|V|W]", True),
        (["T_ind[U|V|W]"], "T_indU", False),
        (["a.c"], "abc", False),
        ([], "a", False),
        (["a*"], "a\nb", True),
        (["a"], "a\n", False),
    ],
)
def test_patterns(patterns, name, expected):
    """Star and question mark are wild, all else is itself, case counts, the whole name matches."""
    assert expected is compile_objects(patterns)(name)


@pytest.mark.timeout(10)
def test_no_pattern_takes_long():
    """A pattern made to be slow is not."""
    assert not compile_objects(["*a" * 99 + "b"])("a" * 200)
