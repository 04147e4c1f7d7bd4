"""A run's folder is free again whatever raises while its lock is taken or given back."""

import pytest

from bnbench.runs import lock
from bnbench.runs.lock import held_by, hold


class Stop(BaseException):
    """What a signal raises between two lines."""


@pytest.fixture
def kept(monkeypatch):
    """Every lock object that was made: while they live, their collection releases nothing."""
    made = []

    def make(*args, **options):
        made.append(FileLock(*args, **options))
        return made[-1]

    FileLock = lock.FileLock  # noqa: N806
    monkeypatch.setattr(lock, "FileLock", make)
    return made


def stop(*args, **options):
    raise Stop


def take(folder):
    with hold(folder, "the first"):
        pass


def ask(folder):
    (folder / lock.NAME).touch()  # as a killed process leaves it
    held_by(folder)


@pytest.mark.parametrize("use", [take, ask])
@pytest.mark.parametrize("where", ["_identity", "unlink"])
def test_a_stop_while_the_lock_is_taken_or_given_back_leaves_it_free(tmp_path, monkeypatch, kept, use, where):
    """`_identity` comes first just after the lock is taken, `unlink` only as it is given back."""
    with monkeypatch.context() as patch:
        patch.setattr(*((lock.Path, "unlink") if where == "unlink" else (lock, "_identity")), stop)
        with pytest.raises(Stop):
            use(tmp_path)
    assert len(kept) == 1 and not kept[0].is_locked
    with hold(tmp_path, "the second"):
        assert (tmp_path / lock.NAME).read_text() == "the second"
    assert not (tmp_path / lock.NAME).exists()


def test_a_stop_in_the_release_itself_leaves_it_free(tmp_path, monkeypatch, kept):
    """The first release is stopped before it has done anything."""
    calls = []
    with monkeypatch.context() as patch, pytest.raises(Stop), hold(tmp_path, "the first"):
        whole = kept[0].release

        def stopped_once(*args, **options):
            calls.append(args)
            if len(calls) == 1:
                raise Stop
            whole(*args, **options)

        patch.setattr(kept[0], "release", stopped_once)
    assert len(calls) == 2
    with hold(tmp_path, "the second"):
        pass
