"""Items made in advance come in order, once each; errors arrive behind them; whoever leaves early stops the thread."""

import threading

import pytest

from myoflow.ahead import ahead


def test_same_items_in_the_same_order():
    assert list(ahead(iter([3, None, 1, ()]), 1)) == [3, None, 1, ()]


def test_makes_the_next_while_one_is_in_use():
    made, third = [], threading.Event()

    def items():
        for i in range(10):
            made.append(i)
            if i == 2:
                third.set()
            yield i

    found = ahead(items(), 2)
    assert next(found) == 0
    assert third.wait(120)  # though nobody has asked for the second
    assert len(made) < 10
    found.close()


def test_an_error_comes_behind_the_items_before_it():
    def items():
        yield 1
        raise KeyError("lost")

    found = ahead(items())
    assert next(found) == 1
    with pytest.raises(KeyError, match="lost"):
        next(found)


def test_leaving_early_ends_the_thread():
    before = set(threading.enumerate())
    found = ahead(iter(range(1000)))
    next(found)
    found.close()
    assert not set(threading.enumerate()) - before
