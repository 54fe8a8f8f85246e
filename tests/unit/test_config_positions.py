"""Where keys and values stand in a TOML text."""

from engine.config.positions import Positions

TEXT = """\
top = 1 # comment
a.b = "x"
"q\\u0041 r" = [ 1, # one
  {k = 2, l.m = 'é', n = 3}, [4] ]

[ t . "u v" ]  # comment
# comment
d = 2013-11-01
[[c]]
'é' = 'é'
[[c.l]]
n = 5
[c.l.deep]
n = 6
[[c.l]]
n = 7
[[c]]
[[c.l]]
n = 8
[t]
w = 9
"""
AT = Positions(TEXT).locate


def test_values_are_found_by_their_path() -> None:
    places = {
        ("top",): (1, 7),
        ("a", "b"): (2, 7),
        ("qA r",): (3, 15),
        ("qA r", 0): (3, 17),
        ("qA r", 1): (4, 3),
        ("qA r", 1, "k"): (4, 8),
        ("qA r", 1, "l", "m"): (4, 17),
        # Columns count characters, not bytes.
        ("qA r", 1, "n"): (4, 26),
        ("qA r", 2, 0): (4, 31),
        ("t", "u v", "d"): (8, 5),
        ("c", 0, "l", 0, "n"): (12, 5),
        ("c", 0, "l", 0, "deep", "n"): (14, 5),
        ("c", 0, "l", 1, "n"): (16, 5),
        ("c", 1, "l", 0, "n"): (19, 5),
        ("t", "w"): (21, 5),
    }
    assert {path: AT(path, False) for path in places} == places


def test_keys_are_found_by_their_path() -> None:
    places = {
        ("top",): (1, 1),
        ("a", "b"): (2, 1),
        ("qA r",): (3, 1),
        ("qA r", 1, "n"): (4, 22),
        ("t", "u v"): (6, 3),
        ("c", 1): (17, 3),
    }
    assert {path: AT(path, True) for path in places} == places


def test_what_is_not_there_is_told_at_what_is_around_it() -> None:
    assert AT(("c", 0, "l", 1, "x"), False) == (15, 3)
    assert AT(("c", 0, "l", 1, "x"), True) == (15, 3)
    assert AT(("a", "b", "x"), True) == (2, 7)
    assert AT(("nothing",), True) == (1, 1)
    assert AT((), False) == (1, 1)
