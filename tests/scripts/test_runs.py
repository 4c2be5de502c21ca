"""Jobs of the scripts, seen through methods_table.sh: what is skipped, and what fails how."""

import time
from pathlib import Path

import pytest

from tests.scripts.stubs import Study, Table, alive, wait_for


@pytest.fixture
def study(tmp_path: Path) -> Study:
    made = Table(tmp_path)
    made.environment |= {"SEEDS": "1", "PERCENTS": "80", "METHODS": "magnitude,random"}
    return made


def test_a_longer_list_only_adds_what_is_new(study: Study) -> None:
    study.run()
    study.run(PERCENTS="80 90")
    assert len(study.calls("fairseq-train")) == 2
    assert all("-90/trained" in call for call in study.calls("fairseq-train"))


def test_one_failed_run_does_not_stop_the_others_and_is_told_at_the_end(study: Study) -> None:
    code, out, err = study.run(BREAKS="random-80/trained")
    assert code == 1
    assert "small-1/random-80/trained failed. The last lines of" in err
    assert "    the disk has melted" in err
    (evaluated,) = study.calls("fairseq-prune ev")
    assert "magnitude-80/trained" in evaluated and "random-80/trained" not in evaluated


def test_what_failed_is_done_by_the_next_run(study: Study) -> None:
    study.run(BREAKS="random-80/trained")
    code, _, err = study.run()
    assert (code, err) == (0, "")
    assert len(study.calls("fairseq-train")) == 1
    (evaluated,) = study.calls("fairseq-prune ev")
    assert "random-80/trained" in evaluated


def test_without_a_dense_model_nothing_else_is_tried(study: Study) -> None:
    code, _, err = study.run(BREAKS="dense")
    assert code == 1
    assert len(study.calls("fairseq-train")) == 1
    assert study.calls("fairseq-prune apply") == []
    assert "small-1/random-80/trained was not run: it needs one that failed." in err


def test_results_of_other_flags_are_not_passed_off_as_these(study: Study) -> None:
    study.run()
    config = study.folder / "small.yaml"
    config.write_text(config.read_text().replace("max-update: 20", "max-update: 30"))
    code, _, err = study.run()
    assert code == 2
    assert err == (
        f"methods_table: {study.out}/small-1/magnitude-80/trained was made with other flags or "
        "from another model; remove it or choose another OUT.\n"
    )
    assert study.calls() == []


def test_a_cut_run_does_not_go_on_under_other_flags(study: Study) -> None:
    study.run(BREAKS="dense")
    config = study.folder / "small.yaml"
    config.write_text(config.read_text().replace("lr: 0.1", "lr: 0.2"))
    code, _, err = study.run()
    assert code == 2
    assert err.startswith(f"methods_table: {study.out}/small-1/dense was made with other flags")


def test_models_of_other_data_are_not_mixed(study: Study) -> None:
    study.run()
    (study.folder / "data/train.de-en.de.bin").write_text("another corpus")
    code, _, err = study.run()
    assert (code, err) == (
        2,
        f"methods_table: {study.out} holds models of other data than {study.folder}/data; remove "
        "it or choose another OUT.\n",
    )
    assert study.calls() == []


def test_an_interrupt_stops_the_children(study: Study) -> None:
    process = study.start(SLEEPS="trained")
    pids = Path(f"{study.calls_file}.pids")
    wait_for(pids)
    process.terminate()
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "the same command goes on from here" in out
    end = time.monotonic() + 10
    while any(alive(int(pid)) for pid in pids.read_text().split()) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(alive(int(pid)) for pid in pids.read_text().split())


def test_two_studies_do_not_share_a_folder(study: Study) -> None:
    process = study.start(SLEEPS="dense")
    try:
        wait_for(Path(f"{study.calls_file}.pids"))
        code, _, err = study.run()
        assert code == 2
        assert err == (
            f"methods_table: another run is at work in {study.out}; wait for it, or choose another "
            "OUT.\n"
        )
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.parametrize(
    "name, value, sentence",
    [
        ("DATA", "/nowhere", "DATA=/nowhere is not a folder; give the one that fairseq-preprocess "
         "made."),
        ("REFERENCE", "/nowhere", "REFERENCE=/nowhere is not a file; give the raw target text."),
        ("PERCENTS", "0.8", "0.8 is no percentage from 1 to 99."),
        ("DEVICE", "tpu", "DEVICE=tpu is neither cpu nor gpu."),
        ("MAX_LEN", "9", 'MAX_LEN=9 must be two numbers, as in "1.2 10".'),
    ],
)  # fmt: skip
def test_bad_settings_are_refused_in_a_sentence(
    study: Study, name: str, value: str, sentence: str
) -> None:
    code, _, err = study.run(**{name: value})
    assert (code, err) == (2, f"methods_table: {sentence}\n")
    assert study.calls() == []


def test_on_a_gpu_nothing_is_told_to_stay_on_the_cpu(study: Study) -> None:
    study.run(DEVICE="gpu")
    assert study.calls() and not any("--cpu" in call for call in study.calls())


def test_the_number_of_jobs_is_kept(study: Study) -> None:
    process = study.start(SLEEPS="trained", JOBS="1")
    try:
        pids = Path(f"{study.calls_file}.pids")
        wait_for(pids)
        time.sleep(1.5)
        assert len(pids.read_text().split()) == 1
        assert (study.out / "small-1/magnitude-80/trained/train.log").exists()
    finally:
        process.terminate()
        process.communicate(timeout=30)
