"""Quality against evaluations, for every solver: which one a model should be sampled with.

    python benchmarks/solvers.py --clips DIR --model ours=DIR [NAME=DIR ...] [--tokenizer DIR] --work DIR [--out FILE.json]
        [--solvers ddim:0 ddim:0.2 dpmpp_2m:0.2 unipc:0.2] [--evaluations 2 3 4 5 6 8 12 25 50] [--videos 16] [--frames 256]

A solver is its name and the time of its last evaluation. Every combination generates the first test videos of the clips with
the same seeds, in --work, where what is done stays done; PSNR and LPIPS at the model's horizons are those of `millivid
evaluate`. Prints a Markdown table, and writes the figures as JSON and a picture of LPIPS beside it.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from machine import describe_machine
from matplotlib import pyplot

import millivid.app
from millivid.app.evaluate import EvaluateConfig, evaluate_runs
from millivid.app.generate import GenerateConfig, generate_videos
from millivid.eval.results import Results, read_results

WEIGHTS = Path(millivid.app.__file__).parent / "weights"
METRICS = ("psnr", "lpips")


def measure(words: argparse.Namespace, model: Path, folder: Path, **sampler: Any) -> Results:
    """Rollouts of the first test videos by a model, in a folder, and how they compare; sampler: settings other than its own."""
    generate_videos(
        GenerateConfig(
            data=words.clips,
            model=model,
            tokenizer=words.tokenizer,
            out=folder / "generated",
            count=words.videos,
            frames=words.frames,
            batch=words.videos,
            precision="fp32",
            **sampler,
        )
    )
    page = evaluate_runs(
        EvaluateConfig(
            runs={"made": str(folder / "generated")},
            reference=words.clips,
            out=folder / "report",
            videos="common",
            metrics=METRICS,
            frames=words.frames,
            max_videos=1,
        )
    )
    assert page is not None
    return read_results(page.parent / "metrics.json")


def figures_of(results: Results, run: str) -> dict[str, dict[str, list[float | None]]]:
    """A run's figures by metric and horizon: value, low, high."""
    return {
        metric: {
            horizon.name: [figure.value, figure.low, figure.high]
            for horizon in results.horizons
            for figure in [results.figure(run, metric, horizon.name)]
        }
        for metric in METRICS
    }


def row_of(words: argparse.Namespace, model: str, solver: str, evaluations: int) -> dict[str, Any]:
    """One model, solver and number of evaluations, and its figures by metric and horizon: value, low, high."""
    label, _, folder = model.partition("=")
    name, _, last_time = solver.partition(":")
    results = measure(
        words,
        Path(folder),
        words.work / label / f"{name}-{last_time}-{evaluations}",
        context=words.context,
        steps=evaluations,
        solver=name,
        last_time=float(last_time or 0),
    )
    return {"model": label, "solver": solver, "evaluations": evaluations, **figures_of(results, "made")}


def table(rows: list[dict[str, Any]]) -> str:
    """The figures as Markdown, a line for each combination."""
    horizons = list(rows[0]["psnr"])
    head = [f"{metric.upper()} {horizon}" for metric in METRICS for horizon in horizons]
    lines = [
        f"| model | solver | last time | evaluations | {' | '.join(head)} |",
        f"| --- | --- | --: | --: |{' --: |' * len(head)}",
    ]
    for row in rows:
        name, _, last_time = row["solver"].partition(":")
        figures = [f"{row['psnr'][h][0]:.2f}" for h in horizons] + [f"{row['lpips'][h][0]:.3f}" for h in horizons]
        lines.append(f"| {row['model']} | {name} | {last_time} | {row['evaluations']} | {' | '.join(figures)} |")
    return "\n".join(lines)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """LPIPS over evaluations: a column for each model, a row for each horizon, a line for each solver with its interval."""
    models, horizons = list(dict.fromkeys(row["model"] for row in rows)), list(rows[0]["lpips"])
    ticks = sorted({row["evaluations"] for row in rows})
    figure, axes = pyplot.subplots(
        len(horizons), len(models), figsize=(4.5 * len(models), 2.6 * len(horizons)), squeeze=False, sharex=True
    )
    for column, model in enumerate(models):
        for line, horizon in enumerate(horizons):
            axis = axes[line][column]
            for solver in dict.fromkeys(row["solver"] for row in rows):
                chosen = [row for row in rows if (row["model"], row["solver"]) == (model, solver)]
                value, low, high = zip(*(row["lpips"][horizon] for row in chosen), strict=True)
                counts = [row["evaluations"] for row in chosen]
                axis.plot(counts, value, marker="o", markersize=3, label=solver.replace(":", ", to t = "))
                axis.fill_between(counts, low, high, alpha=0.12)
            axis.set(xscale="log", title=f"{model}, frames {horizon}", ylabel="LPIPS")
            axis.set_xticks(ticks, map(str, ticks))
            axis.minorticks_off()
    axes[-1][0].set_xlabel("evaluations")
    axes[0][0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--model", nargs="+", required=True, metavar="NAME=DIR")
    parser.add_argument("--tokenizer", type=Path, default=WEIGHTS / "tokenizer")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--solvers", nargs="+", default=["ddim:0", "ddim:0.2", "dpmpp_2m:0.2", "unipc:0.2"])
    parser.add_argument("--evaluations", nargs="+", type=int, default=[2, 3, 4, 5, 6, 8, 12, 25, 50])
    parser.add_argument("--videos", type=int, default=16)
    parser.add_argument("--frames", type=int, default=256)
    parser.add_argument("--context", type=int, help="frames that are given, by default as many as the model says")
    words = parser.parse_args(arguments)
    rows = [
        row_of(words, model, solver, evaluations)
        for model in words.model
        for solver in words.solvers
        for evaluations in words.evaluations
    ]
    print(table(rows))
    if words.out:
        words.out.write_text(json.dumps({"machine": describe_machine("cpu"), "results": rows}, indent=1) + "\n")
        draw(rows, words.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
