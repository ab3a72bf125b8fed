"""Models of a multivariate series: CRBM, forecasts, regimes."""
