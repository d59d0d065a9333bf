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
from .selection import (
    SelectedRecord as SelectedRecord,
    corrected_for_selection as corrected_for_selection,
)
from .distribution import (
    ExpectedDistribution as ExpectedDistribution,
    expected_distribution as expected_distribution,
)
from .expectation import (
    SequentialTest as SequentialTest,
    calibrate_monitor as calibrate_monitor,
)
from .bet import (
    betting_chart as betting_chart,
)
from .gap import (
    GapAttribution as GapAttribution,
    attribute_gap as attribute_gap,
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
    SimulatedVenue as SimulatedVenue,
    bars as bars,
    load_feed as load_feed,
    save_feed as save_feed,
)
