"""What could be known when: panels, their errors, who was in the index, and returns."""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(
    __name__,
    {
        "panel": [
            "Panel",
            "MissingFieldError",
            "before",
            "check_field",
            "check_membership",
        ],
        "files": ["load_panel", "save_panel"],
        "defects": ["DataContract", "find_defects", "trading_sessions"],
        "quality": ["QualityReport", "check_panel", "apply_quarantine"],
        "universe": ["membership_mask", "survivorship_gap", "SurvivorshipResult"],
        "returns": [
            "simple_returns",
            "log_returns",
            "forward_returns",
            "forward_returns_from_returns",
        ],
        "market": ["join_panels", "market_panel"],
    },
)
