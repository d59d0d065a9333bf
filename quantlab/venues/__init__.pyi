"""What a firm has already: streams, stores, brokers and a second engine, behind the verbs of the floor."""

from .reports import (
    ReportFile as ReportFile,
)
from .marks import (
    Marks as Marks,
)
from .environment import (
    NautilusEnvironment as NautilusEnvironment,
    build_environment as build_environment,
    find_environment as find_environment,
)
from .nautilus import (
    NautilusBackend as NautilusBackend,
)
from .reconcile import (
    EngineReconciliation as EngineReconciliation,
    reconcile_engines as reconcile_engines,
)
