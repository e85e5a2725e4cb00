"""Value functions: evaluation, gradient and exact embedding into linear and integer programs."""
