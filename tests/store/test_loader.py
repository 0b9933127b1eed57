"""Loader: every window once, in an order that seed, rank and position decide, bit for bit the store's integers."""

import itertools
import json

import numpy as np
import pytest
import torch
from make_recordings import ORIGIN, events, recording
from torch.utils.data import DataLoader

from myoflow.errors import InputError
from myoflow.store import Writer, open_store

ATTRIBUTES = {"dataset": "toy", "labels": ["unmarked", "rest", "fist"]}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("loader") / "s.zarr"
    with Writer(path, ATTRIBUTES, "d") as writer:
        for subject, samples in (("01", 100_000), ("02", 150_000), ("03", 400), ("04", 81_921)):
            writer.add(recording(subject, samples=samples), ORIGIN)
    return open_store(path)


def seen(batches):
    return [(int(r), int(s)) for batch in batches for r, s in zip(batch.recording, batch.start, strict=True)]


def expected(store, length, stride):
    return {
        (number, start) for number, row in enumerate(store.rows) for start in range(0, row.samples - length + 1, stride)
    }


@pytest.mark.parametrize("cache", ["raw", "none"])
def test_an_epoch_has_every_window_once_with_the_stores_integers(store, cache):
    windows = store.windows(500, 400, cache=cache, buffer_mb=0.5)
    whole = [store.raw(row.id) for row in store.rows]
    got = []
    for batch in windows.loader(32, seed=3):
        assert batch.emg.dtype == torch.int16
        for i, (number, start) in enumerate(seen([batch])):
            np.testing.assert_array_equal(batch.emg[i], whole[number].emg[:, start : start + 500])
            got.append((number, start))
    assert len(got) == len(windows) == len(set(got))
    assert set(got) == expected(store, 500, 400)
    assert got != sorted(got)
    volts = batch.signal()
    number, start = seen([batch])[-1]
    assert volts.dtype == torch.float32
    np.testing.assert_array_equal(
        volts[-1], whole[number].emg[:, start : start + 500].astype(np.float32) * whole[number].gain[:, None]
    )


@pytest.mark.parametrize("cache", ["raw", "none"])
def test_the_seed_decides_and_epochs_differ(store, cache):
    def epochs(seed):
        loader = store.windows(500, cache=cache, buffer_mb=0.5).loader(16, seed=seed)
        return [seen(loader), seen(loader)]

    first, again, other = epochs(1), epochs(1), epochs(2)
    assert first == again
    assert first[0] != first[1]
    assert sorted(first[0]) == sorted(first[1])
    assert other[0] != first[0]


def test_the_cache_does_not_change_what_an_unshuffled_epoch_is(store):
    raw, none = (list(store.windows(700, cache=cache).loader(8, shuffle=False)) for cache in ("raw", "none"))
    assert seen(raw) == seen(none) == sorted(seen(raw))
    assert all(torch.equal(a.emg, b.emg) for a, b in zip(raw, none, strict=True))


@pytest.mark.parametrize("cache", ["raw", "none"])
@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_an_epoch(store, cache, ranks):
    windows = store.windows(500, cache=cache, buffer_mb=0.5)
    parts = [[seen(windows.loader(16, seed=5, rank=rank, ranks=ranks)) for rank in range(ranks)]][0]
    assert len({len(part) for part in parts}) == 1
    together = set().union(*parts)
    assert len(together) == sum(map(len, parts)) == len(windows) // ranks * ranks
    whole = [seen(windows.loader(16, rank=rank, ranks=ranks, shuffle=False, even=False)) for rank in range(ranks)]
    assert sorted(itertools.chain(*whole)) == sorted(expected(store, 500, 500))


def test_ranks_are_those_of_torch_distributed(store, monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 3)
    windows = store.windows(500)
    assert seen(windows.loader(16, seed=5)) == seen(windows.loader(16, seed=5, rank=1, ranks=3))


@pytest.mark.parametrize("cache", ["raw", "none"])
@pytest.mark.parametrize("stop", [0, 1, 7, 20])
def test_it_resumes_where_it_was(store, cache, stop):
    options = {"seed": 9, "rank": 1, "ranks": 2}
    undisturbed = store.windows(500, cache=cache, buffer_mb=0.5).loader(8, **options)
    whole = [seen([batch]) for _ in range(2) for batch in undisturbed]
    loader = store.windows(500, cache=cache, buffer_mb=0.5).loader(8, **options)
    before = [seen([batch]) for batch in itertools.islice(loader, stop)]
    state = json.loads(json.dumps(loader.state_dict()))  # it fits a checkpoint of any kind
    assert state["position"] == stop
    resumed = store.windows(500, cache=cache, buffer_mb=0.5).loader(8, **options)
    resumed.load_state_dict(state)
    after = [seen([batch]) for _ in range(2) for batch in resumed]
    assert before + after == whole


def test_a_loop_left_early_goes_on(store):
    loader = store.windows(500).loader(8, seed=1)
    whole = seen(store.windows(500).loader(8, seed=1))
    first = seen([next(iter(loader))])
    assert first + seen(loader) == whole


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seed": 2}, "seed was 1 and is 2"),
        ({"batch": 9}, "batch was 8 and is 9"),
        ({"ranks": 2, "rank": 0}, "ranks was 1 and is 2"),
    ],
)
def test_a_state_of_another_order_is_refused(store, change, says):
    state = store.windows(500).loader(8, seed=1).state_dict()
    other = store.windows(500).loader(**{"batch": 8, "seed": 1} | change)
    with pytest.raises(InputError, match=f"cannot resume in the windows: {says}"):
        other.load_state_dict(state)
    with pytest.raises(InputError, match="windows was"):
        store.windows(500, 250).loader(8, seed=1).load_state_dict(state)


