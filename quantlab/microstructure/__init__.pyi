"""What trading itself does to prices: the spread between bid and ask, measured from daily bars."""

from .bounce import bounce_bars as bounce_bars
from .kyle import (
    KyleEquilibrium as KyleEquilibrium,
    KyleLambda as KyleLambda,
    kyle_equilibrium as kyle_equilibrium,
    kyle_lambda as kyle_lambda,
)
from .pin import PINFit as PINFit, fit_pin as fit_pin
from .spreads import (
    SpreadEstimate as SpreadEstimate,
    abdi_ranaldo_spread as abdi_ranaldo_spread,
    corwin_schultz_spread as corwin_schultz_spread,
    roll_spread as roll_spread,
)
from .ticks import Ticks as Ticks, load_ticks as load_ticks
