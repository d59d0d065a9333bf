"""What could be known when: panels, their errors, who was in the index, and returns."""

from .fields import (
    check_field as check_field,
    check_membership as check_membership,
)
from .panel import (
    MissingFieldError as MissingFieldError,
    Panel as Panel,
    UnknownAssetError as UnknownAssetError,
    before as before,
)
from .files import (
    load_panel as load_panel,
    save_panel as save_panel,
)
from .contract import (
    DataContract as DataContract,
    trading_sessions as trading_sessions,
)
from .defects import (
    find_defects as find_defects,
)
from .quality import (
    QualityReport as QualityReport,
    apply_quarantine as apply_quarantine,
    check_panel as check_panel,
)
from .universe import (
    SurvivorshipResult as SurvivorshipResult,
    membership_mask as membership_mask,
    survivorship_gap as survivorship_gap,
)
from .returns import (
    forward_returns as forward_returns,
    forward_returns_from_returns as forward_returns_from_returns,
    log_returns as log_returns,
    simple_returns as simple_returns,
)
from .market import (
    join_panels as join_panels,
    market_panel as market_panel,
)
from .calendar import (
    CalendarAlignment as CalendarAlignment,
    align_to_calendar as align_to_calendar,
)
from .splits import (
    adjust_splits as adjust_splits,
    find_splits as find_splits,
)
from .endings import (
    find_endings as find_endings,
    survivorship_sentence as survivorship_sentence,
)
from .proposals import (
    DateProposal as DateProposal,
    propose_dates as propose_dates,
)
from .price_import import (
    PriceImport as PriceImport,
    import_prices as import_prices,
)
from .absent import (
    OPTIONAL_INPUTS as OPTIONAL_INPUTS,
    AbsentInputs as AbsentInputs,
    absent_biases as absent_biases,
    absent_inputs as absent_inputs,
    has_input as has_input,
)
from .factor_returns import (
    FactorReturns as FactorReturns,
    load_factor_returns as load_factor_returns,
)
from .span import (
    require_date as require_date,
    require_days as require_days,
)
