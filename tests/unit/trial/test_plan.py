from unet_repro.trial.ledger import Entry, unique


def entry(run_id, arm):
    return Entry("optimizer", arm, 0, "cpu", "isbi2012", "", run_id, (), 1.0, "k")


def test_a_shared_run_is_trained_once_and_at_its_first_place():
    entries = [entry("a", "1"), entry("b", "2"), entry("a", "3"), entry("c", "4")]
    assert [(e.run_id, e.arm) for e in unique(entries)] == [("a", "1"), ("b", "2"), ("c", "4")]
