import json
from pathlib import Path

import pytest

from lambdas.columns import DeclarationError
from lambdas.effects.settings import AlertSettings, CommitSettings, Settings, SettingsError, TransformSettings

DETECT = {
    "FRESHET_PIPELINE": "temperature",
    "FRESHET_STATE_BUCKET": "state",
    "FRESHET_RESULT_STREAMS": '{"finding": "findings"}',
    "FRESHET_CHANGES_QUEUE_URL": "https://queue",
    "FRESHET_STREAM_NAME": "stream",
}


def test_each_function_reads_what_it_needs_and_no_more() -> None:
    detect = CommitSettings.of_environment(DETECT | {"FRESHET_TIME_ZONE": "Europe/Berlin", "HOME": "/"})
    assert detect.result_streams == {"finding": "findings"}
    assert (detect.overrides, detect.reference_tables) == ({}, {})
    transform = TransformSettings.of_environment(
        {"FRESHET_PIPELINE": "temperature", "FRESHET_QUARANTINE_BUCKET": "lake"}
    )
    assert transform.quarantine_bucket == "lake"


def test_the_operators_zone_is_utc_where_none_is_set() -> None:
    given = {
        "FRESHET_PIPELINE": "temperature",
        "FRESHET_RESULT_STREAMS": "{}",
        "FRESHET_INCIDENTS_TABLE": "incidents",
        "FRESHET_ALERTS_TOPIC_ARN": "arn:aws:sns:eu-central-1:123456789012:alerts",
    }
    assert AlertSettings.of_environment(given).time_zone == "UTC"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("FRESHET_STATE_BUCKET", None, "The variable FRESHET_STATE_BUCKET is not set"),
        ("FRESHET_STATE_BUCKET", "  ", "The variable FRESHET_STATE_BUCKET is empty"),
        (
            "FRESHET_RESULT_STREAMS",
            "findings",
            "The variable FRESHET_RESULT_STREAMS is no JSON object of texts",
        ),
        (
            "FRESHET_RESULT_STREAMS",
            '["findings"]',
            "The variable FRESHET_RESULT_STREAMS is no JSON object of texts",
        ),
        (
            "FRESHET_RESULT_STREAMS",
            '{"finding": 1}',
            "The variable FRESHET_RESULT_STREAMS is no JSON object of texts",
        ),
        ("FRESHET_OVERRIDES", '{"a.b": "1"}', "The variable FRESHET_OVERRIDES is no JSON object of numbers"),
        ("FRESHET_OVERRIDES", '{"a.b": true}', "The variable FRESHET_OVERRIDES is no JSON object of numbers"),
    ],
)
def test_a_variable_that_cannot_be_used_gets_a_sentence(name: str, value: str | None, sentence: str) -> None:
    given = {key: each for key, each in (DETECT | {name: value}).items() if each is not None}
    with pytest.raises(SettingsError) as refused:
        CommitSettings.of_environment(given)
    assert str(refused.value) == f"{sentence}; deploy the pipeline's stack again, which sets it."


def test_the_pipeline_has_its_folders_name_and_the_numbers_of_this_deployment() -> None:
    overrides = json.dumps({"too_hot.above": 40})
    pipeline = Settings.of_environment(DETECT | {"FRESHET_OVERRIDES": overrides}).load_pipeline()
    assert pipeline.name == "temperature"
    assert pipeline.detectors[0].severity == {40: 3, 55: 4}


def test_a_number_that_no_detector_has_is_refused() -> None:
    settings = Settings(pipeline="temperature", overrides={"too_cold.below": 1})
    with pytest.raises(DeclarationError, match="names none of its detectors"):
        settings.load_pipeline()


def test_a_pipeline_that_the_code_lacks_gets_a_sentence() -> None:
    with pytest.raises(SettingsError) as refused:
        Settings(pipeline="nowhere").load_pipeline()
    assert str(refused.value) == (
        "FRESHET_PIPELINE is 'nowhere', but the function's code has no pipelines/nowhere/pipeline.py; deploy "
        "the pipeline's stack again."
    )


def test_a_file_without_a_declaration_gets_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "pipelines" / "bare"
    folder.mkdir(parents=True)
    (folder / "pipeline.py").write_text("")
    monkeypatch.setattr("pipelines.__path__", [str(tmp_path / "pipelines")])
    with pytest.raises(SettingsError) as refused:
        Settings(pipeline="bare").load_pipeline()
    assert str(refused.value) == (
        "pipelines/bare/pipeline.py declares no pipeline; write pipeline = Pipeline(…) in it."
    )


def test_a_declarations_own_missing_import_is_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "pipelines" / "broken"
    folder.mkdir(parents=True)
    (folder / "pipeline.py").write_text("import a_library_that_the_layer_lacks")
    monkeypatch.setattr("pipelines.__path__", [str(tmp_path / "pipelines")])
    with pytest.raises(ModuleNotFoundError, match="a_library_that_the_layer_lacks"):
        Settings(pipeline="broken").load_pipeline()
