"""Value of a metadata field: one definition for columns, filters and every operator.

A number is an integer or a finite double, compared exactly, never rounded to one another. A string
is a keyword, and also a date when it is one in ISO 8601; two dates are equal when they are the same
moment, however they are written. True and false are values of their own.

Forms of dates: ``2024``, ``2024-03``, ``2024-03-01``, ``20240301``, week dates (``2024-W09-5``,
``2024-W09``), ordinal dates (``2024-061``), with a time after ``T`` or a space: ``12``, ``12:30``,
``12:30:15``, ``123015``, ``24:00``, a fraction after ``.`` or ``,``, and a zone: ``Z``, ``+02``,
``+0200``, ``+02:00``. A missing part is the beginning of the period, a missing zone UTC. The
resolution is a nanosecond.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from typing import Any, Literal

ValueType = Literal["boolean", "date", "keyword", "number"]
Key = bytes | float | int

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_SECOND = 10**9
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_MOMENT = re.compile(
    r"""(?P<year>\d{4})
    (?:  -W(?P<week>\d\d)(?:-(?P<weekday>[1-7]))?
       |  W(?P<week_>\d\d)(?P<weekday_>[1-7])?
       | -(?P<month>\d\d)(?:-(?P<day>\d\d))?
       |  (?P<month_>\d\d)(?P<day_>\d\d)
       | -(?P<ordinal>\d{3})
       |  (?P<ordinal_>\d{3})(?=[Tt])
    )?
    (?:[Tt ]
       (?P<hour>\d\d)
       (?: :(?P<minute>\d\d)(?: :(?P<second>\d\d))? | (?P<minute_>\d\d)(?P<second_>\d\d)? )?
       (?:[.,](?P<fraction>\d+))?
       (?:[ ]?(?:(?P<utc>[Zz]) |
          (?P<sign>[+-])(?P<off_hour>\d\d)(?: :?(?P<off_minute>\d\d)(?: :?(?P<off_second>\d\d))? )?
       ))?
    )?""",
    re.ASCII | re.VERBOSE,
)


@lru_cache(maxsize=1 << 16)
def keyword_key(text: str) -> bytes:
    """Return the key of a string: BLAKE2b of 16 bytes. Two strings never share one in practice."""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


@lru_cache(maxsize=1 << 16)
def date_key(text: str) -> int | None:
    """Return an ISO 8601 date in nanoseconds since 1970, in UTC unless it has a zone, or None."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    part = {name.rstrip("_"): value for name, value in found.groupdict().items() if value}
    try:
        day = _day(part)
    except ValueError:
        return None
    if "hour" not in part:
        return day * _DAY
    if not {"weekday", "day", "ordinal"} & part.keys():
        return None  # a time needs a day
    within, offset = _time(part), _offset(part)
    return None if within is None or offset is None else day * _DAY + within - offset


def number_key(value: float) -> float | None:
    """Return a number as it is compared; None for one that no column can hold.

    These are infinities, NaN, and integers of more than 64 bits that no double equals.
    """
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 64:
        return value
    try:
        double = float(value)
    except OverflowError:
        return None
    return double if math.isfinite(double) and double == value else None


def typed_keys(value: Any) -> Iterator[tuple[ValueType, Key]]:
    """Yield the type and key of a JSON value, or of each element of a list."""
    for item in value if isinstance(value, list) else (value,):
        if isinstance(item, bool):
            yield "boolean", int(item)
        elif isinstance(item, (int, float)):
            number = number_key(item)
            if number is not None:
                yield "number", number
        elif isinstance(item, str):
            yield "keyword", keyword_key(item)
            moment = date_key(item)
            if moment is not None:
                yield "date", moment


def _day(part: dict[str, str]) -> int:
    """Return days since 1970. Raises ValueError for a day that does not exist."""
    year = int(part["year"])
    if "week" in part:
        day = date.fromisocalendar(year, int(part["week"]), int(part.get("weekday", 1)))
    elif "ordinal" in part:
        day = date.fromordinal(date(year, 1, 1).toordinal() + int(part["ordinal"]) - 1)
        if day.year != year:
            raise ValueError("no such day")
    else:
        day = date(year, int(part.get("month", 1)), int(part.get("day", 1)))
    return day.toordinal() - _EPOCH_DAY


def _time(part: dict[str, str]) -> int | None:
    """Return nanoseconds since midnight; None for a time that does not exist."""
    hour, minute, second = (int(part.get(name, 0)) for name in ("hour", "minute", "second"))
    if hour > 24 or minute > 59 or second > 60:  # 60: a leap second, the next minute's first
        return None
    unit = _SECOND if "second" in part else _MINUTE if "minute" in part else _HOUR
    digits = part.get("fraction", "")[:18]
    fraction = unit * int(digits or 0) // 10 ** len(digits)
    within = hour * _HOUR + minute * _MINUTE + second * _SECOND + fraction
    return within if hour < 24 or within == _DAY else None


def _offset(part: dict[str, str]) -> int | None:
    """Return how many nanoseconds the zone is ahead of UTC; None for no such zone."""
    names = ("off_hour", "off_minute", "off_second")
    hour, minute, second = (int(part.get(name, 0)) for name in names)
    if hour > 23 or minute > 59 or second > 59:
        return None
    size = hour * _HOUR + minute * _MINUTE + second * _SECOND
    return -size if part.get("sign") == "-" else size
