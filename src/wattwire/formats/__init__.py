"""Wire formats, both ways: pure functions between bytes and the nouns of `model`.

Every decoder returns values or raises `model.RefusedError`, for any bytes whatever, in time
proportional to their number.
"""
