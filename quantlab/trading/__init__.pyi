"""What an order is, what it costs, and who may stop it."""

from .costs import (
    CostModel as CostModel,
    trade_cost as trade_cost,
)
from .orders import (
    Order as Order,
    make_order as make_order,
)
from .states import (
    State as State,
)
from .limits import (
    DeskRules as DeskRules,
    Limits as Limits,
)
from .gate import (
    Account as Account,
    Decision as Decision,
    PreTradeGate as PreTradeGate,
)
from .killswitch import (
    KillSwitch as KillSwitch,
)
from .broker import (
    Bar as Bar,
    ExecutionBackend as ExecutionBackend,
    Fill as Fill,
    ReferenceBroker as ReferenceBroker,
    SimulatedVenue as SimulatedVenue,
    bars as bars,
    load_feed as load_feed,
    save_feed as save_feed,
)
