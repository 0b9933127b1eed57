"""The streaming polyphase filter against scipy.signal.resample_poly, borders included."""

import numpy as np
import pytest
from scipy import signal

from myoflow.dsp.resample import EveryNth, Polyphase

RATIOS = [(1, 2), (1, 4), (2, 1), (3, 5), (128, 125), (441, 640), (7, 3)]


@pytest.mark.parametrize("up, down", RATIOS)
@pytest.mark.parametrize("samples", [1, 17, 1000, 1001])
def test_equals_resample_poly(up: int, down: int, samples: int) -> None:
    x = np.random.default_rng(samples).standard_normal((3, samples)).astype(np.float32)
    kernel = Polyphase(3, up, down)
    out = np.concatenate([kernel.feed(x), kernel.flush()], axis=1)
    expected = signal.resample_poly(x.astype(np.float64), up, down, axis=1)
    assert out.shape == expected.shape
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("up, down", RATIOS)
def test_every_output_is_given_as_soon_as_it_is_known(up: int, down: int) -> None:
    kernel = Polyphase(1, up, down)
    look_ahead = 10 * max(up, down) / up
    given = 0
    for seen in range(1, 400):
        given += kernel.feed(np.ones((1, 1), np.float32)).shape[1]
        newest = seen - 1
        # Output n stands at input position n * down / up and needs look_ahead more.
        known = int(np.floor((newest - look_ahead) * up / down + 1e-9)) + 1
        assert given >= max(known, 0)
        assert given <= max(int(np.floor((newest + 1 - look_ahead) * up / down + 1e-9)) + 1, 0)


def test_no_alias() -> None:
    """A tone above the new Nyquist rate goes, one below stays."""
    time = np.arange(20_000) / 2000.0
    for hertz, least, most in ((100.0, 0.99, 1.01), (700.0, 0.0, 2e-3)):
        kernel = Polyphase(1, 1, 2)
        out = kernel.feed(np.sin(2 * np.pi * hertz * time).astype(np.float32)[None])
        assert least <= np.sqrt(2 * (out[0, 200:-200] ** 2).mean()) <= most


def test_nothing_gives_nothing() -> None:
    kernel = Polyphase(2, 3, 5)
    assert kernel.feed(np.empty((2, 0), np.float32)).shape == (2, 0)
    assert kernel.flush().shape == (2, 0)


@pytest.mark.parametrize("factor", [1, 3, 10])
def test_every_nth(factor: int) -> None:
    x = np.arange(25, dtype=np.float32)[None]
    kernel = EveryNth(1, factor)
    out = np.concatenate([kernel.feed(x[:, :4]), kernel.feed(x[:, 4:5]), kernel.feed(x[:, 5:])], axis=1)
    assert np.array_equal(out, x[:, ::factor])
