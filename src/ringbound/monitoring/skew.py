"""The alarm where answers were made from other values than the log says."""

from ringbound.monitoring.alarm import Alarm
from ringbound.proofs.audit import AuditResult


def skew_alarms(audited: AuditResult, day: str) -> list[Alarm]:
    """Return an alarm where answers were made from other values than the log says, of a day; none where none were.

    >>> skew_alarms(AuditResult(3, 60, ["a, late_mean_1h: used 2.0, the log says 3.0"], 0), "2020-03-01")[0].examples
    ['a']
    """
    if not audited.mismatches:
        return []
    first, _, _ = audited.mismatches[0].partition(",")
    return [
        Alarm(
            name="code/skew",
            day=day,
            severity="critical",
            says=f"of {audited.values:,} values of {audited.predictions:,} answers {len(audited.mismatches):,} are not what "
            f"the log says: {audited.mismatches[0]}",
            cause="code",
            action="see ringbound receipts verify, and what has changed in the service or the log since",
            examples=[first],
        )
    ]
