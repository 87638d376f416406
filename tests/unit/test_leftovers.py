from __future__ import annotations

from pathlib import Path

import pytest

from hardneg.leftovers import removed_if_ended, scratch_folder, undo_all, undo_if_ended


def test_what_is_being_made_is_removed(tmp_path: Path) -> None:
    file, folder, absent = tmp_path / "file", tmp_path / "folder", tmp_path / "absent"
    removed = removed_if_ended
    with removed(file), removed(folder), removed(absent), scratch_folder() as scratch:
        file.write_text("half")
        (folder / "deep").mkdir(parents=True)
        (scratch / "more").write_text("")
        undo_all()
        assert not file.exists() and not folder.exists() and not scratch.exists()


def test_what_is_made_stays(tmp_path: Path) -> None:
    with removed_if_ended(tmp_path / "file"):
        (tmp_path / "file").write_text("whole")
    with pytest.raises(ZeroDivisionError), removed_if_ended(tmp_path / "other"):
        (tmp_path / "other").write_text("its maker removes it")
        _ = 1 / 0
    undo_all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "other"]


def test_the_last_is_undone_first_and_one_that_fails_keeps_no_other() -> None:
    undone: list[int] = []
    forget = [undo_if_ended(lambda n=n: undone.append(n) if n != 2 else _fail()) for n in (1, 2, 3)]
    undo_all()
    assert undone == [3, 1]
    for one in (*forget, *forget):
        one()
    undo_all()
    assert undone == [3, 1]


def _fail() -> None:
    raise OSError
