"""`bnbench export --to tensorboard`: event files, read here by a small reader that shares no code with the writer."""

import math
import struct
from dataclasses import replace

import pytest
from handmade import edit, make_config, make_run

from bnbench.report.tensorboard import FILE, crc32c, events, masked
from bnbench.runs.format import read_run


def bitwise_crc32c(content):
    crc = 0xFFFFFFFF
    for byte in content:
        for place in range(8):
            bit = (crc ^ byte >> place) & 1
            crc = crc >> 1 ^ bit * 0x82F63B78
    return crc ^ 0xFFFFFFFF


def unmasked(value):
    rotated = (value - 0xA282EAD8) % 2**32
    return (rotated >> 17 | rotated << 15) % 2**32


def records(contents):
    while contents:
        (length,) = struct.unpack("<Q", contents[:8])
        crc_of_length, content = struct.unpack("<I", contents[8:12])[0], contents[12 : 12 + length]
        (crc_of_content,) = struct.unpack("<I", contents[12 + length : 16 + length])
        assert unmasked(crc_of_length) == bitwise_crc32c(contents[:8])
        assert unmasked(crc_of_content) == bitwise_crc32c(content)
        yield content
        contents = contents[16 + length :]


def message(content):
    """The fields of a protobuf message, as (number, value)."""
    place = 0

    def varint():
        nonlocal place
        value = shift = 0
        while True:
            byte = content[place]
            place, value, shift = place + 1, value | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                return value

    while place < len(content):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        else:
            size, code = {1: (8, "<d"), 5: (4, "<f"), 2: (varint, None)}[key & 7]
            size = size() if callable(size) else size
            value, place = content[place : place + size], place + size
            yield key >> 3, struct.unpack(code, value)[0] if code else value


def read(path):
    """The events of a file: the version, then (time, step, {tag: value}) for each."""
    first, *others = [dict(message(content)) for content in records(path.read_bytes())]
    found = []
    for event in others:
        values = [dict(message(value)) for number, value in message(event[5]) if number == 1]
        found.append((event[1], event[2], {value[1].decode(): value[2] for value in values}))
    return first[3].decode(), found


@pytest.fixture
def results(tmp_path):
    for seed in range(2):
        make_run(tmp_path / "r/a", "bn", seed, [0.5, 0.9], config=make_config("batch"), test=0.75)
    return tmp_path / "r"


def test_the_crc_has_the_published_values():
    """RFC 3720, appendix B.4, and the usual check of nine digits."""
    known = {b"123456789": 0xE3069283, bytes(32): 0x8A9136AA, b"\xff" * 32: 0x62A8AB43, bytes(range(32)): 0x46DD794E}
    assert {content: crc32c(content) for content in known} == known
    assert unmasked(masked(0xFFFFFFFF)) == 0xFFFFFFFF


def test_every_metric_of_every_epoch_is_in_the_file(bnbench, results, tmp_path):
    edit(results / "a/bn/seed-1", started="2026-01-02T03:04:05+00:00")
    result = bnbench("export", results, "--to", "tensorboard", "-o", tmp_path / "t b")
    assert result.exit_code == 0
    assert result.stdout == f"2 runs for TensorBoard: tensorboard --logdir '{tmp_path / 't b'}'\n"
    version, found = read(tmp_path / "t b/bn/seed-1" / FILE)
    assert version == "brain.Event:2" and [step for _, step, _ in found] == [1, 2]
    metrics = {"loss/train": 1.0, "accuracy/train": 0.49, "loss/valid": 2.0, "accuracy/valid": 0.5}
    assert found[0][2] == pytest.approx({**metrics, "seconds/train": 4.0, "seconds/valid": 0.5})
    last = found[1][2]
    assert last["accuracy/valid"] == pytest.approx(0.9)
    assert (last["loss/test"], last["accuracy/test"]) == (0.5, 0.75)
    start = 1_767_323_045
    assert [time for time, _, _ in found] == [start + 4.5, start + 4.5 + 5.5]


def test_the_same_runs_give_the_same_bytes_and_a_second_export_replaces_the_first(bnbench, results, tmp_path):
    bnbench("export", results, "--to", "tensorboard")
    files = {path: path.read_bytes() for path in (tmp_path / "tensorboard").rglob("*") if path.is_file()}
    assert len(files) == 2
    bnbench("export", results, "--to", "tensorboard")
    assert files == {path: path.read_bytes() for path in (tmp_path / "tensorboard").rglob("*") if path.is_file()}


def test_a_diverged_run_keeps_its_losses(results, tmp_path):
    run = read_run(results / "a/bn/seed-0")
    row = replace(run.rows[0], train_loss=math.nan, valid_loss=1e300)
    (tmp_path / FILE).write_bytes(events(replace(run, rows=(row,), status="diverged")))
    ((_, _, values),) = read(tmp_path / FILE)[1]
    assert math.isnan(values["loss/train"]) and values["loss/valid"] == math.inf


def test_unfinished_runs_are_left_out_and_named(bnbench, results):
    make_run(results, "half", 0, [0.5], status="interrupted", epochs=3)
    result = bnbench("export", results, "--to", "tensorboard")
    assert result.stdout.startswith("2 runs ") and "half" in result.stderr


def test_bad_input_is_a_sentence(bnbench, results, tmp_path):
    make_run(results / "b", "bn", 0, [0.5, 0.9], config=make_config("layer"), test=0.75)
    result = bnbench("export", results, "--to", "tensorboard")
    assert result.exit_code == 2 and "have one name; export one of them elsewhere" in result.stderr
    assert not (tmp_path / "tensorboard").exists()
    result = bnbench("export", results / "a", "--to", "tensorboard", "-o", results / "a")
    assert result.exit_code == 2 and "is a run's folder; name a place outside of the results" in result.stderr
    (tmp_path / "file").write_text("")
    result = bnbench("export", results / "a", "--to", "tensorboard", "-o", tmp_path / "file")
    assert result.exit_code == 2 and "is a file; name a folder" in result.stderr
    assert bnbench("export", results / "a", "--to", "word").exit_code == 2
    assert bnbench("export", tmp_path / "nowhere", "--to", "tensorboard").exit_code == 3
