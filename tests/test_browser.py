"""The report in a real browser with no network."""

import math
from itertools import islice, product

import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from conftest import papermill, write_crossing_study
from crossover.analysis.band import log_ratio
from crossover.analysis.compared import compare, ratio_data
from crossover.analysis.comparison import crossovers
from crossover.analysis.interpolate import choose, measured_curves, predict
from crossover.analysis.machines import own_settings
from crossover.analysis.merge import merge
from crossover.analysis.summary import summarise
from crossover.analysis.verdict import (
    UNKNOWN,
    Prediction,
    Rule,
    Verdict,
    break_even,
    cheaper,
    rule_of,
    verdict,
)
from crossover.records.frame import to_frame
from crossover.records.published import MACHINE
from crossover.records.settings import protocol_settings
from crossover.records.storage import read_records
from crossover.report.render import render
from crossover.report.rule import COST, rule_words
from crossover.report.text import break_even_sentence, cost_sentence, verdict_sentence

pytestmark = [pytest.mark.browser, pytest.mark.long]

HOSTILE = "</script><img src=x onerror=alert(1)> $\\frac CPU"


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    write_crossing_study(folder, cpu_model=HOSTILE)
    return folder


@pytest.fixture(scope="module")
def report(records, tmp_path_factory):
    out = tmp_path_factory.mktemp("page")
    run = papermill(
        "summary.ipynb", out / "s.ipynb", records=records, figure_folder=out, table_folder=out
    )
    assert run.returncode == 0, run.stderr
    size = render(out / "s.ipynb", out / "report.html")
    assert size < 5_000_000
    return out / "report.html"


@pytest.fixture(scope="module")
def browser(chromium):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(browser, report, width=1280, scheme="light", bypass=False, script=True):
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme=scheme,
        offline=True,
        bypass_csp=bypass,
        java_script_enabled=script,
    )
    page = context.new_page()
    page.problems = []
    page.on("console", lambda message: page.problems.append(message.text))
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("request", lambda request: page.problems.append(request.url))
    page.goto(report.as_uri())
    return page


def test_it_opens_offline_without_a_request_or_an_error(browser, report):
    page = opened(browser, report)
    problems = [p for p in page.problems if not p.startswith(("data:image/", report.as_uri()))]
    assert problems == []
    sizes = page.eval_on_selector_all("img", "all => all.map(i => [i.naturalWidth, i.alt.length])")
    assert len(sizes) >= 4
    assert all(width > 100 and alt > 20 for width, alt in sizes)


