"""Every line that `check` prints as a cure is carried out as it is printed, on its case."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
from tests.data.check.wrong_sets import (
    CASES,
    CLASSES,
    change,
    draw_sound,
    load,
    part,
    remap,
    write_classes,
)

from briskseg.data import open_dataset
from briskseg.data.check import check_dataset

# What stands in back quotes and is no line to be written or run.
NO_LINES = {"_labelIds", "name r g b", "ignore N"}
_VALUE_AND_NAME = re.compile(r"\d+ .+")


def cures(finding):
    return [line for line in re.findall("`([^`]+)`", finding.fix_hint) if line not in NO_LINES]


def is_one_more(cure, finding):
    """Whether it is a line to add to the class list, and no line of another one."""
    is_said_so = re.search(f"say so[^`]*`{re.escape(cure)}", finding.fix_hint)
    return cure.endswith(" 0 0 0") or is_said_so is not None


def carry_out(cure, finding, root, sound):
    """Do to the set what a cure says, to the letter."""
    if "mask" in cure:  # a line of Python
        paths = [root / path for path in finding.files]
        change(paths, lambda mask: eval(cure, {"np": np, "mask": mask}))
    elif is_one_more(cure, finding):
        with (root / "classes.txt").open("a") as file:
            file.write(f"{cure}\n")
    elif any(map(_VALUE_AND_NAME.fullmatch, cures(finding))):  # the lines of another class list
        lines = [c for c in cures(finding) if "mask" not in c and not is_one_more(c, finding)]
        (root / "classes.txt").write_text("\n".join(lines) + "\n")
    elif cure == "git lfs pull":  # there is no repository: the files are put where it puts them
        for path in finding.files:
            shutil.copy(sound / path, root / path)
    else:
        raise AssertionError(f"a cure that no test carries out: {cure}")


def an_absent_class_amid_the_others(root):
    write_classes(root, {"built": None, "lake": None, "ground": None, "sky": None, "sea": None})
    change(part(root), remap(0, 2, 3))


def masks_of_2_among_absent_classes(root):
    """Without the first absent class, every 2 would be of the class after its own."""
    write_classes(root, {"rest": None, "lake": None, "ground": None, "sea": None})
    change(part(root), lambda labels: np.where(labels == 1, 2, 0).astype(np.uint8))


@pytest.fixture
def sound(tmp_path_factory):
    return draw_sound(tmp_path_factory.mktemp("cures") / "sound")


def kinds(report):
    return {finding.kind for finding in report.findings}


def errors(report):
    return {finding.kind for finding in report.findings if finding.severity == "error"}


def test_cures_carried_out_as_printed_cure_and_make_no_wrong_label_fit(sound, tmp_path):
    """Each leaves no error that was not there, and what is labeled then is of the class that it is
    of in the sound set."""
    done = set()
    own = (an_absent_class_amid_the_others, masks_of_2_among_absent_classes)
    for spoil in (*(case.spoil for case in CASES), *own):
        root = shutil.copytree(sound, tmp_path / spoil.__name__ / "spoilt")
        spoil(root)
        before = check_dataset(root)
        for finding in before.findings:
            for number, cure in enumerate(cures(finding)):
                copy = shutil.copytree(root, root.with_name(f"{finding.kind}-{number}"))
                carry_out(cure, finding, copy, sound)
                done.add(finding.kind)
                after = check_dataset(copy)
                assert finding.kind not in kinds(after), (spoil.__name__, cure)
                assert errors(after) <= errors(before), (spoil.__name__, cure)
                if after.fit:
                    assert_labels_are_those_of(sound, copy)
    assert done >= {
        *("lfs-pointer", "binary-masks", "stretched-values", "class-absent", "mostly-ignored"),
    }


def assert_labels_are_those_of(sound, root):
    dataset = open_dataset(root)
    for pair in (pair for some in dataset.splits.values() for pair in some):
        truth, labels = load(sound / pair.label.relative_to(root)), dataset.read_labels(pair)
        for index, name in enumerate(dataset.names):  # of two classes the rest is not ground
            own = truth == [*CLASSES].index(name) if name in CLASSES else truth != 1
            assert own[labels == index].all(), (root, name)
