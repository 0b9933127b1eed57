"""Parallel: every task once, whoever does it; errors come back as they are."""

import os
import subprocess
import sys
import threading
from functools import partial

import pytest

from myoflow.errors import InputError
from myoflow.parallel import Workers, cores, workers


def square(n):
    if n == 1000:
        raise InputError("1000 is wrong")
    return n * n, os.getpid(), threading.get_ident()


def tasks(count, made=None, first=0):
    def load(n):
        if made is not None:
            made.append(n)
        return partial(square, n)

    return ((str(n), partial(load, n)) for n in range(first, first + count))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("jobs", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_every_task_is_done_once(jobs, count, compiled):
    done = list(Workers(jobs=jobs).each(tasks(count), "", compiled=compiled))
    assert sorted(value for value, _, _ in done) == [n * n for n in range(count)]


def test_compiled_work_is_done_in_threads_other_work_in_processes():
    threads = list(Workers(jobs=2).each(tasks(40), "", compiled=True))
    assert {process for _, process, _ in threads} == {os.getpid()}
    assert {thread for _, _, thread in threads} & {threading.get_ident()} == set()
    alone = list(Workers(jobs=1).each(tasks(5), ""))
    assert {(process, thread) for _, process, thread in alone} == {(os.getpid(), threading.get_ident())}


def test_no_more_is_loaded_than_workers_can_soon_take():
    """A job may hold an archive's file."""
    made = []
    for seen, _ in enumerate(Workers(jobs=2).each(tasks(30, made), "", compiled=True), start=1):
        assert len(made) <= seen + 4
    assert made == list(range(30))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_comes_back_as_it_is(jobs, compiled):
    with pytest.raises(InputError, match="1000 is wrong"):
        list(Workers(jobs=jobs).each(tasks(30, first=987), "", compiled=compiled))


def test_words_of_the_command_line():
    assert workers(None, None) == Workers(jobs=cores())
    assert workers(3, None).jobs == 3
    with pytest.raises(InputError, match="give one of them"):
        workers(3, "tcp://127.0.0.1:9")
    with pytest.raises(ValueError, match="jobs"):
        Workers(jobs=0)


def test_cores_are_those_that_the_process_may_use():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system does not pin processes")
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    code += "from myoflow.parallel import cores; print(cores())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "1"
