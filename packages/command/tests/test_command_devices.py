"""Devices by name, and where bfloat16 is fast."""

import pytest

from millivid.command import ConfigError, Precision, autocast, bf16_is_fast, check_device, device_named, precision_on

torch = pytest.importorskip("torch", reason="torch is not installed; device_named and autocast ask it")


@pytest.mark.parametrize(
    ("capabilities", "fast"),
    [
        ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": False}, False),  # though oneDNN takes it
        ({"architecture": "x86_64", "avx512_bf16": True, "amx_bf16": False}, True),
        ({"architecture": "x86_64", "avx512_bf16": True, "amx_bf16": True}, True),
    ],
)
def test_bfloat16_is_fast_where_the_processor_has_it(
    capabilities: dict[str, object], fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert bf16_is_fast(torch.device("cpu")) is fast


def test_auto_is_the_fastest_device_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for cuda, mps, found in ((True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: mps)
        assert device_named("auto") == found
        assert device_named("auto", processes=2) == "cpu"
    assert (device_named("cuda:1"), device_named("cpu", processes=2)) == ("cuda:1", "cpu")
    assert check_device("cpu") == "cpu"
    for unknown in ("warp", "cuda:99"):
        with pytest.raises(ConfigError, match=f"device={unknown} cannot be used; this machine has cpu"):
            check_device(unknown)


@pytest.mark.parametrize(
    ("precision", "fast", "half"),
    [("auto", True, True), ("auto", False, False), ("fp32", True, False), ("bf16", False, True)],
)
def test_precision(precision: Precision, fast: bool, half: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millivid.command.devices.bf16_is_fast", lambda device: fast)
    x = torch.ones(4, 4)
    with autocast("cpu", precision):
        assert (x @ x).dtype == (torch.bfloat16 if half else torch.float32)
    assert precision_on("cpu", precision) == ("bf16" if half else "fp32")
    with pytest.raises(ValueError, match="precision is 'fp16'; use auto, fp32 or bf16"):
        autocast("cpu", "fp16")  # type: ignore[arg-type]
