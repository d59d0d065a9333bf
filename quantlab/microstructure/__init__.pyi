"""What trading itself does to prices: the spread between bid and ask, measured from daily bars."""

from .barriers import triple_barrier as triple_barrier
from .bounce import bounce_bars as bounce_bars
from .events import cusum_filter as cusum_filter
from .fractional import (
    FractionalOrder as FractionalOrder,
    fractional_difference as fractional_difference,
    fractional_weights as fractional_weights,
    minimum_fractional_order as minimum_fractional_order,
)
from .purging import check_purged as check_purged, label_overlap as label_overlap
from .spreads import (
    SpreadEstimate as SpreadEstimate,
    abdi_ranaldo_spread as abdi_ranaldo_spread,
    corwin_schultz_spread as corwin_schultz_spread,
    roll_spread as roll_spread,
)
from .uniqueness import (
    average_uniqueness as average_uniqueness,
    draw_probabilities as draw_probabilities,
    label_concurrency as label_concurrency,
    sequential_bootstrap as sequential_bootstrap,
)
from .weights import sample_weights as sample_weights, time_decay as time_decay
