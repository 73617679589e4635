"""The report: one well-formed file that needs nothing else, and whose tables sort."""

import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from simulator.results import Result, report

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """Checks nesting and collects ids, links to elsewhere, text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.targets, self.text, self.tags = [], [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open, f"unclosed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name.split(":")[-1] in ("src", "href", "action", "data"):
                self.targets.append(value)

    def handle_endtag(self, tag):
        assert self.open, f"nothing open for </{tag}>"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def html(synthetic):
    return report.render(Result(synthetic.decode_step()).to_json())


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_the_page_is_well_formed(page):
    assert len(page.ids) == len(set(page.ids))
    assert page.tags.count("svg") == 3
    assert page.tags.count("figure") == 3


def test_the_page_needs_nothing_else(html, page):
    outside = [target for target in page.targets if not target.startswith(("#", "data:image/png"))]
    assert outside == []
    assert "://" not in html
    assert not re.search(r"@import|url\((?!#)", html)


def test_references_within_figures_find_their_target(html, page):
    wanted = set(re.findall(r'href="#([^"]+)"', html)) | set(re.findall(r"url\(#([^)]+)\)", html))
    assert wanted <= set(page.ids)
    assert wanted, "figures clip and reuse marks"


def test_the_page_says_what_weakens_it(synthetic):
    record = synthetic.run(
        [synthetic.kernel(approximated=True, operator="aten.strange.default")],
        warnings=("the device throttled",),
        guesses=("experts were routed uniformly",),
    )
    text = " ".join(Page(report.render(Result(record).to_json())).text)
    for said in ("the device throttled", "experts were routed uniformly", "aten.strange.default"):
        assert said in text
    assert "Vendor, product brief" in text


def test_text_from_traces_is_escaped(synthetic):
    evil = "</style><script>alert(1)</script>"
    record = synthetic.run(
        [synthetic.kernel(name=evil, operator=evil, kind=evil)],
        workload=evil,
        hardware=evil,
        options={"launch": evil},
        warnings=(evil,),
    )
    html = report.render(Result(record).to_json())
    assert evil not in html
    assert Page(html).tags.count("script") == 1


def test_the_same_run_gives_the_same_bytes(html, synthetic):
    assert report.render(Result(synthetic.decode_step()).to_json()) == html


def test_a_users_matplotlibrc_does_not_change_the_page(html, synthetic):
    import matplotlib

    with matplotlib.rc_context({"font.size": 30, "svg.hashsalt": None, "axes.grid": True}):
        assert report.render(Result(synthetic.decode_step()).to_json()) == html


@pytest.mark.parametrize("kernels", [0, 1])
def test_tiny_runs_have_reports(synthetic, kernels):
    record = synthetic.run(
        [synthetic.kernel(operations={}, energy_j={}) for _ in range(kernels)],
        components=[],
        provenance=(),
        quality=None,
        energy_j={},
        guesses=(),
        warnings=(),
    )
    Page(report.render(Result(record).to_json()))


def test_many_kinds_fold_into_one_row(synthetic):
    us = synthetic.US
    kernels = [
        synthetic.kernel(i, i * 60 * us, kind=f"kind{i:02}", energy_j={"dram": 0.001})
        for i in range(30)
    ]
    html = report.render(Result(synthetic.run(kernels)).to_json())
    assert "21 other kinds" in html
    assert all(f"kind{i:02}" in html for i in range(30)), "the tables keep them all"


CLICK = """<script>
const table = document.querySelectorAll("table.sortable")[1];
const buttons = table.querySelectorAll("thead button");
const column = (n) => Array.from(table.tBodies[0].rows, (row) => row.cells[n].textContent);
buttons[3].click();
const down = column(3);
buttons[3].click();
const up = column(3);
buttons[0].click();
const names = column(0);
document.body.innerHTML = "<pre id=seen>" + JSON.stringify({down, up, names}) + "</pre>";
</script></body>"""


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="needs Chromium")
def test_headings_sort_in_a_browser(html, tmp_path):
    import json

    path = tmp_path / "report.html"
    path.write_text(html.replace("</body>", CLICK))
    options = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = ["chromium", *options.split(), "--disable-background-networking", profile]
    dom = subprocess.run(
        [*command, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=120
    ).stdout
    seen = json.loads(re.search(r'<pre id="seen">(.*?)</pre>', dom)[1])
    assert seen["down"][0].endswith("ms"), "the longest first"
    assert seen["up"] == seen["down"][::-1]
    assert seen["names"] == sorted(seen["names"])
