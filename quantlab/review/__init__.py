"""What risk reads: the verdict, the pictures and the document."""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(
    __name__,
    {
        "criteria": ["Criterion", "Rules", "check_thresholds"],
        "gate": [
            "GateResult",
            "bias_notes",
            "critical_sharpe_ratios",
            "evaluate_gate",
            "gate_power",
            "null_sharpe_variance",
        ],
        "placebo": [
            "PlaceboResult",
            "placebo_false_pass_rate",
            "placebo_world",
            "simulated_power",
        ],
        "plots": [
            "cost_stress",
            "drawdown",
            "dsr_curve",
            "equity_curve",
            "logits_histogram",
            "parameter_surface",
            "placebo_histogram",
            "power_curve",
            "pvalue_histogram",
            "rolling_sharpe",
        ],
        "research_plots": [
            "coverage_heatmap",
            "cumulative_quantiles",
            "ic_heatmap",
            "ic_series",
            "names_in_universe",
            "pair_spread",
            "quantile_bars",
            "reconciliation",
            "var_exceedances",
            "volatility_forecast",
        ],
        "dossier": [
            "Fact",
            "Facts",
            "Section",
            "VerifyResult",
            "diff_dossiers",
            "dossier_inputs",
            "render_dossier",
            "show",
            "verdict_box",
            "verify_dossier",
        ],
        "strategy": ["FigureBlock", "TableBlock", "strategy_dossier"],
    },
    {
        "quantlab.pages": ["external_references", "index_page", "render_page"],
        "quantlab.style": ["figure_svg", "report_style"],
    },
)
