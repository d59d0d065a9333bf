"""What risk reads: the verdict, the pictures and the document."""

from .plan import (
    PlanForecast as PlanForecast,
    forecast_plan as forecast_plan,
    plan_from_params as plan_from_params,
)
from .criteria import (
    Criterion as Criterion,
    check_thresholds as check_thresholds,
)
from .diagnostics import (
    Diagnostic as Diagnostic,
    Rules as Rules,
    null_sharpe_variance as null_sharpe_variance,
)
from .missing import (
    Missing as Missing,
    what_is_missing as what_is_missing,
)
from .gate import (
    GateResult as GateResult,
    evaluate_gate as evaluate_gate,
    final_verdict as final_verdict,
)
from .biases import (
    bias_notes as bias_notes,
)
from .placebo import (
    PlaceboResult as PlaceboResult,
    placebo_false_pass_rate as placebo_false_pass_rate,
    placebo_world as placebo_world,
)
from .plots import (
    cost_stress as cost_stress,
    drawdown as drawdown,
    equity_curve as equity_curve,
    placebo_histogram as placebo_histogram,
    power_curve as power_curve,
    pvalue_histogram as pvalue_histogram,
    rolling_sharpe as rolling_sharpe,
)
from .research_plots import (
    coverage_heatmap as coverage_heatmap,
    names_in_universe as names_in_universe,
    pair_spread as pair_spread,
    reconciliation as reconciliation,
    var_exceedances as var_exceedances,
    volatility_forecast as volatility_forecast,
)
from .dossier import (
    Fact as Fact,
    Facts as Facts,
    Section as Section,
    VerifyResult as VerifyResult,
    diff_dossiers as diff_dossiers,
    dossier_inputs as dossier_inputs,
    render_dossier as render_dossier,
    format_fact as format_fact,
    verdict_box as verdict_box,
    verify_dossier as verify_dossier,
)
from .judge import (
    Judgement as Judgement,
    am_i_lucky as am_i_lucky,
    judge as judge,
)
from .strategy import (
    FigureBlock as FigureBlock,
    TableBlock as TableBlock,
    strategy_dossier as strategy_dossier,
)
from quantlab.pages import (
    external_references as external_references,
    index_page as index_page,
    render_page as render_page,
)
from quantlab.pictures import (
    logits_histogram as logits_histogram,
    parameter_heatmap as parameter_heatmap,
)
from quantlab.style import (
    figure_svg as figure_svg,
    report_style as report_style,
)
