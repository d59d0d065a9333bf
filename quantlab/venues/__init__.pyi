"""What a firm has already: streams, stores, brokers and a second engine, behind the verbs of the floor."""

from .reports import (
    ReportFile as ReportFile,
)
from .marks import (
    Marks as Marks,
)
from .alpaca_line import (
    LIVE_URL as LIVE_URL,
    PAPER_URL as PAPER_URL,
)
from .alpaca import (
    AlpacaStatistics as AlpacaStatistics,
    AlpacaVenue as AlpacaVenue,
)
