"""Everything that the published record determines: the page, verdicts, figures, and the marked blocks of READMEs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unet_repro.files import filled, markdown_table, write_atomically
from unet_repro.report.arm_runs import runs_of_record
from unet_repro.report.arms import Arm, arms_of
from unet_repro.report.figures import draw_all, draw_verdicts
from unet_repro.report.made_with import RECORD_COMMAND, question_of
from unet_repro.report.open_table import FOLDER, table
from unet_repro.report.page import render
from unet_repro.report.page_data import page_data
from unet_repro.report.record import RecordOfScale, digest, scales_of
from unet_repro.report.table import EXPLAINED_WIDE, table_texts
from unet_repro.report.table import to_markdown as arms_to_markdown
from unet_repro.report.verdict_files import to_markdown, verdict_texts
from unet_repro.report.verdicts import is_begun, is_tested, judged_record, parts_of
from unet_repro.trial.sentences import capital

BEGIN, END = f"<!-- record: written by `{RECORD_COMMAND}` -->", "<!-- end of record -->"
PAGE = Path("docs/page/index.html")
_EMPTY = "No run of the trial has been published yet."


class Published:
    """The published record of a checkout and what is made from it. Reads the record once.

    Args:
        root: The checkout, with ``experiments/record``.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "experiments" / "record"
        self.scales = scales_of(self.folder)
        self.records = {scale: RecordOfScale(self.folder / scale).records() for scale in self.scales}
        trials = (judged_record(self.folder / scale) for scale in self.scales)
        self.trials = sorted((trial for trial in trials if trial is not None), key=is_tested, reverse=True)
        self.runs = [run for records in self.records.values() for run in runs_of_record(records)]

    def texts(self) -> dict[Path, str]:
        """Every text file that the record determines, complete.

        Raises:
            DataError: If a README lacks its markers.
        """
        texts = {self.root / "README.md": self._filled(self.root / "README.md", self._summary())}
        experiments = self.root / "experiments"
        texts[experiments / "README.md"] = self._filled(experiments / "README.md", self._index())
        for readme in sorted(experiments.glob("*/README.md")):
            if BEGIN in readme.read_text():
                texts[readme] = self._filled(readme, self._about(readme.parent.name))
        if open_text := table(self.root / FOLDER):
            texts[self.root / FOLDER / "table.md"] = open_text
        for trial in self.trials:
            folder = self.folder / trial["scale"]
            texts[folder / "verdicts.json"] = json.dumps(trial, indent=1, allow_nan=False) + "\n"
            others = {**verdict_texts([trial]), **table_texts(self._arms(trial["scale"]))}
            texts |= {folder / name: text for name, text in others.items()}
        if self.trials:
            texts[self.root / PAGE] = render(self._page())
        return texts

    def write(self) -> list[Path]:
        """Writes all texts and figures, and returns their paths.

        Raises:
            DataError: If a README lacks its markers.
            RunError: If a file cannot be written.
        """
        texts = self.texts()
        for path, text in texts.items():
            write_atomically(path, text)
        figures = []
        for trial in self.trials:
            folder = self.folder / trial["scale"]
            figures += draw_all(self._arms(trial["scale"]), folder / "figures", suffixes=(".png",))
            figures += draw_verdicts([trial], folder, suffixes=(".png",))
        return [*texts, *figures]

    def disagreements(self) -> list[Path]:
        """Text files that are not what the record determines."""
        return [path for path, text in self.texts().items() if not path.exists() or path.read_text() != text]

    def _arms(self, scale: str) -> list[Arm]:
        return arms_of(run for run in self.runs if run.scale == scale)

    def _page(self) -> dict[str, Any]:
        pictures = [RecordOfScale(self.folder / scale).pictures() for scale in self.scales]
        galleries = [picture["gallery"] for picture in pictures if picture]
        gallery = {
            part: {key: value for one in reversed(galleries) for key, value in one[part].items()}
            for part in ("tiles", "predictions")
        }
        maps: list[dict[str, str]] = next(
            (picture["weight_maps"] for picture in pictures if picture.get("weight_maps")), []
        )
        return page_data(
            self.runs, self.trials, {"gallery": {**gallery, "missing": []}, "weight_maps": maps}, record=self._made()
        )

    def _made(self) -> str:
        """What the record has: runs and digest of each scale."""
        return "; ".join(
            f"scale {scale}: {len(records)} runs, digest {digest(records)}" for scale, records in self.records.items()
        )

    def _summary(self) -> str:
        """The block of the main README."""
        if not self.trials:
            return _EMPTY
        pictures = [
            f"![Every difference with at least two replicates, its interval and margin, scale {trial['scale']}]"
            f"(experiments/record/{trial['scale']}/verdicts.png)"
            for place, trial in enumerate(self.trials)
            if has_estimates(trial) and (place == 0 or is_tested(trial))
        ]
        made = (
            f"[The page]({PAGE.as_posix()}) has curves, the effect on every image and a gallery; open it in a "
            f"browser. `{RECORD_COMMAND}` makes it, this table and the figures from the record ({self._made()})."
        )
        return "\n\n".join([to_markdown(self.trials, how_sure=False).rstrip(), *pictures, made])

    def _index(self) -> str:
        """The block of the README of ``experiments``: a line for each comparison."""
        rows = []
        for readme in sorted((self.root / "experiments").glob("*/README.md")):
            name = readme.parent.name
            if question := question_of(name):
                words = [
                    f"{part['id']} {part['word']} ({trial['scale']})"
                    for trial in self.trials
                    for part in parts_of(trial)
                    if part["experiment"] == name and is_begun(part)
                ]
                rows.append([f"[{name}]({name}/README.md)", question, ", ".join(words)])
        return markdown_table(["comparison", "question", "verdicts of the record"], rows)

    def _about(self, experiment: str) -> str:
        """The block of a comparison's README."""
        texts = [self._about_scale(trial, experiment) for trial in self.trials]
        return "\n\n".join(text for text in texts if text) or _EMPTY

    def _about_scale(self, trial: Mapping[str, Any], experiment: str) -> str:
        arms = [arm for arm in self._arms(trial["scale"]) if arm.first.experiment == experiment]
        if not arms:
            return ""
        found = [
            " ".join(
                [
                    f"**{part['id']}: {part['word']}.**",
                    part["question"],
                    part["found"],
                    part["sure"],
                    *(f"{capital(text)}." for text in part["qualifiers"]),
                ]
            )
            for part in parts_of(trial)
            if part["experiment"] == experiment and is_begun(part)
        ]
        picture = f"![Curves and scores](../record/{trial['scale']}/figures/{experiment}.png)"
        shown = [picture] if any(arm.done for arm in arms) else []
        return "\n\n".join([f"For {trial['scope']}:", *found, arms_to_markdown(arms) + f"\n{EXPLAINED_WIDE}", *shown])

    @staticmethod
    def _filled(readme: Path, text: str) -> str:
        return filled(readme, text, begin=BEGIN, end=END)


def has_estimates(trial: Mapping[str, Any]) -> bool:
    """Whether the trial has anything to draw."""
    if not trial["judged"]:
        return False
    figures = [one["figure"] for part in parts_of(trial) for one in part["contrasts"]]
    return any(figure is not None and figure["low"] is not None for figure in figures)
