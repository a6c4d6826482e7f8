"""`millivid export onnx`: a pipeline as ONNX graphs of fixed shapes, and a plan of how to run them."""

import copy
import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
import onnxscript  # noqa: F401  # which torch's exporter needs
import torch
from torch import Tensor, nn

from millivid.app.pipeline import VideoPipeline
from millivid.app.pipeline_folder import chosen
from millivid.command import REQUIRED
from millivid.diffusion import VideoDiT
from millivid.export.graphs import Decode, Denoise, DenoiseJoint, Encode, Network, Read, Tables
from millivid.export.player import FORMAT, PLAN, VERSION
from millivid.export.steps import PlannedParts, conditions, describe_sampler, describe_step
from millivid.files import file_hash, replacing_folder, write_text

TOLERANCE = 1e-4
"""Between a graph and torch, of the largest number that torch gives: both sum in float32, in another order."""
INLINE = 2**30
"""Bytes up to which weights lie in the graph's own file; a file of that format has at most 2 GiB."""
HALVED = 256
"""Numbers from which on a constant is stored in float16, where that is asked for."""


@dataclass(frozen=True, kw_only=True)
class ExportOnnxConfig:
    """What is exported, and how.

    pipeline: a saved one, its name on the hub, or null for the shipped one; model, tokenizer: a trained video model and its
    tokenizer instead. out: the folder of the graphs. opset: of ONNX. precision: of the stored weights, fp32 or fp16; both are
    computed with in float32. steps, solver, last_time: of the sampler, null for those that the model was measured with.
    """

    out: Path = REQUIRED
    pipeline: str | None = None
    model: Path | None = None
    tokenizer: Path | None = None
    opset: int = 20
    precision: Literal["fp32", "fp16"] = "fp32"
    steps: int | None = None
    solver: str | None = None
    last_time: float | None = None

    def __post_init__(self) -> None:
        check_opset(self.opset)
        chosen(self.pipeline, self.model, self.tokenizer, "tiny")


def export(config: ExportOnnxConfig) -> Path:
    """Export the models that are named; returns the folder. Raises ValueError as `export_onnx` does."""
    return export_onnx(
        load(config.pipeline, config.model, config.tokenizer),
        config.out,
        config.opset,
        config.precision,
        steps=config.steps,
        solver=config.solver,
        last_time=config.last_time,
    )


def load(pipeline: str | None, model: Path | None, tokenizer: Path | None) -> VideoPipeline:
    """The pipeline that is named, or the shipped one."""
    return VideoPipeline.from_pretrained(*chosen(pipeline, model, tokenizer, "tiny"), "fp32")


def check_opset(opset: int) -> None:
    """Raise ValueError for an opset that the graphs cannot be written in."""
    if not 18 <= opset <= onnx.defs.onnx_opset_version():
        raise ValueError(f"opset is {opset}; it is a whole number from 18 to {onnx.defs.onnx_opset_version()}")


