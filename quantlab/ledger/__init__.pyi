"""What was tried: an append-only ledger, chained by hashes."""

from .plan import (
    Plan as Plan,
)
from .imports import (
    ImportResult as ImportResult,
    import_trials as import_trials,
    trials_from_csv as trials_from_csv,
)
from .trackers import (
    trials_from_mlflow as trials_from_mlflow,
    trials_from_optuna as trials_from_optuna,
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
from .listing import (
    list_records as list_records,
)
from .watch import (
    open_trials as open_trials,
)
