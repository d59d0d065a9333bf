"""From a decision to fills: schedules of child orders, quotes, and an order book with known answers."""

from .schedules import (
    Schedule as Schedule,
    pov as pov,
    twap as twap,
    volume_profile as volume_profile,
    vwap as vwap,
)
from .almgren_chriss import (
    ExecutionPlan as ExecutionPlan,
    almgren_chriss as almgren_chriss,
    efficient_frontier as efficient_frontier,
    schedule_cost as schedule_cost,
)
from .quotes import (
    Quotes as Quotes,
    avellaneda_stoikov as avellaneda_stoikov,
)
from .order_book import (
    BookSimulation as BookSimulation,
    OrderBookModel as OrderBookModel,
)
from .scheduled_broker import (
    ParentReconciliation as ParentReconciliation,
    ScheduleRule as ScheduleRule,
    ScheduledBroker as ScheduledBroker,
    reconcile_children as reconcile_children,
    work_order as work_order,
)
from .cost_analysis import (
    TCAResult as TCAResult,
    transaction_cost_analysis as transaction_cost_analysis,
)
from .impact_fit import (
    ImpactFit as ImpactFit,
    fit_impact as fit_impact,
)
from .fill_model import (
    FillModel as FillModel,
    fit_fill_model as fit_fill_model,
)
from .routing import (
    Routing as Routing,
    route_order as route_order,
)
from .execution_problem import (
    ExecutionComparison as ExecutionComparison,
    ExecutionProblem as ExecutionProblem,
    OptimalPolicy as OptimalPolicy,
    TablePolicy as TablePolicy,
    compare_execution as compare_execution,
)
from .episodes import (
    VectorExecutionEnv as VectorExecutionEnv,
)
from .execution_env import (
    ExecutionEnv as ExecutionEnv,
    gymnasium_env as gymnasium_env,
    stable_baselines_env as stable_baselines_env,
)
from .agents import (
    Agent as Agent,
    load_agent as load_agent,
    train_agent as train_agent,
)
