"""How quiet a name was, as a factor of a project's own."""

import pandas as pd

from quantlab.factors import define_factor


@define_factor(family="own", horizon=21, source="Own: what moves little is overlooked")
def quiet_days(returns: pd.DataFrame) -> pd.DataFrame:
    "Minus the mean absolute return of the last 42 days"
    return -returns.abs().rolling(42, min_periods=30).mean()
