"""The way into the log, for the roles that take readings."""

from wattwire.app.roles import Stage
from wattwire.intake.intake import Intake
from wattwire.intake.writer import LogWriter
from wattwire.store.directory import Directory


class Inlet:
    """Intake, writer and directory of one process, running on its stage."""

    def __init__(self, stage: Stage) -> None:
        kit = stage.kit
        self.directory = Directory(kit.pool)
        self.writer = LogWriter(kit.nats, partitions=kit.settings.partitions)
        self.intake = Intake(self.writer, self.directory)
        kit.watch.subscribe(self.directory.forget)
        stage.keep("intake", self.writer.run)
        stage.keep("directory", self.directory.refresh_for_ever)
        stage.count(self._figures)

    def _figures(self) -> dict[str, float]:
        written, taken = self.writer.figures, self.intake.figures
        return {
            "wattwire_intake_messages_total": taken.taken,
            "wattwire_intake_messages_refused_total": taken.refused,
            "wattwire_intake_readings_total": written.readings,
            "wattwire_intake_commits_total": written.commits,
            "wattwire_intake_commit_retries_total": written.retries,
            "wattwire_intake_commits_given_up_total": written.given_up,
            "wattwire_intake_backlog_bytes": written.backlog_bytes,
        }
