"""The checker that ``make check`` puts on every annotated function.

Beartype, told to take int for float, as static checkers do (PEP 484).
"""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
