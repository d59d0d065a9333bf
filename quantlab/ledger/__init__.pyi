"""What was tried: an append-only ledger, chained by hashes."""

from .trials import (
    Ledger as Ledger,
    LedgerCheck as LedgerCheck,
    MergeResult as MergeResult,
    Trials as Trials,
    merge_ledgers as merge_ledgers,
    open_trials as open_trials,
)
