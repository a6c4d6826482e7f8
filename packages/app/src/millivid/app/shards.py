"""`shard=3/64`: which part of a command's work one of many such commands does."""


def parse_shard(text: str) -> tuple[int, int]:
    """(number, count) from a text such as "3/64"; numbers begin at 0.

    Raises:
        ValueError: the text is of another form, or there is no such shard.
    """
    number, slash, count = text.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and int(number) < int(count)):
        raise ValueError(f"shard is {text!r}; write number/count with numbers from 0 on, such as 0/64 up to 63/64")
    return int(number), int(count)
