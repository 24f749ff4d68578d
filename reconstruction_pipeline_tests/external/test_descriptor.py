"""Descriptor files: what may stand in them, and the one sentence about what may not."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconstruction_pipeline.artifacts.errors import UsageError
from reconstruction_pipeline.external.filling import filled
from reconstruction_pipeline.external.loading import HERE, find_program, load_program, program_of, shipped_programs
from reconstruction_pipeline.external.permission import remark, require_permission
from reconstruction_pipeline.external.selection import chosen_programs, parse_selection
from reconstruction_pipeline_tests.external.programs import body

EXAMPLES = Path(__file__).parents[2] / "examples" / "external"


def test_what_is_shipped_is_well_formed_and_says_its_licence() -> None:
    programs = shipped_programs()
    assert set(programs) >= {"splat-transform", "reconstruct-train", "graphdeco-3dgs", "dashgaussian", "longsplat"}
    for name, program in programs.items():
        assert program.name == name and program.licence
    assert {name for name, program in programs.items() if not program.commercial_use} == {
        "graphdeco-3dgs",
        "dashgaussian",
        "longsplat",
    }
    assert {name for name, program in programs.items() if program.verified} == {"splat-transform", "reconstruct-train"}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_examples_are_well_formed_and_claim_nothing(path: Path) -> None:
    program = load_program(path)
    assert program.name == path.stem and not program.verified


def test_toml_and_yaml_say_the_same(tmp_path: Path) -> None:
    import tomllib

    source = HERE / "graphdeco-3dgs.toml"
    same = tmp_path / "graphdeco-3dgs.yaml"
    same.write_text(yaml.safe_dump(tomllib.loads(source.read_text())))
    assert load_program(same) == load_program(source)
    assert load_program(same).digest == load_program(source).digest
    assert pickle.loads(pickle.dumps(load_program(same))) == load_program(source)
    assert find_program(str(same)) == find_program("graphdeco-3dgs")


def without(field: str) -> Any:
    def change(described: dict[str, Any]) -> None:
        del described[field]

    return change


def having(**changes: Any) -> Any:
    return lambda described: described.update(changes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("licence"), r"'licence' is wrong \(Field required"),
        (without("commercial_use"), "'commercial_use' is wrong"),
        (having(stage="depth"), "'stage' is wrong"),
        (having(name="../x"), "'name' is wrong"),
        (having(arguments=[]), "'arguments' is wrong"),
        (having(argv="train --out x"), "'argv' is wrong"),
        (having(time_limit_minutes=0), "'time_limit_minutes' is wrong"),
        (having(reads={"project": "metashape"}), r"cannot read project as metashape; it can read project \(colmap or"),
        (having(writes={"scene.sog": "sog"}), "training program cannot write sog; it can write 3dgs-ply"),
        (having(writes={"../scene.ply": "3dgs-ply"}), "not inside the output folder"),
        (having(argv=["x", "{output}", "{project}", "{spalts}"]), r"no placeholder \{spalts\} here"),
        (having(argv=["x", "{project}"]), r"does not say where \{output\} goes"),
        (having(environment={}), r"does not say where \{project\} goes"),
        (having(argv=["bash", "-c", "train {output} {project}"]), "'bash -c' is a shell"),
        (having(argv=[]), r"give either argv or \[\[steps\]\]"),
        (having(run_in="container"), r"no \[container\] with an image"),
        (having(container={"image": "x", "mounts": ["weights"]}), "not /host/path:/path/inside"),
        (having(watch={"progress": "done ("}), "watch.progress is no regular expression"),
        (having(watch={"progress": r"(?P<done>\d+)"}), "watch.progress needs the group percent, or done and total"),
        (having(watch={"metrics": {"psnr": r"\d+"}}), r"watch.metrics.psnr has no group \(\?P<value>"),
        (having(watch={"curve": r"(?P<step>\d+)"}), r"watch.curve has no group \(\?P<loss>"),
    ],
)
def test_a_wrong_descriptor_is_refused_in_one_sentence(change: Any, said: str) -> None:
    described = copy.deepcopy(body("train"))
    change(described)
    with pytest.raises(UsageError, match=said) as refused:
        program_of(described, "trainer.toml")
    assert str(refused.value).startswith("trainer.toml: ") and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.toml", "name = ", "not well-formed"),
        ("a.yaml", "a: [", "not well-formed"),
        ("a.yaml", "- one", "must be a table"),
        ("a.json", "{}", r"ends with \.toml"),
        ("missing.toml", None, "cannot be read"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_sentence(tmp_path: Path, name: str, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=said) as refused:
        find_program(str(tmp_path / name))
    assert "\n" not in str(refused.value)


def test_optional_words_go_as_a_group_and_nothing_is_ever_split() -> None:
    command = ("train", "{project}", ("--steps", "{steps}"), ("--seconds", "{seconds}"), "--name={project}/x")
    values = {"project": "/a b; rm -rf /", "steps": "300", "seconds": None}
    assert filled(command, values) == ["train", "/a b; rm -rf /", "--steps", "300", "--name=/a b; rm -rf //x"]
    with pytest.raises(UsageError, match=r"'\{seconds\}' of an external command has no value"):
        filled(("{seconds}",), values)


def test_who_does_what_is_chosen_by_stage_or_asset(tmp_path: Path) -> None:
    own = tmp_path / "mine.toml"
    own.write_text((HERE / "splat-transform.toml").read_text().replace('"splat-transform"\nstage', '"mine"\nstage'))
    selection = parse_selection([f"compressed_splats={own}", "training=reconstruct-train"])
    assert selection == {"compression": str(own), "training": "reconstruct-train"}
    programs = chosen_programs(selection, noncommercial=False)
    assert {asset: program.name for asset, program in programs.items()} == {
        "compressed_splats": "mine",
        "gaussian_splats": "reconstruct-train",
    }
    assert chosen_programs({"compression": "mine"}, False, [tmp_path])["compressed_splats"].name == "mine"
    assert chosen_programs({"compression": "ours"}, False) == {}
    with pytest.raises(UsageError, match="there is no external stage 'depth'"):
        parse_selection(["depth=x"])
    with pytest.raises(UsageError, match="write STAGE=PROGRAM"):
        parse_selection(["training"])
    with pytest.raises(UsageError, match="there is no external program 'nobody'; give a descriptor file, or one of"):
        chosen_programs({"training": "nobody"}, False)
    with pytest.raises(UsageError, match="is a program for training, not for meshing"):
        chosen_programs({"meshing": "reconstruct-train"}, False)


def test_what_forbids_commercial_use_is_refused_unless_the_use_is_none() -> None:
    with pytest.raises(UsageError, match="does not allow commercial use; if yours is none, pass --allow-noncommercial"):
        chosen_programs({"training": "graphdeco-3dgs"}, noncommercial=False)
    (program,) = chosen_programs({"training": "graphdeco-3dgs"}, noncommercial=True).values()
    require_permission(program, True)
    assert "non-commercial use only" in remark(program) and "unverified" in remark(program)
