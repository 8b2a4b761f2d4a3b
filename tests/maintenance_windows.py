"""Daily and weekly windows, as RDS and ElastiCache write them."""

from __future__ import annotations

import re

DAY = 24 * 60
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def minutes(window: str) -> set[int]:
    """Return the minutes of the week that a window covers."""
    times = re.findall(r"(?:(\w{3}):)?(\d\d):(\d\d)", window)
    (day, *start), (_, *end) = times
    begin, stop = (int(hour) * 60 + int(minute) for hour, minute in (start, end))
    covered = {(begin + minute) % DAY for minute in range((stop - begin) % DAY)}
    days = [DAYS.index(day)] if day else range(len(DAYS))
    return {each * DAY + minute for each in days for minute in covered}
