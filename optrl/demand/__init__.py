"""Demand models: distributions of demand over items, demand nodes and periods.

`optrl.demand.base.DemandModel` is the contract, `optrl.demand.fit.fit` fits a model by name, and
`optrl.demand.lead_time` gives quantiles and expected shortages of demand over a lead time.
"""
