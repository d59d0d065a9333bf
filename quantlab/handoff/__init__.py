"""The exit: sealed bundles, limits, a reference broker, the paper engine and its monitor."""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(
    __name__,
    {
        "bundle": ["Bundle", "approve", "load_bundle", "write_bundle"],
        "limits": [
            "Account",
            "Decision",
            "KillSwitch",
            "Limits",
            "Order",
            "PreTradeGate",
            "SequentialTest",
            "State",
        ],
        "broker": ["Bar", "ExecutionBackend", "Fill", "ReferenceBroker", "bars"],
        "journal": ["PaperResult", "Reconciliation", "read_journal"],
        "engine": ["PaperEngine"],
        "monitor": [
            "ExpectedDistribution",
            "MonitorResult",
            "calibrate_monitor",
            "expected_distribution",
            "monitor",
        ],
    },
)
