"""``accsim hybrid``: what it prints, and refuses."""

import json

from simulator import cli


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    code = cli.main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_parts_add_up_to_the_latency(capsys):
    words = ("gpt2", "--phase", "decode", "--context", "64", "--hw", "a100-attacc")
    code, text, _ = run(capsys, "hybrid", *words, "--json")
    document = json.loads(text)
    assert code == 0
    assert abs(sum(document["seconds"].values()) - document["latency_s"]) < 1e-12
    assert document["crossings"] == 24  # there and back in 12 layers
    # Queries, new keys, new values and results of 768 elements each.
    assert document["crossing_bytes"] == 12 * 4 * 768 * 2
    code, text, _ = run(capsys, "hybrid", *words)
    assert code == 0 and "pass the link" in text


def test_a_device_is_refused_in_one_line(capsys):
    code, _, err = run(capsys, "hybrid", "gpt2", "--phase", "decode", "--hw", "t4")
    assert code == 2
    assert err.startswith("accsim: error: ") and "a100-attacc" in err
