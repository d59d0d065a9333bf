"""What a firm has already: streams, stores, brokers and a second engine, behind the verbs of the floor."""

from .reports import (
    ReportFile as ReportFile,
)
from .marks import (
    Marks as Marks,
)
