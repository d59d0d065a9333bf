"""The exit: sealed bundles, limits, a reference broker, the paper engine and its monitor."""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(
    __name__,
    {
        "bundle": ["SEAL_NOTE", "Bundle", "approve_bundle", "load_bundle", "write_bundle"],
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
        "broker": ["Bar", "ExecutionBackend", "Fill", "ReferenceBroker", "bars", "load_feed", "save_feed"],
        "journal": ["PaperResult", "Reconciliation", "read_journal"],
        "engine": ["PaperEngine", "replay_bundle"],
        "monitor": [
            "ExpectedDistribution",
            "MonitorResult",
            "calibrate_monitor",
            "expected_distribution",
            "monitor",
        ],
    },
)
