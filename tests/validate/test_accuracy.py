"""The page of accuracy: written by its script, from families that no fit has seen."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_written(measured, tmp_path, powered):
    shapes = [{"n": n, "k": 64, "time_us": 5} for n in (32, 48, 64, 80, 96, 112, 128)]
    watts = [{**powered["gemm"], "n": n} for n in (1024, 1536, 2048, 2560)]
    measured("power.csv", *watts)
    page = tmp_path / "accuracy.md"
    command = [sys.executable, ROOT / "validation" / "accuracy.py", "--data"]
    command += [measured("gemm.csv", *shapes), "--hw", "a100-sxm-80gb", "--op", "gemm", "moe"]
    subprocess.run([*command, "--sample", "3", "-o", page], check=True, capture_output=True)
    text = page.read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith("| a100-sxm-80gb | gemm"))
    # A fitted description is shipped, so both columns are filled.
    assert row.count("%") >= 6
    assert "| moe |" not in text
    energy = next(line for line in text.splitlines() if "| joules |" in line)
    assert energy.startswith("| a100-sxm-80gb.fit | gemm |")
    assert energy.count("%") == 5


def test_a_wrong_name_is_one_line(measured, tmp_path):
    command = [sys.executable, ROOT / "validation" / "accuracy.py", "--data"]
    command += [measured("gemm.csv", {}), "--hw", "a100-sxm-81gb", "-o", tmp_path / "page.md"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("accuracy: error: ") and done.stderr.count("\n") == 1
    assert not (tmp_path / "page.md").exists()
