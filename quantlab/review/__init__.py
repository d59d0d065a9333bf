"""What risk reads: the gate's verdict, pictures, and a dossier whose numbers can be checked."""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(
    __name__,
    {
        "gate": [
            "CRITERIA",
            "Criterion",
            "GateResult",
            "bias_notes",
            "critical_sharpe_ratios",
            "evaluate_gate",
            "gate_power",
        ],
        "placebo": ["PlaceboResult", "placebo_false_pass_rate", "placebo_world"],
        "plots": ["figure_svg", "report_style"],
        "dossier": [
            "Fact",
            "Facts",
            "PAGE_STYLE",
            "Section",
            "VerifyResult",
            "diff_dossiers",
            "external_references",
            "index_page",
            "render_dossier",
            "render_page",
            "verdict_box",
            "verify_dossier",
        ],
        "strategy": ["STRATEGY_TEMPLATE", "strategy_dossier"],
    },
)
