"""What the README and the model cards say of the shipped models is what was measured."""

import json
import re
from pathlib import Path
from typing import Any

from millivid.eval import read_results
from millivid.eval.reporting.tables import horizon_tables, memory_table

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
WEIGHTS = ROOT / "packages" / "app" / "src" / "millivid" / "app" / "weights"
RUNS = {
    "MilliVid": "millivid",
    "FramePack": "framepack",
    "full resolution": "full_resolution",
    "true latents decoded": "true latents",
    "true latents in random order": "shuffled frames",
}


def measured() -> dict[str, Any]:
    return json.loads((RESULTS / "report" / "metrics.json").read_text())


def test_the_readme_shows_the_results() -> None:
    content = measured()
    rows = [line.split("|")[1:-1] for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("|")]
    (head, _, *body) = [[cell.strip() for cell in row] for row in rows[: 2 + len(RUNS)]]
    spans = [f"{horizon['first']}-{horizon['last']}" for horizon in content["horizons"]]
    assert head == [f"{content['videos']} test videos", *(f"PSNR {s}" for s in spans), *(f"LPIPS {s}" for s in spans)]
    names = [horizon["name"] for horizon in content["horizons"]]
    shown = {
        label: [
            f"{content['runs'][run][metric]['horizons'][name]['value']:.{decimals}f}".removeprefix("0")
            for metric, decimals in (("psnr", 2), ("lpips", 3))
            for name in names
        ]
        for label, run in RUNS.items()
    }
    assert {row[0]: row[1:] for row in body} == shown


def test_the_readme_tells_recall_from_invention() -> None:
    groups = measured()["memory"]["groups"]
    recall, invention = (
        next(g["runs"] for g in groups if (g["kind"], g["horizon"], g["gap"]) == (kind, "long", None))
        for kind in ("recall", "invention")
    )
    sentence = ", ".join(
        f"{label} {recall[run]['psnr']['value']:.2f} and {invention[run]['psnr']['value']:.2f}"
        for label, run in list(RUNS.items())[:3]
    )
    assert sentence in " ".join((ROOT / "README.md").read_text().split())


def test_the_page_and_its_pictures_are_there() -> None:
    page = (RESULTS / "RESULTS.md").read_text()
    pictures = re.findall(r"\]\((.*?\.png)\)", page)
    assert pictures and all((RESULTS / picture).is_file() for picture in pictures)
    run = measured()["runs"]["millivid"]["psnr"]["horizons"]["long"]
    assert f"{run['value']:.2f} ({run['interval'][0]:.2f}\N{EN DASH}{run['interval'][1]:.2f})" in page


def test_the_pages_tables_are_made_of_the_report() -> None:
    page, results = (RESULTS / "RESULTS.md").read_text(), read_results(RESULTS / "report" / "metrics.json")
    psnr = results.metric("psnr")
    assert psnr is not None
    tables = [*horizon_tables(results), memory_table(results, psnr)]
    assert len(tables) == 4 and all(table.markdown in page for table in tables)


def test_the_shipped_weights_are_small_and_have_cards() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file()) <= 40e6
    for folder in WEIGHTS.iterdir():
        assert (folder / "config.json").is_file() and (folder / "model.safetensors").is_file()
        card = (folder / "README.md").read_text()
        for word in ("training", "commit", "seed", "no GPU", "Licence: MIT"):
            assert word in card, f"{folder.name}'s card does not tell its {word}"
