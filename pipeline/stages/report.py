"""Stage 7, report: one page that explains every document that was kept or lost, and its numbers as JSON."""

from typing import Any, Literal

import msgspec

from algok.pipeline.recipe import policies_of
from algok.pipeline.report.assemble import assemble
from algok.pipeline.report.folder import LINE, open_folder
from algok.pipeline.report.render import render
from algok.pipeline.report.scan import scan_folder
from algok.pipeline.report.summary import FORMAT
from algok.pipeline.stages.base import Context, Result
from algok.transforms.sinks import FileReceipt
from algok.transforms.storage import AtomicFile, checksum, exists, join

__all__ = ["PAGE", "SUMMARY", "Report"]

PAGE, SUMMARY = "index.html", "summary.json"


class Report:
    """Needs extract only; shows of the later stages what there is, and says what is missing or out of date."""

    name = "report"
    after: tuple[str, ...] = ("extract",)
    #: Stages that are shown where they are done: a new manifest of any makes a new report.
    shows = tuple(LINE)
    format = FORMAT
    reads = ""
    packages: tuple[str, ...] = ()
    balance: Literal["none"] = "none"

    def parts(self, context: Context) -> dict[str, Any]:
        shown = {
            name: checksum(path) for name in self.shows if exists(path := join(context.folder(name), "manifest.json"))
        }
        return {
            "report": msgspec.to_builtins(context.recipe.report),
            "filter": msgspec.to_builtins(policies_of(context.recipe)),
            "alarm_share": context.recipe.dedup.alarm_share,
            "seed": context.recipe.seed,
            "shown": shown,
        }

    def run(self, context: Context, key: str) -> Result:
        folder = open_folder(context.work)
        summary = assemble(context.recipe, folder, scan_folder(context, folder, self.name))
        encoded = msgspec.json.format(msgspec.json.encode(summary), indent=1) + b"\n"
        target = context.folder(self.name)
        files = [
            _write("page", join(target, PAGE), render(summary).encode("utf-8", "replace")),
            _write("summary", join(target, SUMMARY), encoded),
        ]
        details = {
            "checks": len(summary.checks),
            "failed_checks": [check.name for check in summary.checks if not check.ok],
            "alarms": len(summary.dedup.alarms) if summary.dedup else 0,
            "left_out": [row.name for row in summary.stages if row.state != "done"],
        }
        for check in summary.checks:
            if not check.ok:
                context.reporter.remark(f"report: check failed: {check.name}: {check.detail}")
        return Result(files=files, ledger=[], details=details)


def _write(table: str, path: str, data: bytes) -> FileReceipt:
    file = AtomicFile(path)
    try:
        file.write(data)
        file.commit()
    except BaseException:
        file.abort()
        raise
    return FileReceipt(table=table, path=path, rows=0, bytes=file.bytes, checksum=file.checksum)
