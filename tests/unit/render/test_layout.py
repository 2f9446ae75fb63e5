"""Running Graphviz: the engines, their failures, and the time budget."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import pytest

from inspect_autograd.errors import LayoutError, LayoutTimeoutError
from inspect_autograd.render import engine as engine_module
from inspect_autograd.render.engine import Engine, find_engines, run_engine
from inspect_autograd.render.layout import lay_out, with_letters

SOURCE = "digraph {\n\tgraph [rankdir=TB]\n\ta -> b\n}\n"
ECHO = """
import sys
assert "-Kdot" in sys.argv and "-Tsvg" in sys.argv, sys.argv
sys.stdout.write("<svg>" + sys.stdin.read() + "</svg>")
"""


@pytest.mark.usefixtures("no_dot")
@pytest.mark.parametrize(
    ("output_format", "beginning"),
    [("svg", b"<?xml"), ("png", b"\x89PNG\r\n\x1a\n"), ("pdf", b"%PDF-")],
)
def test_the_bundled_engine_draws_every_format(output_format: str, beginning: bytes) -> None:
    picture = lay_out(SOURCE, output_format, timeout=60, boxes=2)
    assert picture.data.startswith(beginning)


def test_a_dot_on_path_comes_first(fake_dot: Callable[[str], Path]) -> None:
    fake_dot(ECHO)
    assert lay_out(SOURCE, "svg", timeout=60, boxes=2).data == f"<svg>{SOURCE}</svg>".encode()


@pytest.mark.parametrize(
    "program",
    [
        "import sys; sys.exit('Format: \"svg\" not recognized. Use one of: dot xdot')",
        "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "",
        "print('digraph { }')",
        "import sys; sys.stderr.write('Error: lost a b edge\\n'); print('<svg></svg>')",
    ],
    ids=["no such format", "crash", "no output", "wrong output", "left something out"],
)
def test_a_dot_that_fails_is_replaced_by_the_bundled_one(
    program: str, fake_dot: Callable[[str], Path]
) -> None:
    fake_dot(program)
    picture = lay_out(SOURCE, "svg", timeout=60, boxes=2).data
    assert b"<title>a</title>" in picture


def test_a_dot_that_cannot_be_started_is_replaced_too(
    fake_dot: Callable[[str], Path],
) -> None:
    fake_dot("").write_text("#!/nonexistent/interpreter\n", encoding="utf-8")
    assert b"<title>a</title>" in lay_out(SOURCE, "svg", timeout=60, boxes=2).data


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import sys; sys.exit('boom: no plugin')", "exit status 1: boom: no plugin"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", r"crashed \(SIGSEGV\)"),
        ("", "it wrote nothing"),
        ("print('digraph { }')", "what it wrote is not SVG: b'digraph { }"),
        (
            "import sys; sys.stderr.write('Fontconfig\\n\\nError: lost a b edge\\n'); print(1)",
            "it left something out: Error: lost a b edge",
        ),
    ],
)
def test_if_every_engine_fails_each_says_how(
    program: str,
    words: str,
    fake_dot: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = fake_dot(program)
    monkeypatch.setattr(engine_module, "_pygraphviz_folder", lambda: None)
    with pytest.raises(LayoutError, match=words) as caught:
        lay_out(SOURCE, "svg", timeout=60, boxes=2)
    assert str(script) in str(caught.value)
    assert "Fontconfig" not in str(caught.value)


def test_without_any_graphviz_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, no_dot: None
) -> None:
    monkeypatch.setattr(engine_module, "_pygraphviz_folder", lambda: None)
    with pytest.raises(LayoutError, match="pip install pygraphviz"):
        lay_out(SOURCE, "svg", timeout=60, boxes=2)


def test_an_invisible_arrow_that_is_lost_is_no_loss(fake_dot: Callable[[str], Path]) -> None:
    fake_dot(
        "import sys\n"
        "sys.stderr.write('Error: in routesplines, Pshortestpath failed\\n'\n"
        "                 'Error: lost r0 i55c1 edge\\n')\n"
        "print('<svg>fake</svg>')"
    )
    assert lay_out(SOURCE, "svg", timeout=60, boxes=2).data == b"<svg>fake</svg>\n"


def test_after_a_lost_arrow_it_tries_straight_ones(fake_dot: Callable[[str], Path]) -> None:
    fake_dot(
        "import sys\n"
        "source = sys.stdin.read()\n"
        "if 'splines=line' not in source: sys.stderr.write('Error: lost a b edge\\n')\n"
        "print('<svg>' + source + '</svg>')"
    )
    assert b"splines=line" in lay_out(SOURCE, "svg", timeout=60, boxes=2).data


def test_a_slow_layout_is_ended_with_all_it_started(
    fake_dot: Callable[[str], Path], tmp_path: Path
) -> None:
    # Like the wrapper scripts of some package managers: the one that is slow is a grandchild, and
    # it holds the pipes open.
    marker = tmp_path / "alive"
    slow = f"import time, pathlib; time.sleep(3); pathlib.Path({str(marker)!r}).touch()"
    fake_dot(f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {slow!r}])")
    start = monotonic()
    with pytest.raises(LayoutTimeoutError, match=r"timeout=0\.5 seconds") as caught:
        lay_out(SOURCE, "svg", timeout=0.5, boxes=1234)
    assert monotonic() - start < 2.5
    assert "1234 boxes" in str(caught.value)
    assert "view='auto'" in caught.value.remedy
    sleep(3.5)
    assert not marker.exists()


def test_a_pdf_does_not_say_when_it_was_made() -> None:
    # Else the same graph would make another file every second.
    assert b"/CreationDate (D:19700101000000" in lay_out(SOURCE, "pdf", timeout=30, boxes=2).data


@pytest.mark.parametrize("output_format", ["svg", "png", "pdf"])
def test_the_budget_is_for_all_of_it(output_format: str, fake_dot: Callable[[str], Path]) -> None:
    fake_dot("import time; time.sleep(20)")
    start = monotonic()
    with pytest.raises(LayoutTimeoutError):
        lay_out(SOURCE, output_format, timeout=0.4, boxes=500)
    assert monotonic() - start < 3


def test_an_interrupted_layout_leaves_no_process(
    fake_dot: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_dot("import time; time.sleep(20)")
    started: list[subprocess.Popen[bytes]] = []

    def interrupt(process: subprocess.Popen[bytes], *_: object, **__: object) -> None:
        started.append(process)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupt)
    with pytest.raises(KeyboardInterrupt):
        lay_out(SOURCE, "svg", timeout=60, boxes=2)
    assert started[0].poll() is not None


@pytest.fixture
def no_font(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which fontconfig finds no font, such as a slim container."""
    if not sys.platform.startswith("linux"):
        pytest.skip("needs fontconfig")
    config = tmp_path / "fonts.conf"
    config.write_text(
        '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>'
        f"<dir>{tmp_path}</dir><cachedir>{tmp_path}/cache</cachedir></fontconfig>",
        encoding="utf-8",
    )
    monkeypatch.setenv("FONTCONFIG_FILE", str(config))
    monkeypatch.setattr("inspect_autograd.render.layout._engines_with_fonts", set())


