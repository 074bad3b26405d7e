import gc
import subprocess
import sys

import pytest

from unet_repro.imports import import_uncollected


def test_collections_go_on_after_an_import_and_after_one_that_fails():
    assert import_uncollected("json").__name__ == "json"
    assert gc.isenabled()
    with pytest.raises(ImportError):
        import_uncollected("unet_repro.nothing_of_this_name")
    assert gc.isenabled()
    gc.disable()
    try:
        import_uncollected("json")
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_nothing_is_collected_while_it_imports(tmp_path, monkeypatch):
    (tmp_path / "asks.py").write_text("import gc\nenabled = gc.isenabled()\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert import_uncollected("asks").enabled is False


def test_predicting_and_exporting_do_not_wait_for_lightning():
    """It takes as long to import as all the rest together."""
    program = (
        "import sys, unet_repro.commands.predict, unet_repro.commands.export; sys.exit('lightning' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