def export_onnx(
    pipeline: VideoPipeline,
    folder: str | Path,
    opset: int = 20,
    precision: Literal["fp32", "fp16"] = "fp32",
    *,
    steps: int | None = None,
    solver: str | None = None,
    last_time: float | None = None,
) -> Path:
    """Write a pipeline's graphs and `plan.json` (docs/formats.md) into a new folder, each graph compared with torch.

    opset: of ONNX, from 18. precision: of the stored weights; in float16 they are half as large, and those of a reproduction
    lose nothing by it. steps, solver, last_time: see `VideoPipeline.sampler`. Returns the folder.

    Raises ValueError where the folder holds something, where a step of the schedule reads no context, where torch cannot
    export a graph, and where one differs from torch by more than TOLERANCE of torch's largest number.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists already; choose another out= or delete it")
    check_opset(opset)
    tokenizer = copy.deepcopy(pipeline.tokenizer).float().cpu().eval()
    model = copy.deepcopy(pipeline.model).float().cpu().eval()
    if precision == "fp16":  # what the weights are from now on, for torch too
        for parameter in (*tokenizer.parameters(), *model.parameters()):
            parameter.data = parameter.data.half().float()
    chunk = pipeline.schedule.chunk(model.config.tokens_per_level)
    sampler = describe_sampler(pipeline.sampler(steps, solver=solver, last_time=last_time))
    planned = [describe_step(model, step) for step in chunk.steps]
    shapes = list(dict.fromkeys(parts.shape for parts in planned))
    size, channels = tokenizer.config.image_size, model.config.latent_channels
    with replacing_folder(folder) as made:
        writer = _Writer(made, opset, precision)
        latents = torch.randn(sum(tokenizer.config.tokens_per_level), channels)
        writer.write("encode", Encode(tokenizer), [torch.rand(3, *size)])
        levels = [torch.tensor(level, dtype=torch.int32) for level in range(tokenizer.config.num_levels)]
        writer.write("decode", Decode(tokenizer), *([latents, level] for level in levels))
        graphs = [
            _write_shape(
                writer, model, f"_{number}" if len(shapes) > 1 else "", [p for p in planned if p.shape == shape]
            )
            for number, shape in enumerate(shapes)
        ]
        plan = {
            "format": FORMAT,
            "version": VERSION,
            "opset": opset,
            "precision": precision,
            "image_size": list(size),
            "grids": [list(grid) for grid in tokenizer.config.grids],
            "channels": channels,
            "statistics": _statistics(model),
            "actions": {
                "type": model.config.action_type,
                "count": model.config.num_actions,
                "names": list(pipeline.info.action_names),
                "odometry": model.config.odometry,
            },
            "context": chunk.num_context_frames,
            "chunk": {
                "first": chunk.target_start,
                "frames": chunk.num_frames,
                "kept": chunk.num_kept_frames,
                "levels": chunk.num_levels,
            },
            "evaluations": sampler,
            "conditions": conditions(model) if model.config.action_type == "categorical" else None,
            "graphs": graphs,
            "steps": [parts.plain() | {"graph": shapes.index(parts.shape)} for parts in planned],
            "differences": writer.differences,
            "tolerance": TOLERANCE,
            "files": {
                path.name: {"bytes": path.stat().st_size, "sha256": file_hash(path)} for path in sorted(made.iterdir())
            },
        }
        write_plan(made, plan)
    return folder


def write_plan(folder: Path, plan: Mapping[str, Any]) -> None:
    """Write `plan.json`, whose columns are long, without a line for each number."""
    write_text(folder / PLAN, json.dumps(plan, separators=(",", ":"), allow_nan=False) + "\n")


def _statistics(model: VideoDiT) -> dict[str, list[list[float]]]:
    """Mean and deviation of each level's channels, by which latents are standardised; 0 and 1 for a model that does not."""
    if model.config.normalize_latents:
        return {"mean": model.latent_mean.tolist(), "std": model.latent_std.tolist()}
    shape = (model.config.num_levels, model.config.latent_channels)
    return {"mean": torch.zeros(shape).tolist(), "std": torch.ones(shape).tolist()}


def _write_shape(writer: "_Writer", model: VideoDiT, suffix: str, planned: Sequence[PlannedParts]) -> dict[str, Any]:
    """Write the graphs for steps of one shape; which files these are."""
    first, last = planned[0], planned[-1]
    vectors = bool(model.config.num_actions) and model.config.action_type != "categorical"
    files, tables = {}, {}
    for name, part in (("context", first.context), ("targets", first.targets)):
        rows = len(part.sequence["frame"]) if vectors else len(conditions(model)["level"])
        files[f"{name}_tables"] = f"tables_{rows}" if vectors else "tables"
        tables[name] = writer.write(files[f"{name}_tables"], Tables(model), *_conditions_like(model, rows))
    given = {
        # Another than the targets', which the exporter would take for the same input.
        "context_blocks": tables["context"][0].flip(0), "blocks": tables["targets"][0], "head": tables["targets"][1],
        "alpha": torch.tensor(0.6), "sigma": torch.tensor(0.8),
    }  # fmt: skip
    samples = [given | _like(model, parts, vectors) for parts in (first, last)]
    denoise: type[Network] = DenoiseJoint
    if model.config.frozen_context:
        denoise, read = Denoise, Read(model, first.context, first.targets)
        files["read"] = f"read{suffix}"
        outputs = writer.write(files["read"], read, *([sample[name] for name in read.inputs] for sample in samples))
        samples = [sample | dict(zip(read.outputs, outputs, strict=True)) for sample in samples]
    network = denoise(model, first.context, first.targets)
    files["denoise"] = f"denoise{suffix}"
    writer.write(files["denoise"], network, *([sample[name] for name in network.inputs] for sample in samples))
    return {name: f"{file}.onnx" for name, file in files.items()}


