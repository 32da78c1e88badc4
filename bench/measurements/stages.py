"""The app's CPU by stage, put together from the measurements that ran each stage alone."""

from bench.observation import Bench
from bench.reporting.svg import stacked_chart


def conclude(bench: Bench) -> None:
    """Adds the section, as far as the stages were measured."""
    if bench.stages:
        with bench.section("App CPU by stage") as section:
            section.tables["CPU seconds for 1,000"] = bench.stages
            section.charts["cpu-by-stage.svg"] = stacked_chart("App CPU for 1,000, by stage", bench.stages, "s")
