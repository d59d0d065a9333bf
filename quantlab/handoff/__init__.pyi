"""The exit: sealed bundles, limits, a reference broker, the paper engine and its monitor."""

from .bundle import (
    Bundle as Bundle,
    SEAL_NOTE as SEAL_NOTE,
    approve_bundle as approve_bundle,
    load_bundle as load_bundle,
    write_bundle as write_bundle,
)
from .limits import (
    Account as Account,
    Decision as Decision,
    KillSwitch as KillSwitch,
    Limits as Limits,
    Order as Order,
    PreTradeGate as PreTradeGate,
    SequentialTest as SequentialTest,
    State as State,
)
from .broker import (
    Bar as Bar,
    ExecutionBackend as ExecutionBackend,
    Fill as Fill,
    ReferenceBroker as ReferenceBroker,
    bars as bars,
    load_feed as load_feed,
    save_feed as save_feed,
)
from .journal import (
    PaperResult as PaperResult,
    Reconciliation as Reconciliation,
    read_journal as read_journal,
)
from .engine import (
    PaperEngine as PaperEngine,
    replay_bundle as replay_bundle,
)
from .monitor import (
    ExpectedDistribution as ExpectedDistribution,
    MonitorResult as MonitorResult,
    calibrate_monitor as calibrate_monitor,
    expected_distribution as expected_distribution,
    monitor as monitor,
)