def _conditions_like(model: VideoDiT, rows: int) -> list[list[Tensor]]:
    """Inputs of `Tables` at several times: the time, then levels and actions of so many rows."""
    config = model.config
    if config.action_type == "categorical" or not config.num_actions:
        known = conditions(model)
        columns = [torch.tensor(known[name], dtype=torch.int32) for name in ("level", "action")]
    else:
        columns = [torch.zeros(rows, dtype=torch.int32), torch.randn(rows, config.num_actions)]
    return [[torch.tensor(t), *columns[: 1 + bool(config.num_actions)]] for t in (0.0, 1.0, 0.5)]


def _like(model: VideoDiT, parts: PlannedParts, vectors: bool) -> dict[str, Tensor]:
    """Inputs for a step with its own columns and random numbers."""
    channels = model.config.latent_channels
    found = {}
    for name, x, part in (("context", "context", parts.context), ("target", "noisy", parts.targets)):
        count = len(part.sequence["frame"])
        rows = count if vectors else len(conditions(model)["level"])
        found[x] = torch.randn(len(part.tokens["frame"]), channels)
        found[f"{name}_pose"] = torch.randn(count, 3)
        found[f"{name}_condition"] = torch.randint(0, rows, (count,), dtype=torch.int32)
        for column, values in part.sequence.items():
            found[f"{name}_{column}"] = torch.tensor(values, dtype=torch.int32)
    return found


class _Writer:
    """Writes graphs into a folder, and compares what onnxruntime makes of each with torch."""

    def __init__(self, folder: Path, opset: int, precision: str) -> None:
        self.folder, self.opset, self.precision = folder, opset, precision
        self.differences: dict[str, float] = {}
        """The largest of each graph, of torch's largest number."""
        self._outputs: dict[str, tuple[Tensor, ...]] = {}

    @torch.no_grad()
    def write(self, name: str, module: nn.Module, *samples: list[Tensor]) -> tuple[Tensor, ...]:
        """Write a graph, unless it is there, and compare it at every sample of its inputs; torch's outputs for the last."""
        if name in self._outputs:
            return self._outputs[name]
        module = module.eval()
        path = self.folder / f"{name}.onnx"
        graph = self._traced(name, module, samples[0])
        if self.precision == "fp16":
            _halve(graph)
        large = sum(len(tensor.raw_data) for tensor in graph.graph.initializer) > INLINE
        onnx.save_model(graph, path, save_as_external_data=large, location=f"{name}.weights")
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        for sample in samples:
            outputs = module(*sample)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            feeds = {key: value.numpy() for key, value in zip(module.inputs, sample, strict=True)}  # type: ignore[arg-type]
            found = session.run(list(module.outputs), feeds)  # type: ignore[arg-type]
            self._compare(name, outputs, found)
        self._outputs[name] = outputs
        return outputs

    def _traced(self, name: str, module: nn.Module, sample: list[Tensor]) -> onnx.ModelProto:
        quiet = logging.getLogger("torch.onnx")
        level = quiet.level
        quiet.setLevel(logging.ERROR)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                program = torch.onnx.export(
                    module,
                    tuple(sample),
                    dynamo=True,
                    opset_version=self.opset,
                    input_names=list(module.inputs),  # type: ignore[arg-type]
                    output_names=list(module.outputs),  # type: ignore[arg-type]
                    verbose=False,
                )
        except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
            reason = (str(error.__cause__ or error).strip().splitlines() or [type(error).__name__])[0]
            raise ValueError(f"the graph {name} cannot be exported with opset {self.opset}: {reason}") from error
        finally:
            quiet.setLevel(level)
        assert program is not None
        graph = program.model_proto
        for node in graph.graph.node:  # where in our sources it came from, which is large and of this machine
            del node.metadata_props[:]
            node.doc_string = ""
        return graph

    def _compare(self, name: str, outputs: Sequence[Tensor], found: Sequence[np.ndarray]) -> None:
        for theirs, ours in zip(found, outputs, strict=True):
            scale = max(float(ours.abs().max()), 1e-6)
            difference = float(np.abs(theirs - ours.numpy()).max()) / scale
            if not difference <= TOLERANCE:
                raise ValueError(
                    f"the graph {name} differs from torch by {difference:.1e} of its largest number, more than "
                    f"{TOLERANCE:g}; try another opset="
                )
            self.differences[name] = max(self.differences.get(name, 0.0), difference)


def _halve(model: onnx.ModelProto) -> None:
    """Store what float16 holds exactly in it, each followed by its way back to float32, which a runtime goes once."""
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < HALVED:
            continue
        values, name = onnx.numpy_helper.to_array(tensor), tensor.name
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if np.array_equal(half.astype(np.float32), values):
            tensor.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}.half"))
            casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])
