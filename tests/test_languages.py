"""Language files: whose words win, and what is no language file."""

from __future__ import annotations

import json

from webui.languages import Languages


def put(folder, code, words, name="Here"):
    folder.mkdir(exist_ok=True)
    text = json.dumps({"name": name, "words": words})
    (folder / f"{code}.json").write_text(text, encoding="utf-8")


def test_a_later_folder_adds_languages_and_overrides_words(tmp_path):
    put(tmp_path / "a", "eo", {"Cancel": "Rezigni", "Save": "Konservi"}, "Esperanto")
    put(tmp_path / "b", "eo", {"Save": "Savi"}, "")
    put(tmp_path / "b", "de", {"Cancel": "Halt"}, "Deutsch")
    languages = Languages(lambda: [tmp_path / "a", tmp_path / "b", tmp_path / "none"])
    found = json.loads(languages.get("eo").content)
    assert found == {
        "code": "eo",
        "name": "Esperanto",
        "words": {"Cancel": "Rezigni", "Save": "Savi"},
    }
    german = json.loads(languages.get("de").content)["words"]
    assert german["Cancel"] == "Halt" and len(german) > 100  # ours, with one word of theirs


def test_a_file_that_changes_is_read_again(tmp_path):
    put(tmp_path / "a", "eo", {"Cancel": "x"})
    languages = Languages(lambda: [tmp_path / "a"])
    before = languages.get("eo").stamp
    assert languages.get("eo").stamp == before
    put(tmp_path / "a", "eo", {"Cancel": "Rezigni"})
    assert languages.get("eo").stamp != before


def test_what_is_no_language_file_is_left_out_and_told(tmp_path, caplog):
    folder = tmp_path / "a"
    put(folder, "eo", {"Cancel": "Rezigni"})
    put(folder, "fr", {"Cancel": 3})
    put(folder, "../b", {})
    for name, text in (("it", "{"), ("es", "[]"), ("pt", "{}"), ("notes", '{"words": {}}')):
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
    found = {language.code for language in Languages(lambda: [folder]).all()}
    assert "eo" in found and not found & {"fr", "it", "es", "pt", "notes"}
    assert sum("is no language file" in record.message for record in caplog.records) == 4
