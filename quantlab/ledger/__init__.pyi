"""What was tried: an append-only ledger, chained by hashes."""

from .plan import (
    Plan as Plan,
)
from .verification import (
    LedgerCheck as LedgerCheck,
)
from .trials import (
    Ledger as Ledger,
    MergeResult as MergeResult,
    Trials as Trials,
    merge_ledgers as merge_ledgers,
)
from .watch import (
    open_trials as open_trials,
)
