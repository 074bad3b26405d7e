"""A record counts for its own settings alone, and half a record for none."""

from unet_repro.inference.journal import Journal, Position


def test_a_position_comes_back(tmp_path):
    journal = Journal(tmp_path / "out.tif", {"views": 1, "path": ("a", 2)})
    assert journal.read() is None
    journal.write(Position((572, 316), plane=3, row=2))
    assert Journal(tmp_path / "out.tif", {"views": 1, "path": ("a", 2)}).read() == Position((572, 316), plane=3, row=2)
    assert Journal(tmp_path / "out.tif", {"views": 4, "path": ("a", 2)}).read() is None
    journal.forget()
    assert journal.read() is None
    assert not list(tmp_path.iterdir())


def test_a_damaged_record_begins_anew(tmp_path):
    journal = Journal(tmp_path / "out.tif", {})
    journal.write(Position((572, 572)))
    journal.path.write_text(journal.path.read_text()[:30])
    assert journal.read() is None
    journal.path.write_text('{"signature": {}, "position": {"unknown": 1}}')
    assert journal.read() is None
