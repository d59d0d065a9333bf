"""The exit: sealed bundles, limits, a reference broker, the paper engine and its monitor."""

from .agreement import (
    Agreement as Agreement,
    Origin as Origin,
)
from .bundle import (
    Bundle as Bundle,
    SEAL_NOTE as SEAL_NOTE,
    approve_bundle as approve_bundle,
    load_bundle as load_bundle,
)
from .keys import (
    add_reviewer as add_reviewer,
    make_key as make_key,
    read_reviewers as read_reviewers,
)
from .signing import (
    sign_bundle as sign_bundle,
)
from .differences import (
    diff_bundles as diff_bundles,
)
from .writing import (
    write_bundle as write_bundle,
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
from .expectation import (
    ExpectedDistribution as ExpectedDistribution,
    SequentialTest as SequentialTest,
    calibrate_monitor as calibrate_monitor,
    expected_distribution as expected_distribution,
)
from .monitor import (
    MonitorResult as MonitorResult,
    monitor as monitor,
)
from quantlab.trading.orders import (
    Order as Order,
)
from quantlab.trading.states import (
    State as State,
)
from quantlab.trading.limits import (
    DeskRules as DeskRules,
    Limits as Limits,
)
from quantlab.trading.gate import (
    Account as Account,
    Decision as Decision,
    PreTradeGate as PreTradeGate,
)
from quantlab.trading.killswitch import (
    KillSwitch as KillSwitch,
)
from quantlab.trading.broker import (
    Bar as Bar,
    ExecutionBackend as ExecutionBackend,
    Fill as Fill,
    ReferenceBroker as ReferenceBroker,
    bars as bars,
    load_feed as load_feed,
    save_feed as save_feed,
)
