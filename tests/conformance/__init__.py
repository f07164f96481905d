"""Every combination that the contract has, on real tokens: a signature that verifies, or an error that says why."""