def test_the_page_runs_no_script_but_its_own(browser, report):
    page = opened(browser, report)
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.intruder = true";
            document.body.append(script);
        }"""
    )
    assert page.evaluate("window.intruder") is None
    assert any("script-src" in problem for problem in page.problems)


def test_the_answer_and_its_picture_are_above_the_fold(browser, report):
    page = opened(browser, report)
    assert page.locator("blockquote").first.bounding_box()["y"] < 200
    picture = page.locator("img").first.bounding_box()
    assert picture["y"] + picture["height"] < 800


def test_code_unfolds_by_keyboard(browser, report):
    page = opened(browser, report)
    source = page.locator("section.code > details .source").first
    assert not source.is_visible()
    page.locator("section.code > details > summary").first.focus()
    page.keyboard.press("Enter")
    assert source.is_visible()


def test_the_contents_follow_the_reader(browser, report):
    page = opened(browser, report)
    current = page.locator(".wide a[aria-current]")
    assert current.inner_text() == "The answer"
    page.locator(".wide a", has_text="Evidence").click()
    page.wait_for_function(
        "document.querySelector('.wide a[aria-current]').textContent === 'Evidence'"
    )
    assert current.count() == 1
    assert current.bounding_box()["y"] > 0


def test_a_phone_unfolds_the_contents(browser, report):
    page = opened(browser, report, width=390)
    link = page.locator(".small a", has_text="Evidence")
    assert not link.is_visible()
    page.locator(".small summary").click()
    assert link.is_visible()
    assert not page.locator(".wide").is_visible()
    link.click()  # The list covers what it leads to, and closes.
    assert not link.is_visible()
    assert page.locator("#Evidence").bounding_box()["y"] < 200


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_no_text_scrolls_sideways(browser, report, width):
    page = opened(browser, report, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = page.eval_on_selector_all(
        ".prose", "all => all.filter(t => t.scrollWidth > t.parentElement.clientWidth + 1).length"
    )
    assert wide == 0


@pytest.mark.parametrize("width", [375, 390])
def test_the_main_table_stands_whole_on_a_phone(browser, report, width):
    page = opened(browser, report, width)
    whole = page.eval_on_selector(
        ".grouped", "table => table.scrollWidth <= table.parentElement.clientWidth"
    )
    assert whole
    cut = page.eval_on_selector_all(
        ".grouped td",
        "all => all.filter(c => c.scrollWidth > c.clientWidth + 1).map(c => c.innerText)",
    )
    assert cut == []
    row = page.locator(".grouped tbody tr").first.locator("td")
    own, published = row.nth(1).bounding_box(), row.nth(6).bounding_box()
    assert published["y"] > own["y"]
    assert published["x"] == own["x"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_no_violation(browser, report, scheme, width):
    page = opened(browser, report, width, scheme=scheme, bypass=True)
    page.eval_on_selector_all("details", "all => all.forEach(d => { d.open = true; })")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("width", [390, 1280])
def test_a_caption_is_read_without_scrolling_sideways(browser, report, width):
    page = opened(browser, report, width)
    page.eval_on_selector_all("details", "all => all.forEach(d => { d.open = true; })")
    boxes = page.eval_on_selector_all(
        ".scroll",
        """all => all.map((box) => {
          box.scrollLeft = 200;
          const parts = [box, box.querySelector("caption")];
          const [outer, own] = parts.map((part) => part.getBoundingClientRect());
          return [box.scrollLeft, own.left - outer.left, outer.right - own.right];
        })""",
    )
    assert any(scrolled for scrolled, *_ in boxes) or width > 390
    assert all(-1 < left < 1 and right > -1 for _, left, right in boxes)


@pytest.mark.parametrize("timing", ["cold", "steady"])
@pytest.mark.parametrize("protocol", ["published", "tuned"])
def test_the_form_computes_what_python_does(browser, report, records, protocol, timing):
    loaded = read_records(records).records
    settings = protocol_settings(protocol)
    trials = to_frame([r for r in loaded if r.settings == settings], "own")
    curves = measured_curves(trials, summarise(trials))
    page = opened(browser, report)
    page.select_option("[name=protocol]", protocol)
    page.select_option("[name=timing]", timing)
    for parameters in (500, 3_230, 50_000, 250_000, 932_362, 5_000_000):
        page.fill("[name=parameters]", str(parameters))
        for device in ("cpu", "gpu"):
            curve = choose(curves, "own", device, protocol, timing)
            row = page.locator(f"[data-device={device}]")
            shown = float(row.get_attribute("data-seconds"))
            assert math.isclose(shown, predict(curve, parameters).seconds, rel_tol=1e-9)
            outside = not 3_230 <= parameters <= 932_362
            assert ("extrapolated" in row.inner_text()) == outside


def test_the_form_tells_the_flags_of_the_medians(browser, report):
    """The reasons of the medians that a time was read off, as Python tells them."""
    flags = ["", "steal 3.0%; throttled", "throttled", ""]
    curve = {"parameters": [10, 100, 1_000, 10_000], "seconds": [1.0, 2.0, 3.0, 4.0],
             "low": [None] * 4, "high": [None] * 4, "interval": ["single"] * 4, "flags": flags,
             "model": None}  # fmt: skip
    sizes = [5, 10, 50, 100, 500, 1_000, 5_000, 10_000]
    told, words = opened(browser, report).evaluate(
        "([curve, sizes]) => [sizes.map((size) => predict(curve, size).flags ?? ''),"
        " basis(curve, predict(curve, 500))]",
        [curve, sizes],
    )
    assert told == [predict(curve, size).flags for size in sizes]
    both = "steal 3.0%; throttled at 100 parameters; throttled at 1,000 parameters"
    assert told[3:6] == [
        "steal 3.0%; throttled at 100 parameters",
        both,
        "throttled at 1,000 parameters",
    ]
    assert words.endswith(f"so no interval. ⚑ {both}.")


def test_the_verdict_names_the_faster_device_or_a_tie(browser, report):
    # CPU 5 + 4e-5 P and GPU 14 + 4e-6 P seconds are equal at 250,000 parameters.
    page = opened(browser, report)
    verdict = page.locator(".verdict")
    page.fill("[name=parameters]", "3230")
    assert verdict.inner_text() == "● The CPU is 2.73 times as fast."
    page.fill("[name=parameters]", "932362")
    assert verdict.inner_text() == "■ The GPU is 2.39 times as fast."
    page.fill("[name=slider]", "4")
    assert page.input_value("[name=parameters]") == "10000"
    assert "CPU" in verdict.inner_text()


TIMES = [(3.0, None), (3.0, 0.01), (3.0, 0.5), (3.01, None), (3.01, 0.01), (40.0, 0.2), (4e4, 0.1)]
RULES = [
    None,
    Rule("crossed", 300_000, 240_000, 580_000),
    Rule("crossed", 300_000, math.nan, math.nan),
    Rule("gpu always faster", math.nan, math.nan, math.nan),
    Rule("cpu always faster", math.nan, math.nan, math.nan),
    Rule("unresolved", math.nan, 3_200, 20_000),
]


def predictions():
    """Times with and without limits, sure and not, measured and extrapolated, and none."""
    yield UNKNOWN
    for (seconds, spread), source in product(TIMES, ("interpolated", "extrapolated")):
        limits = (None, None) if spread is None else (seconds / (1 + spread), seconds + spread)
        for sure in (True, False) if spread else (False,):
            yield Prediction(seconds, *limits, source, sure=sure)


def test_the_forms_verdict_is_pythons(browser, report):
    cases = [
        (cpu, gpu, rule, size)
        for cpu, gpu in product(predictions(), repeat=2)
        for rule in RULES
        for size in ((100,) if rule is None else (3_230, 240_000, 300_001, 600_000))
    ]
    assert len(cases) > 10_000
    told = opened(browser, report).evaluate(
        "cases => cases.map(([cpu, gpu, size, rule]) => sentence(verdict(cpu, gpu, rule, size)))",
        [
            [cpu._asdict(), gpu._asdict(), size, rule and plain(rule)]
            for cpu, gpu, rule, size in cases
        ],
    )
    assert told == [verdict_sentence(verdict(*case)) for case in cases]


def ratios():
    """Log ratios of made-up studies: crossed, mixed, near and far ones, with 1 to 6 repeats."""
    random = np.random.default_rng(3)
    for repeats, sizes, spread in product((1, 2, 5, 6), (1, 2, 5), (0.0, 0.02, 0.3)):
        for slope in (-0.4, 0.0, 0.4, 0.9):
            parameters = np.round(np.geomspace(1_000, 3e6, sizes))
            law = slope * np.log(parameters / 5e4) + random.normal(0, 0.2, sizes)
            logs = law + random.normal(0, spread, (repeats, sizes))
            rows = [(p, n, 5.0, 5.0 / math.exp(log)) for n, row in enumerate(logs)
                    for p, log in zip(parameters, row, strict=True)]  # fmt: skip
            table = pd.DataFrame(rows, columns=["parameters", "repeat", "cpu", "gpu"])
            if slope == 0.9:  # The largest size is new, and has but two repeats.
                table = table[(table["parameters"] < 3e6) | (table["repeat"] < 2)]
            yield log_ratio(*(table.rename(columns={d: "seconds"}) for d in ("cpu", "gpu")))


def plain(rule):
    return {name: None if value != value else value for name, value in vars(rule).items()}


def test_the_forms_cheaper_sizes_are_pythons(browser, report):
    cases = list(product(ratios(), (0.01, 0.5, 1.0, 1.3, 4.0, 100.0)))
    told = opened(browser, report).evaluate(
        "cases => cases.map(([ratio, price]) => cheaper(ratio, price))"
        ".map((rule) => ({...rule, words: cheaperWords(rule)}))",
        [[ratio_data(ratio), price] for ratio, price in cases],
    )
    words = [rule_words(vars(cheaper(*case)), COST) for case in cases]
    assert len(set(words)) > 100
    assert [shown.pop("words") for shown in told] == words
    rules = [plain(rule_of(vars(cheaper(*case)))) for case in cases]
    assert {rule["status"] for rule in rules} == {
        "crossed", "unresolved", "gpu always faster", "cpu always faster"}  # fmt: skip
    for rule, shown in zip(rules, told, strict=True):
        assert (rule.pop("estimate") or 1) == pytest.approx(shown.pop("estimate") or 1, rel=1e-6)
        assert rule.items() <= shown.items()


def test_the_forms_break_even_is_pythons(browser, report):
    wide = Prediction(3.0, 2.0, 4.0, "interpolated", sure=True)
    times = [*predictions(), wide]
    some = [None, *islice(ratios(), 24, 72, 7)]
    sizes = (500, 1_000, 54_321, 54_772, 405_360, 3_000_000)
    cases = list(product(times, times, range(len(some)), sizes))
    told = opened(browser, report).evaluate(
        "([ratios, cases]) => cases.map(([cpu, gpu, at, size]) =>"
        " breakEvenSentence(breakEven(cpu, gpu, ratios[at], size)))",
        [
            [ratio and ratio_data(ratio) for ratio in some],
            [[cpu._asdict(), gpu._asdict(), *rest] for cpu, gpu, *rest in cases],
        ],
    )
    assert told == [
        break_even_sentence(break_even(cpu, gpu, some[at], size)) for cpu, gpu, at, size in cases
    ]


def test_the_forms_cost_is_pythons(browser, report):
    winners, factors = ("CPU", "GPU", "either", "unknown"), (1.01, 1.395, 13.4, 1340.0)
    verdicts = [Verdict(*told) for told in product(winners, factors, (True, False))]
    told = opened(browser, report).evaluate(
        "verdicts => verdicts.map(costSentence)", [one._asdict() for one in verdicts]
    )
    assert told == [cost_sentence(one) for one in verdicts]


def test_prices_are_typed_and_nothing_is_assumed(browser, report, records):
    page = opened(browser, report)
    page.fill("[name=parameters]", "600000")
    cost = page.locator(".cost")
    assert [page.input_value(f"[name={name}_price]") for name in ("cpu", "gpu")] == ["", ""]
    assert cost.inner_text().startswith("Break-even at this size: an hour of the GPU at ")
    page.fill("[name=cpu_price]", "0.5")
    assert cost.inner_text().startswith("Give both prices to compare costs. Break-even")
    page.fill("[name=gpu_price]", "1")
    # CPU 5 + 4e-5 P and twice the GPU's 14 + 4e-6 P seconds are equal at 718,750 parameters.
    study = merge(records, own_settings("tensorflow", 10, 128, None), records)
    crossings = crossovers(study.trials, study.pairs)
    curves = measured_curves(study.trials, summarise(study.trials))
    comparison = compare(curves, crossings, (study.own, study.own), "published", "cold")
    rule = rule_of(vars(cheaper(comparison.ratio, 2.0)))
    assert cost.inner_text() == (
        f"{cost_sentence(comparison.cheaper_at(600_000, 2.0))} At these prices: Below "
        f"{rule.low:,.0f} parameters the CPU is cheaper, above {rule.high:,.0f} the GPU; between "
        "them either. "
        f"{break_even_sentence(comparison.break_even(600_000))}"
    )
    page.fill("[name=gpu_price]", "500")
    always = "At these prices: The CPU is cheaper at all sizes from 3,230 to 932,362 parameters."
    assert always in cost.inner_text()
    page.fill("[name=parameters]", "2000000")
    assert "At these prices, among the measured sizes: The CPU is" in cost.inner_text()
    for price in ("0", "-1", "1e12"):
        page.fill("[name=gpu_price]", price)
        assert cost.inner_text().startswith("A price is a number from 0.000001 to 999,999,999. ")


def test_the_size_is_chosen_on_the_chart_itself(browser, report):
    page = opened(browser, report)
    line = page.locator(".mark.line").bounding_box()
    plot = page.locator(".plot").bounding_box()
    shown = float(page.input_value("[name=parameters]"))
    middle = plot["y"] + plot["height"] / 2
    page.mouse.click(line["x"] + line["width"] / 2, middle)
    assert math.isclose(float(page.input_value("[name=parameters]")), shown, rel_tol=0.02)
    page.mouse.move(line["x"], middle)
    page.mouse.down()
    page.mouse.move(line["x"] - 200, middle)
    page.mouse.up()
    assert float(page.input_value("[name=parameters]")) < shown / 3
    moved = page.locator(".mark.line").bounding_box()
    assert math.isclose(moved["x"], line["x"] - 200, abs_tol=2)
    assert page.locator(".verdict").inner_text().startswith("● The CPU is")


def test_the_size_is_chosen_by_keyboard_and_told_to_a_screen_reader(browser, report):
    page = opened(browser, report)
    slider = page.locator("[name=slider]")
    before = float(page.input_value("[name=parameters]"))
    slider.focus()
    page.keyboard.press("End")
    assert float(page.input_value("[name=parameters]")) > before
    text = slider.get_attribute("aria-valuetext")
    assert text.endswith(f"parameters: {page.locator('.verdict').inner_text()}")


def test_another_protocol_brings_its_own_chart(browser, report):
    page = opened(browser, report)
    picture = page.locator(".plot img")
    first = picture.get_attribute("alt")
    page.select_option("[name=protocol]", "tuned")
    page.select_option("[name=timing]", "steady")
    assert picture.get_attribute("alt") != first
    assert picture.get_attribute("alt") == page.locator(
        "figure[data-chart*='\"tuned\"'][data-chart*='\"steady\"'] img"
    ).get_attribute("alt")


def test_a_size_that_is_none_leaves_no_verdict_behind(browser, report):
    page = opened(browser, report)
    for text in ("0", "", "-5"):
        page.fill("[name=parameters]", "900000")
        assert "times as fast" in page.locator(".verdict").inner_text()
        page.fill("[name=parameters]", text)
        assert page.locator(".verdict").inner_text() == "Give a number of parameters."
        assert not page.locator(".mark.line").is_visible()
        assert page.locator("[data-device=cpu] .time").inner_text() == "missing"


def test_another_pair_says_whose_the_chart_is(browser, report):
    page = opened(browser, report)
    assert not page.locator(".other").is_visible()
    page.select_option("[name=cpu]", MACHINE)
    assert page.locator(".other").is_visible()
    assert page.locator("[name=cpu] option:checked").inner_text() == "Core i5 750 (2018)"


def test_a_link_opens_what_it_leads_to(browser, report):
    page = opened(browser, report)
    table = page.locator(".fold:has(#Spread-and-flags) table").first
    assert not table.is_visible()
    page.evaluate("location.hash = '#Spread-and-flags'")
    table.wait_for(state="visible")


def test_a_machine_without_such_times_is_called_missing(browser, report):
    page = opened(browser, report)
    page.select_option("[name=gpu]", MACHINE)
    page.select_option("[name=protocol]", "tuned")
    row = page.locator("[data-device=gpu]")
    assert "missing" in row.inner_text()
    assert page.locator(".verdict").inner_text() == "No verdict: a time is missing."


def test_a_strangers_name_stays_text_in_the_form(browser, report):
    page = opened(browser, report)
    options = page.locator("[name=cpu] option").all_inner_texts()
    assert any("</script><img src=x onerror=alert(1)>" in option for option in options)
    assert page.locator("main img[src=x]").count() == 0


def test_without_a_script_the_page_is_complete(browser, report):
    page = opened(browser, report, script=False)
    assert not page.locator(".model form").is_visible()
    assert "parameters take the CPU" in page.locator("blockquote").first.inner_text()
    assert page.locator("figure[data-chart] img").first.is_visible()
    assert page.locator(".model .html table").is_visible()
    assert page.locator(".csv a").get_attribute("href").startswith("data:text/csv;")
    assert page.locator(".wide a").count() > 5


def test_print_flows_on_pages_without_the_sides(browser, report):
    page = opened(browser, report, width=680)
    page.emulate_media(media="print")
    for name in (".wide", ".small", "[name=slider]", "section.code > details"):
        assert not page.locator(name).first.is_visible(), name
    # What is folded on a screen stands on paper, and the chart with the size that was chosen.
    for name in (".plot img", ".verdict", ".fold .data"):
        assert page.locator(name).first.is_visible(), name
    # A4 less its margins is 182 mm, 688 pixels, wide: nothing may be cut off.
    assert page.evaluate("document.documentElement.scrollWidth") <= 688
    cut = page.eval_on_selector_all(
        ".scroll", "all => all.filter(b => b.scrollWidth > b.clientWidth + 1).length"
    )
    assert cut == 0
    assert page.pdf(format="A4").startswith(b"%PDF")
