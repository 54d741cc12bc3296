"""The page of `algok tokenizer evaluate`: an evaluation as one HTML file that needs nothing else."""

from statistics import fmean

from markupsafe import Markup

from algok.pipeline.report.render import environment, policy_of, source
from algok.tokenizer.evaluate import Evaluation

__all__ = ["korean_means", "render_evaluation"]


def korean_means(evaluation: Evaluation) -> dict[str, float]:
    """By encoding: mean reduction over the Korean domains (``ko`` or ``ko/...``), each domain counting the same."""
    korean = [d for label, d in evaluation.domains.items() if label.split("/")[0] == "ko"]
    names = korean[0].against if korean else {}
    return {name: fmean(d.against[name].reduction for d in korean) for name in names}


def render_evaluation(evaluation: Evaluation, title: str) -> str:
    """The page; crawled text in it is escaped, and nothing in it runs."""
    style = source("page.css")
    first = next(iter(evaluation.domains.values()), None)
    return (
        environment()
        .get_template("tokenizer.html")
        .render(
            e=evaluation,
            title=title,
            names=sorted(first.against) if first else [],
            korean=[label for label in evaluation.domains if label.split("/")[0] == "ko"],
            means=korean_means(evaluation),
            style=Markup(style),  # noqa: S704 - our own file
            policy=policy_of(style, ""),
        )
    )