def test_decoding_while_reading_decodes_a_block_once(store):
    windows = store.windows(500, 100, cache="none", buffer_mb=0.5)
    list(windows.loader(32, seed=0))
    needed = {(number, at // 8192) for number, start in expected(store, 500, 100) for at in (start, start + 499)}
    first, _ = windows.blocks()
    # each block adds at most the one chunk its last windows reach into
    assert len(needed) <= windows._decoded.decoded <= len(needed) + len(first)


def test_the_buffer_shuffles_across_recordings(store):
    windows = store.windows(500, 500, cache="none", buffer_mb=100)
    batch = next(iter(windows.loader(64, seed=0)))
    assert len(set(batch.recording.tolist())) == 3
    tiny = store.windows(500, 500, cache="none", buffer_mb=0.001)
    batch = next(iter(tiny.loader(64, seed=0)))
    assert np.ptp(batch.start.numpy()) < 8 * 8192  # blocks alone


def test_streams_keep_to_a_stretch_of_their_own(store):
    windows = store.windows(500, cache="none", buffer_mb=0.5)
    one, two = windows.sampler(8, seed=4), windows.sampler(8, seed=4, streams=2)
    order = one.order(0)
    batches = list(two.batches(0))
    half = set(order[: len(order) // 2].tolist())
    assert all(set(rows.tolist()) <= half for rows in batches[0:-2:2])
    assert sorted(itertools.chain(*batches)) == sorted(order)
    assert len(two) == len(batches)
    assert len(one) == len(list(one.batches(0)))


def test_labels_choose_windows_and_name_them(tmp_path):
    made = recording("01", samples=10_000, events=events((1000, 2000, 2, 1), (5050, 450, 1, 1), (7000, 1000, 1, 2)))
    with Writer(tmp_path / "s.zarr", ATTRIBUTES, "d") as writer:
        writer.add(made, ORIGIN)
    store = open_store(tmp_path / "s.zarr")

    def cut(**options):
        windows = store.windows(500, 250, cache="none", **options)
        _, start, label = windows.locate(np.arange(len(windows)))
        return list(zip(start.tolist(), label.tolist(), strict=True))

    assert cut(labels=("fist",)) == [(start, 2) for start in range(1000, 2501, 250)]
    assert cut(labels=("rest",)) == [(start, 1) for start in (7000, 7250, 7500)]
    assert (5000, 1) in cut(labels=("rest",), share=0.8)
    for start, label in cut(labels=("rest", "fist"), share=0.8):
        spans = zip(made.events.onset, made.events.length, made.events.label, strict=True)
        assert any(min(start + 500, o + n) - max(start, o) >= 400 for o, n, own in spans if own == label)
    assert len(cut()) == 39


def test_what_cannot_be_cut_is_refused(store):
    for options, says in (
        ({"length": 0}, "cannot be cut"),
        ({"length": 5, "stride": 0}, "cannot be cut"),
        ({"length": 5, "cache": "ram"}, 'cache is "raw" or "none"'),
        ({"length": 5, "subjects": ("99",)}, "no recordings of these subjects"),
        ({"length": 5, "ids": ("sub-01/ses-01/run-2",)}, "has no recording"),
    ):
        with pytest.raises(InputError, match=says):
            store.windows(**options)
    with pytest.raises(InputError, match="no batch of 0 windows"):
        store.windows(500).sampler(0)
    with pytest.raises(IndexError):
        store.windows(500)[10**6]
    assert len(store.windows(500, subjects=("03",))) == 0
    assert list(store.windows(500, subjects=("03",)).loader(4)) == []


def test_recordings_of_another_kind_are_refused(tmp_path):
    with Writer(tmp_path / "s.zarr", ATTRIBUTES, "d") as writer:
        writer.add(recording("01"), ORIGIN)
        writer.add(recording("02", rate_hz=500.0), ORIGIN)
        writer.add(recording("03", emg=recording("03").emg.astype(np.int32)), ORIGIN)
    store = open_store(tmp_path / "s.zarr")
    with pytest.raises(InputError, match="another rate"):
        store.windows(100)
    with pytest.raises(InputError, match="int32"):
        store.windows(100, subjects=("01", "03"))


def test_an_error_while_reading_ahead_reaches_the_loop(tmp_path):
    from myoflow.errors import MyoflowError

    with Writer(tmp_path / "s.zarr", ATTRIBUTES, "d") as writer:
        writer.add(recording("01"), ORIGIN)
    store = open_store(tmp_path / "s.zarr")
    (store.path / "sub-01/ses-01/run-1/emg/c/0/1").write_bytes(b"")
    with pytest.raises(MyoflowError, match="is damaged"):
        list(store.windows(100, cache="none").loader(8))


def test_a_plain_dataloader_takes_the_pair(store):
    windows = store.windows(500)
    sampler = windows.sampler(16, seed=2)
    plain = DataLoader(windows, batch_sampler=sampler, collate_fn=lambda batch: batch)
    assert seen(plain) == seen(windows.loader(16, seed=2))


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["raw", "none"])
def test_workers_give_the_same_windows(store, cache):
    windows = store.windows(500, cache=cache, buffer_mb=0.5)
    alone = windows.sampler(8, seed=6, streams=2 if cache == "none" else 1)
    expected = [windows.locate(rows) for rows in alone.batches(0)]
    loader = windows.loader(8, seed=6, workers=2)
    got = list(itertools.islice(loader, 5))
    state = loader.state_dict()
    resumed = windows.loader(8, seed=6, workers=2)
    resumed.load_state_dict(state)
    got += list(resumed)
    assert len(got) == len(expected)
    for batch, (recording_, start, _) in zip(got, expected, strict=True):
        np.testing.assert_array_equal(batch.recording, recording_)
        np.testing.assert_array_equal(batch.start, start)