@pytest.mark.usefixtures("no_dot", "no_font")
def test_on_a_machine_without_a_font_the_packaged_one_is_used() -> None:
    (engine,) = find_engines()
    deadline = monotonic() + 60
    packaged = with_letters(engine, "png", deadline)
    assert dict(packaged.environment).keys() == {"FONTCONFIG_FILE"}
    source = 'digraph { node [shape=plain, margin=0, width=0]; a [label="iiii"]; b [label="WWWW"] }'

    def widths(with_engine: Engine) -> list[float]:
        data, _ = run_engine(
            with_engine, source, layout="dot", output_format="plain", deadline=deadline
        )
        lines = [line.split() for line in data.decode().splitlines()]
        return [float(line[4]) for line in lines if line[0] == "node"]

    narrow, wide = widths(engine)
    assert narrow == wide  # empty boxes
    narrow, wide = widths(packaged)
    assert 2 * narrow < wide
    assert lay_out(SOURCE, "png", timeout=60, boxes=2).data.startswith(b"\x89PNG")


@pytest.mark.usefixtures("no_dot", "no_font")
def test_without_any_font_there_is_an_error_and_no_picture_of_empty_boxes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("inspect_autograd.render.layout.packaged_font_environment", dict)
    with pytest.raises(LayoutError, match="finds no font"):
        lay_out(SOURCE, "png", timeout=60, boxes=2)
    assert b"<title>a</title>" in lay_out(SOURCE, "svg", timeout=60, boxes=2).data


@pytest.mark.usefixtures("no_dot")
def test_the_worker_knows_neither_torch_nor_this_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (engine,) = find_engines()
    arguments = engine.arguments("dot", "svg")
    assert arguments[1:4] == ["-I", "-S", "-c"]
    assert "import torch" not in arguments[4]
    # Nothing that lies in the current folder is taken for a module of the standard library.
    (tmp_path / "pygraphviz.py").write_text("raise SystemExit('mine')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HOME", raising=False)
    assert b"<title>a</title>" in lay_out(SOURCE, "svg", timeout=60, boxes=2).data


@pytest.mark.usefixtures("no_dot")
def test_a_png_too_large_gets_a_lower_resolution() -> None:
    # Ranks 100 inches apart: 40 000 pixels at 100 dots per inch.
    source = "digraph {\n\tgraph [ranksep=100]\n\ta -> b -> c -> d -> e\n}\n"
    picture = lay_out(source, "png", timeout=60, boxes=100)
    width, height = (int.from_bytes(picture.data[at : at + 4]) for at in (16, 20))
    assert picture.dpi is not None
    assert 70 < picture.dpi < 80
    assert 31_000 < height <= 32_767
    assert width < 300


@pytest.mark.usefixtures("no_dot")
def test_a_small_png_has_its_full_resolution() -> None:
    assert lay_out(SOURCE, "png", timeout=60, boxes=2).dpi == 144
    assert lay_out(SOURCE, "png", timeout=60, boxes=100).dpi == 144
